/* test_move.c: what was in SQLite is in PostgreSQL, all of it, or nothing is.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "db/move.h"
#include "db/test_util.h"

struct told {
    int     tables;
    int64_t notes;
};

static void note_table(void *arg, struct str table, int64_t rows, uint64_t hash)
{
    struct told *told = arg;

    told->tables++;
    if (str_is(table, "note"))
        told->notes = rows;
}

struct fixture {
    struct arena       a;
    struct db_settings from, to;
    struct db_conn    *file;
    struct told        told;
    struct str         why;
};

static struct fixture made(struct test *t, const struct db_migration *migrations)
{
    struct fixture f = { .from = { .path = notes_path(t) } };
    struct loop *l = loop_new();
    struct db *d;

    arena_init(&f.a);
    f.to = settings_at(t, "");
    CHECK_OK(t, db_open(l, &f.from, migrations, &d, &f.a, &f.why));
    db_close(&d);
    loop_free(&l);
    CHECK_OK(t, db_conn_open(&f.from, true, &f.file, &f.a, &f.why));
    return f;
}

static void ended(struct fixture *f)
{
    db_conn_close(&f->file);
    arena_done(&f->a);
}

static enum err moved(struct fixture *f)
{
    return db_move(&f->from, &f->to, notes_migrations, note_table, &f->told, &f->a, &f->why);
}

static void everything_is_carried_once(struct test *t)
{
    static struct db_sql get = { "SELECT text, body FROM note WHERE id = ?1" };
    struct fixture f = made(t, notes_migrations);
    struct db_conn *there = NULL;
    struct db_stmt *s;

    CHECK_OK(t, db_run(f.file, &sql_note_put, "isb", INT64_MIN, STR("한국어"), STR("\0\1\377")));
    CHECK_OK(t, db_run(f.file, &sql_note_put, "inn", (int64_t)5));
    CHECK_OK(t, db_run(f.file, &sql_note_put, "isb", (int64_t)6, STR(""), STR("")));
    for (int64_t i = 100; i < 3600; i++)
        CHECK_OK(t, db_run(f.file, &sql_note_put, "isn", i, STR("many")));
    if (!CHECK_OK(t, moved(&f)))
        printf("%.*s\n", STR_ARG(f.why));
    CHECK_INT(t, 1, f.told.tables);
    CHECK_INT(t, 3504, f.told.notes);
    CHECK_OK(t, db_conn_open(&f.to, true, &there, &f.a, &f.why));
    CHECK_OK(t, db_check(there, notes_migrations, &f.a, &f.why));
    if (CHECK_OK(t, db_get(there, &s, &get, "i", INT64_MIN)))
        CHECK(t, str_is(db_text(s, 0), "한국어") && str_eq(db_blob(s, 1), STR("\0\1\377")));
    db_done(s);
    if (CHECK_OK(t, db_get(there, &s, &get, "i", (int64_t)5)))
        CHECK(t, db_is_null(s, 0) && db_is_null(s, 1));
    db_done(s);
    db_conn_close(&there);
    CHECK_INT(t, ERR_EXISTS, moved(&f));
    CHECK(t, memmem(f.why.p, f.why.len, "DROP SCHEMA", 11) != NULL);
    ended(&f);
}

static void what_cannot_be_text_there_stops_everything(struct test *t)
{
    struct fixture f = made(t, notes_migrations);

    CHECK_OK(t, db_run(f.file, &sql_note_put, "isn", (int64_t)1, STR("good")));
    CHECK_OK(t, db_run(f.file, &sql_note_put, "isn", (int64_t)2, STR("a\377b")));
    CHECK_INT(t, ERR_INVALID, moved(&f));
    CHECK(t, memmem(f.why.p, f.why.len, "note", 4) != NULL);
    CHECK_OK(t, db_exec(f.file, "DELETE FROM note WHERE id = 2"));
    CHECK_OK(t, moved(&f));                  /* nothing was left behind */
    CHECK_INT(t, 2, f.told.notes);
    ended(&f);
}

static void another_version_is_refused(struct test *t)
{
    static const struct db_migration older[] = { NOTES_FIRST, { 0 } };
    struct fixture f = made(t, older);

    CHECK_INT(t, ERR_INVALID, moved(&f));
    CHECK(t, memmem(f.why.p, f.why.len, "has not been applied", 20) != NULL);
    ended(&f);
}

DB_TEST_MAIN(TEST(everything_is_carried_once), TEST(what_cannot_be_text_there_stops_everything), TEST(another_version_is_refused))
