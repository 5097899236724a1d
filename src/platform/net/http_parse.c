/* http_parse.c: HTTP/1.1 heads and chunked bodies (RFC 9112), judged strictly: what another
 * server might read differently is refused, for that is how requests are smuggled. See http.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "net/http_inner.h"

/* ---- heads (RFC 9112 §§2–6) ---- */

static bool is_token_char(char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";

    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr(others, c));
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_char(s.p[i]))
            return false;
    return s.len > 0;
}

/* A line up to CRLF, without it; a bare CR or LF is refused. */
static enum err line_take(struct str *rest, struct str *line)
{
    const char *lf = memchr(rest->p, '\n', rest->len);
    size_t      n;

    if (!lf)
        return ERR_AGAIN;
    n = (size_t)(lf - rest->p);
    if (n == 0 || rest->p[n - 1] != '\r' || memchr(rest->p, '\r', n - 1))
        return ERR_INVALID;
    *line = str_make(rest->p, n - 1);
    *rest = str_make(lf + 1, rest->len - n - 1);
    return OK;
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* A later HTTP/1.x is read as 1.1 (RFC 9110 §2.5). */
static enum err read_version(struct str v, struct http_request *r)
{
    if (v.len != 8 || memcmp(v.p, "HTTP/", 5) != 0 || !is_digit(v.p[5]) || v.p[6] != '.' || !is_digit(v.p[7]))
        return ERR_INVALID;
    if (v.p[5] != '1') {
        r->minor = -1;
        return ERR_UNSUPPORTED;
    }
    r->minor = v.p[7] != '0';
    return OK;
}

static enum err read_request_line(struct str line, struct http_request *r)
{
    struct str version;

    r->method = str_split(&line, ' ');
    r->target = str_split(&line, ' ');
    version = line;
    if (!is_token(r->method) || r->target.len == 0 || !version.p)
        return ERR_INVALID;
    for (size_t i = 0; i < r->target.len; i++)
        if ((unsigned char)r->target.p[i] <= 0x20 || (unsigned char)r->target.p[i] >= 0x7f)
            return ERR_INVALID;
    return read_version(version, r);
}

/* uri-host with its port, as far as a wrong one could confuse whoever compares it (§3.2). */
static bool host_valid(struct str host)
{
    static const char others[] = "-._~!$&'()*+;=:[]%";

    for (size_t i = 0; i < host.len; i++) {
        char c = host.p[i];

        if (!is_digit(c) && !((c | 32) >= 'a' && (c | 32) <= 'z') && !(c && strchr(others, c)))
            return false;
    }
    return true;
}

/* origin-form; "*" for OPTIONS; or absolute-form, whose host then is in *authority (§3.2). */
static enum err read_target(struct http_request *r, struct str *authority)
{
    struct str t = r->target;
    size_t     scheme = str_starts(t, STR("http://")) ? 7 : str_starts(t, STR("https://")) ? 8 : 0;

    *authority = STR_NULL;
    if (scheme) {
        size_t end = scheme;

        while (end < t.len && t.p[end] != '/' && t.p[end] != '?')
            end++;
        *authority = str_make(t.p + scheme, end - scheme);
        t = str_make(t.p + end, t.len - end);
        if (authority->len == 0 || !host_valid(*authority))
            return ERR_INVALID;
    } else if (t.p[0] != '/' && !(str_is(t, "*") && str_is(r->method, "OPTIONS"))) {
        return ERR_INVALID;
    }
    if (memchr(r->target.p, '#', r->target.len))
        return ERR_INVALID;
    r->path = str_split(&t, '?');
    r->query = t;
    if (r->path.len == 0)
        r->path = STR("/");
    return OK;
}

static enum err read_header(struct str line, struct http_request *r)
{
    ptrdiff_t  colon = str_find(line, ':');
    struct str name, value;

