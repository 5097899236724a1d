/* codec.c: fields of a bus message.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "bus/codec.h"

enum { LEB_BYTES_MAX = 10 };      /* 64 bits, 7 a byte */

void codec_begin(struct buf *b, uint8_t version)
{
    buf_put_c(b, (char)version);
}

void codec_put_u64(struct buf *b, uint64_t v)
{
    char out[LEB_BYTES_MAX];
    size_t n = 0;

    while (v >= 0x80) {
        out[n++] = (char)(v | 0x80);
        v >>= 7;
    }
    out[n++] = (char)v;
    buf_put(b, out, n);
}

void codec_put_i64(struct buf *b, int64_t v)
{
    codec_put_u64(b, ((uint64_t)v << 1) ^ (uint64_t)(v >> 63));
}

/* The length travels plus one, 0 being NULL. */
void codec_put_bytes(struct buf *b, struct str s)
{
    if (!s.p) {
        codec_put_u64(b, 0);
        return;
    }
    codec_put_u64(b, (uint64_t)s.len + 1);
    buf_put_str(b, s);
}

void codec_put_str(struct buf *b, struct str s)
{
    codec_put_bytes(b, s);
}

static void reader_fail(struct codec_reader *r)
{
    r->failed = true;
    r->rest = STR_NULL;
}

struct codec_reader codec_open(struct str payload, uint8_t version)
{
    struct codec_reader r = { .rest = payload };

    if (payload.len == 0 || (uint8_t)payload.p[0] != version) {
        reader_fail(&r);
        return r;
    }
    r.rest.p++;
    r.rest.len--;
    return r;
}

uint64_t codec_u64(struct codec_reader *r)
{
    uint64_t v = 0;

    for (size_t i = 0; i < r->rest.len && i < LEB_BYTES_MAX; i++) {
        uint8_t c = (uint8_t)r->rest.p[i];

        /* One value has one form: no tenth byte above 1, no needless last zero. */
        if ((i == LEB_BYTES_MAX - 1 && c > 1) || (i > 0 && c == 0))
            break;
        v |= (uint64_t)(c & 0x7f) << (7 * i);
        if (c & 0x80)
            continue;
        r->rest.p += i + 1;
        r->rest.len -= i + 1;
        return v;
    }
    reader_fail(r);
    return 0;
}

int64_t codec_i64(struct codec_reader *r)
{
    uint64_t v = codec_u64(r);

    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

struct str codec_bytes(struct codec_reader *r, size_t bytes_max)
{
    uint64_t len = codec_u64(r);
    struct str s;

    if (r->failed || len == 0)
        return STR_NULL;
    len--;
    if (len > r->rest.len || len > bytes_max) {
        reader_fail(r);
        return STR_NULL;
    }
    s = str_make(r->rest.p, (size_t)len);
    r->rest.p += len;
    r->rest.len -= (size_t)len;
    return s;
}

struct str codec_str(struct codec_reader *r, size_t bytes_max)
{
    struct str s = codec_bytes(r, bytes_max);

    if (!str_is_utf8(s)) {
        reader_fail(r);
        return STR_NULL;
    }
    return s;
}

bool codec_ok(const struct codec_reader *r)
{
    return !r->failed && r->rest.len == 0;
}
