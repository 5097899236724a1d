/* http.c: the HTTP/1.1 server, see http.h; http_parse.c judges the bytes. An idle
 * connection has its small struct and nothing else.
 *
 *   idle ─bytes─▶ head ─read_head─▶ body ─request_complete─▶ answering ─http_answer─▶ idle, or close
 *     └─ too slow: 408 or close ─┘ └─http_receive─▶ streaming ─▶ ┘  │  └─http_answer_file─▶ sending ─▶ idle, or close
 *                                                                └─http_take_over─▶ another's
 *
 * While a request is being answered its connection is paused, so pipelined requests
 * wait in order, in the kernel, and one client has one request at work.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "net/http_inner.h"
#include "base/clock.h"
#include "base/mem.h"
#include <assert.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { IDLE_MS = 60000, REQUEST_MS = 15000, PACE_MS = 30000 };

/* A request whose body is not all there. */
struct http_upload {
    char              *head;            /* a copy, parsed again at the end */
    size_t             head_bytes;
    int64_t            left;            /* of Content-Length; -1: chunked */
    struct http_chunks chunks;
    struct buf         body;
};

struct http_exchange {
    struct http_server *server;
    struct conn        *conn;           /* NULL once closed or taken over */
    struct timer        deadline;
    struct http_upload *upload;
    bool                begun;          /* bytes of a request have come */
    bool                answering;      /* `request` has been called, http_answer has not */
    bool                keep_alive, head_only, http10, closing, in_data;
    bool                expects, unread, held, sending;
    const struct http_sink *sink;       /* while a body streams */
    void               *sink_arg;
    int64_t             left, left_at_pace;
};

static void upload_free(struct http_upload **up)
{
    struct http_upload *u = *up;

    if (!u)
        return;
    free(u->head);
    buf_done(&u->body);
    free(u);
    *up = NULL;
}

static void exchange_free(struct http_exchange *x)
{
    timer_stop(x->server->loop, &x->deadline);
    upload_free(&x->upload);
    loop_free_later(x->server->loop, x);
}

/* ---- answers ---- */

