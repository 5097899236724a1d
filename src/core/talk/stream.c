/* stream.c: XML streams over TCP and TLS, and what both framings share. See
 * session.h for the states.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/stream.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/feature.h"
#include "talk/rates.h"
#include "talk/invite.h"
#include "talk/login.h"
#include "talk/route.h"
#include "talk/xep/xep0077_register.h"
#include "talk/xep/xep0445_preauth.h"
#include "talk/xep/xep0198_sm.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

METRIC_COUNTER(stanzas_in, "bongsu_talk_stanzas_in", "Stanzas received from clients.");
METRIC_COUNTER(accepted, "bongsu_talk_connections", "Connections accepted.");
METRIC_COUNTER_L(refused_address, "bongsu_talk_connections_refused", "Connections refused at a bound.", "bound=\"address\"");
METRIC_COUNTER_L(refused_total, "bongsu_talk_connections_refused", "Connections refused at a bound.", "bound=\"sessions\"");
METRIC_COUNTER(rate_limited, "bongsu_talk_rate_limited", "Times a client was slowed down for sending too much.");
METRIC_COUNTER(dead_streams, "bongsu_talk_dead_streams", "Connections ended because nothing was heard.");
METRIC_COUNTER(login_timeouts, "bongsu_talk_login_timeouts", "Connections ended because they did not log in in time.");

/* ---- out: headers, errors, the end ---- */

static void write_header(struct session *s)
{
    struct buf b;
    char       id[32];

    if (s->xml_open)
        return;
    s->xml_open = true;
    snprintf(id, sizeof id, "%llx-%llx", (unsigned long long)s->talk->started_us, (unsigned long long)s->id);
    buf_init(&b, 0);
    if (s->transport == TALK_WEBSOCKET)
        BUF_LIT(&b, "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'");
    else
        BUF_LIT(&b, "<?xml version='1.0'?><stream:stream xmlns='" NS_CLIENT "' xmlns:stream='" NS_STREAMS "'");
    xml_put_attr(&b, "from", s->talk->domain);
    xml_put_attr(&b, "id", str_of(id));
    BUF_LIT(&b, " version='1.0' xml:lang='en'");
    buf_put_z(&b, s->transport == TALK_WEBSOCKET ? "/>" : ">");
    session_write(s, buf_str(&b));
    buf_done(&b);
}

/* RFC 7395 §3.4: on a WebSocket the prefix is declared on each element. */
static void write_in_streams_ns(struct session *s, const char *name, struct str content)
{
    struct buf b;

    buf_init(&b, 0);
    buf_printf(&b, s->transport == TALK_WEBSOCKET ? "<stream:%s xmlns:stream='" NS_STREAMS "'>" : "<stream:%s>", name);
    buf_put_str(&b, content);
    buf_printf(&b, "</stream:%s>", name);
    session_write(s, buf_str(&b));
    buf_done(&b);
}

void stream_write_error_xml(struct session *s, const char *conditions)
{
    write_header(s);    /* RFC 6120 §4.9.1.2: an error needs a stream to stand in */
    write_in_streams_ns(s, "error", str_of(conditions));
}

void stream_write_error(struct session *s, const char *condition, const char *text)
{
    struct buf b;

    buf_init(&b, 0);
    buf_printf(&b, "<%s xmlns='" NS_STREAM_ERRORS "'/>", condition);
    if (text) {
        BUF_LIT(&b, "<text xmlns='" NS_STREAM_ERRORS "' xml:lang='en'>");
        xml_put_escaped(&b, str_of(text));
        BUF_LIT(&b, "</text>");
    }
    buf_put_c(&b, '\0');
    stream_write_error_xml(s, b.p);
    buf_done(&b);
}

void stream_write_close(struct session *s)
{
    struct buf frame;

    if (!s->xml_open)
        return;
    s->xml_open = false;
    if (s->transport != TALK_WEBSOCKET) {
        session_write(s, STR("</stream:stream>"));
        return;
    }
    session_write(s, STR("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"));
    buf_init(&frame, 0);
    ws_put_close(&frame, 1000, STR_NULL, false);
    if (s->conn)
        conn_write(s->conn, buf_str(&frame));
    buf_done(&frame);
}

void stream_send_features(struct session *s)
{
    struct buf b;

    buf_init(&b, 0);
    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->stream_features)
            features[i]->stream_features(s, &b);
    write_in_streams_ns(s, "features", buf_str(&b));
    buf_done(&b);
}

