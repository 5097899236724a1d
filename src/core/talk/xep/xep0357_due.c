/* XEP-0357: who is due to be woken, until somebody has it: a row of the batch that holds the message, handed
 * over when that is durable, and gone when courier or the foreign service has it. What a messenger leaves
 * behind when it dies is found by the sweep. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/devices.h"
#include "talk/feature.h"
#include "talk/nodes.h"
#include "talk/xep/xep0357_inner.h"
#include <stdlib.h>

METRIC_COUNTER(pushes, "bongsu_talk_pushes", "Devices woken, by whatever service.");
METRIC_COUNTER(pushes_full, "bongsu_talk_pushes_full",
               "Wakings that wait for the sweep because too many are under way.");

enum {
    SWEEP_EVERY_S = 30,
    SWEEP_AGE_US = 60 * 1000000,
    SWEEP_ROWS = 500,
    AGAIN_MS_MIN = 1000,
    AGAIN_MS_MAX = 60000,
};

static struct db_sql due_write = {"INSERT INTO push_due(push, kind, owner, at) VALUES (?1, ?2, ?3, ?4) ON "
                                  "CONFLICT(push, kind) DO UPDATE SET at = excluded.at"};
/* Where several messengers are, the commit decides, as it does of places in the log: the registration is
 * still there, and the device on no messenger (?6: wherever it is). */
static struct db_sql due_write_shared = {
    "INSERT INTO push_due(push, kind, owner, at) SELECT ?1, ?2, ?3, ?4"
    " WHERE EXISTS (SELECT 1 FROM push WHERE id = ?1)"
    " AND (?6 = 1 OR NOT EXISTS (SELECT 1 FROM device WHERE owner = ?3 AND resource = ?5))"
    " ON CONFLICT(push, kind) DO UPDATE SET at = excluded.at RETURNING at"};
static struct db_sql due_delete = {"DELETE FROM push_due WHERE push = ?1 AND kind = ?2 AND at <= ?3"};
static struct db_sql due_select = {"SELECT d.push, d.kind, d.at, p.user FROM push_due d JOIN person p ON "
                                   "p.id = d.owner WHERE d.at < ?1 ORDER BY d.at LIMIT ?2"};
static struct db_sql due_claim = {
    "UPDATE push_due SET at = ?4 WHERE push = ?1 AND kind = ?2 AND at = ?3 RETURNING push"};

/* ---- what is due, until somebody has it ---- */

struct pending {
    struct push_handover h; /* first; h.at: what was handed over last */
    struct list link;
    int64_t durable_at; /* of the newest row that is durable */
    int64_t handed_at;
    int64_t again_ms; /* 0: not waiting to try again */
    int rows;         /* queued and not decided */
    int tries;
    bool flying;
};

static struct intmap *map_of(struct talk *t, enum push_kind kind)
{
    return &t->push->pending[kind];
}

static void pending_free(struct pending *d)
{
    struct push_state *st = d->h.talk->push;

    intmap_del(map_of(d->h.talk, d->h.kind), d->h.registration);
    list_remove(&d->link);
    st->pending_count--;
    person_unref(d->h.person);
    free(d->h.sender);
    free(d->h.body);
    free(d);
}

struct due_op {
    struct change change;
    struct person *person;
    int64_t push, kind, owner, at;
    bool gone;
    char *absent; /* only if that device is nowhere; NULL: in any case */
    int64_t out, rows;
};

static enum err due_apply(struct db_conn *c, struct change *ch)
{
    struct due_op *o = (struct due_op *)ch;

    if (o->gone)
        return db_run(c, &due_delete, "iii", o->push, o->kind, o->at);
    if (ch->talk->shared)
        return db_run_later(c, &due_write_shared, &o->out, 1, &o->rows, "iiiisi", o->push, o->kind, o->owner,
                            o->at, o->absent ? str_of(o->absent) : STR(""), (int64_t)(o->absent == NULL));
    return db_run(c, &due_write, "iiii", o->push, o->kind, o->owner, o->at);
}

static void hand(struct pending *d);

/* What is durable and nobody has yet is handed over; with nothing left it goes. */
static void settle(struct pending *d)
{
    if (d->flying || d->again_ms)
        return;
    if (d->durable_at > d->handed_at)
        hand(d);
    else if (d->rows == 0)
        pending_free(d);
}

