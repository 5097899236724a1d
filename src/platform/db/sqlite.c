/* sqlite.c: connections and statements over SQLite 3 (WAL).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/inner.h"
#include "db/powercut.h"

enum {
    BUSY_MS_DEFAULT = 5000,
    CACHE_WRITER_KIB = 16 * 1024,
    CACHE_READER_KIB = 4 * 1024,
    WAL_FILE_BYTES_KEPT = 32 * 1024 * 1024,   /* what a checkpoint leaves of the log's file, for reuse */
    TEXT_BYTES_MAX = 1000000000,              /* SQLite's own bound for a value */
};

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

void thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(out, NULL, run, arg) != 0)
        abort();                       /* as with memory: the keeper starts us anew */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setname_np(*out, name);
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

static enum err conn_note(struct db_conn *c, enum err e, const char *words)
{
    snprintf(c->error, sizeof c->error, "%s", words);
    if (e == ERR_FULL || e == ERR_IO || e == ERR_UNAVAILABLE)
        c->broken = e;
    return e;
}

static enum err conn_fail(struct db_conn *c, int code)
{
    return conn_note(c, err_from_sqlite(code), c->sqlite ? sqlite3_errmsg(c->sqlite) : "the file is not open");
}

enum err db_conn_state(const struct db_conn *c)
{
    return c->broken;
}

