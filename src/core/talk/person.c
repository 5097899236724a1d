/* person.c: finding, loading and forgetting accounts.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/person.h"
#include "base/log.h"
#include "base/mem.h"
#include "id/ident.h"
#include "talk/archive.h"
#include "talk/devices.h"
#include "talk/feature.h"
#include "talk/follow.h"
#include "talk/jids.h"
#include "talk/nodes.h"
#include "talk/profile.h"
#include "talk/roster.h"
#include "talk/xep/xep0153_photo.h"
#include "talk/xep/xep0163_guests.h"
#include "talk/xep/xep0357_push.h"
#include <assert.h>
#include <stdlib.h>

const struct db_migration person_migrations[] = {
    { 1, "person",
      "CREATE TABLE person(id INTEGER PRIMARY KEY, user TEXT NOT NULL UNIQUE, archive_default INTEGER NOT NULL DEFAULT 0);" },
    { 2, "person", "ALTER TABLE person ADD COLUMN lists INTEGER NOT NULL DEFAULT 0;" },     /* counts changes: roster.c */
    { 0 },
};

static struct db_sql person_select = { "SELECT id, archive_default, lists FROM person WHERE user = ?1" };
static struct db_sql offline_number = { "SELECT count(*) FROM offline WHERE owner = ?1" };
static struct db_sql person_insert = { "INSERT INTO person(id, user) VALUES (?1, ?2) ON CONFLICT DO NOTHING" };

/* ---- in memory ---- */

/* Nobody can find it yet. */
static struct person *person_blank(struct talk *t, struct str local)
{
    struct person *p = NEW(struct person);
    struct arena   scratch;
    char          *text;

    arena_init(&scratch);
    p->talk = t;
    text = str_dup(arena_printf(&scratch, "%.*s@%.*s", STR_ARG(local), STR_ARG(t->domain)));
    arena_done(&scratch);
    p->jid.full = p->jid.bare = str_of(text);
    p->jid.local = str_make(text, local.len);
    p->jid.domain = str_make(text + local.len + 1, t->domain.len);
    list_init(&p->sessions);
    list_init(&p->idle);
    list_init(&p->later);
    list_init(&p->held);
    return p;
}

static struct person *person_enter(struct person *p)
{
    struct talk *t = p->talk;

    strmap_put(&t->persons, p->jid.local, p);
    if (t->shared)
        intmap_put(&t->persons_by_id, p->id, p);
    list_append(&t->persons_idle, &p->idle);
    t->persons_idle_count++;
    return p;
}

static void lists_free(struct person *p)
{
    for (int i = 0; i < p->item_count; i++) {
        free((char *)p->items[i].jid.p);
        free((char *)p->items[i].name.p);
        free((char *)p->items[i].groups.p);
        free(p->items[i].request);
    }
    for (int i = 0; i < p->blocked_count; i++)
        free((char *)p->blocked[i].p);
    for (int i = 0; i < p->pref_count; i++)
        free((char *)p->prefs[i].jid.p);
    push_list_free(&p->push);
    profile_photos_free(p);
    free(p->items);
    free(p->blocked);
    free(p->prefs);
    p->items = NULL;
    p->blocked = NULL;
    p->prefs = NULL;
    p->item_count = p->item_cap = p->blocked_count = p->pref_count = 0;
}

static void later_run(struct person *p);

static void person_done(struct person *p)
{
    p->deleted = true;
    p->reloading = NULL;
    later_run(p);
    guest_contacts_free(p);
    lists_free(p);
    devices_free(p);
    follow_done(p);
    free((char *)p->jid.full.p);
    free(p);
}

static void person_free(struct person *p)
{
    struct talk *t = p->talk;

    strmap_del(&t->persons, p->jid.local);
    if (t->shared && intmap_get(&t->persons_by_id, p->id) == p)
        intmap_del(&t->persons_by_id, p->id);
    nodes_person_leave(t, p->jid.local);
    timer_stop(t->loop, &p->follow_again);
    timer_stop(t->loop, &p->reload_again);
    timer_stop(t->loop, &p->gate);
    if (list_linked(&p->idle)) {
        list_remove(&p->idle);
        t->persons_idle_count--;
    }
    person_done(p);
}

void persons_done(struct talk *t)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&t->persons, &it, &key, &value);)
        person_free(value);
    strmap_done(&t->persons);
    intmap_done(&t->persons_by_id);
    strmap_done(&t->loads);
}

