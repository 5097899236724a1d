/* receive.c: see receive.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/receive.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "files/peers.h"
#include "files/show.h"
#include "files/usage.h"

METRIC_COUNTER(bytes_in, "bongsu_files_bytes_in", "Bytes of uploads that came, those from other sites included.");
METRIC_COUNTER(uploaded, "bongsu_files_uploaded", "Uploads that are whole and on the disk.");
METRIC_COUNTER(broken_off, "bongsu_files_broken_off", "Uploads that ended before they were whole.");
METRIC_COUNTER(failed, "bongsu_files_failed", "Uploads that this server could not keep.");
METRIC_COUNTER(alone, "bongsu_files_answered_alone", "Uploads that were answered before another site had a copy.");
METRIC_GAUGE(coming, "bongsu_files_coming", "Uploads under way.");

enum step { STEP_BEGIN, STEP_WAIT, STEP_WRITE, STEP_SYNC, STEP_PLACE, STEP_WHOLE, STEP_COMMIT, STEP_COPY };

struct receipt {
    struct list          link;
    struct store        *store;
    const struct receive_events *ev;
    void                *arg;
    struct arena         arena;
    struct slot          slot;
    int64_t              from, until;
    bool                 from_peer;
    bool                 is_small;          /* fits into one piece: it becomes a blob in one go, and has no row before */

    enum step            step;
    enum err             error;             /* the loop's; what a thread found is in `did` until it is back */
    enum err             did;
    bool                 busy;              /* a thread has it, or the writer */
    bool                 held, ended, abandoned, superseded;
    struct buf           filling, writing;
    struct pool_job      job;
    struct commit_op     begin_op, op;
    bool                 begin_pending;

    int                  fd;
    int64_t              at;                /* bytes in the part */
    struct digest_state *sum;               /* NULL: the file does not end with what comes */
    uint8_t              hash[BLOB_HASH_BYTES];
    bool                 shown, fresh;
    struct loop_task     told;
    struct timer         copy;              /* until another site has it, or no longer */
};

static void advance(struct receipt *r);

/* ---- on the pool ---- */

/* What is there already must be in the sum. */
static enum err sum_again(struct receipt *r)
{
    char     chunk[65536];
    int64_t  at = 0;

    while (at < r->at) {
        int64_t left = r->at - at;
        ssize_t n = pread(r->fd, chunk, left < (int64_t)sizeof chunk ? (size_t)left : sizeof chunk, (off_t)at);

        if (n <= 0)
            return n < 0 ? err_from_errno(errno) : ERR_IO;
        digest_add(r->sum, str_make(chunk, (size_t)n));
        at += n;
    }
    return OK;
}

static enum err begin_work(struct receipt *r)
{
    const struct blobs *b = &r->store->blobs;
    int64_t             have = r->from < 0 ? 0 : part_bytes(b, r->slot.id);
    enum err            e;

    if (have < 0)
        have = 0;
    r->at = have;
    if (r->from >= 0 && r->from != have)
        return ERR_INVALID;
    e = part_open(b, r->slot.id, have == 0, r->slot.bytes, &r->fd);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_INVALID : e;
    if (r->until < r->slot.bytes)
        return OK;
    r->sum = digest_begin(DIGEST_SHA256);
    return sum_again(r);
}

static enum err write_bytes(struct receipt *r)
{
    struct str left = buf_str(&r->writing);
    enum err   e = FAULT("files.write");

    if (e)
        return e;
    while (left.len) {
        ssize_t n = pwrite(r->fd, left.p, left.len, (off_t)r->at);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        r->at += n;
        left = str_make(left.p + n, left.len - (size_t)n);
    }
    return OK;
}

static enum err write_work(struct receipt *r)
{
    enum err e = write_bytes(r);

    if (r->sum)
        digest_add(r->sum, buf_str(&r->writing));
    return e;
}

static enum err sync_work(struct receipt *r)
{
    char     first[SHOW_FIRST_BYTES];
    ssize_t  n = pread(r->fd, first, sizeof first, 0);
    enum err e = FAULT("files.sync");

    if (e)
        return e;
    if (n < 0 || fsync(r->fd) != 0)
        return err_from_errno(errno);
    r->shown = show_inline(r->slot.type, str_make(first, (size_t)n));
    digest_end(&r->sum, r->hash);
    close(r->fd);
    r->fd = -1;
    return OK;
}

/* A small file in one go. Of bytes that are here already nothing is written. */
static enum err whole_work(struct receipt *r)
{
    const struct blobs *b = &r->store->blobs;
    struct str          all = buf_str(&r->writing);
    enum err            e;

