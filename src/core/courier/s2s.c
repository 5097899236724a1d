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
METRIC_COUNTER(stream_errors, "bongsu_courier_stream_errors", "Streams with other servers that we ended with an error.");
METRIC_COUNTER(rate_limited, "bongsu_courier_rate_limited", "Times another server was slowed down for sending too much.");

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
    BUF_LIT(&b, "<?xml version='1.0'?><stream:stream xmlns='" NS_SERVER "' xmlns:db='" NS_DIALBACK "' xmlns:stream='" NS_STREAM "'");
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
    LOG_INFO("s2s.error", LF_I64("stream", (int64_t)s->id), LF_STR("remote", str_of(s->remote)), LF_Z("condition", condition));
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
    xml_scan_init(&s->scan, s->ready || s->authenticated ? s->courier->limits.stanza_bytes_max : S2S_EARLY_BYTES_MAX);
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
    *p = (struct pair){ .local = str_dup(local), .remote = str_dup(remote) };
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
    LOG_INFO("s2s.proven", LF_I64("stream", (int64_t)s->id), LF_STR("remote", remote), LF_STR("local", local));
    l = link_find(s->courier, local, remote);
    if (l)
        link_wake(l);
    if (!s->bidi || s->carries)
        return;
    l = link_get(s->courier, local, remote);
    if (l && !l->bidi)
        link_ready(l, s);
}

bool s2s_is_proven(struct s2s *s, struct str local, struct str remote)
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

/* ---- in: what is no stanza ---- */

static void error_element(struct s2s *s, const struct xml_node *n)
{
    const struct xml_node *first = xml_first(n);
    char                   condition[64] = "";

    if (first)
        str_copy(first->name, condition, sizeof condition);
    LOG_INFO("s2s.ended", LF_I64("stream", (int64_t)s->id), LF_STR("remote", str_of(s->remote)), LF_Z("condition", condition));
    if (!s->why)
        s->why = ERR_CLOSED;
    s2s_end(s);
}

static void element(struct s2s *s, const struct xml_node *n)
{
    if (xml_is(n, "error", NS_STREAM))
        error_element(s, n);
    else if (s2s_sm_element(s, n) || dialback_element(s, n))
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
    s->scope = (struct xml_scope){ 0 };
}

/* Stanzas of both namespaces are the same to us: inside, all is jabber:client. */
static void scope_take(struct s2s *s, const struct xml_scope *from)
{
    scope_free(s);
    s->scope.default_ns = STR("jabber:client");
    for (int i = 0; i < from->prefix_count; i++) {
        s->scope.prefixes[i].prefix = str_make(str_dup(from->prefixes[i].prefix), from->prefixes[i].prefix.len);
        s->scope.prefixes[i].ns = str_make(str_dup(from->prefixes[i].ns), from->prefixes[i].ns.len);
    }
    s->scope.prefix_count = from->prefix_count;
}

static void opened(struct s2s *s, struct str bytes)
{
    struct xml_scope scope;
    struct xml_node *open;
    enum xml_fault   f = xml_parse_open(&s->courier->round, bytes, &scope, &open);
    struct str       version = f ? STR_NULL : xml_attr(open, "version");

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
    static const char *const forms[] = { "xmlns='" NS_SERVER "'", "xmlns=\"" NS_SERVER "\"" };
    const char              *end = memchr(bytes.p, '>', bytes.len);
    struct str               copy = arena_str(&s->courier->round, bytes);

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
    enum xml_fault   f;

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
    size_t      used = 0;

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
    s2s_came_forget(s);
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
    struct s2s  *s = arg;
    struct link *l = s->incoming ? s->carries : s->link;
    bool         worked = s->ready;
    enum err     e = s->why ? s->why : why ? why : ERR_CLOSED;

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

static const struct conn_handlers silent_handlers = { .data = ignored, .closed = silent };

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
    s->made_ms = s->used_ms = loop_now_ms(c->loop);
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
    uint32_t     upto = s->barrier;

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
    int64_t                      now = loop_now_ms(s->courier->loop);

    s->rate_stanzas = m->stanzas_per_second_max;
    s->rate_bytes = m->bytes_per_second_max;
    if (s->rate_spent) {
        s->rate_spent = false;
        s2s_go_on(s);
    }
    if (s->closing || !s->conn)
        return;
    if (!s->ready && now - s->made_ms > m->login_ms_max && !(s->link && s->link->verify_count)) {
        s->why = ERR_TIMEOUT;
        s2s_fail(s, "connection-timeout");
    } else if (s->barrier && now - s->barrier_ms > S2S_BARRIER_MS) {
        barrier_late(s);
    } else if (s->ready && now - s->used_ms > m->idle_ms_max && !s->came_count && !(s->carries && s->carries->unacked)) {
        s2s_end(s);
    }
}

void s2s_free_all(struct courier *c)
{
    LIST_EACH(it, &c->streams) {
        struct s2s  *s = LIST_ITEM(it, struct s2s, in_courier);
        struct conn *conn = s->conn;

        s->conn = NULL;
        if (conn) {
            conn_set_handlers(conn, &silent_handlers, NULL);
            conn_abort(conn, ERR_CLOSED);
        }
        s2s_free(s);
    }
}
