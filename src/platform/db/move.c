/* move.c: see move.h. Tables and columns are taken from SQLite's own list of them; values travel as their columns' types
 * say, and are read back from both sides to be compared.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "db/move.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/buf.h"
#include "base/hash.h"
#include "db/pg_inner.h"

enum { TABLES_MAX = 64, COLUMNS_MAX = PG_PARAMS_MAX, ROWS_AT_ONCE = 1000 };

struct column {
    struct str name;
    char       type;              /* i, s, b: as db_run has them */
};

struct table {
    struct str    name, columns;  /* quoted and with commas between them */
    struct column column[COLUMNS_MAX];
    int           column_count;
    int64_t       rows;
    uint64_t      hash;
};

struct move {
    struct db_conn *from, *to;
    struct arena   *arena;
    struct str     *why;
    struct table    tables[TABLES_MAX];
    int             table_count;
};

/* A statement that is used for one table, and belongs to the arena. */
static struct db_sql *sql_of(struct move *m, struct str text)
{
    struct db_sql *sql = arena_alloc(m->arena, sizeof *sql);

    *sql = (struct db_sql){ .text = text.p };
    return sql;
}

static enum err fail(struct move *m, enum err e, struct db_conn *c, const char *what, struct str table)
{
    if (!m->why->p)
        *m->why = arena_printf(m->arena, "could not %s \"%.*s\": %s", what, STR_ARG(table), db_conn_error(c));
    return e;
}

/* ---- what there is ---- */

static char type_of(struct str declared)
{
    return str_is(declared, "TEXT") ? 's' : str_is(declared, "BLOB") ? 'b' : 'i';
}

static enum err columns_read(struct move *m, struct table *t)
{
    static struct db_sql sql = { "SELECT name, type FROM pragma_table_info(?1) ORDER BY cid" };
    struct db_stmt *s = db_prepare(m->from, &sql);
    struct buf list;
    enum err e;

    buf_init(&list, 0);
    db_bind_str(s, 1, t->name);
    while ((e = db_step(s)) == OK && t->column_count < COLUMNS_MAX) {
        struct column *c = &t->column[t->column_count];

        *c = (struct column){ arena_str(m->arena, db_text(s, 0)), type_of(db_text(s, 1)) };
        buf_printf(&list, "%s\"%.*s\"", t->column_count ? ", " : "", STR_ARG(c->name));
        t->column_count++;
    }
    db_done(s);
    t->columns = arena_str(m->arena, buf_str(&list));
    buf_done(&list);
    return e == ERR_NOT_FOUND ? OK : e ? e : ERR_LIMIT;
}

static enum err tables_read(struct move *m)
{
    static struct db_sql sql = {
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        " AND name NOT IN ('db_migration', 'db_probe') ORDER BY name" };
    struct db_stmt *s = db_prepare(m->from, &sql);
    enum err e;

    while ((e = db_step(s)) == OK && m->table_count < TABLES_MAX)
        m->tables[m->table_count++].name = arena_str(m->arena, db_text(s, 0));
    db_done(s);
    e = e == ERR_NOT_FOUND ? OK : e ? e : ERR_LIMIT;
    for (int i = 0; i < m->table_count && !e; i++)
        e = columns_read(m, &m->tables[i]);
    return e ? fail(m, e, m->from, "read the tables of", str_of(m->from->path)) : OK;
}

static enum err refuse_full(struct move *m)
{
    static struct db_sql sql = {
        "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ?1" };
    const char *schema = pg_hosts_schema(pg_of(m->to)->hosts);
    struct db_stmt *s;
    int64_t count = 0;
    enum err e = db_get(m->to, &s, &sql, "s", str_of(schema));

    if (!e)
        count = db_i64(s, 0);
    db_done(s);
    if (e)
        return fail(m, e, m->to, "look into", str_of(m->to->path));
    if (!count)
        return OK;
    *m->why = arena_printf(m->arena, "the schema \"%s\" in PostgreSQL is not empty, and nothing is mixed: if nobody needs what is"
                                     " there, `DROP SCHEMA %s CASCADE` makes room", schema, schema);
    return ERR_EXISTS;
}

/* ---- copying ---- */

