/* cbor.c: see cbor.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "wire/cbor.h"

static struct str take(struct str *rest, size_t n)
{
    struct str front = str_make(rest->p, n);

    *rest = str_make(rest->p + n, rest->len - n);
    return front;
}

/* The argument of a head (§3): in the head itself, or in the 1, 2, 4 or 8 bytes behind it, and no longer than it needs. */
static enum err argument(struct str *rest, unsigned info, uint64_t *out)
{
    size_t     n = info < 24 ? 0 : info < 28 ? (size_t)1 << (info - 24) : 0;
    struct str bytes;

    if (info >= 28 || n > rest->len)        /* 31 is an indefinite length */
        return ERR_INVALID;
    bytes = take(rest, n);
    *out = n ? 0 : info;
    for (size_t i = 0; i < n; i++)
        *out = *out << 8 | (uint8_t)bytes.p[i];
    if (n && (*out < 24 || (n > 1 && *out >> (n * 4) == 0)))
        return ERR_INVALID;
    return OK;
}

static enum err judge(struct str *rest, unsigned major, struct cbor_item *out)
{
    switch (major) {
    case CBOR_UINT:
    case CBOR_NEGATIVE:
        return OK;
    case CBOR_BYTES:
    case CBOR_TEXT:
        if (out->number > rest->len)
            return ERR_INVALID;
        out->bytes = take(rest, out->number);
        return major == CBOR_TEXT && !str_is_utf8(out->bytes) ? ERR_INVALID : OK;
    case CBOR_ARRAY:
        return out->number > rest->len ? ERR_INVALID : OK;          /* each element takes a byte at least */
    case CBOR_MAP:
        return out->number > rest->len / 2 ? ERR_INVALID : OK;
    default:
        return ERR_INVALID;
    }
}

enum err cbor_next(struct str *rest, struct cbor_item *out)
{
    unsigned head, major;
    enum err e;

    *out = (struct cbor_item){ 0 };
    if (rest->len == 0)
        return ERR_INVALID;
    head = (uint8_t)take(rest, 1).p[0];
    major = head >> 5;
    if (major == 7) {                       /* false, true, null, undefined */
        *out = (struct cbor_item){ .kind = CBOR_SIMPLE, .number = head & 31 };
        return out->number >= 20 && out->number <= 23 ? OK : ERR_INVALID;
    }
    e = argument(rest, head & 31, &out->number);
    if (e)
        return e;
    out->kind = (enum cbor_kind)major;
    return judge(rest, major, out);
}

static enum err skip(struct str *rest, int depth)
{
    struct cbor_item i;
    enum err         e = cbor_next(rest, &i);
    uint64_t         inside;

    if (e)
        return e;
    inside = i.kind == CBOR_ARRAY ? i.number : i.kind == CBOR_MAP ? i.number * 2 : 0;
    if (inside && depth >= CBOR_DEPTH_MAX)
        return ERR_INVALID;
    for (uint64_t n = 0; n < inside && !e; n++)
        e = skip(rest, depth + 1);
    return e;
}

enum err cbor_skip(struct str *rest)
{
    return skip(rest, 0);
}

int64_t cbor_int(const struct cbor_item *i, int64_t otherwise)
{
    if ((i->kind != CBOR_UINT && i->kind != CBOR_NEGATIVE) || i->number > INT64_MAX)
        return otherwise;
    return i->kind == CBOR_UINT ? (int64_t)i->number : -1 - (int64_t)i->number;
}
