/* archive.h: everyone's log.
 *
 *   message(id, sender, recipient, keeps, origin, stanza)
 *                            id: microseconds UTC, unique and rising; the text as kept (route.h)
 *   log(owner, id, peer)     one narrow row for each side that keeps it
 *   resend(sender, origin, id)   a message sent again with its origin-id lands once
 *   offline(owner, id)       waiting for the owner's next presence
 *
 * A message is written with one insert at the end of one table, so a batch of a hundred
 * messages touches a handful of pages. The rows of log and resend are made
 * later, thousands at a time and in key order ("settling"), when many of them share a page. Until then a reader
 * looks at the unsettled tail of message too, and origin-ids of the tail are in memory.
 *
 * In a database that several processes write (PostgreSQL) the rows of log and resend join the message's own transaction, and the
 * place in the log is given there: whoever writes messages holds the one row of log_order until its commit, so ids rise
 * in the order of commits, everywhere. What a reader has seen up to an id is all there will ever be up to it. Each
 * owner's rows form a chain: a message names the one before it, and who misses a link reads the log.
 *
 * There a message is known to clients by a name (archive_name); one that had to go out before it could be stored has `ahead_us`.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/talk.h"

extern const struct db_migration archive_migrations[];

enum { ARCHIVE_PAGE_MAX = 250, ARCHIVE_PAGE_DEFAULT = 50 };

struct search_query;
struct archive_filter {
    int64_t  owner;
    int64_t  peer;              /* 0: anyone; -1: a JID nobody has ever written to */
    struct str peer_bare;       /* p set: `peer` is looked up first */
    struct str peer_full;       /* when `with` was a full JID: compare with the kept from/to */
    int64_t  start_us, end_us;  /* inclusive; 0: open */
    int64_t  after_id, before_id; /* exclusive, as shown; 0: open */
    int64_t  after_shown;       /* archive.c's own */
    int      id_count;          /* XEP-0313 ids filter */
    int64_t  ids[ARCHIVE_PAGE_MAX];
    struct search_query *search;/* words that are in the text (search.h); NULL: any text */
};
/* `id` is the place in the log, `shown` the id that clients know it by: the same in a database of our own. */
struct archive_row { int64_t id, shown, sender; bool went_ahead; struct str stanza; };
/* Of a statement that selects id, stanza, name, ahead_us and sender first. */
void archive_row_read(struct db_stmt *s, struct arena *a, struct archive_row *out);
struct archive_page {
    int                 count;      /* in chronological order */
    struct archive_row *rows;       /* in the arena given */
    bool                complete;   /* nothing more in this direction */
    bool                missing;    /* after_id/before_id/an id in the filter is not in this archive: item-not-found */
};
/* On any connection, in a worker. `backwards`: the last `max` that match rather than the first. */
enum err archive_read(struct db_conn *c, struct arena *a, const struct archive_filter *f,
                      int max, bool backwards, struct archive_page *out);
/* Counts to 10,000. ERR_NOT_FOUND: an id is not in this archive. */
enum err archive_count(struct db_conn *c, const struct archive_filter *f, int64_t *out);
void     archive_ends_rehearse(struct db_conn *c, int64_t owner);    /* what the next one asks first (db_rehearse) */
enum err archive_ends(struct db_conn *c, int64_t owner, int64_t *first_id, int64_t *last_id); /* 0 when empty */
/* By the id it is shown under, if it is in that log. */
enum err archive_find(struct db_conn *c, struct arena *a, int64_t owner, int64_t shown, struct archive_row *out);
enum err archive_get(struct db_conn *c, struct arena *a, int64_t id, struct archive_row *out);
enum err archive_ends_of(struct person *p, int64_t *first_id, int64_t *last_id);    /* of a person in memory, in the loop; as shown */
/* What the owner exchanged with the peer, newest first, settled or not, until `fn` says false. */
struct archive_walked { int64_t id; bool sent; struct str stanza; };
typedef bool archive_walk_fn(void *arg, const struct archive_walked *row);
enum err archive_walk_back(struct db_conn *c, int64_t owner, int64_t peer, archive_walk_fn *fn, void *arg);
int64_t  archive_shown(struct db_conn *c, int64_t id);      /* of a place; 0 stays 0 */
int64_t  archive_place(struct db_conn *c, int64_t shown);    /* the other way; 0: none */
bool     archive_kept_has_address(struct str kept, struct str full);     /* as its `from` or `to` */

/* In a shared database a message is known to clients by what its sender and origin-id give, not by its place: so it has the same id
 * whichever worker stores it, how often it is sent again, and before it is stored. These ids have a bit that no place in the log has. */
