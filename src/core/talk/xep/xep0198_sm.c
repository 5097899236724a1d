/* XEP-0198 Stream Management 1.6.3: acknowledgement and resumption. The idea is
 * told in xep0198_sm.h; here are, in order: the queue, the row, resuming, the nonzas.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0198_sm.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "bus/codec.h"
#include "crypto/digest.h"
#include "talk/archive.h"
#include "talk/deliver.h"
#include "talk/devices.h"
#include "talk/feature.h"
#include "talk/offline.h"
#include "talk/owned.h"
#include "talk/login.h"
#include "talk/message.h"
#include "talk/presence.h"
#include "talk/rooms/room_message.h"
#include "talk/rooms/room_move.h"
#include "talk/stream.h"
#include "talk/xep/xep0198_move.h"
#include "talk/xep/xep0115_clients.h"
#include "talk/xep/xep0352_csi.h"
#include <stdio.h>
#include <stdlib.h>

#define NS_SM "urn:xmpp:sm:3"

METRIC_COUNTER(resumed_count, "bongsu_talk_resumed", "Streams resumed.");
METRIC_COUNTER(resume_failed_count, "bongsu_talk_resume_failed", "Resume requests that could not be met.");

const struct db_migration sm_migrations[] = {
    { 1, "stream",
      "CREATE TABLE stream(id INTEGER PRIMARY KEY, user TEXT NOT NULL, resource TEXT NOT NULL,"
      " received INTEGER NOT NULL, acked INTEGER NOT NULL, entries BLOB, log_pos INTEGER NOT NULL,"
      " flags INTEGER NOT NULL, priority INTEGER NOT NULL, presence TEXT);" },
    { 2, "stream",
      "ALTER TABLE stream ADD COLUMN node INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE stream ADD COLUMN at INTEGER NOT NULL DEFAULT 0;" },
    { 0 },
};

enum { FLAG_CARBONS = 1, FLAG_INTERESTED = 2, FLAG_PROBED = 4, FLAG_BLOCKLIST = 8 };

/* ---- the queue ---- */

static struct sm_entry *entry_at(struct sm *m, int i) { return &m->entries[(m->head + i) % m->cap]; }

static void entry_text_free(struct sm *m, struct sm_entry *e)
{
    if (e->text && e->log_id == 0)
        m->volatile_bytes -= e->bytes;
    free(e->text);
    e->text = NULL;
}

static struct sm_entry *entry_add(struct sm *m)
{
    struct sm_entry *e;

    if (m->count == m->cap) {
        int              cap = m->cap ? m->cap * 2 : 8;
        struct sm_entry *wider = mem_new(sizeof *wider * (size_t)cap);

        for (int i = 0; i < m->count; i++)
            wider[i] = *entry_at(m, i);
        free(m->entries);
        m->entries = wider;
        m->head = 0;
        m->cap = cap;
    }
    e = entry_at(m, m->count++);
    *e = (struct sm_entry){ 0 };
    return e;
}

static void entries_drop(struct sm *m, int n)
{
    for (int i = 0; i < n; i++)
        entry_text_free(m, entry_at(m, i));
    m->head = m->cap ? (m->head + n) % m->cap : 0;
    m->count -= n;
    m->restored_count = m->restored_count > n ? m->restored_count - n : 0;
    if (m->count == 0) {
        free(m->entries);
        m->entries = NULL;
        m->cap = m->head = 0;
    }
}

static void entry_text_set(struct sm *m, struct sm_entry *e, struct str text)
{
    e->text = str_dup(text);
    e->bytes = (uint32_t)text.len;
    if (e->log_id == 0)
        m->volatile_bytes += text.len;
}

/* Nothing waits: an entry that is ready may go out without a copy. */
static bool sm_in_order(struct sm *m, int index)
{
    return !m->replaying && m->session->conn && (uint32_t)index == m->written - m->acked;
}

static void ask(struct session *s)
{
    struct sm *m = s->sm;

    if (m->asked || !s->conn)
        return;
    m->asked = true;
    m->since_ask = 0;
    session_send_nonza(s, STR("<r xmlns='" NS_SM "'/>"));
}

void sm_ask(struct session *s) { ask(s); }

static void wrote_one(struct session *s)
{
    s->sm->written++;
    if (++s->sm->since_ask >= SM_ASK_EVERY)
        ask(s);
}

/* Writes every ready entry that is next in line. */
static void flush(struct session *s)
{
    struct sm *m = s->sm;

    while (s->sm && s->conn && !m->replaying && m->written - m->acked < (uint32_t)m->count) {
        struct sm_entry *e = entry_at(m, (int)(m->written - m->acked));

        if (!e->ready || !e->text)
            return;
        session_write_stanza(s, str_make(e->text, e->bytes));
        if (e->log_id)
            entry_text_free(m, e);
        wrote_one(s);
    }
}

