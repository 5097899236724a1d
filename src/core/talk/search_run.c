/* search_run.c: the index is made behind the messages, by one job at a time, from rows that are durable.
 *
 *   look ─▶ nothing to do: next owner, or rest
 *     ├───▶ build    the newest 256, 2,048 or 16,384 messages that no segment has
 *     ├───▶ renew    a segment that is out of date (reindex, or a text in it is gone), from its texts
 *     └───▶ merge    eight neighbours of one size into one
 *            read… (a worker) ─▶ write… (chunks, a few per commit) ─▶ publish (one row; what it replaces goes to the trash) ─▶ look
 *
 * Chunks are in search_trash until their segment is published, so nothing is left of a job that ended half way. Several messengers may
 * work at one owner: who publishes second finds that what it began from has changed, and drops its work.
 *
 * Whose turn it is: who got 256 messages or was searched (search_note, search_ask), and everybody in turn (the sweep), which also finds
 * what was left by a crash. While much is being said nothing is made, except for a log that has grown by 16,384.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/search_job.h"
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

METRIC_COUNTER(messages_indexed, "bongsu_talk_search_messages_indexed", "Messages put into the search index, once for each log.");
METRIC_COUNTER(segments_made, "bongsu_talk_search_segments_made", "Segments of the search index made, merged or made anew.");

enum {
    BUSY_PER_SECOND = 1000,         /* messages; beyond it the index waits */
    DUE_MAX = 4096,                 /* owners waiting; those who do not fit are found by the sweep */
    NOTED_MAX = 65536,
    SWEEP_EVERY_S = 5, SWEEP_REST_S = 600,
    TRASH_EVERY_S = 5,
};

struct search {
    struct index_job   *job;                      /* the one that runs; NULL: none */
    struct intmap noted;                    /* owner → messages since */
    int64_t       due[DUE_MAX];             /* a ring */
    int           due_from, due_count;
    int64_t       urgent[64];
    int           urgent_count;
    int           said, said_before;        /* messages of this second, of the last one */
    int64_t       swept;                    /* the sweep has come to this owner */
    int64_t       made;                     /* what was wanted when it began */
    bool          hurry;                    /* an index is made anew */
    int           sweep_in_s, trash_in_s;
    int           resting;                  /* turns until the next sweep */
    bool          emptying;
};

/* ---- from step to step ---- */

static void next_work(struct talk *t);

static bool is_busy(const struct search *s) { return s->said_before > BUSY_PER_SECOND; }

static void job_end(struct talk *t)
{
    struct index_job *j = t->search->job;

    t->search->job = NULL;
    index_reset(j);
    arena_done(&j->arena);
    arena_done(&j->scratch);
    free(j);
}

static bool may_go_on(struct talk *t, enum err e)
{
    if (e && !t->stopping)
        LOG_WARN("search.index", LF_I64("owner", t->search->job->owner), LF_ERR(e));
    return !e && !t->stopping;
}

static void read_now(struct index_job *j, enum err (*work)(struct db_conn *, struct db_read *), void (*done)(struct db_read *, enum err))
{
    j->read = (struct db_read){ .work = work, .done = done, .class = DB_READ_PATIENT };
    if (db_read_start(j->t->db, &j->read) != OK)
        job_end(j->t);          /* too much to do: the sweep comes by again */
}

static void look_again(struct index_job *j);

static void published(struct talk *t, struct change *ch, enum err e)
{
    struct index_job *j = LIST_ITEM(ch, struct index_job, change);

    if (!may_go_on(t, e)) {
        job_end(t);
        return;
    }
    metric_add(&segments_made, 1);
    if (j->kind == KIND_BUILD)
        metric_add(&messages_indexed, j->record_count);
    look_again(j);
}

static void change_now(struct index_job *j, enum err (*apply)(struct db_conn *, struct change *), void (*done)(struct talk *, struct change *, enum err))
{
    j->change = (struct change){ .apply = apply, .done = done };
    if (session_change(NULL, j->t, &j->change) != OK)
        job_end(j->t);
}

