/* link.h: what is on its way from one of our domains to another server, in order, and the connection for it.
 *
 *   waiting ─work comes─▶ looking (names.h) ─▶ connecting, next address… ─▶ ready ─▶ idle
 *      ▲                        └────────── none works: pause, doubling ──────┘
 *      └── at the age of queue_time_max an item goes back to its sender
 *
 * A durable item leaves the database when the other server says that it has handled it: by XEP-0198 where it
 * can, else by answering a ping that was sent behind it on the same stream. Until then it is sent again on
 * the next stream, so it arrives at least once; who knows its name (origin-id) sees it once.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "courier/inner.h"
#include "courier/names.h"

enum {
    LINK_ITEMS_MAX = 1000, /* in memory; durable ones behind them wait in the database */
    LINK_LIVE_MAX = 2000,  /* that are not durable */
    LINK_BYTES_MAX = 16 * 1024 * 1024,
    LINK_UNACKED_MAX = 500, /* sent and not known to be handled */
    LINK_VERIFIES_MAX = 100, /* each for federation.login_time_max */
    LINK_RETRY_MS_MIN = 1000,
};

struct s2s;

struct item {
    struct list in_link;
    int64_t     id; /* in the database; 0: not durable */
    int64_t     added_us;
    int64_t     added_ms;
    uint64_t    stream; /* it was sent on; 0: on none */
    uint32_t    number; /* counting that stream's stanzas */
    bool        done;   /* handled or bounced: its row is being taken away */
    bool        told;   /* its sender is being told that it did not arrive */
    size_t      len;
    char        text[];
};

/* A peer that proves by dialback that it is `remote` waits for its answer (dialback.c). */
struct verify {
    struct list in_link;
    uint64_t    stream; /* our incoming one */
    int64_t     made_ms;
    bool        asked;
    char       *id, *key;
};

struct link {
    struct courier     *courier;
    struct str          local, remote, key; /* into one text */
    struct list         items;              /* in order */
    struct intmap       by_id;              /* those with a row, done ones too */
    struct intmap       left;               /* ids whose rows went while the database was being read: it may still show them */
    int                 count, live_count, unacked;
    size_t              bytes;
    bool                more; /* rows may be in the database that are not here */
    bool                reading;
    bool                missed;     /* …because they came while others were read */
    int                 rows;       /* in the database, about; link_sweep counts again */
    int                 committing; /* items on their way into the database or out of it */
    struct list         verifies;
    int                 verify_count;
    struct s2s         *out, *bidi; /* our stream; one of theirs that we may use (XEP-0288) */
    struct s2s         *carrier;    /* the one of the two that stanzas go through: the same as long as it lives, for
                               their order */
    int                 barrier_misses;
    bool                no_external; /* the other server ended the stream when we showed our certificate: dialback then */
    struct names_query *query;
    int                 target_count, target_at;
    struct target       targets[NAMES_TARGETS_MAX];
    int                 pause_ms; /* before the next attempt; 0: the last one worked */
    struct timer        again;
    int64_t             used_ms;
    bool                was_away; /* said in the log */
};

struct link *link_get(struct courier *c, struct str local, struct str remote);  /* NULL: there are too many */
struct link *link_find(struct courier *c, struct str local, struct str remote); /* NULL: none */
/* The same as link_get, for a name that nobody has proven: strangers get no more than half of them all. */
struct link *link_to_ask(struct courier *c, struct str local, struct str remote);
/* A durable item has its row, or a live one comes. Takes `it`; false: it has no room (live only). */
bool link_add(struct link *l, struct item *it);
bool link_has_room(const struct link *l, size_t bytes); /* in memory, for a durable one more of that size */
/* The same for one that has been read: no room, it stays in the database. */
void         link_take(struct link *l, struct item *it);
struct item *item_new(struct str text, int64_t id, int64_t added_us);
/* There is something to do: connects, reads, sends, as the case may be. */
void link_go(struct link *l);
void link_wake(struct link *l); /* the other server is there: no pause any more */
void link_verify(struct link *l, uint64_t stream, struct str id, struct str key);
void link_verified(struct link *l, struct verify *v, const char *result); /* takes `v`; the stream hears `result`, if it is there */
void links_tick(struct courier *c);
void links_free(struct courier *c);
void link_sweep(struct courier *c); /* looks for rows of links that nobody has in memory, and counts all */

/* ---- from its stream ---- */
void link_ready(struct link *l, struct s2s *s); /* it may carry stanzas now */
void link_sent(struct link *l, struct item *it, uint64_t stream);
void link_handled(struct link *l, struct s2s *s, uint32_t number); /* all up to that one, of this stream */
/* The stream is gone. `e`: why it never got ready; OK: it had. */
void link_lost(struct link *l, struct s2s *s, enum err e);
void link_refused(struct link *l, enum err e, const char *condition); /* the other server does not want us */

/* queue.c */
enum err queue_init(struct courier *c, const struct db_settings *ds, struct arena *a, struct str *why);
void     queue_tick(struct courier *c);
void     queue_remove(struct link *l, struct item *it); /* its row goes, then itself */
void     queue_read(struct link *l);                    /* l->more: brings in what fits */
/* inward.c: to talk, until it has it. `fn` is called once with OK, or with ERR_INVALID when it never will. */
typedef void inward_fn(void *arg, enum err e);
void         inward_done(struct courier *c);
void         inward_give(struct courier *c, struct str remote, struct str text, inward_fn *fn, void *arg);
/* The stanza in `text` did not arrive: its sender is told, if it is one to be told (`fn` as above, at once if
 * not). */
void inward_bounce(struct courier *c, struct str remote, struct str text, const char *type, const char *condition, const char *why,
                   inward_fn *fn, void *arg);
