/* test_fault.c: fault points.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/fault.h"
#include "base/test.h"
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void the_nth_passage_fails_once(struct test *t)
{
    fault_arm("disk", 3, ERR_IO);
    CHECK_INT(t, OK, FAULT("disk"));
    CHECK_INT(t, OK, FAULT("other"));
    CHECK_INT(t, OK, FAULT("disk"));
    CHECK_INT(t, ERR_IO, FAULT("disk"));
    CHECK_INT(t, OK, FAULT("disk"));
    CHECK(t, fault_disarm("disk"));
    CHECK(t, !fault_any_armed);
    CHECK(t, !fault_disarm("disk"));
}

static void nth_zero_fails_every_time(struct test *t)
{
    fault_arm("disk", 0, ERR_FULL);
    CHECK_INT(t, ERR_FULL, FAULT("disk"));
    CHECK_INT(t, ERR_FULL, FAULT("disk"));
    CHECK(t, fault_disarm("disk"));
    CHECK_INT(t, OK, FAULT("disk"));
}

static void an_unreached_point_has_not_fired(struct test *t)
{
    fault_arm("disk", 5, ERR_IO);
    FAULT("disk");
    CHECK(t, !fault_disarm("disk"));
}

static void text_arms_several_points(struct test *t)
{
    CHECK_OK(t, fault_arm_text("a=1:io, b=2:full,a=3:limit"));
    CHECK_INT(t, ERR_IO, FAULT("a"));
    CHECK_INT(t, OK, FAULT("b"));
    CHECK_INT(t, ERR_FULL, FAULT("b"));
    CHECK_INT(t, OK, FAULT("a"));
    CHECK_INT(t, ERR_LIMIT, FAULT("a"));
    CHECK(t, fault_disarm("a"));
    CHECK(t, fault_disarm("b"));
    CHECK_OK(t, fault_arm_text(""));
}

static void text_arms_every_nth(struct test *t)
{
    CHECK_OK(t, fault_arm_text("a=%2:io"));
    for (int n = 1; n <= 6; n++)
        CHECK_INT(t, n % 2 ? OK : ERR_IO, FAULT("a"));
    CHECK(t, fault_disarm("a"));
}

/* 20, more than there is room for */
#define FOUR_POINTS "a=1:io,a=1:io,a=1:io,a=1:io"
#define MANY_POINTS FOUR_POINTS "," FOUR_POINTS "," FOUR_POINTS "," FOUR_POINTS "," FOUR_POINTS

static void wrong_text_arms_nothing(struct test *t)
{
    static const char *const wrong[] = { "a", "a=", "a=1", "a=x:io", "a=1:nothing", "=1:io", "a=%0:io", "a=%:io", "a=kill@", "a=kill@x",
                                         "a=1:io,b", "a=1:io,,b=1:io", "a=1:ok", MANY_POINTS };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        if (!CHECK_INT(t, ERR_INVALID, fault_arm_text(wrong[i])))
            printf("    %s\n", wrong[i]);
        CHECK(t, !fault_any_armed);
    }
}

static void kill_ends_the_process_at_the_passage(struct test *t)
{
    int   status = 0;
    pid_t child = fork();

    if (child == 0) {
        if (fault_arm_text("disk=kill@2"))
            _exit(1);
        FAULT("disk");
        FAULT("disk");
        _exit(2);
    }
    waitpid(child, &status, 0);
    CHECK(t, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST_MAIN(TEST(the_nth_passage_fails_once), TEST(nth_zero_fails_every_time), TEST(an_unreached_point_has_not_fired),
          TEST(text_arms_several_points), TEST(text_arms_every_nth), TEST(wrong_text_arms_nothing), TEST(kill_ends_the_process_at_the_passage))