static void chunks_written(struct talk *t, struct change *ch, enum err e)
{
    struct index_job *j = LIST_ITEM(ch, struct index_job, change);

    if (!may_go_on(t, e)) {
        job_end(t);
        return;
    }
    j->written += INDEX_WRITE_STEP;
    if (j->written < j->chunk_count)
        change_now(j, index_write_chunks, chunks_written);
    else
        change_now(j, index_publish, published);
}

static void all_read(struct db_read *read, enum err e)
{
    struct index_job *j = LIST_ITEM(read, struct index_job, read);

    if (e == ERR_INVALID && j->kind == KIND_MERGE) {       /* a broken segment: made anew from its texts */
        change_now(j, index_break, published);
    } else if (!may_go_on(j->t, e)) {
        job_end(j->t);
    } else if (!j->read_all) {
        read_now(j, index_read, all_read);
    } else if (j->kind == KIND_BUILD && j->record_count == 0) {
        job_end(j->t);          /* they have gone since it looked */
    } else {
        change_now(j, index_write_chunks, chunks_written);
    }
}

static void make(struct index_job *j)
{
    index_begin(j);
    read_now(j, index_read, all_read);
}

/* A new generation is made without a rest between owners. */
static void sweep_noted(struct search *s, const struct index_job *j)
{
    if (j->made != s->made) {
        s->hurry = s->made != 0;
        s->swept = INT64_MIN;
        s->resting = 0;
        s->made = j->made;
    } else if (!j->resting) {
        s->swept = j->swept ? INT64_MIN : j->owner;
        s->hurry &= !j->swept;
        s->resting = j->swept ? SWEEP_REST_S / SWEEP_EVERY_S : 0;
    } else {
        s->resting--;
    }
}

static void looked(struct db_read *read, enum err e)
{
    struct index_job  *j = LIST_ITEM(read, struct index_job, read);
    struct talk *t = j->t;

    if (j->sweeping && !e)
        sweep_noted(t->search, j);
    if (!may_go_on(t, e)) {
        job_end(t);
    } else if (j->kind == KIND_NOTHING) {
        job_end(t);
        next_work(t);
    } else {
        make(j);
    }
}

static void look_again(struct index_job *j)
{
    index_reset(j);
    j->sweeping = false;
    j->busy = is_busy(j->t->search);
    read_now(j, index_look, looked);
}

static void start(struct talk *t, int64_t owner, bool sweeping)
{
    struct index_job *j = NEW(struct index_job);

    t->search->job = j;
    j->t = t;
    j->key = t->origin_key;
    j->owner = owner;
    j->sweeping = sweeping;
    j->busy = is_busy(t->search);
    j->resting = t->search->resting > 0;
    j->made_before = t->search->made;
    arena_init(&j->arena);
    arena_init(&j->scratch);
    buf_init(&j->hides, 0);
    read_now(j, index_look, looked);
}

static void next_work(struct talk *t)
{
    struct search *s = t->search;
    bool           busy = is_busy(s);

    if (s->job || t->stopping)
        return;
    if (s->urgent_count) {
        start(t, s->urgent[--s->urgent_count], false);
    } else if (s->due_count && !busy) {
        int64_t owner = s->due[s->due_from];

        s->due_from = (s->due_from + 1) % DUE_MAX;
        s->due_count--;
        start(t, owner, false);
    } else if (!busy && (s->hurry || s->sweep_in_s <= 0)) {
        s->sweep_in_s = SWEEP_EVERY_S;
        start(t, s->swept, true);
    }
}

/* ---- the trash ---- */

static struct db_sql trash_take = { "DELETE FROM search_trash WHERE segment = ?1" };
static struct db_sql trash_next = { "SELECT segment, owner FROM search_trash WHERE after_us < ?1 ORDER BY segment LIMIT 1" };
static struct db_sql trash_empty = {
    "DELETE FROM search_chunk WHERE owner = ?1 AND segment = ?2"
    " AND NOT EXISTS (SELECT 1 FROM search_segment g WHERE g.owner = ?1 AND g.segment = ?2)" };

