/* uri.c: see uri.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "wire/uri.h"

static bool is_alpha(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Only what RFC 3986 §2 allows in a URI, with whole percent codes. */
static bool chars_fine(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '%') {
            if (s.len - i < 3 || hex_value(s.p[i + 1]) < 0 || hex_value(s.p[i + 2]) < 0)
                return false;
            i += 2;
        } else if (!is_alpha(s.p[i]) && !is_digit(s.p[i]) &&
                   (s.p[i] == '\0' || !strchr("-._~:/?#[]@!$&'()*+,;=", s.p[i]))) {
            return false;
        }
    }
    return true;
}

static struct str scheme_of(struct str text)
{
    ptrdiff_t colon = str_find(text, ':');

    if (colon <= 0 || !is_alpha(text.p[0]))
        return STR_NULL;
    for (ptrdiff_t i = 1; i < colon; i++)
        if (!is_alpha(text.p[i]) && !is_digit(text.p[i]) && !strchr("+-.", text.p[i]))
            return STR_NULL;
    return str_make(text.p, (size_t)colon);
}

static struct str after(struct str s, size_t n) { return str_make(s.p + n, s.len - n); }

/* host[:port]; a user before it has no place in a request. */
static enum err authority(struct str s, struct uri *out)
{
    size_t   host_bytes = 0;
    uint64_t port;

    if (str_find(s, '@') >= 0)
        return ERR_INVALID;
    if (s.len && s.p[0] == '[') {
        ptrdiff_t close = str_find(s, ']');

        if (close < 0)
            return ERR_INVALID;
        host_bytes = (size_t)close + 1;
    } else {
        while (host_bytes < s.len && s.p[host_bytes] != ':' && s.p[host_bytes] != '[' && s.p[host_bytes] != ']')
            host_bytes++;
    }
    out->host = str_make(s.p, host_bytes);
    s = after(s, host_bytes);
    if (s.len == 0)
        return OK;
    if (s.p[0] != ':')
        return ERR_INVALID;
    if (s.len == 1)
        return OK;
    if (!str_to_u64(after(s, 1), &port) || port == 0 || port > 65535)
        return ERR_INVALID;
    out->port = (int)port;
    return OK;
}

enum err uri_parse(struct str text, struct uri *out)
{
    struct str rest = text, head;

    *out = (struct uri){ 0 };
    if (text.len == 0 || !chars_fine(text))
        return ERR_INVALID;
    head = str_split(&rest, '#');
    out->fragment = rest;
    if (str_find(rest, '#') >= 0)
        return ERR_INVALID;
    rest = head;
    head = str_split(&rest, '?');
    out->query = rest;
    out->scheme = scheme_of(head);
    if (out->scheme.len)
        head = after(head, out->scheme.len + 1);
    /* "//" without a scheme is a path here: a request target has no network-path form */
    if (out->scheme.len && str_starts(head, STR("//"))) {
        struct str whole = after(head, 2);
        ptrdiff_t  slash = str_find(whole, '/');
        size_t     bytes = slash < 0 ? whole.len : (size_t)slash;
        enum err   e = authority(str_make(whole.p, bytes), out);

        if (e)
            return e;
        head = after(whole, bytes);
    }
    out->path = head;
    return OK;
}

/* Undoes percent codes; `plus` makes '+' a space, as forms do. */
static enum err decode(struct arena *a, struct str in, bool plus, struct str *out)
{
    char *text = arena_alloc(a, in.len + 1), *at = text;

    *out = STR_NULL;
    for (size_t i = 0; i < in.len; i++) {
        if (in.p[i] == '%') {
            if (in.len - i < 3 || hex_value(in.p[i + 1]) < 0 || hex_value(in.p[i + 2]) < 0)
                return ERR_INVALID;
            *at++ = (char)(hex_value(in.p[i + 1]) << 4 | hex_value(in.p[i + 2]));
            i += 2;
        } else {
            *at++ = plus && in.p[i] == '+' ? ' ' : in.p[i];
        }
        if (at[-1] == '\0')
            return ERR_INVALID;
    }
    *at = '\0';
    if (!str_is_utf8(str_make(text, (size_t)(at - text))))
        return ERR_INVALID;
    *out = str_make(text, (size_t)(at - text));
    return OK;
}

enum err uri_decode(struct arena *a, struct str in, struct str *out) { return decode(a, in, false, out); }

/* Empty segments go too: a reader that drops the first '/' must not be left with another. */
enum err uri_path(struct arena *a, struct str path, struct str *out)
{
    char *text, *at;
    bool  ends_in_slash = false;

    *out = STR_NULL;
    if (path.len == 0 || path.p[0] != '/')
        return ERR_INVALID;
    text = at = arena_alloc(a, path.len + 2);
    for (struct str rest = after(path, 1); rest.p;) {
        struct str segment;
        enum err   e = decode(a, str_split(&rest, '/'), false, &segment);

        if (e)
            return e;
        if (str_find(segment, '/') >= 0)
            return ERR_INVALID;
        ends_in_slash = segment.len == 0 || str_is(segment, ".") || str_is(segment, "..");
        if (str_is(segment, "..")) {
            if (at == text)
                return ERR_INVALID;
            while (*--at != '/')
                ;
        } else if (!ends_in_slash) {
            *at++ = '/';
            memcpy(at, segment.p, segment.len);
            at += segment.len;
        }
    }
    if (ends_in_slash || at == text)
        *at++ = '/';
    *at = '\0';
    *out = str_make(text, (size_t)(at - text));
    return OK;
}

struct str uri_query_get(struct arena *a, struct str query, const char *name)
{
    while (query.len) {
        struct str value = str_split(&query, '&');
        struct str key = str_split(&value, '='), decoded;

        if (decode(a, key, true, &decoded) || !str_is(decoded, name))
            continue;
        return decode(a, value, true, &decoded) ? STR_NULL : decoded;
    }
    return STR_NULL;
}

void uri_put_segment(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c)))
            buf_put_c(out, c);
        else
            buf_printf(out, "%%%02X", (unsigned char)c);
    }
}
