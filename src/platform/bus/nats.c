/* nats.c: the bus between machines: a client of NATS (its text protocol) on our own loop.
 *
 * Why not libnats (3.4.1, Debian's), which was to stand here: with 200-byte payloads at 10,000 a second through one
 * nats-server, receiving cost 6 to 14 us of CPU a message with its threads and 7 us on our loop (its deliveries come from a
 * thread of its own all the same), against 1.2 us here; p50 0.56 ms with its flusher, 0.11 ms sent at once, 0.06 ms here
 * (bench/README.md). On a loop it waits inside a read until a whole TLS record is there; it holds its lock while it
 * connects, so a publish meanwhile waits up to the connect timeout; and it cannot hold two servers to go home without a gap.
 *
 *   dialling ──INFO──▶ (TLS) ──CONNECT, PING──▶ greeting ──PONG──▶ subscribing ──all known──▶ ready
 *       ▲                                                                                      │
 *       └─────────── next server ◀── way_closed: hang-up, silence, error ◀─────────────────────┘
 *
 * One way (connection) is in use, `now`. While it leads to a farther server, a second one, `home`, is tried every few
 * seconds; when it is ready and the moment is calm they change places, and the old one stays for answers under way.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "bus/inner.h"
#include "bus/nats_wire.h"
#include "crypto/digest.h"
#include "net/conn.h"
#include "wire/json.h"

METRIC_GAUGE(connected_now, "bongsu_bus_nats_connected", "1 while there is a connection to a NATS server.");
METRIC_GAUGE(server_now, "bongsu_bus_nats_server", "Which server of the list it is, 1 being the nearest; 0: none.");
METRIC_COUNTER(breaks, "bongsu_bus_nats_breaks", "Connections to NATS that were lost.");
METRIC_COUNTER(published, "bongsu_bus_nats_published", "Events published over NATS.");
METRIC_COUNTER(received, "bongsu_bus_nats_received", "Events received over NATS.");
METRIC_COUNTER_L(dropped_away, "bongsu_bus_nats_dropped", "Events that were not sent or not taken.", "reason=\"disconnected\"");
METRIC_COUNTER_L(dropped_full, "bongsu_bus_nats_dropped", "Events that were not sent or not taken.", "reason=\"full\"");
METRIC_COUNTER_L(dropped_bad, "bongsu_bus_nats_dropped", "Events that were not sent or not taken.", "reason=\"malformed\"");

enum {
    SERVERS_MAX = 16,
    PING_MS = 200,                  /* and two unanswered: a frozen server is noticed within 0.6 s, a dead one at once. Half of
                                       that took busy servers for frozen, and each break costs reading the log */
    PING_OUT_MAX = 2,
    CONNECT_MS = 200,               /* for each step of connecting */
    GREET_FACTOR = 5,               /* TLS and log-in may take this much longer: a certificate costs CPU on both sides */
    RECONNECT_MS = 20,              /* between rounds through the list; doubles per round */
    RECONNECT_MS_MAX = 250,
    SETTLE_MS = 30,                 /* until the other servers of the cluster know our subscriptions too */
    HOME_MS = 4000,                 /* between tries of a nearer server; up to half more */
    CALM_MS = 20,                   /* nothing published for so long is a calm moment … */
    CALM_TRIES_MAX = 250,           /* … that is not waited for longer than this many times */
    COMPLAIN_MS = 10000,            /* between log lines of what a server does not like */
    LEAVING_MS = 1000,              /* how long the way that was left still brings answers */
    SUBS_AT_ONCE = 1024,            /* unconfirmed changes; a server busy with many more does not answer pings in time … */
    BUSY_FACTOR = 5,                /* … and while it is busy with them its silence may take this much longer */
    SID_INBOX = 1,                  /* a topic's is its id plus this */
};

enum way_state { WAY_DIALLING, WAY_GREETING, WAY_SUBSCRIBING, WAY_READY };

struct server { char *address; char *host; };

