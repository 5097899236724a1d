/* sweep.c: what goes: files past their time, uploads that were never finished, files of accounts that are gone, and the
 * blobs that nobody names any more. A blob goes in two steps, so that no crash and no upload of the same bytes meanwhile
 * can lose one that is wanted: the row goes and the hash is noted as doomed, durably; then it is looked at again, and only what no
 * row names and no upload is placing is removed.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "files/peers.h"
#include "files/receive.h"
#include "files/rows.h"
#include "files/usage.h"

METRIC_COUNTER(expired, "bongsu_files_expired", "Files and unfinished uploads that went by rule.");
METRIC_COUNTER(removed, "bongsu_files_blobs_removed", "Blobs that nobody named any more.");

enum { EXPIRE_AT_ONCE = 200, DOOMED_AT_ONCE = 64, ORPHANS_MAX = 4096, EXPIRE_EVERY_S = 60, TOTAL_EVERY_S = 30, PARTS_EVERY_S = 600 };

/* ---- doomed blobs ---- */

struct spare {
    struct commit_op op;
    struct store    *store;
    int              count;
    uint8_t          hashes[DOOMED_AT_ONCE][BLOB_HASH_BYTES];
};

static enum err spare_apply(struct db_conn *c, struct commit_op *self)
{
    struct spare *k = LIST_ITEM(self, struct spare, op);
    enum err      e = OK;

    for (int i = 0; i < k->count && !e; i++)
        e = catalog_spare(c, k->hashes[i]);
    return e;
}

static void spared(struct commit_op *self, enum err e)
{
    struct spare *k = LIST_ITEM(self, struct spare, op);

    k->store->spare_pending = false;
    free(k);
}

static bool settle(struct store *st, const uint8_t hash[BLOB_HASH_BYTES])
{
    if (receive_places(st, hash))
        return false;
    if (catalog_names(db_loop_conn(st->db), hash))
        return true;
    if (blob_remove(&st->blobs, hash) != OK)
        return false;
    metric_add(&removed, 1);
    return true;
}

static void look_at_doomed(struct store *st)
{
    struct spare *k;
    int           found = 0, kept = 0;

    if (st->hands_off || st->spare_pending)
        return;
    k = NEW(struct spare);
    *k = (struct spare){ .op = { .apply = spare_apply, .done = spared }, .store = st };
    catalog_doomed(db_loop_conn(st->db), k->hashes, DOOMED_AT_ONCE, &found);
    for (int i = 0; i < found; i++)
        if (settle(st, k->hashes[i]))
            memmove(k->hashes[kept++], k->hashes[i], BLOB_HASH_BYTES);
    k->count = kept;
    st->spare_pending = kept && commit_add(st->db, &k->op) == OK;
    if (!st->spare_pending)
        free(k);
}

/* ---- by rule ---- */

struct expiry {
    struct commit_op op;
    struct store    *store;
    int64_t          parts_us, files_us, gone;
};

static enum err expire_apply(struct db_conn *c, struct commit_op *self)
{
    struct expiry *k = LIST_ITEM(self, struct expiry, op);

    return catalog_expire(c, k->parts_us, k->files_us, EXPIRE_AT_ONCE, &k->gone);
}

static void expire_done(struct commit_op *self, enum err e)
{
    struct expiry *k = LIST_ITEM(self, struct expiry, op);

    if (e || k->gone) {
        rows_clear(k->store);
        usage_clear(k->store);
    }
    if (!e && k->gone) {
        metric_add(&expired, k->gone);
        LOG_INFO("files.expired", LF_I64("count", k->gone));
    }
    free(k);
}

static void expire(struct store *st)
{
    struct expiry *k = NEW(struct expiry);
    int64_t        now = clock_us();

    *k = (struct expiry){ .op = { .apply = expire_apply, .done = expire_done }, .store = st, .parts_us = now - (int64_t)SLOT_RESUME_S_MAX * 1000000,
                          .files_us = st->keep_us_max ? now - st->keep_us_max : INT64_MIN };
    if (commit_add(st->db, &k->op))
        free(k);
}

/* ---- an account that is gone ---- */

struct forget {
    struct commit_op op;
    struct store    *store;
    char            *owner;
    int64_t          before_us;
    bool             tell_peers;
};

static enum err forget_apply(struct db_conn *c, struct commit_op *self)
{
    struct forget *k = LIST_ITEM(self, struct forget, op);
    enum err       e = catalog_forget_owner(c, str_of(k->owner), k->before_us);
    uint8_t        id[SLOT_ID_BYTES];

