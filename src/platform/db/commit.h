/* commit.h: the commit batch. Operations added during one loop round (and
 * while an earlier batch is being written) share one transaction; nobody is told "done"
 * before it is on the disk.
 *
 *   filling ──seal, none in flight──▶ in flight ──COMMIT──▶ done, in order
 *      ▲                                          │
 *      └── the next batch fills meanwhile ◀───────┘
 *
 * If the transaction fails as a whole (ERR_FULL, ERR_IO, ERR_UNAVAILABLE), every operation of the batch
 * gets that error and nothing of it is stored. If one operation's own
 * statement fails (ERR_EXISTS, ERR_INVALID, ERR_BUG), the batch is rolled back and
 * done again one operation at a time, so only the guilty one is told. What its first failed statement gave is what it is
 * told, whatever apply makes of it: on PostgreSQL statements are sent together and answered later.
 *
 * On PostgreSQL a batch does not fail because the database is away: it waits, and is repeated until it lands, once
 * (pg_batch.c). It fails with ERR_FULL when the primary had no room for 20 s, and with ERR_UNAVAILABLE or ERR_UNCERTAIN
 * when the database is closed meanwhile.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/list.h"
#include "db/db.h"

enum { COMMIT_OPS_MAX = 65536 };                 /* waiting operations, and so the largest batch */

/* Lives inside your struct, at the address you gave, until `done` has been called. */
struct commit_op {
    /* On the writer thread, inside the transaction: run statements, store
     * results in your struct; must not touch anything else. May run again
     * after a rollback, so it must set its results afresh. NULL: only wait for
     * everything before it to be durable. */
    enum err (*apply)(struct db_conn *c, struct commit_op *self);
    /* In the loop, once, in the order of adding, never from inside commit_add; those of a large batch in several rounds.
     * OK: durable. May add new operations. */
    void     (*done)(struct commit_op *self, enum err e);
    struct list link;
    enum err result;
    bool due, unsure;        /* the layer's own: to be applied yet; its numbers were not read */
};

/* ERR_LIMIT: too much is waiting; ERR_CLOSED: the database is being closed; `done` will
 * not be called: tell the sender to wait. */
enum err commit_add(struct db *d, struct commit_op *op);
/* Called just before a batch leaves, when every `done` of the batch before it has run, so that a
 * module can add a last operation that sums the batch up (stream rows). A batch takes
 * everything that waits, never a part: what the last operation says holds for all before it. */
void     commit_on_seal(struct db *d, void (*fn)(void *arg), void *arg);
size_t   commit_waiting(const struct db *d);     /* operations added and not done */
/* The state of the disk as the last batch found it: OK, ERR_FULL, ERR_IO. While not OK,
 * one small probe transaction a second looks whether it has come back. PostgreSQL: ERR_UNAVAILABLE
 * (ERR_FULL when that is why) while a batch has found no primary to land on for a second. */
enum err commit_health(const struct db *d);
/* How long the batch in flight has been waiting to become durable; 0 when none is. */
int64_t  commit_stalled_ms(const struct db *d);
struct commit_stats { int64_t batches, ops, failed_batches, sync_us_total; };
struct commit_stats commit_stats(const struct db *d);
