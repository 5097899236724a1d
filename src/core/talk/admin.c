/* admin.c: see admin.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/admin.h"
#include "base/clock.h"
#include "base/mem.h"
#include "talk/nodes.h"
#include "talk/roster.h"
#include <stdlib.h>

static struct db_sql admin_put = {
    "INSERT INTO admin(name, since) SELECT ?1, ?2 WHERE (SELECT count(*) FROM admin WHERE name <> ?1) < ?3 ON CONFLICT DO NOTHING" };
static struct db_sql admin_remove = { "DELETE FROM admin WHERE name = ?1" };
static struct db_sql admin_select = { "SELECT name FROM admin ORDER BY name LIMIT ?1" };
static struct db_sql admin_one = { "SELECT 1 FROM admin WHERE name = ?1" };

/* "alice, bob@town.example" */
static bool is_named(struct str list, const struct person *p)
{
    while (list.p) {
        struct str name = str_trim(str_split(&list, ','));

        if (str_eq(name, p->jid.local) || str_eq(name, p->jid.bare))
            return true;
    }
    return false;
}

bool person_is_admin(const struct person *p)
{
    return !p->deleted && (p->admin || is_named(str_of(settings_text(p->talk->settings, "talk.admins")), p));
}

struct admin_op {
    struct change change;
    char         *user;
    bool          on, full;
    admin_set_fn *fn;
    void         *arg;
};

static bool has(struct db_conn *c, struct str user)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &admin_one, "s", user);

    if (s)
        db_done(s);
    return e == OK;
}

enum err admin_write(struct db_conn *c, struct str user, bool on, bool *full)
{
    enum err e;

    *full = false;
    if (!on)
        return db_run(c, &admin_remove, "s", user);
    e = db_run(c, &admin_put, "sii", user, clock_us(), (int64_t)ADMINS_MAX);
    *full = !e && !has(c, user);
    return e;
}

static enum err admin_apply(struct db_conn *c, struct change *ch)
{
    struct admin_op *o = (struct admin_op *)ch;

    return admin_write(c, str_of(o->user), o->on, &o->full);
}

static void admin_done(struct talk *t, struct change *ch, enum err e)
{
    struct admin_op *o = (struct admin_op *)ch;
    struct person   *p = strmap_get(&t->persons, str_of(o->user));

    if (!e && o->full)
        e = ERR_LIMIT;
    if (!e && p) {
        p->admin = o->on;
        p->changes++;
    }
    if (!e)
        event_send(t, &(struct event){ .kind = EVENT_CHANGED, .local = str_of(o->user) });
    o->fn(t, e, o->arg);
    free(o->user);
    free(o);
}

void admin_set(struct talk *t, struct str user, bool on, admin_set_fn *fn, void *arg)
{
    struct admin_op *o = NEW(struct admin_op);

    o->change.apply = admin_apply;
    o->change.done = admin_done;
    o->user = str_dup(user);
    o->on = on;
    o->fn = fn;
    o->arg = arg;
    if (session_change(NULL, t, &o->change) != OK)
        admin_done(t, &o->change, ERR_LIMIT);
}

enum err admins_read(struct db_conn *c, struct arena *a, struct str names[ADMINS_MAX], int *count)
{
    struct db_stmt *s = db_prepare(c, &admin_select);
    enum err        e;

    *count = 0;
    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, ADMINS_MAX);
    while ((e = db_step(s)) == OK && *count < ADMINS_MAX)
        names[(*count)++] = arena_str(a, db_text(s, 0));
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

void person_end_here(struct person *p, struct str resource, const char *condition, const char *text)
{
    uint64_t ids[ROSTER_SESSIONS_MAX];
    int      n = roster_sessions(p, ids);

    person_ref(p);
    for (int i = 0; i < n; i++) {
        struct session *s = session_find(p->talk, ids[i]);

        if (s && (resource.len == 0 || str_eq(s->jid.resource, resource)))
            session_fail(s, condition, text);
    }
    person_unref(p);
}

void person_end_sessions(struct person *p, struct str resource, const char *condition, const char *text)
{
    event_send(p->talk, &(struct event){ .kind = EVENT_END, .local = p->jid.local, .jid = resource, .text = str_of(text) });
    person_end_here(p, resource, condition, text);
}