struct way {
    struct nats   *nats;
    struct conn   *conn;
    int            server, slot;
    enum way_state state;
    bool           tls_asked;
    struct timer   timer;           /* the step's deadline, then the next ping */
    uint64_t       pings, pongs;
    bool           heard;           /* since the last ping */
    int            silent;          /* pings in a row without a sign of life */
    int            subs_unknown;    /* SUB and UNSUB sent and not confirmed */
    uint64_t       subs_ping;       /* this pong confirms them; 0: none under way */
    struct list    queued;          /* bus_topic: to be subscribed */
    struct buf     gone;            /* int64: topics to be unsubscribed */
    size_t         payload_bytes_max;
    const char    *why;             /* it ends, if we know; borrowed literal */
};

struct nats {
    struct bus        *bus;
    struct server      servers[SERVERS_MAX];
    int                server_count;
    char              *user, *password;
    struct tls_ctx    *tls;         /* NULL: none */
    struct conn_limits limits;
    int                ping_ms, ping_out_max, reconnect_ms, connect_ms;
    char               inbox[64];   /* "_INBOX.<instance>." */
    struct way        *now, *home, *leaving;
    int                tried, failed;   /* servers tried in this round; the one not to begin with, -1: none */
    int                round_ms;
    bool               told_down;   /* the log has said that nobody is there */
    struct timer       dial, settle, home_try, calm;
    int                calm_tries, home_tries;
    int64_t            complained_ms;
    int64_t            published_ms;
};

static struct nats *nats_of(const struct bus *b)
{
    return b->own;
}

/* Up to half more, so that those who lost a server together do not all come back together. */
static int jittered(int ms)
{
    uint32_t r;

    random_bytes(&r, sizeof r);
    return ms + (int)(r % (uint32_t)(ms / 2 + 1));
}

/* ---- writing ---- */

static enum err way_write(struct way *w, struct str bytes)
{
    if (conn_pending_bytes(w->conn) + bytes.len > BUS_OUT_BYTES_MAX)
        return ERR_LIMIT;
    return conn_write(w->conn, bytes);
}

static void way_ping(struct way *w)
{
    if (conn_write(w->conn, STR("PING\r\n")) == OK)
        w->pings++;
}

static void way_end(struct way *w, enum err e, const char *why)
{
    if (!w->why)
        w->why = why;
    conn_abort(w->conn, e);
}

/* PUB subject [reply] bytes, and our envelope. */
static enum err send_enveloped(struct nats *n, struct way *w, const char *subject, const char *reply, const struct envelope *env)
{
    struct buf *b = &n->bus->scratch, head;
    enum err e;

    if (!w || w->state < WAY_SUBSCRIBING)
        return ERR_UNAVAILABLE;
    if (env->payload.len + ENVELOPE_BYTES_MAX > w->payload_bytes_max)
        return ERR_LIMIT;
    buf_init(&head, ENVELOPE_BYTES_MAX);
    envelope_put_head(&head, env);
    assert(!head.overflow);
    buf_clear(b);
    BUF_LIT(b, "PUB ");
    buf_put_z(b, subject);
    buf_put_c(b, ' ');
    if (reply) {
        buf_put_z(b, reply);
        buf_put_c(b, ' ');
    }
    buf_put_u64(b, head.len + env->payload.len);
    BUF_LIT(b, "\r\n");
    buf_put_str(b, buf_str(&head));
    buf_put_str(b, env->payload);
    BUF_LIT(b, "\r\n");
    e = way_write(w, buf_str(b));
    buf_done(&head);
    bus_scratch_shrink(n->bus);
    return e == ERR_CLOSED ? ERR_UNAVAILABLE : e;
}

static enum err nats_ask(struct bus *b, int64_t id, const char *subject, struct str payload)
{
    struct nats *n = nats_of(b);
    char reply[NATS_REPLY_BYTES_MAX];

    snprintf(reply, sizeof reply, "%s%lld", n->inbox, (long long)id);
    return send_enveloped(n, n->now, subject, reply,
                          &(struct envelope){ .kind = FRAME_ASK, .role = str_of(b->role), .payload = payload });
}

