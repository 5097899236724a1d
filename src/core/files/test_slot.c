/* test_slot.c: slots are ours or they are not; names and types are tamed; ranges.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "files/range.h"
#include "files/slot.h"

static const struct slot_key key = { "a key of some bytes" }, other = { "another" };

static struct slot make(void)
{
    struct slot s = { .kind = SLOT_UPLOAD, .owner = STR("alice"), .name = STR("봉수.jpg"), .type = STR("image/jpeg"), .bytes = 7,
                      .made_us = 9 };

    slot_id_new(&key, s.id);
    return s;
}

static void a_signed_slot_comes_back(struct test *t)
{
    struct slot  s = make(), got;
    struct arena a;
    struct buf   b;

    arena_init(&a);
    buf_init(&b, 0);
    slot_sign(&b, &key, &s);
    CHECK_OK(t, slot_read(&a, buf_str(&b), &key, SLOT_UPLOAD, &got));
    CHECK_STR(t, "alice", got.owner);
    CHECK_STR(t, "봉수.jpg", got.name);
    CHECK_STR(t, "image/jpeg", got.type);
    CHECK(t, got.bytes == 7 && got.made_us == 9 && memcmp(got.id, s.id, sizeof s.id) == 0);
    CHECK_INT(t, ERR_DENIED, slot_read(&a, buf_str(&b), &other, SLOT_UPLOAD, &got));
    CHECK_INT(t, ERR_DENIED, slot_read(&a, buf_str(&b), &key, SLOT_PEER, &got));
    CHECK_INT(t, ERR_DENIED, slot_read(&a, STR(""), &key, SLOT_UPLOAD, &got));
    buf_done(&b);
    arena_done(&a);
}

static void no_byte_of_it_can_be_changed(struct test *t)
{
    struct slot  s = make(), got;
    struct arena a;
    struct buf   b;

    arena_init(&a);
    buf_init(&b, 0);
    slot_sign(&b, &key, &s);
    for (size_t i = 0; i < b.len; i++) {
        char was = b.p[i];

        b.p[i] = was == 'A' ? 'B' : 'A';
        if (b.p[i] != was && !CHECK_INT(t, ERR_DENIED, slot_read(&a, buf_str(&b), &key, SLOT_UPLOAD, &got)))
            printf("    at %zu\n", i);
        b.p[i] = was;
    }
    buf_done(&b);
    arena_done(&a);
}

static void ids_are_known_from_made_up_ones(struct test *t)
{
    uint8_t    id[SLOT_ID_BYTES], again[SLOT_ID_BYTES];
    struct buf b;

    buf_init(&b, 0);
    slot_id_new(&key, id);
    CHECK(t, slot_id_is_ours(&key, id) && !slot_id_is_ours(&other, id));
    slot_id_put(&b, id);
    CHECK_INT(t, SLOT_ID_CHARS, b.len);
    CHECK(t, slot_id_read(buf_str(&b), again) && memcmp(id, again, sizeof id) == 0);
    CHECK(t, !slot_id_read(STR("short"), again));
    id[3] ^= 1;
    CHECK(t, !slot_id_is_ours(&key, id));
    buf_done(&b);
}

static void names_are_tamed(struct test *t)
{
    static const struct { const char *given, *want; } cases[] = {
        { "a.jpg", "a.jpg" }, { "/etc/passwd", "passwd" }, { "C:\\x\\y.png", "y.png" }, { "..", "file" }, { "a/..", "file" },
        { "", "file" }, { "a/", "file" }, { "a\nb", "a_b" }, { "사진 1.png", "사진 1.png" }, { "\xff", "file" },
    };
    struct arena a;
    char         large[400];
    struct str   got;

    arena_init(&a);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(t, cases[i].want, slot_name(&a, str_of(cases[i].given)));
    for (int i = 0; i < 130; i++)
        memcpy(large + i * 3, "봉", 3);
    memcpy(large + 390, ".jpeg", 6);
    got = slot_name(&a, str_of(large));
    CHECK(t, got.len <= SLOT_NAME_BYTES_MAX && got.len > 240 && str_ends(got, STR(".jpeg")) && str_is_utf8(got));
    arena_done(&a);
}

static void types_are_tamed(struct test *t)
{
    static const struct { const char *given, *want; } cases[] = {
        { "image/png", "image/png" }, { "Image/PNG; q=1", "image/png" }, { " text/plain ", "text/plain" },
        { "application/vnd.x-y+json", "application/vnd.x-y+json" },
        { "image", NULL }, { "image/", NULL }, { "/png", NULL }, { "a/b/c", NULL }, { "a/b\r\nX: y", NULL }, { "", NULL },
    };
    struct arena a;

    arena_init(&a);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct str got = slot_type(&a, str_of(cases[i].given));

        CHECK(t, cases[i].want ? str_is(got, cases[i].want) : !got.p);
    }
    arena_done(&a);
}

static void ranges_are_read(struct test *t)
{
    static const struct { const char *header; enum range want; int64_t from, bytes; } cases[] = {
        { "bytes=0-499", RANGE_PART, 0, 500 }, { "bytes=500-", RANGE_PART, 500, 500 }, { "bytes=-200", RANGE_PART, 800, 200 },
        { "bytes=999-999", RANGE_PART, 999, 1 }, { "bytes=0-99999", RANGE_PART, 0, 1000 }, { "Bytes=1-1", RANGE_PART, 1, 1 },
        { "bytes=-5000", RANGE_PART, 0, 1000 }, { "bytes=0-99999999999999999999", RANGE_PART, 0, 1000 },
        { "bytes=1000-", RANGE_NONE, 0, 0 }, { "bytes=-0", RANGE_NONE, 0, 0 }, { "bytes=99999999999999999999-", RANGE_NONE, 0, 0 },
        { "bytes=5-4", RANGE_WHOLE, 0, 1000 }, { "bytes=a-b", RANGE_WHOLE, 0, 1000 }, { "bytes=1", RANGE_WHOLE, 0, 1000 },
        { "bytes=0-1,5-6", RANGE_WHOLE, 0, 1000 }, { "lines=1-2", RANGE_WHOLE, 0, 1000 }, { "bytes=-", RANGE_WHOLE, 0, 1000 },
        { "bytes=--1", RANGE_WHOLE, 0, 1000 }, { "bytes", RANGE_WHOLE, 0, 1000 }, { "", RANGE_WHOLE, 0, 1000 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t from, bytes;

        if (!CHECK_INT(t, cases[i].want, range_read(str_of(cases[i].header), 1000, &from, &bytes)))
            printf("    %s\n", cases[i].header);
        else if (cases[i].want != RANGE_NONE && !CHECK(t, from == cases[i].from && bytes == cases[i].bytes))
            printf("    %s: %lld+%lld\n", cases[i].header, (long long)from, (long long)bytes);
    }
}

static void tags_are_compared(struct test *t)
{
    struct str e = STR("\"ab\"");

    CHECK(t, etag_listed(STR("\"ab\""), e, true) && etag_listed(STR("\"x\", \"ab\""), e, false) && etag_listed(STR("*"), e, false));
    CHECK(t, etag_listed(STR("W/\"ab\""), e, true) && !etag_listed(STR("W/\"ab\""), e, false));
    CHECK(t, !etag_listed(STR("\"abc\""), e, true) && !etag_listed(STR(""), e, true));
}

TEST_MAIN(TEST(a_signed_slot_comes_back), TEST(no_byte_of_it_can_be_changed), TEST(ids_are_known_from_made_up_ones), TEST(names_are_tamed),
          TEST(types_are_tamed), TEST(ranges_are_read), TEST(tags_are_compared))