    if (e)
        return e;
    slot_id_new(&k->store->key, id);
    e = catalog_note_forgotten(c, id, str_of(k->owner), k->before_us);
    return e || !k->tell_peers ? e : peers_owe(k->store, c, id);
}

static void forgotten(struct commit_op *self, enum err e)
{
    struct forget *k = LIST_ITEM(self, struct forget, op);

    rows_clear(k->store);
    usage_forget(k->store, str_of(k->owner));
    LOG_INFO("files.forgotten", LF_Z("user", k->owner), LF_ERR(e));
    if (k->tell_peers)
        peers_wake(k->store);
    free(k->owner);
    free(k);
}

void sweep_owner(struct store *st, struct str owner, int64_t before_us, bool tell_peers)
{
    struct forget *k = NEW(struct forget);

    *k = (struct forget){ .op = { .apply = forget_apply, .done = forgotten }, .store = st, .owner = str_dup(owner),
                          .before_us = before_us, .tell_peers = tell_peers && st->peer_count > 0 };
    if (commit_add(st->db, &k->op) == OK)
        return;
    LOG_ERROR("files.not_forgotten", LF_STR("user", owner));
    free(k->owner);
    free(k);
}

/* ---- what a crash left ---- */

static bool part_is_wanted(void *arg, const uint8_t id[SLOT_ID_BYTES])
{
    struct store   *st = arg;
    struct file_row row;
    struct arena    a;
    enum err        e;

    arena_init(&a);
    e = catalog_find(db_loop_conn(st->db), &a, id, &row);
    arena_done(&a);
    if (!receive_runs(st, id) && (e == ERR_NOT_FOUND || (!e && row.whole)))
        part_remove(&st->blobs, id);
    return true;
}

/* Blobs without a row: the process ended between placing one and its row. Looked for once, on a reading thread. */
struct orphans {
    struct db_read   read;
    struct commit_op op;
    struct store    *store;
    struct db_conn  *conn;
    int              count;
    uint8_t          hashes[ORPHANS_MAX][BLOB_HASH_BYTES];
};

static bool orphan(void *arg, const uint8_t hash[BLOB_HASH_BYTES])
{
    struct orphans *k = arg;

    if (!catalog_names(k->conn, hash))
        memcpy(k->hashes[k->count++], hash, BLOB_HASH_BYTES);
    return k->count < ORPHANS_MAX && !__atomic_load_n(&k->store->closing, __ATOMIC_RELAXED);
}

static enum err orphans_look(struct db_conn *c, struct db_read *self)
{
    struct orphans *k = LIST_ITEM(self, struct orphans, read);

    k->conn = c;
    return blobs_each(&k->store->blobs, orphan, k);
}

static enum err orphans_doom(struct db_conn *c, struct commit_op *self)
{
    struct orphans *k = LIST_ITEM(self, struct orphans, op);
    enum err        e = OK;

    for (int i = 0; i < k->count && !e; i++)
        e = catalog_doom(c, k->hashes[i]);
    return e;
}

static void orphans_doomed(struct commit_op *self, enum err e)
{
    struct orphans *k = LIST_ITEM(self, struct orphans, op);

    if (k->count)
        LOG_INFO("files.orphans", LF_I64("count", k->count), LF_ERR(e));
    free(k);
}

static void orphans_found(struct db_read *self, enum err e)
{
    struct orphans *k = LIST_ITEM(self, struct orphans, read);

    if (e || !k->count || commit_add(k->store->db, &k->op))
        free(k);
}

void sweep_init(struct store *st)
{
    struct orphans *k = NEW(struct orphans);

    parts_each(&st->blobs, part_is_wanted, st);
    *k = (struct orphans){ .read = { .work = orphans_look, .done = orphans_found },
                           .op = { .apply = orphans_doom, .done = orphans_doomed }, .store = st };
    if (db_read_start(st->db, &k->read))
        free(k);
}

void sweep_tick(struct store *st)
{
    int s = st->tick_count++;

    look_at_doomed(st);
    if (s % EXPIRE_EVERY_S == 0)
        expire(st);
    if (s % TOTAL_EVERY_S == 0)
        count_now(st, NULL);
    if (s % PARTS_EVERY_S == PARTS_EVERY_S - 1)
        parts_each(&st->blobs, part_is_wanted, st);
}
