/* s2s.c: what both ways of a stream share; see s2s.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/s2s.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/metric.h"
#include "crypto/digest.h"

METRIC_GAUGE(streams_in, "bongsu_courier_streams_in", "Connections from other servers.");
METRIC_GAUGE(streams_out, "bongsu_courier_streams_out", "Connections to other servers.");
METRIC_COUNTER(stanzas_in, "bongsu_courier_stanzas_in", "Stanzas that other servers sent.");
METRIC_COUNTER(stanzas_out, "bongsu_courier_stanzas_out", "Stanzas sent to other servers.");
METRIC_COUNTER(stream_errors, "bongsu_courier_stream_errors",
               "Streams with other servers that we ended with an error.");
METRIC_COUNTER(rate_limited, "bongsu_courier_rate_limited",
               "Times another server was slowed down for sending too much.");

/* ---- writing ---- */

void s2s_write(struct s2s *s, struct str xml)
{
    if (s->conn && conn_write(s->conn, xml) == ERR_LIMIT && !conn_is_closing(s->conn))
        conn_abort(s->conn, ERR_LIMIT);
}

void s2s_header(struct s2s *s)
{
    struct buf b;

    if (s->opened)
        return;
    s->opened = true;
    buf_init(&b, 0);
    BUF_LIT(&b, "<?xml version='1.0'?><stream:stream xmlns='" NS_SERVER "' xmlns:db='" NS_DIALBACK
                "' xmlns:stream='" NS_STREAM "'");
    xml_put_attr(&b, "from", s->local ? str_of(s->local) : s->courier->domain);
    if (s->remote)
        xml_put_attr(&b, "to", str_of(s->remote));
    if (s->incoming)
        xml_put_attr(&b, "id", str_of(s->stream_id));
    BUF_LIT(&b, " version='1.0' xml:lang='en'>");
    s2s_write(s, buf_str(&b));
    buf_done(&b);
}

void s2s_end(struct s2s *s)
{
    if (s->closing)
        return;
    s->closing = true;
    if (s->opened)
        s2s_write(s, STR("</stream:stream>"));
    if (s->conn)
        conn_close(s->conn);
}

void s2s_fail(struct s2s *s, const char *condition)
{
    struct buf b;

    if (s->closing)
        return;
    metric_add(&stream_errors, 1);
    LOG_INFO("s2s.error", LF_I64("stream", (int64_t)s->id), LF_STR("remote", str_of(s->remote)),
             LF_Z("condition", condition));
    s2s_header(s);
    buf_init(&b, 0);
    buf_printf(&b, "<stream:error><%s xmlns='" NS_STREAM_ERRORS "'/></stream:error>", condition);
    s2s_write(s, buf_str(&b));
    buf_done(&b);
    s2s_end(s);
}

void s2s_restart(struct s2s *s)
{
    s->opened = false;
    xml_scan_init(&s->scan,
                  s->ready || s->authenticated ? s->courier->limits.stanza_bytes_max : S2S_EARLY_BYTES_MAX);
}

/* ---- names ---- */

bool s2s_prove_certificate(struct s2s *s, struct str remote)
{
    char ascii[256];

    return s->tls && s->conn && conn_tls(s->conn) && courier_ascii(remote, ascii) &&
           tls_peer_proves(conn_tls(s->conn), str_of(ascii), remote, "xmpp-server");
}

struct pair *s2s_pair(struct s2s *s, struct str local, struct str remote, bool make)
{
    struct pair *p;

    for (int i = 0; i < s->pair_count; i++)
        if (str_eq(str_of(s->pairs[i].local), local) && str_eq(str_of(s->pairs[i].remote), remote))
            return &s->pairs[i];
    if (!make || s->pair_count == S2S_PAIRS_MAX)
        return NULL;
    p = &s->pairs[s->pair_count++];
    *p = (struct pair){.local = str_dup(local), .remote = str_dup(remote)};
    return p;
}

void s2s_pair_proven(struct s2s *s, struct str local, struct str remote)
{
    struct pair *p = s2s_pair(s, local, remote, true);
    struct link *l;

    if (!p)
        return;
    p->proven = s->ready = true;
    s->scan.bytes_max = s->courier->limits.stanza_bytes_max;
    LOG_INFO("s2s.proven", LF_I64("stream", (int64_t)s->id), LF_STR("remote", remote),
             LF_STR("local", local));
    if (!s->bidi || s->carries)
        return;
    l = link_get(s->courier, local, remote);
    if (l && !l->bidi)
        link_ready(l, s);
}

