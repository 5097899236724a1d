/* str.c: see str.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/str.h"
#include "base/mem.h"

int str_cmp(struct str a, struct str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int    order = n ? memcmp(a.p, b.p, n) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.p, prefix.p, prefix.len) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && (suffix.len == 0 || memcmp(s.p + s.len - suffix.len, suffix.p, suffix.len) == 0);
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

struct str str_trim(struct str s)
{
    while (s.len && is_space(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len && is_space(s.p[s.len - 1]))
        s.len--;
    return s;
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *at = s.len ? memchr(s.p, c, s.len) : NULL;

    return at ? at - s.p : -1;
}

struct str str_split(struct str *s, char sep)
{
    ptrdiff_t  at = str_find(*s, sep);
    struct str head = *s;

    if (at < 0) {
        *s = STR_NULL;
        return head;
    }
    head.len = (size_t)at;
    s->p += at + 1;
    s->len -= (size_t)at + 1;
    return head;
}

bool str_to_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    *out = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
    bool     below = s.len && s.p[0] == '-';
    uint64_t v;

    if (below) {
        s.p++;
        s.len--;
    }
    if (!str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + below)
        return false;
    *out = below ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *hex_write(char *out, const void *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t    *from = bytes;

    for (size_t i = 0; i < n; i++) {
        *out++ = digits[from[i] >> 4];
        *out++ = digits[from[i] & 15];
    }
    return out;
}

bool str_hex_to_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;

    if (s.len == 0 || s.len > 16)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int digit = hex_value(s.p[i]);

        if (digit < 0 || (s.p[i] >= 'A' && s.p[i] <= 'F'))
            return false;
        v = v << 4 | (uint64_t)digit;
    }
    *out = v;
    return true;
}

bool str_is_utf8(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p, *end;

    if (s.len == 0)
        return true;
    end = p + s.len;
    while (p < end) {
        unsigned char c = *p;
        uint64_t      eight;

        if (end - p >= 8 && (memcpy(&eight, p, 8), (eight & 0x8080808080808080u) == 0)) {
            p += 8;
        } else if (c < 0x80) {
            p++;
        } else if (c >= 0xC2 && c <= 0xDF) {
            if (end - p < 2 || (p[1] & 0xC0) != 0x80)
                return false;
            p += 2;
        } else if (c >= 0xE0 && c <= 0xEF) {
            if (end - p < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
                return false;
            if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F))
                return false;   /* overlong; surrogate */
            p += 3;
        } else if (c >= 0xF0 && c <= 0xF4) {
            if (end - p < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80)
                return false;
            if ((c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F))
                return false;   /* overlong; above U+10FFFF */
            p += 4;
        } else {
            return false;
        }
    }
    return true;
}

char *str_dup(struct str s)
{
    char *copy = mem_new(s.len + 1);

    if (s.len)
        memcpy(copy, s.p, s.len);
    return copy;
}

struct str str_pack(char **at, struct str s)
{
    char *p = *at;

    memcpy(p, s.p ? s.p : "", s.len);
    *at += s.len;
    return str_make(s.p ? p : NULL, s.len);
}

bool str_copy(struct str s, char *out, size_t size)
{
    if (s.len >= size) {
        out[0] = '\0';
        return false;
    }
    if (s.len)
        memcpy(out, s.p, s.len);
    out[s.len] = '\0';
    return true;
}

bool str_eq_secret(struct str a, struct str b)
{
    unsigned char differ = a.len != b.len;
    size_t        n = a.len < b.len ? a.len : b.len;

    for (size_t i = 0; i < n; i++)
        differ |= (unsigned char)(a.p[i] ^ b.p[i]);
    return differ == 0;
}

static int least(int a, int b, int c)
{
    int m = a < b ? a : b;

    return m < c ? m : c;
}

/* One row of the table at a time. */
int str_distance(struct str a, struct str b)
{
    int row[STR_DISTANCE_BYTES_MAX + 1];

    if (a.len > STR_DISTANCE_BYTES_MAX || b.len > STR_DISTANCE_BYTES_MAX)
        return STR_DISTANCE_BYTES_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= a.len; i++) {
        int diagonal = row[0];

        row[0] = (int)i;
        for (size_t j = 1; j <= b.len; j++) {
            int above = row[j];

            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a.p[i - 1] != b.p[j - 1]));
            diagonal = above;
        }
    }
    return row[b.len];
}
