/* offline.c: see offline.h. A step reads some rows, deletes them in a batch, and delivers what it read when that is durable.
 *
 *   nothing waits ──stored for somebody away──▶ waits ──offline_deliver──▶ step ─read─▶ cleared ─durable─▶ delivered ─▶ step …
 *                                                 ▲                          │ it is behind what the log holds and nobody here has seen
 *                                                 └──offline_resume──────────┘
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/offline.h"
#include "base/mem.h"
#include "talk/archive.h"
#include "talk/deliver.h"
#include "talk/follow.h"
#include "talk/route.h"
#include <stdlib.h>

enum { OFFLINE_STEP = 200 };

static struct db_sql offline_page = {
    "SELECT o.id, m.stanza, m.name FROM offline o CROSS JOIN message m ON m.id = o.id WHERE o.owner = ?1 ORDER BY o.id LIMIT ?2" };
static struct db_sql offline_clear = { "DELETE FROM offline WHERE owner = ?1 AND id <= ?2" };

struct offline_step {
    struct db_read      read;
    struct change       change;
    struct person      *person;
    struct arena        arena;
    unsigned            decided;    /* person->offline_decided when the read began */
    int                 count;
    struct archive_row  rows[OFFLINE_STEP];
};

static void step_start(struct person *p);

static enum err step_read(struct db_conn *c, struct db_read *self)
{
    struct offline_step *o = (struct offline_step *)self;
    struct db_stmt      *s = db_prepare(c, &offline_page);
    enum err             e;

    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, o->person->id);
    db_bind_i64(s, 2, OFFLINE_STEP);
    while ((e = db_step(s)) == OK && o->count < OFFLINE_STEP) {
        o->rows[o->count].id = db_i64(s, 0);
        o->rows[o->count].shown = db_i64(s, 2) ? db_i64(s, 2) : db_i64(s, 0);
        o->rows[o->count++].stanza = arena_str(&o->arena, db_text(s, 1));
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* What came meanwhile is read from the log. */
static void offline_rest(struct person *p)
{
    p->offline_busy = false;
    follow_go(p);
}

static void step_free(struct offline_step *o)
{
    o->person->offline_running = false;
    person_unref(o->person);
    arena_done(&o->arena);
    free(o);
}

static enum err step_clear(struct db_conn *c, struct change *ch)
{
    struct offline_step *o = LIST_ITEM(ch, struct offline_step, change);

    return db_run(c, &offline_clear, "ii", o->person->id, o->rows[o->count - 1].id);
}

/* Behind the delete, so nothing comes twice; in the stream rows of the same batch, so nothing is lost. */
static void step_deliver(struct talk *t, struct change *ch, enum err e)
{
    struct offline_step *o = LIST_ITEM(ch, struct offline_step, change);
    struct person       *p = o->person;
    struct buf           b;

    buf_init(&b, 0);
    LIST_EACH(it, &p->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);

        if (!session_takes_messages(s))
            continue;
        for (int i = 0; i < o->count; i++) {
            buf_clear(&b);
            if (!e)
                message_put(&b, o->rows[i].stanza, s->jid.bare, o->rows[i].shown, o->rows[i].id, t->domain);
            if (!t->shared)
                session_fill(s, o->rows[i].id, e ? STR_NULL : buf_str(&b));
            else if (!e && !message_shown_since(p, o->rows[i].shown, s->reached_us))
                session_send_logged(s, o->rows[i].id, DELIVERY_DIRECT, buf_str(&b));
        }
    }
    buf_done(&b);
    p->offline_count -= o->count;
    step_free(o);
    if (e)
        offline_rest(p);            /* tried again with the next presence */
    else
        step_start(p);
}

/* Others took this worker for dead and put aside what came, for a device that has been here all the time. Before that there may be
 * messages that it has not seen either: the log is followed first, for it has them all in order, and the store gives what is left. */
