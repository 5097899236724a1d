/* test_fold.c: what people take for the same text is the same, folded.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "wire/fold.h"

static void same(struct test *t, const char *want, const char *text)
{
    struct buf b;

    buf_init(&b, 0);
    fold_put(&b, str_of(text));
    CHECK_STR(t, want, buf_str(&b));
    buf_done(&b);
}

static void letters_lose_their_case(struct test *t)
{
    same(t, "school", "SchooL");
    same(t, "école", "ÉCOLE");
    same(t, "strasse", "Straße");
    same(t, "δρόμοσ", "ΔΡΌΜΟΣ");
    same(t, "école", "E\xcc\x81" "cole");         /* a letter and an accent of its own */
}

static void width_and_ligatures_do_not_matter(struct test *t)
{
    same(t, "abc 123", "ＡＢＣ　１２３");
    same(t, "カナ", "ｶﾅ");
    same(t, "file", "ﬁle");
}

static void hangul_is_composed(struct test *t)
{
    same(t, "학교", "학교");
    same(t, "학교", "\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xa8\xe1\x84\x80\xe1\x85\xad");    /* as macOS writes file names */
    same(t, "한글 abc 漢字", "한글 ABC 漢字");
}

static void what_nobody_sees_is_gone(struct test *t)
{
    same(t, "❤", "❤\xef\xb8\x8f");
    same(t, "메시지", "메\xe2\x80\x8b시\xc2\xad지");
    same(t, "", "\xef\xbb\xbf");
}

static void broken_bytes_stay(struct test *t)
{
    same(t, "ab\xff", "AB\xff");
    same(t, "", "");
}

TEST_MAIN(TEST(letters_lose_their_case), TEST(width_and_ligatures_do_not_matter), TEST(hangul_is_composed),
          TEST(what_nobody_sees_is_gone), TEST(broken_bytes_stay))