static void due_done(struct talk *t, struct change *ch, enum err e)
{
    struct due_op *o = (struct due_op *)ch;
    struct pending *d = o->gone ? NULL : intmap_get(map_of(t, (enum push_kind)o->kind), o->push);

    if (d && d->rows) {
        d->rows--;
        if (!e && (!t->shared || o->rows) &&
            o->at > d->durable_at) /* else the message's own batch was refused too */
            d->durable_at = o->at;
        settle(d);
    }
    person_unref(o->person);
    free(o->absent);
    free(o);
}

static void row_queue(struct person *p, int64_t push, enum push_kind kind, int64_t at, bool gone,
                      struct str absent)
{
    struct due_op *o = NEW(struct due_op);

    o->change.apply = due_apply;
    o->change.done = due_done;
    o->person = p;
    o->push = push;
    o->kind = kind;
    o->owner = person_number(p);
    o->at = at;
    o->gone = gone;
    o->absent = absent.p ? str_dup(absent) : NULL;
    person_ref(p);
    if (session_change(NULL, p->talk, &o->change) != OK)
        due_done(p->talk, &o->change, ERR_LIMIT);
}

static void handed(struct push_handover *h, enum err e)
{
    struct pending *d = (struct pending *)h;
    struct talk *t = h->talk;

    d->flying = false;
    if (e) {
        int ms = AGAIN_MS_MIN << (d->tries < 6 ? d->tries : 6);

        d->tries++;
        d->again_ms = loop_now_ms(t->loop) + (ms < AGAIN_MS_MAX ? ms : AGAIN_MS_MAX);
        return;
    }
    d->tries = 0;
    d->handed_at = h->at;
    metric_add(&pushes, 1);
    row_queue(h->person, h->registration, h->kind, h->at, true, STR_NULL);
    settle(d);
}

static void hand(struct pending *d)
{
    struct push_registration *r = push_find(d->h.person, d->h.registration);

    if (d->flying)
        return;
    d->again_ms = 0;
    if (!r && d->h.person->reloading) {
        d->again_ms = loop_now_ms(d->h.talk->loop) + AGAIN_MS_MIN;
        return;
    }
    d->h.at = d->durable_at;
    if (!r) { /* disabled meanwhile (§6: nothing may be published) */
        d->handed_at = d->h.at;
        row_queue(d->h.person, d->h.registration, d->h.kind, d->h.at, true, STR_NULL);
        settle(d);
        return;
    }
    d->flying = true;
    d->h.done = handed;
    push_hand_over(&d->h, r);
}

static struct pending *pending_new(struct person *p, int64_t id, enum push_kind kind)
{
    struct talk *t = p->talk;
    struct pending *d;

    if (t->push->pending_count >= PUSH_PENDING_MAX) {
        metric_add(&pushes_full, 1);
        return NULL;
    }
    d = NEW(struct pending);
    d->h = (struct push_handover){.talk = t, .person = p, .registration = id, .kind = kind};
    person_ref(p);
    intmap_put(map_of(t, kind), id, d);
    list_append(&t->push->all, &d->link);
    t->push->pending_count++;
    return d;
}

/* The row joins the batch that is filling: that of the message, when it is called from there. */
void push_due(struct person *p, struct push_registration *r, const struct push_event *ev, bool if_absent)
{
    struct str absent = if_absent ? r->resource : STR_NULL;
    struct pending *d = intmap_get(map_of(p->talk, ev->kind), r->id);
    int64_t at = talk_log_id(p->talk);

    r->unseen++;
    if (!d)
        d = pending_new(p, r->id, ev->kind);
    if (!d) {
        row_queue(p, r->id, ev->kind, at, false, absent);
        return;
    }
    d->h.count = r->unseen;
    d->h.sender = push_keep(r->sender ? ev->sender : STR_NULL, d->h.sender);
    d->h.body = push_keep(r->body ? ev->body : STR_NULL, d->h.body);
    d->rows++;
    row_queue(p, r->id, ev->kind, at, false, absent);
}

char *push_keep(struct str s, char *old)
{
    free(old);
    return s.len ? str_dup(s) : NULL;
}

/* ---- what somebody else left behind ---- */

struct sweep {
    struct db_read read;
    struct change change;
    struct talk *talk;
    struct arena arena;
    int64_t before_us, now_us;
    int count;
    struct {
        int64_t push, kind, at, out, claimed;
        struct str user;
    } rows[SWEEP_ROWS];
};