    if (r->header_count == HTTP_HEADERS_MAX)
        return ERR_LIMIT;
    if (colon <= 0)
        return ERR_INVALID;     /* also obs-fold, which begins with a space and so has no name */
    name = str_make(line.p, (size_t)colon);
    value = str_trim(str_make(line.p + colon + 1, line.len - (size_t)colon - 1));
    if (!is_token(name))
        return ERR_INVALID;
    for (size_t i = 0; i < value.len; i++)
        if (((unsigned char)value.p[i] < 0x20 && value.p[i] != '\t') || value.p[i] == 0x7f)
            return ERR_INVALID;
    r->headers[r->header_count++] = (struct http_header){ name, value };
    return OK;
}

static int header_count(const struct http_request *r, const char *name)
{
    int n = 0;

    for (int i = 0; i < r->header_count; i++)
        n += str_eq_nocase(r->headers[i].name, str_of(name));
    return n;
}

/* §3.2: one Host in 1.1. The host of an absolute target takes its place (§3.2.2). */
static enum err read_host(struct http_request *r, struct str authority)
{
    int n = header_count(r, "Host");

    if (n > 1 || (n == 0 && r->minor >= 1) || !host_valid(http_header(r, "Host")))
        return ERR_INVALID;
    for (int i = 0; i < r->header_count && authority.len; i++)
        if (str_eq_nocase(r->headers[i].name, STR("Host")))
            r->headers[i].value = authority;
    return OK;
}

/* §6: how long the body is must have one meaning only. */
static enum err read_framing(struct http_request *r)
{
    int      lengths = header_count(r, "Content-Length"), codings = header_count(r, "Transfer-Encoding");
    uint64_t bytes = 0;

    r->content_bytes = 0;
    if (lengths + codings > 1 || (codings && r->minor == 0))
        return ERR_INVALID;
    if (codings) {
        if (!str_eq_nocase(http_header(r, "Transfer-Encoding"), STR("chunked")))
            return ERR_UNSUPPORTED;
        r->content_bytes = -1;
    }
    if (lengths) {
        if (!str_to_u64(http_header(r, "Content-Length"), &bytes))
            return ERR_INVALID;
        r->content_bytes = bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
    }
    return OK;
}

enum err http_parse_head(struct str in, struct http_request *r, size_t *used)
{
    struct str rest = in, line, authority;
    enum err   e;

    r->minor = 1;
    r->header_count = 0;
    r->method = r->target = r->path = r->query = r->body = STR_NULL;
    r->keep_alive = false;
    r->content_bytes = 0;
    *used = 0;
    e = line_take(&rest, &line);
    if (e == ERR_AGAIN)
        return in.len > HTTP_HEAD_BYTES_MAX ? ERR_LIMIT : ERR_AGAIN;
    if (!e)
        e = read_request_line(line, r);
    if (!e)
        e = read_target(r, &authority);
    while (!e) {
        e = line_take(&rest, &line);
        if (e == ERR_AGAIN)
            return in.len > HTTP_HEAD_BYTES_MAX ? ERR_LIMIT : ERR_AGAIN;
        if (e || line.len == 0)
            break;
        e = read_header(line, r);
    }
    if (e)
        return e;
    *used = in.len - rest.len;
    if (*used > HTTP_HEAD_BYTES_MAX)
        return ERR_LIMIT;
    e = read_host(r, authority);
    if (!e)
        e = read_framing(r);
    r->keep_alive = r->minor == 1 ? !http_header_has_token(r, "Connection", "close")
                                  : http_header_has_token(r, "Connection", "keep-alive");
    return e;
}

static enum err read_status_line(struct str line, struct http_request *r, int *status)
{
    enum err e = read_version(str_split(&line, ' '), r);
    uint64_t code;

    if (e)
        return e;
    if (!str_to_u64(str_split(&line, ' '), &code) || code < 100 || code > 599)
        return ERR_INVALID;
    *status = (int)code;
    return OK;
}

enum err http_parse_answer(struct str in, struct http_request *r, int *status, size_t *used)
{
    struct str rest = in, line;
    enum err   e = line_take(&rest, &line);