    digest(DIGEST_SHA256, all, r->hash);
    r->shown = show_inline(r->slot.type, str_make(all.p, all.len < SHOW_FIRST_BYTES ? all.len : SHOW_FIRST_BYTES));
    if (blob_is_there(b, r->hash)) {
        r->at = (int64_t)all.len;
        return part_place(b, r->slot.id, r->hash);
    }
    e = part_open(b, r->slot.id, true, 0, &r->fd);
    if (!e)
        e = write_bytes(r);
    if (!e)
        e = FAULT("files.sync");
    if (!e && fsync(r->fd) != 0)
        e = err_from_errno(errno);
    return e ? e : part_place(b, r->slot.id, r->hash);
}

static void work(struct pool_job *self)
{
    struct receipt *r = LIST_ITEM(self, struct receipt, job);

    switch (r->step) {
    case STEP_BEGIN: r->did = begin_work(r); break;
    case STEP_WRITE: r->did = write_work(r); break;
    case STEP_SYNC:  r->did = sync_work(r); break;
    case STEP_WHOLE: r->did = whole_work(r); break;
    case STEP_PLACE: r->did = part_place(&r->store->blobs, r->slot.id, r->hash); break;
    default: break;
    }
}

static void worked(struct pool_job *self, enum err e)
{
    struct receipt *r = LIST_ITEM(self, struct receipt, job);

    r->busy = false;
    if (!r->error)
        r->error = r->did ? r->did : e;
    buf_clear(&r->writing);
    advance(r);
}

/* The thread may be through before pool_add returns. */
static void start(struct receipt *r, enum step step)
{
    enum err e;

    r->step = step;
    r->busy = true;
    r->did = OK;
    r->job = (struct pool_job){ .work = work, .done = worked };
    e = pool_add(r->store->pool, &r->job);
    if (e) {
        r->busy = false;
        r->error = e;
        advance(r);
    }
}

/* ---- the end ---- */

static void give_back(struct receipt *r)
{
    struct store *st = r->store;

    if (r->fd >= 0)
        close(r->fd);
    timer_stop(st->loop, &r->copy);
    digest_end(&r->sum, NULL);
    buf_done(&r->filling);
    buf_done(&r->writing);
    list_remove(&r->link);
    metric_set(&coming, --st->receipt_count);
    arena_done(&r->arena);
    loop_task_cancel(st->loop, &r->told);
    loop_free_later(st->loop, r);
}

/* A part of these is of use to the next try. */
static bool keeps_part(enum err e) { return !e || e == ERR_INVALID || e == ERR_EXISTS || e == ERR_CLOSED; }

static void tell(struct loop_task *task)
{
    struct receipt *r = LIST_ITEM(task, struct receipt, told);
    enum err        e = r->error;

    if (!keeps_part(e)) {
        metric_add(&failed, 1);
        LOG_WARN("files.failed", LF_STR("user", r->slot.owner), LF_I64("bytes", r->slot.bytes), LF_ERR(e));
    }
    if (e || r->abandoned || !r->fresh)
        usage_forget(r->store, r->slot.owner);
    if (!r->abandoned)
        r->ev->done(r->arg, e, r->at);
    else
        metric_add(&broken_off, 1);
    give_back(r);
}

static void finish(struct receipt *r)
{
    r->busy = true;
    loop_at_end(r->store->loop, &r->told);
}

static enum err forget_apply(struct db_conn *c, struct commit_op *self)
{
    return catalog_forget_part(c, LIST_ITEM(self, struct receipt, op)->slot.id);
}

static void forgotten(struct commit_op *self, enum err e)
{
    finish(LIST_ITEM(self, struct receipt, op));
}

/* It failed here: a full disk wants its room back, and the owner's quota too. */
static void give_up(struct receipt *r)
{
    r->op = (struct commit_op){ .apply = forget_apply, .done = forgotten };
    if (keeps_part(r->error)) {
        finish(r);
        return;
    }
    part_remove(&r->store->blobs, r->slot.id);
    r->busy = true;
    if (commit_add(r->store->db, &r->op))
        finish(r);
}

/* ---- the row ---- */

static struct file_row row_of(const struct receipt *r)
{
    struct file_row row = { .owner = r->slot.owner, .name = r->slot.name, .type = r->slot.type, .bytes = r->slot.bytes,
                            .made_us = r->slot.made_us, .shown = r->shown };

    memcpy(row.id, r->slot.id, sizeof row.id);
    memcpy(row.hash, r->hash, sizeof row.hash);
    return row;
}

static enum err begin_apply(struct db_conn *c, struct commit_op *self)
{
    struct file_row row = row_of(LIST_ITEM(self, struct receipt, begin_op));

