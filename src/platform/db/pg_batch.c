/* pg_batch.c: a commit batch on PostgreSQL: one round trip, landed exactly once, acknowledged only when a standby has it.
 *
 *   BEGIN, marker, statements of all operations, COMMIT, position, sync        sent together, then answered
 *
 * The marker is this writer's row in db_writer with the number of the batch. It is written in the same transaction, and
 * fails (22012, division by zero) when the row has that number already. So whoever writes it first decides: a batch that
 * was sent twice lands once, even if the first sending lay in a frozen server's buffer all the while.
 *
 *   batch_land ─▶ attempt ──COMMIT, no warning, position──────────────────────────▶ landed
 *      ▲             │ a statement failed: rolled back, then one by one             ▲
 *      │             │ no room: again for 20 s                                       │ confirm: one more commit
 *      │             ▼                                                               │
 *      └─────── unknown: the answer was lost, or a warning came with it              │
 *                    │ on the primary of now, the marker alone, awaited              │
 *                    ├── it is there: the batch has landed ──────────────────────────┘
 *                    └── it was not: it is now, in this transaction; the operations follow
 *
 * The marker waits on its row's lock while the session of an earlier sending still runs, which closes the race. Nothing is
 * ever cancelled: a commit whose wait for a standby is cancelled is done here and may be nowhere else (the server says so
 * in a warning). `confirm` waits for a standby once more, and logs reach standbys in order.
 *
 * When a batch has landed whose answers were lost, operations that wanted numbers (db_run_later) are applied again in a
 * batch of their own; they are idempotent by contract.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <poll.h>
#include <string.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "db/pg_inner.h"

METRIC_COUNTER(metric_unknown, "bongsu_commit_unknown", "Transactions whose outcome had to be looked up.");
METRIC_COUNTER(metric_landed, "bongsu_commit_unknown_landed", "Of those, transactions that had landed.");
METRIC_COUNTER(metric_again, "bongsu_commit_attempts_again", "Transactions that were sent again.");

enum {
    FULL_MS = 20000,             /* how long a primary without room is tried: a fail-over may be under way */
    FULL_STEP_MS = 200,
    AGAIN_MS = 10,               /* after a deadlock and the like, at most */
    MARKER_DAYS = 7,             /* older rows are of writers that are gone */
};

/* Besides the marker: the probe's filler shall take the room that it says. */
const char pg_own_tables[] =
    "CREATE TABLE IF NOT EXISTS db_writer(id BIGINT PRIMARY KEY, batch BIGINT NOT NULL, at BIGINT NOT NULL);"
    "ALTER TABLE db_probe ALTER COLUMN filler SET STORAGE EXTERNAL;";

static struct db_sql sql_marker = {
    "INSERT INTO db_writer(id, batch, at) VALUES (?1, ?2, ?3) ON CONFLICT (id) DO UPDATE"
    " SET batch = ?2 / CAST(CAST(db_writer.batch < ?2 AS INT4) AS BIGINT), at = ?3" };
static struct db_sql sql_confirm = { "UPDATE db_writer SET at = ?2 WHERE id = ?1" };
static struct db_sql sql_forget = { "DELETE FROM db_writer WHERE at < ?1" };

/* What a standby of the quorum has: the primary's own log may be further, by what nobody was told and a fail-over throws away, and a
 * read that asked for that would wait for the fail-over. Without standbys, or without pg_monitor to see them, the own log. */
static struct db_sql sql_position = {
    "SELECT CAST(coalesce((SELECT max(flush_lsn) FROM pg_stat_replication WHERE sync_state IN ('quorum', 'sync')),"
    " pg_current_wal_flush_lsn()) - '0/0' AS BIGINT)" };

/* What became of one sending. */
enum attempt { LANDED, FAILED, GUILTY, UNKNOWN };

struct landing {
    struct pg_conn *c;
    struct list    *batch;
    int64_t         number;
    bool            unknown;        /* an earlier sending may have landed, or may do so yet */
    bool            together_unknown;   /* the last such was one where every operation went well */
    bool            one_by_one;
    enum err        e;              /* of FAILED and UNKNOWN */
    int64_t         sync_us;
};

static struct commit_op *op_at(struct list *node)
{
    return LIST_ITEM(node, struct commit_op, link);
}

/* ---- pieces ---- */

static void position_learn(struct pg_conn *c, int64_t place)
{
    struct db_shared *h = c->base.shared;
    int64_t position = pg_position(c->timeline, place);

    if (h && position > atomic_load(&h->position))
        atomic_store(&h->position, position);
}

static bool marker_was_there(const struct pg_conn *c)
{
    return c->marker_failed && strcmp(c->sqlstate, "22012") == 0;
}

static void attempt_begins(struct pg_conn *c)
{
    c->failed = OK;
    c->sqlstate[0] = '\0';
    c->marker_failed = false;
    c->warned = false;
    c->base.broken = OK;
    c->base.transaction++;
}

/* BEGIN and the marker; `await`: only then it is known that it was not there. */
static enum err begin_marked(struct landing *l, bool await)
{
    struct pg_conn *c = l->c;
    enum err e;

