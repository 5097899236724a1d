/* xep0198_row.c: a stream's row: written with every batch that changed it, and read again at start.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0198_inner.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/codec.h"
#include "talk/devices.h"
#include "talk/offline.h"
#include "talk/xep/xep0115_clients.h"
#include "talk/xep/xep0198_move.h"
#include <stdlib.h>

const struct db_migration sm_migrations[] = {
    { 1, "stream",
      "CREATE TABLE stream(id INTEGER PRIMARY KEY, user TEXT NOT NULL, resource TEXT NOT NULL,"
      " received INTEGER NOT NULL, acked INTEGER NOT NULL, entries BLOB, log_pos INTEGER NOT NULL,"
      " flags INTEGER NOT NULL, priority INTEGER NOT NULL, presence TEXT);" },
    { 2, "stream",
      "ALTER TABLE stream ADD COLUMN node INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE stream ADD COLUMN at INTEGER NOT NULL DEFAULT 0;" },
    { 3, "stream", "ALTER TABLE stream ADD COLUMN agent INTEGER NOT NULL DEFAULT 0;" },
    { 0 },
};

static struct db_sql stream_write = {
    "INSERT INTO stream(id, user, resource, received, acked, entries, log_pos, flags, priority, presence, node, at, agent)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)"
    " ON CONFLICT(id) DO UPDATE SET resource = excluded.resource, received = excluded.received, acked = excluded.acked,"
    " entries = excluded.entries, log_pos = excluded.log_pos, flags = excluded.flags, priority = excluded.priority,"
    " presence = excluded.presence, node = excluded.node, at = excluded.at, agent = excluded.agent" };
static struct db_sql stream_update = {
    "UPDATE stream SET received = ?2, acked = ?3, entries = ?4, log_pos = ?5 WHERE id = ?1" };
static struct db_sql stream_delete = { "DELETE FROM stream WHERE id = ?1 AND node = ?2" };
static struct db_sql offline_again = {
    "INSERT INTO offline(owner, id) SELECT ?1, id FROM message WHERE id = ?2 ON CONFLICT DO NOTHING" };

/* What a row says, copied for the writer thread. */
struct row_op {
    struct commit_op op;
    struct talk     *talk;
    uint64_t         session_id;
    int64_t          key, log_pos, agent;
    uint32_t         received, acked;
    bool             whole;             /* the first time, or more than the counters changed */
    int              flags, priority;
    char            *user, *resource, *presence;
    struct buf       entries;
};

static void row_free(struct row_op *o)
{
    free(o->user);
    free(o->resource);
    free(o->presence);
    buf_done(&o->entries);
    free(o);
}

static enum err row_apply(struct db_conn *c, struct commit_op *op)
{
    struct row_op *o = (struct row_op *)op;

    if (!o->whole)
        return db_run(c, &stream_update, "iiibi", o->key, (int64_t)o->received, (int64_t)o->acked,
                      buf_str(&o->entries), o->log_pos);
    return db_run(c, &stream_write, "issiibiiisiii", o->key, str_of(o->user), str_of(o->resource), (int64_t)o->received,
                  (int64_t)o->acked, buf_str(&o->entries), o->log_pos, (int64_t)o->flags, (int64_t)o->priority,
                  str_of(o->presence), o->talk->node, clock_us(), o->agent);
}

static void row_done(struct commit_op *op, enum err e)
{
    struct row_op  *o = (struct row_op *)op;
    struct session *s = session_find(o->talk, o->session_id);

    if (s && s->sm) {
        if (e) {
            s->sm->row_changed |= o->whole;
            s->sm->retry = true;      /* the tick tries again, so a sick disk is not asked in a circle */
        } else {
            s->sm->stored = true;
            s->sm->received_stored = o->received;
            if (s->sm->ack_owed && (int32_t)(o->received - s->sm->ack_wanted) >= 0)
                sm_answer_ack(s);
        }
    }
    row_free(o);
}

static void put_entries(struct sm *m, struct buf *b)
{
    int64_t before = 0;

    buf_init(b, 0);
    for (int i = 0; i < m->count; i++) {
        struct sm_entry *e = sm_entry_at(m, i);

        /* volatile: 0. Logged: how + 1, then the distance to the logged entry before it */
        codec_put_u64(b, e->log_id ? e->how + 1u : 0);
        if (e->log_id) {
            codec_put_i64(b, e->log_id - before);
            before = e->log_id;
        }
    }
}