static bool is_proven(struct s2s *s, struct str local, struct str remote)
{
    struct pair *p;

    if (!s->incoming)
        return s->ready && s->bidi && str_eq(remote, s->link->remote) && str_eq(local, s->link->local);
    p = s2s_pair(s, local, remote, false);
    if (p && p->proven)
        return true;
    /* a certificate proves the name whichever of our domains they write to */
    if (!s->ready || !s2s_prove_certificate(s, remote))
        return false;
    for (int i = 0; i < s->pair_count; i++)
        if (s->pairs[i].proven && str_eq(str_of(s->pairs[i].remote), remote)) {
            s2s_pair_proven(s, local, remote);
            return true;
        }
    return false;
}

/* ---- out: stanzas and their acknowledgement ---- */

static void ask_handled(struct s2s *s, struct link *l)
{
    struct buf b;

    if (s->sm_out) {
        if (!s->barrier) {
            s->barrier = s->sent;
            s->barrier_ms = loop_now_ms(s->courier->loop);
            s2s_write(s, STR("<r xmlns='" NS_SM "'/>"));
        }
        return;
    }
    if (s->barrier)
        return;
    memcpy(s->barrier_id, "bq-", 3);
    random_token(s->barrier_id + 3, 16);
    s->barrier = s->sent;
    s->barrier_ms = loop_now_ms(s->courier->loop);
    buf_init(&b, 0);
    BUF_LIT(&b, "<iq type='get'");
    xml_put_attr(&b, "from", l->local);
    xml_put_attr(&b, "to", l->remote);
    xml_put_attr(&b, "id", str_of(s->barrier_id));
    BUF_LIT(&b, "><ping xmlns='urn:xmpp:ping'/></iq>");
    s2s_write(s, buf_str(&b));
    buf_done(&b);
    s->sent++;
}

void s2s_carry(struct s2s *s, struct link *l)
{
    bool kept = false;

    if (!s->conn || s->closing)
        return;
    LIST_EACH(it, &l->items)
    {
        struct item *x = LIST_ITEM(it, struct item, in_link);

        if (x->stream || x->told)
            continue;
        if (conn_pending_bytes(s->conn) > S2S_SEND_BYTES_MAX || l->unacked >= LINK_UNACKED_MAX)
            break;
        s2s_write(s, str_make(x->text, x->len));
        metric_add(&stanzas_out, 1);
        s->used_ms = loop_now_ms(s->courier->loop);
        x->number = ++s->sent;
        link_sent(l, x, s->id);
        kept = true;
    }
    if (kept && l->unacked)
        ask_handled(s, l);
}

static void still_unacked(struct s2s *s)
{
    if (s->carries && s->carries->unacked && !s->closing)
        ask_handled(s, s->carries);
}

static void acked(struct s2s *s, const struct xml_node *n)
{
    uint64_t h;

    if (!s->sm_out || !str_to_u64(xml_attr(n, "h"), &h) || h > UINT32_MAX ||
        (int32_t)(s->sent - (uint32_t)h) < 0) {
        s2s_fail(s, "undefined-condition");
        return;
    }
    s->barrier = 0;
    if (s->carries)
        link_handled(s->carries, s, (uint32_t)h);
    if ((uint32_t)h != s->sent)
        still_unacked(s);
}

/* An answer to our ping: what went before it has been handled. */
static bool is_barrier(struct s2s *s, const struct xml_node *n, const struct jid *from, const struct jid *to)
{
    struct str id = xml_attr(n, "id"), type = xml_attr(n, "type");
    struct link *l;
    struct s2s *on;
    uint32_t upto;

    if (!str_is(n->name, "iq") || !str_starts(id, STR("bq-")) || to->local.len || from->local.len ||
        !(str_is(type, "result") || str_is(type, "error")))
        return false;
    l = link_find(s->courier, to->domain, from->domain);
    on = l ? l->carrier : NULL;
    if (!on || on->sm_out || !on->barrier || !str_eq(str_of(on->barrier_id), id))
        return true; /* a late one */
    upto = on->barrier;
    on->barrier = 0;
    l->barrier_misses = 0;
    link_handled(l, on, upto);
    still_unacked(on);
    return true;
}

