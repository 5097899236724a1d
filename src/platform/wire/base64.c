/* base64.c: see base64.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "wire/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t encode(char *out, struct str bytes, const char *alphabet, bool pad)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t               i = 0, left;
    char                *at = out;

    for (; i + 3 <= bytes.len; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];

        *at++ = alphabet[v >> 18];
        *at++ = alphabet[v >> 12 & 63];
        *at++ = alphabet[v >> 6 & 63];
        *at++ = alphabet[v & 63];
    }
    left = bytes.len - i;
    if (left) {
        uint32_t v = (uint32_t)p[i] << 16 | (left == 2 ? (uint32_t)p[i + 1] << 8 : 0);

        *at++ = alphabet[v >> 18];
        *at++ = alphabet[v >> 12 & 63];
        if (left == 2)
            *at++ = alphabet[v >> 6 & 63];
        for (size_t n = left; pad && n < 3; n++)
            *at++ = '=';
    }
    return (size_t)(at - out);
}

static void put(struct buf *out, struct str bytes, const char *alphabet, bool pad)
{
    char *at = bytes.len ? buf_reserve(out, (bytes.len + 2) / 3 * 4) : NULL;

    if (at)
        out->len += encode(at, bytes, alphabet, pad);
}

void base64_put(struct buf *out, struct str bytes) { put(out, bytes, standard, true); }
void base64url_put(struct buf *out, struct str bytes) { put(out, bytes, url_safe, false); }

struct str base64_encode(struct arena *a, struct str bytes)
{
    char  *out = arena_alloc(a, (bytes.len + 2) / 3 * 4 + 1);
    size_t n = encode(out, bytes, standard, true);

    out[n] = '\0';
    return str_make(out, n);
}

static int sextet(unsigned char c, bool url)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    if (c == (url ? '_' : '/'))
        return 63;
    return -1;
}

/* `text` has no padding any more. A length of 4n+1 carries no whole byte. */
static enum err decode(struct arena *a, struct str text, bool url, struct str *result)
{
    char    *out = arena_alloc(a, text.len / 4 * 3 + 4), *at = out;
    uint32_t bits = 0;
    int      bit_count = 0;

    if (text.len % 4 == 1)
        return ERR_INVALID;
    for (size_t i = 0; i < text.len; i++) {
        int v = sextet((unsigned char)text.p[i], url);

        if (v < 0)
            return ERR_INVALID;
        bits = bits << 6 | (uint32_t)v;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            *at++ = (char)(bits >> bit_count);
            bits &= (1u << bit_count) - 1;
        }
    }
    if (bits)
        return ERR_INVALID;     /* one text for one value (RFC 4648 §3.5) */
    *at = '\0';
    *result = str_make(out, (size_t)(at - out));
    return OK;
}

enum err base64_decode(struct arena *a, struct str text, struct str *out)
{
    *out = STR_NULL;
    if (text.len % 4)
        return ERR_INVALID;
    for (int i = 0; i < 2 && text.len && text.p[text.len - 1] == '='; i++)
        text.len--;
    return decode(a, text, false, out);
}

enum err base64url_decode(struct arena *a, struct str text, struct str *out)
{
    *out = STR_NULL;
    return decode(a, text, true, out);
}

void hex_put(struct buf *out, struct str bytes)
{
    char *at = bytes.len ? buf_reserve(out, bytes.len * 2) : NULL;

    if (!at)
        return;
    hex_write(at, bytes.p, bytes.len);
    out->len += bytes.len * 2;
}