    r->minor = 1;
    r->header_count = 0;
    r->method = r->target = r->path = r->query = r->body = STR_NULL;
    r->keep_alive = false;
    r->content_bytes = 0;
    *used = 0;
    if (!e)
        e = read_status_line(line, r, status);
    while (!e) {
        e = line_take(&rest, &line);
        if (e || line.len == 0)
            break;
        e = read_header(line, r);
    }
    if (e == ERR_AGAIN && in.len > HTTP_HEAD_BYTES_MAX)
        return ERR_LIMIT;
    if (e)
        return e;
    *used = in.len - rest.len;
    return read_framing(r);
}

struct str http_header(const struct http_request *r, const char *name)
{
    for (int i = 0; i < r->header_count; i++)
        if (str_eq_nocase(r->headers[i].name, str_of(name)))
            return r->headers[i].value;
    return STR_NULL;
}

bool http_header_has_token(const struct http_request *r, const char *name, const char *token)
{
    for (int i = 0; i < r->header_count; i++) {
        struct str list = r->headers[i].value;

        if (!str_eq_nocase(r->headers[i].name, str_of(name)))
            continue;
        while (list.len)
            if (str_eq_nocase(str_trim(str_split(&list, ',')), str_of(token)))
                return true;
    }
    return false;
}

/* ---- chunked bodies (§7.1) ---- */

/* chunk-size and extensions, which nobody defines and we do not read. */
static enum err read_chunk_size(struct http_chunks *c, struct str line, size_t have)
{
    uint64_t bytes = 0;
    size_t   digits = 0;

    while (digits < line.len && digits < 8 && hex_value(line.p[digits]) >= 0)
        bytes = bytes * 16 + (uint64_t)hex_value(line.p[digits++]);
    if (digits == 0 || (digits < line.len && line.p[digits] != ';'))
        return ERR_INVALID;
    for (size_t i = digits; i < line.len; i++)
        if (((unsigned char)line.p[i] < 0x20 && line.p[i] != '\t') || line.p[i] == 0x7f)
            return ERR_INVALID;
    if (bytes > HTTP_BODY_BYTES_MAX - have)
        return ERR_LIMIT;
    c->left = (uint32_t)bytes;
    c->at = bytes ? HTTP_CHUNK_DATA : HTTP_CHUNK_TRAILERS;
    return OK;
}

/* Trailers must be headers, and are dropped (§7.1.2). OK at the empty line. */
static enum err read_trailer(struct http_chunks *c, struct str line)
{
    struct http_request none;

    none.header_count = 0;
    c->trailer_bytes += (uint32_t)line.len + 2;
    if (c->trailer_bytes > HTTP_TRAILER_BYTES_MAX)
        return ERR_INVALID;
    if (line.len == 0)
        return OK;
    return read_header(line, &none) == OK ? ERR_AGAIN : ERR_INVALID;
}

static void take_data(struct http_chunks *c, struct str *rest, struct buf *body)
{
    size_t n = rest->len < c->left ? rest->len : c->left;

    buf_put(body, rest->p, n);
    *rest = str_make(rest->p + n, rest->len - n);
    c->left -= (uint32_t)n;
    if (c->left == 0)
        c->at = HTTP_CHUNK_END;
}

static size_t line_bytes_max(const struct http_chunks *c)
{
    return c->at == HTTP_CHUNK_TRAILERS ? HTTP_TRAILER_BYTES_MAX : HTTP_CHUNK_LINE_BYTES_MAX;
}

enum err http_chunks_read(struct http_chunks *c, struct str in, struct buf *body, size_t *used)
{
    struct str rest = in, line;
    enum err   e = OK;

    for (*used = 0; !e; *used = in.len - rest.len) {
        if (c->at == HTTP_CHUNK_DATA) {
            if (rest.len == 0)
                return ERR_AGAIN;
            take_data(c, &rest, body);
            continue;
        }
        e = line_take(&rest, &line);
        if (e == ERR_AGAIN)
            return rest.len > line_bytes_max(c) + strlen("\r") ? ERR_INVALID : ERR_AGAIN;
        if (e)
            return e;
        if (c->at == HTTP_CHUNK_SIZE) {
            e = line.len > HTTP_CHUNK_LINE_BYTES_MAX ? ERR_INVALID : read_chunk_size(c, line, body->len);
        } else if (c->at == HTTP_CHUNK_END) {
            e = line.len ? ERR_INVALID : OK;
            c->at = HTTP_CHUNK_SIZE;
        } else {
            e = read_trailer(c, line);
            if (e == ERR_AGAIN)
                e = OK;
            else if (!e) {
                *used = in.len - rest.len;
                return OK;
            }
        }
    }
    return e;
}
