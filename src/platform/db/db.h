/* db.h: one small interface over SQLite (one machine) and PostgreSQL (the cluster).
 *
 * The SQL is a common subset: INSERT … ON CONFLICT, RETURNING, window functions;
 * int64, text, blob; times as int64 microseconds UTC; parameters as ?1, ?2, …
 * Types in capitals, names in small letters (pg_text.h). Conditions are conditions
 * ((keeps & 1) <> 0), a LIMIT is not below zero, keys are given and not made by the engine,
 * a query in FROM has a name, and a sum is cast to BIGINT. A text is UTF-8 without NUL.
 *
 * Three ways in:
 *   writes   commit.h: operations of one round share a transaction
 *   reads    db_read: a query on a worker connection, answered in the loop
 *   both     struct db_conn, directly, inside such work and in tools
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "net/loop.h"

struct db;        /* a database: its writer thread, its read workers */
struct db_conn;   /* one connection, used by one thread at a time */
struct db_stmt;   /* a prepared statement on one connection */

/* A statement, compiled on each connection at its first use. Make it static:
 *   static struct db_sql log_insert = { "INSERT INTO log(owner, id) VALUES (?1, ?2)" }; */
struct db_sql {
    const char *text;
    int         slot;      /* 0 until first used; the layer's own */
};

struct db_migration {
    int         number;    /* 1, 2, 3 … without gaps, per feature */
    const char *feature;   /* "archive" */
    const char *sql;       /* several statements, ended by ; */
};

struct db_settings {
    const char *server;           /* libpq's connection string, hosts nearest first; NULL or "": SQLite at `path` */
    const char *schema;           /* PostgreSQL: where the tables are ("talk") */
    const char *path;             /* SQLite file; "" a private in-memory one */
    int         read_workers;     /* default 2 */
    int         busy_ms_max;      /* default 5,000 */
    int64_t     bytes_max;        /* refuse to grow beyond (PRAGMA max_page_count); 0: no bound. Tests use it as a full disk */
    bool        sync_off;         /* benchmarks of the floor only */
};

/* Opens, migrates (forward only; a newer database than the program is refused with ERR_UNSUPPORTED).
 * `why` (in `a`) names file and reason. `migrations` end with number 0. */
enum err db_open(struct loop *l, const struct db_settings *s, const struct db_migration *migrations,
                 struct db **out, struct arena *a, struct str *why);
/* Whether PostgreSQL's connection string can be read; "" can. Nobody is asked. */
enum err db_server_judge(const char *server, struct arena *a, struct str *why);
/* Commits what is queued, calls each `done` (of reads that nobody was told of with ERR_CLOSED), joins the threads. Never from inside a `done`. */
void     db_close(struct db **d);
/* Proves that the database matches its migrations and is whole: integrity_check, versions, tables. */
enum err db_check(struct db_conn *c, const struct db_migration *migrations, struct arena *a, struct str *why);

/* ---- statements on a connection ---- */
struct db_stmt *db_prepare(struct db_conn *c, struct db_sql *sql);  /* reset and ready to bind */
void     db_bind_i64(struct db_stmt *s, int at, int64_t v);         /* at counts from 1 */
void     db_bind_str(struct db_stmt *s, int at, struct str v);      /* text; p == NULL binds NULL; borrowed until db_done */
void     db_bind_blob(struct db_stmt *s, int at, struct str v);
void     db_bind_null(struct db_stmt *s, int at);
/* OK: a row is ready; ERR_NOT_FOUND: no more rows; ERR_FULL, ERR_IO, ERR_EXISTS (constraint), ERR_BUG;
 * PostgreSQL: ERR_INVALID (no text), ERR_UNAVAILABLE (no server, or none that is far enough),
 * ERR_UNCERTAIN (outside a transaction: the answer was lost). */
enum err db_step(struct db_stmt *s);
int64_t  db_i64(struct db_stmt *s, int column);                     /* columns count from 0 */
struct str db_text(struct db_stmt *s, int column);                  /* valid until the next step; p NULL for NULL */
struct str db_blob(struct db_stmt *s, int column);
bool     db_is_null(struct db_stmt *s, int column);
void     db_done(struct db_stmt *s);                                /* after the last row or at once; safe to repeat */
/* Prepare + bind (i: int64_t, s: struct str text, b: struct str blob, n: NULL) + step + done.
 *   e = db_run(c, &log_insert, "ii", owner, id); */
