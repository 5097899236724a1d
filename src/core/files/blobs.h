/* blobs.h: a folder of bytes, named by what they are: the SHA-256 of the content is the name, so the same photo sent to
 * ten rooms lies there once. What is still coming is a part, named by its slot's id.
 *
 *   folder/blobs/3f/3fa9…          whole and synced; never changed
 *   folder/parts-<boot>/<id>       under way. After a power cut nobody knows which of its bytes are on the disk, so the parts of
 *                                  another boot are thrown away
 * Any thread; the callers see to it that one at a time touches one name.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "files/slot.h"

enum { BLOB_HASH_BYTES = 32, BLOB_HEX_BYTES = 65 };

struct blobs {
    int blobs_fd, parts_fd;         /* folders; -1: not open */
};

/* Makes what is missing. `why` (in `a`) says what a person can mend. */
enum err blobs_open(struct blobs *b, const char *folder, struct arena *a, struct str *why);
/* The same for a copy of one, which has no parts. ERR_NOT_FOUND, if `make` is false and it is not there. */
enum err blobs_open_copy(struct blobs *b, const char *folder, bool make, struct arena *a, struct str *why);
/* Into `to`, where it is not there already: on one file system a second name for it, for blobs never change; else the bytes, synced. */
enum err blob_copy(const struct blobs *b, const struct blobs *to, const uint8_t hash[BLOB_HASH_BYTES]);
/* The bytes into any folder, under any name, for somebody who may change them. */
enum err blob_give(const struct blobs *b, const uint8_t hash[BLOB_HASH_BYTES], int dir, const char *name);
void     blobs_close(struct blobs *b);
enum err blobs_sync(const struct blobs *b);     /* the names of all of them */

void     blob_hex(const uint8_t hash[BLOB_HASH_BYTES], char out[BLOB_HEX_BYTES]);
/* A descriptor to read it, or -1 with errno. */
int      blob_read(const struct blobs *b, const uint8_t hash[BLOB_HASH_BYTES]);
bool     blob_is_there(const struct blobs *b, const uint8_t hash[BLOB_HASH_BYTES]);
enum err blob_remove(const struct blobs *b, const uint8_t hash[BLOB_HASH_BYTES]);
/* Calls `fn` for each one, which returns false to stop. */
enum err blobs_each(const struct blobs *b, bool (*fn)(void *arg, const uint8_t hash[BLOB_HASH_BYTES]), void *arg);

/* Opened to read and write; `fresh`: emptied. Room for `bytes` is reserved at once: ERR_FULL shows now. */
enum err part_open(const struct blobs *b, const uint8_t id[SLOT_ID_BYTES], bool fresh, int64_t bytes, int *fd_out);
int64_t  part_bytes(const struct blobs *b, const uint8_t id[SLOT_ID_BYTES]);     /* -1: there is none */
void     part_remove(const struct blobs *b, const uint8_t id[SLOT_ID_BYTES]);
enum err parts_each(const struct blobs *b, bool (*fn)(void *arg, const uint8_t id[SLOT_ID_BYTES]), void *arg);
/* A synced part becomes the blob, durably. Safe to repeat; where the blob is there already the part just goes. */
enum err part_place(const struct blobs *b, const uint8_t id[SLOT_ID_BYTES], const uint8_t hash[BLOB_HASH_BYTES]);