int64_t sm_entries_first(struct str entries)
{
    struct codec_reader r = { .rest = entries };

    while (r.rest.len && !r.failed)
        if (codec_u64(&r))
            return codec_i64(&r);
    return 0;
}

static void row_queue(struct session *s)
{
    struct sm     *m = s->sm;
    struct row_op *o = NEW(struct row_op);

    o->op.apply = row_apply;
    o->op.done = row_done;
    o->talk = s->talk;
    o->session_id = s->id;
    o->key = m->key;
    o->whole = !m->stored || m->row_changed;
    /* everything taken so far is in this batch or an earlier one, but for a stanza that waits for ident */
    o->received = s->received - s->unhandled;
    o->acked = m->acked;
    o->log_pos = m->log_pos;
    m->volatile_since = false;
    put_entries(m, &o->entries);
    if (o->whole) {
        o->user = str_dup(s->jid.local);
        o->resource = str_dup(s->jid.resource);
        o->presence = s->presence ? str_dup(str_of(s->presence)) : NULL;
        o->priority = s->priority;
        o->agent = s->agent;
        o->flags = sm_flags(s);
        m->row_changed = false;
    }
    if (commit_add(s->talk->db, &o->op) != OK) {
        m->row_changed |= o->whole;
        m->retry = true;
        row_free(o);
    }
}

/* Called when the batch is about to leave. */
void sm_seal(void *arg)
{
    struct talk *t = arg;

    t->kick_queued = false;
    LIST_EACH(it, &t->streams_dirty) {
        struct sm *m = LIST_ITEM(it, struct sm, in_dirty);

        list_remove(&m->in_dirty);
        m->dirty = false;
        row_queue(m->session);
    }
}

static void kicked(struct talk *t, struct change *c, enum err e)
{
    (void)t;
    (void)e;
    free(c);
}

/* An empty operation, so that a batch leaves even if only rows of streams changed. */
static void kick(struct talk *t)
{
    struct change *c;

    if (t->kick_queued)
        return;
    c = NEW(struct change);
    c->done = kicked;
    if (session_change(NULL, t, c) == OK)
        t->kick_queued = true;
    else
        free(c);
}

void sm_mark(struct session *s)
{
    struct sm *m = s->sm;

    if (!m->resumable || m->dirty || m->restored)
        return;
    if (!s->conn && m->detached_stored)
        return;     /* what happens after log_pos is found in the log */
    m->dirty = true;
    list_append(&s->talk->streams_dirty, &m->in_dirty);
}

void sm_mark_now(struct session *s)
{
    sm_mark(s);
    kick(s->talk);
}

void sm_received(struct session *s) { sm_mark(s); }

void sm_row_changed(struct session *s)
{
    if (!s->sm || !s->sm->resumable)
        return;
    s->sm->row_changed = true;
    sm_mark_now(s);
}

/* Over a shared database the stream of a process that died is refused with its count (xep0198_move.h), so its row's flags serve
 * nobody, and there may be no primary to wait for. */
bool sm_row_matters(const struct session *s)
{
    return s->sm && s->sm->resumable && !s->talk->shared;
}

struct row_answer {
    struct change   change;
    struct iq_later iq;
    struct buf      payload;
};

static void answer_stored(struct talk *t, struct change *c, enum err e)
{
    struct row_answer *a = (struct row_answer *)c;

    if (e)
        iq_later_error(t, &a->iq, e);
    else
        iq_later_result(t, &a->iq, buf_str(&a->payload));
    buf_done(&a->payload);
    free(a);
}

enum err sm_row_result(struct session *s, const struct stanza *iq, struct str payload)
{
    struct row_answer *a;

    sm_row_changed(s);
    if (!sm_row_matters(s))
        return iq_result_str(s, iq, payload);
    a = NEW(struct row_answer);
    a->change.done = answer_stored;
    a->iq = iq_keep(s, iq);
    buf_init(&a->payload, 0);
    buf_put_str(&a->payload, payload);
    if (session_change(s, s->talk, &a->change) != OK)
        answer_stored(s->talk, &a->change, ERR_LIMIT);
    return OK;
}

void sm_detached(struct session *s)
{
    struct sm *m = s->sm;

    m->lost_ms = loop_now_ms(s->talk->loop);
    m->ack_owed = false;
    m->asked = false;
    sm_mark_now(s);
    m->detached_stored = true;
}

struct end_op {
    struct change  change;
    struct person *person;
    int64_t       key, owner;
    int           count;
    int64_t       ids[];
};

