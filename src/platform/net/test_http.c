/* test_http.c: what the HTTP parser and server accept, refuse and answer; WebSocket frames and handshakes.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include "base/test.h"
#include "net/http.h"
#include "net/websocket.h"

static enum err parse(const char *text, struct http_request *r)
{
    size_t used;

    return http_parse_head(str_of(text), r, &used);
}

static void a_request_is_taken_apart(struct test *t)
{
    struct http_request r;

    CHECK_OK(t, parse("POST /a/b?x=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nX-Y:  z \r\n\r\nabc", &r));
    CHECK_STR(t, "POST", r.method);
    CHECK_STR(t, "/a/b", r.path);
    CHECK_STR(t, "x=1", r.query);
    CHECK_STR(t, "z", http_header(&r, "x-y"));
    CHECK_INT(t, 3, r.content_bytes);
    CHECK(t, r.keep_alive);
    CHECK_OK(t, parse("GET http://h/abs HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", &r));
    CHECK_STR(t, "/abs", r.path);
    CHECK(t, !r.keep_alive);
    CHECK_OK(t, parse("GET http://real:80?q HTTP/1.1\r\nHost: other\r\n\r\n", &r));
    CHECK_STR(t, "real:80", http_header(&r, "Host"));       /* RFC 9112 §3.2.2 */
    CHECK_STR(t, "/", r.path);
    CHECK_STR(t, "q", r.query);
}

