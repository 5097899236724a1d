/* websocket.c: XMPP over WebSocket (RFC 7395): one element per text message.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "net/http.h"
#include "net/websocket.h"
#include "talk/feature.h"
#include "talk/stream.h"
#include <stdlib.h>

#define NS_FRAMING "urn:ietf:params:xml:ns:xmpp-framing"

/* ---- frames in ---- */

static void close_frame(struct session *s, int code)
{
    struct buf b;

    buf_init(&b, 0);
    ws_put_close(&b, code, STR_NULL, false);
    conn_write(s->conn, buf_str(&b));
    buf_done(&b);
}

static void pong(struct session *s, struct str payload)
{
    struct buf b;

    buf_init(&b, 0);
    ws_put_frame(&b, WS_PONG, payload, false);
    conn_write(s->conn, buf_str(&b));
    buf_done(&b);
}

static void text_message(struct session *s, struct str text)
{
    struct xml_node *n;
    enum xml_fault   f = xml_parse(&s->talk->round, text, NULL, &n);

    if (f) {
        session_fail(s, xml_fault_condition(f), NULL);
    } else if (xml_is(n, "open", NS_FRAMING)) {
        s->xml_open = false;        /* the first, or a restart after SASL (§3.6) */
        stream_opened(s, n);
    } else if (xml_is(n, "close", NS_FRAMING)) {
        session_end(s);
    } else if (s->state == SESSION_HANDSHAKE || !s->xml_open) {
        session_fail(s, str_is(n->ns, NS_FRAMING) ? "bad-format" : "invalid-namespace", NULL);
    } else {
        stream_element(s, n);
    }
}

static void frame(struct session *s, const struct ws_event *ev)
{
    switch (ev->opcode) {
    case WS_TEXT:
        text_message(s, ev->payload);
        return;
    case WS_BINARY:
        session_fail(s, "bad-format", "binary messages carry no XMPP (RFC 7395 §3.2)");
        return;
    case WS_PING:
        pong(s, ev->payload);
        return;
    case WS_CLOSE:
        close_frame(s, ev->close_code == 1005 ? 1000 : ev->close_code);
        s->xml_open = false;
        conn_close(s->conn);
        return;
    default:
        return;
    }
}

static size_t websocket_data(void *arg, struct conn *c, struct str in)
{
    struct session *s = arg;
    struct talk    *t = s->talk;
    size_t          used = 0;

    s->heard_ms = loop_now_ms(t->loop);
    while (!s->held && !s->dirty_read && !s->closing && s->conn == c && used < in.len && !conn_is_closing(c)) {
        struct ws_event ev;
        size_t          took = 0;
        enum err        e;

        s->ws->message_bytes_max = s->state == SESSION_BOUND ? t->limits.stanza_bytes_max : t->limits.stanza_bytes_max_early;
        e = ws_read(s->ws, (char *)in.p + used, in.len - used, &ev, &took);
        used += took;
        if (e == ERR_AGAIN && took == 0)
            break;
        if (e == ERR_AGAIN)
            continue;
        if (e == ERR_LIMIT) {
            session_fail(s, "policy-violation", "the message is too large");
            break;
        }
        if (e) {
            close_frame(s, ev.close_code);
            conn_close(c);
            break;
        }
        frame(s, &ev);
        arena_reset(&t->round);
        if (s->state == SESSION_CLOSED || s->closing || s->conn != c)
            break;
        stream_rate_spent(s, took);
    }
    return s->closing || s->conn != c || conn_is_closing(c) ? in.len : used;
}

static void websocket_closed(void *arg, struct conn *c, enum err why)
{
    struct session *s = arg;

    stream_conn_gone(s->talk, c);
    if (s->conn == c)
        session_lost(s, why);
}

const struct conn_handlers websocket_handlers = { .data = websocket_data, .closed = websocket_closed };

/* ---- the upgrade ---- */

struct session *websocket_begin(struct talk *t, struct conn *c, bool secure, bool masked)
{
    struct session *s = session_new(t, c, TALK_WEBSOCKET);

    s->secure = secure;
    s->ws = NEW(struct ws_reader);
    s->ws->expect_mask = masked;
    s->ws->message_bytes_max = t->limits.stanza_bytes_max_early;
    conn_set_handlers(c, &websocket_handlers, s);
    return s;
}

static bool upgrade_at(struct talk *t, struct http_exchange *x, const struct http_request *r, bool local)
{
    struct conn *c;
    struct buf   out;
    enum err     e;

    if (!str_is(r->path, "/xmpp-websocket"))
        return false;
    buf_init(&out, 0);
    e = ws_accept(r, "xmpp", &out);
    c = http_take_over(x);
    conn_set_handlers(c, &stream_refused_handlers, NULL);
    conn_write(c, buf_str(&out));
    buf_done(&out);
    if (e) {
        conn_close(c);
        return true;
    }
    if (!stream_admit(t, c)) {
        conn_abort(c, ERR_LIMIT);
        return true;
    }
    websocket_begin(t, c, local || conn_tls(c) != NULL /* what stays on this machine needs no TLS */, true);
    return true;
}

static bool upgrade(void *arg, struct http_exchange *x, const struct http_request *r)
{
    return upgrade_at(arg, x, r, false);
}

static bool upgrade_local(void *arg, struct http_exchange *x, const struct http_request *r)
{
    return upgrade_at(arg, x, r, true);
}

static void request(void *arg, struct http_exchange *x, const struct http_request *r)
{
    (void)arg;
    if (str_is(r->path, "/xmpp-websocket"))
        http_answer(x, 426, STR("text/plain"), STR("Upgrade: websocket\r\n"), STR("this address speaks XMPP over WebSocket (RFC 7395)\n"));
    else
        http_answer(x, 404, STR("text/plain"), STR_NULL, STR("not found\n"));
}

void websocket_init(struct talk *t)
{
    t->websocket = NEW(struct http_server);
    *t->websocket = (struct http_server){
        .loop = t->loop, .limits = &t->conn_limits, .request = request, .upgrade = upgrade, .arg = t,
        .tls = t->tls ? &t->tls : NULL,
    };
    t->websocket_local = NEW(struct http_server);
    *t->websocket_local = (struct http_server){
        .loop = t->loop, .limits = &t->conn_limits, .request = request, .upgrade = upgrade_local, .arg = t,
    };
}

void websocket_accept(struct talk *t, int fd, enum talk_transport door)
{
    http_serve(door == TALK_WEBSOCKET_LOCAL ? t->websocket_local : t->websocket, fd);
}
