/* test_admission.c: the rate at which a crowd is let in.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "base/test.h"
#include "talk/admission.h"
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 1000 };

static int after(int rate, int windows, int late_ms)
{
    while (windows-- > 0)
        rate = admission_next(rate, MOST, late_ms, 0);
    return rate;
}

static void an_idle_machine_takes_all_that_is_allowed_within_a_second(struct test *t)
{
    CHECK_INT(t, MOST, after(ADMISSION_RATE_FIRST, 1000 / ADMISSION_WINDOW_MS, 0));
}

static void a_late_loop_halves_it_within_two_windows(struct test *t)
{
    CHECK(t, after(MOST, 2, ADMISSION_LATE_MS + 1) <= MOST / 2);
}

static void somebody_is_always_let_in(struct test *t)
{
    CHECK_INT(t, ADMISSION_RATE_MIN, after(MOST, 100, 10000));
    CHECK(t, after(ADMISSION_RATE_MIN, 100, 0) == MOST);
}

static void a_little_late_changes_nothing(struct test *t)
{
    CHECK_INT(t, 300, after(300, 50, ADMISSION_LATE_MS));
}

static void a_setting_below_the_least_holds(struct test *t)
{
    CHECK_INT(t, 5, admission_next(5, 5, 0, 0));
    CHECK_INT(t, 5, admission_next(5, 5, 10000, 0));
}

/* The loop may have time while the database has none: then log-ins pile up. */
static void log_ins_that_pile_up_slow_it_down(struct test *t)
{
    CHECK(t, admission_next(500, MOST, 0, ADMISSION_ENTERING_MANY + 1) < 500);
    CHECK_INT(t, 500, admission_next(500, MOST, 0, ADMISSION_ENTERING_MANY));
    CHECK(t, admission_next(500, MOST, 0, ADMISSION_ENTERING_FEW) > 500);
}

static void many_are_asked_to_take_their_time(struct test *t)
{
    CHECK_INT(t, 0, admission_spread_s(999, 1000));
    CHECK_INT(t, 5, admission_spread_s(5000, 1000));
    CHECK_INT(t, ADMISSION_SPREAD_S_MAX, admission_spread_s(1000000, 1000));
    CHECK_INT(t, 0, admission_spread_s(1000000, 0));
}

/* A machine that can bear 300 a second: late beyond, in time below. The rate stays about there. */
static void it_settles_at_what_the_machine_bears(struct test *t)
{
    int rate = ADMISSION_RATE_FIRST, lowest = MOST, highest = 0;

    for (int window = 0; window < 400; window++) {
        rate = admission_next(rate, MOST, rate > 300 ? 60 : 0, 0);
        if (window > 40 && rate < lowest)
            lowest = rate;
        if (window > 40 && rate > highest)
            highest = rate;
    }
    CHECK(t, lowest >= 150 && highest <= 340);
}

static void who_gave_up_in_a_crowd_is_not_taken(struct test *t)
{
    struct talk *talk = NEW(struct talk);
    int          ends[2];

    CHECK_INT(t, 0, socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    talk->admission_rested = true;
    CHECK(t, !admission_gave_up(talk, ends[0]));
    CHECK_INT(t, 5, (int)write(ends[1], "hello", 5));
    CHECK(t, !admission_gave_up(talk, ends[0]));
    close(ends[1]);
    CHECK(t, admission_gave_up(talk, ends[0]));
    talk->admission_rested = false;
    CHECK(t, !admission_gave_up(talk, ends[0]));
    close(ends[0]);
    free(talk);
}

TEST_MAIN(TEST(an_idle_machine_takes_all_that_is_allowed_within_a_second), TEST(a_late_loop_halves_it_within_two_windows),
          TEST(somebody_is_always_let_in), TEST(a_little_late_changes_nothing), TEST(a_setting_below_the_least_holds),
          TEST(log_ins_that_pile_up_slow_it_down), TEST(many_are_asked_to_take_their_time), TEST(who_gave_up_in_a_crowd_is_not_taken),
          TEST(it_settles_at_what_the_machine_bears))
