/* forget.c: an account is deleted (person_delete), step by step, and goes on where it was after a crash.
 *
 *   sessions end, contacts are told ─▶ one operation: what features keep, the person's row; a row in `forgetting`
 *        ─▶ the log, FORGET_STEP rows at a time ─▶ the row in `forgetting` goes ─▶ ident is told: the name is free
 *
 * Ident tells of the deletion again and again until then (id/users.c). The person's row goes first, so nobody finds the
 * account while its log is being emptied.
 *
 * Of a conversation each side's copy is its own: the other one's stays. A message that nobody keeps any more goes at once, or, if
 * it may still be on its way to somebody's device, two days later (archive_tick).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/log.h"
#include "base/mem.h"
#include "id/ident.h"
#include "talk/archive.h"
#include "talk/feature.h"
#include "talk/forget.h"
#include "talk/import.h"
#include "talk/nodes.h"
#include "talk/rooms/room_leave.h"
#include "talk/roster.h"
#include <stdlib.h>

enum { FORGET_STEP = 1000, FORGET_REST_MS = 3000 };

const struct db_migration forget_migrations[] = {
    { 1, "forget", "CREATE TABLE forgetting(name TEXT PRIMARY KEY, owner INTEGER NOT NULL);" },
    { 0 },
};

static struct db_sql person_remove = { "DELETE FROM person WHERE id = ?1" };
static struct db_sql forgetting_insert = { "INSERT INTO forgetting(name, owner) VALUES (?1, ?2) ON CONFLICT DO NOTHING" };
static struct db_sql forgetting_delete = { "DELETE FROM forgetting WHERE name = ?1" };
static struct db_sql forgetting_select = { "SELECT owner FROM forgetting WHERE name = ?1" };

struct forget {
    struct change  change;
    struct db_read read;
    struct timer   rest;
    struct list    in_talk;
    struct talk   *talk;
    struct person *person;      /* while its row is there; NULL afterwards */
    char          *name;
    int64_t        owner;
    bool           more, rested;
};

static void forget_free(struct forget *f)
{
    timer_stop(f->talk->loop, &f->rest);
    list_remove(&f->in_talk);
    if (f->person)
        person_unref(f->person);
    free(f->name);
    free(f);
}

static void confirmed(void *arg, enum err e)
{
    (void)arg;
    (void)e;    /* if it did not arrive, ident tells us again */
}

static void forget_end(struct forget *f, enum err e)
{
    if (e)
        LOG_ERROR("account.forget", LF_Z("user", f->name), LF_ERR(e));     /* ident tells us again */
    else
        ident_user_forgotten(f->talk->bus, str_of(f->name), confirmed, NULL);
    forget_free(f);
}

static void change_start(struct forget *f, enum err (*apply)(struct db_conn *c, struct change *ch),
                         void (*done)(struct talk *t, struct change *ch, enum err e))
{
    enum err e;

    f->change = (struct change){ .apply = apply, .done = done };
    e = session_change(NULL, f->talk, &f->change);
    if (e)
        forget_end(f, e);
}

/* ---- the log ---- */

static enum err last_apply(struct db_conn *c, struct change *ch)
{
    return db_run(c, &forgetting_delete, "s", str_of(((struct forget *)ch)->name));
}

static void last_done(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    forget_end((struct forget *)ch, e);
}

static enum err step_apply(struct db_conn *c, struct change *ch)
{
    struct forget *f = (struct forget *)ch;
    bool           more = false;
    enum err       e = archive_forget_some(c, f->owner, FORGET_STEP, &f->more);

    if (!e)
        e = import_forget_some(c, f->owner, FORGET_STEP, &more);
    f->more |= more;
    return e;
}

static void step_done(struct talk *t, struct change *ch, enum err e);

static void rested(struct timer *timer)
{
    struct forget *f = LIST_ITEM(timer, struct forget, rest);

    f->rested = true;
    change_start(f, step_apply, step_done);
}

/* Another worker may have had a message for the account under way: its rows come within a moment, and are looked for once more. */
static void step_done(struct talk *t, struct change *ch, enum err e)
{
    struct forget *f = (struct forget *)ch;

    if (e)
        forget_end(f, e);
    else if (f->more)
        change_start(f, step_apply, step_done);
    else if (t->shared && !f->rested)
        timer_start(t->loop, &f->rest, FORGET_REST_MS, rested);
    else
        change_start(f, last_apply, last_done);
}

/* ---- everything but the log ---- */

static enum err first_apply(struct db_conn *c, struct change *ch)
{
    struct forget *f = (struct forget *)ch;
    enum err       e;

    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->person_deleted)
            features[i]->person_deleted(f->person, c);
    e = archive_forget_tail(c, f->owner);
    if (!e)
        e = db_run(c, &forgetting_insert, "si", str_of(f->name), f->owner);
    return e ? e : db_run(c, &person_remove, "i", f->owner);
}

static void first_done(struct talk *t, struct change *ch, enum err e)
{
    struct forget *f = (struct forget *)ch;

    if (!e)
        rooms_person_gone(t, f->person->jid.bare);
    person_unref(f->person);
    f->person = NULL;
    if (e)
        forget_end(f, e);
    else
        change_start(f, step_apply, step_done);
}

static struct forget *forget_new(struct talk *t, struct str name)
{
    struct forget *f = NEW(struct forget);

    f->talk = t;
    f->name = str_dup(name);
    list_append(&t->forgetting, &f->in_talk);
    return f;
}

static bool is_under_way(struct talk *t, struct str name)
{
    LIST_EACH(it, &t->forgetting)
        if (str_is(name, LIST_ITEM(it, struct forget, in_talk)->name))
            return true;
    return false;
}

static void forget_person(struct person *p)
{
    struct talk   *t = p->talk;
    struct forget *f = forget_new(t, p->jid.local);

    person_ref(p);
    event_send(t, &(struct event){ .kind = EVENT_DELETED, .local = p->jid.local });
    person_end_deleted(p);
    roster_clear(p);
    p->deleted = true;
    f->person = p;
    f->owner = p->id;
    change_start(f, first_apply, first_done);
}

/* ---- which of it is left to do ---- */

static enum err begun_work(struct db_conn *c, struct db_read *self)
{
    struct forget  *f = LIST_ITEM(self, struct forget, read);
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &forgetting_select, "s", str_of(f->name));

    f->owner = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

/* The log is left, or nothing at all. */
static void begun_read(struct db_read *self, enum err e)
{
    struct forget *f = LIST_ITEM(self, struct forget, read);

    if (!e)
        change_start(f, step_apply, step_done);
    else
        forget_end(f, e == ERR_NOT_FOUND ? OK : e);
}

static void forget_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct forget *f = arg;

    if (e && e != ERR_NOT_FOUND) {
        forget_end(f, e);
    } else if (p) {
        forget_free(f);
        forget_person(p);
    } else {
        f->read = (struct db_read){ .work = begun_work, .done = begun_read };
        e = db_read_start(t->db, &f->read);
        if (e)
            forget_end(f, e);
    }
}

void person_delete(struct talk *t, struct str local)
{
    struct person *p = person_known(t, local);
    struct forget *f;

    if (is_under_way(t, local))
        return;
    if (p) {
        forget_person(p);
        return;
    }
    f = forget_new(t, local);
    if (t->shared)
        person_find(t, local, forget_found, f);
    else
        forget_found(t, NULL, ERR_NOT_FOUND, f);
}

void forget_done(struct talk *t)
{
    while (!list_empty(&t->forgetting))
        forget_free(LIST_ITEM(t->forgetting.next, struct forget, in_talk));
}