static void what_has_two_meanings_is_refused(struct test *t)
{
    static const struct { const char *text; enum err want; } cases[] = {
        { "GET / HTTP/1.1\r\n\r\n", ERR_INVALID },                                              /* no Host */
        { "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", ERR_INVALID },
        { "GET / HTTP/1.1\nHost: a\n\n", ERR_INVALID },                                         /* bare LF */
        { "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", ERR_INVALID },
        { "GET / HTTP/1.1\r\nHost : a\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", ERR_UNSUPPORTED },
        { "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ERR_INVALID },
        { "GET / HTTP/2.0\r\nHost: a\r\n\r\n", ERR_UNSUPPORTED },
        { "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", ERR_INVALID },
        { "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", ERR_INVALID },
        { "GET / HTTP/1.1\r\nHost: a\r\n", ERR_AGAIN },
        { "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", ERR_INVALID },
        { "GET / http/1.1\r\nHost: a\r\n\r\n", ERR_INVALID },
        { "GET /\r\n\r\n", ERR_INVALID },                                                      /* HTTP/0.9 */
        { " GET / HTTP/1.1\r\nHost: a\r\n\r\n", ERR_INVALID },
        { "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", ERR_INVALID },
        { "GET / HTTP/1.1\rX: y\r\nHost: a\r\n\r\n", ERR_INVALID },                           /* bare CR */
        { "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", ERR_INVALID },
        { "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", ERR_INVALID },
        { "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", ERR_INVALID },
        { "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n", ERR_INVALID },
        { "GET http:///x HTTP/1.1\r\nHost: b\r\n\r\n", ERR_INVALID },
        { "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", ERR_INVALID },
        { "GET a HTTP/1.1\r\nHost: a\r\n\r\n", ERR_INVALID },
        { "GET * HTTP/1.1\r\nHost: a\r\n\r\n", ERR_INVALID },
        { "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", ERR_INVALID },
        { "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\nContent-Length: 5\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0b" "chunked\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", ERR_UNSUPPORTED },
        { "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", ERR_INVALID },
        { "POST / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", ERR_INVALID },
        { "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", OK },
        { "GET / HTTP/1.0\r\n\r\n", OK },
        { "GET / HTTP/1.2\r\nHost: [::1]:80\r\n\r\n", OK },
    };
    struct http_request r;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (!CHECK_INT(t, cases[i].want, parse(cases[i].text, &r)))
            printf("    in: %s\n", cases[i].text);
}

/* ---- the server over a socket pair ---- */

struct client {
    struct buf got;
    bool       closed;
};

static size_t client_data(void *arg, struct conn *c, struct str in)
{
    (void)c;
    buf_put_str(&((struct client *)arg)->got, in);
    return in.len;
}

static void client_closed(void *arg, struct conn *c, enum err why)
{
    (void)c;
    (void)why;
    ((struct client *)arg)->closed = true;
}

static const struct conn_handlers client_handlers = { .data = client_data, .closed = client_closed };
static const struct conn_limits   limits = { .in_bytes_max = 2 * HTTP_BODY_BYTES_MAX, .out_bytes_max = 4 * HTTP_BODY_BYTES_MAX };

static void echo(void *arg, struct http_exchange *x, const struct http_request *r)
{
    (void)arg;
    http_answer(x, 200, STR("text/plain"), STR_NULL, r->body.len ? r->body : r->path);
}

/* A town with one guest; `step` bytes of what the guest says arrive in one round. */
struct visit {
    struct loop       *loop;
    struct http_server server;
    struct client      client;
    struct conn       *conn;
};

static bool visit_start(struct visit *v)
{
    int fds[2];

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return false;
    v->loop = loop_new();
    v->server.loop = v->loop;
    v->server.limits = &limits;
    http_serve(&v->server, fds[0]);
    v->conn = conn_new(v->loop, fds[1], &limits, &client_handlers, &v->client);
    return true;
}

static void visit_say(struct visit *v, struct str text, size_t step)
{
    for (size_t at = 0; at < text.len; at += step) {
        conn_write(v->conn, str_make(text.p + at, text.len - at < step ? text.len - at : step));
        loop_round(v->loop, 0);
        loop_round(v->loop, 0);
    }
    for (int i = 0; i < 10; i++)
        loop_round(v->loop, 1);
}

static struct client visit_end(struct visit *v)
{
    bool closed = v->client.closed;

    if (!closed)
        conn_abort(v->conn, OK);
    for (int i = 0; i < 4; i++)
        loop_round(v->loop, 1);
    loop_free(&v->loop);
    v->client.closed = closed;
    return v->client;
}

/* Says `text`, returns all that came back. */
static struct client talk_in_steps(const char *text, size_t step)
{
    struct visit v = { .server.request = echo };

    if (!visit_start(&v))
        return v.client;
    visit_say(&v, str_of(text), step);
    return visit_end(&v);
}

static struct client talk_to(const char *text) { return talk_in_steps(text, strlen(text)); }

static bool has(struct client *c, const char *what) { return c->got.len && memmem(c->got.p, c->got.len, what, strlen(what)); }

static void requests_on_one_connection_are_answered_in_order(struct test *t)
{
    struct client c = talk_to("GET /one HTTP/1.1\r\nHost: h\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n");

    CHECK(t, has(&c, "/one") && has(&c, "/two"));
    CHECK(t, !c.closed);
    buf_done(&c.got);
}

static void a_chunked_body_is_joined(struct test *t)
{
    struct client c = talk_to("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n");

    CHECK(t, has(&c, "\r\n\r\nabcde"));
    buf_done(&c.got);
}

static void head_has_no_body(struct test *t)
{
    struct client c = talk_to("HEAD /one HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

    CHECK(t, has(&c, "Content-Length: 4") && !has(&c, "/one"));
    CHECK(t, c.closed);
    buf_done(&c.got);
}

static void nonsense_gets_400_and_the_end(struct test *t)
{
    struct client c = talk_to("nonsense\r\n\r\n");

    CHECK(t, has(&c, "HTTP/1.1 400 ") && c.closed);
    buf_done(&c.got);
    c = talk_to("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\n");
    CHECK(t, has(&c, "HTTP/1.1 413 ") && c.closed);
    buf_done(&c.got);
}

static void a_server_may_take_less(struct test *t)
{
    struct visit  v = { .server = { .request = echo, .body_bytes_max = 10 } };
    struct client c;

    if (!CHECK(t, visit_start(&v)))
        return;
    visit_say(&v, STR("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789"), 200);
    CHECK(t, has(&v.client, "HTTP/1.1 200 ") && !v.client.closed);
    visit_say(&v, STR("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n"), 200);
    c = visit_end(&v);
    CHECK(t, has(&c, "HTTP/1.1 413 ") && c.closed);
    buf_done(&c.got);
}

static int count(const struct client *c, const char *what)
{
    const char *p = c->got.p, *end = p + c->got.len;
    int         n = 0;

    while (p && (p = memmem(p, (size_t)(end - p), what, strlen(what)))) {
        n++;
        p += strlen(what);
    }
    return n;
}

/* Each byte a packet of its own changes nothing. */
static void bytes_may_come_one_by_one(struct test *t)
{
    struct client c = talk_in_steps("\r\nPOST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nalpha"
                                    "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                                    "00003;a=\"b\"\r\nbet\r\n1\r\na\r\n0\r\nX-Trailer: y\r\n\r\n"
                                    "GET /gamma HTTP/1.1\r\nHost: h\r\n\r\n", 1);

    CHECK_INT(t, 3, count(&c, "HTTP/1.1 200 OK\r\nDate: "));
    CHECK(t, has(&c, "\r\n\r\nalphaHTTP") && has(&c, "\r\n\r\nbetaHTTP") && has(&c, "\r\n\r\n/gamma"));
    buf_done(&c.got);
}

static void bad_chunks_get_400_and_the_end(struct test *t)
{
    static const char *const bodies[] = {
        "x\r\n", "\r\n", "-1\r\n", "0x3\r\nabc\r\n", "3 \r\nabc\r\n", "3\nabc\r\n", "3\r\nabcX\r\n", "3\r\nabcd\r\n", "123456789\r\n",
        "1;\x01\r\na\r\n", "0\r\nnot a trailer\r\n\r\n", "0\r\n folded\r\n\r\n",
    };
    char text[300];

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct client c;

        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n%s"
                 "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n", bodies[i]);
        c = talk_to(text);
        if (!CHECK(t, has(&c, "HTTP/1.1 400 ") && c.closed && !has(&c, "smuggled")))
            printf("    in: %s\n", bodies[i]);
        buf_done(&c.got);
    }
}

