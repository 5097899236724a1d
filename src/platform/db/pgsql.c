/* pgsql.c: the engine PostgreSQL: connections and statements. Text and types: pg_text.c; what travels: pg_pipe.c;
 * where to: pg_use.c; the commit batch: pg_batch.c.
 *
 *   bind…, run    in the batch's pass: sent, not awaited          elsewhere: sent with a sync and awaited
 *   bind…, step   sent, and awaited with all that stands before it
 *                 in a rehearsal: sent; the same step afterwards finds its rows, or waits for those of all that was sent then
 *
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "db/pg_inner.h"

enum { OID_BYTEA = 17, OID_INT8 = 20, OID_TEXT = 25 };

struct pg_stmt {
    struct db_stmt base;
    char          *text;             /* translated; NULL: it could not be */
    bool           writes;
    enum err       bind_error;
    /* as prepared */
    int64_t        session;          /* on which connection; 0: on none */
    int64_t        name;
    int            prepared_count;
    Oid            types[PG_PARAMS_MAX];     /* 0: only NULLs were bound so far, the server chose */
    bool           types_changed;
    /* as bound */
    int            count;
    int64_t        numbers[PG_PARAMS_MAX];
    const char    *values[PG_PARAMS_MAX];
    int            lengths[PG_PARAMS_MAX], formats[PG_PARAMS_MAX];
    /* as answered */
    bool           stepped;
    int64_t        rehearsed_in;     /* in which transaction it was sent and not yet stepped; 0: in none */
    uint64_t       rehearsed_with;   /* a hash of what was bound then */
    PGresult      *rows;
    int            row;
};

static struct pg_stmt *stmt_of(struct db_stmt *s)
{
    return LIST_ITEM(s, struct pg_stmt, base);
}

void pg_stmt_prepared(struct pg_stmt *s, bool ok)
{
    if (!ok)
        s->session = 0;
}

void pg_stmt_rows(struct pg_stmt *s, PGresult *r)
{
    PQclear(s->rows);
    s->rows = r;
    s->row = -1;
}

/* ---- statements ---- */

static struct db_stmt *stmt_new(struct db_conn *c)
{
    struct pg_stmt *s = NEW(struct pg_stmt);

    s->base.conn = c;
    return &s->base;
}

static void stmt_free(struct db_stmt *base)
{
    struct pg_stmt *s = stmt_of(base);

    PQclear(s->rows);
    free(s->text);
    free(s);
}

static void prepare(struct db_stmt *base, const char *text)
{
    struct pg_stmt *s = stmt_of(base);
    struct str rest = str_of(text);
    struct buf b;

    if (s->text)
        return;
    buf_init(&b, 0);
    if (pg_text_next(&rest, &b) == OK && b.len && !str_trim(rest).len) {
        s->text = str_dup(buf_str(&b));
        s->writes = pg_text_writes(s->text);
    } else {
        LOG_ERROR("db.statement", LF_Z("words", "it is not in the common subset"), LF_Z("sql", text));
    }
    buf_done(&b);
}

static bool bind_at(struct pg_stmt *s, int at, Oid type)
{
    if (at < 1 || at > PG_PARAMS_MAX) {
        s->bind_error = ERR_BUG;
        return false;
    }
    if (at > s->count)
        s->count = at;
    if (type && s->types[at - 1] != type) {
        s->types[at - 1] = type;
        s->types_changed = true;
    }
    s->formats[at - 1] = 1;
    return true;
}

static void bind_i64(struct db_stmt *base, int at, int64_t v)
{
    struct pg_stmt *s = stmt_of(base);

    if (!bind_at(s, at, OID_INT8))
        return;
    s->numbers[at - 1] = (int64_t)htobe64((uint64_t)v);
    s->values[at - 1] = (const char *)&s->numbers[at - 1];
    s->lengths[at - 1] = sizeof v;
}

static void bind_null(struct db_stmt *base, int at)
{
    struct pg_stmt *s = stmt_of(base);

    if (bind_at(s, at, 0))
        s->values[at - 1] = NULL;
}

static void bind_bytes(struct db_stmt *base, int at, struct str v, Oid type)
{
    struct pg_stmt *s = stmt_of(base);

    if (!bind_at(s, at, type))
        return;
    s->values[at - 1] = v.p;
    s->lengths[at - 1] = (int)v.len;
    if (v.len > INT32_MAX / 2)
        s->bind_error = ERR_INVALID;
}