/* Too far behind: a connected client starts again by resuming; a detached one loses its stream
 * (the messages stay in the archive and become offline messages). */
static bool sm_overflows(struct session *s)
{
    struct sm *m = s->sm;

    if (m->count < SM_ENTRIES_MAX && m->volatile_bytes < SM_BYTES_MAX)
        return false;
    if (s->conn)
        conn_abort(s->conn, ERR_LIMIT);     /* takes effect after the round: callers may be walking sessions */
    else
        m->lost_ms = 1;     /* the next tick ends it */
    return true;
}

void sm_send(struct session *s, struct str stanza)
{
    struct sm       *m = s->sm;
    struct sm_entry *e;

    if (sm_overflows(s))
        return;
    e = entry_add(m);
    e->ready = true;
    m->volatile_since = true;
    entry_text_set(m, e, stanza);
    flush(s);
}

static void mark_dirty(struct session *s);

void sm_expect(struct session *s, int64_t log_id, enum delivery how)
{
    struct sm_entry *e;

    if (sm_overflows(s))
        return;
    e = entry_add(s->sm);
    e->log_id = log_id;
    e->how = (uint8_t)how;
    if (!s->sm->restored)
        s->sm->log_pos = log_id;    /* else the log is still to be read from the old place on */
    if (how == DELIVERY_ROOM && !s->sm->volatile_since)
        s->sm->moved_on = true;     /* the tick writes it, now and then */
    else
        mark_dirty(s);
}

void sm_send_logged(struct session *s, int64_t log_id, enum delivery how, struct str stanza)
{
    struct sm       *m = s->sm;
    struct sm_entry *e;

    if (sm_overflows(s))
        return;
    e = entry_add(m);
    e->log_id = log_id;
    e->how = (uint8_t)how;
    e->ready = true;
    if (log_id > m->log_pos && !m->restored)
        m->log_pos = log_id;
    m->moved_on = true;
    if (s->conn)        /* a detached stream reads it again from the log */
        entry_text_set(m, e, stanza);
    flush(s);
}

/* Later entries keep their order; numbers after it move down by one, which is
 * right because none of them has been written. */
static void entry_remove(struct sm *m, int at)
{
    entry_text_free(m, entry_at(m, at));
    m->restored_count -= at < m->restored_count;
    for (int i = at; i + 1 < m->count; i++)
        *entry_at(m, i) = *entry_at(m, i + 1);
    m->count--;
}

void sm_fill(struct session *s, int64_t log_id, struct str stanza)
{
    struct sm *m = s->sm;

    for (int i = 0; i < m->count; i++) {
        struct sm_entry *e = entry_at(m, i);

        if (e->log_id != log_id)
            continue;
        if (e->ready)
            return;     /* a resumption found it in the log before we were told */
        if (!stanza.p) {
            entry_remove(m, i);
            mark_dirty(s);
        } else if (sm_in_order(m, i)) {
            e->ready = true;
            session_write_stanza(s, stanza);
            if (s->sm)
                wrote_one(s);
        } else {
            e->ready = true;
            if (s->conn)    /* a detached stream reads it again from the log */
                entry_text_set(m, e, stanza);
        }
        if (s->sm)
            flush(s);
        return;
    }
    if (stanza.p && s->conn && !m->replaying)
        session_send(s, stanza);   /* stream management began after the message joined the batch */
}

void sm_free(struct session *s)
{
    struct sm *m = s->sm;

    if (!m)
        return;
    if (m->resumable)
        strmap_del(&s->talk->streams, str_of(m->id));
    list_remove(&m->in_dirty);
    entries_drop(m, m->count);
    free(m);
    s->sm = NULL;
}

/* ---- the row ---- */

static struct db_sql stream_write = {
    "INSERT INTO stream(id, user, resource, received, acked, entries, log_pos, flags, priority, presence, node, at)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
    " ON CONFLICT(id) DO UPDATE SET resource = excluded.resource, received = excluded.received, acked = excluded.acked,"
    " entries = excluded.entries, log_pos = excluded.log_pos, flags = excluded.flags, priority = excluded.priority,"
    " presence = excluded.presence, node = excluded.node, at = excluded.at" };
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
    int64_t          key, log_pos;
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
    return db_run(c, &stream_write, "issiibiiisii", o->key, str_of(o->user), str_of(o->resource), (int64_t)o->received,
                  (int64_t)o->acked, buf_str(&o->entries), o->log_pos, (int64_t)o->flags, (int64_t)o->priority,
                  str_of(o->presence), o->talk->node, clock_us());
}