const char *http_reason(int status)
{
    static const struct { int status; const char *reason; } table[] = {
        { 100, "Continue" }, { 101, "Switching Protocols" }, { 200, "OK" }, { 201, "Created" }, { 204, "No Content" },
        { 206, "Partial Content" },
        { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" },
        { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" }, { 400, "Bad Request" },
        { 401, "Unauthorized" }, { 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
        { 408, "Request Timeout" }, { 409, "Conflict" }, { 410, "Gone" }, { 411, "Length Required" },
        { 412, "Precondition Failed" }, { 413, "Content Too Large" }, { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" }, { 422, "Unprocessable Content" }, { 426, "Upgrade Required" },
        { 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" }, { 500, "Internal Server Error" },
        { 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" }, { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" }, { 507, "Insufficient Storage" },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].status == status)
            return table[i].reason;
    return "Unknown";
}

/* 1xx, 204 and 304 have no content (RFC 9110 §6.4.1). */
static bool has_content(int status) { return status >= 200 && status != 204 && status != 304; }

static void put_head(struct buf *b, int status, struct str type, struct str headers, size_t bytes)
{
    char      date[40];
    time_t    now = (time_t)(clock_us() / 1000000);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    buf_printf(b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", status, http_reason(status), date);
    if (has_content(status))
        buf_printf(b, "Content-Length: %zu\r\n", bytes);
    if (type.len)
        buf_printf(b, "Content-Type: %.*s\r\n", STR_ARG(type));
    buf_put_str(b, headers);
}

static void put_connection(struct buf *b, const struct http_exchange *x)
{
    if (!x->keep_alive)
        BUF_LIT(b, "Connection: close\r\n");
    else if (x->http10)
        BUF_LIT(b, "Connection: keep-alive\r\n");
    BUF_LIT(b, "\r\n");
}

static void sink_break(struct http_exchange *x, enum err why)
{
    const struct http_sink *sink = x->sink;

    x->sink = NULL;
    if (sink)
        sink->broken(x->sink_arg, why);
}

/* The request cannot be understood, so neither can what follows it. */
static void refuse(struct http_exchange *x, int status)
{
    struct buf b;

    x->closing = true;
    x->keep_alive = false;
    timer_stop(x->server->loop, &x->deadline);
    upload_free(&x->upload);
    sink_break(x, ERR_TIMEOUT);
    buf_init(&b, 0);
    put_head(&b, status, STR_NULL, STR_NULL, 0);
    put_connection(&b, x);
    conn_write(x->conn, buf_str(&b));
    buf_done(&b);
    conn_close(x->conn);
}

/* ---- time ---- */

static void too_slow(struct timer *t)
{
    struct http_exchange *x = LIST_ITEM(t, struct http_exchange, deadline);

    if (x->begun) {
        refuse(x, 408);
        return;
    }
    x->closing = true;
    conn_close(x->conn);
}

static void wait_for_request(struct http_exchange *x)
{
    struct http_server *s = x->server;

    x->begun = false;
    timer_start(s->loop, &x->deadline, s->idle_ms_max > 0 ? s->idle_ms_max : IDLE_MS, too_slow);
}

static void request_continues(struct http_exchange *x)
{
    struct http_server *s = x->server;

    timer_start(s->loop, &x->deadline, s->request_ms_max > 0 ? s->request_ms_max : REQUEST_MS, too_slow);
}

/* From its first byte a request has so long, however slowly it drips. */
static void request_begins(struct http_exchange *x)
{
    if (x->begun)
        return;
    x->begun = true;
    request_continues(x);
}

/* The answer is written: the connection waits for the next request, or ends. */
static void answer_ends(struct http_exchange *x)
{
    x->answering = false;
    x->unread = false;
    if (!x->keep_alive) {
        x->closing = true;
        conn_close(x->conn);
        return;
    }
    wait_for_request(x);
    if (!x->in_data)
        conn_resume(x->conn);
}

/* ---- requests ---- */

static void answer_begins(struct http_exchange *x, const struct http_request *r)
{
    timer_stop(x->server->loop, &x->deadline);
    x->answering = true;
    x->keep_alive = r->keep_alive;
    x->http10 = r->minor == 0;
    x->head_only = str_is(r->method, "HEAD");
}

static void request_complete(struct http_exchange *x, const struct http_request *r)
{
    struct http_server *s = x->server;

    answer_begins(x, r);
    if (!(s->upgrade && http_header_has_token(r, "Connection", "Upgrade") && s->upgrade(s->arg, x, r)))
        s->request(s->arg, x, r);
}

static const char go_ahead[] = "HTTP/1.1 100 Continue\r\n\r\n";

static bool waits_to_be_told(const struct http_request *r, bool body_has_begun)
{
    return r->minor >= 1 && !body_has_begun && http_header_has_token(r, "Expect", "100-continue");
}

/* ---- bodies that stream ---- */

static void pace(struct timer *t);

static void watch_pace(struct http_exchange *x)
{
    struct http_server *s = x->server;

    x->left_at_pace = x->left;
    timer_start(s->loop, &x->deadline, s->pace_ms_max > 0 ? s->pace_ms_max : PACE_MS, pace);
}

static void pace(struct timer *t)
{
    struct http_exchange *x = LIST_ITEM(t, struct http_exchange, deadline);

    if (!x->held && x->left_at_pace - x->left < HTTP_PACE_BYTES) {
        refuse(x, 408);
        return;
    }
    watch_pace(x);
}

static void stream_ended(struct http_exchange *x)
{
    const struct http_sink *sink = x->sink;

    timer_stop(x->server->loop, &x->deadline);
    x->sink = NULL;
    x->unread = false;
    x->answering = true;
    sink->end(x->sink_arg, x);
}

static enum err read_stream(struct http_exchange *x, struct str in, size_t *used)
{
    *used = in.len < (size_t)x->left ? in.len : (size_t)x->left;
    if (*used == 0)
        return ERR_AGAIN;
    x->left -= (int64_t)*used;
    x->sink->bytes(x->sink_arg, x, str_make(in.p, *used));
    if (x->conn && x->sink && x->left == 0)
        stream_ended(x);
    return OK;
}

void http_receive(struct http_exchange *x, const struct http_sink *sink, void *arg)
{
    assert(x->answering && x->left >= 0);
    x->answering = false;
    x->held = false;
    x->sink = sink;
    x->sink_arg = arg;
    if (x->expects && x->left)
        conn_write(x->conn, STR(go_ahead));
    watch_pace(x);
}

void http_hold(struct http_exchange *x)
{
    x->held = true;
    if (x->conn)
        conn_pause(x->conn);
}

void http_go_on(struct http_exchange *x)
{
    x->held = false;
    if (x->conn)
        conn_resume(x->conn);
}

/* Offers a head to `stream`. */
static bool is_streamed(struct http_exchange *x, const struct http_request *r, bool body_has_begun)
{
    struct http_server *s = x->server;

    if (!s->stream || str_is(r->method, "GET") || str_is(r->method, "HEAD"))
        return false;
    answer_begins(x, r);
    x->expects = waits_to_be_told(r, body_has_begun);
    x->left = r->content_bytes;
    x->unread = r->content_bytes != 0;
    if (!s->stream(s->arg, x, r)) {
        x->answering = x->unread = false;
        request_continues(x);
        return false;
    }
    if (x->sink && x->left == 0)
        stream_ended(x);
    return true;
}

static int refusal_status(enum err e, const struct http_request *r)
{
    return e == ERR_LIMIT ? 431 : e != ERR_UNSUPPORTED ? 400 : r->minor < 0 ? 505 : 501;
}

static int64_t body_bytes_max(const struct http_exchange *x)
{
    return x->server->body_bytes_max ? x->server->body_bytes_max : HTTP_BODY_BYTES_MAX;
}

/* Takes a head, and the body when it is there already, from `in`. OK: *used bytes are spent;
 * ERR_AGAIN: nothing is; others have been answered. */
static enum err read_head(struct http_exchange *x, struct str in, size_t *used)
{
    struct http_request r;
    size_t              head;
    enum err            e = http_parse_head(in, &r, &head);

    if (e == ERR_AGAIN)
        return e;
    if (e) {
        refuse(x, refusal_status(e, &r));
        return ERR_INVALID;
    }
    *used = head;
    if (is_streamed(x, &r, in.len > head))
        return OK;
    if (r.content_bytes > body_bytes_max(x)) {
        refuse(x, 413);
        return ERR_INVALID;
    }
    if (r.content_bytes >= 0 && in.len - head >= (size_t)r.content_bytes) {
        *used += (size_t)r.content_bytes;
        r.body = str_make(in.p + head, (size_t)r.content_bytes);
        request_complete(x, &r);
        return OK;
    }
    if (waits_to_be_told(&r, in.len > head))
        conn_write(x->conn, STR(go_ahead));
    x->upload = NEW(struct http_upload);
    x->upload->head = mem_copy(in.p, head);
    x->upload->head_bytes = head;
    x->upload->left = r.content_bytes;
    buf_init(&x->upload->body, (size_t)body_bytes_max(x));
    return OK;
}

static enum err read_length(struct http_upload *u, struct str in, size_t *used)
{
    *used = in.len < (size_t)u->left ? in.len : (size_t)u->left;
    buf_put(&u->body, in.p, *used);
    u->left -= (int64_t)*used;
    return u->left ? ERR_AGAIN : OK;
}

static enum err read_body(struct http_exchange *x, struct str in, size_t *used)
{
    struct http_upload *u = x->upload;
    struct http_request r;
    size_t              head;
    enum err            e = u->left >= 0 ? read_length(u, in, used) : http_chunks_read(&u->chunks, in, &u->body, used);

    if (e == ERR_AGAIN)
        return *used ? OK : e;
    if (e) {
        refuse(x, e == ERR_LIMIT ? 413 : 400);
        return e;
    }
    x->upload = NULL;       /* ours until `request` returns */
    e = http_parse_head(str_make(u->head, u->head_bytes), &r, &head);
    assert(e == OK);
    r.body = buf_str(&u->body);
    request_complete(x, &r);
    upload_free(&u);
    return OK;
}

static size_t server_data(void *arg, struct conn *c, struct str in)
{
    struct http_exchange *x = arg;
    size_t                at = 0;

    x->in_data = true;
    while (at < in.len && x->conn && !x->answering && !x->closing && !(x->sink && x->held)) {
        struct str rest = str_make(in.p + at, in.len - at);
        size_t     used = 0;

        request_begins(x);
        if (x->sink) {
            if (read_stream(x, rest, &used) != OK)
                break;
        } else if (!x->upload && rest.len >= 2 && memcmp(rest.p, "\r\n", 2) == 0)
            used = 2;       /* an empty line before a request is skipped (§2.2) */
        else if ((x->upload ? read_body(x, rest, &used) : read_head(x, rest, &used)) != OK)
            break;
        at += used;
    }
    x->in_data = false;
    if (x->conn && x->answering)
        conn_pause(c);
    return x->closing ? in.len : at;
}

static void server_closed(void *arg, struct conn *c, enum err why)
{
    struct http_exchange *x = arg;

    (void)c;
    (void)why;
    x->conn = NULL;
    timer_stop(x->server->loop, &x->deadline);
    sink_break(x, ERR_CLOSED);
    if (!x->answering || x->sending)
        exchange_free(x);       /* else http_answer finds it gone */
}

static void server_sent(void *arg, struct conn *c)
{
    struct http_exchange *x = arg;

    (void)c;
    x->sending = false;
    answer_ends(x);
}

static const struct conn_handlers server_handlers = { .data = server_data, .closed = server_closed, .sent = server_sent };

void http_serve(struct http_server *s, int fd)
{
    struct http_exchange *x = NEW(struct http_exchange);

    x->server = s;
    x->conn = conn_new(s->loop, fd, s->limits, &server_handlers, x);
    wait_for_request(x);
    if (s->tls && *s->tls && conn_start_tls(x->conn, *s->tls, true, STR_NULL) != OK)
        conn_abort(x->conn, ERR_BUG);
}

/* False: the connection is gone, and `x` with it. */
static bool answer_starts(struct http_exchange *x)
{
    assert((x->answering && !x->sending) || x->sink);
    x->answering = true;
    x->sink = NULL;
    timer_stop(x->server->loop, &x->deadline);
    if (x->unread)
        x->keep_alive = false;
    if (x->conn)
        return true;
    exchange_free(x);
    return false;
}

void http_answer(struct http_exchange *x, int status, struct str content_type, struct str headers, struct str body)
{
    struct buf b;

    if (!answer_starts(x))
        return;
    buf_init(&b, 0);
    put_head(&b, status, content_type, headers, body.len);
    put_connection(&b, x);
    if (!x->head_only && has_content(status))
        buf_put_str(&b, body);
    if (b.overflow || conn_write(x->conn, buf_str(&b)) == ERR_LIMIT)
        conn_abort(x->conn, ERR_LIMIT);     /* it does not read its answers */
    buf_done(&b);
    answer_ends(x);
}

void http_answer_file(struct http_exchange *x, int status, struct str content_type, struct str headers,
                      int fd, int64_t from, int64_t bytes)
{
    struct buf b;

    if (!answer_starts(x)) {
        close(fd);
        return;
    }
    buf_init(&b, 0);
    put_head(&b, status, content_type, headers, (size_t)bytes);
    put_connection(&b, x);
    if (b.overflow || conn_write(x->conn, buf_str(&b)) == ERR_LIMIT)
        conn_abort(x->conn, ERR_LIMIT);
    buf_done(&b);
    if (x->head_only || bytes == 0) {
        close(fd);
        answer_ends(x);
        return;
    }
    x->sending = true;
    conn_send_file(x->conn, fd, from, bytes);
}

struct conn *http_conn(struct http_exchange *x) { return x->conn; }

struct conn *http_take_over(struct http_exchange *x)
{
    struct conn *c = x->conn;

    if (c && !x->in_data)
        conn_resume(c);
    x->conn = NULL;
    x->answering = false;
    exchange_free(x);
    return c;
}
