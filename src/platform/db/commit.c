/* commit.c: group commit. The loop fills a batch, the writer thread writes it; one
 * is in flight at a time, so the batch grows by itself to what the disk needs.
 *
 *   loop                                 writer thread
 *   commit_add → filling
 *   end of round: batch_leave ─────────▶ batch_write: BEGIN, apply…, COMMIT
 *   batch_reap ◀──────── loop_post ───── (then a checkpoint, if the log is long)
 *     `done` of each operation, a few milliseconds of them a round; then the next batch leaves
 *
 * A batch fails as a whole for reasons of the disk. An operation with an error of
 * its own is found by writing the batch again with a savepoint around each.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include <stdlib.h>
#include <time.h>
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "db/inner.h"

METRIC_COUNTER(metric_ops, "bongsu_commit_operations", "Write operations made durable.");
METRIC_COUNTER(metric_batches, "bongsu_commit_batches", "Transactions that carried them.");
METRIC_COUNTER(metric_failed, "bongsu_commit_failed_batches", "Transactions that failed as a whole.");
METRIC_COUNTER(metric_refused, "bongsu_commit_refused", "Write operations refused because too many were waiting.");
METRIC_COUNTER(metric_sync_us, "bongsu_commit_sync_microseconds", "Time spent in COMMIT.");
METRIC_GAUGE(metric_waiting, "bongsu_commit_waiting", "Write operations waiting when the last batch left.");

enum {
    SEALS_MAX = 16,
    PROBE_MS = 1000,
    PROBE_BYTES = 65536,
    CHECKPOINT_FRAMES_IDLE = 500,      /* 2 MiB of log: checkpoint when nothing comes for a while */
    CHECKPOINT_FRAMES = 4000,          /* 16 MiB: checkpoint now */
    CHECKPOINT_IDLE_MS = 20,
    DRAIN_BATCHES_MAX = 64,
    AWAY_MS = 1000,                    /* a batch in flight for longer: no primary takes commits */
    GIVE_UP_MS = 3000,                 /* for the primary, when the database is closed */
    TOLD_US = 5000,                    /* then the loop looks after everybody else: after a fail-over a batch has thousands */
};

struct seal {
    void (*fn)(void *arg);
    void  *arg;
};

/* Carries "the batch is done", or "go on telling so", into the loop, and may arrive after the database was closed. */
struct commit_wake {
    struct loop_post    post;
    struct db_writer   *writer;        /* NULL: nobody waits any more */
    struct commit_wake *next_orphan;
};

/* Those whose database is closed and whose loop has not run them yet; it may never. */
static struct commit_wake *wake_orphans;
static pthread_mutex_t wake_orphans_lock = PTHREAD_MUTEX_INITIALIZER;

enum writer_state { WRITER_IDLE, WRITER_WORK, WRITER_DONE, WRITER_STOP };

struct db_writer {
    struct loop         *loop;
    /* the loop's */
    struct list          filling, told; /* told: of a batch that is done, those that do not know it yet */
    size_t               filling_count, in_flight_count;
    int64_t              left_ms;       /* when the batch in flight left */
    bool                 in_flight, sealing, closing;
    struct loop_task     end_of_round;
    struct timer         probe_timer;
    struct commit_op     probe;
    bool                 probing;
    struct seal          seals[SEALS_MAX];
    int                  seal_count;
    enum err             health;
    struct commit_stats  stats;
    /* handed to and fro under the mutex; the batch belongs to whom `state` names */
    pthread_mutex_t      mutex;
    pthread_cond_t       change;
    enum writer_state    state;
    struct list          batch;
    struct commit_wake  *wake;
    enum err             outcome;
    int64_t              sync_us;
    /* the writer thread's */
    pthread_t            thread;
    struct db_conn      *conn;
    bool                 one_is_guilty;
    int                  frames_tried;   /* length of the log at the last checkpoint */
};

static struct commit_op *op_at(struct list *node)
{
    return LIST_ITEM(node, struct commit_op, link);
}

/* ---- the writer thread ---- */

static int64_t mono_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

enum err op_apply(struct db_conn *c, struct commit_op *op)
{
    op->result = op->apply ? op->apply(c, op) : OK;
    /* An operation may shrug an error off, but not that its transaction is gone. */
    return c->broken ? c->broken : op->result;
}

/* The quick way: all or the first error. */
static enum err apply_together(struct db_conn *c, struct list *batch)
{
    LIST_EACH(it, batch) {
        enum err e = op_apply(c, op_at(it));

        if (e)
            return e;
    }
    return OK;
}

