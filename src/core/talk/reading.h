/* reading.h: who has read how far, between two people: one mark for each reader (docs/reading.md).
 *
 *   read_mark(chat, reader, upto, seen)     chat: the person whose messages the reader has read; upto: a place in the log
 *
 * A mark only moves forward. It is worked out from the log when somebody asks, from the markers in it (XEP-0333) that came behind
 * `seen`, and kept as a shortcut: so it is exact whatever crashed, and keeping a message costs nothing.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/archive.h"

enum {
    READING_IDS_MAX = 250,          /* messages of one question */
    READING_BACK_MAX = 10000,       /* rows of a log that are looked at for markers, beyond what is known */
};

#define NS_READ "urn:bongsu:read:0"

/* The id that a marker (XEP-0333 <displayed/>) in a kept message names, in `a`; p NULL: it is no marker. */
struct str reading_marked(struct arena *a, struct str stanza);

extern const struct db_migration reading_migrations[];

enum err reading_forget(struct db_conn *c, int64_t id);     /* in an apply: a person goes */

/* From the owner's log: what the peer has read of the owner's messages, and the owner of the peer's. */
struct reading_pair {
    int64_t owner, peer;
    struct { int64_t upto, seen; } by_peer, by_owner;
    bool    moved;                  /* worth keeping: reading_keep */
};
enum err reading_work_out(struct db_conn *c, struct reading_pair *p);
struct stanza;
/* The messages that a question about them names, in its order. NULL: fine, else the condition that refuses it. */
const char *reading_ids(const struct stanza *iq, int64_t shown[READING_IDS_MAX], int *count);
enum err reading_keep(struct db_conn *c, const struct reading_pair *p);     /* in an apply */
