/* test_base64.c: RFC 4648 §10's vectors, and what must be refused.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "wire/base64.h"

static const char *const pairs[][2] = {
    { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
    { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
};

static void the_rfc_vectors_hold_both_ways(struct test *t)
{
    struct arena a;
    struct str   out;

    arena_init(&a);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        CHECK_STR(t, pairs[i][1], base64_encode(&a, str_of(pairs[i][0])));
        CHECK_OK(t, base64_decode(&a, str_of(pairs[i][1]), &out));
        CHECK_STR(t, pairs[i][0], out);
    }
    arena_done(&a);
}

static void url_safe_has_no_padding(struct test *t)
{
    struct arena a;
    struct buf   b;
    struct str   out;

    arena_init(&a);
    buf_init(&b, 0);
    base64url_put(&b, STR("\xFB\xFF\xFE\x01"));
    CHECK_STR(t, "-__-AQ", buf_str(&b));
    CHECK_OK(t, base64url_decode(&a, buf_str(&b), &out));
    CHECK_STR(t, "\xFB\xFF\xFE\x01", out);
    CHECK_INT(t, ERR_INVALID, base64url_decode(&a, STR("AQ=="), &out));
    CHECK_INT(t, ERR_INVALID, base64url_decode(&a, STR("+/+/"), &out));
    buf_done(&b);
    arena_done(&a);
}

static void all_else_is_refused(struct test *t)
{
    static const char *const wrong[] = { "Z", "Zg", "Zg=", "Zg===", "====", "=", "==", "Z===", "Zh==", "Zm9=", "Zm 9v",
                                         "Zm9v\n", "Zm-v", "Zm9vZg==Zg==", "Z=g=" };
    struct arena a;
    struct str   out;

    arena_init(&a);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (!CHECK_INT(t, ERR_INVALID, base64_decode(&a, str_of(wrong[i]), &out)))
            printf("    %s\n", wrong[i]);
    arena_done(&a);
}

static void hex_is_small_letters(struct test *t)
{
    struct buf b;

    buf_init(&b, 0);
    hex_put(&b, STR("\x00\xAF\x10"));
    CHECK_STR(t, "00af10", buf_str(&b));
    buf_done(&b);
}

TEST_MAIN(TEST(the_rfc_vectors_hold_both_ways), TEST(url_safe_has_no_padding), TEST(all_else_is_refused),
          TEST(hex_is_small_letters))