static void nats_answer(struct bus *b, struct str reply_to, enum err e, struct str payload)
{
    struct nats *n = nats_of(b);
    char subject[NATS_REPLY_BYTES_MAX + 1];
    struct envelope env = { .kind = FRAME_ANSWER, .error = e, .role = str_of(b->role), .payload = payload };

    if (!str_copy(reply_to, subject, sizeof subject))
        return;
    if (send_enveloped(n, n->now, subject, NULL, &env) != ERR_LIMIT)
        return;
    env.error = ERR_LIMIT;          /* too large to travel: the asker learns that much */
    env.payload = STR_NULL;
    send_enveloped(n, n->now, subject, NULL, &env);
}

static enum err nats_publish(struct bus *b, const char *subject, struct str payload)
{
    struct nats *n = nats_of(b);
    enum err e = send_enveloped(n, n->now, subject, NULL,
                                &(struct envelope){ .kind = FRAME_EVENT, .role = str_of(b->role), .payload = payload });

    metric_add(e == OK ? &published : e == ERR_LIMIT ? &dropped_full : &dropped_away, 1);
    n->published_ms = loop_now_ms(b->loop);
    return e;
}

/* ---- subscriptions ---- */

/* What we call "a.*" is "a.>" to NATS. Those that serve a subject share the work. */
static void way_sub(struct way *w, struct bus_topic *t)
{
    struct str subject = str_of(t->subject);
    bool wild = str_ends(subject, STR(".*"));
    char line[BUS_SUBJECT_BYTES_MAX + 64];

    if (wild)
        subject.len--;
    snprintf(line, sizeof line, "SUB %.*s%s%s %lld\r\n", STR_ARG(subject), wild ? ">" : "", t->serve ? " serve" : "",
             (long long)(t->id + SID_INBOX));
    conn_write(w->conn, str_of(line));
    t->known[w->slot] = true;
    w->subs_unknown++;
}

static void way_ready(struct way *w);

static void way_unsub(struct way *w, int64_t id)
{
    char line[64];

    snprintf(line, sizeof line, "UNSUB %lld\r\n", (long long)(id + SID_INBOX));
    conn_write(w->conn, str_of(line));
    w->subs_unknown++;
}

static void way_pump_gone(struct way *w)
{
    size_t done = 0;

    for (; done < w->gone.len && w->subs_unknown < SUBS_AT_ONCE; done += sizeof(int64_t)) {
        int64_t id;

        memcpy(&id, w->gone.p + done, sizeof id);
        way_unsub(w, id);
    }
    buf_consume(&w->gone, done);
}

/* Tells the server what is queued, not too much at once. While subscribing, a last pong tells that all is known. */
static void way_pump(struct way *w)
{
    way_pump_gone(w);
    while (!list_empty(&w->queued) && w->subs_unknown < SUBS_AT_ONCE) {
        struct bus_topic *t = LIST_ITEM(w->queued.next, struct bus_topic, queued[w->slot]);

        list_remove(w->queued.next);
        way_sub(w, t);
    }
    if (w->subs_ping || (w->subs_unknown < SUBS_AT_ONCE && w->state != WAY_SUBSCRIBING))
        return;
    way_ping(w);
    w->subs_ping = w->pings;
}

static void way_pong(struct way *w)
{
    w->pongs++;
    if (!w->subs_ping || w->pongs < w->subs_ping)
        return;
    w->subs_ping = 0;
    w->subs_unknown = 0;
    if (w->state == WAY_SUBSCRIBING && list_empty(&w->queued))
        way_ready(w);
    else
        way_pump(w);
}

static void way_queue(struct way *w, struct bus_topic *t)
{
    list_append(&w->queued, &t->queued[w->slot]);
}

static void way_queue_all(struct way *w, const struct strmap *m)
{
    struct str subject;
    size_t it = 0;
    void *t;

    while (strmap_next(m, &it, &subject, &t))
        way_queue(w, t);
}

static void topic_added(struct bus *b, struct bus_topic *t)
{
    struct nats *n = nats_of(b);
    struct way *ways[] = { n->now, n->home };

    intmap_put(&b->by_id, t->id, t);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (ways[i] && ways[i]->state >= WAY_SUBSCRIBING) {
            way_queue(ways[i], t);
            way_pump(ways[i]);
        }
}

