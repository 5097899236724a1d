/* receive.h: one file that is coming, from a client or from a peer, whatever brings it.
 *
 *   begin ─▶ write ⇄ wait for bytes ─▶ sync ─▶ place ─▶ commit ─▶ wait for a copy elsewhere ─▶ done(OK)
 *     └──────────┴─ a failure ─▶ done(error)       └─ receive_abandon: what came is kept for a resume
 *
 * A file of at most one piece waits in memory, is made a blob in one go, and leaves nothing when it breaks off.
 * Begin, write, sync and place run on the pool; the loop only hands over whole pieces. One receipt owns at most two
 * pieces. `done` is the last call, once, never from inside a call of the owner's.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "files/inner.h"

enum { RECEIVE_PIECE_BYTES = 256 * 1024 };

struct receipt;

struct receive_events {
    void (*hold)(void *arg);        /* no more bytes for now… */
    void (*go_on)(void *arg);       /* …and now again */
    /* `at`: how many bytes of the file are here. OK: whole and durable, or, for a part, all that was announced is
     * here. ERR_INVALID: it does not go on at `at`; ERR_FULL; ERR_EXISTS: another content is there under this id. */
    void (*done)(void *arg, enum err e, int64_t at);
};

/* `from`: -1: the file from its start, whatever is here; else it goes on there. `until`: the file's end or before. Copies
 * the slot. ERR_LIMIT: too many are coming, in all or of this account; ERR_EXISTS: this one is; the older one is ended, so the next try will do. */
enum err receive_new(struct store *st, const struct slot *s, int64_t from, int64_t until, bool from_peer,
                     const struct receive_events *ev, void *arg, struct receipt **out);
void     receive_bytes(struct receipt *r, struct str in);
void     receive_end(struct receipt *r);
void     receive_abandon(struct receipt *r);        /* the source is gone; nothing is told any more */
bool     receive_places(const struct store *st, const uint8_t hash[BLOB_HASH_BYTES]);     /* this blob is being put in place */
void     receive_copied(struct store *st, const uint8_t id[SLOT_ID_BYTES]);      /* another site has it */
bool     receive_runs(const struct store *st, const uint8_t id[SLOT_ID_BYTES]);
void     receive_end_all(struct store *st);         /* when the pool and the index are closed */