static struct db_sql sql_savepoint = { .text = "SAVEPOINT one" };
static struct db_sql sql_release = { .text = "RELEASE one" };
static struct db_sql sql_undo = { .text = "ROLLBACK TO one" };

/* One savepoint each: an operation with an error of its own leaves no trace and
 * stops nobody. Still one COMMIT, so a stranger who provokes errors cannot
 * make us sync once per operation. */
static enum err apply_one_by_one(struct db_conn *c, struct list *batch)
{
    LIST_EACH(it, batch) {
        struct commit_op *op = op_at(it);
        enum err e;

        e = db_run(c, &sql_savepoint, "");
        if (e)
            return e;
        e = op_apply(c, op);
        if (c->broken)
            return c->broken;
        if (e) {
            c->undos++;
            e = db_run(c, &sql_undo, "");
        }
        if (!e)
            e = db_run(c, &sql_release, "");
        if (e)
            return e;
    }
    return OK;
}

static enum err batch_commit(struct db_writer *w)
{
    int64_t start_us = mono_us();
    enum err e;

    e = FAULT("db.commit");
    if (!e)
        e = conn_commit(w->conn);
    w->sync_us = mono_us() - start_us;
    return e;
}

static enum err batch_try(struct db_writer *w, enum err (*apply)(struct db_conn *, struct list *))
{
    enum err e;

    e = conn_begin(w->conn, true);
    if (e)
        return e;
    w->conn->in_batch = true;
    e = apply(w->conn, &w->batch);
    w->one_is_guilty = e && !w->conn->broken;
    if (!e)
        e = batch_commit(w);
    w->conn->in_batch = false;
    if (e)
        conn_rollback(w->conn);
    return e;
}

bool batch_only_waits(const struct list *batch)
{
    for (const struct list *it = batch->next; it != batch; it = it->next)
        if (LIST_ITEM(it, const struct commit_op, link)->apply)
            return false;
    return true;
}

static enum err batch_write(struct db_writer *w)
{
    enum err e;

    w->sync_us = 0;
    w->one_is_guilty = false;
    if (batch_only_waits(&w->batch))
        return OK;
    if (w->conn->engine->write_batch)
        return w->conn->engine->write_batch(w->conn, &w->batch, &w->sync_us);
    e = batch_try(w, apply_together);
    if (e && w->one_is_guilty)
        e = batch_try(w, apply_one_by_one);
    if (e == ERR_IO && conn_reopen(w->conn) != OK)
        LOG_ERROR("db.reopen", LF_Z("file", w->conn->path), LF_Z("words", db_conn_error(w->conn)));
    if (!e)
        e = FAULT("db.synced");
    return e;
}

/* Pages in the log since the last try: when a slow reader held that one up, the same
 * pages are no reason to try again at once. */
static int log_grown(struct db_writer *w)
{
    if (w->conn->wal_frames < w->frames_tried)
        w->frames_tried = 0;             /* the log has started over */
    return w->conn->wal_frames - w->frames_tried;
}

static void checkpoint(struct db_writer *w)
{
    pthread_mutex_unlock(&w->mutex);
    w->conn->engine->checkpoint(w->conn);
    pthread_mutex_lock(&w->mutex);
    w->frames_tried = w->conn->wal_frames;
}

static bool idle_for(struct db_writer *w, int ms)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (w->state != WRITER_WORK && w->state != WRITER_STOP)
        if (pthread_cond_timedwait(&w->change, &w->mutex, &until) != 0)
            return true;
    return false;
}