static void forget_idle(struct talk *t)
{
    while (t->persons_idle_count > PERSONS_IDLE_MAX)
        person_free(LIST_ITEM(t->persons_idle.next, struct person, idle));
}

void person_ref(struct person *p)
{
    if (p->refs++ == 0) {
        list_remove(&p->idle);
        p->talk->persons_idle_count--;
    }
}

void person_unref(struct person *p)
{
    struct talk *t = p->talk;

    if (--p->refs > 0)
        return;
    if (p->deleted) {
        person_free(p);
        return;
    }
    list_append(&t->persons_idle, &p->idle);
    t->persons_idle_count++;
    forget_idle(t);
}

/* ---- loading ---- */

static void features_load(struct person *p, struct db_conn *c)
{
    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->person_loaded)
            features[i]->person_loaded(p, c);
}

static void offline_load(struct person *p, struct db_conn *c)
{
    struct db_stmt *s;

    if (db_get(c, &s, &offline_number, "i", p->id) == OK)
        p->offline_count = (int)db_i64(s, 0);
    if (s)
        db_done(s);
    p->has_offline = p->offline_count > 0;
}

struct person *person_known(struct talk *t, struct str local)
{
    struct db_conn *c = db_loop_conn(t->db);
    struct person  *p = strmap_get(&t->persons, local);
    struct db_stmt *s;

    if (p)
        return p->deleted ? NULL : p;
    if (t->shared)
        return NULL;
    if (db_get(c, &s, &person_select, "s", local) == OK) {
        p = person_enter(person_blank(t, local));
        p->id = db_i64(s, 0);
        p->archive_default = (uint8_t)db_i64(s, 1);
        p->stored = true;
    }
    if (s)
        db_done(s);
    if (p) {
        offline_load(p, c);
        features_load(p, c);
        forget_idle(t);
    }
    return p;
}

struct person_op {
    struct change change;
    struct person *person;
};

static enum err person_apply(struct db_conn *c, struct change *ch)
{
    struct person *p = ((struct person_op *)ch)->person;
    enum err       e = p->talk->shared ? jids_write(c, p->id, p->jid.bare) : OK;

    return e ? e : db_run(c, &person_insert, "is", p->id, p->jid.local);
}

static void person_written(struct talk *t, struct change *ch, enum err e)
{
    struct person *p = ((struct person_op *)ch)->person;

    if (!e)
        p->stored = true;
    person_unref(p);
    free(ch);
}

int64_t person_number(struct person *p)
{
    struct person_op *o;

    if (p->stored)
        return p->id;
    if (!p->talk->shared)
        p->id = jids_number(p->talk, p->jid.bare);
    o = NEW(struct person_op);
    o->change.apply = person_apply;
    o->change.done = person_written;
    o->person = p;
    person_ref(p);
    if (session_change(NULL, p->talk, &o->change) != OK) {
        person_unref(p);
        free(o);
    }
    return p->id;
}

struct person *person_make(struct talk *t, struct str local)
{
    struct person *p = person_known(t, local);

    if (!p) {
        assert(!t->shared);
        p = person_enter(person_blank(t, local));
        features_load(p, db_loop_conn(t->db));      /* what is kept by name may be older than they */
    }
    person_number(p);
    return p;
}

/* ---- loading where others write too: on a worker, into a copy that nobody sees before it is whole ---- */

struct waiter {
    struct list link;
    person_fn  *fn;
    void       *arg;
    bool        exists;        /* ident has said so */
};

struct load {
    struct db_read read;
    struct talk   *talk;
    struct person *fresh;
    struct person *old;        /* its lists are read again; NULL: nobody has it yet */
    struct list    waiters;
    bool           found, again;
    uint32_t       changes;    /* of `old`, when this reading began */
};

static void load_start(struct load *l);
static void person_reload_due(struct timer *timer);

static void lists_load(struct person *p, struct db_conn *c)
{
    offline_load(p, c);
    features_load(p, c);
    devices_load(p, c);
}

static enum err load_work(struct db_conn *c, struct db_read *self)
{
    struct load    *l = (struct load *)self;
    struct person  *p = l->fresh;
    struct db_stmt *s = NULL;
    enum err        e = db_get(c, &s, &person_select, "s", p->jid.local);