static void answer_ack(struct session *s)
{
    char text[64];
    int  n = snprintf(text, sizeof text, "<a xmlns='" NS_SM "' h='%u'/>", s->sm->received_stored);

    s->sm->ack_owed = false;
    session_send_nonza(s, str_make(text, (size_t)n));
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
                answer_ack(s);
        }
    }
    row_free(o);
}

static void put_entries(struct sm *m, struct buf *b)
{
    int64_t before = 0;

    buf_init(b, 0);
    for (int i = 0; i < m->count; i++) {
        struct sm_entry *e = entry_at(m, i);

        /* volatile: 0. Logged: how + 1, then the distance to the logged entry before it */
        codec_put_u64(b, e->log_id ? e->how + 1u : 0);
        if (e->log_id) {
            codec_put_i64(b, e->log_id - before);
            before = e->log_id;
        }
    }
}

static unsigned flags_of(const struct session *s)
{
    return (s->carbons ? FLAG_CARBONS : 0u) | (s->interested ? FLAG_INTERESTED : 0u) | (s->probed ? FLAG_PROBED : 0u) |
           (s->blocklist ? FLAG_BLOCKLIST : 0u);
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
        o->flags = flags_of(s);
        m->row_changed = false;
    }
    if (commit_add(s->talk->db, &o->op) != OK) {
        m->row_changed |= o->whole;
        m->retry = true;
        row_free(o);
    }
}

/* Called when the batch is about to leave. */
static void seal(void *arg)
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

static void mark_dirty(struct session *s)
{
    struct sm *m = s->sm;

    if (!m->resumable || m->dirty || m->restored)
        return;
    if (!s->conn && m->detached_stored)
        return;     /* what happens after log_pos is found in the log */
    m->dirty = true;
    list_append(&s->talk->streams_dirty, &m->in_dirty);
}

static void mark_dirty_now(struct session *s)
{
    mark_dirty(s);
    kick(s->talk);
}

void sm_received(struct session *s) { mark_dirty(s); }


