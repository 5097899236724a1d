/* xep0198_replay.c: a resumed stream reads from the log what it does not hold itself, then goes on.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0198_inner.h"
#include "base/mem.h"
#include "talk/deliver.h"
#include "talk/message.h"
#include "talk/rooms/room_message.h"
#include "talk/rooms/room_move.h"
#include <stdlib.h>

/* One stanza the client has not seen, as it goes out again. */
struct replay_item { int64_t log_id; uint8_t how; struct archive_row row; };

struct replay {
    struct db_read      read;
    struct talk        *talk;
    uint64_t            session_id;
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
        int64_t other = sm_entry_at(m, i)->log_id;

        if (other == log_id)
            return NULL;
        if (other > log_id || (other == 0 && i >= m->restored_count))
            at = i;
    }
    sm_entry_add(m);
    for (int i = m->count - 1; i > at; i--)
        *sm_entry_at(m, i) = *sm_entry_at(m, i - 1);
    *sm_entry_at(m, at) = (struct sm_entry){ .log_id = log_id };
    return sm_entry_at(m, at);
}

/* Presence and answers of a process that died are gone; only messages come back. */
static void drop_forgotten(struct sm *m)
{
    for (int i = 0; i < m->count;) {
        struct sm_entry *e = sm_entry_at(m, i);

        if (e->log_id == 0 && !e->text)
            sm_entry_remove(m, i);
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
            struct sm_entry *e = sm_entry_at(m, at);

            if (e->log_id != r->items[i].log_id || e->text)
                continue;
            if (!r->items[i].row.stanza.p) {
                if (e->ready)
                    sm_entry_remove(m, at);
            } else {
                put_delivery(&b, s, &r->items[i].row, e->how);
                e->ready = true;
                sm_entry_text_set(m, e, buf_str(&b));
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
        sm_entry_text_set(m, e, buf_str(&b));
    }
    buf_done(&b);
}

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
    sm_flush(s);
    if (s->sm && s->sm->count)
        sm_ask(s);
    if (s->state == SESSION_BOUND)
        session_continue(s);
}

static void replay_settle(struct session *s)
{
    struct ready_op *o = NEW(struct ready_op);

    s->sm->restored = false;
    for (int i = 0; i < s->sm->count; i++)
        if (sm_entry_at(s->sm, i)->log_id > s->sm->log_pos)
            s->sm->log_pos = sm_entry_at(s->sm, i)->log_id;
    sm_mark(s);
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
            sm_replay_start(s);
        else if (!e)
            replay_settle(s);
    }
    free((char *)r->jid.full.p);
    arena_done(&r->arena);
    free(r);
}

void sm_replay_start(struct session *s)
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
        struct sm_entry *e = sm_entry_at(m, i);

        if (e->log_id && !e->text && e->ready)
            r->items[r->count++] = (struct replay_item){ .log_id = e->log_id, .how = e->how };
    }
    m->replaying = true;
    if (db_read_start(s->talk->db, &r->read) != OK) {
        replay_done(&r->read, ERR_LIMIT);
        return;
    }
}