enum err db_run(struct db_conn *c, struct db_sql *sql, const char *types, ...);
/* As db_run, but leaves the first row ready: read it, then db_done. ERR_NOT_FOUND if none. */
enum err db_get(struct db_conn *c, struct db_stmt **out, struct db_sql *sql, const char *types, ...);
/* As db_run for a statement that gives rows of numbers (a RETURNING, a SELECT). Those of the first are in `out` before `done` of
 * the operation is called (NULL reads as 0), and *rows says how many there were. For an apply: on PostgreSQL the statement
 * travels with its batch and costs no round trip, so apply itself must not look at them. `out` lies in the operation. */
enum err db_run_later(struct db_conn *c, struct db_sql *sql, int64_t *out, int out_count, int64_t *rows, const char *types, ...);
/* Many questions whose answers do not depend on each other, within one read (db_read_start): ask them once in rehearsal, where no
 * step finds a row, and then again for good. On PostgreSQL they have travelled together by then, in one round trip for all; what
 * was bound otherwise the second time, or was not rehearsed, is asked as usual. False: the engine gains nothing by it (SQLite).
 *   if (db_rehearse(c)) { read_all(c); db_perform(c); }
 *   read_all(c); */
bool     db_rehearse(struct db_conn *c);
void     db_perform(struct db_conn *c);
int64_t  db_transaction(const struct db_conn *c);                   /* which one this is: another number after each BEGIN */
int64_t  db_undos(const struct db_conn *c);                         /* how often part of a transaction was rolled back, in all */
/* Statements that hold together: begin … end(e) gives e, or what the commit of them gives. Inside the commit batch it costs
 * nothing, because an operation is whole there anyhow; elsewhere it is a transaction. */
enum err db_atomic_begin(struct db_conn *c);
enum err db_atomic_end(struct db_conn *c, enum err e);
int64_t  db_changes(struct db_conn *c);                             /* rows touched by the last statement */
enum err db_exec(struct db_conn *c, const char *sql);               /* plain text, several statements; tools and migrations */
/* A connection of its own, for tools and tests, without threads. */
enum err db_conn_open(const struct db_settings *s, bool write, struct db_conn **out, struct arena *a, struct str *why);
void     db_conn_close(struct db_conn **c);
/* OK, or why a statement of this transaction failed other than by its own fault (a lost connection, a sick disk). */
enum err db_conn_state(const struct db_conn *c);
const char *db_conn_error(const struct db_conn *c);                 /* the engine's words for the last failure */
/* An online copy into a new file (SQLite backup API), while others write. Checked before it is reported good. */
enum err db_backup(struct db_conn *c, const char *to_path, struct arena *a, struct str *why);

/* ---- one database, several processes (PostgreSQL) ---- */
bool     db_is_shared(const struct db *d);                          /* others write it too */
/* How far this process knows the log of the database to be durable, and a place that another process told us of: reads
 * that start from now on see everything up to it, or fail with ERR_UNAVAILABLE. A number to keep and to compare: the larger
 * one is later, across fail-overs too. SQLite: 0, and nothing to do. What this process was told of is handed on with what it tells
 * others: it may name a commit of which they have not heard. */
int64_t  db_position(const struct db *d);
void     db_position_need(struct db *d, int64_t position);

/* ---- reads off the loop ---- */
/* Which reads go first when many wait: what holds up text that people wait for, the usual, and long pages of history. */
enum db_read_class { DB_READ_USUAL, DB_READ_URGENT, DB_READ_PATIENT, DB_READ_CLASSES };

struct db_read {
    /* On a worker thread; touches only *self. ERR_UNAVAILABLE of its own says that this server is behind what must be seen. */
    enum err (*work)(struct db_conn *c, struct db_read *self);
    void     (*done)(struct db_read *self, enum err e);          /* in the loop, once, never from inside db_read_start */
    enum db_read_class class;
    struct list link;                                             /* the layer's own */
    struct loop_post post;
    struct db_readers *readers;
    enum err result;
};
enum { DB_READ_QUEUE_MAX = 4096 };      /* of each class */
/* Lives inside your struct until `done`. ERR_LIMIT: the queue is full, ERR_CLOSED: the database is being closed; `done` will not be called.
 * A read sees every commit whose `done` has run. */
enum err db_read_start(struct db *d, struct db_read *r);
/* A synchronous read on the loop thread, for start-up and small point reads from cache-hot pages. PostgreSQL: at most
 * 200 ms, then ERR_UNAVAILABLE. */
struct db_conn *db_loop_conn(struct db *d);
