/* http_ask.c: see http_ask.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "net/http_ask.h"
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"

enum { HEAD_BYTES_MAX = 2 * HTTP_HEAD_BYTES_MAX, STALL_MS = 30000 };

struct http_ask {
    struct conn  *conn;
    struct loop  *loop;
    const struct http_ask_events *ev;      /* NULL: cancelled */
    void         *arg;
    struct timer  silence;
    int           ms_max;
    bool          has_head, whole, held, no_content;
    int64_t       left;
    enum err      error;
};

static const struct conn_limits limits = { .in_bytes_max = HEAD_BYTES_MAX, .out_bytes_max = 64 * 1024, .stall_ms_max = STALL_MS };

static void too_silent(struct timer *t)
{
    struct http_ask *c = LIST_ITEM(t, struct http_ask, silence);

    if (c->held)
        timer_start(c->loop, t, c->ms_max, too_silent);
    else if (c->conn)
        conn_abort(c->conn, ERR_TIMEOUT);
}

static void heard(struct http_ask *c) { timer_start(c->loop, &c->silence, c->ms_max, too_silent); }

static size_t fail(struct http_ask *c, enum err e, size_t used)
{
    c->error = e;
    conn_abort(c->conn, e);
    return used;
}

static bool is_interim(int status) { return status >= 100 && status < 200; }

static size_t read_head(struct http_ask *c, struct str in)
{
    struct http_request r;
    int                 status;
    size_t              used;
    enum err            e = http_parse_answer(in, &r, &status, &used);

    if (e == ERR_AGAIN)
        return 0;
    if (!e && !is_interim(status) && r.content_bytes < 0)
        e = ERR_UNSUPPORTED;
    if (e)
        return fail(c, e, in.len);
    if (is_interim(status))
        return used;
    c->has_head = true;
    c->left = c->no_content || status == 204 || status == 304 ? 0 : r.content_bytes;
    c->ev->head(c->arg, status, &r);
    return used;
}

static size_t came(void *arg, struct conn *conn, struct str in)
{
    struct http_ask *c = arg;
    size_t            at = 0, used;

    heard(c);
    while (!c->has_head && at < in.len && c->ev) {
        used = read_head(c, str_make(in.p + at, in.len - at));
        if (used == 0)
            return at;
        at += used;
    }
    if (c->has_head && c->ev && at < in.len && c->left > 0 && !c->held) {
        used = in.len - at < (size_t)c->left ? in.len - at : (size_t)c->left;
        c->left -= (int64_t)used;
        c->ev->bytes(c->arg, str_make(in.p + at, used));
        at += used;
    }
    if (c->has_head && c->left == 0 && !c->whole) {
        c->whole = true;
        conn_close(conn);
        conn_abort(conn, OK);       /* one request a connection: nothing more is of interest */
    }
    return at;
}

static void ended(void *arg, struct conn *conn, enum err why)
{
    struct http_ask *c = arg;
    enum err          e = c->whole ? OK : c->error ? c->error : why ? why : ERR_CLOSED;

    (void)conn;
    c->conn = NULL;
    timer_stop(c->loop, &c->silence);
    if (c->ev)
        c->ev->end(c->arg, e);
    loop_free_later(c->loop, c);
}

static void sent(void *arg, struct conn *conn)
{
    (void)conn;
    heard(arg);
}

static const struct conn_handlers handlers = { .data = came, .closed = ended, .sent = sent };

static void write_request(struct http_ask *c, const struct http_ask_request *q)
{
    struct buf b;

    buf_init(&b, 0);
    buf_printf(&b, "%.*s %.*s HTTP/1.1\r\nHost: %.*s\r\nConnection: close\r\n%.*s", STR_ARG(q->method), STR_ARG(q->target),
               STR_ARG(q->host), STR_ARG(q->headers));
    if (q->fd >= 0)
        buf_printf(&b, "Content-Length: %lld\r\n", (long long)q->bytes);
    BUF_LIT(&b, "\r\n");
    conn_write(c->conn, buf_str(&b));
    buf_done(&b);
}

enum err http_ask_new(struct loop *l, const struct http_ask_request *q, const struct http_ask_events *ev, void *arg,
                       struct http_ask **out)
{
    struct http_ask *c = NEW(struct http_ask);
    enum err          e;

    *c = (struct http_ask){ .loop = l, .ev = ev, .arg = arg, .ms_max = q->ms_max, .no_content = str_is(q->method, "HEAD") };
    e = conn_connect(l, q->address, &limits, &handlers, c, &c->conn);
    if (e) {
        if (q->fd >= 0)
            close(q->fd);
        free(c);
        return e;
    }
    if (q->tls)
        conn_start_tls(c->conn, q->tls, false, q->tls_name);
    write_request(c, q);
    if (q->fd >= 0 && q->bytes > 0)
        conn_send_file(c->conn, q->fd, q->from, q->bytes);
    else if (q->fd >= 0)
        close(q->fd);
    if (q->fd < 0 || q->bytes == 0)
        heard(c);
    *out = c;
    return OK;
}

void http_ask_hold(struct http_ask *c)
{
    c->held = true;
    if (c->conn)
        conn_pause(c->conn);
}

void http_ask_go_on(struct http_ask *c)
{
    c->held = false;
    if (c->conn)
        conn_resume(c->conn);
}

void http_ask_cancel(struct http_ask **cp)
{
    struct http_ask *c = *cp;

    if (!c)
        return;
    *cp = NULL;
    c->ev = NULL;
    if (c->conn)
        conn_abort(c->conn, OK);
}