void sm_row_changed(struct session *s)
{
    if (!s->sm || !s->sm->resumable)
        return;
    s->sm->row_changed = true;
    mark_dirty_now(s);
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
    mark_dirty_now(s);
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
        if (entry_at(m, i)->log_id && entry_at(m, i)->how == DELIVERY_DIRECT)
            o->ids[o->count++] = entry_at(m, i)->log_id;
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

/* ---- acknowledgements ---- */

struct owed {
    uint64_t session_id;
    uint32_t h;
};

static void answer_owed(struct talk *t, void *arg)
{
    struct owed    *o = arg;
    struct session *s = session_find(t, o->session_id);

    if (s && s->sm) {
        s->sm->received_stored = o->h;
        answer_ack(s);
    }
    free(o);
}

static void answer_after_commits(struct session *s)
{
    struct owed *o = NEW(struct owed);

    *o = (struct owed){ s->id, s->received };
    session_after_commits(s, answer_owed, o);
}

static void handle_request(struct session *s, const struct xml_node *n)
{
    struct sm *m = s->sm;

    (void)n;
    if (!m) {
        session_fail(s, "unsupported-stanza-type", "stream management is not enabled");
        return;
    }
    if (!m->resumable) {    /* no row is kept, but what is in the batch is not acknowledged yet */
        answer_after_commits(s);
        return;
    }
    if (m->received_stored == s->received && s->commits == 0) {
        answer_ack(s);
        return;
    }
    m->ack_owed = true;
    m->ack_wanted = s->received;
    mark_dirty_now(s);
}

/* False ends the stream: the client claims more than it was sent (§4). */
static bool take_h(struct session *s, uint32_t h)
{
    struct sm *m = s->sm;
    uint32_t   newly = h - m->acked;     /* h counts modulo 2^32 */

    if (newly > m->written - m->acked)
        return false;
    entries_drop(m, (int)newly);
    m->acked = h;
    return true;
}

static bool read_h(const struct xml_node *n, uint32_t *h)
{
    uint64_t v;

    if (!str_to_u64(xml_attr(n, "h"), &v) || v > UINT32_MAX)
        return false;
    *h = (uint32_t)v;
    return true;
}

static void handle_answer(struct session *s, const struct xml_node *n)
{
    struct sm *m = s->sm;
    uint32_t   h;
    char       text[320];

    if (!m || !read_h(n, &h)) {
        session_fail(s, m ? "bad-format" : "unsupported-stanza-type", NULL);
        return;
    }
    if (!take_h(s, h)) {
        snprintf(text, sizeof text,
                 "<undefined-condition xmlns='" NS_STREAM_ERRORS "'/><handled-count-too-high xmlns='" NS_SM "' h='%u' send-count='%u'/>",
                 h, m->written);
        stream_write_error_xml(s, text);
        session_end(s);
        return;
    }
    m->asked = false;
    if (m->count && m->since_ask)
        ask(s);
}

/* ---- enable ---- */

void sm_enable(struct session *s, const struct xml_node *enable, struct buf *out)
{
    struct str resume = xml_attr(enable, "resume");
    struct sm *m;

    if (s->sm || s->state != SESSION_BOUND) {
        BUF_LIT(out, "<failed xmlns='" NS_SM "'><unexpected-request xmlns='" NS_STANZA_ERRORS "'/></failed>");
        return;
    }
    m = s->sm = NEW(struct sm);
    m->session = s;
    m->resumable = (str_is(resume, "true") || str_is(resume, "1")) && s->talk->limits.resume_ms_max > 0;
    m->key = (int64_t)(random_u64() >> 1) | 1;
    snprintf(m->id, sizeof m->id, "%016llx", (unsigned long long)m->key);
    m->log_pos = s->talk->shared ? s->person->log_last : talk_log_id(s->talk);
    list_init(&m->in_dirty);
    s->received = 0;
    if (!m->resumable) {
        BUF_LIT(out, "<enabled xmlns='" NS_SM "'/>");
        return;
    }
    strmap_put(&s->talk->streams, str_of(m->id), m);
    m->row_changed = true;
    mark_dirty_now(s);
    buf_printf(out, "<enabled xmlns='" NS_SM "' id='%s' resume='true' max='%d'/>", m->id, s->talk->limits.resume_ms_max / 1000);
}

static void handle_enable(struct session *s, const struct xml_node *n)
{
    struct buf out;

    buf_init(&out, 0);
    sm_enable(s, n, &out);
    session_send_nonza(s, buf_str(&out));
    buf_done(&out);
}

/* ---- resume ---- */

/* One stanza the client has not seen, as it goes out again. */
struct replay_item { int64_t log_id; uint8_t how; struct archive_row row; };

struct replay {
    struct db_read      read;
    struct talk        *talk;
    uint64_t            session_id;
    uint32_t            from;           /* number of the first entry looked at */
    int64_t             owner, log_pos; /* log_pos > 0: what came after it as well */
    struct jid          jid;            /* copies of the session's */
    bool                carbons, reachable, rooms;
    struct arena        arena;
    int                 count;
    struct replay_item *items;
    struct archive_page later;
};

/* How a message of the owner's log would have reached this session; false: not at all. */
static bool route_again(const struct replay *r, struct str kept, uint8_t *how)
{
    struct buf esc_full, esc_bare;
    struct str from = kept_attr(kept, "from"), to = kept_attr(kept, "to"), full, bare;
    bool       wanted = true;

    if (str_is(kept_attr(kept, "type"), "groupchat")) {
        *how = DELIVERY_ROOM;
        return true;
    }

    buf_init(&esc_full, 0);
    buf_init(&esc_bare, 0);
    xml_put_escaped(&esc_full, r->jid.full);
    xml_put_escaped(&esc_bare, r->jid.bare);
    full = buf_str(&esc_full);
    bare = buf_str(&esc_bare);
    if (str_eq(from, full) && !str_eq(to, full) && !str_eq(to, bare))
        wanted = false;                                     /* it sent that itself */
    else if (str_eq(to, full) || (str_eq(to, bare) && r->reachable))
        *how = DELIVERY_DIRECT;
    else if (!r->carbons)
        wanted = false;
    else
        *how = str_starts(from, bare) ? DELIVERY_CARBON_SENT : DELIVERY_CARBON_RECEIVED;
    buf_done(&esc_full);
    buf_done(&esc_bare);
    return wanted;
}

static enum err replay_work(struct db_conn *c, struct db_read *self)
{
    struct replay        *r = (struct replay *)self;
    struct archive_filter f = { .owner = r->owner, .start_us = r->log_pos + 1 };
    enum err              e;

    for (int i = 0; i < r->count; i++) {
        e = archive_get(c, &r->arena, r->items[i].log_id, &r->items[i].row);
        if (e && e != ERR_NOT_FOUND)
            return e;
        if (e)
            r->items[i].row.stanza = STR_NULL;      /* withdrawn: it never happened */
    }
    e = r->log_pos ? archive_read(c, &r->arena, &f, ARCHIVE_PAGE_MAX, false, &r->later) : OK;
    return !e && r->log_pos && r->rooms ? rooms_missed(c, &r->arena, r->jid.full, r->log_pos, &r->later) : e;
}

static void put_delivery(struct buf *b, struct session *s, const struct archive_row *row, uint8_t how)
{
    buf_clear(b);
    if (how == DELIVERY_ROOM)
        room_put_delivery(b, row->stanza, s->jid.full, row->shown, row->id);
    else if (how == DELIVERY_DIRECT)
        message_put(b, row->stanza, s->jid.bare, row->shown, row->id, s->talk->domain);
    else
        message_put_carbon(b, row->stanza, s->jid.bare, s->jid.full, row->shown, how == DELIVERY_CARBON_SENT);
}

/* A place for a message of the log, before what came since the stream was restored. NULL: it is one of those. */
static struct sm_entry *entry_insert(struct sm *m, int64_t log_id)
{
    int at = m->count;

    for (int i = m->count - 1; i >= 0; i--) {
        int64_t other = entry_at(m, i)->log_id;

        if (other == log_id)
            return NULL;
        if (other > log_id || (other == 0 && i >= m->restored_count))
            at = i;
    }
    entry_add(m);
    for (int i = m->count - 1; i > at; i--)
        *entry_at(m, i) = *entry_at(m, i - 1);
    *entry_at(m, at) = (struct sm_entry){ .log_id = log_id };
    return entry_at(m, at);
}

/* Presence and answers of a process that died are gone; only messages come back. */
static void drop_forgotten(struct sm *m)
{
    for (int i = 0; i < m->count;) {
        struct sm_entry *e = entry_at(m, i);

        if (e->log_id == 0 && !e->text)
            entry_remove(m, i);
        else
            i++;
    }
}

/* The texts are here: fill the entries, append what the log holds after them, write. */
static void replay_finish(struct session *s, struct replay *r)
{
    struct sm *m = s->sm;
    struct buf b;

    drop_forgotten(m);
    buf_init(&b, 0);
    for (int i = 0; i < r->count; i++) {
        for (int at = 0; at < m->count; at++) {
            struct sm_entry *e = entry_at(m, at);

            if (e->log_id != r->items[i].log_id || e->text)
                continue;
            if (!r->items[i].row.stanza.p) {
                if (e->ready)
                    entry_remove(m, at);
            } else {
                put_delivery(&b, s, &r->items[i].row, e->how);
                e->ready = true;
                entry_text_set(m, e, buf_str(&b));
            }
            break;
        }
    }
    for (int i = 0; i < r->later.count; i++) {
        uint8_t          how;
        struct sm_entry *e;

        m->log_pos = r->later.rows[i].id;
        if (!route_again(r, r->later.rows[i].stanza, &how))
            continue;
        if (how == DELIVERY_ROOM && m->rooms_seen) {
            m->rooms_seen--;
            continue;
        }
        e = entry_insert(m, r->later.rows[i].id);
        if (!e)
            continue;
        put_delivery(&b, s, &r->later.rows[i], how);
        e->how = how;
        e->ready = true;
        entry_text_set(m, e, buf_str(&b));
    }
    buf_done(&b);
}

static void replay_start(struct session *s);

struct ready_op {
    struct change change;
    uint64_t      session_id;
};

/* The row that lists all this is durable: now the client may see it. Earlier, a crash would leave a row that does
 * not know what was sent, and the next resumption would send it again. */
static void replay_ready(struct talk *t, struct change *c, enum err e)
{
    struct session *s = session_find(t, ((struct ready_op *)c)->session_id);

    (void)e;    /* a disk in trouble does not silence the conversation */
    free(c);
    if (!s || !s->sm || !s->sm->replaying)
        return;
    s->sm->replaying = false;
    flush(s);
    if (s->sm && s->sm->count)
        ask(s);
    if (s->state == SESSION_BOUND)
        session_continue(s);
}

static void replay_settle(struct session *s)
{
    struct ready_op *o = NEW(struct ready_op);

    s->sm->restored = false;
    for (int i = 0; i < s->sm->count; i++)
        if (entry_at(s->sm, i)->log_id > s->sm->log_pos)
            s->sm->log_pos = entry_at(s->sm, i)->log_id;
    mark_dirty(s);
    o->change.done = replay_ready;
    o->session_id = s->id;
    if (session_change(NULL, s->talk, &o->change) != OK)
        replay_ready(s->talk, &o->change, ERR_LIMIT);
}

static void replay_done(struct db_read *self, enum err e)
{
    struct replay  *r = (struct replay *)self;
    struct session *s = session_find(r->talk, r->session_id);

    if (s && s->sm && s->sm->replaying) {
        bool more = r->log_pos && !r->later.complete;

        if (e)
            session_fail(s, "internal-server-error", "what was missed could not be read");
        else
            replay_finish(s, r);
        if (!e && more)
            replay_start(s);
        else if (!e)
            replay_settle(s);
    }
    free((char *)r->jid.full.p);
    arena_done(&r->arena);
    free(r);
}

static void replay_start(struct session *s)
{
    struct sm     *m = s->sm;
    struct replay *r = NEW(struct replay);

    r->read = (struct db_read){ .work = replay_work, .done = replay_done };
    r->talk = s->talk;
    r->session_id = s->id;
    r->owner = s->person->id;
    r->log_pos = m->restored ? m->log_pos : 0;
    r->carbons = s->carbons;
    r->reachable = session_available(s) && s->priority >= 0;
    r->rooms = !s->talk->shared;    /* there they are read when the stream moves in */
    arena_init(&r->arena);
    r->jid.full = str_make(str_dup(s->jid.full), s->jid.full.len);
    r->jid.bare = str_make(r->jid.full.p, s->jid.bare.len);
    r->items = arena_zalloc(&r->arena, sizeof *r->items * (size_t)(m->count + 1));
    for (int i = 0; i < m->count; i++) {
        struct sm_entry *e = entry_at(m, i);

        if (e->log_id && !e->text && e->ready)
            r->items[r->count++] = (struct replay_item){ .log_id = e->log_id, .how = e->how };
    }
    m->replaying = true;
    if (db_read_start(s->talk->db, &r->read) != OK) {
        replay_done(&r->read, ERR_LIMIT);
        return;
    }
}

/* The old session takes the new connection over. */
static void adopt(struct session *old, struct session *fresh)
{
    if (old->conn) {        /* the client came back before we knew it had gone */
        stream_write_error(old, "conflict", "the stream was resumed elsewhere");
        stream_write_close(old);
        stream_release(old->conn);
        conn_close(old->conn);
    }
    old->conn = fresh->conn;
    fresh->conn = NULL;
    old->transport = fresh->transport;
    old->secure = fresh->secure;
    old->scan = fresh->scan;
    old->scan.bytes_max = old->talk->limits.stanza_bytes_max;
    if (old->ws) {
        ws_reader_done(old->ws);
        free(old->ws);
    }
    old->ws = fresh->ws;
    fresh->ws = NULL;
    old->xml_open = true;
    old->state = SESSION_BOUND;
    old->heard_ms = fresh->heard_ms;
    old->rate_stanzas = fresh->rate_stanzas;
    old->rate_bytes = fresh->rate_bytes;
    stream_adopt(old);
}

struct sm *sm_find(struct session *s, struct str previd)
{
    struct sm *m = strmap_get(&s->talk->streams, previd);

    if (!m || m->session->person != s->person || m->session->closing || m->replaying || m->moving)
        return NULL;
    return m;
}

enum resume_outcome sm_resume_refuse(struct session *s, int64_t handled, const char *condition)
{
    char text[200], h[32] = "";

    metric_add(&resume_failed_count, 1);
    if (handled >= 0)
        snprintf(h, sizeof h, " h='%u'", (uint32_t)handled);
    snprintf(text, sizeof text, "<failed xmlns='" NS_SM "'%s><%s xmlns='" NS_STANZA_ERRORS "'/></failed>", h, condition);
    login_resume_failed(s, str_of(text));
    return RESUME_FAILED;
}

static enum resume_outcome failed(struct session *s, struct sm *m, const char *condition)
{
    return sm_resume_refuse(s, m ? (int64_t)m->received_stored : -1, condition);
}

struct resume_wait {
    struct change change;
    uint64_t      session_id;
};

static void commits_done(struct talk *t, struct change *c, enum err e)
{
    struct session *s = session_find(t, ((struct resume_wait *)c)->session_id);

    (void)e;    /* nothing was written; only the place in the queue matters */
    free(c);
    if (s)
        login_resume_again(s);
}

/* What the old stream sent may still be in the batch; how much of it counts is known when that is decided. The wait is
 * nobody's stanza: two who want the same stream must not wait for each other's waiting. */
static enum resume_outcome wait_for_commits(struct session *s)
{
    struct resume_wait *w = NEW(struct resume_wait);

    w->change.done = commits_done;
    w->session_id = s->id;
    session_hold(s);
    if (session_change(NULL, s->talk, &w->change) == OK)
        return RESUME_WAITS;
    free(w);
    return failed(s, NULL, "resource-constraint");
}

/* What came since the stream was restored stands behind, and has not been seen. */
static void take_unknown(struct sm *m, uint32_t h)
{
    uint32_t newly = h - m->acked, known = (uint32_t)m->restored_count;

    if (newly > known && newly < UINT32_MAX / 2) {
        m->rooms_seen = newly - known;
        entries_drop(m, m->restored_count);
        m->acked = m->written = h;
    } else {
        m->written = m->acked + known;
    }
}

enum resume_outcome sm_resume(struct session *s, const struct xml_node *resume)
{
    struct sm      *m = sm_find(s, xml_attr(resume, "previd"));
    struct session *old;
    char            text[160];
    uint32_t        h;

    if (!m && s->talk->shared && s->state == SESSION_AUTHENTICATED)
        return sm_resume_far(s, resume);
    if (s->state != SESSION_AUTHENTICATED)
        return failed(s, NULL, "unexpected-request");
    if (!m || !read_h(resume, &h))
        return failed(s, NULL, m ? "bad-request" : "item-not-found");
    old = m->session;
    if (old->commits)
        return wait_for_commits(s);
    old->received -= old->unhandled;    /* as in session_lost: it is the client's to send again */
    old->unhandled = false;
    /* After a crash the client may have seen volatile stanzas we no longer know of: they stand behind
     * everything in the list, so confirming the whole list is right. */
    if (m->restored)
        take_unknown(m, h);
    if (!take_h(old, h))
        return failed(s, m, "item-not-found");
    m->received_stored = old->received;
    snprintf(text, sizeof text, "<resumed xmlns='" NS_SM "' previd='%s' h='%u'/>", m->id, old->received);
    metric_add(&resumed_count, 1);
    LOG_INFO("session.resumed", LF_I64("session", (int64_t)old->id), LF_STR("user", old->jid.local), LF_I64("missed", m->count));
    m->written = m->acked;
    m->lost_ms = 0;
    m->asked = false;
    m->since_ask = 0;
    m->detached_stored = false;
    m->replaying = true;
    adopt(old, s);
    login_resumed(s, old, str_of(text));
    session_hold(old);
    replay_start(old);
    return RESUME_DONE;
}

/* ---- to and from another worker (xep0198_move.c) ---- */

enum { EXPORT_VERSION = 1 };

static void export_entry(struct buf *b, const struct sm_entry *e)
{
    codec_put_i64(b, e->log_id);
    codec_put_u64(b, e->how);
    codec_put_str(b, e->log_id ? STR_NULL : str_make(e->text, e->bytes));
}

enum err sm_export(struct session *s, uint32_t h, struct buf *out)
{
    struct sm *m = s->sm;

    if (!take_h(s, h))
        return ERR_INVALID;
    buf_clear(out);
    codec_begin(out, EXPORT_VERSION);
    codec_put_u64(out, s->received);
    codec_put_u64(out, m->acked);
    codec_put_i64(out, s->person->log_last);
    codec_put_str(out, s->jid.resource);
    codec_put_u64(out, flags_of(s));
    codec_put_i64(out, s->priority);
    codec_put_str(out, str_of(s->presence));
    codec_put_i64(out, s->bound_us);
    codec_put_i64(out, s->key);
    codec_put_u64(out, (uint64_t)m->count);
    for (int i = 0; i < m->count; i++)
        export_entry(out, entry_at(m, i));
    rooms_export(s, out);
    return out->len > SM_MOVE_BYTES_MAX ? ERR_LIMIT : OK;
}

static void import_entries(struct sm *m, struct codec_reader *r)
{
    uint64_t count = codec_u64(r);

    for (uint64_t i = 0; i < count && i < SM_ENTRIES_MAX && !r->failed; i++) {
        int64_t          log_id = codec_i64(r);
        uint8_t          how = (uint8_t)codec_u64(r);
        struct str       text = codec_str(r, SM_MOVE_BYTES_MAX);
        struct sm_entry *e;

        if (r->failed || (!log_id && !text.p))
            return;
        e = entry_add(m);
        e->log_id = log_id;
        e->how = how <= DELIVERY_ROOM ? how : DELIVERY_DIRECT;
        e->ready = true;
        if (!log_id)
            entry_text_set(m, e, text);
    }
}

static void flags_take(struct session *s, uint64_t flags)
{
    s->carbons = flags & FLAG_CARBONS;
    s->interested = flags & FLAG_INTERESTED;
    s->probed = flags & FLAG_PROBED;
    s->blocklist = flags & FLAG_BLOCKLIST;
}

/* A stream whose client is away, to be resumed: what its log gained since then is read when it is. NULL: the resource is taken, or is none. */
static struct session *detached_new(struct talk *t, struct person *p, int64_t key, struct str resource)
{
    struct session *s;
    struct jid      j;
    struct sm      *m;

    if (jid_make(&t->round, p->jid.local, t->domain, resource, &j) != OK || person_session(p, j.resource))
        return NULL;
    s = session_new(t, NULL, TALK_DIRECT_TLS);
    s->state = SESSION_DETACHED;
    s->person = p;
    person_ref(p);
    session_name(s, &j);
    session_link(s);
    m = s->sm = NEW(struct sm);
    m->session = s;
    list_init(&m->in_dirty);
    m->key = key;
    snprintf(m->id, sizeof m->id, "%016llx", (unsigned long long)key);
    m->resumable = m->restored = true;
    m->lost_ms = loop_now_ms(t->loop);
    strmap_put(&t->streams, str_of(m->id), m);
    return s;
}

struct session *sm_import(struct talk *t, struct person *p, int64_t key, struct str state)
{
    struct codec_reader r = codec_open(state, EXPORT_VERSION);
    uint32_t            received = (uint32_t)codec_u64(&r), acked = (uint32_t)codec_u64(&r);
    int64_t             log_pos = codec_i64(&r), priority, bound_us, device;
    struct str          resource = codec_str(&r, JID_PART_BYTES_MAX), presence;
    uint64_t            flags = codec_u64(&r);
    struct session     *s;
    struct sm          *m;

    priority = codec_i64(&r);
    presence = codec_str(&r, SM_MOVE_BYTES_MAX);
    bound_us = codec_i64(&r);
    device = codec_i64(&r);
    s = r.failed ? NULL : detached_new(t, p, key, resource);
    if (!s)
        return NULL;
    m = s->sm;
    m->received_stored = s->received = received;
    m->acked = m->written = acked;
    import_entries(m, &r);
    m->restored_count = m->count;
    m->log_pos = log_pos;
    flags_take(s, flags);
    s->priority = (int8_t)priority;
    s->presence = presence.p ? str_dup(presence) : NULL;
    caps_restored(s);
    s->bound_us = bound_us;
    s->key = device;
    rooms_import(s, &r);
    return s;
}

int64_t sm_entries_first(struct str entries)
{
    struct codec_reader r = { .rest = entries };

    while (r.rest.len && !r.failed)
        if (codec_u64(&r))
            return codec_i64(&r);
    return 0;
}

static void handle_resume(struct session *s, const struct xml_node *n) { login_resume_nonza(s, n); }

/* ---- start and time ---- */

static struct db_sql stream_all = {
    "SELECT id, user, resource, received, acked, entries, log_pos, flags, priority, presence FROM stream" };

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
        e = entry_add(m);
        e->ready = true;
        e->how = kind ? (uint8_t)(kind - 1) : 0;
        e->log_id = kind ? log_id : 0;
    }
}