static enum err end_apply(struct db_conn *c, struct change *ch)
{
    struct end_op *o = (struct end_op *)ch;
    enum err       e = db_run(c, &stream_delete, "ii", o->key, ch->talk->node);

    for (int i = 0; i < o->count && !e; i++)
        e = db_run(c, &offline_again, "ii", o->owner, o->ids[i]);
    return e;
}

static void end_done(struct talk *t, struct change *ch, enum err e)
{
    struct person *p = ((struct end_op *)ch)->person;

    (void)t;
    (void)e;    /* the row expires by itself at the next start */
    offline_settled(p);
    person_unref(p);
    free(ch);
}

void sm_end(struct session *s, bool keep)
{
    struct sm     *m = s->sm;
    struct end_op *o = mem_new(sizeof *o + sizeof(int64_t) * (size_t)m->count);

    o->change.apply = end_apply;
    o->change.done = end_done;
    o->key = m->key;
    o->owner = s->person->id;
    /* another device has it: then it is not lost, and would come twice */
    for (int i = 0; keep && person_reachable(s->person) == 0 && !devices_reach(s->person) && i < m->count; i++)
        if (sm_entry_at(m, i)->log_id && sm_entry_at(m, i)->how == DELIVERY_DIRECT)
            o->ids[o->count++] = sm_entry_at(m, i)->log_id;
    if (o->count)
        s->person->has_offline = true;
    if ((m->resumable || o->count) && session_change(NULL, s->talk, &o->change) == OK) {
        o->person = s->person;
        person_ref(o->person);
        o->person->offline_pending++;
        o->person->offline_count += o->count;
    } else {
        free(o);
    }
    sm_free(s);
}

/* ---- read again at start ---- */

static struct db_sql stream_all = {
    "SELECT id, user, resource, received, acked, entries, log_pos, flags, priority, presence, agent FROM stream" };

static struct db_sql message_exists = { "SELECT 1 FROM message WHERE id = ?1" };

/* A logged entry without its message was a duplicate or failed: it was never sent and has no number. */
static bool entry_happened(struct db_conn *c, int64_t log_id)
{
    struct db_stmt *st;
    enum err        e = db_get(c, &st, &message_exists, "i", log_id);

    if (st)
        db_done(st);
    return e == OK;
}

static void restore_entries(struct sm *m, struct db_conn *c, struct str blob)
{
    struct codec_reader r = { .rest = blob };
    int64_t             log_id = 0;

    while (r.rest.len && !r.failed && m->count < SM_ENTRIES_MAX) {
        uint64_t         kind = codec_u64(&r);
        struct sm_entry *e;

        if (kind) {
            log_id += codec_i64(&r);
            if (!entry_happened(c, log_id))
                continue;
        }
        e = sm_entry_add(m);
        e->ready = true;
        e->how = kind ? (uint8_t)(kind - 1) : 0;
        e->log_id = kind ? log_id : 0;
    }
}

static bool restore_one(struct talk *t, struct db_stmt *row)
{
    struct person  *p = person_known(t, db_text(row, 1));
    struct session *s = p ? sm_detached_new(t, p, db_i64(row, 0), db_text(row, 2)) : NULL;
    struct str      presence = db_text(row, 9);
    struct sm      *m;

    if (!s)
        return false;
    m = s->sm;
    m->stored = m->detached_stored = true;
    m->received_stored = s->received = (uint32_t)db_i64(row, 3);
    m->acked = m->written = (uint32_t)db_i64(row, 4);
    restore_entries(m, db_loop_conn(t->db), db_blob(row, 5));
    m->restored_count = m->count;
    m->log_pos = db_i64(row, 6);
    sm_flags_take(s, (uint64_t)db_i64(row, 7));
    s->priority = (int8_t)db_i64(row, 8);
    s->agent = db_i64(row, 10);
    s->presence = presence.p ? str_dup(presence) : NULL;
    caps_restored(s);
    s->bound_us = clock_us();
    return true;
}

void sm_restore(struct talk *t)
{
    struct db_conn *c = t->shared ? NULL : db_loop_conn(t->db);
    struct db_stmt *row = c ? db_prepare(c, &stream_all) : NULL;     /* in a cluster: xep0198_move.c */
    int             n = 0;

    while (row && db_step(row) == OK) {
        n += restore_one(t, row);
        arena_reset(&t->round);
    }
    if (row)
        db_done(row);
    if (n)
        LOG_INFO("streams.restored", LF_I64("count", n));
}