    return catalog_begin(c, &row);
}

static void begun(struct commit_op *self, enum err e)
{
    struct receipt *r = LIST_ITEM(self, struct receipt, begin_op);

    r->begin_pending = false;
    if (e && !r->error)
        r->error = e;
    if (!r->busy)
        advance(r);
}

static enum err complete_apply(struct db_conn *c, struct commit_op *self)
{
    struct receipt *r = LIST_ITEM(self, struct receipt, op);
    struct file_row row = row_of(r);
    enum err        e = r->is_small ? catalog_put(c, &row, &r->fresh) : catalog_complete(c, &row, &r->fresh);

    return e || !r->fresh || r->from_peer ? e : peers_owe(r->store, c, r->slot.id);
}

static enum err doom_apply(struct db_conn *c, struct commit_op *self)
{
    return catalog_doom(c, LIST_ITEM(self, struct receipt, op)->hash);
}

static void doomed(struct commit_op *self, enum err e)
{
    finish(LIST_ITEM(self, struct receipt, op));
}

static struct receipt *find(const struct store *st, const uint8_t id[SLOT_ID_BYTES])
{
    LIST_EACH(it, &st->receipts) {
        struct receipt *r = LIST_ITEM(it, struct receipt, link);

        if (memcmp(r->slot.id, id, SLOT_ID_BYTES) == 0)
            return r;
    }
    return NULL;
}

static void waited(struct timer *t)
{
    metric_add(&alone, 1);
    finish(LIST_ITEM(t, struct receipt, copy));
}

/* A file at one site only can be lost with it, so the answer waits a moment for a copy at another, if one can be reached. */
static void wait_for_copy(struct receipt *r)
{
    struct store *st = r->store;

    peers_wake(st);
    if (!st->copy_wait_ms || !peers_reachable(st)) {
        metric_add(&alone, st->peer_count > 0);
        finish(r);
        return;
    }
    r->step = STEP_COPY;
    timer_start(st->loop, &r->copy, st->copy_wait_ms, waited);
}

void receive_copied(struct store *st, const uint8_t id[SLOT_ID_BYTES])
{
    struct receipt *r = find(st, id);

    if (!r || r->step != STEP_COPY || !timer_running(&r->copy))
        return;
    timer_stop(st->loop, &r->copy);
    finish(r);
}

/* The blob is in place and nobody's: it is looked at again when this receipt is gone. */
static void completed(struct commit_op *self, enum err e)
{
    struct receipt *r = LIST_ITEM(self, struct receipt, op);

    r->error = e;
    if (e) {
        r->op = (struct commit_op){ .apply = doom_apply, .done = doomed };
        if (commit_add(r->store->db, &r->op) == OK)
            return;
    } else {
        metric_add(&uploaded, 1);
        LOG_INFO("files.uploaded", LF_STR("user", r->slot.owner), LF_I64("bytes", r->slot.bytes), LF_I64("peer", r->from_peer));
    }
    if (!e && r->fresh && !r->from_peer)
        wait_for_copy(r);
    else
        finish(r);
}

static void complete(struct receipt *r)
{
    r->step = STEP_COMMIT;
    r->busy = true;
    r->op = (struct commit_op){ .apply = complete_apply, .done = completed };
    r->error = commit_add(r->store->db, &r->op);
    if (r->error)
        finish(r);
}

/* ---- in the loop ---- */

/* A part that was announced as one, or a source that broke off. */
static void end_early(struct receipt *r)
{
    if (!r->abandoned && r->at != r->until)
        r->error = ERR_INVALID;
    finish(r);
}

static void write_some(struct receipt *r)
{
    struct buf full = r->filling;

    r->filling = r->writing;
    r->writing = full;
    start(r, STEP_WRITE);
    if (r->held && !r->ended && !r->abandoned) {
        r->held = false;
        r->ev->go_on(r->arg);
    }
}

/* Nothing is on the disk before all is here, so what breaks off leaves nothing. */
static void advance_small(struct receipt *r)
{
    if (r->ended && (int64_t)r->filling.len == r->slot.bytes) {
        struct buf full = r->filling;

        r->filling = r->writing;
        r->writing = full;
        start(r, STEP_WHOLE);
    } else if (r->ended || r->abandoned) {
        end_early(r);
    }
}