/* PostgreSQL's text has no NUL, and must be UTF-8. */
static void bind_str(struct db_stmt *base, int at, struct str v)
{
    bind_bytes(base, at, v, OID_TEXT);
    if (v.p && (memchr(v.p, 0, v.len) || !str_is_utf8(v)))
        stmt_of(base)->bind_error = ERR_INVALID;
}

static void bind_blob(struct db_stmt *base, int at, struct str v)
{
    bind_bytes(base, at, v, OID_BYTEA);
}

static enum err may_send(struct pg_stmt *s)
{
    struct pg_conn *c = pg_of(s->base.conn);
    enum err e;

    if (!s->text)
        return conn_note(&c->base, ERR_BUG, "a statement is not in the common subset");
    if (s->bind_error)
        return conn_note(&c->base, s->bind_error, "a text holds NUL or is not UTF-8, or a parameter could not be bound");
    if (c->base.in_batch && (c->failed || c->base.broken))
        return c->base.broken ? c->base.broken : c->failed;
    if (!s->writes)
        return OK;
    e = FAULT("db.write");
    if (e == ERR_UNAVAILABLE)
        return pg_lose(c, "a pretended failure");
    if (e && !c->failed)
        c->failed = e;
    return e ? conn_note(&c->base, e, "a pretended failure") : OK;
}

static void stmt_name(const struct pg_stmt *s, char out[32])
{
    snprintf(out, 32, "s%lld", (long long)s->name);
}

static enum err stmt_send(struct pg_stmt *s, struct pg_sent what)
{
    struct pg_conn *c = pg_of(s->base.conn);
    char name[32];
    enum err e = OK;

    if (!c->pg)
        return ERR_UNAVAILABLE;
    what.stmt = s;
    if (s->session != c->session || s->types_changed || s->count > s->prepared_count) {
        s->name = ++c->names;
        stmt_name(s, name);
        e = pg_send_prepare(c, s, name, s->text, s->count, s->types);
        s->session = c->session;
        s->types_changed = false;
        s->prepared_count = s->count;
    }
    stmt_name(s, name);
    return e ? e : pg_send_stmt(c, what, name, s->count, s->values, s->lengths, s->formats);
}

