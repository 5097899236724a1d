/* audit.c: see audit.h. The tables are in xep/xep0133_admin.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/audit.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "talk/session.h"
#include <stdlib.h>

static struct db_sql audit_insert = { "INSERT INTO audit(id, at, who, what, about) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING" };
static struct db_sql audit_outcome = { "UPDATE audit SET outcome = ?2 WHERE id = ?1" };
static struct db_sql audit_page = {
    "SELECT id, at, who, what, about, outcome FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2" };

struct audit_op {
    struct change change;
    struct arena  arena;
    int64_t       id, at_us;
    struct str    who, what, about, outcome;
    audit_fn     *fn;
    void         *arg;
};

static enum err audit_apply(struct db_conn *c, struct change *ch)
{
    struct audit_op *o = (struct audit_op *)ch;

    if (o->outcome.p)
        return db_run(c, &audit_outcome, "is", o->id, o->outcome);
    return db_run(c, &audit_insert, "iisss", o->id, o->at_us, o->who, o->what, o->about);
}

static void audit_done(struct talk *t, struct change *ch, enum err e)
{
    struct audit_op *o = (struct audit_op *)ch;

    if (e)
        LOG_ERROR("audit.lost", LF_STR("what", o->what), LF_ERR(e));
    if (o->fn)
        o->fn(t, o->id, e, o->arg);
    arena_done(&o->arena);
    free(o);
}

static struct audit_op *op_new(int64_t id, audit_fn *fn, void *arg)
{
    struct audit_op *o = NEW(struct audit_op);

    arena_init(&o->arena);
    o->change.apply = audit_apply;
    o->change.done = audit_done;
    o->id = id;
    o->fn = fn;
    o->arg = arg;
    return o;
}

/* Ids rise with time; ten random bits keep those of several workers apart. */
static int64_t id_of(int64_t at_us)
{
    return at_us << 10 | (int64_t)(random_u64() & 1023);
}

enum err audit_begin(struct talk *t, struct str who, const char *what, struct str about, audit_fn *fn, void *arg)
{
    int64_t          now = clock_us();
    struct audit_op *o = op_new(id_of(now), fn, arg);
    enum err         e;

    if (about.len > AUDIT_ABOUT_BYTES_MAX)
        about = str_make(about.p, 0);
    o->at_us = now;
    o->who = arena_str(&o->arena, who);
    o->what = arena_str(&o->arena, str_of(what));
    o->about = arena_str(&o->arena, about);
    e = session_change(NULL, t, &o->change);
    if (!e)
        return OK;
    arena_done(&o->arena);
    free(o);
    return e;
}

void audit_end(struct talk *t, int64_t id, struct str outcome, audit_fn *fn, void *arg)
{
    struct audit_op *o = op_new(id, fn, arg);

    o->outcome = arena_str(&o->arena, outcome);
    if (session_change(NULL, t, &o->change) != OK)
        audit_done(t, &o->change, ERR_LIMIT);
}

enum err audit_read(struct db_conn *c, struct arena *a, int64_t before_id, int max, struct audit_row **rows, int *count)
{
    struct db_stmt *s = db_prepare(c, &audit_page);
    enum err        e;

    if (max > AUDIT_PAGE_MAX)
        max = AUDIT_PAGE_MAX;
    *rows = arena_alloc(a, sizeof **rows * (size_t)(max + 1));
    *count = 0;
    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, before_id ? before_id : INT64_MAX);
    db_bind_i64(s, 2, max);
    while ((e = db_step(s)) == OK && *count < max) {
        struct audit_row *r = &(*rows)[(*count)++];

        *r = (struct audit_row){ .id = db_i64(s, 0), .at_us = db_i64(s, 1) };
        r->who = arena_str(a, db_text(s, 2));
        r->what = arena_str(a, db_text(s, 3));
        r->about = arena_str(a, db_text(s, 4));
        if (db_text(s, 5).p)
            r->outcome = arena_str(a, db_text(s, 5));
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}
