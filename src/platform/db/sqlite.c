/* sqlite.c: the engine SQLite 3 (WAL): connections and statements.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/sqlite_inner.h"
#include "db/powercut.h"

enum {
    BUSY_MS_DEFAULT = 5000,
    CACHE_WRITER_KIB = 16 * 1024,
    CACHE_READER_KIB = 4 * 1024,
    WAL_FILE_BYTES_KEPT = 32 * 1024 * 1024,   /* what a checkpoint leaves of the log's file, for reuse */
    TEXT_BYTES_MAX = 1000000000,              /* SQLite's own bound for a value */
};

struct sqlite_stmt {
    struct db_stmt base;
    sqlite3_stmt  *stmt;             /* NULL: it did not compile, see prepare_error */
    enum err       prepare_error;
    bool           writes;
    bool           stepped;          /* needs a reset before the next use */
    bool           bound;
    bool           bind_failed;
};

static struct sqlite_stmt *stmt_of(struct db_stmt *s)
{
    return LIST_ITEM(s, struct sqlite_stmt, base);
}

/* ---- engine ---- */

/* SQLite's own notes: recovered logs, full disks, schema mistakes. Its
 * messages may quote SQL text, never bound values, and our SQL holds none. */
static void engine_log(void *arg, int code, const char *message)
{
    int primary = code & 0xff;

    if (primary == SQLITE_NOTICE || primary == SQLITE_CONSTRAINT || primary == SQLITE_SCHEMA || primary == SQLITE_ERROR)
        return;
    LOG_WARN("db.engine", LF_I64("code", code), LF_Z("words", message));
}

static void engine_start(void)
{
    /* One thread per connection at a time is our rule, so no locks inside a connection. */
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    /* Statement journals stay in memory: a role may have no directory for temporary files. */
    sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1);
    sqlite3_config(SQLITE_CONFIG_LOG, engine_log, NULL);
    if (sqlite3_initialize() != SQLITE_OK)
        abort();
    if (getenv("BONGSU_POWERCUT"))
        db_powercut_from_env(getenv("BONGSU_POWERCUT"));
}

static void engine_need(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, engine_start);
}

/* ---- errors ---- */

static enum err err_from_sqlite(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
        return OK;
    case SQLITE_DONE:
        return ERR_NOT_FOUND;
    case SQLITE_CONSTRAINT:
        return ERR_EXISTS;
    case SQLITE_FULL:
        return ERR_FULL;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return ERR_UNAVAILABLE;
    case SQLITE_INTERRUPT:
        return ERR_TIMEOUT;
    case SQLITE_TOOBIG:
        return ERR_INVALID;
    case SQLITE_IOERR:
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
        return ERR_IO;
    case SQLITE_NOMEM:
        abort();
    default:
        return ERR_BUG;
    }
}

static enum err conn_fail(struct sqlite_conn *c, int code)
{
    return conn_note(&c->base, err_from_sqlite(code), c->sqlite ? sqlite3_errmsg(c->sqlite) : "the file is not open");
}

/* ---- connections ---- */

/* Creates the file for its owner alone; the log's files copy its mode. */
static void create_private(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
}

static int on_commit(void *arg, sqlite3 *sqlite, const char *name, int frames)
{
    struct db_conn *c = arg;

    c->wal_frames = frames;
    return SQLITE_OK;
}