static void topic_gone(struct bus *b, struct bus_topic *t)
{
    struct nats *n = nats_of(b);
    struct way *ways[] = { n->now, n->home, n->leaving };

    intmap_del(&b->by_id, t->id);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        if (!ways[i])
            continue;
        list_remove(&t->queued[ways[i]->slot]);
        if (!t->known[ways[i]->slot])
            continue;
        buf_put(&ways[i]->gone, &t->id, sizeof t->id);
        way_pump(ways[i]);
    }
}

/* The way is gone: its slot is free for the next. */
static void topics_forget(const struct strmap *m, int slot)
{
    struct str subject;
    size_t it = 0;
    void *v;

    while (strmap_next(m, &it, &subject, &v)) {
        struct bus_topic *t = v;

        list_remove(&t->queued[slot]);
        t->known[slot] = false;
    }
}

/* ---- what comes ---- */

static void came_answer(struct nats *n, const struct nats_op *op)
{
    struct str id_text = op->subject;
    struct envelope env;
    int64_t id;

    if (!str_starts(id_text, str_of(n->inbox)))
        return;
    id_text.p += strlen(n->inbox);
    id_text.len -= strlen(n->inbox);
    if (!str_to_i64(id_text, &id))
        return;
    if (op->status == 503)
        bus_answered(n->bus, id, ERR_UNAVAILABLE, STR_NULL);
    else if (envelope_read(op->payload, &env) == OK && env.kind == FRAME_ANSWER)
        bus_answered(n->bus, id, env.error, env.payload);
    else
        metric_add(&dropped_bad, 1);    /* the asker's time-out follows */
}

/* A reply subject goes into a line of the protocol: letters, digits and dots only. */
static bool reply_is_valid(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] <= ' ' || s.p[i] >= 0x7f || s.p[i] == '*' || s.p[i] == '>')
            return false;
    return s.len > 0;
}

static void came_msg(struct way *w, const struct nats_op *op)
{
    struct nats *n = w->nats;
    struct bus_topic *t;
    struct envelope env;

    if (op->sid == SID_INBOX) {
        came_answer(n, op);
        return;
    }
    t = op->sid <= INT64_MAX ? intmap_get(&n->bus->by_id, (int64_t)op->sid - SID_INBOX) : NULL;
    if (!t)
        return;                     /* unsubscribed a moment ago */
    if (!subject_is_valid(op->subject, false) || envelope_read(op->payload, &env) != OK
        || env.kind != (t->serve ? FRAME_ASK : FRAME_EVENT) || (t->serve && !reply_is_valid(op->reply))) {
        metric_add(&dropped_bad, 1);
        return;
    }
    if (t->serve) {
        bus_asked(n->bus, t, env.role, op->reply, op->subject, env.payload);
    } else if (w == n->now) {       /* two ways bring each event twice */
        metric_add(&received, 1);
        bus_event(t, op->subject, env.payload);
    }
}

static void send_connect(struct way *w)
{
    struct nats *n = w->nats;
    char name[BUS_ROLE_BYTES_MAX + 16];
    struct buf text, line;
    json_t *j;

    snprintf(name, sizeof name, "bongsu-%s", n->bus->role);
    j = json_pack("{s:b,s:b,s:b,s:b,s:b,s:i,s:b,s:s,s:s,s:s}", "verbose", 0, "pedantic", 0, "echo", 0, "headers", 1,
                  "no_responders", 1, "protocol", 1, "tls_required", n->tls != NULL, "lang", "c", "version", BONGSU_VERSION,
                  "name", name);
    if (n->user)
        json_object_set_new(j, "user", json_string(n->user));
    if (n->password)
        json_object_set_new(j, "pass", json_string(n->password));
    buf_init(&text, NATS_LINE_BYTES_MAX);
    buf_init(&line, NATS_LINE_BYTES_MAX);
    json_write(&text, j);
    json_decref(j);
    buf_put_z(&line, "CONNECT ");
    buf_put_str(&line, buf_str(&text));
    BUF_LIT(&line, "\r\n");
    conn_write(w->conn, buf_str(&line));
    mem_wipe(text.p, text.len);
    mem_wipe(line.p, line.len);
    buf_done(&text);
    buf_done(&line);
}

static void deadline(struct timer *t)
{
    way_end(LIST_ITEM(t, struct way, timer), ERR_TIMEOUT, "it does not answer");
}

