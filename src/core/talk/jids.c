/* jids.c: see jids.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/jids.h"
#include "base/mem.h"
#include <stdlib.h>

const struct db_migration jids_migrations[] = {
    { 1, "jids", "CREATE TABLE jid(id INTEGER PRIMARY KEY, bare TEXT NOT NULL UNIQUE);" },
    { 0 },
};

struct jid_name {
    int64_t id;
    bool    stored;       /* its row is durable */
    int     in_flight;    /* operations that point here */
    size_t  len;
    char    bare[];
};

struct jid_op {
    struct commit_op op;
    struct talk     *talk;
    struct jid_name *name;
};

static struct db_sql jid_select = { "SELECT id FROM jid WHERE bare = ?1" };
static struct db_sql jid_insert = { "INSERT INTO jid(id, bare) VALUES (?1, ?2) ON CONFLICT DO NOTHING" };
static struct db_sql jid_highest = { "SELECT coalesce(max(id), 0) FROM jid" };

static struct str name_text(const struct jid_name *n) { return str_make(n->bare, n->len); }

void jids_init(struct talk *t)
{
    struct db_stmt *s;

    strmap_init(&t->jids);
    if (t->shared)
        return;
    if (db_get(db_loop_conn(t->db), &s, &jid_highest, "") == OK)
        t->last_jid_id = db_i64(s, 0);
    if (s)
        db_done(s);
}

void jids_done(struct talk *t)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&t->jids, &it, &key, &value);)
        free(value);
    strmap_done(&t->jids);
}

/* Only names that are durable and unused may be forgotten. */
static void forget_some(struct talk *t)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&t->jids, &it, &key, &value);) {
        struct jid_name *n = value;

        if (n->stored && n->in_flight == 0) {
            strmap_del(&t->jids, key);
            free(n);
        }
    }
}

static struct jid_name *name_add(struct talk *t, struct str bare, int64_t id, bool stored)
{
    struct jid_name *n = mem_new(sizeof *n + bare.len + 1);

    if (t->jids.count >= JIDS_CACHED_MAX)
        forget_some(t);
    n->id = id;
    n->stored = stored;
    n->len = bare.len;
    memcpy(n->bare, bare.p, bare.len);
    strmap_put(&t->jids, name_text(n), n);
    return n;
}

static struct jid_name *name_find(struct talk *t, struct str bare)
{
    struct jid_name *n = strmap_get(&t->jids, bare);
    struct db_stmt  *s;

    if (n)
        return n;
    if (t->shared && commit_stalled_ms(t->db))      /* nobody to ask: the hash it would have */
        return NULL;
    if (db_get(db_loop_conn(t->db), &s, &jid_select, "s", bare) == OK)
        n = name_add(t, bare, db_i64(s, 0), true);
    if (s)
        db_done(s);
    return n;
}

static enum err jid_apply(struct db_conn *c, struct commit_op *op)
{
    struct jid_op *o = (struct jid_op *)op;

    return db_run(c, &jid_insert, "is", o->name->id, name_text(o->name));
}

static void jid_written(struct commit_op *op, enum err e)
{
    struct jid_op *o = (struct jid_op *)op;

    o->name->in_flight--;
    if (!e)
        o->name->stored = true;
    free(o);
}

int64_t jids_number(struct talk *t, struct str bare)
{
    struct jid_name *n = name_find(t, bare);
    struct jid_op   *o;

    if (!n)
        n = name_add(t, bare, t->shared ? jids_hash(t, bare) : ++t->last_jid_id, false);
    if (n->stored)
        return n->id;
    o = NEW(struct jid_op);
    *o = (struct jid_op){ .op = { .apply = jid_apply, .done = jid_written }, .talk = t, .name = n };
    n->in_flight++;
    if (commit_add(t->db, &o->op) != OK) {   /* so full that what follows is refused too */
        n->in_flight--;
        free(o);
    }
    return n->id;
}

int64_t jids_known(struct talk *t, struct str bare)
{
    struct jid_name *n = name_find(t, bare);

    return n ? n->id : 0;
}

/* ---- where others number too ---- */

int64_t jids_hash(const struct talk *t, struct str bare)
{
    int64_t h = (int64_t)(hash_bytes_keyed(t->origin_key, bare.p, bare.len) >> 2);

    return h | 1LL << 61;       /* never one of those that were counted */
}

int64_t jids_read(struct db_conn *c, struct str bare)
{
    struct db_stmt *s = NULL;
    int64_t         id = 0;

    if (db_get(c, &s, &jid_select, "s", bare) == OK)
        id = db_i64(s, 0);
    if (s)
        db_done(s);
    return id;
}

enum err jids_write(struct db_conn *c, int64_t id, struct str bare)
{
    return db_run(c, &jid_insert, "is", id, bare);
}