static struct db_sql *insert_of(struct move *m, const struct table *t)
{
    struct buf b;
    struct db_sql *sql;

    buf_init(&b, 0);
    buf_printf(&b, "INSERT INTO \"%.*s\"(%.*s) VALUES (", STR_ARG(t->name), STR_ARG(t->columns));
    for (int i = 1; i <= t->column_count; i++)
        buf_printf(&b, "%s?%d", i > 1 ? ", " : "", i);
    buf_put_c(&b, ')');
    sql = sql_of(m, arena_str(m->arena, buf_str(&b)));
    buf_done(&b);
    return sql;
}

static void value_carry(const struct table *t, struct db_stmt *from, struct db_stmt *to, int i)
{
    if (db_is_null(from, i))
        db_bind_null(to, i + 1);
    else if (t->column[i].type == 'i')
        db_bind_i64(to, i + 1, db_i64(from, i));
    else if (t->column[i].type == 's')
        db_bind_str(to, i + 1, db_text(from, i));
    else
        db_bind_blob(to, i + 1, db_blob(from, i));
}

static enum err pipeline_empty(struct move *m)
{
    struct pg_conn *c = pg_of(m->to);
    enum err e = pg_send_sync(c);

    if (!e)
        e = pg_read_all(c);
    return e ? e : c->failed;
}

static enum err rows_carry(struct move *m, struct table *t, struct db_stmt *from, struct db_sql *insert)
{
    enum err e, e2 = OK;

    for (int64_t n = 1; !e2 && (e = db_step(from)) == OK; n++) {
        struct db_stmt *to = db_prepare(m->to, insert);

        for (int i = 0; i < t->column_count; i++)
            value_carry(t, from, to, i);
        e2 = m->to->engine->run(to);
        db_done(to);
        if (!e2 && n % ROWS_AT_ONCE == 0)
            e2 = pipeline_empty(m);
    }
    if (!e2)
        e2 = pipeline_empty(m);
    if (e2)
        return fail(m, e2, m->to, "write the rows of", t->name);
    return e == ERR_NOT_FOUND ? OK : fail(m, e, m->from, "read the rows of", t->name);
}

/* What the migrations put there goes first: SQLite's rows have it too, perhaps changed. */
static enum err table_copy(struct move *m, struct table *t)
{
    struct db_sql *clear = sql_of(m, arena_printf(m->arena, "DELETE FROM \"%.*s\"", STR_ARG(t->name)));
    struct db_sql *all = sql_of(m, arena_printf(m->arena, "SELECT %.*s FROM \"%.*s\"", STR_ARG(t->columns), STR_ARG(t->name)));
    struct db_stmt *from;
    enum err e = db_run(m->to, clear, "");

    if (e)
        return fail(m, e, m->to, "write", t->name);
    from = db_prepare(m->from, all);
    pg_of(m->to)->pipelining = true;
    e = rows_carry(m, t, from, insert_of(m, t));
    pg_of(m->to)->pipelining = false;
    db_done(from);
    return e;
}

/* ---- proving ---- */

static void value_put(struct buf *b, char type, struct db_stmt *s, int i)
{
    struct str v = type == 'i' ? STR_NULL : type == 's' ? db_text(s, i) : db_blob(s, i);

    if (db_is_null(s, i))
        buf_put_c(b, 'n');
    else if (type == 'i')
        buf_printf(b, "i%" PRId64 ";", db_i64(s, i));
    else
        buf_printf(b, "%c%zu:", type, v.len);
    if (v.p)
        buf_put_str(b, v);
}

/* The sum of the rows' hashes does not depend on their order. */
static enum err rows_hash(const struct table *t, struct db_stmt *s, struct buf *row, int64_t *rows, uint64_t *hash)
{
    static const uint8_t key[16] = "bongsu db move";
    enum err e;

