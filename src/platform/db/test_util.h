/* test_util.h: what the tests of this folder share: a table, and writes that remember their answer.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "db/commit.h"
#include "db/test_engine.h"

#define NOTES_FIRST { 1, "notes", "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT, body BLOB);" }
static const struct db_migration notes_migrations[] = {
    NOTES_FIRST,
    { 2, "notes", "CREATE INDEX note_text ON note(text); INSERT INTO note(id, text) VALUES (0, 'first');" },
    { 0 },
};

static struct db_sql sql_note_put = { .text = "INSERT INTO note(id, text, body) VALUES (?1, ?2, ?3)" };
static struct db_sql sql_note_count = { .text = "SELECT count(*) FROM note WHERE id = ?1" };

/* ---- writes ---- */

struct put {
    struct commit_op op;
    int64_t          id;
    size_t           body_bytes;
    bool             told;
    enum err         e;
    int              order;        /* of being told */
};

static int puts_told;

static inline enum err put_apply(struct db_conn *c, struct commit_op *op)
{
    static const char body[65536];
    const struct put *p = LIST_ITEM(op, struct put, op);

    return db_run(c, &sql_note_put, "isb", p->id, STR("a note"), str_make(body, p->body_bytes));
}

static inline void put_done(struct commit_op *op, enum err e)
{
    struct put *p = LIST_ITEM(op, struct put, op);

    p->told = true;
    p->e = e;
    p->order = ++puts_told;
}

static inline struct put put_of(int64_t id)
{
    return (struct put){ .op = { .apply = put_apply, .done = put_done }, .id = id, .body_bytes = 100 };
}

static inline struct db *notes_open_at(struct test *t, struct loop *l, const struct db_settings *s)
{
    struct arena a;
    struct str why = STR_NULL;
    struct db *d = NULL;

    arena_init(&a);
    if (!CHECK_OK(t, db_open(l, s, notes_migrations, &d, &a, &why)))
        printf("%.*s\n", STR_ARG(why));
    arena_done(&a);
    return d;
}

static inline const char *notes_path(struct test *t)
{
    static char path[256];

    snprintf(path, sizeof path, "%s/notes.db", test_dir(t));
    return path;
}

static inline void rounds_until(struct loop *l, const bool *flag)
{
    for (int i = 0; i < 2000 && !*flag; i++)
        loop_round(l, 10);
}

static inline enum err put_and_wait(struct db *d, struct loop *l, struct put *p)
{
    enum err e = commit_add(d, &p->op);

    if (e)
        return e;
    rounds_until(l, &p->told);
    return p->told ? p->e : ERR_TIMEOUT;
}

/* -1: it could not be read. A busy server's answer may come too late for the loop's patience, so that it is asked again. */
static inline int64_t notes_with(struct db_conn *c, int64_t id)
{
    int64_t n = -1;

    for (int tries = 0; n < 0 && tries < (on_server() ? 3 : 1); tries++) {
        struct db_stmt *s;

        if (db_get(c, &s, &sql_note_count, "i", id) == OK)
            n = db_i64(s, 0);
        db_done(s);
    }
    return n;
}
