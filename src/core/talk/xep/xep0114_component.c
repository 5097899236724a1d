/* XEP-0114 Jabber Component Protocol 1.5 (jabber:component:accept), §3.
 *
 *   OPENING ─header for a name of the setting─▶ NAMED ─<handshake/> with the right digest─▶ READY ─▶ stanzas both ways
 *      └──────────────── any error, or no time left ──────┴──────────────────────────────────┴─▶ closed
 *
 * A component that logs in takes the place of the one that was there, which may be the half-open connection of its last life.
 * The kernel's keep-alive finds those that are dead (net/conn.c): not every component answers a ping.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "talk/feature.h"
#include "talk/federate.h"
#include "talk/guest.h"
#include "talk/host.h"
#include "talk/stream.h"
#include "talk/xep/xep0114_inner.h"
#include <stdlib.h>

#define NS_ACCEPT "jabber:component:accept"

METRIC_GAUGE(connected, "bongsu_talk_components", "Components that are connected to this messenger.");
METRIC_COUNTER(stanzas_in, "bongsu_talk_stanzas_from_components", "Stanzas that components sent.");
METRIC_COUNTER(stanzas_out, "bongsu_talk_stanzas_to_components", "Stanzas sent to components.");
METRIC_COUNTER(refused, "bongsu_talk_components_refused", "Streams of components ended with an error.");

enum { ID_CHARS = 24 };

struct component_stream {
    struct list       link;             /* in components.streams */
    struct talk      *talk;
    struct conn      *conn;             /* NULL: over, and kept until nothing flies */
    struct component *of;               /* whose name the header has */
    struct xml_scan   scan;
    int64_t           accepted_ms;
    int               flying;           /* stanzas of it that are being handled */
    bool              open;             /* our header is out */
    bool              ready, paused;
    char              id[ID_CHARS + 1];
};

struct component *component_find(const struct talk *t, struct str domain)
{
    for (int i = 0; t->components && i < t->components->count; i++)
        if (str_eq(t->components->all[i].domain, domain))
            return &t->components->all[i];
    return NULL;
}

bool components_are_set(const struct talk *t)
{
    return t->components->count > 0;
}

bool component_is(const struct talk *t, struct str domain)
{
    return component_find(t, domain) != NULL;
}

void components_put_items(const struct talk *t, struct buf *b)
{
    for (int i = 0; t->components && i < t->components->count; i++) {
        const struct component *c = &t->components->all[i];

        if (!c->stream && !place_is_known(t, c))
            continue;
        BUF_LIT(b, "<item");
        xml_put_attr(b, "jid", c->domain);
        BUF_LIT(b, "/>");
    }
}

/* ---- the end ---- */

static void free_when_over(struct component_stream *s)
{
    if (s->conn || s->flying)
        return;
    list_remove(&s->link);
    s->talk->components->stream_count--;
    loop_free_later(s->talk->loop, s);
}

/* The connection is nobody's any more, or gone. */
static void over(struct component_stream *s)
{
    struct component *c = s->of;

    s->conn = NULL;
    if (c && c->stream == s) {
        c->stream = NULL;
        metric_add(&connected, -1);
        LOG_INFO("component.gone", LF_STR("component", c->domain));
        place_leave(s->talk, c);
    }
    free_when_over(s);
}

static void end(struct component_stream *s)
{
    struct conn *c = s->conn;

    if (s->open)
        conn_write(c, STR("</stream:stream>"));
    stream_release(c);
    conn_close(c);
    over(s);
}

static void write_header(struct component_stream *s)
{
    struct buf b;

    if (s->open)
        return;
    s->open = true;
    buf_init(&b, 0);
    BUF_LIT(&b, "<?xml version='1.0'?><stream:stream xmlns='" NS_ACCEPT "' xmlns:stream='" NS_STREAMS "'");
    xml_put_attr(&b, "from", s->of ? s->of->domain : s->talk->domain);
    xml_put_attr(&b, "id", str_of(s->id));
    BUF_LIT(&b, ">");
    conn_write(s->conn, buf_str(&b));
    buf_done(&b);
}

void component_fail(struct component_stream *s, const char *condition, const char *text)
{
    struct buf b;

    metric_add(&refused, 1);
    LOG_INFO("component.error", LF_STR("component", s->of ? s->of->domain : STR("?")), LF_Z("condition", condition));
    write_header(s);        /* RFC 6120 §4.9.1.2 */
    buf_init(&b, 0);
    buf_printf(&b, "<stream:error><%s xmlns='" NS_STREAM_ERRORS "'/>", condition);
    if (text)
        buf_printf(&b, "<text xmlns='" NS_STREAM_ERRORS "' xml:lang='en'>%s</text>", text);
    BUF_LIT(&b, "</stream:error>");
    conn_write(s->conn, buf_str(&b));
    buf_done(&b);
    end(s);
}

/* ---- log-in ---- */

