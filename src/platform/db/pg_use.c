/* pg_use.c: which server a connection goes to, and how long it waits for it.
 *
 *   writer  the primary of the highest timeline seen. While a batch is in flight the other hosts are asked too; it is
 *           taken from a primary only when another one is newer, when its connection breaks, or after a long silence.
 *   reader  the nearest server that has replayed what this process knows to be durable, primary or replica.
 *   loop    the same, for single statements, and with less patience.
 *   tool    the primary to write, the nearest to read; patient.
 *
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include "base/log.h"
#include "base/metric.h"
#include "db/pg_inner.h"

METRIC_COUNTER(metric_primaries, "bongsu_db_primary_connections", "Times the writer connected to a primary.");
METRIC_COUNTER(metric_elsewhere, "bongsu_db_reads_elsewhere", "Times a read went to another server because one was away or behind.");

enum {
    QUIET_MS = 300,              /* a batch in flight for longer: look for another primary */
    TICK_MS = 20,
    DEAF_MS = 800,               /* nothing of a batch is acknowledged by the other kernel, while another way to the same primary is
                                  * open: three tries of TCP's, so that lost packets alone do not look like it */
    READ_CONNECT_MS = 150,
    READ_PATIENT_MS = 1000,      /* the same, when none was quick */
    READ_SILENT_MS = 300,        /* then elsewhere… */
    READ_SILENT_MS_MAX = 3000,   /* …and when all are like that, with patience */
    LOOP_MS = 200,               /* for a read of the loop's, whatever it tries */
    LOOP_SILENT_MS = 100,
    LOOP_LEAST_MS = 20,          /* less is no fair try */
    TOOL_MS = 5000,
    AVOID_MS = 2000,
    NEARER_MS = 5000,
    CATCH_UP_MS = 60,            /* for a replica to replay what must be seen */
    CATCH_UP_STEP_MS = 3,
    AWAY_TOLD_MS = 1000,
};

