/* person.c: finding, loading and forgetting accounts.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/person.h"
#include "base/log.h"
#include "base/mem.h"
#include "id/ident.h"
#include "talk/archive.h"
#include "talk/feature.h"
#include "talk/jids.h"
#include "talk/roster.h"
#include <stdlib.h>

const struct db_migration person_migrations[] = {
    { 1, "person",
      "CREATE TABLE person(id INTEGER PRIMARY KEY, user TEXT NOT NULL UNIQUE, archive_default INTEGER NOT NULL DEFAULT 0);" },
    { 0 },
};

static struct db_sql person_select = { "SELECT id, archive_default FROM person WHERE user = ?1" };
static struct db_sql offline_number = { "SELECT count(*) FROM offline WHERE owner = ?1" };
static struct db_sql person_insert = { "INSERT INTO person(id, user) VALUES (?1, ?2) ON CONFLICT DO NOTHING" };

/* ---- in memory ---- */

static struct person *person_new(struct talk *t, struct str local)
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
    strmap_put(&t->persons, p->jid.local, p);
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
    free(p->items);
    free(p->blocked);
    free(p->prefs);
    p->items = NULL;
    p->blocked = NULL;
    p->prefs = NULL;
    p->item_count = p->item_cap = p->blocked_count = p->pref_count = 0;
}

static void person_free(struct person *p)
{
    strmap_del(&p->talk->persons, p->jid.local);
    if (list_linked(&p->idle)) {
        list_remove(&p->idle);
        p->talk->persons_idle_count--;
    }
    lists_free(p);
    free((char *)p->jid.full.p);
    free(p);
}

void persons_done(struct talk *t)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&t->persons, &it, &key, &value);)
        person_free(value);
    strmap_done(&t->persons);
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
    if (db_get(c, &s, &person_select, "s", local) == OK) {
        p = person_new(t, local);
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

    return db_run(c, &person_insert, "is", p->id, p->jid.local);
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

    if (!p)
        p = person_new(t, local);
    person_number(p);
    return p;
}

void person_reload(struct person *p)
{
    lists_free(p);
    features_load(p, db_loop_conn(p->talk->db));
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
    f = NEW(struct find);
    *f = (struct find){ .talk = t, .fn = fn, .arg = arg, .local = str_dup(local) };
    if (ident_user_exists(t->bus, local, find_answered, f) == OK)
        return;
    fn(t, NULL, ERR_UNAVAILABLE, arg);
    free(f->local);
    free(f);
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

/* ---- deletion ---- */

struct delete_op {
    struct change change;
    struct person *person;
};

static struct db_sql delete_person = { "DELETE FROM person WHERE id = ?1" };

static enum err delete_apply(struct db_conn *c, struct change *ch)
{
    struct person *p = ((struct delete_op *)ch)->person;
    enum err       e;

    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->person_deleted)
            features[i]->person_deleted(p, c);
    e = archive_forget(c, p->id);
    return e ? e : db_run(c, &delete_person, "i", p->id);
}

static void deleted(struct talk *t, struct change *ch, enum err e)
{
    struct person *p = ((struct delete_op *)ch)->person;

    if (e)
        LOG_ERROR("person.delete", LF_STR("user", p->jid.local), LF_ERR(e));
    person_unref(p);
    free(ch);
}

void person_delete(struct talk *t, struct str local)
{
    struct person    *p = person_known(t, local);
    struct delete_op *o;
    uint64_t          ids[ROSTER_SESSIONS_MAX];
    int               n;

    if (!p)
        return;
    person_ref(p);
    n = roster_sessions(p, ids);
    for (int i = 0; i < n; i++) {
        struct session *s = session_find(t, ids[i]);
        if (s)
            session_fail(s, "not-authorized", "the account was deleted");
    }
    roster_clear(p);
    p->deleted = true;
    o = NEW(struct delete_op);
    o->change.apply = delete_apply;
    o->change.done = deleted;
    o->person = p;
    if (session_change(NULL, t, &o->change) != OK)
        deleted(t, &o->change, ERR_LIMIT);
}