static void opened(struct component_stream *s, struct str bytes)
{
    struct xml_scope scope;
    struct xml_node *open;
    enum xml_fault   f = xml_parse_open(&s->talk->round, bytes, &scope, &open);
    struct str       name;

    if (f) {
        component_fail(s, xml_fault_condition(f), NULL);
        return;
    }
    if (!xml_is(open, "stream", NS_STREAMS) || !str_is(scope.default_ns, NS_ACCEPT)) {
        component_fail(s, "invalid-namespace", "this door is for " NS_ACCEPT);
        return;
    }
    if (jid_prep_domain(&s->talk->round, xml_attr(open, "to"), &name) == OK)
        s->of = component_find(s->talk, name);
    if (s->of)
        write_header(s);
    else
        component_fail(s, "host-unknown", "talk.components does not name it");
}

static bool digest_is_right(const struct component_stream *s, struct str said)
{
    uint8_t              sum[DIGEST_BYTES_MAX];
    char                 hex[2 * DIGEST_BYTES_MAX];
    struct digest_state *d = digest_begin(DIGEST_SHA1);
    size_t               n = digest_bytes(DIGEST_SHA1);

    digest_add(d, str_of(s->id));
    digest_add(d, s->of->secret);
    digest_end(&d, sum);
    hex_write(hex, sum, n);
    return str_eq_secret(str_make(hex, 2 * n), str_trim(said));
}

static void become_ready(struct component_stream *s)
{
    if (s->of->stream)
        component_fail(s->of->stream, "conflict", "it has connected again");
    s->ready = true;
    s->of->stream = s;
    s->scan.bytes_max = s->talk->limits.stanza_bytes_max;
    conn_write(s->conn, STR("<handshake/>"));
    metric_add(&connected, 1);
    LOG_INFO("component.connected", LF_STR("component", s->of->domain));
    place_take(s->talk, s->of);
}

static void log_in(struct component_stream *s, const struct xml_node *n)
{
    if (!xml_is(n, "handshake", NS_CLIENT) || !digest_is_right(s, xml_text(&s->talk->round, n)))
        component_fail(s, "not-authorized", NULL);
    else
        become_ready(s);
}

/* ---- stanzas from it ---- */

static void taken(void *arg, enum err e)
{
    struct component_stream *s = arg;

    (void)e;
    s->flying--;
    if (s->conn && s->paused && s->flying <= COMPONENT_FLYING_MAX / 2) {
        s->paused = false;
        conn_resume(s->conn);
    }
    free_when_over(s);
}

static void take(struct component_stream *s, const struct xml_node *n, const struct jid *from, const struct jid *to)
{
    struct buf b;

    buf_init(&b, 0);
    xml_put_stanza(&b, n, from->full, to->full, STR(NS_CLIENT));
    if (++s->flying >= COMPONENT_FLYING_MAX && !s->paused) {
        s->paused = true;
        conn_pause(s->conn);
    }
    guest_take(s->talk, from, buf_str(&b), taken, s);
    buf_done(&b);
}

/* §3 asks for a `from`, and Slixmpp's pings have none: then it speaks for itself. */
static bool from_is_true(struct component_stream *s, const struct xml_node *n, struct jid *from)
{
    struct str said = xml_attr(n, "from");

    return jid_parse(&s->talk->round, said.p ? said : s->of->domain, from) == OK && str_eq(from->domain, s->of->domain);
}

/* One stanza that goes nowhere is no reason to cut off everybody who is behind the component: its stream goes on. */
static void answer_unaddressed(struct component_stream *s, const struct xml_node *n, const struct jid *from, const char *fault)
{
    struct stanza st;
    const char   *condition;
    struct buf    b;

    stanza_read(&s->talk->round, n, from, &st, &condition);
    if (st.type == TYPE_ERROR || st.type == TYPE_RESULT)
        return;
    buf_init(&b, 0);
    stanza_error(&b, &st, s->talk->domain, "modify", fault, NULL);
    component_write(s, buf_str(&b));
    buf_done(&b);
}

static bool is_stanza(const struct xml_node *n)
{
    return xml_is(n, "message", NS_CLIENT) || xml_is(n, "presence", NS_CLIENT) || xml_is(n, "iq", NS_CLIENT);
}

static void stanza(struct component_stream *s, const struct xml_node *n)
{
    struct arena *a = &s->talk->round;
    struct jid    from, to;

    if (!is_stanza(n)) {
        component_fail(s, "unsupported-stanza-type", NULL);
        return;
    }
    metric_add(&stanzas_in, 1);
    if (!from_is_true(s, n, &from))
        component_fail(s, "invalid-from", NULL);
    else if (!xml_attr(n, "to").p)
        answer_unaddressed(s, n, &from, "bad-request");
    else if (jid_parse(a, xml_attr(n, "to"), &to) != OK)
        answer_unaddressed(s, n, &from, "jid-malformed");
    else
        take(s, n, &from, &to);
}

/* ---- bytes ---- */