static void each_refusal_has_its_status(struct test *t)
{
    static const struct { const char *text, *status; } cases[] = {
        { "GET / HTTP/2.0\r\nHost: h\r\n\r\n", "HTTP/1.1 505 " },
        { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 " },
        { "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n", "HTTP/1.1 413 " },
        { "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", "HTTP/1.1 413 " },
    };
    struct client c;
    struct buf    long_head = { 0 };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        c = talk_to(cases[i].text);
        CHECK(t, has(&c, cases[i].status) && c.closed);
        buf_done(&c.got);
    }
    BUF_LIT(&long_head, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    for (int i = 0; i < HTTP_HEAD_BYTES_MAX; i++)
        buf_put_c(&long_head, 'x');
    buf_put_c(&long_head, 0);
    c = talk_to(long_head.p);
    CHECK(t, has(&c, "HTTP/1.1 431 ") && c.closed);
    buf_done(&c.got);
    buf_done(&long_head);
    for (int i = 0; i <= HTTP_HEADERS_MAX; i++)
        buf_put_z(&long_head, i ? "X: y\r\n" : "GET / HTTP/1.1\r\nHost: h\r\n");
    buf_put(&long_head, "\r\n", 3);
    c = talk_to(long_head.p);
    CHECK(t, has(&c, "HTTP/1.1 431 ") && c.closed);
    buf_done(&c.got);
    buf_done(&long_head);
}

static void a_slow_request_gets_408_and_an_idle_connection_the_end(struct test *t)
{
    for (int begun = 0; begun < 2; begun++) {
        struct visit  v = { .server = { .request = echo, .request_ms_max = 20, .idle_ms_max = begun ? 60000 : 20 } };
        struct client c;

        if (!CHECK(t, visit_start(&v)))
            return;
        if (begun)
            visit_say(&v, STR("GET / HT"), 1);
        for (int i = 0; i < 1000 && !v.client.closed; i++)
            loop_round(v.loop, 10);
        c = visit_end(&v);
        CHECK(t, c.closed && has(&c, "HTTP/1.1 408 ") == begun);
        buf_done(&c.got);
    }
}

static void continue_is_said_to_who_waits_for_it(struct test *t)
{
    struct visit  v = { .server.request = echo };
    struct client c;

    if (!CHECK(t, visit_start(&v)))
        return;
    visit_say(&v, STR("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"), 1000);
    CHECK_STR(t, "HTTP/1.1 100 Continue\r\n\r\n", buf_str(&v.client.got));
    visit_say(&v, STR("body"), 2);
    c = visit_end(&v);
    CHECK_INT(t, 1, count(&c, "100 Continue"));
    CHECK(t, has(&c, "\r\n\r\nbody"));
    buf_done(&c.got);
}

/* ---- answers that take time ---- */

struct desk {
    struct http_exchange *waiting;
    int                   asked;
};

static void put_on_desk(void *arg, struct http_exchange *x, const struct http_request *r)
{
    struct desk *d = arg;

    (void)r;
    d->waiting = x;
    d->asked++;
}

static void a_later_answer_keeps_the_order(struct test *t)
{
    struct desk   d = { 0 };
    struct visit  v = { .server = { .request = put_on_desk, .arg = &d } };
    struct client c;

    if (!CHECK(t, visit_start(&v)))
        return;
    visit_say(&v, STR("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"), 1000);
    CHECK_INT(t, 1, d.asked);       /* one request at work per connection */
    http_answer(d.waiting, 200, STR_NULL, STR("X-A: b\r\n"), STR("first"));
    visit_say(&v, STR_NULL, 1);
    CHECK_INT(t, 2, d.asked);
    http_answer(d.waiting, 204, STR_NULL, STR_NULL, STR_NULL);
    visit_say(&v, STR_NULL, 1);
    c = visit_end(&v);
    CHECK(t, c.closed && has(&c, "X-A: b\r\n") && has(&c, "\r\n\r\nfirstHTTP/1.1 204 No Content\r\n"));
    CHECK_INT(t, 1, count(&c, "Content-Length"));
    buf_done(&c.got);
}

static void an_answer_to_nobody_is_dropped(struct test *t)
{
    struct desk  d = { 0 };
    struct visit v = { .server = { .request = put_on_desk, .arg = &d } };

    if (!CHECK(t, visit_start(&v)))
        return;
    visit_say(&v, STR("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"), 1000);
    conn_abort(http_conn(d.waiting), ERR_IO);
    visit_say(&v, STR_NULL, 1);
    CHECK(t, http_conn(d.waiting) == NULL);
    http_answer(d.waiting, 200, STR_NULL, STR_NULL, STR("too late"));
    v.client = visit_end(&v);
    CHECK_INT(t, 0, v.client.got.len);
    buf_done(&v.client.got);
}

/* ---- WebSocket ---- */

static enum err read_one(const void *bytes, size_t n, struct ws_event *ev)
{
    struct ws_reader r = { .message_bytes_max = 1000, .expect_mask = true };
    static char      copy[2000];
    size_t           used;
    enum err         e;

    memcpy(copy, bytes, n);
    e = ws_read(&r, copy, n, ev, &used);
    ws_reader_done(&r);
    return e;
}

static void a_frame_comes_back(struct test *t)
{
    struct ws_event ev;
    struct buf      b;

    buf_init(&b, 0);
    ws_put_frame(&b, WS_TEXT, STR("안녕하세요 hello"), true);
    CHECK_OK(t, read_one(b.p, b.len, &ev));
    CHECK_INT(t, WS_TEXT, ev.opcode);
    CHECK_STR(t, "안녕하세요 hello", ev.payload);
    for (size_t i = 0; i < b.len; i++)
        CHECK_INT(t, ERR_AGAIN, read_one(b.p, i, &ev));
    buf_done(&b);
}

static void bad_frames_are_refused_with_their_code(struct test *t)
{
    static const struct { const char *bytes; size_t n; int code; } cases[] = {
        { "\x81\x01" "a", 3, 1002 },                                    /* not masked */
        { "\xc1\x81\0\0\0\0a", 7, 1002 },                               /* reserved bit */
        { "\x83\x81\0\0\0\0a", 7, 1002 },                               /* reserved opcode */
        { "\x09\x80\0\0\0\0", 6, 1002 },                                /* a ping in fragments */
        { "\x80\x81\0\0\0\0a", 7, 1002 },                               /* continues nothing */
        { "\x81\xfe\0\x05\0\0\0\0abcde", 13, 1002 },                    /* not the shortest length */
        { "\x81\x81\0\0\0\0\xff", 7, 1007 },                            /* not UTF-8 */
        { "\x88\x81\0\0\0\0a", 7, 1002 },                               /* half a close code */
        { "\x81\xfe\x10\0\0\0\0\0", 8, 1009 },                          /* too long */
    };
    struct ws_event ev;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum err e = read_one(cases[i].bytes, cases[i].n, &ev);

        CHECK(t, e == ERR_INVALID || e == ERR_LIMIT);
        CHECK_INT(t, cases[i].code, ev.close_code);
    }
}