void stream_restart(struct session *s)
{
    s->xml_open = false;
    xml_scan_init(&s->scan, s->person ? s->talk->limits.stanza_bytes_max : s->talk->limits.stanza_bytes_max_early);
    if (!s->person)
        s->state = SESSION_HANDSHAKE;
}

/* ---- in: the header ---- */

static void name_language(struct session *s, struct str lang)
{
    free(s->lang);
    s->lang = lang.len && lang.len <= 64 ? str_dup(lang) : NULL;
}

static bool version_fits(struct str version)
{
    uint64_t   major;
    struct str rest = version;

    return version.p && str_to_u64(str_split(&rest, '.'), &major) && major >= 1;
}

void stream_opened(struct session *s, const struct xml_node *open)
{
    struct str to = xml_attr(open, "to"), domain;

    write_header(s);
    if (!to.p || jid_prep_domain(&s->talk->round, to, &domain) != OK || !str_eq(domain, s->talk->domain)) {
        session_fail(s, "host-unknown", "this server does not serve that domain");
        return;
    }
    if (!version_fits(xml_attr(open, "version"))) {
        session_fail(s, "unsupported-version", NULL);
        return;
    }
    name_language(s, open->lang);
    if (s->state == SESSION_HANDSHAKE)
        s->state = SESSION_FEATURES;
    stream_send_features(s);
}

static void tcp_opened(struct session *s, struct str piece)
{
    struct xml_scope scope;
    struct xml_node *open;
    enum xml_fault   f = xml_parse_open(&s->talk->round, piece, &scope, &open);

    if (f) {
        session_fail(s, xml_fault_condition(f), NULL);
        return;
    }
    if (!str_is(open->ns, NS_STREAMS) || !str_is(scope.default_ns, NS_CLIENT)) {
        session_fail(s, "invalid-namespace", NULL);
        return;
    }
    if (!str_is(open->name, "stream")) {
        session_fail(s, "bad-format", NULL);
        return;
    }
    stream_opened(s, open);
}

/* ---- in: elements ---- */

static unsigned when(const struct session *s)
{
    return s->state == SESSION_BOUND ? NONZA_BOUND : s->state == SESSION_AUTHENTICATED ? NONZA_AUTHENTICATED : NONZA_EARLY;
}

static bool is_stanza(const struct xml_node *n)
{
    return str_is(n->ns, NS_CLIENT) && (str_is(n->name, "message") || str_is(n->name, "presence") || str_is(n->name, "iq"));
}

/* RFC 6120 §8.1.2.1: a client may say who it is, but only truly. */
static bool from_is_true(struct session *s, const struct xml_node *n)
{
    struct str from = xml_attr(n, "from");
    struct jid j;

    if (!from.p)
        return true;
    if (jid_parse(&s->talk->round, from, &j) != OK)
        return false;
    return str_eq(j.full, s->jid.full) || str_eq(j.full, s->jid.bare);
}

/* Everyone where the operator allows it, and who was invited. */
static bool registers(const struct session *s, const struct stanza *st)
{
    if (str_is(st->payload->ns, "jabber:iq:register"))
        return s->talk->limits.registration || (s->login && s->login->preauth);
    return str_is(st->payload->ns, NS_PARS);
}

/* Before binding only iq to the server itself is heard: bind, registration. */
static void stanza_early(struct session *s, const struct stanza *st)
{
    const struct iq_handler *h;

    if (s->state == SESSION_AUTHENTICATED && st->kind == STANZA_IQ && st->type == TYPE_SET &&
        xml_is(st->payload, "bind", "urn:ietf:params:xml:ns:xmpp-bind")) {
        h = features_iq(st->payload->name, st->payload->ns);
        enum err e = h->set(s, st);
        if (e)
            iq_error(s, st, e);
        return;
    }
    if (s->state == SESSION_FEATURES && login_may(s) && st->kind == STANZA_IQ && st->payload && registers(s, st)) {
        enum err e = str_is(st->payload->ns, "jabber:iq:register") ? xep0077_early(s, st) : preauth_early(s, st);
        if (e)
            iq_error(s, st, e);
        return;
    }
    session_fail(s, "not-authorized", NULL);
}

