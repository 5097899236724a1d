/* read.c: queries on worker threads, each with its own connection. A query
 * sees one snapshot from beginning to end.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/metric.h"
#include "db/inner.h"

METRIC_COUNTER(reads, "bongsu_db_reads", "Queries answered by the read workers.");
METRIC_COUNTER(reads_refused, "bongsu_db_reads_refused", "Queries refused because the queue was full.");

struct read_worker {
    struct db_readers *readers;
    struct db_conn    *conn;
    pthread_t          thread;
};

struct db_readers {
    struct loop       *loop;
    pthread_mutex_t    mutex;
    pthread_cond_t     wake;
    struct list        queues[DB_READ_CLASSES];
    int                queued[DB_READ_CLASSES];
    struct list        answered;        /* and not told yet */
    unsigned           taken;
    bool               stop;
    int                worker_count;
    struct read_worker workers[];
};

/* In the loop, in its turn among what other threads post: behind a commit that was known before it. */
static void tell(struct loop_post *p)
{
    struct db_read    *r = LIST_ITEM(p, struct db_read, post);
    struct db_readers *rs = r->readers;

    pthread_mutex_lock(&rs->mutex);
    list_remove(&r->link);
    pthread_mutex_unlock(&rs->mutex);
    r->done(r, r->result);
}

static void answered_put(struct db_readers *rs, struct db_read *r)
{
    r->readers = rs;
    r->post.run = tell;
    pthread_mutex_lock(&rs->mutex);
    list_append(&rs->answered, &r->link);
    pthread_mutex_unlock(&rs->mutex);
    loop_post(rs->loop, &r->post);
}

static enum err read_work(struct db_conn *c, struct db_read *r)
{
    enum err e;
    bool behind;

    e = conn_begin(c, false);
    if (e)
        return e;
    e = r->work(c, r);
    behind = e == ERR_UNAVAILABLE && !c->broken;
    if ((e == OK || e == ERR_NOT_FOUND) && c->broken)
        e = c->broken;                   /* "nothing" from a server that was not there */
    conn_rollback(c);
    if (behind)
        conn_turn_away(c);
    if (e == ERR_IO)
        conn_reopen(c);
    return e;
}

enum { OLDEST_CLASS_EACH = 8 };      /* every so many reads one of the lowest class that waits: nobody waits for ever */

/* The class to take from, -1: nothing waits. */
static int class_next(struct db_readers *rs)
{
    static const enum db_read_class order[DB_READ_CLASSES] = { DB_READ_URGENT, DB_READ_USUAL, DB_READ_PATIENT };
    bool last = ++rs->taken % OLDEST_CLASS_EACH == 0;

    for (int i = 0; i < DB_READ_CLASSES; i++) {
        enum db_read_class class = order[last ? DB_READ_CLASSES - 1 - i : i];

        if (!list_empty(&rs->queues[class]))
            return (int)class;
    }
    return -1;
}

static struct db_read *queue_take(struct db_readers *rs)
{
    struct db_read *r = NULL;
    int class = -1;

    pthread_mutex_lock(&rs->mutex);
    while (!rs->stop && (class = class_next(rs)) < 0)
        pthread_cond_wait(&rs->wake, &rs->mutex);
    if (!rs->stop) {
        r = LIST_ITEM(rs->queues[class].next, struct db_read, link);
        list_remove(&r->link);
        rs->queued[class]--;
    }
    pthread_mutex_unlock(&rs->mutex);
    return r;
}

static void *worker_run(void *arg)
{
    struct read_worker *w = arg;
    struct db_read *r;

    while ((r = queue_take(w->readers)) != NULL) {
        r->result = read_work(w->conn, r);
        metric_add(&reads, 1);
        answered_put(w->readers, r);
    }
    return NULL;
}

enum err db_read_start(struct db *d, struct db_read *r)
{
    struct db_readers *rs = d->readers;
    enum err e = OK;

    pthread_mutex_lock(&rs->mutex);
    if (rs->stop) {
        e = ERR_CLOSED;
    } else if (rs->queued[r->class] >= DB_READ_QUEUE_MAX) {
        e = ERR_LIMIT;
    } else {
        list_append(&rs->queues[r->class], &r->link);
        rs->queued[r->class]++;
        pthread_cond_signal(&rs->wake);
    }
    pthread_mutex_unlock(&rs->mutex);
    if (e)
        metric_add(&reads_refused, 1);
    return e;
}

struct db_readers *readers_start(struct db *d, struct db_conn **conns, int count)
{
    struct db_readers *rs = mem_new(sizeof *rs + (size_t)count * sizeof rs->workers[0]);

    rs->loop = d->loop;
    list_init(&rs->answered);
    pthread_mutex_init(&rs->mutex, NULL);
    pthread_cond_init(&rs->wake, NULL);
    for (int class = 0; class < DB_READ_CLASSES; class++)
        list_init(&rs->queues[class]);
    rs->worker_count = count;
    for (int i = 0; i < count; i++) {
        rs->workers[i] = (struct read_worker){ .readers = rs, .conn = conns[i] };
        thread_start(&rs->workers[i].thread, "db-read", worker_run, &rs->workers[i]);
    }
    return rs;
}

static void close_one(struct db_readers *rs, struct list *from)
{
    struct db_read *r = LIST_ITEM(from->next, struct db_read, link);

    list_remove(&r->link);
    if (from == &rs->answered)
        loop_post_cancel(rs->loop, &r->post);
    r->done(r, ERR_CLOSED);
}

void readers_stop(struct db_readers **rsp)
{
    struct db_readers *rs = *rsp;

    if (!rs)
        return;
    pthread_mutex_lock(&rs->mutex);
    rs->stop = true;
    pthread_cond_broadcast(&rs->wake);
    pthread_mutex_unlock(&rs->mutex);
    for (int i = 0; i < rs->worker_count; i++) {
        pthread_join(rs->workers[i].thread, NULL);
        db_conn_close(&rs->workers[i].conn);
    }
    while (!list_empty(&rs->answered))
        close_one(rs, &rs->answered);
    for (int class = 0; class < DB_READ_CLASSES; class++)
        while (!list_empty(&rs->queues[class]))
            close_one(rs, &rs->queues[class]);
    pthread_cond_destroy(&rs->wake);
    pthread_mutex_destroy(&rs->mutex);
    free(rs);
    *rsp = NULL;
}
