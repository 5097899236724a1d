/* test_json.c: strict reading of JSON.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "wire/json.h"

static void what_is_read_is_written_compactly(struct test *t)
{
    struct arena a;
    struct buf   b;
    json_t      *v;
    int64_t      n;

    arena_init(&a);
    buf_init(&b, 0);
    CHECK_OK(t, json_read(&a, STR(" {\"b\": [1, null, 2.5],\n \"a\": \"x\\u00e9\"} "), 100, &v, NULL));
    json_write(&b, v);
    CHECK_STR(t, "{\"a\":\"x\xC3\xA9\",\"b\":[1,null,2.5]}", buf_str(&b));
    CHECK_STR(t, "x\xC3\xA9", json_get_str(v, "a"));
    CHECK(t, json_get_str(v, "b").p == NULL && json_get_str(v, "c").p == NULL);
    CHECK_INT(t, ERR_NOT_FOUND, json_get_i64(v, "c", &n));
    CHECK_INT(t, ERR_INVALID, json_get_i64(v, "a", &n));
    json_decref(v);
    CHECK_OK(t, json_read(&a, STR("{\"n\":-9223372036854775808}"), 100, &v, NULL));
    CHECK_OK(t, json_get_i64(v, "n", &n));
    CHECK_INT(t, INT64_MIN, n);
    json_decref(v);
    buf_done(&b);
    arena_done(&a);
}

static void wrong_text_is_refused_with_a_reason(struct test *t)
{
    static const char *const wrong[] = { "", "1", "\"x\"", "{", "{}x", "{\"a\":1,\"a\":2}", "[1,]", "{a:1}", "[\"\xFF\"]",
                                         "[\"\\u0000\"]", "[\"\\ud800\"]", "[9223372036854775808]", "[1e999]", "[01]",
                                         "[\"a\nb\"]", "[NaN]" };
    struct arena a;
    struct str   why;
    json_t      *v;

    arena_init(&a);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_INT(t, ERR_INVALID, json_read(&a, str_of(wrong[i]), 1000, &v, &why));
        CHECK(t, v == NULL && why.len > 0);
    }
    arena_done(&a);
}

static void a_reason_does_not_quote_the_input(struct test *t)
{
    struct arena a;
    struct str   why;
    json_t      *v;

    arena_init(&a);
    CHECK_INT(t, ERR_INVALID, json_read(&a, STR("{\"password\":secret}"), 1000, &v, &why));
    CHECK(t, !memmem(why.p, why.len, "secret", 6));
    CHECK(t, str_starts(why, STR("line 1, column ")));
    CHECK_INT(t, ERR_INVALID, json_read(&a, STR("{\"secret\":1,\"secret\":1}"), 1000, &v, &why));
    CHECK(t, !memmem(why.p, why.len, "secret", 6));
    arena_done(&a);
}

static void size_and_depth_are_bounded(struct test *t)
{
    char         deep[2 * JSON_DEPTH_MAX + 2];
    struct arena a;
    json_t      *v;

    arena_init(&a);
    CHECK_INT(t, ERR_LIMIT, json_read(&a, STR("[1,2,3]"), 6, &v, NULL));
    memset(deep, '[', JSON_DEPTH_MAX + 1);
    memset(deep + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    CHECK_INT(t, ERR_INVALID, json_read(&a, str_make(deep, sizeof deep), 1000, &v, NULL));
    CHECK_OK(t, json_read(&a, str_make(deep + 1, sizeof deep - 2), 1000, &v, NULL));
    json_decref(v);
    CHECK_OK(t, json_read(&a, STR("[\"[[[[\\\"[[[[\"]"), 1000, &v, NULL));
    json_decref(v);
    arena_done(&a);
}

TEST_MAIN(TEST(what_is_read_is_written_compactly), TEST(wrong_text_is_refused_with_a_reason),
          TEST(a_reason_does_not_quote_the_input), TEST(size_and_depth_are_bounded))
