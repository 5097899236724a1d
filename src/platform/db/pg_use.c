/* pg_use.c: which server a connection goes to, and how long it waits for it.
 *
 *   writer  the primary of the highest timeline seen. While a batch is in flight the other hosts are asked too; it is
 *           taken from a primary only when another one is newer, when its connection breaks, or after a long silence.
 *   reader  the nearest server that has replayed what this process knows to be durable, primary or replica.
 *   loop    the same, for single statements, and with less patience.
 *   tool    the primary to write, the nearest to read; patient.
 *
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/metric.h"
#include "db/pg_inner.h"

METRIC_COUNTER(metric_primaries, "bongsu_db_primary_connections", "Times the writer connected to a primary.");
METRIC_COUNTER(metric_stale, "bongsu_db_reads_elsewhere", "Times a read went to another server because one was away or behind.");

enum {
    QUIET_MS = 300,              /* a batch in flight for longer: look for another primary */
    TICK_MS = 20,
    READ_CONNECT_MS = 150,
    READ_SILENT_MS = 1000,
    LOOP_MS = 200,
    TOOL_MS = 5000,
    AVOID_MS = 2000,
    NEARER_MS = 30000,
    CATCH_UP_MS = 60,            /* for a replica to replay what must be seen */
    CATCH_UP_STEP_MS = 3,
    AWAY_TOLD_MS = 1000,
};

static int ms_until(int64_t us)
{
    int64_t left_us = us - pg_now_us();

    return left_us <= 0 ? 0 : (int)((left_us + 999) / 1000);
}

static bool gives_up(const struct pg_conn *c)
{
    int64_t at_ms = c->base.shared ? atomic_load(&c->base.shared->give_up_ms) : 0;

    return at_ms && pg_now_us() / 1000 >= at_ms;
}

/* ---- waiting for an answer ---- */

static enum err wait_until(struct pg_conn *c, short events)
{
    struct pollfd p = { .fd = PQsocket(c->pg), .events = events };
    int ready = poll(&p, 1, c->deadline_us ? ms_until(c->deadline_us) : -1);

    return ready == 0 ? pg_lose(c, "does not answer") : OK;
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
            return OK;
        }
        if (pg_finder_newer(c->finder, c->timeline))
            return pg_lose(c, "is not the primary any more");
        if (gives_up(c))
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
    return c->batch_us ? wait_in_flight(c, events) : wait_until(c, events);
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
    while (!pg_finder_take(c->finder, timeline_min, &pg, &host, &timeline)) {
        int64_t searched_ms = (pg_now_us() - since_us) / 1000;

        if (gives_up(c) || (searched_ms > TOOL_MS && !c->batch_us))
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

static bool avoids(const struct pg_conn *c, int host)
{
    return c->avoid_us[host] > pg_now_us();
}

static bool avoids_all(const struct pg_conn *c)
{
    for (int i = 0; i < pg_hosts_count(c->hosts); i++)
        if (!avoids(c, i))
            return false;
    return true;
}

static void avoid(struct pg_conn *c, int host, const char *words)
{
    c->avoid_us[host] = pg_now_us() + AVOID_MS * 1000LL;
    metric_add(&metric_stale, 1);
    if (words)
        pg_lose(c, words);
}

/* Now and then a reader that went far looks whether a nearer server is back. */
static void look_nearer(struct pg_conn *c)
{
    if (!c->pg || c->host == 0 || pg_now_us() < c->nearer_us)
        return;
    pg_lose(c, "a nearer one may be back");
}

static enum err reader_connect(struct pg_conn *c)
{
    int connect_ms = c->base.shared ? READ_CONNECT_MS : TOOL_MS;
    bool all = avoids_all(c);

    look_nearer(c);
    for (int i = 0; i < pg_hosts_count(c->hosts) && !c->pg; i++) {
        PGconn *pg;

        if (avoids(c, i) && !all)
            continue;
        if (c->use == PG_LOOP && c->deadline_us && ms_until(c->deadline_us) < connect_ms)
            connect_ms = ms_until(c->deadline_us);
        pg = pg_hosts_connect(c->hosts, i, connect_ms, c->base.error, sizeof c->base.error);
        if (pg)
            pg_adopt(c, pg, i, 0);
        else
            avoid(c, i, NULL);
    }
    if (!c->pg)
        return conn_note(&c->base, ERR_UNAVAILABLE, db_conn_error(&c->base));
    c->base.broken = OK;
    if (c->nearer_us < pg_now_us())
        c->nearer_us = pg_now_us() + NEARER_MS * 1000LL;
    return OK;
}

/* Whether it is primary, of which timeline, and how far it has come. The check stands before the statement that it is for,
 * in a transaction of its own: a snapshot taken later sees at least as much. */
static const char freshness[] =
    "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN 0"
    " ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END,"
    " (CASE WHEN pg_is_in_recovery() THEN coalesce(pg_last_wal_replay_lsn(), '0/0') ELSE pg_current_wal_lsn() END - '0/0')::bigint";

static bool is_fresh(const struct pg_conn *c, const int64_t answer[3])
{
    const struct db_shared *h = c->base.shared;
    int64_t position, need;

    if (!h)
        return true;
    if (!answer[0] && answer[1] < atomic_load(&h->timeline))
        return false;                    /* a primary that was: it has not noticed yet */
    position = atomic_load(&h->position);
    need = atomic_load(&h->need);
    return answer[2] >= (position > need ? position : need);
}

static enum err ask_and_then(struct pg_conn *c, enum err (*then)(struct pg_conn *c, void *arg), void *arg, bool *fresh)
{
    enum err e;

    c->failed = OK;
    c->answers = 0;
    e = pg_send_command(c, freshness);
    if (!e)
        e = pg_send_sync(c);
    if (!e && then)
        e = then(c, arg);
    if (!e && then)
        e = pg_send_sync(c);
    if (!e)
        e = pg_read_all(c);
    *fresh = !e && c->answers == 3 && is_fresh(c, c->answer);
    return e;
}

static void use_begins(struct pg_conn *c)
{
    if (!c->base.shared)
        c->deadline_us = 0;
    else if (c->use == PG_READER)
        c->deadline_us = pg_now_us() + READ_SILENT_MS * 1000LL;
    else if (!c->deadline_us)
        c->deadline_us = pg_now_us() + LOOP_MS * 1000LL;
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
        if (pg_now_us() > end_us || (c->use == PG_LOOP && c->deadline_us && !ms_until(c->deadline_us)))
            return pg_lose(c, "is behind what must be seen");
        poll(NULL, 0, CATCH_UP_STEP_MS);
    }
}

enum err pg_reader_need(struct pg_conn *c, enum err (*then)(struct pg_conn *c, void *arg), void *arg)
{
    enum err e = ERR_UNAVAILABLE;

    if (c->use == PG_LOOP)
        c->deadline_us = 0;
    for (int tries = 0; tries <= pg_hosts_count(c->hosts); tries++) {
        int host;

        use_begins(c);
        if (reader_connect(c))
            break;
        host = c->host;
        use_begins(c);
        e = reader_try(c, then, arg);
        if (e != ERR_UNAVAILABLE || c->pg)
            return e;
        avoid(c, host, NULL);
    }
    return ERR_UNAVAILABLE;
}
