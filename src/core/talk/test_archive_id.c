/* test_archive_id.c: what is shown is not the time, differs by key, and comes back.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/archive_id.h"

static void ids_come_back(struct test *t)
{
    static const int64_t ids[] = { 1, 2, 1795490056314038, 1795490056314039, INT64_MAX };
    struct buf           b;
    int64_t              back;

    buf_init(&b, 0);
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        buf_clear(&b);
        archive_id_put(&b, ids[i]);
        CHECK_INT(t, 16, b.len);
        CHECK(t, archive_id_parse(buf_str(&b), &back));
        CHECK_INT(t, ids[i], back);
    }
    buf_done(&b);
}

static void neighbours_look_like_strangers(struct test *t)
{
    struct buf a, b;
    int        same = 0;

    buf_init(&a, 0);
    buf_init(&b, 0);
    archive_id_put(&a, 1795490056314038);
    archive_id_put(&b, 1795490056314039);
    for (size_t i = 0; i < a.len; i++)
        same += a.p[i] == b.p[i];
    CHECK(t, same < 8);
    buf_clear(&b);
    archive_id_setup((const uint8_t[16]){ 1 });
    archive_id_put(&b, 1795490056314038);
    CHECK(t, !str_eq(buf_str(&a), buf_str(&b)));
    archive_id_setup((const uint8_t[16]){ 0 });
    buf_done(&a);
    buf_done(&b);
}

static void other_texts_are_no_ids(struct test *t)
{
    static const char *const texts[] = { "", "1", "0123456789ABCDEF", "0123456789abcdeg", "0123456789abcdef0" };
    int64_t                  id;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        CHECK(t, !archive_id_parse(str_of(texts[i]), &id));
}

TEST_MAIN(TEST(ids_come_back), TEST(neighbours_look_like_strangers), TEST(other_texts_are_no_ids))
