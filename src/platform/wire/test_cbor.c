/* test_cbor.c: the examples of RFC 8949 appendix A, and what must be refused.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "wire/cbor.h"

static struct str bytes_of(const char *hex, char *out)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++)
        out[i] = (char)(hex_value(hex[2 * i]) << 4 | hex_value(hex[2 * i + 1]));
    return str_make(out, n);
}

static void numbers_are_read(struct test *t)
{
    static const struct { const char *hex; int64_t value; } examples[] = {
        { "00", 0 }, { "17", 23 }, { "1818", 24 }, { "1864", 100 }, { "1903e8", 1000 }, { "1a000f4240", 1000000 },
        { "1b000000e8d4a51000", 1000000000000 }, { "20", -1 }, { "29", -10 }, { "3863", -100 }, { "3903e7", -1000 }, { "390100", -257 },
    };
    char             room[16];
    struct cbor_item i;

    for (size_t n = 0; n < sizeof examples / sizeof *examples; n++) {
        struct str in = bytes_of(examples[n].hex, room);

        CHECK_OK(t, cbor_next(&in, &i));
        CHECK_INT(t, examples[n].value, cbor_int(&i, 7));
        CHECK_INT(t, 0, in.len);
    }
    i = (struct cbor_item){ .kind = CBOR_NEGATIVE, .number = UINT64_MAX };
    CHECK_INT(t, 7, cbor_int(&i, 7));
    i = (struct cbor_item){ .kind = CBOR_TEXT };
    CHECK_INT(t, 7, cbor_int(&i, 7));
}

static void texts_and_bytes_point_into_the_input(struct test *t)
{
    char             room[16];
    struct str       in = bytes_of("4401020304" "6449455446", room);
    struct cbor_item i;

    CHECK_OK(t, cbor_next(&in, &i));
    CHECK(t, i.kind == CBOR_BYTES && i.bytes.len == 4 && i.bytes.p == room + 1);
    CHECK_OK(t, cbor_next(&in, &i));
    CHECK(t, i.kind == CBOR_TEXT && str_is(i.bytes, "IETF"));
    CHECK_INT(t, ERR_INVALID, cbor_next(&in, &i));
}

static void a_whole_item_is_passed_over(struct test *t)
{
    static const char *const whole[] = { "83010203", "a201020304", "8301820203820405", "a26161016162820203", "f6", "a0", "80", "8181818100" };
    char room[32];

    for (size_t n = 0; n < sizeof whole / sizeof *whole; n++) {
        struct str in = bytes_of(whole[n], room);

        if (!CHECK_OK(t, cbor_skip(&in)) || !CHECK_INT(t, 0, in.len))
            printf("    %s\n", whole[n]);
    }
}

static void all_else_is_refused(struct test *t)
{
    static const char *const wrong[] = {
        "", "18", "1817", "190018", "1a0000ffff", "1b00000000ffffffff", "1c", "44010203", "61ff", "5f4101ff", "9fff", "bfff", "c000", "f97e00",
        "f8ff", "f4ff", "8201", "a101", "9bffffffffffffffff", "bb7fffffffffffffff", "5bffffffffffffffff", "818181818100", "a1a0a1a0a1a0a1a0a1a000",
    };
    char room[32];

    for (size_t n = 0; n < sizeof wrong / sizeof *wrong; n++) {
        struct str in = bytes_of(wrong[n], room);
        enum err   e = cbor_skip(&in);

        if (!CHECK(t, e == ERR_INVALID || in.len))
            printf("    %s\n", wrong[n]);
    }
}

TEST_MAIN(TEST(numbers_are_read), TEST(texts_and_bytes_point_into_the_input), TEST(a_whole_item_is_passed_over), TEST(all_else_is_refused))