void s2s_features_sm(struct s2s *s, const struct xml_node *features)
{
    s->may_sm |= xml_child(features, "sm", NS_SM) != NULL;
}

/* ---- in: stanzas ---- */

struct came {
    struct list in_stream;
    struct courier *courier;
    uint64_t stream;
    bool done;
    bool uncounted; /* came before acknowledging was switched on */
};

static void send_ack(struct s2s *s)
{
    char text[64];

    snprintf(text, sizeof text, "<a xmlns='" NS_SM "' h='%u'/>", (unsigned)s->handled);
    s2s_write(s, str_of(text));
}

static void go_on_reading(struct s2s *s)
{
    if (!s->held || s->rate_spent || s->came_count > S2S_WINDOW / 2 || !s->conn || s->closing)
        return;
    s->held = false;
    conn_resume(s->conn);
}

/* In the order in which they came. */
static void count_handled(struct s2s *s)
{
    while (!list_empty(&s->came)) {
        struct came *first = LIST_ITEM(s->came.next, struct came, in_stream);

        if (!first->done)
            break;
        list_remove(&first->in_stream);
        s->handled += !first->uncounted;
        free(first);
    }
    if (s->wants_ack && list_empty(&s->came) && !s->closing) {
        s->wants_ack = false;
        send_ack(s);
    }
}

static void came_done(void *arg, enum err e)
{
    struct came *m = arg;
    struct s2s *s = intmap_get(&m->courier->streams_by_id, (int64_t)m->stream); /* one that is closing too */

    (void)e; /* what talk refuses for good is handled too */
    m->done = true;
    if (!s) {
        free(m);
        return;
    }
    s->came_count--;
    count_handled(s);
    go_on_reading(s);
}

static void put_stanza(struct buf *b, const struct xml_node *n, const struct jid *from, const struct jid *to)
{
    buf_put_c(b, '<');
    buf_put_str(b, n->name);
    xml_put_attr(b, "from", from->full);
    xml_put_attr(b, "to", to->full);
    xml_put_attr(b, "id", xml_attr(n, "id"));
    xml_put_attr(b, "type", xml_attr(n, "type"));
    if (n->lang.len)
        xml_put_attr(b, "xml:lang", n->lang);
    buf_put_c(b, '>');
    for (const struct xml_node *x = xml_first(n); x; x = xml_next(x))
        xml_put_node(b, x, STR("jabber:client"));
    BUF_LIT(b, "</");
    buf_put_str(b, n->name);
    buf_put_c(b, '>');
}

static bool is_stanza(const struct xml_node *n)
{
    return str_is(n->ns, "jabber:client") &&
           (str_is(n->name, "message") || str_is(n->name, "presence") || str_is(n->name, "iq"));
}

static struct came *came_new(struct s2s *s)
{
    struct came *m = NEW(struct came);

    *m = (struct came){.courier = s->courier, .stream = s->id};
    list_append(&s->came, &m->in_stream);
    return m;
}

static void take(struct s2s *s, const struct xml_node *n, const struct jid *from, const struct jid *to)
{
    struct came *m = came_new(s);
    struct buf b;

    buf_init(&b, 0);
    put_stanza(&b, n, from, to);
    if (++s->came_count >= S2S_WINDOW && !s->held) {
        s->held = true;
        conn_pause(s->conn);
    }
    inward_give(s->courier, from->domain, buf_str(&b), came_done, m);
    buf_done(&b);
}

void s2s_stanza(struct s2s *s, const struct xml_node *n)
{
    struct arena *a = &s->courier->round;
    struct jid from, to;

    if (!is_stanza(n)) {
        s2s_fail(s, s->ready ? "unsupported-stanza-type" : "not-authorized");
        return;
    }
    metric_add(&stanzas_in, 1);
    s->used_ms = loop_now_ms(s->courier->loop);
    if (!xml_attr(n, "from").len || !xml_attr(n, "to").len ||
        jid_parse(a, xml_attr(n, "from"), &from) != OK || jid_parse(a, xml_attr(n, "to"), &to) != OK) {
        s2s_fail(s, "improper-addressing"); /* RFC 6120 §4.9.3.7 */
        return;
    }
    if (!courier_is_ours(s->courier, to.domain)) {
        s2s_fail(s, "host-unknown"); /* we are nobody's relay */
        return;
    }
    if (!is_proven(s, to.domain, from.domain)) {
        s2s_fail(s, s->ready ? "invalid-from" : "not-authorized");
        return;
    }
    if (!courier_may_speak(s->courier, from.domain)) {
        s2s_fail(s, "policy-violation");
        return;
    }
    if (is_barrier(s, n, &from, &to)) {
        came_new(s)->done = true;
        count_handled(s);
        return;
    }
    take(s, n, &from, &to);
}

