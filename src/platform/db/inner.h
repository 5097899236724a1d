/* inner.h: what the files of this folder share; nobody else includes it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <pthread.h>
#include <sqlite3.h>
#include "db/commit.h"
#include "db/db.h"

struct db_stmt {
    struct db_conn *conn;
    sqlite3_stmt   *stmt;             /* NULL: it did not compile, see prepare_error */
    enum err        prepare_error;
    bool            writes;
    bool            stepped;          /* needs a reset before the next use */
    bool            bound;
    bool            bind_failed;
};

struct db_conn {
    sqlite3        *sqlite;           /* NULL after a failed reopening */
    char           *path;
    struct db_settings settings;      /* its path is the one above */
    bool            write;
    bool            lasting;          /* its file has no name any more: never close and open again */
    bool            in_batch;         /* inside the commit batch's transaction */
    int64_t         transaction;      /* counts BEGINs */
    int64_t         undos;            /* counts savepoints rolled back */
    enum err        broken;           /* what took the transaction away: ERR_FULL, ERR_IO, ERR_UNAVAILABLE */
    struct db_stmt **stmts;           /* by slot */
    int             stmt_count;
    int             wal_frames;       /* in the log after the last commit */
    char            error[256];       /* the engine's words for the last failure */
};

struct db_writer;
struct db_readers;

struct db {
    struct loop       *loop;
    struct db_conn    *loop_conn;
    struct db_writer  *writer;
    struct db_readers *readers;
};

/* ---- sqlite.c ---- */
enum err conn_open(const char *path, const struct db_settings *s, bool write, struct db_conn **out,
                   struct arena *a, struct str *why);
/* Closes and opens the engine's handle anew: after an I/O error its idea of the log may be wrong. */
enum err conn_reopen(struct db_conn *c);
enum err conn_begin(struct db_conn *c, bool write);
enum err conn_commit(struct db_conn *c);
void     conn_rollback(struct db_conn *c);
/* Copies the log's pages into the database file as far as readers allow. */
void     conn_checkpoint(struct db_conn *c);
/* A thread that no signal is delivered to: signals belong to the loop. */
void     thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg);

/* ---- migrate.c ---- */
enum err db_migrate(struct db_conn *c, const struct db_migration *migrations, struct arena *a, struct str *why);

/* ---- commit.c, read.c: the threads of one database; they take the connections over ---- */
struct db_writer  *writer_start(struct db *d, struct db_conn *c);
void               writer_drain(struct db_writer *w);   /* commits and tells what is queued; nothing new is taken after it */
void               writer_stop(struct db_writer **w);
struct db_readers *readers_start(struct db *d, struct db_conn **conns, int count);
void               readers_stop(struct db_readers **r);