    attempt_begins(c);
    c->in_transaction = true;
    e = pg_send_command(c, "BEGIN ISOLATION LEVEL READ COMMITTED");
    c->pipelining = true;
    c->marking = true;
    if (!e)
        e = db_run(&c->base, &sql_marker, "iii", c->id, l->number, clock_us());
    c->marking = false;
    if (!e && await)
        e = pg_send_sync(c);
    if (!e && await)
        e = pg_read_all(c);
    return e ? e : c->failed;
}

static void attempt_ends(struct pg_conn *c)
{
    c->pipelining = false;
    c->base.in_batch = false;
    c->op = NULL;
    if (!c->in_transaction || !c->pg)
        return;
    c->in_transaction = false;
    /* Also when all is answered: behind a failure that a read has heard of, the server skips everything up to a sync, a rollback too. */
    pg_send_sync(c);
    pg_read_all(c);
    if (c->pg) {
        enum err failed = c->failed;

        pg_command(c, "ROLLBACK");
        c->failed = failed;
    }
}

/* COMMIT and, behind it, how far the log is now. Sent together with all that waits before them. */
static enum attempt commit_and_await(struct landing *l)
{
    struct pg_conn *c = l->c;
    enum err pretended = FAULT("db.commit"), e;
    int64_t start_us = pg_now_us(), position = 0, rows = 0;

    if (pretended && pretended != ERR_UNCERTAIN) {
        l->e = pretended == ERR_UNAVAILABLE ? pg_lose(c, "a pretended failure") : conn_note(&c->base, pretended, "a pretended failure");
        return FAILED;
    }
    e = pg_send_command(c, "COMMIT");
    if (!e)
        e = db_run_later(&c->base, &sql_position, &position, 1, &rows, "");
    if (!e)
        e = pg_send_sync(c);
    while (!e && pretended && PQflush(c->pg) > 0)
        e = pg_wait(c, POLLOUT);
    if (!e && pretended)
        e = pg_lose(c, "a pretended loss of the answer");
    if (!e)
        e = pg_read_all(c);
    l->sync_us += pg_now_us() - start_us;
    l->e = e ? e : c->failed;
    if (l->e == ERR_UNAVAILABLE)
        return UNKNOWN;
    if (strcmp(c->tag, "COMMIT") != 0)       /* skipped, or answered with ROLLBACK: a statement failed */
        return FAILED;
    c->in_transaction = false;
    if (l->e || c->warned || rows != 1)
        return UNKNOWN;
    position_learn(c, position);
    return LANDED;
}

/* ---- the two passes ---- */

static enum attempt failed_as(struct landing *l, enum err e)
{
    l->e = e;
    return e == ERR_FULL || e == ERR_IO || e == ERR_UNAVAILABLE ? FAILED : GUILTY;
}

static enum attempt attempt_together(struct landing *l)
{
    struct pg_conn *c = l->c;
    enum attempt a;

    LIST_EACH(it, l->batch) {
        struct commit_op *op = op_at(it);
        enum err e;

        if (!op->due)
            continue;
        op->unsure = false;
        c->op = op;
        e = op_apply(&c->base, op);
        if (c->failed || e)
            return failed_as(l, c->failed ? c->failed : e);
    }
    c->op = NULL;
    a = commit_and_await(l);
    return a == FAILED ? failed_as(l, l->e) : a;
}

/* An operation between savepoints, one round trip. Its error is that of its first failed statement, else its own. */
static enum err op_alone(struct pg_conn *c, struct commit_op *op)
{
    enum err e;

    c->failed = OK;
    c->op = op;
    op->unsure = false;
    e = pg_send_command(c, "SAVEPOINT one");
    if (!e)
        e = op_apply(&c->base, op);
    if (!e)
        e = pg_send_command(c, "RELEASE one");
    c->op = NULL;
    if (pg_send_sync(c) || pg_read_all(c))
        return ERR_UNAVAILABLE;
    op->result = c->failed ? c->failed : e;
    if (c->base.broken)
        return c->base.broken;
    if (!op->result)
        return OK;
    c->base.undos++;
    if (pg_command(c, "ROLLBACK TO one") || pg_command(c, "RELEASE one"))
        return ERR_UNAVAILABLE;
    return OK;
}

static enum attempt attempt_one_by_one(struct landing *l)
{
    LIST_EACH(it, l->batch) {
        struct commit_op *op = op_at(it);
        enum err e = op->due && op->apply ? op_alone(l->c, op) : OK;

        if (e) {
            l->e = e;
            return FAILED;
        }
    }
    l->c->failed = OK;
    return commit_and_await(l);
}

static enum attempt attempt(struct landing *l)
{
    struct pg_conn *c = l->c;
    enum attempt a;

