/* test.c: see test.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void fail(struct test *t, const char *file, int line)
{
    if (t->failures++ == 0)
        printf("not ok  %s\n", t->name);
    printf("    %s:%d: ", file, line);
}

bool test_check(struct test *t, bool ok, const char *file, int line, const char *expr)
{
    if (ok)
        return true;
    fail(t, file, line);
    printf("%s does not hold\n", expr);
    return false;
}

bool test_check_int(struct test *t, int64_t want, int64_t got, const char *file, int line, const char *expr)
{
    if (want == got)
        return true;
    fail(t, file, line);
    printf("%s is %lld, expected %lld\n", expr, (long long)got, (long long)want);
    return false;
}

bool test_check_str(struct test *t, struct str want, struct str got, const char *file, int line, const char *expr)
{
    if (str_eq(want, got))
        return true;
    fail(t, file, line);
    printf("%s is \"%.*s\", expected \"%.*s\"\n", expr, STR_ARG(got), STR_ARG(want));
    return false;
}

const char *test_dir(struct test *t)
{
    if (!t->dir[0]) {
        strcpy(t->dir, "/tmp/bongsu-test-XXXXXX");
        if (!mkdtemp(t->dir))
            abort();
    }
    return t->dir;
}

void test_skip(struct test *t, const char *reason) { t->skip_reason = reason; }

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    return remove(path);
}

int test_run(const struct test_case *cases, int count, int argc, char **argv)
{
    int passed = 0, failed = 0, skipped = 0;

    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 0; i < count; i++) {
        struct test t = { .name = cases[i].name };

        if (argc > 1 && !strstr(t.name, argv[1]))
            continue;
        cases[i].run(&t);
        if (t.dir[0])
            nftw(t.dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
        if (t.failures)
            failed++;
        else if (t.skip_reason)
            skipped++, printf("skipped %s: %s\n", t.name, t.skip_reason);
        else
            passed++, printf("ok      %s\n", t.name);
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed ? 1 : 0;
}