enum { ARCHIVE_NAME_BIT = 62, ARCHIVE_AHEAD_MARGIN_S = 15, ARCHIVE_AHEAD_UNKNOWN_S = 120 };
static inline bool    archive_is_name(int64_t id) { return id >> ARCHIVE_NAME_BIT & 1; }
static inline int64_t archive_name(int64_t origin) { return origin | 1LL << ARCHIVE_NAME_BIT; }
static inline int64_t archive_name_origin(int64_t name) { return name & ~(1LL << ARCHIVE_NAME_BIT); }
/* `origin` of a message in a shared database: of sender and origin-id both, 62 bits. */
static inline int64_t archive_origin_of(int64_t sender, int64_t origin)
{
    uint64_t h = ((uint64_t)origin ^ (uint64_t)sender * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;

    return (int64_t)((h ^ h >> 32) >> 2 | 1);
}

enum archive_keeps { ARCHIVE_SENDER_KEEPS = 1, ARCHIVE_RECIPIENT_KEEPS = 2 };

enum { ARCHIVE_RESULTS = 5 };

/* One message for the batch; statements only, called from an apply. */
struct archive_put {
    struct archive_order *order;           /* NULL: `id` is given, rows of log and resend come later */
    int64_t    id, sender, recipient;      /* person ids; with `order`, id is an outcome */
    unsigned   keeps;                      /* enum archive_keeps, or-ed */
    int64_t    origin;                     /* hash of the origin-id; 0: none */
    bool       offline;                    /* the recipient is away */
    struct str stanza;
    bool       duplicate;                  /* out: it was here already; nothing was written */
    int64_t    original;                   /* out, without `order`: which one that is */
    /* with `order`: */
    int64_t    ahead_us;                   /* when it went out ahead, 0: it did not; may be set while it waits */
    int64_t    ahead_written;              /* out: what the row says of that */
    int64_t    before_recipient, before_sender;    /* out: the link of each owner's chain before this one, 0: the first */
    int64_t    number, rows, results[ARCHIVE_RESULTS];   /* archive.c's own, until archive_decided */
};
enum err archive_write(struct db_conn *c, struct archive_put *p);
/* The batch is durable: fills the outcomes. */
void     archive_decided(struct archive_put *p);
/* The last operation of a batch that holds messages: the places that were given out are taken. */
enum err archive_order_close(struct db_conn *c, struct archive_order *o);
/* Whatever must be decided in order with messages (who is reachable) takes the same lock first. */
enum err archive_order_take(struct db_conn *c, struct archive_order *o);
/* Whether this server has come as far as that place: then all that was ever up to it is there, or has been deleted. Only where several
 * processes write. */
bool     archive_reaches(struct db_conn *c, int64_t id);
/* The row says from now on that it was shown at that time, before it was stored (it was written before anybody knew). */
enum err archive_note_ahead(struct db_conn *c, int64_t id, int64_t ahead_us);
/* At the start, on a connection that may write: settles what a single process left, for good. */
enum err archive_share(struct db_conn *c);
int64_t archive_origin_hash(struct talk *t, struct str origin_id);

/* Origin-ids of the tail. 0, or the id of the message that has it (perhaps still in the batch). */
int64_t archive_recent(struct talk *t, int64_t sender, int64_t origin);
void    archive_recent_add(struct talk *t, int64_t sender, int64_t origin, int64_t id);
void    archive_recent_remove(struct talk *t, int64_t sender, int64_t origin);

enum { ARCHIVE_TAIL_MAX = 4096 };           /* messages; then it is settled without waiting for the tick */
void archive_init(struct talk *t);
void archive_done(struct talk *t);
void archive_wrote(struct talk *t);         /* one more message is in the tail */
void archive_tick(struct talk *t);          /* settles, and forgets what is too old */
/* In an apply: rows of log and resend for every message up to this id. */
enum err archive_settle(struct db_conn *c, int64_t upto);
/* In an apply: an account's side of everything goes. First what waits for it and what is not settled; then, step by step, up to `max`
 * rows of its log. Messages that nobody keeps any more go too; what may be on its way to somebody's device, two days later. */
enum err archive_forget_tail(struct db_conn *c, int64_t owner);
enum err archive_forget_some(struct db_conn *c, int64_t owner, int64_t max, bool *more);
/* In an apply: up to `max` messages before `before` that nobody keeps and that wait for nobody. */
enum err archive_forget_loose(struct db_conn *c, int64_t before, int64_t max, bool *more);