static void stanza_element(struct session *s, const struct xml_node *n)
{
    const char   *condition = NULL;
    struct stanza st;
    enum err      e;

    metric_add(&stanzas_in, 1);
    s->received++;
    e = stanza_read(&s->talk->round, n, &s->jid, &st, &condition);
    if (st.lang.len == 0 && s->lang)
        st.lang = str_of(s->lang);
    if (s->state != SESSION_BOUND) {
        if (e)
            session_fail(s, "not-authorized", NULL);
        else
            stanza_early(s, &st);
        return;
    }
    if (!from_is_true(s, n)) {
        session_fail(s, "invalid-from", NULL);
        return;
    }
    if (e)
        session_bounce(s, &st, "modify", condition, NULL);
    else
        route_stanza(s, &st);
}

void stream_element(struct session *s, const struct xml_node *n)
{
    const struct nonza_handler *h;

    if (is_stanza(n)) {
        stanza_element(s, n);
        return;
    }
    h = features_nonza(n->name, n->ns);
    if (h && (h->when & when(s)))
        h->handle(s, n);
    else if (s->state != SESSION_BOUND)
        session_fail(s, "not-authorized", NULL);
    else
        session_fail(s, "unsupported-stanza-type", NULL);
}

/* ---- in: bytes ---- */

/* A token bucket of one second: the tick fills it (stream_tick). */
bool stream_rate_spent(struct session *s, size_t bytes)
{
    s->rate_stanzas--;
    s->rate_bytes -= (int32_t)bytes;
    if (s->rate_stanzas > 0 && s->rate_bytes > 0)
        return false;
    if (!s->dirty_read) {
        metric_add(&rate_limited, 1);
        s->dirty_read = true;
        conn_pause(s->conn);
    }
    return true;
}

static void tcp_piece(struct session *s, const struct xml_piece *p, struct str bytes)
{
    static const struct xml_scope scope = { .default_ns = { NS_CLIENT, sizeof NS_CLIENT - 1 },
        .prefix_count = 1, .prefixes = { { { "stream", 6 }, { NS_STREAMS, sizeof NS_STREAMS - 1 } } } };
    struct xml_node *n;
    enum xml_fault   f;

    switch (p->kind) {
    case XML_PIECE_OPEN:
        tcp_opened(s, bytes);
        return;
    case XML_PIECE_ELEMENT:
        f = xml_parse(&s->talk->round, bytes, &scope, &n);
        if (f)
            session_fail(s, xml_fault_condition(f), NULL);
        else
            stream_element(s, n);
        return;
    case XML_PIECE_CLOSE:
        session_end(s);
        return;
    case XML_PIECE_FAULT:
        session_fail(s, xml_fault_condition(p->fault), NULL);
        return;
    default:
        return;
    }
}

static size_t tcp_data(void *arg, struct conn *c, struct str in)
{
    struct session *s = arg;
    struct talk    *t = s->talk;
    size_t          used = 0;

    s->heard_ms = loop_now_ms(t->loop);
    while (!s->held && !s->dirty_read && !s->closing && s->conn == c) {
        struct xml_piece p = xml_scan(&s->scan, str_make(in.p + used, in.len - used));

        if (p.kind == XML_PIECE_NONE)
            break;
        tcp_piece(s, &p, str_make(in.p + used, p.bytes));
        used += p.bytes;
        arena_reset(&t->round);
        if (s->state == SESSION_CLOSED || s->closing || s->conn != c)
            break;
        stream_rate_spent(s, p.bytes);
    }
    return used;
}

/* ---- connections ---- */

struct address_count {
    int  count;
    char key[];
};

static bool address_enter(struct talk *t, struct str key)
{
    struct address_count *a = strmap_get(&t->addresses, key);

    if (!a) {
        a = mem_new(sizeof *a + key.len + 1);
        memcpy(a->key, key.p, key.len);
        strmap_put(&t->addresses, str_make(a->key, key.len), a);
    }
    if (a->count >= t->limits.connections_per_address_max)
        return false;
    a->count++;
    return true;
}

static void address_leave(struct talk *t, struct str key)
{
    struct address_count *a = strmap_get(&t->addresses, key);

    if (a && --a->count <= 0) {
        strmap_del(&t->addresses, key);
        free(a);
    }
}

void stream_conn_gone(struct talk *t, struct conn *c)
{
    char key[64];

    address_leave(t, conn_peer_key(c, key));
}

static void tcp_closed(void *arg, struct conn *c, enum err why)
{
    struct session *s = arg;

    stream_conn_gone(s->talk, c);
    if (s->conn == c)
        session_lost(s, why);
}