/* ---- in: what is no stanza ---- */

static void count_from_here(struct s2s *s)
{
    s->sm_in = true;
    s->handled = 0;
    LIST_EACH(it, &s->came)
    LIST_ITEM(it, struct came, in_stream)->uncounted = true;
}

/* XEP-0198. On a stream of theirs we acknowledge, and on ours they do; what we send through theirs is
 * followed by pings. */
static bool sm_element(struct s2s *s, const struct xml_node *n)
{
    if (!str_is(n->ns, NS_SM))
        return false;
    if (str_is(n->name, "enable") && s->incoming) {
        if (!s->ready || s->sm_in) {
            s2s_write(s,
                      STR("<failed xmlns='" NS_SM "'><unexpected-request xmlns='" NS_STANZAS "'/></failed>"));
            return true;
        }
        count_from_here(s);
        s2s_write(s, STR("<enabled xmlns='" NS_SM "'/>"));
    } else if (str_is(n->name, "enabled") && s->asked_sm) {
        count_from_here(s);
        s->sm_out = true;
        s->barrier = 0;
        still_unacked(s);
    } else if (str_is(n->name, "failed")) {
        s->asked_sm = false;
    } else if (str_is(n->name, "r") && s->sm_in) {
        if (list_empty(&s->came))
            send_ack(s);
        else
            s->wants_ack = true;
    } else if (str_is(n->name, "a")) {
        acked(s, n);
    } else if (str_is(n->name, "resume")) {
        s2s_write(
            s, STR("<failed xmlns='" NS_SM "'><feature-not-implemented xmlns='" NS_STANZAS "'/></failed>"));
    }
    return true;
}

static void error_element(struct s2s *s, const struct xml_node *n)
{
    const struct xml_node *first = xml_first(n);
    char condition[64] = "";

    if (first)
        str_copy(first->name, condition, sizeof condition);
    LOG_INFO("s2s.ended", LF_I64("stream", (int64_t)s->id), LF_STR("remote", str_of(s->remote)),
             LF_Z("condition", condition));
    if (!s->why)
        s->why = ERR_CLOSED;
    s2s_end(s);
}

static void element(struct s2s *s, const struct xml_node *n)
{
    if (xml_is(n, "error", NS_STREAM))
        error_element(s, n);
    else if (sm_element(s, n) || dialback_element(s, n))
        return;
    else if (s->incoming)
        s2s_in_element(s, n);
    else
        s2s_out_element(s, n);
}

/* ---- bytes ---- */

static void scope_free(struct s2s *s)
{
    for (int i = 0; i < s->scope.prefix_count; i++) {
        free((char *)s->scope.prefixes[i].prefix.p);
        free((char *)s->scope.prefixes[i].ns.p);
    }
    s->scope = (struct xml_scope){0};
}

/* Stanzas of both namespaces are the same to us: inside, all is jabber:client. */
static void scope_take(struct s2s *s, const struct xml_scope *from)
{
    scope_free(s);
    s->scope.default_ns = STR("jabber:client");
    for (int i = 0; i < from->prefix_count; i++) {
        s->scope.prefixes[i].prefix =
            str_make(str_dup(from->prefixes[i].prefix), from->prefixes[i].prefix.len);
        s->scope.prefixes[i].ns = str_make(str_dup(from->prefixes[i].ns), from->prefixes[i].ns.len);
    }
    s->scope.prefix_count = from->prefix_count;
}

static void opened(struct s2s *s, struct str bytes)
{
    struct xml_scope scope;
    struct xml_node *open;
    enum xml_fault f = xml_parse_open(&s->courier->round, bytes, &scope, &open);
    struct str version = f ? STR_NULL : xml_attr(open, "version");

    if (f)
        s2s_fail(s, xml_fault_condition(f));
    else if (!xml_is(open, "stream", NS_STREAM) || !str_is(scope.default_ns, NS_SERVER))
        s2s_fail(s, "invalid-namespace");
    else if (!str_starts(version, STR("1.")))
        s2s_fail(s, "unsupported-version");
    else {
        scope_take(s, &scope);
        if (s->incoming)
            s2s_in_opened(s, open);
        else
            s2s_out_opened(s, open);
    }
}