static void greet(struct way *w)
{
    w->state = WAY_GREETING;
    send_connect(w);
    way_ping(w);
    timer_start(w->nats->bus->loop, &w->timer, w->nats->connect_ms * GREET_FACTOR, deadline);
}

static void came_info(struct way *w, struct str text)
{
    struct nats *n = w->nats;
    struct arena a;
    json_t *info;
    int64_t max = 0;
    bool required, leaving;

    arena_init(&a);
    if (json_read(&a, text, NATS_LINE_BYTES_MAX, &info, NULL) != OK) {
        arena_done(&a);
        way_end(w, ERR_INVALID, "it is no NATS server");
        return;
    }
    arena_done(&a);
    json_get_i64(info, "max_payload", &max);
    required = json_is_true(json_object_get(info, "tls_required")) || json_is_true(json_object_get(info, "tls_available"));
    leaving = json_is_true(json_object_get(info, "ldm"));
    json_decref(info);
    if (max > ENVELOPE_BYTES_MAX)
        w->payload_bytes_max = (size_t)max;
    if (leaving)
        way_end(w, ERR_UNAVAILABLE, "it is about to stop");
    if (w->state != WAY_DIALLING || w->tls_asked)
        return;
    if (!n->tls) {
        greet(w);
        return;
    }
    if (!required) {
        way_end(w, ERR_DENIED, "it offers no TLS");
        return;
    }
    w->tls_asked = true;
    timer_start(n->bus->loop, &w->timer, n->connect_ms * GREET_FACTOR, deadline);
    conn_start_tls(w->conn, n->tls, false, str_of(n->servers[w->server].host));
}

static void came_err(struct way *w, struct str text)
{
    struct nats *n = w->nats;
    int64_t now_ms = loop_now_ms(n->bus->loop);

    if (!n->complained_ms || now_ms - n->complained_ms > COMPLAIN_MS) {
        LOG_WARN("nats.refused", LF_Z("server", n->servers[w->server].address), LF_STR("why", text));
        n->complained_ms = now_ms;
    }
    if (w->state < WAY_SUBSCRIBING)
        way_end(w, ERR_DENIED, "it refuses us");
}

static void subscribing(struct way *w);

static void came(struct way *w, const struct nats_op *op)
{
    switch (op->kind) {
    case NATS_INFO:
        came_info(w, op->text);
        break;
    case NATS_MSG:
        came_msg(w, op);
        break;
    case NATS_PING:
        conn_write(w->conn, STR("PONG\r\n"));
        break;
    case NATS_PONG:
        way_pong(w);
        if (w->state == WAY_GREETING)
            subscribing(w);
        break;
    case NATS_ERR:
        came_err(w, op->text);
        break;
    case NATS_OK:
        break;
    }
}

static size_t way_data(void *arg, struct conn *c, struct str in)
{
    struct way *w = arg;
    size_t done = 0;

    w->heard = true;
    while (!conn_is_closing(c)) {
        bool plain_tls = w->tls_asked && !conn_tls(c);
        struct nats_op op;
        size_t used;
        enum err e = plain_tls ? ERR_AGAIN : nats_read(str_make(in.p + done, in.len - done), &op, &used);

        if (e == ERR_AGAIN)
            break;
        if (e) {
            way_end(w, e, "what it says cannot be understood");
            break;
        }
        done += used;
        came(w, &op);
    }
    return done;
}

/* ---- the life of a way ---- */

static void tell_whole(struct timer *t)
{
    struct nats *n = LIST_ITEM(t, struct nats, settle);

    bus_break(n->bus, true);
}

static void home_later(struct nats *n);
static void calm(struct timer *t);

static void way_ready(struct way *w)
{
    struct nats *n = w->nats;

    w->state = WAY_READY;
    if (w == n->now) {
        timer_start(n->bus->loop, &n->settle, SETTLE_MS, tell_whole);
    } else if (w == n->home) {
        n->calm_tries = 0;
        timer_start(n->bus->loop, &n->calm, SETTLE_MS, calm);
    }
}