static const struct conn_handlers tcp_handlers = { .data = tcp_data, .closed = tcp_closed };

/* A conn without a session: what it still says is ignored until it has drained. */
static size_t ignored_data(void *arg, struct conn *c, struct str in)
{
    (void)arg;
    (void)c;
    return in.len;
}

static void released_closed(void *arg, struct conn *c, enum err why)
{
    (void)why;
    stream_conn_gone(arg, c);
}

static const struct conn_handlers released_handlers = { .data = ignored_data, .closed = released_closed };

static struct talk *only_talk;      /* one messenger per process */

void stream_release(struct conn *c)
{
    conn_set_handlers(c, &released_handlers, only_talk);
    conn_resume(c);
}

void stream_adopt(struct session *s)
{
    conn_set_handlers(s->conn, s->transport == TALK_WEBSOCKET ? &websocket_handlers : &tcp_handlers, s);
}

bool stream_admit(struct talk *t, struct conn *c)
{
    char key[64];

    only_talk = t;
    metric_add(&accepted, 1);
    if (!address_enter(t, conn_peer_key(c, key))) {
        metric_add(&refused_address, 1);
        return false;
    }
    if (t->session_count >= t->limits.sessions_max || t->stopping) {
        metric_add(&refused_total, 1);
        address_leave(t, conn_peer_key(c, key));
        return false;
    }
    return true;
}

static void nothing_closed(void *arg, struct conn *c, enum err why)
{
    (void)arg;
    (void)c;
    (void)why;
}

const struct conn_handlers stream_refused_handlers = { .data = ignored_data, .closed = nothing_closed };

void stream_accept(struct talk *t, int fd, enum talk_transport how)
{
    struct conn    *c = conn_new(t->loop, fd, &t->conn_limits, &stream_refused_handlers, NULL);
    struct session *s;

    if (!stream_admit(t, c)) {
        conn_abort(c, ERR_LIMIT);
        return;
    }
    s = session_new(t, c, how);
    xml_scan_init(&s->scan, t->limits.stanza_bytes_max_early);
    conn_set_handlers(c, &tcp_handlers, s);
    if (how == TALK_DIRECT_TLS && conn_start_tls(c, t->tls, true, STR_NULL) != OK)
        conn_abort(c, ERR_BUG);
}

/* ---- time ---- */

/* Any answer will do, an error too: silence is what ends a stream. */
static void ask_for_life(struct session *s)
{
    struct buf b;

    if (s->sm) {
        session_send_nonza(s, STR("<r xmlns='urn:xmpp:sm:3'/>"));
        return;
    }
    buf_init(&b, 0);
    stanza_open(&b, "iq", s->talk->domain, s->jid.full, STR("alive"), "get", STR_NULL);
    BUF_LIT(&b, "<ping xmlns='urn:xmpp:ping'/></iq>");
    session_send(s, buf_str(&b));
    buf_done(&b);
}

void stream_tick(struct session *s, int64_t now_ms)
{
    struct talk_limits *l = &s->talk->limits;
    int64_t             silent_ms = now_ms - s->heard_ms;
    int                 stanzas, bytes;

    if (!s->conn)
        return;
    if (s->state < SESSION_BOUND) {
        if (silent_ms > l->login_ms_max || now_ms - s->accepted_ms > 4 * (int64_t)l->login_ms_max) {
            metric_add(&login_timeouts, 1);
            session_fail(s, "connection-timeout", "log-in took too long");
            return;
        }
    } else if (silent_ms > (int64_t)l->idle_ms_max + l->dead_ms_max) {
        metric_add(&dead_streams, 1);
        conn_abort(s->conn, ERR_TIMEOUT);
        return;
    } else if (silent_ms > l->idle_ms_max && silent_ms - 1000 <= l->idle_ms_max) {
        ask_for_life(s);
    }
    rates_of(s, &stanzas, &bytes);
    s->rate_stanzas = s->rate_stanzas + stanzas > stanzas ? stanzas : s->rate_stanzas + stanzas;
    s->rate_bytes = s->rate_bytes + bytes > bytes ? bytes : s->rate_bytes + bytes;
    if (s->dirty_read && s->rate_stanzas > 0 && s->rate_bytes > 0) {
        s->dirty_read = false;
        if (!s->held)
            conn_resume(s->conn);
    }
}