struct trash_op {
    struct change change;
    bool          any;          /* there was some */
};

static enum err empty_apply(struct db_conn *c, struct change *ch)
{
    struct db_stmt *s;
    int64_t         segment, owner;
    enum err        e = db_get(c, &s, &trash_next, "i", clock_us());

    ((struct trash_op *)ch)->any = e == OK;
    segment = e ? 0 : db_i64(s, 0);
    owner = e ? 0 : db_i64(s, 1);
    if (s)
        db_done(s);
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    e = db_run(c, &trash_empty, "ii", owner, segment);
    return e ? e : db_run(c, &trash_take, "i", segment);
}

static void empty_trash(struct talk *t);

/* One segment after the other while there are some: merging leaves eight at a time. */
static void emptied(struct talk *t, struct change *ch, enum err e)
{
    bool more = !e && ((struct trash_op *)ch)->any;

    t->search->emptying = false;
    free(ch);
    if (more && !t->stopping && !is_busy(t->search))
        empty_trash(t);
}

static void empty_trash(struct talk *t)
{
    struct trash_op *o = NEW(struct trash_op);

    o->change.apply = empty_apply;
    o->change.done = emptied;
    t->search->emptying = true;
    if (session_change(NULL, t, &o->change) != OK)
        emptied(t, &o->change, ERR_LIMIT);
}

/* ---- what others call ---- */

void search_init(struct talk *t)
{
    t->search = NEW(struct search);
    intmap_init(&t->search->noted);
    t->search->sweep_in_s = SWEEP_EVERY_S;
    t->search->swept = INT64_MIN;
}

void search_done(struct talk *t)
{
    if (!t->search)
        return;
    intmap_done(&t->search->noted);
    free(t->search);
    t->search = NULL;
}

void search_tick(struct talk *t)
{
    struct search *s = t->search;

    s->said_before = s->said;
    s->said = 0;
    s->sweep_in_s--;
    if (--s->trash_in_s <= 0 && !s->emptying && !t->stopping) {
        s->trash_in_s = TRASH_EVERY_S;
        empty_trash(t);
    }
    next_work(t);
}

void search_ask(struct talk *t, int64_t owner)
{
    struct search *s = t->search;

    if (s->due_count < DUE_MAX)
        s->due[(s->due_from + s->due_count++) % DUE_MAX] = owner;
}

int search_waiting(const struct talk *t, bool urgent) { return urgent ? t->search->urgent_count : t->search->due_count; }

void search_note(struct talk *t, int64_t owner)
{
    struct search *s = t->search;
    intptr_t       n = (intptr_t)intmap_get(&s->noted, owner) + 1;

    s->said++;
    if (n % INDEX_SMALL == 0)
        search_ask(t, owner);
    if (n % INDEX_LARGE == 0 && s->urgent_count < (int)(sizeof s->urgent / sizeof *s->urgent))
        s->urgent[s->urgent_count++] = owner;
    if (s->noted.count >= NOTED_MAX) {      /* the sweep finds them */
        intmap_done(&s->noted);
        intmap_init(&s->noted);
    }
    intmap_put(&s->noted, owner, (void *)n);
}

struct mend_op {
    struct change change;
    int64_t       owner, segment;
};

static enum err mend_apply(struct db_conn *c, struct change *ch)
{
    struct mend_op *o = (struct mend_op *)ch;

    return search_stale(c, o->owner, o->segment);
}

static void mended(struct talk *t, struct change *ch, enum err e)
{
    if (!e)
        search_ask(t, ((struct mend_op *)ch)->owner);
    free(ch);
}

void search_mend(struct talk *t, int64_t owner, int64_t segment)
{
    struct mend_op *o = NEW(struct mend_op);

    LOG_WARN("search.broken", LF_I64("owner", owner));
    o->change.apply = mend_apply;
    o->change.done = mended;
    o->owner = owner;
    o->segment = segment;
    if (session_change(NULL, t, &o->change) != OK)
        free(o);
}

