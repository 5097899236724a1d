/* test_zip.c: the check sum, and an archive's shape; tests/operate/own.py unpacks one.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "base/arena.h"
#include "talk/zip.h"
#include <pthread.h>
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

TEST_MAIN(TEST(the_sum_is_the_same_on_each_worker), TEST(the_sum_is_that_of_everybody), TEST(what_fails_leaves_nothing))