static void step_after_log(struct offline_step *o)
{
    struct person *p = o->person;
    int64_t        upto = o->rows[o->count - 1].id;

    p->offline_busy = false;
    p->offline_later = true;
    person_ref(p);
    step_free(o);
    follow_to(p, upto);
    person_unref(p);
}

static void step_loaded(struct db_read *self, enum err e)
{
    struct offline_step *o = (struct offline_step *)self;
    struct person       *p = o->person;

    if (e || person_reachable(p) == 0) {
        step_free(o);
        offline_rest(p);
        return;
    }
    if (o->count == 0 && o->decided != p->offline_decided) {    /* stored while it was being read */
        step_free(o);
        step_start(p);
        return;
    }
    if (p->talk->shared && o->count && o->rows[o->count - 1].id > p->log_last) {
        step_after_log(o);
        return;
    }
    if (o->count == 0) {
        p->offline_busy = p->offline_pending > 0;   /* then offline_settled goes on */
        p->has_offline = p->offline_busy;
        p->offline_count = 0;
        step_free(o);
        if (!p->offline_busy)
            follow_go(p);
        return;
    }
    o->change.apply = step_clear;
    o->change.done = step_deliver;
    if (session_change(NULL, p->talk, &o->change) != OK) {
        step_free(o);
        offline_rest(p);
        return;
    }
    LIST_EACH(it, &p->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);

        if (session_takes_messages(s) && !p->talk->shared)
            for (int i = 0; i < o->count; i++)
                session_expect(s, o->rows[i].id, DELIVERY_DIRECT);
    }
}

static void step_start(struct person *p)
{
    struct offline_step *o = NEW(struct offline_step);

    o->read = (struct db_read){ .work = step_read, .done = step_loaded };
    o->person = p;
    o->decided = p->offline_decided;
    arena_init(&o->arena);
    person_ref(p);
    p->offline_busy = p->offline_running = true;
    if (db_read_start(p->talk->db, &o->read) != OK) {
        step_free(o);
        offline_rest(p);
    }
}

void offline_deliver(struct session *s)
{
    if (s->person->has_offline && !s->person->offline_busy)
        step_start(s->person);
}

void offline_resume(struct person *p)
{
    if (!p->offline_later || p->offline_busy || p->deleted)
        return;
    p->offline_later = false;
    if (person_reachable(p))
        step_start(p);
}

static void decided(struct person *p)
{
    p->offline_decided++;
    if (p->offline_running || p->offline_pending || p->deleted)
        return;
    if (p->offline_busy || (p->has_offline && person_reachable(p)))
        step_start(p);
}

void offline_settled(struct person *p)
{
    p->offline_pending--;
    decided(p);
}

void offline_stored(struct person *p)
{
    p->has_offline = true;
    decided(p);
}

struct drop_op {
    struct change  change;
    struct person *person;
    int64_t        upto;
};

static enum err drop_apply(struct db_conn *c, struct change *ch)
{
    struct drop_op *o = (struct drop_op *)ch;

    return db_run(c, &offline_clear, "ii", o->person->id, o->upto);
}

static void dropped(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    (void)e;    /* then it is delivered with the next presence: better twice than never */
    person_unref(((struct drop_op *)ch)->person);
    free(ch);
}

void offline_drop(struct person *p)
{
    struct drop_op *o;

    if ((!p->has_offline && !p->talk->shared) || p->offline_busy)
        return;
    o = NEW(struct drop_op);
    o->change.apply = drop_apply;
    o->change.done = dropped;
    o->person = p;
    /* what comes between the archive's end that the client is told and its being reachable still has to reach it */
    o->upto = p->talk->shared ? p->log_last : p->talk->last_log_id;
    person_ref(p);
    if (session_change(NULL, p->talk, &o->change) != OK) {
        dropped(p->talk, &o->change, ERR_LIMIT);
        return;
    }
    p->has_offline = p->offline_pending > 0;
    p->offline_count = 0;
}
