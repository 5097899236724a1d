/* test_log.c: log lines, read back from standard error.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/log.h"
#include "base/test.h"
#include <fcntl.h>
#include <unistd.h>

static char line[8192];

/* Logs one event and returns what it wrote. */
static struct str logged(struct test *t, bool json, struct log_field field)
{
    char    path[128];
    int     keep = dup(STDERR_FILENO), file;
    ssize_t n;

    snprintf(path, sizeof path, "%s/log", test_dir(t));
    file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDERR_FILENO);
    clock_set_us(INT64_C(1795482123) * 1000000);
    log_setup("talk", LOG_LEVEL_INFO, json);
    LOG_DEBUG("never.seen");
    LOG_INFO("session.bound", field, LF_I64("session", -7));
    clock_set_us(0);
    dup2(keep, STDERR_FILENO);
    close(keep);
    n = pread(file, line, sizeof line, 0);
    close(file);
    return str_make(line, n > 0 ? (size_t)n : 0);
}

static void a_line_is_readable(struct test *t)
{
    CHECK_STR(t, "2026-11-24T01:02:03Z info talk session.bound user=alice session=-7\n",
              logged(t, false, LF_Z("user", "alice")));
    CHECK_STR(t, "2026-11-24T01:02:03Z info talk session.bound user=\"a b=\\\"c\\\"\\u000a\" session=-7\n",
              logged(t, false, LF_Z("user", "a b=\"c\"\n")));
    CHECK_STR(t, "2026-11-24T01:02:03Z info talk session.bound user=\"\" session=-7\n",
              logged(t, false, LF_STR("user", STR_NULL)));
}

static void json_is_sound_for_any_bytes(struct test *t)
{
    CHECK_STR(t, "{\"time\":\"2026-11-24T01:02:03Z\",\"level\":\"info\",\"process\":\"talk\",\"event\":\"session.bound\","
                 "\"user\":\"\\\\\\u001b\xEC\x95\x84\\u00ff\\u0085\xF0\x9F\x98\x80\",\"session\":-7}\n",
              logged(t, true, LF_Z("user", "\\\x1b\xEC\x95\x84\xFF\xC2\x85\xF0\x9F\x98\x80")));
}

static void a_long_line_is_cut_and_still_closed(struct test *t)
{
    static char long_text[6000];
    struct str  got;

    memset(long_text, '"', sizeof long_text);
    got = logged(t, true, LF_STR("user", str_make(long_text, sizeof long_text)));
    CHECK(t, got.len <= 4096 && got.len > 4000);
    CHECK(t, str_ends(got, STR("\\\"\"}\n")));
}

TEST_MAIN(TEST(a_line_is_readable), TEST(json_is_sound_for_any_bytes), TEST(a_long_line_is_cut_and_still_closed))