    l->found = e == OK;
    if (l->found) {
        p->id = db_i64(s, 0);
        p->archive_default = (uint8_t)db_i64(s, 1);
        p->lists = db_i64(s, 2);
    }
    if (s)
        db_done(s);
    if (e && e != ERR_NOT_FOUND)
        return e;
    if (!l->found)
        p->id = jids_read(c, p->jid.bare);
    if (p->id == 0)
        p->id = jids_hash(p->talk, p->jid.bare);
    p->stored = l->found;
    if (db_rehearse(c)) {
        lists_load(p, c);
        archive_ends_rehearse(c, p->id);
        db_perform(c);
    }
    lists_load(p, c);
    e = archive_ends(c, p->id, &p->log_first, &p->log_last);
    p->first_shown = archive_shown(c, p->log_first);
    p->last_shown = archive_shown(c, p->log_last);
    /* Hooks read as far as they can: a list cut short by a lost connection must not be taken for the whole. */
    return e ? e : db_conn_state(c);
}

static void load_free(struct load *l)
{
    if (l->fresh)
        person_done(l->fresh);
    free(l);
}

static void waiters_tell(struct load *l, struct person *p, enum err e)
{
    while (!list_empty(&l->waiters)) {
        struct waiter *w = LIST_ITEM(l->waiters.next, struct waiter, link);

        list_remove(&w->link);
        w->fn(l->talk, p, e, w->arg);
        free(w);
    }
}

static void load_end(struct load *l, struct person *p, enum err e)
{
    strmap_del(&l->talk->loads, l->fresh->jid.local);
    if (p) {
        l->fresh = NULL;
        person_enter(p);
        person_ref(p);
        person_number(p);
        later_run(p);
    } else {
        nodes_person_leave(l->talk, l->fresh->jid.local);
    }
    waiters_tell(l, p, e);
    if (p)
        person_unref(p);
    load_free(l);
}

/* Never seen here: ident knows whether there is such an account. */
static void load_asked(void *arg, enum err e)
{
    struct load *l = arg;

    load_end(l, e ? NULL : l->fresh, e && e != ERR_NOT_FOUND ? ERR_UNAVAILABLE : e);
}

static bool surely_exists(const struct load *l)
{
    if (l->found)
        return true;
    for (struct list *it = l->waiters.next; it != &l->waiters; it = it->next)
        if (LIST_ITEM(it, struct waiter, link)->exists)
            return true;
    return false;
}

static void swap_lists(struct person *p, struct person *fresh)
{
    struct profile_photos *photos;
    bool                   news = profile_photos_take(p, fresh);

    photos = p->photos;
    p->photos = NULL;
    lists_free(p);
    p->photos = photos;
    p->items = fresh->items;
    p->item_count = fresh->item_count;
    p->item_cap = fresh->item_cap;
    p->blocked = fresh->blocked;
    p->blocked_count = fresh->blocked_count;
    p->prefs = fresh->prefs;
    p->pref_count = fresh->pref_count;
    p->push = fresh->push;
    p->archive_default = fresh->archive_default;
    p->admin = fresh->admin;
    memcpy(p->rate_class, fresh->rate_class, sizeof p->rate_class);
    if (fresh->roster_version > p->roster_version)
        p->roster_version = fresh->roster_version;
    p->removed_version = fresh->removed_version;
    p->lists = fresh->lists;
    fresh->items = NULL;
    fresh->blocked = NULL;
    fresh->prefs = NULL;
    fresh->push = NULL;
    fresh->item_count = fresh->blocked_count = fresh->pref_count = 0;
    devices_take(p, fresh);
    if (news)
        photo_ask_all(p);
}

struct later {
    struct list link;
    void      (*fn)(struct talk *t, struct person *p, void *arg);
    void       *arg;
};

enum err person_when_read(struct person *p, void (*fn)(struct talk *t, struct person *p, void *arg), void *arg)
{
    if (p->reloading || !list_empty(&p->later))
        return person_hold(p, fn, arg);
    fn(p->talk, p, arg);
    return OK;
}

enum err person_hold(struct person *p, void (*fn)(struct talk *t, struct person *p, void *arg), void *arg)
{
    struct later *l;

    if (p->later_count >= PERSON_LATER_MAX)
        return ERR_LIMIT;
    l = NEW(struct later);
    *l = (struct later){ .fn = fn, .arg = arg };
    list_append(&p->later, &l->link);
    p->later_count++;
    return OK;
}

static void later_run(struct person *p)
{
    while (!list_empty(&p->later) && !p->reloading) {
        struct later *l = LIST_ITEM(p->later.next, struct later, link);

        list_remove(&l->link);
        p->later_count--;
        arena_reset(&p->talk->round);
        l->fn(p->talk, p->deleted ? NULL : p, l->arg);
        free(l);
    }
}