static enum err handle_pragma(sqlite3 *h, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static enum err handle_pragma(sqlite3 *h, const char *fmt, ...)
{
    char sql[128];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(sql, sizeof sql, fmt, ap);
    va_end(ap);
    return err_from_sqlite(sqlite3_exec(h, sql, NULL, NULL, NULL));
}

static int64_t handle_number(sqlite3 *h, const char *sql)
{
    sqlite3_stmt *s;
    int64_t n = 0;

    if (sqlite3_prepare_v2(h, sql, -1, &s, NULL) != SQLITE_OK)
        return 0;
    if (sqlite3_step(s) == SQLITE_ROW)
        n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return n;
}

static enum err handle_set_up(struct db_conn *c, sqlite3 *h)
{
    enum err e;

    sqlite3_busy_timeout(h, c->settings.busy_ms_max > 0 ? c->settings.busy_ms_max : BUSY_MS_DEFAULT);
    if (c->write) {
        e = handle_pragma(h, "PRAGMA journal_mode=WAL");
        if (e)
            return e;
    }
    /* No mmap: an I/O error on a mapped page is a SIGBUS, on a read it is an error value. */
    e = handle_pragma(h, "PRAGMA cache_size=-%d", c->write ? CACHE_WRITER_KIB : CACHE_READER_KIB);
    if (!e)
        e = handle_pragma(h, "PRAGMA synchronous=%s", c->settings.sync_off ? "OFF" : "FULL");
    if (!e)
        e = handle_pragma(h, "PRAGMA foreign_keys=OFF; PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY;"
                             "PRAGMA secure_delete=FAST");
    if (!e)
        e = handle_pragma(h, "PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=%d", WAL_FILE_BYTES_KEPT);
    if (!e && !c->write)
        e = handle_pragma(h, "PRAGMA query_only=ON");
    if (!e && c->write && c->settings.bytes_max > 0) {
        int64_t page_bytes = handle_number(h, "PRAGMA page_size");

        if (page_bytes <= 0)
            return ERR_IO;
        /* A bound below what is there already means "no further". */
        e = handle_pragma(h, "PRAGMA max_page_count=%lld", (long long)((c->settings.bytes_max + page_bytes - 1) / page_bytes));
    }
    sqlite3_wal_hook(h, on_commit, c);
    return e;
}

static enum err handle_open(struct sqlite_conn *sc)
{
    struct db_conn *c = &sc->base;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (c->write ? SQLITE_OPEN_CREATE : 0);
    sqlite3 *h = NULL;
    enum err e;

    e = err_from_sqlite(sqlite3_open_v2(c->path, &h, flags, NULL));
    if (!e)
        e = handle_set_up(c, h);
    if (e) {
        conn_note(c, e, h ? sqlite3_errmsg(h) : "out of memory");
        sqlite3_close(h);
        return e;
    }
    sc->sqlite = h;
    return OK;
}

static void handle_close(struct sqlite_conn *c)
{
    for (int i = 0; i < c->base.stmt_count; i++) {
        if (!c->base.stmts[i])
            continue;
        sqlite3_finalize(stmt_of(c->base.stmts[i])->stmt);
        *stmt_of(c->base.stmts[i]) = (struct sqlite_stmt){ .base.conn = &c->base };
    }
    if (c->sqlite && sqlite3_close(c->sqlite) != SQLITE_OK)
        LOG_ERROR("db.close", LF_Z("words", sqlite3_errmsg(c->sqlite)));
    c->sqlite = NULL;
    c->base.wal_frames = 0;
}

enum err sqlite_open(const char *path, const struct db_settings *s, bool write, struct db_conn **out,
                     struct arena *a, struct str *why)
{
    struct sqlite_conn *sc = NEW(struct sqlite_conn);
    struct db_conn *c = &sc->base;
    enum err e;

    engine_need();
    *out = NULL;
    c->engine = &sqlite_engine;
    c->path = str_dup(str_of(path));
    c->settings = *s;
    c->settings.path = c->path;
    c->write = write;
    if (write && strcmp(path, ":memory:") != 0)
        create_private(path);
    e = handle_open(sc);
    if (e) {
        *why = arena_printf(a, "could not open database \"%s\": %s", path, c->error);
        free(c->path);
        free(sc);
        return e;
    }
    *out = c;
    return OK;
}

static enum err file_reopen(struct db_conn *c)
{
    if (c->lasting)
        return OK;
    handle_close(sqlite_of(c));
    return handle_open(sqlite_of(c));
}

static void file_close(struct db_conn *c)
{
    c->stmt_count = 0;               /* they are freed */
    handle_close(sqlite_of(c));
    free(sqlite_of(c));
}

static void file_checkpoint(struct db_conn *c)
{
    /* A failure here loses nothing: the log keeps the pages. */
    if (sqlite_of(c)->sqlite)
        sqlite3_wal_checkpoint_v2(sqlite_of(c)->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* ---- transactions ---- */

static struct db_sql sql_begin = { .text = "BEGIN" };
static struct db_sql sql_begin_write = { .text = "BEGIN IMMEDIATE" };
static struct db_sql sql_commit = { .text = "COMMIT" };
static struct db_sql sql_rollback = { .text = "ROLLBACK" };

static enum err begin(struct db_conn *c, bool write)
{
    enum err e = OK;

    if (!sqlite_of(c)->sqlite)
        e = handle_open(sqlite_of(c));
    if (e)
        return e;
    c->broken = OK;
    c->transaction++;
    return db_run(c, write ? &sql_begin_write : &sql_begin, "");
}

static enum err commit(struct db_conn *c)
{
    return db_run(c, &sql_commit, "");
}

static void rollback(struct db_conn *c)
{
    struct sqlite_conn *sc = sqlite_of(c);

    /* A full disk or an I/O error may have rolled back already. */
    if (sc->sqlite && !sqlite3_get_autocommit(sc->sqlite))
        db_run(c, &sql_rollback, "");
}

/* ---- statements ---- */

static struct db_stmt *stmt_new(struct db_conn *c)
{
    struct sqlite_stmt *s = NEW(struct sqlite_stmt);

    s->base.conn = c;
    return &s->base;
}

static void stmt_free(struct db_stmt *s)
{
    sqlite3_finalize(stmt_of(s)->stmt);
    free(stmt_of(s));
}

static void stmt_compile(struct sqlite_stmt *s, const char *text)
{
    struct sqlite_conn *c = sqlite_of(s->base.conn);
    int code;

    if (!c->sqlite) {
        s->prepare_error = conn_note(&c->base, ERR_IO, "the file is not open");
        return;
    }
    code = sqlite3_prepare_v3(c->sqlite, text, -1, SQLITE_PREPARE_PERSISTENT, &s->stmt, NULL);
    s->prepare_error = code == SQLITE_OK && s->stmt ? OK : conn_fail(c, code);
    if (s->prepare_error == OK && !s->stmt)
        s->prepare_error = ERR_BUG;
    if (s->prepare_error == ERR_BUG)
        LOG_ERROR("db.statement", LF_Z("words", c->base.error), LF_Z("sql", text));
    s->writes = s->stmt && !sqlite3_stmt_readonly(s->stmt);
}

static void prepare(struct db_stmt *s, const char *text)
{
    if (!stmt_of(s)->stmt)
        stmt_compile(stmt_of(s), text);
}

static void stmt_bound(struct sqlite_stmt *s, int code)
{
    s->bound = true;
    if (code != SQLITE_OK)
        s->bind_failed = true;
}

static void bind_i64(struct db_stmt *s, int at, int64_t v)
{
    if (stmt_of(s)->stmt)
        stmt_bound(stmt_of(s), sqlite3_bind_int64(stmt_of(s)->stmt, at, v));
}

static void bind_null(struct db_stmt *s, int at)
{
    if (stmt_of(s)->stmt)
        stmt_bound(stmt_of(s), sqlite3_bind_null(stmt_of(s)->stmt, at));
}

static void bind_str(struct db_stmt *base, int at, struct str v)
{
    struct sqlite_stmt *s = stmt_of(base);

    if (!s->stmt)
        return;
    if (v.len > TEXT_BYTES_MAX)
        s->bind_failed = true;
    else
        stmt_bound(s, sqlite3_bind_text(s->stmt, at, v.p, (int)v.len, SQLITE_STATIC));
}

static void bind_blob(struct db_stmt *base, int at, struct str v)
{
    struct sqlite_stmt *s = stmt_of(base);

    if (!s->stmt)
        return;
    if (v.len > TEXT_BYTES_MAX)
        s->bind_failed = true;
    else
        stmt_bound(s, sqlite3_bind_blob(s->stmt, at, v.p, (int)v.len, SQLITE_STATIC));
}

static enum err step(struct db_stmt *base)
{
    struct sqlite_stmt *s = stmt_of(base);
    struct db_conn *c = base->conn;
    enum err e;
    int code;

    if (!s->stmt)
        return s->prepare_error;
    if (s->bind_failed)
        return conn_note(c, ERR_BUG, "a parameter could not be bound");
    if (s->writes && !s->stepped) {
        /* The batch's transaction is gone: a statement now would commit by itself. */
        if (c->in_batch && c->broken)
            return c->broken;
        e = FAULT("db.write");
        if (e)
            return conn_note(c, e, "a pretended failure");
    }
    s->stepped = true;
    code = sqlite3_step(s->stmt);
    if (code == SQLITE_ROW)
        return OK;
    if (code == SQLITE_DONE)
        return ERR_NOT_FOUND;
    return conn_fail(sqlite_of(c), code);
}

static enum err run(struct db_stmt *s)
{
    enum err e;

    do
        e = step(s);
    while (e == OK);
    return e == ERR_NOT_FOUND ? OK : e;
}

static int64_t i64(struct db_stmt *s, int column)
{
    return sqlite3_column_int64(stmt_of(s)->stmt, column);
}

static enum err run_later(struct db_stmt *s, int64_t *out, int out_count, int64_t *rows)
{
    enum err e;

    *rows = 0;
    while ((e = step(s)) == OK)
        if ((*rows)++ == 0)
            for (int i = 0; i < out_count; i++)
                out[i] = i64(s, i);
    return e == ERR_NOT_FOUND ? OK : e;
}

static struct str text(struct db_stmt *s, int column)
{
    const char *p = (const char *)sqlite3_column_text(stmt_of(s)->stmt, column);

    return (struct str){ p, p ? (size_t)sqlite3_column_bytes(stmt_of(s)->stmt, column) : 0 };
}

static bool is_null(struct db_stmt *s, int column)
{
    return sqlite3_column_type(stmt_of(s)->stmt, column) == SQLITE_NULL;
}

static struct str blob(struct db_stmt *s, int column)
{
    const char *p = sqlite3_column_blob(stmt_of(s)->stmt, column);

    /* SQLite gives NULL for an empty blob too; only NULL itself is NULL here. */
    if (!p && !is_null(s, column))
        return STR("");
    return (struct str){ p, p ? (size_t)sqlite3_column_bytes(stmt_of(s)->stmt, column) : 0 };
}

static void done(struct db_stmt *base)
{
    struct sqlite_stmt *s = stmt_of(base);

    if (!s->stmt)
        return;
    if (s->stepped)
        sqlite3_reset(s->stmt);
    if (s->bound)
        sqlite3_clear_bindings(s->stmt);     /* they point to borrowed memory */
    s->stepped = s->bound = s->bind_failed = false;
}

static int64_t changes(struct db_conn *c)
{
    return sqlite3_changes64(sqlite_of(c)->sqlite);
}

static enum err exec(struct db_conn *c, const char *sql)
{
    struct sqlite_conn *sc = sqlite_of(c);
    int code;

    if (!sc->sqlite)
        return conn_note(c, ERR_IO, "the file is not open");
    if (c->in_batch && c->broken)
        return c->broken;
    code = sqlite3_exec(sc->sqlite, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? OK : conn_fail(sc, code);
}

/* ---- migrations ---- */

static enum err migrate_lock(struct db_conn *c)
{
    return OK;                       /* a file has one process */
}

static void migrate_unlock(struct db_conn *c)
{
}

static enum err check_whole(struct db_conn *c, struct arena *a, struct str *why)
{
    static struct db_sql sql = { .text = "PRAGMA integrity_check(10)" };
    struct db_stmt *s;
    enum err e;

    e = db_get(c, &s, &sql, "");
    if (e) {
        *why = arena_printf(a, "could not read database \"%s\": %s", c->path, db_conn_error(c));
        return e;
    }
    if (!str_is(db_text(s, 0), "ok")) {
        *why = arena_printf(a, "database \"%s\" is damaged: %.*s", c->path, STR_ARG(db_text(s, 0)));
        e = ERR_IO;
    }
    db_done(s);
    return e;
}

/* Every table and index with the SQL that made it, as text. */
static enum err schema_text(struct db_conn *c, struct buf *out)
{
    static struct db_sql sql = { .text = "SELECT type, name, coalesce(sql, '') FROM sqlite_schema"
                                         " WHERE name NOT LIKE 'sqlite_stat%' ORDER BY type, name" };
    struct db_stmt *s = db_prepare(c, &sql);
    enum err e;

    while ((e = db_step(s)) == OK)
        buf_printf(out, "%.*s %.*s: %.*s\n", STR_ARG(db_text(s, 0)), STR_ARG(db_text(s, 1)), STR_ARG(db_text(s, 2)));
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err check_schemas(struct db_conn *c, const struct db_migration *migrations, struct buf *have, struct buf *want,
                              struct arena *a, struct str *why)
{
    struct db_settings s = { .path = "" };
    struct db_conn *fresh = NULL;
    enum err e;

    e = db_conn_open(&s, true, &fresh, a, why);
    if (!e)
        e = db_migrate(fresh, migrations, a, why);
    if (!e)
        e = schema_text(fresh, want);
    if (!e)
        e = schema_text(c, have);
    db_conn_close(&fresh);
    return e;
}

const struct db_engine sqlite_engine = {
    .own_tables = "",
    .close = file_close,
    .reopen = file_reopen,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .checkpoint = file_checkpoint,
    .migrate_lock = migrate_lock,
    .migrate_unlock = migrate_unlock,
    .check_whole = check_whole,
    .check_schemas = check_schemas,
    .backup = sqlite_backup,
    .stmt_new = stmt_new,
    .stmt_free = stmt_free,
    .prepare = prepare,
    .bind_i64 = bind_i64,
    .bind_str = bind_str,
    .bind_blob = bind_blob,
    .bind_null = bind_null,
    .step = step,
    .run = run,
    .run_later = run_later,
    .i64 = i64,
    .text = text,
    .blob = blob,
    .is_null = is_null,
    .done = done,
    .changes = changes,
    .exec = exec,
};