    while ((e = db_step(s)) == OK) {
        buf_clear(row);
        for (int i = 0; i < t->column_count; i++)
            value_put(row, t->column[i].type, s, i);
        *hash += hash_bytes_keyed(key, row->p, row->len);
        ++*rows;
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err hash_from(struct move *m, struct table *t, struct buf *row)
{
    struct db_sql *all = sql_of(m, arena_printf(m->arena, "SELECT %.*s FROM \"%.*s\"", STR_ARG(t->columns), STR_ARG(t->name)));
    enum err e = rows_hash(t, db_prepare(m->from, all), row, &t->rows, &t->hash);

    return e ? fail(m, e, m->from, "read again", t->name) : OK;
}

static enum err hash_to(struct move *m, struct table *t, struct buf *row, int64_t *rows, uint64_t *hash)
{
    const char *open = arena_printf(m->arena, "DECLARE moved NO SCROLL CURSOR FOR SELECT %.*s FROM \"%.*s\"",
                                    STR_ARG(t->columns), STR_ARG(t->name)).p;
    struct db_sql *fetch = sql_of(m, arena_printf(m->arena, "FETCH %d FROM moved", ROWS_AT_ONCE));
    int64_t before = -1;
    enum err e = db_exec(m->to, open);

    while (!e && before != *rows) {
        before = *rows;
        e = rows_hash(t, db_prepare(m->to, fetch), row, rows, hash);
    }
    if (!e)
        e = db_exec(m->to, "CLOSE moved");
    return e ? fail(m, e, m->to, "read again", t->name) : OK;
}

static enum err table_prove(struct move *m, struct table *t)
{
    int64_t rows = 0;
    uint64_t hash = 0;
    struct buf row;
    enum err e;

    buf_init(&row, 0);
    e = hash_from(m, t, &row);
    if (!e)
        e = hash_to(m, t, &row, &rows, &hash);
    buf_done(&row);
    if (e || (rows == t->rows && hash == t->hash))
        return e;
    *m->why = arena_printf(m->arena, "table \"%.*s\" reads differently on the other side (%" PRId64 " rows here, %" PRId64
                                     " there): nothing was moved", STR_ARG(t->name), t->rows, rows);
    return ERR_IO;
}

/* ---- all of it ---- */

static enum err move_within(struct move *m, const struct db_migration *migrations)
{
    enum err e = refuse_full(m);

    if (e)
        return e;
    e = m->to->engine->migrate_lock(m->to);
    if (!e)
        e = migrate_within(m->to, migrations, true);
    if (e)
        return fail(m, e, m->to, "make the tables of", str_of(m->to->path));
    e = tables_read(m);
    for (int i = 0; i < m->table_count && !e; i++)
        e = table_copy(m, &m->tables[i]);
    for (int i = 0; i < m->table_count && !e; i++)
        e = table_prove(m, &m->tables[i]);
    return e;
}

static enum err move_commit(struct move *m)
{
    enum err e = conn_commit(m->to);

    m->to->engine->migrate_unlock(m->to);
    if (e == ERR_UNCERTAIN)
        *m->why = STR("the answer to the COMMIT was lost: everything is there, or nothing; `bongsu db check` tells");
    else if (e)
        fail(m, e, m->to, "commit", str_of(m->to->path));
    return e;
}

static enum err move_open(struct move *m, const struct db_settings *from, const struct db_settings *to,
                          const struct db_migration *migrations)
{
    enum err e = db_conn_open(from, false, &m->from, m->arena, m->why);

    if (!e)
        e = conn_begin(m->from, false);
    if (!e)
        e = migrate_versions(m->from, migrations, m->arena, m->why);
    if (!e)
        e = db_conn_open(to, true, &m->to, m->arena, m->why);
    if (!e)
        e = conn_begin(m->to, true);
    return e;
}

enum err db_move(const struct db_settings *from, const struct db_settings *to, const struct db_migration *migrations,
                 db_moved_fn *told, void *arg, struct arena *a, struct str *why)
{
    struct move *m = arena_alloc(a, sizeof *m);
    enum err e;

    *m = (struct move){ .arena = a, .why = why };
    *why = STR_NULL;
    e = move_open(m, from, to, migrations);
    if (!e)
        e = move_within(m, migrations);
    if (!e)
        e = move_commit(m);
    else if (m->to)
        conn_rollback(m->to);
    for (int i = 0; i < m->table_count && !e; i++)
        told(arg, m->tables[i].name, m->tables[i].rows, m->tables[i].hash);
    if (m->from)
        conn_rollback(m->from);
    db_conn_close(&m->to);
    db_conn_close(&m->from);
    return e;
}
