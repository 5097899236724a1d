/* test_str.c: borrowed text and lists.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/list.h"
#include "base/str.h"
#include "base/test.h"
#include <stdlib.h>

static void comparing(struct test *t)
{
    CHECK(t, str_eq(STR_NULL, STR("")));
    CHECK(t, str_is(STR_NULL, ""));
    CHECK(t, !str_is(STR("a"), "ab"));
    CHECK_INT(t, 0, str_cmp(STR_NULL, STR("")));
    CHECK(t, str_cmp(STR("a"), STR("ab")) < 0 && str_cmp(STR("b"), STR("ab")) > 0);
    CHECK(t, str_cmp(STR("a"), STR("\xFF")) < 0);
    CHECK(t, str_eq_nocase(STR("UTF-8"), STR("utf-8")) && !str_eq_nocase(STR("@"), STR("`")));
    CHECK(t, str_starts(STR("abc"), STR("ab")) && str_starts(STR(""), STR_NULL) && !str_starts(STR("a"), STR("ab")));
    CHECK(t, str_ends(STR("abc"), STR("bc")) && !str_ends(STR("c"), STR("bc")));
    CHECK(t, str_eq_secret(STR("abc"), STR("abc")) && !str_eq_secret(STR("abc"), STR("abd")) &&
                 !str_eq_secret(STR("abc"), STR("ab")) && str_eq_secret(STR_NULL, STR("")));
}

static void splitting_and_trimming(struct test *t)
{
    struct str s = STR("a,,b");

    CHECK_STR(t, "a", str_split(&s, ','));
    CHECK_STR(t, "", str_split(&s, ','));
    CHECK_STR(t, "b", str_split(&s, ','));
    CHECK(t, s.p == NULL && s.len == 0);
    s = STR("a,");
    str_split(&s, ',');
    CHECK(t, s.p != NULL && s.len == 0);    /* an empty last part is a part */
    CHECK_STR(t, "a b", str_trim(STR(" \r\n\ta b\t ")));
    CHECK_STR(t, "", str_trim(STR(" \t")));
    CHECK_INT(t, 2, str_find(STR("abc"), 'c'));
    CHECK_INT(t, -1, str_find(STR_NULL, 'c'));
}

static void numbers_know_their_bounds(struct test *t)
{
    uint64_t u;
    int64_t  i;

    CHECK(t, str_to_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    CHECK(t, str_to_u64(STR("007"), &u) && u == 7);
    CHECK(t, str_hex_to_u64(STR("0"), &u) && u == 0);
    CHECK(t, str_hex_to_u64(STR("fedcba9876543210"), &u) && u == 0xfedcba9876543210);
    CHECK(t, !str_hex_to_u64(STR("0fedcba9876543210"), &u) && !str_hex_to_u64(STR(""), &u) && !str_hex_to_u64(STR("AB"), &u));
    CHECK(t, !str_hex_to_u64(STR("0x1"), &u) && !str_hex_to_u64(STR("-1"), &u) && !str_hex_to_u64(STR("g"), &u));
    for (int c = -128; c < 128; c++) {
        ptrdiff_t at = str_find(STR("0123456789abcdefABCDEF"), (char)c);

        CHECK_INT(t, at < 16 ? at : at - 6, hex_value((char)c));
    }
    {
        char text[7] = "......";

        CHECK(t, hex_write(text, "\x01\xfe", 2) == text + 4);
        CHECK_STR(t, "01fe..", str_of(text));
    }
    CHECK(t, !str_to_u64(STR("18446744073709551616"), &u));
    CHECK(t, !str_to_u64(STR(""), &u) && !str_to_u64(STR("+1"), &u) && !str_to_u64(STR("1 "), &u));
    CHECK(t, str_to_i64(STR("-9223372036854775808"), &i) && i == INT64_MIN);
    CHECK(t, str_to_i64(STR("9223372036854775807"), &i) && i == INT64_MAX);
    CHECK(t, !str_to_i64(STR("9223372036854775808"), &i) && !str_to_i64(STR("-9223372036854775809"), &i));
    CHECK(t, !str_to_i64(STR("-"), &i) && !str_to_i64(STR("--1"), &i));
}

static void texts_lie_side_by_side(struct test *t)
{
    char       room[5], *at = room;
    struct str a = str_pack(&at, STR("abc")), none = str_pack(&at, STR_NULL), empty = str_pack(&at, STR("")), b = str_pack(&at, STR("de"));

    CHECK(t, at == room + 5 && a.p == room && b.p == room + 3);
    CHECK(t, str_is(a, "abc") && str_is(b, "de") && empty.len == 0 && empty.p && !none.p);
}

/* Every code point in its one right form, and none of the wrong ones. */
static void utf8_is_strict(struct test *t)
{
    static const char *const wrong[] = { "\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                                         "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\xC3", "\xF0\x9F\x98",
                                         "aaaaaaaa\xFF", "abcdefg\xC3(", "\xFE", "\xC3\xC3" };

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK(t, !str_is_utf8(str_of(wrong[i])));
    CHECK(t, str_is_utf8(STR_NULL) && str_is_utf8(STR("abcdefgh \xEC\x95\x88\xEB\x85\x95 \xF0\x9F\x98\x80 \xC3\xA9 end")));
    CHECK(t, str_is_utf8(STR("\xF4\x8F\xBF\xBF")) && str_is_utf8(STR("\xED\x9F\xBF\xEE\x80\x80")));
}

static void copying(struct test *t)
{
    char  out[4];
    char *copy = str_dup(str_make("alice", 3));

    CHECK_INT(t, 0, strcmp(copy, "ali"));
    free(copy);
    CHECK(t, str_copy(STR("abc"), out, sizeof out) && strcmp(out, "abc") == 0);
    CHECK(t, !str_copy(STR("abcd"), out, sizeof out) && out[0] == '\0');
    CHECK(t, str_copy(STR_NULL, out, sizeof out) && out[0] == '\0');
}

static void lists_allow_removing_while_walking(struct test *t)
{
    struct item {
        int         number;
        struct list node;
    } items[5];
    struct list head;
    int         sum = 0;

    list_init(&head);
    CHECK(t, list_empty(&head));
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        list_append(&head, &items[i].node);
    }
    LIST_EACH(it, &head) {
        struct item *item = LIST_ITEM(it, struct item, node);

        if (item->number % 2)
            list_remove(it);
    }
    LIST_EACH(it, &head)
        sum = sum * 10 + LIST_ITEM(it, struct item, node)->number;
    CHECK_INT(t, 24, sum);
    CHECK(t, !list_linked(&items[1].node) && list_linked(&items[2].node));
}

TEST_MAIN(TEST(comparing), TEST(splitting_and_trimming), TEST(numbers_know_their_bounds), TEST(utf8_is_strict),
          TEST(texts_lie_side_by_side), TEST(copying), TEST(lists_allow_removing_while_walking))