/* Some servers say jabber:server on each stanza. */
static struct str without_server_ns(struct s2s *s, struct str bytes)
{
    static const char *const forms[] = {"xmlns='" NS_SERVER "'", "xmlns=\"" NS_SERVER "\""};
    const char *end = memchr(bytes.p, '>', bytes.len);
    struct str copy = arena_str(&s->courier->round, bytes);

    for (int i = 0; end && i < 2; i++) {
        char *at = memmem(copy.p, (size_t)(end - bytes.p), forms[i], strlen(forms[i]));

        if (at)
            memset(at, ' ', strlen(forms[i]));
    }
    return copy;
}

static void piece(struct s2s *s, const struct xml_piece *p, struct str bytes)
{
    struct xml_node *n;
    enum xml_fault f;

    switch (p->kind) {
    case XML_PIECE_OPEN:
        opened(s, bytes);
        return;
    case XML_PIECE_ELEMENT:
        f = xml_parse(&s->courier->round, bytes, &s->scope, &n);
        if (!f && str_is(n->ns, NS_SERVER))
            f = xml_parse(&s->courier->round, without_server_ns(s, bytes), &s->scope, &n);
        if (f)
            s2s_fail(s, xml_fault_condition(f));
        else
            element(s, n);
        return;
    case XML_PIECE_CLOSE:
        s2s_end(s);
        return;
    case XML_PIECE_FAULT:
        s2s_fail(s, xml_fault_condition(p->fault));
        return;
    default:
        return;
    }
}

static void spend(struct s2s *s, size_t bytes)
{
    s->rate_stanzas--;
    s->rate_bytes -= (int32_t)bytes;
    if ((s->rate_stanzas > 0 && s->rate_bytes > 0) || s->rate_spent)
        return;
    metric_add(&rate_limited, 1);
    s->rate_spent = true;
    if (!s->held)
        conn_pause(s->conn);
    s->held = true;
}

static size_t on_data(void *arg, struct conn *conn, struct str in)
{
    struct s2s *s = arg;
    size_t used = 0;

    s->heard_ms = loop_now_ms(s->courier->loop);
    while (!s->held && !s->closing && s->conn == conn && !s->tls_starting) {
        struct xml_piece p = xml_scan(&s->scan, str_make(in.p + used, in.len - used));

        if (p.kind == XML_PIECE_NONE)
            break;
        piece(s, &p, str_make(in.p + used, p.bytes));
        used += p.bytes;
        arena_reset(&s->courier->round);
        if (!s->closing && s->conn == conn && p.kind == XML_PIECE_ELEMENT)
            spend(s, p.bytes);
    }
    return used;
}

static void on_tls_ready(void *arg, struct conn *conn)
{
    struct s2s *s = arg;

    (void)conn;
    s->tls = true;
    s->tls_starting = false;
    if (!s->incoming)
        s2s_out_tls_ready(s);
}

static void on_writable(void *arg, struct conn *conn)
{
    struct s2s *s = arg;

    (void)conn;
    if (s->carries && s->ready)
        link_go(s->carries);
}

static void address_leave(struct courier *c, struct str key)
{
    int *count = strmap_get(&c->addresses, key);

    if (count && --*count == 0) {
        strmap_del(&c->addresses, key);
        free(count);
    }
}

static void s2s_free(struct s2s *s)
{
    struct courier *c = s->courier;

    list_remove(&s->in_courier);
    intmap_del(&c->streams_by_id, (int64_t)s->id);
    if (s->incoming)
        c->stream_count--;
    metric_add(s->incoming ? &streams_in : &streams_out, -1);
    LIST_EACH(it, &s->came)
    {
        struct came *m = LIST_ITEM(it, struct came, in_stream);

        list_remove(&m->in_stream); /* came_done frees it, unless it is done and stood behind another */
        if (m->done)
            free(m);
    }
    if (s->peer_key[0])
        address_leave(c, str_of(s->peer_key));
    for (int i = 0; i < s->pair_count; i++) {
        free(s->pairs[i].local);
        free(s->pairs[i].remote);
    }
    scope_free(s);
    free(s->local);
    free(s->remote);
    free(s->stream_id);
    loop_free_later(c->loop, s);
}

