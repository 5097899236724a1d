/* test_clock.c: dates, and a clock that tests can set.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/test.h"
#include <time.h>

static void a_set_clock_stands_still(struct test *t)
{
    clock_set_us(1234567890123456);
    CHECK_INT(t, 1234567890123456, clock_us());
    CHECK_INT(t, 1234567890123, clock_mono_ms());
    CHECK_INT(t, 1234567890123456, clock_us());
    clock_set_us(0);
    CHECK(t, clock_us() > INT64_C(1600000000000000));
    CHECK(t, clock_mono_ms() <= clock_mono_ms());
}

static void format_agrees_with_the_c_library(struct test *t)
{
    char out[CLOCK_TEXT_BYTES], want[CLOCK_TEXT_BYTES];

    for (int64_t s = -62167219200; s < 253402300800; s += 86399 * 37) {
        struct tm tm;
        time_t    time = s;
        int64_t   back;

        gmtime_r(&time, &tm);
        snprintf(want, sizeof want, "%04d-%02d-%02dT%02d:%02d:%02dZ", (tm.tm_year + 1900) % 10000, tm.tm_mon + 1,
                 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
        if (!CHECK_STR(t, want, clock_format(s * 1000000, out)))
            return;
        if (!CHECK(t, clock_parse(str_of(out), &back) && back == s * 1000000))
            return;
    }
}

static void fractions_are_kept(struct test *t)
{
    char    out[CLOCK_TEXT_BYTES];
    int64_t us;

    CHECK_STR(t, "1970-01-01T00:00:00.000001Z", clock_format(1, out));
    CHECK_STR(t, "1969-12-31T23:59:59.999999Z", clock_format(-1, out));
    CHECK(t, clock_parse(STR("1970-01-01T00:00:00.5Z"), &us) && us == 500000);
    CHECK(t, clock_parse(STR("1970-01-01T00:00:00.1234567891Z"), &us) && us == 123456);
}

static void zones_are_read(struct test *t)
{
    int64_t us, utc;

    CHECK(t, clock_parse(STR("2026-11-24T01:02:03Z"), &utc));
    CHECK(t, clock_parse(STR("2026-11-24T10:02:03+09:00"), &us) && us == utc);
    CHECK(t, clock_parse(STR("2026-11-23T21:32:03-03:30"), &us) && us == utc);
    CHECK(t, clock_parse(STR("2026-11-24T24:00:00Z"), &us) && clock_parse(STR("2026-11-25T00:00:00Z"), &utc) &&
                 us == utc);
}

static void nonsense_is_refused(struct test *t)
{
    static const char *const wrong[] = {
        "", "2026", "2026-11-24", "2026-11-24T01:02:03", "2026-13-24T01:02:03Z", "2026-00-24T01:02:03Z",
        "2026-02-29T01:02:03Z", "1900-02-29T00:00:00Z", "2026-11-31T01:02:03Z", "2026-11-24T25:02:03Z",
        "2026-11-24T24:00:01Z", "2026-11-24T01:60:03Z", "2026-11-24T01:02:61Z", "2026-11-24T01:02:03.Z",
        "2026-11-24T01:02:03+25:00", "2026-11-24T01:02:03+09", "2026-11-24T01:02:03Zx", "2026-11-24 01:02:03Z",
        "-026-11-24T01:02:03Z", "20261124T01:02:03Z",
    };
    int64_t us;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (!CHECK(t, !clock_parse(str_of(wrong[i]), &us)))
            printf("    %s\n", wrong[i]);
    CHECK(t, clock_parse(STR("2000-02-29T00:00:00Z"), &us));
}

static void dates_beyond_four_digits_stop_at_the_edge(struct test *t)
{
    char out[CLOCK_TEXT_BYTES];

    CHECK_STR(t, "9999-12-31T23:59:59.999999Z", clock_format(INT64_MAX, out));
    CHECK_STR(t, "0000-01-01T00:00:00Z", clock_format(INT64_MIN, out));
}

TEST_MAIN(TEST(a_set_clock_stands_still), TEST(format_agrees_with_the_c_library), TEST(fractions_are_kept),
          TEST(zones_are_read), TEST(nonsense_is_refused), TEST(dates_beyond_four_digits_stop_at_the_edge))
