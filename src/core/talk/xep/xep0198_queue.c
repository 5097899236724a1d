/* xep0198_queue.c: what a stream has sent and its client has not confirmed: numbered, and written in order.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0198_inner.h"
#include "base/mem.h"
#include "talk/stream.h"
#include <stdlib.h>

static void entry_text_free(struct sm *m, struct sm_entry *e)
{
    if (e->text && e->log_id == 0)
        m->volatile_bytes -= e->bytes;
    free(e->text);
    e->text = NULL;
}

struct sm_entry *sm_entry_add(struct sm *m)
{
    struct sm_entry *e;

    if (m->count == m->cap) {
        int              cap = m->cap ? m->cap * 2 : 8;
        struct sm_entry *wider = mem_new(sizeof *wider * (size_t)cap);

        for (int i = 0; i < m->count; i++)
            wider[i] = *sm_entry_at(m, i);
        free(m->entries);
        m->entries = wider;
        m->head = 0;
        m->cap = cap;
    }
    e = sm_entry_at(m, m->count++);
    *e = (struct sm_entry){ 0 };
    return e;
}

void sm_entries_drop(struct sm *m, int n)
{
    for (int i = 0; i < n; i++)
        entry_text_free(m, sm_entry_at(m, i));
    m->head = m->cap ? (m->head + n) % m->cap : 0;
    m->count -= n;
    m->restored_count = m->restored_count > n ? m->restored_count - n : 0;
    if (m->count == 0) {
        free(m->entries);
        m->entries = NULL;
        m->cap = m->head = 0;
    }
}

void sm_entry_text_set(struct sm *m, struct sm_entry *e, struct str text)
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

void sm_ask(struct session *s)
{
    struct sm *m = s->sm;

    if (m->asked || !s->conn)
        return;
    m->asked = true;
    m->since_ask = 0;
    session_send_nonza(s, STR("<r xmlns='" NS_SM "'/>"));
}

static void wrote_one(struct session *s)
{
    s->sm->written++;
    if (++s->sm->since_ask >= SM_ASK_EVERY)
        sm_ask(s);
}

/* Writes every ready entry that is next in line. */
void sm_flush(struct session *s)
{
    struct sm *m = s->sm;

    while (s->sm && s->conn && !m->replaying && m->written - m->acked < (uint32_t)m->count) {
        struct sm_entry *e = sm_entry_at(m, (int)(m->written - m->acked));

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
    e = sm_entry_add(m);
    e->ready = true;
    m->volatile_since = true;
    sm_entry_text_set(m, e, stanza);
    sm_flush(s);
}

void sm_expect(struct session *s, int64_t log_id, enum delivery how)
{
    struct sm_entry *e;

    if (sm_overflows(s))
        return;
    e = sm_entry_add(s->sm);
    e->log_id = log_id;
    e->how = (uint8_t)how;
    if (!s->sm->restored)
        s->sm->log_pos = log_id;    /* else the log is still to be read from the old place on */
    if (how == DELIVERY_ROOM && !s->sm->volatile_since)
        s->sm->moved_on = true;     /* the tick writes it, now and then */
    else
        sm_mark(s);
}

void sm_send_logged(struct session *s, int64_t log_id, enum delivery how, struct str stanza)
{
    struct sm       *m = s->sm;
    struct sm_entry *e;

    if (sm_overflows(s))
        return;
    e = sm_entry_add(m);
    e->log_id = log_id;
    e->how = (uint8_t)how;
    e->ready = true;
    if (log_id > m->log_pos && !m->restored)
        m->log_pos = log_id;
    m->moved_on = true;
    if (s->conn)        /* a detached stream reads it again from the log */
        sm_entry_text_set(m, e, stanza);
    sm_flush(s);
}

/* Later entries keep their order; numbers after it move down by one, which is
 * right because none of them has been written. */
void sm_entry_remove(struct sm *m, int at)
{
    entry_text_free(m, sm_entry_at(m, at));
    m->restored_count -= at < m->restored_count;
    for (int i = at; i + 1 < m->count; i++)
        *sm_entry_at(m, i) = *sm_entry_at(m, i + 1);
    m->count--;
}

void sm_fill(struct session *s, int64_t log_id, struct str stanza)
{
    struct sm *m = s->sm;

    for (int i = 0; i < m->count; i++) {
        struct sm_entry *e = sm_entry_at(m, i);

        if (e->log_id != log_id)
            continue;
        if (e->ready)
            return;     /* a resumption found it in the log before we were told */
        if (!stanza.p) {
            sm_entry_remove(m, i);
            sm_mark(s);
        } else if (sm_in_order(m, i)) {
            e->ready = true;
            session_write_stanza(s, stanza);
            if (s->sm)
                wrote_one(s);
        } else {
            e->ready = true;
            if (s->conn)    /* a detached stream reads it again from the log */
                sm_entry_text_set(m, e, stanza);
        }
        if (s->sm)
            sm_flush(s);
        return;
    }
    if (stanza.p && s->conn && !m->replaying)
        session_send(s, stanza);   /* stream management began after the message joined the batch */
}

/* False ends the stream: the client claims more than it was sent (§4). */
bool sm_take_h(struct session *s, uint32_t h)
{
    struct sm *m = s->sm;
    uint32_t   newly = h - m->acked;     /* h counts modulo 2^32 */

    if (newly > m->written - m->acked)
        return false;
    sm_entries_drop(m, (int)newly);
    m->acked = h;
    return true;
}

void sm_free(struct session *s)
{
    struct sm *m = s->sm;

    if (!m)
        return;
    if (m->resumable)
        strmap_del(&s->talk->streams, str_of(m->id));
    list_remove(&m->in_dirty);
    sm_entries_drop(m, m->count);
    free(m);
    s->sm = NULL;
}