static void *writer_run(void *arg)
{
    struct db_writer *w = arg;

    pthread_mutex_lock(&w->mutex);
    while (w->state != WRITER_STOP) {
        int grown = log_grown(w);

        if (w->state == WRITER_WORK) {
            pthread_mutex_unlock(&w->mutex);
            w->outcome = batch_write(w);
            pthread_mutex_lock(&w->mutex);
            loop_post(w->loop, &w->wake->post);
            w->state = WRITER_DONE;
            pthread_cond_broadcast(&w->change);
        } else if (grown >= CHECKPOINT_FRAMES) {
            checkpoint(w);
        } else if (grown >= CHECKPOINT_FRAMES_IDLE) {
            if (idle_for(w, CHECKPOINT_IDLE_MS))
                checkpoint(w);
        } else {
            pthread_cond_wait(&w->change, &w->mutex);
        }
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

/* ---- the loop ---- */

static void batch_leave(struct db_writer *w);

static void wake_run(struct loop_post *p);

static void round_ends(struct loop_task *task)
{
    struct db_writer *w = LIST_ITEM(task, struct db_writer, end_of_round);

    if (!w->in_flight)
        batch_leave(w);
}

static enum err op_add(struct db_writer *w, struct commit_op *op)
{
    if (w->closing)
        return ERR_CLOSED;
    /* A seal's operations sum up what was taken already, so they have room of their own. */
    if (w->filling_count + w->in_flight_count >= (w->sealing ? 2 * COMMIT_OPS_MAX : COMMIT_OPS_MAX)) {
        metric_add(&metric_refused, 1);
        return ERR_LIMIT;
    }
    list_append(&w->filling, &op->link);
    w->filling_count++;
    if (!w->in_flight)
        loop_at_end(w->loop, &w->end_of_round);
    return OK;
}

enum err commit_add(struct db *d, struct commit_op *op)
{
    return op_add(d->writer, op);
}

void commit_on_seal(struct db *d, void (*fn)(void *arg), void *arg)
{
    struct db_writer *w = d->writer;

    assert(w->seal_count < SEALS_MAX);
    w->seals[w->seal_count++] = (struct seal){ fn, arg };
}

/* Everything of `from` goes behind what is in `to`. */
static void list_move(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

static void wake_new(struct db_writer *w)
{
    w->wake = NEW(struct commit_wake);
    w->wake->post.run = wake_run;
    w->wake->writer = w;
}

static void batch_leave(struct db_writer *w)
{
    if (!w->filling_count)
        return;
    w->sealing = true;
    for (int i = 0; i < w->seal_count; i++)
        w->seals[i].fn(w->seals[i].arg);
    w->sealing = false;
    metric_set(&metric_waiting, (int64_t)w->filling_count);
    wake_new(w);
    w->in_flight = true;
    w->left_ms = mono_us() / 1000;
    pthread_mutex_lock(&w->mutex);
    list_move(&w->batch, &w->filling);
    w->in_flight_count = w->filling_count;
    w->filling_count = 0;
    w->state = WRITER_WORK;
    pthread_cond_broadcast(&w->change);
    pthread_mutex_unlock(&w->mutex);
}

/* ---- health ---- */

static struct db_sql sql_probe_fill = { .text = "INSERT INTO db_probe(id, filler) VALUES (?1, ?2)" };
static struct db_sql sql_probe_empty = { .text = "DELETE FROM db_probe WHERE id = ?1" };

/* Asks for 16 pages and gives them back, so that "there is room" means room for a few messages too. */
static enum err probe_apply(struct db_conn *c, struct commit_op *op)
{
    static const char filler[PROBE_BYTES];
    int64_t id = (int64_t)(random_u64() >> 1);      /* other processes may look too */
    enum err e;

    e = db_run(c, &sql_probe_fill, "ib", id, str_make(filler, sizeof filler));
    return e ? e : db_run(c, &sql_probe_empty, "i", id);
}

static void probe_due(struct timer *t);

static void probe_done(struct commit_op *op, enum err e)
{
    struct db_writer *w = LIST_ITEM(op, struct db_writer, probe);

    w->probing = false;
    if (w->health && !w->closing)
        timer_start(w->loop, &w->probe_timer, PROBE_MS, probe_due);
}

static void probe_due(struct timer *t)
{
    struct db_writer *w = LIST_ITEM(t, struct db_writer, probe_timer);

    w->probe.apply = probe_apply;
    w->probe.done = probe_done;
    if (w->health == OK || w->probing)
        return;
    if (op_add(w, &w->probe) == OK)
        w->probing = true;
    else
        timer_start(w->loop, &w->probe_timer, PROBE_MS, probe_due);
}

static void health_set(struct db_writer *w, enum err outcome)
{
    enum err before = w->health;

    /* A lock held elsewhere or a lost answer says nothing about the disk. */
    if (outcome == OK || outcome == ERR_FULL || outcome == ERR_IO)
        w->health = outcome;
    if (w->health == before)
        return;
    if (w->health)
        LOG_ERROR("db.unhealthy", LF_Z("file", w->conn->path), LF_ERR(w->health), LF_Z("words", db_conn_error(w->conn)));
    else
        LOG_INFO("db.healthy", LF_Z("file", w->conn->path));
    if (w->health && !w->probing && !w->closing)
        timer_start(w->loop, &w->probe_timer, PROBE_MS, probe_due);
}

/* ---- the batch comes back ---- */

static void count_batch(struct db_writer *w, enum err outcome, size_t ops, int64_t sync_us)
{
    w->stats.batches++;
    w->stats.sync_us_total += sync_us;
    metric_add(&metric_batches, 1);
    metric_add(&metric_sync_us, sync_us);
    if (outcome) {
        w->stats.failed_batches++;
        metric_add(&metric_failed, 1);
        return;
    }
    w->stats.ops += (int64_t)ops;
    metric_add(&metric_ops, (int64_t)ops);
}

/* Waits for it if need be. */
static void batch_take(struct db_writer *w)
{
    pthread_mutex_lock(&w->mutex);
    while (w->state != WRITER_DONE)
        pthread_cond_wait(&w->change, &w->mutex);
    list_move(&w->told, &w->batch);
    count_batch(w, w->outcome, w->in_flight_count, w->sync_us);
    health_set(w, w->outcome);
    w->state = WRITER_IDLE;
    pthread_mutex_unlock(&w->mutex);
}

/* Tells the operations of the finished batch, for so long (0: all), and sends the next one off when all know. */
static void batch_reap(struct db_writer *w, int64_t told_us)
{
    int64_t until_us = mono_us() + told_us;

    if (list_empty(&w->told))
        batch_take(w);
    w->wake = NULL;
    while (!list_empty(&w->told)) {
        struct commit_op *op = op_at(w->told.next);

        list_remove(&op->link);
        w->in_flight_count--;
        op->done(op, w->outcome ? w->outcome : op->result);
        if (told_us && !list_empty(&w->told) && mono_us() > until_us) {
            wake_new(w);
            loop_post(w->loop, &w->wake->post);
            return;
        }
    }
    w->in_flight = false;
    batch_leave(w);
}

static void wake_orphan(struct commit_wake *wake)
{
    wake->writer = NULL;
    pthread_mutex_lock(&wake_orphans_lock);
    wake->next_orphan = wake_orphans;
    wake_orphans = wake;
    pthread_mutex_unlock(&wake_orphans_lock);
}

static void wake_unorphan(struct commit_wake *wake)
{
    struct commit_wake **at = &wake_orphans;

    pthread_mutex_lock(&wake_orphans_lock);
    while (*at != wake)
        at = &(*at)->next_orphan;
    *at = wake->next_orphan;
    pthread_mutex_unlock(&wake_orphans_lock);
}

static void wake_run(struct loop_post *p)
{
    struct commit_wake *wake = LIST_ITEM(p, struct commit_wake, post);
    struct db_writer *w = wake->writer;

    if (!w)
        wake_unorphan(wake);
    free(wake);
    if (w)
        batch_reap(w, TOLD_US);
}

size_t commit_waiting(const struct db *d)
{
    return d->writer->filling_count + d->writer->in_flight_count;
}

enum err commit_health(const struct db *d)
{
    if (d->is_shared && commit_stalled_ms(d) > AWAY_MS)
        return atomic_load(&d->shared.full) ? ERR_FULL : ERR_UNAVAILABLE;
    return d->writer->health;
}

int64_t commit_stalled_ms(const struct db *d)
{
    return d->writer->in_flight && list_empty(&d->writer->told) ? mono_us() / 1000 - d->writer->left_ms : 0;
}

struct commit_stats commit_stats(const struct db *d)
{
    return d->writer->stats;
}

/* ---- life ---- */

struct db_writer *writer_start(struct db *d, struct db_conn *c)
{
    struct db_writer *w = NEW(struct db_writer);
    pthread_condattr_t clock;

    w->loop = d->loop;
    w->conn = c;
    w->end_of_round.run = round_ends;
    list_init(&w->filling);
    list_init(&w->told);
    list_init(&w->batch);
    pthread_mutex_init(&w->mutex, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&w->change, &clock);
    pthread_condattr_destroy(&clock);
    thread_start(&w->thread, "db-write", writer_run, w);
    return w;
}

/* What `done` adds meanwhile is written too, but not for ever: a write that is tried again
 * and again on a broken disk is refused in the end. */
void writer_drain(struct db_writer *w)
{
    if (w->conn->shared)
        atomic_store(&w->conn->shared->give_up_ms, mono_us() / 1000 + GIVE_UP_MS);
    for (int batches = 0; w->in_flight || w->filling_count; batches++) {
        if (batches == DRAIN_BATCHES_MAX || w->health)
            w->closing = true;
        if (!w->in_flight)
            batch_leave(w);
        wake_orphan(w->wake);
        batch_reap(w, 0);
    }
    w->closing = true;
}

void writer_stop(struct db_writer **wp)
{
    struct db_writer *w = *wp;

    if (!w)
        return;
    assert(w->closing && !w->in_flight);
    loop_task_cancel(w->loop, &w->end_of_round);
    timer_stop(w->loop, &w->probe_timer);
    pthread_mutex_lock(&w->mutex);
    w->state = WRITER_STOP;
    pthread_cond_broadcast(&w->change);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    db_conn_close(&w->conn);
    pthread_cond_destroy(&w->change);
    pthread_mutex_destroy(&w->mutex);
    free(w);
    *wp = NULL;
}
