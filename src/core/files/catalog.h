/* catalog.h: what is known about each file: the rows of web's own SQLite database, web.db. Every site has one of its own, also
 * where messages are in PostgreSQL: it tells what is on this site's disk.
 * A row is made when an upload begins (no hash: a part) and gets its hash when the blob is in place.
 * Calls marked W run inside a commit operation; the others on any connection.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/arena.h"
#include "db/db.h"
#include "files/blobs.h"
#include "files/slot.h"

struct file_row {
    uint8_t    id[SLOT_ID_BYTES];
    struct str owner, name, type;
    int64_t    bytes, made_us;
    bool       shown;               /* a browser may show it: show.h */
    bool       whole;
    uint8_t    hash[BLOB_HASH_BYTES];
};

extern const struct db_migration catalog_migrations[];

enum err catalog_find(struct db_conn *c, struct arena *a, const uint8_t id[SLOT_ID_BYTES], struct file_row *out);   /* ERR_NOT_FOUND */
bool     catalog_names(struct db_conn *c, const uint8_t hash[BLOB_HASH_BYTES]);      /* a row, or one to come, has this blob */
/* What the owner's files have together, and those since `since_us`, of which the oldest is *oldest_us. Each counts as `file_bytes_min`
 * at least. */
enum err catalog_used(struct db_conn *c, struct str owner, int64_t since_us, int64_t file_bytes_min, int64_t *all, int64_t *since, int64_t *oldest_us);
/* Calls `fn` for each whole file of the owner, in order; it returns false to stop, with *e set if that is a failure. */
enum err catalog_each_of(struct db_conn *c, struct str owner, bool (*fn)(void *arg, const struct file_row *row, enum err *e), void *arg);
enum err catalog_total(struct db_conn *c, int64_t *files, int64_t *bytes, int64_t *blob_bytes, int64_t *owed);

/* W. A second begin of the same slot changes nothing; nor does one whose owner is forgotten. */
enum err catalog_begin(struct db_conn *c, const struct file_row *r);
/* W. Gives the row its hash, type and `shown`. It has this hash already: OK; another one: ERR_EXISTS; no such row (expired, or
 * its owner has gone): ERR_NOT_FOUND. *fresh: it was not whole before. */
enum err catalog_complete(struct db_conn *c, const struct file_row *r, bool *fresh);
/* W. The same for a file that had no row yet. ERR_NOT_FOUND: its owner is forgotten. */
enum err catalog_put(struct db_conn *c, const struct file_row *r, bool *fresh);
enum err catalog_forget(struct db_conn *c, const uint8_t id[SLOT_ID_BYTES]);         /* W; its blob may be doomed */
enum err catalog_forget_part(struct db_conn *c, const uint8_t id[SLOT_ID_BYTES]);    /* W; only if it never became whole */
enum err catalog_forget_owner(struct db_conn *c, struct str owner, int64_t before_us);      /* W */
/* W. From now on no row is begun or put for what the owner was allowed before. Also something to tell the peers: owe them `id`. */
enum err catalog_note_forgotten(struct db_conn *c, const uint8_t id[SLOT_ID_BYTES], struct str owner, int64_t before_us);
enum err catalog_forgotten(struct db_conn *c, struct arena *a, const uint8_t id[SLOT_ID_BYTES], struct str *owner, int64_t *before_us);
/* W. Parts of before `parts_us` and files of before `files_us` go, at most `max` at once; and notes of before `parts_us` that every
 * peer has heard. */
enum err catalog_expire(struct db_conn *c, int64_t parts_us, int64_t files_us, int max, int64_t *gone);

/* Blobs that may have lost their last row: to be looked at, then removed or kept. */
enum err catalog_doom(struct db_conn *c, const uint8_t hash[BLOB_HASH_BYTES]);       /* W */
enum err catalog_doomed(struct db_conn *c, uint8_t (*out)[BLOB_HASH_BYTES], int max, int *count);
enum err catalog_spare(struct db_conn *c, const uint8_t hash[BLOB_HASH_BYTES]);      /* W: looked at */

/* What a peer has not been given yet. */
enum err catalog_owe(struct db_conn *c, struct str peer, const uint8_t id[SLOT_ID_BYTES]);      /* W */
enum err catalog_paid(struct db_conn *c, struct str peer, const uint8_t id[SLOT_ID_BYTES]);     /* W */
enum err catalog_owed(struct db_conn *c, struct str peer, uint8_t out[SLOT_ID_BYTES]);          /* the newest, for people look at it; ERR_NOT_FOUND */
enum err catalog_owe_all(struct db_conn *c, struct str peer);                                   /* W: a new peer */
bool     catalog_knows_peer(struct db_conn *c, struct str peer);
enum err catalog_peer(struct db_conn *c, struct str peer);                                      /* W */
/* Hashes of whole files behind `after`, in order. */
enum err catalog_hashes(struct db_conn *c, const uint8_t after[BLOB_HASH_BYTES], uint8_t (*out)[BLOB_HASH_BYTES], int max, int *count);