static void ping_due(struct timer *t)
{
    struct way *w = LIST_ITEM(t, struct way, timer);
    struct nats *n = w->nats;

    w->silent = w->heard ? 0 : w->silent + 1;
    w->heard = false;
    if (w->silent >= n->ping_out_max * (w->subs_ping ? BUSY_FACTOR : 1)) {
        way_end(w, ERR_TIMEOUT, "it is silent");
        return;
    }
    way_ping(w);
    timer_start(n->bus->loop, &w->timer, n->ping_ms, ping_due);
}

/* `w` has become the way in use. */
static void in_use(struct nats *n, struct way *w)
{
    n->now = w;
    n->bus->connected = true;
    n->tried = 0;
    n->failed = -1;
    n->round_ms = n->reconnect_ms;
    n->home_tries = 0;
    n->told_down = false;
    metric_set(&connected_now, 1);
    metric_set(&server_now, w->server + 1);
    LOG_INFO("nats.connected", LF_Z("server", n->servers[w->server].address));
    home_later(n);
}

static void subscribing(struct way *w)
{
    struct nats *n = w->nats;
    char line[128];

    w->state = WAY_SUBSCRIBING;
    w->silent = 0;
    timer_start(n->bus->loop, &w->timer, n->ping_ms, ping_due);
    snprintf(line, sizeof line, "SUB %s* %d\r\n", n->inbox, SID_INBOX);
    conn_write(w->conn, str_of(line));
    way_queue_all(w, &n->bus->serves);
    way_queue_all(w, &n->bus->topics);
    way_pump(w);
    if (w == n->now)
        in_use(n, w);
}

static void dial_next(struct nats *n);

static void now_lost(struct nats *n, struct way *w)
{
    bool was_whole = n->bus->whole, was_connected = n->bus->connected;

    timer_stop(n->bus->loop, &n->settle);
    timer_stop(n->bus->loop, &n->home_try);
    n->bus->connected = false;
    metric_set(&connected_now, 0);
    metric_set(&server_now, 0);
    if (was_connected) {
        metric_add(&breaks, 1);
        n->failed = w->server;
        n->tried = 0;
    }
    timer_stop(n->bus->loop, &n->calm);
    n->now = n->home;
    n->home = NULL;
    if (!n->now)
        dial_next(n);
    else if (n->now->state >= WAY_SUBSCRIBING)
        in_use(n, n->now);
    if (n->now && n->now->state == WAY_READY)
        timer_start(n->bus->loop, &n->settle, SETTLE_MS, tell_whole);
    if (was_whole)
        bus_break(n->bus, false);
    bus_asked_lost(n->bus);
}

static void way_closed(void *arg, struct conn *c, enum err why)
{
    struct way *w = arg;
    struct nats *n = w->nats;
    const char *reason = w->why ? w->why : why ? err_info(why)->sentence : "it hung up";

    timer_stop(n->bus->loop, &w->timer);
    buf_done(&w->gone);
    if (w->state >= WAY_SUBSCRIBING && w != n->leaving)
        LOG_WARN("nats.lost", LF_Z("server", n->servers[w->server].address), LF_Z("why", reason));
    else
        LOG_DEBUG("nats.unreachable", LF_Z("server", n->servers[w->server].address), LF_Z("why", reason));
    if (w->state >= WAY_SUBSCRIBING) {
        topics_forget(&n->bus->serves, w->slot);
        topics_forget(&n->bus->topics, w->slot);
    }
    if (w == n->leaving) {
        n->leaving = NULL;
    } else if (w == n->home) {
        n->home = NULL;
        timer_stop(n->bus->loop, &n->calm);
        home_later(n);
    } else {
        now_lost(n, w);
    }
    loop_free_later(n->bus->loop, w);
}

static void way_tls_ready(void *arg, struct conn *c)
{
    greet(arg);
}

static const struct conn_handlers way_handlers = { .data = way_data, .tls_ready = way_tls_ready, .closed = way_closed };

static struct way *way_open(struct nats *n, int server, int slot)
{
    struct way *w = NEW(struct way);

    w->nats = n;
    w->server = server;
    w->slot = slot;
    list_init(&w->queued);
    buf_init(&w->gone, 0);
    w->payload_bytes_max = BUS_PAYLOAD_BYTES_MAX;
    if (conn_connect(n->bus->loop, str_of(n->servers[server].address), &n->limits, &way_handlers, w, &w->conn) != OK) {
        free(w);
        return NULL;
    }
    timer_start(n->bus->loop, &w->timer, n->connect_ms, deadline);
    return w;
}