enum { RELOAD_AGAIN_MS = 100 };

static void reload_end(struct load *l, enum err e)
{
    struct person *p = l->old;

    p->reloading = NULL;
    if (p->deleted) {
        ;
    } else if (e) {         /* no replica answers just now */
        timer_start(p->talk->loop, &p->reload_again, RELOAD_AGAIN_MS, person_reload_due);
        person_ref(p);
    } else if (p->changing) {
        p->stale = true;    /* what is under way here is not in what was read */
    } else if (l->changes != p->changes) {
        person_reload(p);   /* nor, perhaps, what came to its end meanwhile: a block just set must not be lost */
    } else {
        swap_lists(p, l->fresh);
        follow_to(p, l->fresh->log_last);   /* a worker whose events did not come may have stored something */
        if (l->again)
            person_reload(p);
    }
    later_run(p);
    person_unref(p);
    load_free(l);
}

static void load_done(struct db_read *self, enum err e)
{
    struct load *l = (struct load *)self;

    if (l->old) {
        reload_end(l, e);
    } else if (e) {
        load_end(l, NULL, ERR_UNAVAILABLE);
    } else if (l->again) {
        l->again = false;
        load_start(l);
    } else if (surely_exists(l)) {
        load_end(l, l->fresh, OK);
    } else if (ident_user_exists(l->talk->bus, l->fresh->jid.local, load_asked, l) != OK) {
        load_end(l, NULL, ERR_UNAVAILABLE);
    }
}

static void later_move(struct person *to, struct person *from)
{
    while (!list_empty(&from->later)) {
        struct list *n = from->later.next;

        list_remove(n);
        list_append(&to->later, n);
    }
    to->later_count = from->later_count;
    from->later_count = 0;
}

static void load_start(struct load *l)
{
    struct person *before = l->fresh;

    l->changes = l->old ? l->old->changes : 0;
    l->read = (struct db_read){ .work = load_work, .done = load_done, .class = l->old ? DB_READ_URGENT : DB_READ_USUAL };
    if (before && before->id) {         /* a second time: from the beginning */
        l->fresh = person_blank(l->talk, before->jid.local);
        later_move(l->fresh, before);
        if (!l->old) {
            strmap_del(&l->talk->loads, before->jid.local);
            strmap_put(&l->talk->loads, l->fresh->jid.local, l);
        }
        person_done(before);
    }
    if (db_read_start(l->talk->db, &l->read) != OK)
        load_done(&l->read, ERR_LIMIT);
}

static void load(struct talk *t, struct str local, bool exists, person_fn *fn, void *arg)
{
    struct load   *l = strmap_get(&t->loads, local);
    struct waiter *w = NEW(struct waiter);
    bool           fresh = !l;

    if (fresh) {
        l = NEW(struct load);
        l->talk = t;
        l->fresh = person_blank(t, local);
        list_init(&l->waiters);
        strmap_put(&t->loads, l->fresh->jid.local, l);
        nodes_person_enter(t, l->fresh->jid.local);     /* before reading, so that no change is missed */
        event_send(t, &(struct event){ .kind = EVENT_WHO, .local = local });
    }
    *w = (struct waiter){ .fn = fn, .arg = arg, .exists = exists };
    list_append(&l->waiters, &w->link);
    if (fresh)
        load_start(l);
}

struct person *person_loading(struct talk *t, struct str local)
{
    struct load *l = strmap_get(&t->loads, local);

    return l ? l->fresh : NULL;
}

void person_load_again(struct talk *t, struct str local)
{
    struct load *l = strmap_get(&t->loads, local);

    if (l)
        l->again = true;
}

static void person_reload_due(struct timer *timer)
{
    struct person *p = LIST_ITEM(timer, struct person, reload_again);

    person_reload(p);
    person_unref(p);
}

void person_reload(struct person *p)
{
    struct load *l;

    if (!p->talk->shared) {
        lists_free(p);
        features_load(p, db_loop_conn(p->talk->db));
        return;
    }
    if (p->reloading) {
        p->reloading->again = true;
        return;
    }
    l = NEW(struct load);
    l->talk = p->talk;
    l->fresh = person_blank(p->talk, p->jid.local);
    l->old = p;
    list_init(&l->waiters);
    p->reloading = l;
    person_ref(p);
    load_start(l);
}

void persons_reload_all(struct talk *t)
{
    struct str key;
    void      *value;

    while (!list_empty(&t->persons_idle))
        person_free(LIST_ITEM(t->persons_idle.next, struct person, idle));
    for (size_t it = 0; strmap_next(&t->persons, &it, &key, &value);)
        person_reload(value);
}