/* One step further, when nothing is at work on it. */
static void advance(struct receipt *r)
{
    bool all = r->ended || r->abandoned;

    if ((r->superseded || r->store->closing) && r->step < STEP_SYNC && !r->error)
        r->error = ERR_CLOSED;
    if (r->busy || (r->begin_pending && (r->error || all)))
        return;
    if (r->error)
        give_up(r);
    else if (r->step == STEP_SYNC)
        start(r, STEP_PLACE);
    else if (r->step == STEP_PLACE || r->step == STEP_WHOLE)
        complete(r);
    else if (r->is_small)
        advance_small(r);
    else if (r->filling.len >= RECEIVE_PIECE_BYTES || (r->filling.len && all))
        write_some(r);
    else if (r->ended && r->at == r->slot.bytes)
        start(r, STEP_SYNC);
    else if (all)
        end_early(r);
    else if (r->held) {
        r->held = false;
        r->step = STEP_WAIT;
        r->ev->go_on(r->arg);
    } else {
        r->step = STEP_WAIT;
    }
}

bool receive_runs(const struct store *st, const uint8_t id[SLOT_ID_BYTES]) { return find(st, id) != NULL; }

bool receive_places(const struct store *st, const uint8_t hash[BLOB_HASH_BYTES])
{
    LIST_EACH(it, &st->receipts) {
        struct receipt *r = LIST_ITEM(it, struct receipt, link);

        /* of a small one the hash is not known before its blob is in place */
        if (r->step >= STEP_PLACE && ((r->step == STEP_WHOLE && r->busy) || memcmp(r->hash, hash, BLOB_HASH_BYTES) == 0))
            return true;
    }
    return false;
}

static bool is_room_for(const struct store *st, struct str owner, bool from_peer)
{
    int own = 0;

    LIST_EACH(it, &st->receipts)
        own += str_eq(LIST_ITEM(it, struct receipt, link)->slot.owner, owner);
    return from_peer ? st->receipt_count < 2 * st->uploads_max
                     : st->receipt_count < st->uploads_max && own < st->uploads_per_account_max;
}

static void slot_copy(struct receipt *r, const struct slot *s)
{
    r->slot = *s;
    r->slot.owner = arena_str(&r->arena, s->owner);
    r->slot.name = arena_str(&r->arena, s->name);
    r->slot.type = arena_str(&r->arena, s->type);
}

enum err receive_new(struct store *st, const struct slot *s, int64_t from, int64_t until, bool from_peer,
                     const struct receive_events *ev, void *arg, struct receipt **out)
{
    struct receipt *r = find(st, s->id);
    enum err        e;

    if (r) {
        r->superseded = true;
        if (!r->busy)
            advance(r);
        return ERR_EXISTS;
    }
    if (!is_room_for(st, s->owner, from_peer))
        return ERR_LIMIT;
    r = NEW(struct receipt);
    *r = (struct receipt){ .store = st, .ev = ev, .arg = arg, .from = from, .until = until, .from_peer = from_peer, .fd = -1,
                           .told = { .run = tell }, .begin_op = { .apply = begin_apply, .done = begun } };
    arena_init(&r->arena);
    slot_copy(r, s);
    buf_init(&r->filling, 0);
    buf_init(&r->writing, 0);
    r->is_small = from < 0 && until == s->bytes && s->bytes <= RECEIVE_PIECE_BYTES;
    e = r->is_small ? OK : commit_add(st->db, &r->begin_op);
    if (e) {
        arena_done(&r->arena);
        free(r);
        return e;
    }
    usage_add(st, s->owner, s->bytes);
    list_append(&st->receipts, &r->link);
    metric_set(&coming, ++st->receipt_count);
    *out = r;
    if (r->is_small) {
        r->step = STEP_WAIT;
        return OK;
    }
    r->begin_pending = true;
    start(r, STEP_BEGIN);
    return OK;
}

void receive_bytes(struct receipt *r, struct str in)
{
    metric_add(&bytes_in, (int64_t)in.len);
    if (!r->filling.cap)
        buf_reserve(&r->filling, (size_t)(r->is_small ? r->slot.bytes : RECEIVE_PIECE_BYTES + 65536));
    buf_put_str(&r->filling, in);
    if (!r->busy)
        advance(r);
    if (r->busy && r->filling.len >= RECEIVE_PIECE_BYTES && !r->held && !r->is_small) {
        r->held = true;
        r->ev->hold(r->arg);
    }
}

void receive_end(struct receipt *r)
{
    r->ended = true;
    if (!r->busy)
        advance(r);
}

void receive_abandon(struct receipt *r)
{
    r->abandoned = true;
    if (!r->busy)
        advance(r);
}

void receive_end_all(struct store *st)
{
    while (!list_empty(&st->receipts)) {
        struct receipt *r = LIST_ITEM(st->receipts.next, struct receipt, link);

        r->error = ERR_CLOSED;
        tell(&r->told);
    }
}
