/* stmt.c: the calls of db.h on a connection, whatever its engine.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "db/inner.h"

/* ---- connections ---- */

enum err conn_note(struct db_conn *c, enum err e, const char *words)
{
    if (words != c->error)
        snprintf(c->error, sizeof c->error, "%s", words);
    if (e == ERR_FULL || e == ERR_IO || e == ERR_UNAVAILABLE)
        c->broken = e;
    return e;
}

const char *db_conn_error(const struct db_conn *c)
{
    return c->error[0] ? c->error : "no error";
}

void db_conn_close(struct db_conn **cp)
{
    struct db_conn *c = *cp;

    if (!c)
        return;
    for (int i = 0; i < c->stmt_count; i++)
        if (c->stmts[i])
            c->engine->stmt_free(c->stmts[i]);
    free(c->stmts);
    free(c->path);
    c->engine->close(c);
    *cp = NULL;
}

enum err db_conn_state(const struct db_conn *c)
{
    return c->broken;
}

int64_t db_undos(const struct db_conn *c)
{
    return c->undos;
}

int64_t db_transaction(const struct db_conn *c)
{
    return c->transaction;
}

enum err db_atomic_begin(struct db_conn *c)
{
    return c->in_batch ? OK : conn_begin(c, true);
}

enum err db_atomic_end(struct db_conn *c, enum err e)
{
    if (c->in_batch)
        return e;
    if (!e)
        e = conn_commit(c);
    if (e)
        conn_rollback(c);
    return e;
}

/* ---- statements ---- */

static int slot_of(struct db_sql *sql)
{
    static int last;
    int slot = __atomic_load_n(&sql->slot, __ATOMIC_RELAXED);
    int fresh;

    if (slot)
        return slot;
    fresh = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
    /* When another thread was first, its number counts and ours stays unused. */
    if (!__atomic_compare_exchange_n(&sql->slot, &slot, fresh, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return slot;
    return fresh;
}

static struct db_stmt *stmt_at(struct db_conn *c, int slot)
{
    if (slot >= c->stmt_count) {
        int count = slot + 64;

        c->stmts = mem_resize(c->stmts, (size_t)count * sizeof *c->stmts);
        memset(c->stmts + c->stmt_count, 0, (size_t)(count - c->stmt_count) * sizeof *c->stmts);
        c->stmt_count = count;
    }
    if (!c->stmts[slot])
        c->stmts[slot] = c->engine->stmt_new(c);
    return c->stmts[slot];
}

struct db_stmt *db_prepare(struct db_conn *c, struct db_sql *sql)
{
    struct db_stmt *s = stmt_at(c, slot_of(sql));

    c->engine->done(s);
    c->engine->prepare(s, sql->text);
    return s;
}

void db_bind_i64(struct db_stmt *s, int at, int64_t v)
{
    s->conn->engine->bind_i64(s, at, v);
}

void db_bind_str(struct db_stmt *s, int at, struct str v)
{
    s->conn->engine->bind_str(s, at, v);
}

void db_bind_blob(struct db_stmt *s, int at, struct str v)
{
    s->conn->engine->bind_blob(s, at, v);
}

void db_bind_null(struct db_stmt *s, int at)
{
    s->conn->engine->bind_null(s, at);
}

enum err db_step(struct db_stmt *s)
{
    return s->conn->engine->step(s);
}

int64_t db_i64(struct db_stmt *s, int column)
{
    return s->conn->engine->i64(s, column);
}

struct str db_text(struct db_stmt *s, int column)
{
    return s->conn->engine->text(s, column);
}

struct str db_blob(struct db_stmt *s, int column)
{
    return s->conn->engine->blob(s, column);
}

bool db_is_null(struct db_stmt *s, int column)
{
    return s->conn->engine->is_null(s, column);
}

void db_done(struct db_stmt *s)
{
    if (s)
        s->conn->engine->done(s);
}

static void bind_all(struct db_stmt *s, const char *types, va_list ap)
{
    for (int at = 1; types[at - 1]; at++) {
        switch (types[at - 1]) {
        case 'i':
            db_bind_i64(s, at, va_arg(ap, int64_t));
            break;
        case 's':
            db_bind_str(s, at, va_arg(ap, struct str));
            break;
        case 'b':
            db_bind_blob(s, at, va_arg(ap, struct str));
            break;
        case 'n':
            db_bind_null(s, at);
            break;
        default:
            assert(!"a type is one of i, s, b, n");
        }
    }
}

enum err db_run(struct db_conn *c, struct db_sql *sql, const char *types, ...)
{
    struct db_stmt *s = db_prepare(c, sql);
    enum err e;
    va_list ap;

    va_start(ap, types);
    bind_all(s, types, ap);
    va_end(ap);
    e = c->engine->run(s);
    db_done(s);
    return e;
}

enum err db_run_later(struct db_conn *c, struct db_sql *sql, int64_t *out, int out_count, int64_t *rows, const char *types, ...)
{
    struct db_stmt *s = db_prepare(c, sql);
    enum err e;
    va_list ap;

    va_start(ap, types);
    bind_all(s, types, ap);
    va_end(ap);
    e = c->engine->run_later(s, out, out_count, rows);
    db_done(s);
    return e;
}

enum err db_get(struct db_conn *c, struct db_stmt **out, struct db_sql *sql, const char *types, ...)
{
    struct db_stmt *s = db_prepare(c, sql);
    enum err e;
    va_list ap;

    va_start(ap, types);
    bind_all(s, types, ap);
    va_end(ap);
    e = db_step(s);
    if (e) {
        db_done(s);
        s = NULL;
    }
    *out = s;
    return e;
}

bool db_rehearse(struct db_conn *c)
{
    return c->engine->rehearse && c->engine->rehearse(c, true);
}

void db_perform(struct db_conn *c)
{
    c->engine->rehearse(c, false);
}

int64_t db_changes(struct db_conn *c)
{
    return c->engine->changes(c);
}

enum err db_exec(struct db_conn *c, const char *sql)
{
    return c->engine->exec(c, sql);
}

enum err db_backup(struct db_conn *c, const char *to_path, struct arena *a, struct str *why)
{
    return c->engine->backup(c, to_path, a, why);
}