const char *db_conn_error(const struct db_conn *c)
{
    return c->error[0] ? c->error : "no error";
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

static enum err handle_open(struct db_conn *c)
{
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
    c->sqlite = h;
    return OK;
}

static void handle_close(struct db_conn *c)
{
    for (int i = 0; i < c->stmt_count; i++) {
        if (!c->stmts[i])
            continue;
        sqlite3_finalize(c->stmts[i]->stmt);
        *c->stmts[i] = (struct db_stmt){ .conn = c };
    }
    if (c->sqlite && sqlite3_close(c->sqlite) != SQLITE_OK)
        LOG_ERROR("db.close", LF_Z("words", sqlite3_errmsg(c->sqlite)));
    c->sqlite = NULL;
    c->wal_frames = 0;
}

enum err conn_open(const char *path, const struct db_settings *s, bool write, struct db_conn **out,
                   struct arena *a, struct str *why)
{
    struct db_conn *c = NEW(struct db_conn);
    enum err e;

    engine_need();
    *out = NULL;
    c->path = str_dup(str_of(path));
    c->settings = *s;
    c->settings.path = c->path;
    c->write = write;
    if (write && strcmp(path, ":memory:") != 0)
        create_private(path);
    e = handle_open(c);
    if (e) {
        *why = arena_printf(a, "could not open database \"%s\": %s", path, c->error);
        free(c->path);
        free(c);
        return e;
    }
    *out = c;
    return OK;
}

enum err db_conn_open(const struct db_settings *s, bool write, struct db_conn **out, struct arena *a,
                      struct str *why)
{
    return conn_open(s->path[0] ? s->path : ":memory:", s, write, out, a, why);
}

enum err conn_reopen(struct db_conn *c)
{
    if (c->lasting)
        return OK;
    handle_close(c);
    return handle_open(c);
}

void db_conn_close(struct db_conn **cp)
{
    struct db_conn *c = *cp;

    if (!c)
        return;
    handle_close(c);
    for (int i = 0; i < c->stmt_count; i++)
        free(c->stmts[i]);
    free(c->stmts);
    free(c->path);
    free(c);
    *cp = NULL;
}

void conn_checkpoint(struct db_conn *c)
{
    /* A failure here loses nothing: the log keeps the pages. */
    if (c->sqlite)
        sqlite3_wal_checkpoint_v2(c->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}

/* ---- transactions ---- */

static struct db_sql sql_begin = { .text = "BEGIN" };
static struct db_sql sql_begin_write = { .text = "BEGIN IMMEDIATE" };
static struct db_sql sql_commit = { .text = "COMMIT" };
static struct db_sql sql_rollback = { .text = "ROLLBACK" };

enum err conn_begin(struct db_conn *c, bool write)
{
    enum err e = OK;

    if (!c->sqlite)
        e = handle_open(c);
    if (e)
        return e;
    c->broken = OK;
    c->transaction++;
    return db_run(c, write ? &sql_begin_write : &sql_begin, "");
}

enum err conn_commit(struct db_conn *c)
{
    return db_run(c, &sql_commit, "");
}

void conn_rollback(struct db_conn *c)
{
    /* A full disk or an I/O error may have rolled back already. */
    if (c->sqlite && !sqlite3_get_autocommit(c->sqlite))
        db_run(c, &sql_rollback, "");
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
    if (!c->stmts[slot]) {
        c->stmts[slot] = NEW(struct db_stmt);
        c->stmts[slot]->conn = c;
    }
    return c->stmts[slot];
}

static void stmt_compile(struct db_stmt *s, const char *text)
{
    struct db_conn *c = s->conn;
    int code;

    if (!c->sqlite) {
        s->prepare_error = conn_note(c, ERR_IO, "the file is not open");
        return;
    }
    code = sqlite3_prepare_v3(c->sqlite, text, -1, SQLITE_PREPARE_PERSISTENT, &s->stmt, NULL);
    s->prepare_error = code == SQLITE_OK && s->stmt ? OK : conn_fail(c, code);
    if (s->prepare_error == OK && !s->stmt)
        s->prepare_error = ERR_BUG;
    if (s->prepare_error == ERR_BUG)
        LOG_ERROR("db.statement", LF_Z("words", c->error), LF_Z("sql", text));
    s->writes = s->stmt && !sqlite3_stmt_readonly(s->stmt);
}

struct db_stmt *db_prepare(struct db_conn *c, struct db_sql *sql)
{
    struct db_stmt *s = stmt_at(c, slot_of(sql));

    db_done(s);
    if (!s->stmt)
        stmt_compile(s, sql->text);
    return s;
}

static void stmt_bound(struct db_stmt *s, int code)
{
    s->bound = true;
    if (code != SQLITE_OK)
        s->bind_failed = true;
}

void db_bind_i64(struct db_stmt *s, int at, int64_t v)
{
    if (s->stmt)
        stmt_bound(s, sqlite3_bind_int64(s->stmt, at, v));
}

void db_bind_null(struct db_stmt *s, int at)
{
    if (s->stmt)
        stmt_bound(s, sqlite3_bind_null(s->stmt, at));
}

void db_bind_str(struct db_stmt *s, int at, struct str v)
{
    if (!s->stmt)
        return;
    if (v.len > TEXT_BYTES_MAX)
        s->bind_failed = true;
    else
        stmt_bound(s, sqlite3_bind_text(s->stmt, at, v.p, (int)v.len, SQLITE_STATIC));
}

void db_bind_blob(struct db_stmt *s, int at, struct str v)
{
    if (!s->stmt)
        return;
    if (v.len > TEXT_BYTES_MAX)
        s->bind_failed = true;
    else
        stmt_bound(s, sqlite3_bind_blob(s->stmt, at, v.p, (int)v.len, SQLITE_STATIC));
}

enum err db_step(struct db_stmt *s)
{
    struct db_conn *c = s->conn;
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
    return conn_fail(c, code);
}

int64_t db_i64(struct db_stmt *s, int column)
{
    return sqlite3_column_int64(s->stmt, column);
}

struct str db_text(struct db_stmt *s, int column)
{
    const char *p = (const char *)sqlite3_column_text(s->stmt, column);

    return (struct str){ p, p ? (size_t)sqlite3_column_bytes(s->stmt, column) : 0 };
}

struct str db_blob(struct db_stmt *s, int column)
{
    const char *p = sqlite3_column_blob(s->stmt, column);

    /* SQLite gives NULL for an empty blob too; only NULL itself is NULL here. */
    if (!p && sqlite3_column_type(s->stmt, column) != SQLITE_NULL)
        return STR("");
    return (struct str){ p, p ? (size_t)sqlite3_column_bytes(s->stmt, column) : 0 };
}

bool db_is_null(struct db_stmt *s, int column)
{
    return sqlite3_column_type(s->stmt, column) == SQLITE_NULL;
}

void db_done(struct db_stmt *s)
{
    if (!s || !s->stmt)
        return;
    if (s->stepped)
        sqlite3_reset(s->stmt);
    if (s->bound)
        sqlite3_clear_bindings(s->stmt);     /* they point to borrowed memory */
    s->stepped = s->bound = s->bind_failed = false;
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
    do
        e = db_step(s);
    while (e == OK);
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err db_run_later(struct db_conn *c, struct db_sql *sql, int64_t *out, int out_count, int64_t *rows, const char *types, ...)
{
    struct db_stmt *s = db_prepare(c, sql);
    enum err e;
    va_list ap;

    va_start(ap, types);
    bind_all(s, types, ap);
    va_end(ap);
    *rows = 0;
    while ((e = db_step(s)) == OK)
        if ((*rows)++ == 0)
            for (int i = 0; i < out_count; i++)
                out[i] = db_i64(s, i);
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

int64_t db_transaction(const struct db_conn *c)
{
    return c->transaction;
}

int64_t db_undos(const struct db_conn *c)
{
    return c->undos;
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

int64_t db_changes(struct db_conn *c)
{
    return sqlite3_changes64(c->sqlite);
}

enum err db_exec(struct db_conn *c, const char *sql)
{
    int code;

    if (!c->sqlite)
        return conn_note(c, ERR_IO, "the file is not open");
    if (c->in_batch && c->broken)
        return c->broken;
    code = sqlite3_exec(c->sqlite, sql, NULL, NULL, NULL);
    return code == SQLITE_OK ? OK : conn_fail(c, code);
}