static bool restore_one(struct talk *t, struct db_stmt *row)
{
    struct person  *p = person_known(t, db_text(row, 1));
    struct session *s = p ? detached_new(t, p, db_i64(row, 0), db_text(row, 2)) : NULL;
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
    flags_take(s, (uint64_t)db_i64(row, 7));
    s->priority = (int8_t)db_i64(row, 8);
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

enum { SM_NOTE_MS = 10000 };        /* how far a stream got is noted so often, when nothing else writes its row */

static void sm_tick(struct talk *t)
{
    int64_t now = loop_now_ms(t->loop);

    LIST_EACH(it, &t->sessions_all) {
        struct session *s = LIST_ITEM(it, struct session, in_talk);
        struct sm      *m = s->sm;

        if (!m)
            continue;
        if (s->state == SESSION_DETACHED && now - m->lost_ms > t->limits.resume_ms_max) {
            session_end(s);
            continue;
        }
        if (m->retry || (m->moved_on && now - m->noted_ms > SM_NOTE_MS)) {
            m->retry = m->moved_on = false;
            m->noted_ms = now;
            mark_dirty_now(s);
        }
        if (m->since_ask)
            ask(s);
    }
}

static struct db_sql stream_delete_user = { "DELETE FROM stream WHERE user = (SELECT user FROM person WHERE id = ?1)" };

static void sm_person_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &stream_delete_user, "i", p->id);
}

