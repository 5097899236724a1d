/* test.h: the unit tests' harness. A test file is a list of functions:
 *
 *   static void ping_is_answered(struct test *t) { CHECK_INT(t, 1, f()); }
 *   TEST_MAIN(TEST(ping_is_answered), TEST(...))
 *
 * Prints each failure with its line, and at the end "N passed, N failed, N skipped".
 * `./test_x name` runs the tests whose name contains it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/err.h"
#include "base/str.h"

struct test {
    const char *name;
    int         failures;
    const char *skip_reason;
    char        dir[64];        /* a fresh directory, removed afterwards; made by test_dir */
};
struct test_case {
    const char *name;
    void      (*run)(struct test *t);
};

int  test_run(const struct test_case *cases, int count, int argc, char **argv);
const char *test_dir(struct test *t);                      /* "/tmp/bongsu-test-XXXXXX" */
void test_skip(struct test *t, const char *reason);
bool test_check(struct test *t, bool ok, const char *file, int line, const char *expr);
bool test_check_int(struct test *t, int64_t want, int64_t got, const char *file, int line, const char *expr);
bool test_check_str(struct test *t, struct str want, struct str got, const char *file, int line, const char *expr);

/* Each is true when the check held, so a test may stop early. */
#define CHECK(t, expr)            test_check((t), (expr), __FILE__, __LINE__, #expr)
#define CHECK_INT(t, want, got)   test_check_int((t), (int64_t)(want), (int64_t)(got), __FILE__, __LINE__, #got)
#define CHECK_STR(t, want, got)   test_check_str((t), str_of(want), (got), __FILE__, __LINE__, #got)
#define CHECK_OK(t, expr)         test_check_int((t), OK, (expr), __FILE__, __LINE__, #expr)
#define TEST(fn)                  { #fn, fn }
#define TEST_MAIN(...) \
    int main(int argc, char **argv) { \
        static const struct test_case cases_[] = { __VA_ARGS__ }; \
        return test_run(cases_, (int)(sizeof cases_ / sizeof cases_[0]), argc, argv); \
    }
