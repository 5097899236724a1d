/* test_codec.c: fields and frames come back as they went in, and nothing else gets through.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "bus/codec.h"
#include "bus/frame.h"

static void fields_come_back(struct test *t)
{
    static const uint64_t numbers[] = { 0, 1, 127, 128, 16383, 16384, UINT32_MAX, INT64_MAX, UINT64_MAX };
    static const int64_t signed_numbers[] = { 0, -1, 1, 63, -64, 64, INT64_MAX, INT64_MIN };
    struct codec_reader r;
    struct buf b;

    buf_init(&b, 0);
    codec_begin(&b, 3);
    for (size_t i = 0; i < 9; i++)
        codec_put_u64(&b, numbers[i]);
    for (size_t i = 0; i < 8; i++)
        codec_put_i64(&b, signed_numbers[i]);
    codec_put_str(&b, STR("안녕"));
    codec_put_str(&b, STR(""));
    codec_put_str(&b, STR_NULL);
    codec_put_bytes(&b, STR("\xff\0\xfe"));
    r = codec_open(buf_str(&b), 3);
    for (size_t i = 0; i < 9; i++)
        CHECK(t, codec_u64(&r) == numbers[i]);
    for (size_t i = 0; i < 8; i++)
        CHECK_INT(t, signed_numbers[i], codec_i64(&r));
    CHECK_STR(t, "안녕", codec_str(&r, 100));
    CHECK(t, str_eq(STR(""), codec_str(&r, 100)) && !r.failed);
    CHECK(t, codec_str(&r, 100).p == NULL);
    CHECK(t, str_eq(STR("\xff\0\xfe"), codec_bytes(&r, 100)));
    CHECK(t, codec_ok(&r));
    r = codec_open(buf_str(&b), 4);
    CHECK(t, r.failed && codec_u64(&r) == 0 && codec_str(&r, 9).p == NULL && !codec_ok(&r));
    buf_done(&b);
}

static bool text_fails(struct str bytes, size_t bytes_max)
{
    struct codec_reader r = codec_open(bytes, 1);

    codec_str(&r, bytes_max);
    return r.failed;
}

static bool number_fails(struct str bytes)
{
    struct codec_reader r = codec_open(bytes, 1);

    codec_u64(&r);
    return r.failed;
}

static void wrong_fields_fail(struct test *t)
{
    CHECK(t, text_fails(STR("\1\3\xff\xff"), 10));          /* not UTF-8 */
    CHECK(t, text_fails(STR("\1\5ab"), 10));                /* runs out */
    CHECK(t, text_fails(STR("\1\4abc"), 2));                /* longer than asked for */
    CHECK(t, !text_fails(STR("\1\4abc"), 3));
    CHECK(t, text_fails(STR(""), 3) && text_fails(STR("\1"), 3));
    CHECK(t, number_fails(STR("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")));  /* 65 bits */
    CHECK(t, !number_fails(STR("\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")));
    CHECK(t, number_fails(STR("\1\x80\x00")));              /* a second form of 0 */
    CHECK(t, number_fails(STR("\1\x80")));
}

static void a_frame_comes_back(struct test *t)
{
    struct frame in = { .kind = FRAME_ASK, .id = 77, .error = OK, .name = STR("ident.scram.start"), .payload = STR("p\0q") };
    struct frame out;
    struct buf b;
    size_t used = 0;

    buf_init(&b, 0);
    frame_put(&b, &in);
    buf_put_z(&b, "more");
    CHECK_OK(t, frame_read(buf_str(&b), &out, &used));
    CHECK_INT(t, b.len - 4, used);
    CHECK(t, out.kind == FRAME_ASK && out.id == 77);
    CHECK_STR(t, "ident.scram.start", out.name);
    CHECK(t, str_eq(in.payload, out.payload));
    for (size_t i = 0; i < used; i++)
        CHECK_INT(t, ERR_AGAIN, frame_read(str_make(b.p, i), &out, &used));
    b.p[4] = 9;
    CHECK_INT(t, ERR_UNSUPPORTED, frame_read(buf_str(&b), &out, &used));
    b.p[0] = 0x7f;
    CHECK_INT(t, ERR_INVALID, frame_read(buf_str(&b), &out, &used));
    buf_done(&b);
}

static enum err read_back(const struct frame *f)
{
    struct frame out;
    struct buf b;
    size_t used;
    enum err e;

    buf_init(&b, 0);
    frame_put(&b, f);
    e = frame_read(buf_str(&b), &out, &used);
    buf_done(&b);
    return e;
}

static void frames_that_make_no_sense_fail(struct test *t)
{
    CHECK_INT(t, ERR_INVALID, read_back(&(struct frame){ .kind = 9, .name = STR("a") }));
    CHECK_INT(t, ERR_INVALID, read_back(&(struct frame){ .kind = FRAME_HELLO, .name = STR("../etc") }));
    CHECK_INT(t, ERR_INVALID, read_back(&(struct frame){ .kind = FRAME_ASK, .name = STR("ident.*") }));
    CHECK_INT(t, ERR_INVALID, read_back(&(struct frame){ .kind = FRAME_ANSWER, .error = ERR_COUNT }));
    CHECK_OK(t, read_back(&(struct frame){ .kind = FRAME_SUBSCRIBE, .name = STR("ident.*") }));
}

static void subjects_are_words_and_dots(struct test *t)
{
    CHECK(t, subject_is_valid(STR("talk"), false) && subject_is_valid(STR("talk.a-b.c_1"), false));
    CHECK(t, !subject_is_valid(STR(""), false) && !subject_is_valid(STR("talk."), false));
    CHECK(t, !subject_is_valid(STR(".talk"), false) && !subject_is_valid(STR("a..b"), false));
    CHECK(t, !subject_is_valid(STR("A.b"), false) && !subject_is_valid(STR("a b"), false));
    CHECK(t, subject_is_valid(STR("a.*"), true) && !subject_is_valid(STR("a.*"), false));
    CHECK(t, !subject_is_valid(STR("*"), true) && !subject_is_valid(STR("a.*.b"), true));
}

TEST_MAIN(TEST(fields_come_back), TEST(wrong_fields_fail), TEST(a_frame_comes_back),
          TEST(frames_that_make_no_sense_fail), TEST(subjects_are_words_and_dots))