static int free_slot(const struct nats *n)
{
    const struct way *taken = n->home ? n->home : n->leaving ? n->leaving : n->now;

    return taken ? !taken->slot : 0;
}

/* ---- dialling: in the order of the list, the one that failed last ---- */

static void dial_due(struct timer *t)
{
    dial_next(LIST_ITEM(t, struct nats, dial));
}

static void dial_next(struct nats *n)
{
    while (n->tried < n->server_count) {
        int server = n->tried++;

        if (n->failed >= 0)
            server = server == n->server_count - 1 ? n->failed : server + (server >= n->failed);
        n->now = way_open(n, server, free_slot(n));
        if (n->now)
            return;
    }
    if (!n->told_down)
        LOG_WARN("nats.nobody", LF_I64("servers", n->server_count));
    n->told_down = true;
    n->tried = 0;
    n->failed = -1;
    timer_start(n->bus->loop, &n->dial, jittered(n->round_ms), dial_due);
    n->round_ms = n->round_ms * 2 > RECONNECT_MS_MAX ? RECONNECT_MS_MAX : n->round_ms * 2;
}

/* ---- going home ---- */

static void leave_due(struct timer *t)
{
    struct way *w = LIST_ITEM(t, struct way, timer);

    way_end(w, OK, "we went home");
}

/* Events come over the new way from here on; what passed while both servers learned of it may be missing. */
static void change_over(struct nats *n)
{
    n->leaving = n->now;
    timer_start(n->bus->loop, &n->leaving->timer, LEAVING_MS, leave_due);
    timer_stop(n->bus->loop, &n->settle);
    in_use(n, n->home);
    n->home = NULL;
    bus_break(n->bus, false);
    bus_break(n->bus, true);
}

static void calm(struct timer *t)
{
    struct nats *n = LIST_ITEM(t, struct nats, calm);
    bool busy = loop_now_ms(n->bus->loop) - n->published_ms < CALM_MS || !list_empty(&n->bus->asked)
                || !list_empty(&n->home->queued) || conn_pending_bytes(n->now->conn) > 0;

    if (busy && n->calm_tries++ < CALM_TRIES_MAX)
        timer_start(n->bus->loop, t, CALM_MS, calm);
    else
        change_over(n);
}

/* The nearest first, then the others before the one in use. */
static void home_due(struct timer *t)
{
    struct nats *n = LIST_ITEM(t, struct nats, home_try);

    if (!n->home && !n->leaving && n->now->state == WAY_READY)
        n->home = way_open(n, n->home_tries++ % n->now->server, free_slot(n));
    if (!n->home)
        home_later(n);
}

static void home_later(struct nats *n)
{
    if (n->now && n->bus->connected && n->now->server > 0)
        timer_start(n->bus->loop, &n->home_try, jittered(HOME_MS), home_due);
}

/* ---- life ---- */

static size_t quiet_data(void *arg, struct conn *c, struct str in)
{
    return in.len;
}

static void quiet_closed(void *arg, struct conn *c, enum err why)
{
}

static const struct conn_handlers quiet_handlers = { .data = quiet_data, .closed = quiet_closed };

static void way_drop(struct nats *n, struct way *w)
{
    if (!w)
        return;
    timer_stop(n->bus->loop, &w->timer);
    buf_done(&w->gone);
    conn_set_handlers(w->conn, &quiet_handlers, NULL);
    conn_abort(w->conn, ERR_CLOSED);
    free(w);
}

static void nats_destroy(struct nats *n)
{
    for (int i = 0; i < n->server_count; i++) {
        free(n->servers[i].address);
        free(n->servers[i].host);
    }
    free(n->user);
    if (n->password)
        mem_wipe(n->password, strlen(n->password));
    free(n->password);
    if (n->tls)
        tls_ctx_unref(&n->tls);
    free(n);
}

