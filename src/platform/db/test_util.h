/* test_util.h: what the tests of this folder share: a table, writes that remember their answer, and the engine:
 * BONGSU_TEST_ENGINE=postgresql runs the same tests on the server that BONGSU_TEST_POSTGRESQL names (tools/with-postgres).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/test.h"
#include "db/commit.h"
#include "db/db.h"

#define NOTES_FIRST { 1, "notes", "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT, body BLOB);" }
static const struct db_migration notes_migrations[] = {
    NOTES_FIRST,
    { 2, "notes", "CREATE INDEX note_text ON note(text); INSERT INTO note(id, text) VALUES (0, 'first');" },
    { 0 },
};

static struct db_sql sql_note_put = { .text = "INSERT INTO note(id, text, body) VALUES (?1, ?2, ?3)" };
static struct db_sql sql_note_count = { .text = "SELECT count(*) FROM note WHERE id = ?1" };

/* ---- the engine ---- */

static inline bool on_server(void)
{
    const char *engine = getenv("BONGSU_TEST_ENGINE");

    return engine && strcmp(engine, "postgresql") == 0;
}

/* A place of its own for each test, the same for all calls of one. */
static inline const char *test_schema(struct test *t)
{
    static char schema[64];
    static const struct test *of;
    static const char *name;
    static int number;

    if (of != t || name != t->name)
        snprintf(schema, sizeof schema, "test_%d_%d", (int)getpid(), ++number);
    of = t;
    name = t->name;
    return schema;
}

static inline struct db_settings settings_at(struct test *t, const char *path)
{
    struct db_settings s = { .path = path };

    if (on_server()) {
        s.server = getenv("BONGSU_TEST_POSTGRESQL");
        s.schema = test_schema(t);
    }
    return s;
}

static inline void skip_without_server(struct test *t)
{
    test_skip(t, "no server: BONGSU_TEST_POSTGRESQL is not set (tools/with-postgres)");
}

static inline int db_test_run(const struct test_case *cases, int count, int argc, char **argv)
{
    struct test_case *all = calloc((size_t)count, sizeof *all);
    int status;

    for (int i = 0; i < count; i++) {
        all[i] = cases[i];
        if (on_server() && !getenv("BONGSU_TEST_POSTGRESQL"))
            all[i].run = skip_without_server;
    }
    status = test_run(all, count, argc, argv);
    free(all);
    return status;
}

#define DB_TEST_MAIN(...) \
    int main(int argc, char **argv) { \
        static const struct test_case cases_[] = { __VA_ARGS__ }; \
        return db_test_run(cases_, (int)(sizeof cases_ / sizeof cases_[0]), argc, argv); \
    }

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

static inline int64_t notes_with(struct db_conn *c, int64_t id)
{
    struct db_stmt *s;
    int64_t n = -1;

    if (db_get(c, &s, &sql_note_count, "i", id) == OK)
        n = db_i64(s, 0);
    db_done(s);
    return n;
}