static void sm_init(struct talk *t)
{
    list_init(&t->streams_dirty);
    commit_on_seal(t->db, seal, t);
}

static void sm_features(struct session *s, struct buf *out)
{
    if (s->state == SESSION_AUTHENTICATED)
        BUF_LIT(out, "<sm xmlns='" NS_SM "'/>");
}

static const struct nonza_handler sm_nonzas[] = {
    { "r", NS_SM, NONZA_BOUND, handle_request },
    { "a", NS_SM, NONZA_BOUND, handle_answer },
    { "enable", NS_SM, NONZA_AUTHENTICATED | NONZA_BOUND, handle_enable },
    { "resume", NS_SM, NONZA_AUTHENTICATED | NONZA_BOUND, handle_resume },
    { 0 },
};

static const struct owned xep0198_sm_owned[] = { { "stream", "user = ?2" }, { 0 } };

const struct feature xep0198_sm = {
    .spec = "XEP-0198 1.6.3",
    .title = "Stream Management",
    .note = "acknowledged only when on disk; resumable after a restart of the server",
    .nonzas = sm_nonzas,
    .migrations = sm_migrations,
    .stream_features = sm_features,
    .init = sm_init,
    .tick = sm_tick,
    .person_deleted = sm_person_deleted,
    .owned = xep0198_sm_owned,
};