static enum err sweep_work(struct db_conn *c, struct db_read *self)
{
    struct sweep *w = (struct sweep *)self;
    struct db_stmt *s = db_prepare(c, &due_select);
    enum err e;

    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, w->before_us);
    db_bind_i64(s, 2, SWEEP_ROWS);
    while ((e = db_step(s)) == OK && w->count < SWEEP_ROWS) {
        w->rows[w->count].push = db_i64(s, 0);
        w->rows[w->count].kind = db_i64(s, 1);
        w->rows[w->count].at = db_i64(s, 2);
        w->rows[w->count++].user = arena_str(&w->arena, db_text(s, 3));
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void sweep_free(struct sweep *w)
{
    w->talk->push->sweeping = false;
    arena_done(&w->arena);
    free(w);
}

static enum err sweep_apply(struct db_conn *c, struct change *ch)
{
    struct sweep *w = LIST_ITEM(ch, struct sweep, change);
    enum err e = OK;

    for (int i = 0; i < w->count && !e; i++)
        e = db_run_later(c, &due_claim, &w->rows[i].out, 1, &w->rows[i].claimed, "iiii", w->rows[i].push,
                         w->rows[i].kind, w->rows[i].at, w->now_us);
    return e;
}

struct left {
    int64_t push, at;
    enum push_kind kind;
};

static void left_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct left *l = arg;
    struct pending *d = p ? intmap_get(map_of(t, l->kind), l->push) : NULL;

    (void)e; /* then a later sweep finds it again */
    if (p && !d) {
        d = pending_new(p, l->push, l->kind);
        if (d) {
            d->h.count = 1;
            d->durable_at = l->at;
            settle(d);
        }
    }
    free(l);
}

static void swept(struct talk *t, struct change *ch, enum err e)
{
    struct sweep *w = LIST_ITEM(ch, struct sweep, change);

    for (int i = 0; i < w->count && !e; i++) {
        struct left *l;

        if (!w->rows[i].claimed || w->rows[i].kind < 0 || w->rows[i].kind >= PUSH_KINDS)
            continue;
        l = NEW(struct left);
        *l = (struct left){w->rows[i].push, w->now_us, (enum push_kind)w->rows[i].kind};
        person_find(t, w->rows[i].user, left_found, l);
    }
    sweep_free(w);
}

/* Those that wait here are not left behind. */
static void sweep_read(struct db_read *self, enum err e)
{
    struct sweep *w = (struct sweep *)self;
    int n = 0;

    for (int i = 0; i < w->count && !e; i++)
        if (w->rows[i].kind < 0 || w->rows[i].kind >= PUSH_KINDS ||
            !intmap_get(map_of(w->talk, (enum push_kind)w->rows[i].kind), w->rows[i].push))
            w->rows[n++] = w->rows[i];
    w->count = n;
    w->change.apply = sweep_apply;
    w->change.done = swept;
    if (e || n == 0 || session_change(NULL, w->talk, &w->change) != OK)
        sweep_free(w);
}

static void sweep(struct talk *t, int64_t age_us)
{
    struct sweep *w;

    if (t->push->sweeping)
        return;
    w = NEW(struct sweep);
    w->read = (struct db_read){.work = sweep_work, .done = sweep_read};
    w->talk = t;
    w->now_us = clock_us();
    w->before_us = w->now_us - age_us;
    arena_init(&w->arena);
    t->push->sweeping = true;
    if (db_read_start(t->db, &w->read) != OK)
        sweep_free(w);
}

/* ---- life ---- */

void push_due_tick(struct talk *t)
{
    int64_t now = loop_now_ms(t->loop);

    LIST_EACH(it, &t->push->all)
    {
        struct pending *d = LIST_ITEM(it, struct pending, link);

        if (d->again_ms && d->again_ms <= now)
            hand(d);
    }
    /* at the start, on a database of our own, all that is there is left behind */
    if (t->push->sweep_in_s-- <= 0) {
        sweep(t, t->shared || t->push->swept ? SWEEP_AGE_US : 0);
        t->push->swept = true;
        t->push->sweep_in_s = SWEEP_EVERY_S;
    }
}

void push_due_init(struct talk *t)
{
    list_init(&t->push->all);
    for (int i = 0; i < PUSH_KINDS; i++)
        intmap_init(&t->push->pending[i]);
}

void push_due_end(struct talk *t)
{
    while (!list_empty(&t->push->all))
        pending_free(LIST_ITEM(t->push->all.next, struct pending, link));
    for (int i = 0; i < PUSH_KINDS; i++)
        intmap_done(&t->push->pending[i]);
}