static void element(struct component_stream *s, struct str bytes)
{
    /* Inside, all is jabber:client. */
    static const struct xml_scope scope = { .default_ns = { NS_CLIENT, sizeof NS_CLIENT - 1 },
        .prefix_count = 1, .prefixes = { { { "stream", 6 }, { NS_STREAMS, sizeof NS_STREAMS - 1 } } } };
    struct xml_node *n;
    enum xml_fault   f = xml_parse(&s->talk->round, bytes, &scope, &n);

    if (!f && str_is(n->ns, NS_ACCEPT))     /* some say it on each stanza too */
        xml_rename_ns(n, NS_ACCEPT, STR(NS_CLIENT));
    if (f)
        component_fail(s, xml_fault_condition(f), NULL);
    else if (xml_is(n, "error", NS_STREAMS))
        end(s);
    else if (!s->ready)
        log_in(s, n);
    else
        stanza(s, n);
}

static void piece(struct component_stream *s, const struct xml_piece *p, struct str bytes)
{
    switch (p->kind) {
    case XML_PIECE_OPEN:
        opened(s, bytes);
        return;
    case XML_PIECE_ELEMENT:
        element(s, bytes);
        return;
    case XML_PIECE_CLOSE:
        end(s);
        return;
    case XML_PIECE_FAULT:
        component_fail(s, xml_fault_condition(p->fault), NULL);
        return;
    default:
        return;
    }
}

static size_t data(void *arg, struct conn *c, struct str in)
{
    struct component_stream *s = arg;
    struct talk             *t = s->talk;
    size_t                   used = 0;

    while (s->conn == c && !s->paused) {
        struct xml_piece p = xml_scan(&s->scan, str_make(in.p + used, in.len - used));

        if (p.kind == XML_PIECE_NONE)
            break;
        piece(s, &p, str_make(in.p + used, p.bytes));
        used += p.bytes;
        arena_reset(&t->round);
    }
    return used;
}

enum err component_write(struct component_stream *s, struct str text)
{
    enum err e = conn_write(s->conn, text);

    if (e)
        return e == ERR_CLOSED ? ERR_UNAVAILABLE : e;
    metric_add(&stanzas_out, 1);
    return OK;
}

/* ---- connections ---- */

static void closed(void *arg, struct conn *c, enum err why)
{
    struct component_stream *s = arg;

    (void)why;
    stream_conn_gone(s->talk, c);
    if (s->conn == c)
        over(s);
}

static const struct conn_handlers handlers = { .data = data, .closed = closed };

void component_accept(struct talk *t, int fd)
{
    struct conn             *c = conn_new(t->loop, fd, &t->conn_limits, &stream_refused_handlers, NULL);
    struct component_stream *s;

    if (t->components->stream_count >= COMPONENT_STREAMS_MAX || !stream_admit(t, c)) {
        conn_abort(c, ERR_LIMIT);
        return;
    }
    s = NEW(struct component_stream);
    s->talk = t;
    s->conn = c;
    s->accepted_ms = loop_now_ms(t->loop);
    random_token(s->id, ID_CHARS);
    xml_scan_init(&s->scan, t->limits.stanza_bytes_max_early);
    list_append(&t->components->streams, &s->link);
    t->components->stream_count++;
    conn_set_handlers(c, &handlers, s);
}

static void component_tick(struct talk *t)
{
    int64_t now = loop_now_ms(t->loop);

    LIST_EACH(it, &t->components->streams) {
        struct component_stream *s = LIST_ITEM(it, struct component_stream, link);

        if (s->conn && !s->ready && now - s->accepted_ms > t->limits.login_ms_max)
            component_fail(s, "connection-timeout", "log-in took too long");
    }
    places_tick(t);
}

/* ---- life ---- */

enum err components_init(struct talk *t, struct arena *a, struct str *why)
{
    struct component_named named[COMPONENTS_MAX];
    int                    count;
    enum err               e = components_read(a, t->domain, settings_text(t->settings, "talk.components"), named, &count, why);

    if (e)
        return e;
    t->components = NEW(struct components);
    t->components->talk = t;
    list_init(&t->components->streams);
    for (int i = 0; i < count; i++)
        t->components->all[i] = (struct component){ .domain = str_make(str_dup(named[i].domain), named[i].domain.len),
                                                    .secret = str_make(str_dup(named[i].secret), named[i].secret.len) };
    t->components->count = count;
    places_init(t);
    return OK;
}

void components_stop(struct talk *t)
{
    LIST_EACH(it, &t->components->streams) {
        struct component_stream *s = LIST_ITEM(it, struct component_stream, link);

        if (s->conn)
            component_fail(s, "system-shutdown", NULL);
    }
}

void components_done(struct talk *t)
{
    struct components *all = t->components;

    if (!all)
        return;
    LIST_EACH(it, &all->streams) {
        struct component_stream *s = LIST_ITEM(it, struct component_stream, link);

        if (s->conn) {
            stream_release(s->conn);
            conn_abort(s->conn, ERR_CLOSED);
        }
        loop_free_later(t->loop, s);
    }
    for (int i = 0; i < all->count; i++) {
        free((char *)all->all[i].domain.p);
        free((char *)all->all[i].secret.p);
    }
    free(all);
    t->components = NULL;
}

const struct feature xep0114_component = {
    .spec = "XEP-0114 1.5",
    .title = "Jabber Component Protocol",
    .note = "jabber:component:accept",
    .tick = component_tick,
};