void person_tell_changed(struct person *p)
{
    event_send(p->talk, &(struct event){ .kind = EVENT_CHANGED, .local = p->jid.local });
}

/* ---- asking ident ---- */

struct find {
    struct talk *talk;
    person_fn   *fn;
    void        *arg;
    char        *local;
};

static void find_answered(void *arg, enum err e)
{
    struct find   *f = arg;
    struct person *p = NULL;

    if (e == OK)
        p = person_make(f->talk, str_of(f->local));
    else if (e != ERR_NOT_FOUND)
        e = ERR_UNAVAILABLE;
    f->fn(f->talk, p, e, f->arg);
    free(f->local);
    free(f);
}

void person_find(struct talk *t, struct str local, person_fn *fn, void *arg)
{
    struct person *p = person_known(t, local);
    struct find   *f;

    if (p || local.len == 0) {
        fn(t, p, p ? OK : ERR_NOT_FOUND, arg);
        return;
    }
    if (t->shared) {
        load(t, local, false, fn, arg);
        return;
    }
    f = NEW(struct find);
    *f = (struct find){ .talk = t, .fn = fn, .arg = arg, .local = str_dup(local) };
    if (ident_user_exists(t->bus, local, find_answered, f) == OK)
        return;
    fn(t, NULL, ERR_UNAVAILABLE, arg);
    free(f->local);
    free(f);
}

void person_open(struct talk *t, struct str local, person_fn *fn, void *arg)
{
    if (t->shared && !person_known(t, local))
        load(t, local, true, fn, arg);
    else
        fn(t, person_make(t, local), OK, arg);
}

/* ---- looking ---- */

static int item_at(const struct person *p, struct str bare, bool *found)
{
    int low = 0, high = p->item_count;

    *found = false;
    while (low < high) {
        int mid = (low + high) / 2;
        int order = str_cmp(p->items[mid].jid, bare);

        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct roster_item *person_item(struct person *p, struct str bare)
{
    bool found;
    int  at = item_at(p, bare, &found);

    return found ? &p->items[at] : NULL;
}

struct roster_item *person_item_make(struct person *p, struct str bare)
{
    bool found;
    int  at = item_at(p, bare, &found);

    if (found)
        return &p->items[at];
    if (p->item_count >= p->talk->limits.roster_items_max)
        return NULL;
    if (p->item_count == p->item_cap) {
        p->item_cap = p->item_cap ? p->item_cap * 2 : 4;
        p->items = mem_resize(p->items, sizeof *p->items * (size_t)p->item_cap);
    }
    memmove(p->items + at + 1, p->items + at, sizeof *p->items * (size_t)(p->item_count - at));
    p->items[at] = (struct roster_item){ .jid = str_make(str_dup(bare), bare.len) };
    p->item_count++;
    return &p->items[at];
}

void person_item_remove(struct person *p, struct roster_item *item)
{
    int at = (int)(item - p->items);

    free((char *)item->jid.p);
    free((char *)item->name.p);
    free((char *)item->groups.p);
    free(item->request);
    memmove(item, item + 1, sizeof *item * (size_t)(p->item_count - at - 1));
    p->item_count--;
}

bool person_may_see(struct person *p, struct str bare)
{
    struct roster_item *item = person_item(p, bare);

    return str_eq(p->jid.bare, bare) || (item && (item->subscription & SUB_FROM));
}

int person_reachable(const struct person *p)
{
    int n = 0;

    LIST_EACH(it, (struct list *)&p->sessions) {
        const struct session *s = LIST_ITEM(it, struct session, in_person);
        n += session_takes_messages(s);
    }
    return n;
}

struct session *person_session(struct person *p, struct str resource)
{
    LIST_EACH(it, &p->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);
        if (str_eq(s->jid.resource, resource))
            return s;
    }
    return NULL;
}

/* ---- deletion (forget.c) ---- */

void person_end_deleted(struct person *p)
{
    uint64_t ids[ROSTER_SESSIONS_MAX];
    int      n = roster_sessions(p, ids);

    for (int i = 0; i < n; i++) {
        struct session *s = session_find(p->talk, ids[i]);

        if (s)
            session_fail(s, "not-authorized", "the account was deleted");
    }
}

void person_dismiss(struct person *p)
{
    person_ref(p);
    person_end_deleted(p);
    p->deleted = true;
    person_unref(p);
}
