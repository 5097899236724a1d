/* reading.h: who has read how far: one mark for each reader of a chat (docs/reading.md).
 *
 *   read_mark(chat, reader, upto, seen)     chat: a room, or the person whose messages the reader has read; upto: a place in the log
 *
 * A mark only moves forward. A room writes it in the transaction that stores the marker. Between two people it is worked out from
 * the log when somebody asks, from the markers in it (XEP-0333) that came behind `seen`, and kept as a shortcut: so it is exact whatever
 * crashed, and keeping a message costs nothing.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/archive.h"

enum {
    READING_IDS_MAX = 250,          /* messages of one question */
    READING_BACK_MAX = 10000,       /* rows of a log that are looked at for markers, beyond what is known */
};

extern const struct db_migration reading_migrations[];

/* In an apply. */
enum err reading_mark(struct db_conn *c, int64_t chat, int64_t reader, int64_t upto, int64_t seen);
/* How far; 0: nothing is known. `seen` may be NULL. */
enum err reading_upto(struct db_conn *c, int64_t chat, int64_t reader, int64_t *upto, int64_t *seen);
/* For a room: of `members`, how many have not read the message at each of the `count` places in `ids` (ascending). Whoever
 * wrote a message is not among its readers: authors[i], 0: unknown. One statement, whatever their number. */
enum err reading_count(struct db_conn *c, int64_t chat, const int64_t *members, int member_count, const int64_t *ids,
                       const int64_t *authors, int count, int *unread);
enum err reading_forget(struct db_conn *c, int64_t id);     /* a person or a room goes */

/* Between two people, from the owner's log: what the peer has read of the owner's messages, and the owner of the peer's. */
struct reading_pair {
    int64_t owner, peer;
    struct { int64_t upto, seen; } by_peer, by_owner;
    bool    moved;                  /* worth keeping: reading_keep */
};
enum err reading_work_out(struct db_conn *c, struct reading_pair *p);
enum err reading_keep(struct db_conn *c, const struct reading_pair *p);     /* in an apply */