static void on_closed(void *arg, struct conn *conn, enum err why)
{
    struct s2s *s = arg;
    struct link *l = s->incoming ? s->carries : s->link;
    bool worked = s->ready;
    enum err e = s->why ? s->why : why ? why : ERR_CLOSED;

    (void)conn;
    s->conn = NULL;
    s->closing = true;
    if (!s->incoming && s->tried_external && !s->authenticated)
        s->link->no_external = true;
    if (!s->incoming && !worked)
        LOG_INFO("s2s.failed", LF_STR("remote", str_of(s->remote)), LF_ERR(e));
    if (l)
        link_lost(l, s, worked ? OK : e);
    s2s_free(s);
}

const struct conn_handlers s2s_handlers = {
    .data = on_data,
    .tls_ready = on_tls_ready,
    .writable = on_writable,
    .closed = on_closed,
};

static size_t ignored(void *arg, struct conn *conn, struct str in)
{
    (void)arg;
    (void)conn;
    return in.len;
}

static void silent(void *arg, struct conn *conn, enum err why)
{
    (void)arg;
    (void)conn;
    (void)why;
}

static const struct conn_handlers silent_handlers = {.data = ignored, .closed = silent};

/* ---- life ---- */

struct s2s *s2s_find(struct courier *c, uint64_t id)
{
    struct s2s *s = intmap_get(&c->streams_by_id, (int64_t)id);

    return s && s->conn && !s->closing ? s : NULL;
}

struct s2s *s2s_new(struct courier *c, bool incoming)
{
    struct s2s *s = NEW(struct s2s);

    s->courier = c;
    s->incoming = incoming;
    s->id = ++c->last_stream_id;
    s->heard_ms = s->made_ms = s->used_ms = loop_now_ms(c->loop);
    s->rate_stanzas = c->limits.stanzas_per_second_max;
    s->rate_bytes = c->limits.bytes_per_second_max;
    list_init(&s->came);
    xml_scan_init(&s->scan, S2S_EARLY_BYTES_MAX);
    list_append(&c->streams, &s->in_courier);
    intmap_put(&c->streams_by_id, (int64_t)s->id, s);
    if (incoming)
        c->stream_count++;
    metric_add(incoming ? &streams_in : &streams_out, 1);
    return s;
}

void s2s_discard(struct s2s *s)
{
    s2s_free(s);
}

/* What was sent is not known to have arrived: it is sent again on another stream, unless that server answers
 * no pings at all. */
static void barrier_late(struct s2s *s)
{
    struct link *l = s->carries;
    uint32_t upto = s->barrier;

    if (!l || s->sm_out || ++l->barrier_misses < 3) {
        s->why = ERR_TIMEOUT;
        s2s_end(s);
        return;
    }
    s->barrier = 0;
    link_handled(l, s, upto);
}

void s2s_tick(struct s2s *s)
{
    const struct courier_limits *m = &s->courier->limits;
    int64_t now = loop_now_ms(s->courier->loop);

    s->rate_stanzas = m->stanzas_per_second_max;
    s->rate_bytes = m->bytes_per_second_max;
    if (s->rate_spent) {
        s->rate_spent = false;
        go_on_reading(s);
    }
    if (s->closing || !s->conn)
        return;
    if (!s->ready && now - s->made_ms > m->login_ms_max && !(s->link && s->link->verify_count)) {
        s->why = ERR_TIMEOUT;
        s2s_fail(s, "connection-timeout");
    } else if (s->barrier && now - s->barrier_ms > S2S_BARRIER_MS) {
        barrier_late(s);
    } else if (s->ready && now - s->used_ms > m->idle_ms_max && !s->came_count &&
               !(s->carries && s->carries->unacked)) {
        s2s_end(s);
    }
}

void s2s_free_all(struct courier *c)
{
    LIST_EACH(it, &c->streams)
    {
        struct s2s *s = LIST_ITEM(it, struct s2s, in_courier);
        struct conn *conn = s->conn;

        s->conn = NULL;
        if (conn) {
            conn_set_handlers(conn, &silent_handlers, NULL);
            conn_abort(conn, ERR_CLOSED);
        }
        s2s_free(s);
    }
}