static enum err send_begin_read(struct pg_conn *c, void *arg)
{
    (void)arg;
    c->begin_waits = false;
    c->in_transaction = true;
    return pg_send_command(c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

struct sending {
    struct pg_stmt *s;
    struct pg_sent  what;
};

static enum err send_one(struct pg_conn *c, void *arg)
{
    struct sending *g = arg;

    return stmt_send(g->s, g->what);
}

static enum err send_begin_and_one(struct pg_conn *c, void *arg)
{
    enum err e = send_begin_read(c, NULL);

    return e ? e : send_one(c, arg);
}

/* A transaction by itself: of what it changed, a lost answer says nothing, and a warning too little. */
static enum err stmt_alone(struct pg_stmt *s, struct pg_sent what)
{
    struct pg_conn *c = pg_of(s->base.conn);
    enum err e = pg_primary_need(c);

    if (e)
        return e;
    c->warned = false;
    e = stmt_send(s, what);
    if (!e)
        e = pg_send_sync(c);
    if (!e)
        e = pg_read_all(c);
    if (!e)
        e = c->failed;
    if (s->writes && (e == ERR_UNAVAILABLE || (!e && c->warned)))
        return ERR_UNCERTAIN;
    return e;
}

/* No server: the transaction is lost before it began, also for who does not look at what each statement says. */
static enum err reader_begin(struct pg_conn *c, enum err (*send)(struct pg_conn *c, void *arg), void *arg)
{
    enum err e = pg_reader_need(c, send, arg);

    c->begin_waits = false;
    if (e == ERR_UNAVAILABLE)
        c->base.broken = e;
    return e ? e : c->failed;
}

/* Sends it and waits for its answer, in the way of its connection. */
static enum err stmt_finish(struct pg_stmt *s, struct pg_sent what)
{
    struct pg_conn *c = pg_of(s->base.conn);
    struct sending g = { s, what };
    enum err e;

    if (!c->pipelining)
        c->failed = OK;
    if (c->begin_waits)
        return reader_begin(c, send_begin_and_one, &g);
    if (!c->in_transaction && c->use == PG_READER)
        return ERR_UNAVAILABLE;          /* its snapshot is gone: another server's would be another one */
    if (!c->in_transaction && !c->base.write) {
        e = pg_reader_need(c, send_one, &g);
        return e ? e : c->failed;
    }
    if (!c->in_transaction && !c->base.in_batch)
        return stmt_alone(s, what);
    e = stmt_send(s, what);
    if (!e && !c->pipelining)
        e = pg_send_sync(c);
    if (!e)
        e = c->pipelining ? pg_read_last(c) : pg_read_all(c);
    return e ? e : c->failed;
}

/* ---- rehearsals ---- */

static uint64_t bound_hash(const struct pg_stmt *s)
{
    uint64_t h = (uint64_t)s->count;

    for (int i = 0; i < s->count; i++)
        h = h * 31 + (s->values[i] ? hash_bytes(s->values[i], (size_t)s->lengths[i]) : 1);
    return h;
}

static bool is_rehearsed(const struct pg_stmt *s)
{
    return s->rehearsed_in && s->rehearsed_in == s->base.conn->transaction;
}

/* Only in a reader's snapshot; the same one twice is sent for its first step. */
static enum err step_rehearsed(struct pg_stmt *s)
{
    if (!is_rehearsed(s) && !may_send(s) && !stmt_send(s, (struct pg_sent){ .keep = true })) {
        s->rehearsed_in = s->base.conn->transaction;
        s->rehearsed_with = bound_hash(s);
    }
    return ERR_NOT_FOUND;
}

static bool rehearse(struct db_conn *base, bool on)
{
    struct pg_conn *c = pg_of(base);

    if (on && c->begin_waits && reader_begin(c, send_begin_read, NULL))
        return false;
    if (on && (!c->in_transaction || base->write || c->pipelining))
        return false;
    c->rehearsing = on;
    c->rehearsed = OK;
    if (on)
        c->failed = OK;
    else if (c->sent_count)
        c->rehearsed = pg_send_sync(c);
    return true;
}

static enum err rehearsed_wait(struct pg_conn *c)
{
    enum err e = c->rehearsed;

    if (!e && c->sent_count) {
        e = pg_read_all(c);
        c->rehearsed = e ? e : c->failed;
    }
    return c->rehearsed;
}

/* True: its rows are here, or *e says why not. */
static bool step_was_rehearsed(struct pg_stmt *s, enum err *e)
{
    bool same = is_rehearsed(s) && s->rehearsed_with == bound_hash(s);

    if (!is_rehearsed(s))
        return false;
    s->rehearsed_in = 0;
    *e = rehearsed_wait(pg_of(s->base.conn));
    if (!same)
        pg_stmt_rows(s, NULL);
    return same || *e;
}

static enum err step_first(struct pg_stmt *s)
{
    enum err e = OK;

    if (pg_of(s->base.conn)->rehearsing)
        return step_rehearsed(s);
    s->stepped = true;
    if (step_was_rehearsed(s, &e))
        return e;
    s->stepped = false;
    e = may_send(s);
    if (e)
        return e;
    s->stepped = true;
    return stmt_finish(s, (struct pg_sent){ .keep = true });
}

static enum err step(struct db_stmt *base)
{
    struct pg_stmt *s = stmt_of(base);
    enum err e = OK;

    if (!s->stepped)
        e = step_first(s);
    if (e)
        return e;
    if (!s->rows)
        return ERR_NOT_FOUND;
    return ++s->row < PQntuples(s->rows) ? OK : ERR_NOT_FOUND;
}

static enum err run_as(struct pg_stmt *s, struct pg_sent what)
{
    enum err e = may_send(s);

    if (e)
        return e;
    return pg_of(s->base.conn)->pipelining ? stmt_send(s, what) : stmt_finish(s, what);
}

static enum err run(struct db_stmt *s)
{
    return run_as(stmt_of(s), (struct pg_sent){ .keep = false });
}

static enum err run_later(struct db_stmt *s, int64_t *out, int out_count, int64_t *rows)
{
    *rows = 0;
    return run_as(stmt_of(s), (struct pg_sent){ .out = out, .out_count = out_count, .rows = rows });
}

static bool has_value(const struct pg_stmt *s, int column)
{
    return s->rows && s->row >= 0 && s->row < PQntuples(s->rows) && column < PQnfields(s->rows)
           && !PQgetisnull(s->rows, s->row, column);
}

static int64_t i64(struct db_stmt *base, int column)
{
    struct pg_stmt *s = stmt_of(base);
    int64_t v = 0;

    if (has_value(s, column) && !pg_value_i64(s->rows, s->row, column, &v))
        LOG_ERROR("db.statement", LF_Z("words", "a column is no whole number: cast it"), LF_Z("sql", s->text));
    return v;
}

static struct str blob(struct db_stmt *base, int column)
{
    struct pg_stmt *s = stmt_of(base);

    if (!has_value(s, column))
        return STR_NULL;
    return str_make(PQgetvalue(s->rows, s->row, column), (size_t)PQgetlength(s->rows, s->row, column));
}

static bool is_null(struct db_stmt *base, int column)
{
    return !has_value(stmt_of(base), column);
}

static void done(struct db_stmt *base)
{
    struct pg_stmt *s = stmt_of(base);

    if (!is_rehearsed(s))
        pg_stmt_rows(s, NULL);
    s->stepped = false;
    s->bind_error = OK;
    s->count = 0;
}

static int64_t changes(struct db_conn *base)
{
    struct pg_conn *c = pg_of(base);

    if (c->sent_count)
        pg_read_last(c);
    return c->failed ? 0 : c->changes;
}

static enum err exec_within(struct pg_conn *c, const char *sql)
{
    struct str rest = str_of(sql);
    struct buf b;
    enum err e = OK;

    buf_init(&b, 0);
    c->failed = OK;
    while (!e && rest.len) {
        e = pg_text_next(&rest, &b);
        buf_put_c(&b, '\0');
        if (!e && b.len > 1)
            e = pg_send_command(c, b.p);
    }
    buf_done(&b);
    if (e == ERR_INVALID)
        return conn_note(&c->base, ERR_BUG, "a statement is not in the common subset");
    if (!e)
        e = pg_send_sync(c);
    if (!e)
        e = pg_read_all(c);
    return e ? e : c->failed;
}

static enum err exec(struct db_conn *base, const char *sql)
{
    struct pg_conn *c = pg_of(base);
    enum err e;

    if (c->in_transaction || c->base.in_batch)
        return c->pg ? exec_within(c, sql) : ERR_UNAVAILABLE;
    e = conn_begin(base, true);
    if (!e)
        e = exec_within(c, sql);
    if (!e)
        e = conn_commit(base);
    if (e)
        conn_rollback(base);
    return e;
}

/* ---- transactions of readers and tools; the batch's are pg_batch.c's ---- */

static enum err begin(struct db_conn *base, bool write)
{
    struct pg_conn *c = pg_of(base);
    enum err e;

    base->broken = OK;
    base->transaction++;
    c->failed = OK;
    if (!base->write) {
        c->begin_waits = true;
        return OK;
    }
    e = pg_primary_need(c);
    if (!e)
        e = pg_command(c, "BEGIN ISOLATION LEVEL READ COMMITTED");
    c->in_transaction = e == OK;
    c->warned = false;
    return e;
}

static enum err commit(struct db_conn *base)
{
    struct pg_conn *c = pg_of(base);
    enum err e;

    if (c->begin_waits) {
        c->begin_waits = false;
        return OK;
    }
    e = pg_command(c, "COMMIT");
    c->in_transaction = false;
    if (!e && strcmp(c->tag, "COMMIT") != 0)
        return conn_note(base, ERR_BUG, "the transaction had failed before");
    return e == ERR_UNAVAILABLE || (!e && c->warned) ? ERR_UNCERTAIN : e;
}

static void rollback(struct db_conn *base)
{
    struct pg_conn *c = pg_of(base);
    enum err failed = c->failed;

    if (c->pg && c->in_transaction && c->use == PG_READER) {
        if (!pg_send_command(c, "ROLLBACK"))     /* its answer is read with the next ones */
            pg_send_sync(c);
    } else if (c->pg && c->in_transaction) {
        pg_command(c, "ROLLBACK");
    }
    c->begin_waits = c->in_transaction = false;
    c->failed = failed;
}

/* ---- life ---- */

static struct str path_of(struct arena *a, const struct pg_hosts *h)
{
    struct buf b;
    struct str path;

    buf_init(&b, 0);
    buf_printf(&b, "%s at ", pg_hosts_schema(h));
    for (int i = 0; i < pg_hosts_count(h); i++)
        buf_printf(&b, "%s%s", i ? "," : "", pg_hosts_name(h, i));
    path = arena_str(a, buf_str(&b));
    buf_done(&b);
    return path;
}

enum err pg_open(const struct db_settings *s, enum pg_use use, struct db_shared *shared, struct db_conn **out,
                 struct arena *a, struct str *why)
{
    struct pg_hosts *hosts;
    struct pg_conn *c;
    enum err e;

    *out = NULL;
    e = pg_hosts_new(s->server, s->schema, &hosts, a, why);
    if (e)
        return e;
    c = NEW(struct pg_conn);
    c->base = (struct db_conn){ .engine = &pgsql_engine, .path = str_dup(path_of(a, hosts)), .settings = *s, .shared = shared,
                                .write = use == PG_WRITER || use == PG_TOOL };
    c->base.settings.server = NULL;      /* it holds a password; `hosts` keeps what is needed */
    c->base.settings.path = c->base.path;
    c->use = use;
    c->hosts = hosts;
    c->patience_ms = PG_PATIENCE_MS;
    c->id = (int64_t)(random_u64() >> 1);
    if (c->base.write)
        c->finder = pg_finder_new(hosts);
    *out = &c->base;
    e = c->base.write ? pg_primary_need(c) : OK;
    if (!c->base.write && shared)
        pg_reader_need(c, NULL, NULL);       /* connected before it is needed, if it can be */
    if (e) {
        *why = arena_printf(a, "could not reach the primary of database \"%s\": %s", c->base.path, db_conn_error(&c->base));
        db_conn_close(out);
    }
    return e;
}

static void close_all(struct db_conn *base)
{
    struct pg_conn *c = pg_of(base);

    PQfinish(c->pg);
    pg_finder_free(&c->finder);
    pg_hosts_free(&c->hosts);
    free(c->sent);
    free(c);
}

static enum err reopen(struct db_conn *c)
{
    return OK;                       /* each transaction looks for itself */
}

static void turn_away(struct db_conn *base)
{
    pg_turn_away(pg_of(base));
}

static void checkpoint(struct db_conn *c)
{
}

/* ---- migrations ---- */

enum { MIGRATE_LOCK = 0x626f6e67 };  /* "bong": the same for every schema, so that one process at a time makes tables */

static enum err migrate_lock(struct db_conn *base)
{
    struct pg_conn *c = pg_of(base);
    char text[160];
    enum err e = pg_primary_need(c);

    snprintf(text, sizeof text, "SELECT pg_advisory_lock(%d)", MIGRATE_LOCK);
    if (!e)
        e = pg_command(c, text);
    snprintf(text, sizeof text, "CREATE SCHEMA IF NOT EXISTS %s", pg_hosts_schema(c->hosts));
    return e ? e : pg_command(c, text);
}

/* Vacuum gives the empty end of a table back under an exclusive lock. A standby that has heard of the lock, and is then cut from its
 * primary, would keep readers out of the table until the next primary speaks. */
static const char tables_keep_length[] =
    "DO $$ DECLARE t regclass; BEGIN FOR t IN SELECT oid FROM pg_class WHERE relnamespace = '%s'::regnamespace AND relkind = 'r'"
    " AND NOT coalesce(reloptions, '{}') @> ARRAY['vacuum_truncate=false']"
    " LOOP EXECUTE format('ALTER TABLE %%s SET (vacuum_truncate = false)', t); END LOOP; END $$";

static void migrate_unlock(struct db_conn *base)
{
    char text[sizeof tables_keep_length + 64];

    snprintf(text, sizeof text, tables_keep_length, pg_hosts_schema(pg_of(base)->hosts));
    if (pg_of(base)->pg && pg_command(pg_of(base), text))
        LOG_WARN("db.tables", LF_Z("database", base->path), LF_Z("words", db_conn_error(base)));
    snprintf(text, sizeof text, "SELECT pg_advisory_unlock(%d)", MIGRATE_LOCK);
    if (pg_of(base)->pg)
        pg_command(pg_of(base), text);
}

static enum err check_whole(struct db_conn *c, struct arena *a, struct str *why)
{
    return OK;                       /* pages are PostgreSQL's to check: data checksums, pg_amcheck */
}

static enum err no_backup(struct db_conn *c, const char *to_path, struct arena *a, struct str *why)
{
    *why = STR("the database is in PostgreSQL, which has its own backup: docs/sites.md");
    return ERR_UNSUPPORTED;
}

const struct db_engine pgsql_engine = {
    .own_tables = pg_own_tables,
    .close = close_all,
    .reopen = reopen,
    .turn_away = turn_away,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .checkpoint = checkpoint,
    .migrate_lock = migrate_lock,
    .migrate_unlock = migrate_unlock,
    .check_whole = check_whole,
    .check_schemas = pg_check_schemas,
    .backup = no_backup,
    .write_batch = pg_batch_write,
    .stmt_new = stmt_new,
    .stmt_free = stmt_free,
    .prepare = prepare,
    .bind_i64 = bind_i64,
    .bind_str = bind_str,
    .bind_blob = bind_blob,
    .bind_null = bind_null,
    .step = step,
    .rehearse = rehearse,
    .run = run,
    .run_later = run_later,
    .i64 = i64,
    .text = blob,
    .blob = blob,
    .is_null = is_null,
    .done = done,
    .changes = changes,
    .exec = exec,
};