static void the_handshake_of_the_rfc_is_answered(struct test *t)
{
    struct http_request r;
    struct buf          b;

    buf_init(&b, 0);
    CHECK_OK(t, parse("GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, xmpp\r\n"
                      "Sec-WebSocket-Version: 13\r\n\r\n", &r));
    CHECK_OK(t, ws_accept(&r, "xmpp", &b));
    CHECK(t, memmem(b.p, b.len, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28) != NULL);
    CHECK(t, memmem(b.p, b.len, "Sec-WebSocket-Protocol: xmpp\r\n", 30) != NULL);
    buf_clear(&b);
    CHECK_INT(t, ERR_INVALID, ws_accept(&r, "mqtt", &b));
    buf_done(&b);
}

/* What the client sends behind its upgrade request is the new owner's. */
static struct client guest_of_ws;

static bool upgrade(void *arg, struct http_exchange *x, const struct http_request *r)
{
    struct buf   b = { 0 };
    enum err     e = ws_accept(r, "xmpp", &b);
    struct conn *c = http_take_over(x);

    (void)arg;
    conn_set_handlers(c, &client_handlers, &guest_of_ws);
    conn_write(c, buf_str(&b));
    buf_done(&b);
    return e == OK;
}

static void an_upgrade_hands_the_connection_over(struct test *t)
{
    struct visit  v = { .server = { .request = echo, .upgrade = upgrade } };
    struct client c;

    if (!CHECK(t, visit_start(&v)))
        return;
    visit_say(&v, STR("GET /first HTTP/1.1\r\nHost: h\r\n\r\n"
                      "GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: xmpp\r\n"
                      "Sec-WebSocket-Version: 13\r\n\r\nframe"), 1000);
    visit_say(&v, STR(" and more"), 1000);
    CHECK_STR(t, "frame and more", buf_str(&guest_of_ws.got));
    c = visit_end(&v);
    CHECK(t, has(&c, "/first") && has(&c, "HTTP/1.1 101 Switching Protocols\r\n") && guest_of_ws.closed);
    buf_done(&c.got);
    buf_done(&guest_of_ws.got);
}

