/* pg_inner.h: a connection to PostgreSQL, as the pg_*.c files share it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "db/inner.h"
#include "db/pg_server.h"
#include "db/pg_text.h"

/* A position: the timeline of the primary that gave it, and the log's place there. A promotion starts a new timeline that
 * holds all that was acknowledged, at places that may be lower: the old primary's log went on, unacknowledged. */
enum { PG_PLACE_BITS = 48 };

static inline int64_t pg_position(int64_t timeline, int64_t place)
{
    return timeline << PG_PLACE_BITS | place;
}

/* What was sent and is not answered, in order. */
enum { PG_PATIENCE_MS = 3000, PG_PATIENCE_MS_MAX = 60000 };   /* silence that ends the connection of a batch */

enum pg_sent_kind { PG_SENT_PREPARE, PG_SENT_STMT, PG_SENT_COMMAND, PG_SENT_SYNC };

struct pg_sent {
    enum pg_sent_kind kind;
    struct pg_stmt   *stmt;          /* of PREPARE and STMT */
    bool              keep;          /* its rows are wanted in stmt->rows */
    int64_t          *out, *rows;    /* of db_run_later; rows NULL: none */
    int               out_count;
    struct commit_op *op;            /* whose `out` it is */
    bool              marker;        /* the batch's */
};

struct pg_conn {
    struct db_conn    base;
    enum pg_use       use;
    struct pg_hosts  *hosts;
    struct pg_finder *finder;        /* of writers and tools that write */
    PGconn           *pg;            /* NULL: there is none now */
    int               host;          /* which one it is */
    int64_t           timeline;      /* of the primary it is */
    int64_t           session;       /* counts connections: statements are prepared on one */
    int64_t           names;         /* counts statements, for their names */
    bool              in_transaction;
    bool              begin_waits;   /* a reader's BEGIN, which goes with its first statement */
    /* the pipeline */
    struct pg_sent   *sent;          /* a ring */
    size_t            sent_from, sent_count, sent_cap;
    bool              pipelining;    /* db_run only appends */
    bool              rehearsing;    /* db_step sends, and finds nothing */
    enum err          rehearsed;     /* how what was sent then has ended */
    enum err          failed;        /* the first statement that failed since this was set to OK */
    char              sqlstate[6];   /* and how */
    bool              marker_failed; /* it was the batch's marker */
    bool              marking;       /* what is sent now is the marker */
    bool              warned;        /* the server has warned since this was set to false */
    int64_t           changes;       /* rows touched by the last statement answered */
    char              tag[16];       /* of the last command answered: "COMMIT" */
    int64_t           answer[3];     /* of the last command that gave a row of numbers */
    int               answers;       /* how many */
    /* how long it waits */
    int64_t           deadline_us;   /* of the loop's read; 0: none */
    int               silent_ms;     /* for readers: silence that ends the connection; 0: none */
    int64_t           asked_session; /* where the question of freshness is prepared */
    int64_t           fresh_session; /* where it was answered last, and how: on one connection a server only goes forward */
    int64_t           fresh_answer[3];
    int64_t           batch_us;      /* when the batch was begun; 0: none is in flight */
    int64_t           heard_us;      /* when something last came from the server */
    int               patience_ms;   /* silence that ends a batch's connection; grows with each */
    /* readers: a host that failed is avoided for a while */
    int64_t           avoid_us[PG_HOSTS_MAX];
    int64_t           nearer_us;     /* when to look at the nearer hosts again */
    /* the writer */
    int64_t           id, batch_number;
    int64_t           full_since_us;
    struct commit_op *op;            /* being applied */
};

static inline struct pg_conn *pg_of(struct db_conn *c)
{
    return LIST_ITEM(c, struct pg_conn, base);
}

/* ---- pg_pipe.c: what goes to and fro. ERR_UNAVAILABLE everywhere: the connection is gone ---- */
void     pg_adopt(struct pg_conn *c, PGconn *pg, int host, int64_t timeline);
enum err pg_lose(struct pg_conn *c, const char *words);     /* drops the connection; returns ERR_UNAVAILABLE */
enum err pg_send_command(struct pg_conn *c, const char *text);    /* PostgreSQL's own words, no parameters */
enum err pg_send_prepared(struct pg_conn *c, const char *name);   /* a command that was prepared by pg_send_prepare */
enum err pg_send_prepare(struct pg_conn *c, struct pg_stmt *s, const char *name, const char *text, int count, const Oid *types);
enum err pg_send_stmt(struct pg_conn *c, struct pg_sent what, const char *name, int count, const char *const *values,
                      const int *lengths, const int *formats);
enum err pg_send_sync(struct pg_conn *c);
/* Reads answers until everything sent is answered; its last must be a sync. */
enum err pg_read_all(struct pg_conn *c);
/* Reads answers up to and with the last statement sent, without ending the transaction's pipeline. */
enum err pg_read_last(struct pg_conn *c);
/* One or several commands, synced and read. ERR of the first that failed. */
enum err pg_command(struct pg_conn *c, const char *text);
bool     pg_value_i64(const PGresult *r, int row, int column, int64_t *out);

/* ---- pgsql.c ---- */
void     pg_stmt_prepared(struct pg_stmt *s, bool ok);       /* word from the pipeline */
void     pg_stmt_rows(struct pg_stmt *s, PGresult *r);       /* takes r */

/* ---- pg_use.c: which server a connection goes to, and how long it waits ---- */
/* Waits until the socket is ready for `events`, as long as this connection's use allows. */
enum err pg_wait(struct pg_conn *c, short events);
bool     pg_gives_up(const struct pg_conn *c);               /* the database is being closed, and has waited enough */
/* Connected to the primary; waits for one, as long as its use allows. */
enum err pg_primary_need(struct pg_conn *c);
void pg_turn_away(struct pg_conn *c);                           /* a reader's server is behind: another one first, for a while */
/* Connected to a server that has replayed what must be seen, with `then` (NULL: nothing) sent and synced behind the check. */
enum err pg_reader_need(struct pg_conn *c, enum err (*then)(struct pg_conn *c, void *arg), void *arg);

/* ---- pg_batch.c ---- */
extern const char pg_own_tables[];
enum err pg_batch_write(struct db_conn *c, struct list *batch, int64_t *sync_us);

/* ---- pg_check.c ---- */
enum err pg_check_schemas(struct db_conn *c, const struct db_migration *migrations, struct buf *have, struct buf *want,
                          struct arena *a, struct str *why);
