/* inner.h: what the files of this folder share; nobody else includes it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include "db/commit.h"
#include "db/db.h"

/* The common beginning of an engine's statement. */
struct db_stmt {
    struct db_conn *conn;
};

struct buf;

/* What an engine does. Statements are prepared, bound, stepped and done, as db.h says. */
struct db_engine {
    const char *own_tables;                                      /* besides those of migrate.c; "" for none */
    void      (*close)(struct db_conn *c);                       /* what the engine holds, then the connection itself */
    /* Closes and opens the engine's handle anew: after an I/O error its idea of the log may be wrong. */
    enum err  (*reopen)(struct db_conn *c);
    /* The next read asks another server first, for this one is behind. NULL: there is one place only. */
    void      (*turn_away)(struct db_conn *c);
    enum err  (*begin)(struct db_conn *c, bool write);
    enum err  (*commit)(struct db_conn *c);
    void      (*rollback)(struct db_conn *c);
    /* Copies the log's pages into the database file as far as readers allow. */
    void      (*checkpoint)(struct db_conn *c);
    /* One process at a time migrates. */
    enum err  (*migrate_lock)(struct db_conn *c);
    void      (*migrate_unlock)(struct db_conn *c);
    enum err  (*check_whole)(struct db_conn *c, struct arena *a, struct str *why);
    /* The tables that there are, and those that the migrations make in an empty place, a line each in the same order. */
    enum err  (*check_schemas)(struct db_conn *c, const struct db_migration *migrations, struct buf *have, struct buf *want,
                               struct arena *a, struct str *why);
    enum err  (*backup)(struct db_conn *c, const char *to_path, struct arena *a, struct str *why);
    /* The writer thread's whole batch; NULL: commit.c's own way. */
    enum err  (*write_batch)(struct db_conn *c, struct list *batch, int64_t *sync_us);

    struct db_stmt *(*stmt_new)(struct db_conn *c);
    void      (*stmt_free)(struct db_stmt *s);
    void      (*prepare)(struct db_stmt *s, const char *text);
    void      (*bind_i64)(struct db_stmt *s, int at, int64_t v);
    void      (*bind_str)(struct db_stmt *s, int at, struct str v);
    void      (*bind_blob)(struct db_stmt *s, int at, struct str v);
    void      (*bind_null)(struct db_stmt *s, int at);
    enum err  (*step)(struct db_stmt *s);
    bool      (*rehearse)(struct db_conn *c, bool on);           /* NULL: it cannot */
    enum err  (*run)(struct db_stmt *s);                         /* to the end, rows are dropped; OK */
    enum err  (*run_later)(struct db_stmt *s, int64_t *out, int out_count, int64_t *rows);
    int64_t   (*i64)(struct db_stmt *s, int column);
    struct str (*text)(struct db_stmt *s, int column);
    struct str (*blob)(struct db_stmt *s, int column);
    bool      (*is_null)(struct db_stmt *s, int column);
    void      (*done)(struct db_stmt *s);
    int64_t   (*changes)(struct db_conn *c);
    enum err  (*exec)(struct db_conn *c, const char *sql);
};

extern const struct db_engine sqlite_engine, pgsql_engine;

/* What the connections of one database tell each other (PostgreSQL). */
struct db_shared {
    _Atomic int64_t position;         /* the log is durable up to here, as this process knows */
    _Atomic int64_t need;             /* reads must see at least this */
    _Atomic int64_t timeline;         /* the highest seen: an older primary is none any more */
    _Atomic int     primary;          /* 1 + the host that the writer heard of last; 0: it is looking for one, or waits for an answer */
    _Atomic int     primary_last;     /* the same, for as long as no newer one is found */
    _Atomic int64_t give_up_ms;       /* the database is being closed: wait for a primary until then; 0: for ever */
    _Atomic bool    full;             /* the primary has no room, and a batch waits for it */
};

/* The common beginning of an engine's connection. */
struct db_conn {
    const struct db_engine *engine;
    char           *path;             /* the file; for PostgreSQL "schema at hosts", for people */
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
    struct db_shared *shared;         /* NULL: a tool's */
    char            error[256];       /* the engine's words for the last failure */
};

struct db_writer;
struct db_readers;

struct db {
    struct loop       *loop;
    struct db_conn    *loop_conn;
    struct db_writer  *writer;
    struct db_readers *readers;
    bool               is_shared;
    struct db_shared   shared;
};

/* ---- stmt.c ---- */
/* Keeps the words, and that the transaction is gone if this error takes it away. */
enum err conn_note(struct db_conn *c, enum err e, const char *words);

static inline enum err conn_begin(struct db_conn *c, bool write) { return c->engine->begin(c, write); }
static inline enum err conn_commit(struct db_conn *c) { return c->engine->commit(c); }
static inline void conn_rollback(struct db_conn *c) { c->engine->rollback(c); }
static inline void conn_turn_away(struct db_conn *c)
{
    if (c->engine->turn_away)
        c->engine->turn_away(c);
}
static inline enum err conn_reopen(struct db_conn *c) { return c->engine->reopen(c); }

/* ---- db.c ---- */
/* A thread that no signal is delivered to: signals belong to the loop. */
void     thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg);
bool     settings_name_server(const struct db_settings *s);

/* ---- sqlite.c, pgsql.c ---- */
enum err sqlite_open(const char *path, const struct db_settings *s, bool write, struct db_conn **out,
                     struct arena *a, struct str *why);
/* What a connection is for decides how it finds its server and how long it waits. */
enum pg_use { PG_WRITER, PG_READER, PG_LOOP, PG_TOOL };
enum err pg_open(const struct db_settings *s, enum pg_use use, struct db_shared *shared, struct db_conn **out,
                 struct arena *a, struct str *why);
/* After migration: forgets the markers of writers that are gone, learns the position. */
enum err pg_writer_begin(struct db_conn *c);

/* ---- migrate.c ---- */
enum err db_migrate(struct db_conn *c, const struct db_migration *migrations, struct arena *a, struct str *why);
/* The tables alone, within the caller's transaction; `noted`: with their rows in db_migration. */
enum err migrate_within(struct db_conn *c, const struct db_migration *migrations, bool noted);
/* ERR_INVALID, ERR_UNSUPPORTED: the database's versions are not the program's. */
enum err migrate_versions(struct db_conn *c, const struct db_migration *migrations, struct arena *a, struct str *why);

/* ---- commit.c, read.c: the threads of one database; they take the connections over ---- */
struct db_writer  *writer_start(struct db *d, struct db_conn *c);
void               writer_drain(struct db_writer *w);   /* commits and tells what is queued; nothing new is taken after it */
void               writer_stop(struct db_writer **w);
struct db_readers *readers_start(struct db *d, struct db_conn **conns, int count);
void               readers_stop(struct db_readers **r);
/* Runs an operation's `apply` and keeps its result. An error is its own, or that the transaction is gone. */
enum err           op_apply(struct db_conn *c, struct commit_op *op);
bool               batch_only_waits(const struct list *batch);