static void fragments_are_joined_around_control_frames(struct test *t)
{
    struct ws_reader r = { .message_bytes_max = 10 };
    char             in[] = "\x01\x03" "abc" "\x89\x02" "hi" "\x00\x03" "\xec\x95\x88" "\x80\x02" "zz" "\x88\x00";
    struct ws_event  ev;
    size_t           at = 0, used;

    CHECK_INT(t, ERR_AGAIN, ws_read(&r, in + at, sizeof in - 1 - at, &ev, &used));
    at += used;
    CHECK_OK(t, ws_read(&r, in + at, sizeof in - 1 - at, &ev, &used));
    CHECK_INT(t, WS_PING, ev.opcode);
    CHECK_STR(t, "hi", ev.payload);
    at += used;
    CHECK_INT(t, ERR_AGAIN, ws_read(&r, in + at, sizeof in - 1 - at, &ev, &used));
    at += used;
    CHECK_OK(t, ws_read(&r, in + at, sizeof in - 1 - at, &ev, &used));
    CHECK_INT(t, WS_TEXT, ev.opcode);
    CHECK_STR(t, "abc안zz", ev.payload);
    at += used;
    CHECK_OK(t, ws_read(&r, in + at, sizeof in - 1 - at, &ev, &used));
    CHECK_INT(t, WS_CLOSE, ev.opcode);
    CHECK_INT(t, 1005, ev.close_code);
    ws_reader_done(&r);
}

TEST_MAIN(TEST(a_request_is_taken_apart), TEST(what_has_two_meanings_is_refused),
          TEST(requests_on_one_connection_are_answered_in_order), TEST(a_chunked_body_is_joined), TEST(head_has_no_body),
          TEST(nonsense_gets_400_and_the_end), TEST(a_server_may_take_less), TEST(bytes_may_come_one_by_one), TEST(bad_chunks_get_400_and_the_end),
          TEST(each_refusal_has_its_status), TEST(a_slow_request_gets_408_and_an_idle_connection_the_end),
          TEST(continue_is_said_to_who_waits_for_it), TEST(a_later_answer_keeps_the_order),
          TEST(an_answer_to_nobody_is_dropped), TEST(a_frame_comes_back), TEST(bad_frames_are_refused_with_their_code),
          TEST(fragments_are_joined_around_control_frames), TEST(the_handshake_of_the_rfc_is_answered),
          TEST(an_upgrade_hands_the_connection_over))