static void nats_free(struct bus *b)
{
    struct nats *n = nats_of(b);
    struct timer *timers[] = { &n->dial, &n->settle, &n->home_try, &n->calm };

    for (size_t i = 0; i < sizeof timers / sizeof *timers; i++)
        timer_stop(b->loop, timers[i]);
    way_drop(n, n->now);
    way_drop(n, n->home);
    way_drop(n, n->leaving);
    intmap_done(&b->by_id);
    nats_destroy(n);
}

static const struct bus_transport nats_transport = {
    .free = nats_free, .ask = nats_ask, .answer = nats_answer, .publish = nats_publish,
    .topic_added = topic_added, .topic_gone = topic_gone,
};

/* "nats://10.0.1.1:4222": a numeric address, for name servers burn too. */
static enum err server_add(struct nats *n, struct str url, struct arena *a, struct str *why)
{
    struct str address = url, host;

    if (str_starts(address, STR("nats://")) || str_starts(address, STR("tls://")))
        str_split(&address, '/'), str_split(&address, '/');
    host = address;
    while (host.len && host.p[host.len - 1] != ':')
        host.len--;
    if (host.len)
        host.len--;
    if (host.len > 2 && host.p[0] == '[')
        host = str_make(host.p + 1, host.len - 2);
    if (!conn_address_is_valid(address) || !host.len || n->server_count == SERVERS_MAX) {
        *why = arena_printf(a, "bus.servers names \"%.*s\": write nats://, a numeric address and a port, at most %d of them",
                            STR_ARG(url), SERVERS_MAX);
        return ERR_INVALID;
    }
    n->servers[n->server_count++] = (struct server){ str_dup(address), str_dup(host) };
    return OK;
}

static enum err servers_add(struct nats *n, const char *servers, struct arena *a, struct str *why)
{
    struct str rest = str_of(servers);
    enum err e = OK;

    while (rest.len && !e)
        e = server_add(n, str_trim(str_split(&rest, ',')), a, why);
    if (!e && !n->server_count) {
        *why = STR("bus.servers is empty");
        e = ERR_INVALID;
    }
    return e;
}

static char *kept(const char *text)
{
    return text && *text ? str_dup(str_of(text)) : NULL;
}

static int or_default(int given, int usual)
{
    return given > 0 ? given : usual;
}

enum err bus_nats_judge(const char *servers, struct arena *a, struct str *why)
{
    struct nats *n = NEW(struct nats);
    enum err     e = servers_add(n, servers, a, why);

    nats_destroy(n);
    return e;
}

enum err bus_new_nats(struct loop *l, const char *role, const struct bus_nats *s, struct bus **out, struct arena *a, struct str *why)
{
    struct tls_settings tls = { .ca_file = s->ca, .verify = true, .certificate_file = s->certificate && *s->certificate ? s->certificate : NULL,
                                .key_file = s->key };
    struct nats *n;
    enum err e;

    *why = STR_NULL;
    if (!role_is_valid(str_of(role)))
        return ERR_INVALID;
    n = NEW(struct nats);
    e = servers_add(n, s->servers, a, why);
    if (!e && s->ca && *s->ca)
        e = tls_ctx_new(&tls, &n->tls, a, why);
    if (e) {
        nats_destroy(n);
        return e;
    }
    n->user = kept(s->user);
    n->password = kept(s->password);
    n->ping_ms = or_default(s->ping_ms, PING_MS);
    n->ping_out_max = or_default(s->ping_out_max, PING_OUT_MAX);
    n->reconnect_ms = n->round_ms = or_default(s->reconnect_ms, RECONNECT_MS);
    n->connect_ms = or_default(s->connect_ms, CONNECT_MS);
    n->limits = (struct conn_limits){ .in_bytes_max = BUS_PAYLOAD_BYTES_MAX + NATS_LINE_BYTES_MAX + NATS_HEADERS_BYTES_MAX,
                                      .out_bytes_max = 2 * BUS_OUT_BYTES_MAX };
    n->failed = -1;
    n->bus = bus_new(l, role, &nats_transport, n);
    n->bus->connected = n->bus->whole = false;
    intmap_init(&n->bus->by_id);
    snprintf(n->inbox, sizeof n->inbox, "_INBOX.%016llx.", (unsigned long long)n->bus->instance);
    queue_join(n->bus, n->bus);
    timer_start(l, &n->dial, 0, dial_due);
    *out = n->bus;
    return OK;
}