static int ms_until(int64_t us)
{
    int64_t left_us = us - pg_now_us();

    return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

bool pg_gives_up(const struct pg_conn *c)
{
    int64_t at_ms = c->base.shared ? atomic_load(&c->base.shared->give_up_ms) : 0;

    return at_ms && pg_now_us() / 1000 >= at_ms;
}

/* ---- waiting for an answer ---- */

static enum err wait_silent(struct pg_conn *c, short events)
{
    struct pollfd p = { .fd = PQsocket(c->pg), .events = events };
    int ms = c->silent_ms ? c->silent_ms : -1;

    if (c->deadline_us && ms_until(c->deadline_us) < ms)
        ms = ms_until(c->deadline_us);
    return poll(&p, 1, ms) == 0 ? pg_lose(c, "does not answer") : OK;
}

/* Where readers find one that is behind nobody; -1: nobody knows just now. */
static void primary_is(struct pg_conn *c, int host)
{
    if (c->use == PG_WRITER && c->base.shared)
        atomic_store(&c->base.shared->primary, host + 1);
}

/* Whether the network does not carry what was sent: a primary that is only slow acknowledges it. */
static bool is_deaf(const struct pg_conn *c, int64_t now_us)
{
    struct tcp_info i;
    socklen_t n = sizeof i;

    return now_us - c->batch_us > DEAF_MS * 1000LL && getsockopt(PQsocket(c->pg), IPPROTO_TCP, TCP_INFO, &i, &n) == 0 &&
           i.tcpi_unacked && i.tcpi_last_ack_recv > DEAF_MS;
}

static enum err wait_in_flight(struct pg_conn *c, short events)
{
    for (;;) {
        int64_t now_us = pg_now_us(), quiet_us = c->batch_us + QUIET_MS * 1000;
        struct pollfd p = { .fd = PQsocket(c->pg), .events = events };
        bool ready;

        if (now_us < quiet_us)
            ready = poll(&p, 1, ms_until(quiet_us)) > 0;
        else
            ready = pg_finder_round(c->finder, p.fd, events, PG_ASK_MEANWHILE_MS, TICK_MS) != 0;
        if (ready) {
            c->heard_us = pg_now_us();
            primary_is(c, c->host);
            return OK;
        }
        primary_is(c, -1);
        if (pg_finder_newer(c->finder, c->timeline))
            return pg_lose(c, "is not the primary any more");
        if (is_deaf(c, now_us) && pg_finder_detour(c->finder, c->timeline, c->host))
            return pg_lose(c, "cannot be reached, but by a detour");
        if (pg_gives_up(c))
            return pg_lose(c, "has not answered, and the database is being closed");
        if (now_us - c->heard_us > c->patience_ms * 1000LL) {
            /* Not for ever shorter: each time leaves a session behind on a server that may only be slow. */
            c->patience_ms = c->patience_ms * 2 < PG_PATIENCE_MS_MAX ? c->patience_ms * 2 : PG_PATIENCE_MS_MAX;
            return pg_lose(c, "does not answer");
        }
    }
}

enum err pg_wait(struct pg_conn *c, short events)
{
    return c->batch_us ? wait_in_flight(c, events) : wait_silent(c, events);
}

/* ---- the primary ---- */

static bool is_alive(struct pg_conn *c)
{
    struct pollfd p;

    if (!c->pg)
        return false;
    p = (struct pollfd){ .fd = PQsocket(c->pg), .events = POLLIN };
    if (poll(&p, 1, 0) > 0 && !PQconsumeInput(c->pg))
        pg_lose(c, PQerrorMessage(c->pg));
    return c->pg && PQstatus(c->pg) == CONNECTION_OK;
}

static void timeline_seen(struct pg_conn *c, int64_t timeline)
{
    if (c->base.shared && timeline > atomic_load(&c->base.shared->timeline))
        atomic_store(&c->base.shared->timeline, timeline);
}

static void primary_found(struct pg_conn *c, PGconn *pg, int host, int64_t timeline, int64_t since_us)
{
    pg_adopt(c, pg, host, timeline);
    timeline_seen(c, timeline);
    metric_add(&metric_primaries, 1);
    primary_is(c, host);
    if (c->use == PG_WRITER && c->base.shared)
        atomic_store(&c->base.shared->primary_last, host + 1);
    if (c->use == PG_WRITER)
        LOG_INFO("db.primary", LF_Z("database", c->base.path), LF_Z("host", pg_hosts_name(c->hosts, host)),
                 LF_I64("timeline", timeline), LF_I64("searched_ms", (pg_now_us() - since_us) / 1000));
}

enum err pg_primary_need(struct pg_conn *c)
{
    int64_t since_us = pg_now_us(), timeline, timeline_min = c->base.shared ? atomic_load(&c->base.shared->timeline) : 0;
    bool told = false;
    PGconn *pg;
    int host;

    if (is_alive(c))
        return OK;
    primary_is(c, -1);
    while (!pg_finder_take(c->finder, timeline_min, &pg, &host, &timeline)) {
        int64_t searched_ms = (pg_now_us() - since_us) / 1000;

        if (pg_gives_up(c) || (searched_ms > TOOL_MS && !c->batch_us))
            return conn_note(&c->base, ERR_UNAVAILABLE, pg_finder_words(c->finder));
        if (searched_ms > AWAY_TOLD_MS && !told) {
            LOG_WARN("db.away", LF_Z("database", c->base.path), LF_Z("words", pg_finder_words(c->finder)));
            told = true;
        }
        pg_finder_round(c->finder, -1, 0, PG_ASK_MS, TICK_MS);
    }
    primary_found(c, pg, host, timeline, since_us);
    return c->pg ? OK : ERR_UNAVAILABLE;
}

/* ---- the nearest that is not behind ---- */

/* The nearest that has not failed lately; when all have, the one whose failure is longest ago. `tried`: a bit for each.
 * When the nearest did not do, the primary comes next: it is alive and behind nobody, while another may be the site that was lost. */
static int host_choose(const struct pg_conn *c, unsigned tried)
{
    int64_t now_us = pg_now_us();
    int primary = c->base.shared ? atomic_load(&c->base.shared->primary) - 1 : -1;
    int oldest = -1;

    if (primary > 0 && !(tried & 1u << primary) && (tried || c->avoid_us[0] > now_us) && c->avoid_us[primary] <= now_us)
        return primary;
    for (int i = 0; i < pg_hosts_count(c->hosts); i++) {
        if (tried & 1u << i)
            continue;
        if (c->avoid_us[i] <= now_us)
            return i;
        if (oldest < 0 || c->avoid_us[i] < c->avoid_us[oldest])
            oldest = i;
    }
    return oldest;
}

static void avoid(struct pg_conn *c, int host)
{
    c->avoid_us[host] = pg_now_us() + AVOID_MS * 1000LL;
    metric_add(&metric_elsewhere, 1);
}

void pg_turn_away(struct pg_conn *c)
{
    if (!c->pg || pg_hosts_count(c->hosts) == 1)
        return;
    avoid(c, c->host);
    pg_lose(c, "is behind what must be seen");
}

/* Now and then a reader that went far looks whether a nearer server is back. */
static void look_nearer(struct pg_conn *c)
{
    if (!c->pg || c->host == 0 || pg_now_us() < c->nearer_us)
        return;
    pg_lose(c, "a nearer one may be back");
}

static enum err reader_connect(struct pg_conn *c, int host, int connect_ms)
{
    PGconn *pg;

    if (c->deadline_us && ms_until(c->deadline_us) < connect_ms)
        connect_ms = ms_until(c->deadline_us);
    pg = pg_hosts_connect(c->hosts, host, connect_ms, c->base.error, sizeof c->base.error);
    if (!pg)
        return conn_note(&c->base, ERR_UNAVAILABLE, c->base.error);
    pg_adopt(c, pg, host, 0);
    c->nearer_us = pg_now_us() + NEARER_MS * 1000LL;
    return c->pg ? OK : ERR_UNAVAILABLE;
}

/* Whether it is primary, of which timeline, and how far it has come. A replica's timeline is the one it receives (to be seen, the
 * account needs pg_monitor) or that of its last checkpoint: a primary that lost its place is a replica for a while, with more on
 * its old timeline than the place asked for, and without what others have written since. The check stands before the statement that it is for,
 * in a transaction of its own: a snapshot taken later sees at least as much. */
static const char freshness[] =
    "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN greatest((SELECT timeline_id FROM pg_control_checkpoint()),"
    " coalesce((SELECT received_tli FROM pg_stat_wal_receiver), 0))"
    " ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END,"
    " (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0') ELSE pg_current_wal_lsn() END - '0/0')::bigint";

static bool is_fresh(const struct pg_conn *c, const int64_t answer[3])
{
    const struct db_shared *h = c->base.shared;
    int64_t position, need, need_timeline;
    bool primary = !answer[0];

    if (!h)
        return true;
    if (primary && answer[1] < atomic_load(&h->timeline))
        return false;                    /* a primary that was: it has not noticed yet */
    /* One that has noticed, and was started again as a replica of nobody, shows what it had on its own: transactions that no other
     * server got, whose writers were never told that they are done. The next primary will not have them. */
    if (!primary && c->host + 1 == atomic_load(&h->primary_last) && answer[1] <= atomic_load(&h->timeline))
        return false;
    position = atomic_load(&h->position);
    need = atomic_load(&h->need) > position ? atomic_load(&h->need) : position;
    need_timeline = need >> PG_PLACE_BITS;
    if (primary && answer[1] != need_timeline)
        return answer[1] > need_timeline;
    if (answer[1] < need_timeline)
        return false;
    return answer[2] >= (need & ((INT64_C(1) << PG_PLACE_BITS) - 1));
}

static enum err question_send(struct pg_conn *c)
{
    enum err e = OK;

    if (c->asked_session != c->session)
        e = pg_send_prepare(c, NULL, "fresh", freshness, 0, NULL);
    c->asked_session = c->session;
    return e ? e : pg_send_prepared(c, "fresh");
}

static bool is_known_fresh(const struct pg_conn *c)
{
    return c->fresh_session == c->session && is_fresh(c, c->fresh_answer);
}

static bool answer_is_fresh(struct pg_conn *c)
{
    if (c->answers != 3)
        return false;
    c->fresh_session = c->session;
    memcpy(c->fresh_answer, c->answer, sizeof c->answer);
    return is_fresh(c, c->answer);
}

static enum err ask_and_then(struct pg_conn *c, enum err (*then)(struct pg_conn *c, void *arg), void *arg, bool *fresh)
{
    bool known = then && is_known_fresh(c);
    enum err e = OK;

    c->failed = OK;
    c->answers = 0;
    if (!known)
        e = question_send(c);
    if (!e && !known)
        e = pg_send_sync(c);
    if (!e && then)
        e = then(c, arg);
    if (!e && then)
        e = pg_send_sync(c);
    if (!e)
        e = pg_read_all(c);
    *fresh = !e && (known || answer_is_fresh(c));
    return e;
}

/* One server: asks again while it is only a little behind. */
static enum err reader_try(struct pg_conn *c, enum err (*then)(struct pg_conn *c, void *arg), void *arg)
{
    int64_t end_us = pg_now_us() + CATCH_UP_MS * 1000LL;
    bool fresh = false;
    enum err e;

    for (;;) {
        e = ask_and_then(c, then, arg, &fresh);
        if (e || fresh)
            return e;
        if (c->in_transaction && pg_command(c, "ROLLBACK"))
            return ERR_UNAVAILABLE;
        c->in_transaction = false;
        if (pg_now_us() > end_us || (c->deadline_us && !ms_until(c->deadline_us)))
            return pg_lose(c, "is behind what must be seen");
        poll(NULL, 0, CATCH_UP_STEP_MS);
    }
}

/* How long this read may take, and a server say nothing. The loop's own stands between everybody and everything else. */
static void read_begins(struct pg_conn *c)
{
    bool tool = !c->base.shared, loop = !tool && c->use == PG_LOOP, only = pg_hosts_count(c->hosts) == 1;

    c->base.broken = OK;
    c->silent_ms = tool ? 0 : !loop ? READ_SILENT_MS : only ? LOOP_MS : LOOP_SILENT_MS;
    c->deadline_us = loop ? pg_now_us() + LOOP_MS * 1000LL : 0;
}

/* Each server once, the nearest first. */
static enum err servers_try(struct pg_conn *c, int connect_ms, enum err (*then)(struct pg_conn *c, void *arg), void *arg)
{
    unsigned tried = 0;

    for (;;) {
        int host = is_alive(c) ? c->host : host_choose(c, tried);
        bool old = c->pg != NULL;
        enum err e;

        if (host < 0 || (c->deadline_us && ms_until(c->deadline_us) < LOOP_LEAST_MS))
            return ERR_UNAVAILABLE;
        e = old ? OK : reader_connect(c, host, connect_ms);
        if (!e)
            e = reader_try(c, then, arg);
        if (e != ERR_UNAVAILABLE || c->pg) {
            c->base.broken = OK;
            return e;
        }
        if (old)                         /* an old connection that ends says nothing of its server */
            continue;
        avoid(c, host);
        tried |= 1u << host;
    }
}

enum err pg_reader_need(struct pg_conn *c, enum err (*then)(struct pg_conn *c, void *arg), void *arg)
{
    enum err e;

    read_begins(c);
    look_nearer(c);
    e = servers_try(c, c->base.shared ? READ_CONNECT_MS : TOOL_MS, then, arg);
    /* All that are left may only be slow. */
    if (e == ERR_UNAVAILABLE && !c->pg && c->use == PG_READER) {
        c->silent_ms = READ_SILENT_MS_MAX;
        e = servers_try(c, READ_PATIENT_MS, then, arg);
    }
    return e;
}
