/* buf.c: see buf.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/buf.h"
#include "base/mem.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t bytes_max) { *b = (struct buf){ .bytes_max = bytes_max }; }

void buf_done(struct buf *b)
{
    free(b->p);
    *b = (struct buf){ .bytes_max = b->bytes_max };
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
}

char *buf_reserve(struct buf *b, size_t bytes)
{
    size_t max = b->bytes_max ? b->bytes_max : BUF_BYTES_MAX;
    size_t cap = b->cap ? b->cap : 256;

    if (bytes > max || b->len > max - bytes) {
        b->overflow = true;
        return NULL;
    }
    if (b->cap - b->len >= bytes && b->p)
        return b->p + b->len;
    while (cap < b->len + bytes)
        cap *= 2;
    if (cap > max)
        cap = max;
    b->p = mem_resize(b->p, cap);
    b->cap = cap;
    return b->p + b->len;
}

void buf_put(struct buf *b, const void *p, size_t bytes)
{
    char *at;

    if (bytes == 0)
        return;
    at = buf_reserve(b, bytes);
    if (!at)
        return;
    memcpy(at, p, bytes);
    b->len += bytes;
}

void buf_put_str(struct buf *b, struct str s) { buf_put(b, s.p, s.len); }
void buf_put_z(struct buf *b, const char *z) { buf_put(b, z, strlen(z)); }
void buf_put_c(struct buf *b, char c) { buf_put(b, &c, 1); }

void buf_put_u64(struct buf *b, uint64_t v)
{
    char   digits[20];
    size_t n = sizeof digits;

    do
        digits[--n] = (char)('0' + v % 10);
    while (v /= 10);
    buf_put(b, digits + n, sizeof digits - n);
}

void buf_put_i64(struct buf *b, int64_t v)
{
    if (v < 0)
        buf_put_c(b, '-');
    buf_put_u64(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    char   *text;
    int     n;

    va_start(args, fmt);
    n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0)
        abort();
    buf_put(b, text, (size_t)n);
    free(text);
}

void buf_consume(struct buf *b, size_t bytes)
{
    if (bytes >= b->len) {
        buf_done(b);
        return;
    }
    memmove(b->p, b->p + bytes, b->len - bytes);
    b->len -= bytes;
}
