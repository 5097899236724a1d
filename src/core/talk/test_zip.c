/* test_zip.c: the check sum, and an archive's shape; tests/operate/own.py unpacks one.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "base/arena.h"
#include "talk/zip.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void the_sum_is_that_of_everybody(struct test *t)
{
    CHECK_INT(t, 0xCBF43926, zip_crc32(0, STR("123456789")));
    CHECK_INT(t, 0xCBF43926, zip_crc32(zip_crc32(0, STR("1234")), STR("56789")));
    CHECK_INT(t, 0, zip_crc32(0, STR("")));
}

static void *sum(void *out)
{
    *(uint32_t *)out = zip_crc32(0, STR("123456789"));
    return NULL;
}

/* Two exports begin at once, each on its worker. First of all: the table is not made yet. */
static void the_sum_is_the_same_on_each_worker(struct test *t)
{
    pthread_t threads[8];
    uint32_t  sums[8];

    for (int i = 0; i < 8; i++)
        CHECK_INT(t, 0, pthread_create(&threads[i], NULL, sum, &sums[i]));
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        CHECK_INT(t, 0xCBF43926, sums[i]);
    }
}

static void what_fails_leaves_nothing(struct test *t)
{
    struct arena a;
    struct zip  *z;
    struct stat  st;
    const char  *path;

    arena_init(&a);
    path = arena_printf(&a, "%s/x.zip", test_dir(t)).p;
    CHECK_OK(t, zip_begin(path, &z));
    CHECK_INT(t, ERR_NOT_FOUND, zip_add(z, "/nowhere/at/all", "a"));
    CHECK_INT(t, ERR_NOT_FOUND, zip_end(&z, ERR_NOT_FOUND));
    CHECK(t, access(path, F_OK) != 0 && access(arena_printf(&a, "%s.part", path).p, F_OK) != 0);
    CHECK_OK(t, zip_begin(path, &z));
    CHECK_OK(t, zip_end(&z, OK));
    CHECK(t, stat(path, &st) == 0);
    CHECK_INT(t, 22, st.st_size);
    arena_done(&a);
}

/* Python's zipfile, which others wrote: every name, size and sum, and what is inside. */
static void read_back(struct test *t, const char *path, const char *names, int64_t bytes)
{
    struct arena a;
    const char  *command;

    arena_init(&a);
    command = arena_printf(&a, "/usr/bin/python3 -c '"
                               "import sys, zipfile\n"
                               "z = zipfile.ZipFile(sys.argv[1])\n"
                               "assert z.testzip() is None, z.testzip()\n"
                               "names, total = [i.filename for i in z.infolist()], sum(i.file_size for i in z.infolist())\n"
                               "assert \",\".join(names) == sys.argv[2] and str(total) == sys.argv[3], (names, total)' \"%s\" \"%s\" %" PRId64,
                           path, names, bytes).p;
    CHECK_INT(t, 0, system(command));
    arena_done(&a);
}

static bool python_is_there(struct test *t)
{
    if (access("/usr/bin/python3", X_OK) == 0)
        return true;
    test_skip(t, "/usr/bin/python3 is not installed");
    return false;
}

static const char *file_of(struct test *t, struct arena *a, const char *name, int bytes)
{
    const char *path = arena_printf(a, "%s/%s", test_dir(t), name).p;
    FILE       *f = fopen(path, "w");

    if (CHECK(t, f != NULL)) {
        for (int i = 0; i < bytes; i++)
            fputc('a' + i % 26, f);
        fclose(f);
    }
    return path;
}

/* Each record of ZIP64 at each of the places where a bound is met, with bounds that need no disk. */
static void others_read_what_is_large(struct test *t)
{
    static const struct { int64_t bytes_max; int files_max; } bounds[] = {
        { UINT32_MAX - 1, UINT16_MAX - 1 }, { 100, UINT16_MAX - 1 }, { 40, UINT16_MAX - 1 }, { 0, 0 }, { UINT32_MAX - 1, 2 }, { 400, 3 },
    };
    struct arena a;
    const char  *path, *small, *large, *empty;
    struct zip  *z;

    if (!python_is_there(t))
        return;
    arena_init(&a);
    path = arena_printf(&a, "%s/x.zip", test_dir(t)).p;
    small = file_of(t, &a, "small", 40);
    large = file_of(t, &a, "large", 300);
    empty = file_of(t, &a, "empty", 0);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        CHECK_OK(t, zip_begin(path, &z));
        zip_make_large(z, bounds[i].bytes_max, bounds[i].files_max);
        CHECK_OK(t, zip_add(z, small, "small"));
        CHECK_OK(t, zip_add(z, large, "봉수/large"));
        CHECK_OK(t, zip_add(z, empty, "empty"));
        CHECK_OK(t, zip_end(&z, OK));
        read_back(t, path, "small,봉수/large,empty", 340);
    }
    arena_done(&a);
}

/* The true bounds: a file above 4 GB, one behind it, and more files than 16 bits count. */
static void others_read_what_is_really_large(struct test *t)
{
    const int64_t sparse = 4400000000;
    struct arena  a;
    const char   *path, *large, *small;
    struct zip   *z;

    if (!getenv("BONGSU_TEST_LARGE")) {
        test_skip(t, "writes 4.4 GB; set BONGSU_TEST_LARGE");
        return;
    }
    arena_init(&a);
    path = arena_printf(&a, "%s/x.zip", test_dir(t)).p;
    small = file_of(t, &a, "small", 40);
    large = file_of(t, &a, "large", 0);
    CHECK_INT(t, 0, truncate(large, sparse));
    CHECK_OK(t, zip_begin(path, &z));
    CHECK_OK(t, zip_add(z, large, "large"));
    CHECK_OK(t, zip_add(z, small, "small"));
    CHECK_OK(t, zip_end(&z, OK));
    read_back(t, path, "large,small", sparse + 40);
    CHECK_OK(t, zip_begin(path, &z));
    for (int i = 0; i < 70000; i++)
        CHECK_OK(t, zip_add(z, small, "s"));
    CHECK_OK(t, zip_end(&z, OK));
    CHECK_INT(t, 0, system(arena_printf(&a, "/usr/bin/python3 -c 'import zipfile, sys; assert len(zipfile.ZipFile(sys.argv[1]).infolist()) "
                                            "== 70000' \"%s\"", path).p));
    arena_done(&a);
}

TEST_MAIN(TEST(the_sum_is_the_same_on_each_worker), TEST(the_sum_is_that_of_everybody), TEST(what_fails_leaves_nothing),
          TEST(others_read_what_is_large), TEST(others_read_what_is_really_large))