    l->e = begin_marked(l, l->unknown || l->one_by_one);
    if (l->e) {
        a = FAILED;
    } else {
        c->base.in_batch = true;
        a = l->one_by_one ? attempt_one_by_one(l) : attempt_together(l);
    }
    attempt_ends(c);
    if (a == UNKNOWN && !l->unknown)
        metric_add(&metric_unknown, 1);
    if (a == UNKNOWN) {
        l->unknown = true;
        l->together_unknown = !l->one_by_one;
    }
    return a;
}

/* ---- landing ---- */

/* One more commit, small, whose acknowledgement covers all that was committed before it. */
static bool confirm(struct landing *l)
{
    struct pg_conn *c = l->c;
    enum attempt a = FAILED;
    enum err e;

    attempt_begins(c);
    e = pg_send_command(c, "BEGIN ISOLATION LEVEL READ COMMITTED");
    c->in_transaction = true;
    c->pipelining = true;
    if (!e)
        e = db_run(&c->base, &sql_confirm, "ii", c->id, clock_us());
    if (!e)
        a = commit_and_await(l);
    attempt_ends(c);
    return a == LANDED;
}

static void landed_unseen(struct landing *l)
{
    metric_add(&metric_landed, 1);
    LOG_INFO("db.landed", LF_Z("database", l->c->base.path), LF_I64("batch", l->number));
    if (!l->together_unknown)
        return;
    LIST_EACH(it, l->batch)
        if (op_at(it)->due)
            op_at(it)->result = OK;
}

/* Whether a primary without room may be tried again. */
static bool full_may_wait(struct pg_conn *c)
{
    int64_t now_us = pg_now_us();

    if (!c->full_since_us)
        c->full_since_us = now_us;
    if (c->base.shared)
        atomic_store(&c->base.shared->full, true);
    if (now_us - c->full_since_us > FULL_MS * 1000LL)
        return false;
    poll(NULL, 0, FULL_STEP_MS);
    return true;
}

static void full_no_more(struct pg_conn *c)
{
    c->full_since_us = 0;
    if (c->base.shared)
        atomic_store(&c->base.shared->full, false);
}

/* Until the batch has landed, or will not. ERR_UNCERTAIN: the database is being closed and nobody knows. */
static enum err batch_land(struct landing *l)
{
    struct pg_conn *c = l->c;

    for (;; metric_add(&metric_again, 1)) {
        enum attempt a;
        enum err e = pg_primary_need(c);

        if (e)
            return l->unknown ? ERR_UNCERTAIN : e;
        a = attempt(l);
        if (a == LANDED)
            return OK;
        if (a == FAILED && marker_was_there(c)) {
            if (confirm(l)) {
                landed_unseen(l);
                return OK;
            }
        } else if (a == GUILTY && !l->one_by_one) {
            l->one_by_one = true;
            continue;
        } else if (a == FAILED && l->e == ERR_FULL) {
            if (!full_may_wait(c))
                return l->unknown ? ERR_UNCERTAIN : ERR_FULL;
        } else if (l->e && l->e != ERR_UNAVAILABLE) {
            return l->unknown ? ERR_UNCERTAIN : l->e;
        }
        if (pg_gives_up(c))
            return l->unknown ? ERR_UNCERTAIN : ERR_UNAVAILABLE;
        if (c->pg && a != UNKNOWN)
            poll(NULL, 0, 1 + (int)(random_u64() % AGAIN_MS));      /* two that fell over each other shall not again */
    }
}

/* Operations whose numbers nobody has read. */
static bool some_unsure(struct list *batch)
{
    bool some = false;

    LIST_EACH(it, batch) {
        struct commit_op *op = op_at(it);

        op->due = op->due && op->unsure && op->result == OK;
        op->unsure = false;
        some |= op->due;
    }
    return some;
}

static enum err land_all(struct pg_conn *c, struct list *batch, int64_t *sync_us)
{
    enum err e;

    do {
        struct landing l = { .c = c, .batch = batch, .number = ++c->batch_number };

        c->batch_us = c->heard_us = pg_now_us();
        e = batch_land(&l);
        *sync_us += l.sync_us;
        if (!e)
            full_no_more(c);
    } while (!e && some_unsure(batch));
    return e;
}

enum err pg_batch_write(struct db_conn *base, struct list *batch, int64_t *sync_us)
{
    struct pg_conn *c = pg_of(base);
    enum err e, pretended;

    *sync_us = 0;
    LIST_EACH(it, batch) {
        op_at(it)->due = true;
        op_at(it)->unsure = false;
    }
    e = land_all(c, batch, sync_us);
    c->batch_us = 0;
    if (!e) {
        c->patience_ms = PG_PATIENCE_MS;
        pg_finder_rest(c->finder);
    }
    pretended = e ? OK : FAULT("db.synced");
    return pretended ? pretended : e;
}

enum err pg_writer_begin(struct db_conn *base)
{
    struct pg_conn *c = pg_of(base);
    int64_t position = 0, rows;
    enum err e = db_run(base, &sql_forget, "i", clock_us() - MARKER_DAYS * 86400 * 1000000LL);

    if (!e)
        e = db_run_later(base, &sql_position, &position, 1, &rows, "");
    if (!e)
        position_learn(c, position);
    return e;
}
