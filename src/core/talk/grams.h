/* grams.h: what search looks up: two letters of a script whose letters are syllables or words (Hangul, ideographs, kana), three of
 * another; and lists of where they occur, packed.
 *
 * A gram is one number: its code points beside each other, 21 bits each, zeros behind the last letters of a word. So the grams that
 * begin with "학" are one range of numbers, and a word of one syllable is looked up as such a range. Below zero are grams that are no
 * text: whom a message was exchanged with, and (at the very bottom) the blocks of a segment's message ids.
 *
 *   segment   an owner's messages from one id to another, numbered 0, 1, 2 …  (ordinals)
 *   chunk     up to some 900 bytes of a segment's lists, in the order of grams; a longer list is a chunk alone
 *             varint gram minus the one before (the first: minus `at`), varint bytes of the list, list
 *   list      varint first ordinal, varint distance to the next …
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    GRAMS_CHUNK_BYTES = 900,        /* four in a page of SQLite */
    GRAMS_IDS_BLOCK = 128,          /* ids in a block */
    GRAMS_ORDINALS_MAX = 131072,    /* messages of a segment */
};
#define GRAM_IDS_FIRST INT64_MIN                     /* + number of the block */
#define GRAM_PEER_FIRST (INT64_MIN + (1LL << 40))

static inline int64_t gram_of_peer(int64_t peer)
{
    return GRAM_PEER_FIRST + (int64_t)(((uint64_t)peer * 0x9E3779B97F4A7C15u) >> 2);
}

/* ---- of a text ---- */

typedef void gram_fn(void *arg, int64_t gram);
/* Every gram of a folded text: one for each letter. Some come twice. */
void grams_of_text(struct str folded, gram_fn *fn, void *arg);

/* What must be there if the word is: each range from `low` to `high` holds a gram of the text. */
struct gram_range { int64_t low, high; };
int grams_of_word(struct str folded, struct gram_range *out, int max);

/* ---- making lists ---- */

struct gram_place { int64_t gram; uint32_t ordinal; };
struct gram_places { struct gram_place *p; size_t count, cap; };      /* in any order, until they are written */
void gram_places_add(struct gram_places *g, int64_t gram, uint32_t ordinal);
/* Those from `from` on are of one text: what comes twice goes. */
void gram_places_thin(struct gram_places *g, size_t from);
void gram_places_free(struct gram_places *g);

/* Is given each chunk, in order. */
typedef void chunk_fn(void *arg, int64_t at, struct str body);
/* Sorts `g`. An ordinal beyond `numbers_count`, or whose number in it is UINT32_MAX, is left out; the others are renumbered so. */
void grams_write(struct gram_places *g, const uint32_t *numbers, size_t numbers_count, chunk_fn *fn, void *arg);
void grams_write_ids(const int64_t *ids, size_t count, chunk_fn *fn, void *arg);

/* One segment after the other in time: the ordinals of each begin behind those before it. */
struct gram_source {
    uint32_t    base;               /* what its ordinals grow by */
    int         chunk_count;
    int64_t    *ats;                /* its chunks of grams, in order */
    struct str *bodies;
};
enum { GRAMS_SOURCES_MAX = 16 };
/* ERR_INVALID: a chunk is broken. */
enum err grams_merge(const struct gram_source *sources, int count, chunk_fn *fn, void *arg);

/* ---- reading lists ---- */

/* Sets the bit of each ordinal below `bit_count` that a gram of the range has. ERR_INVALID: the chunk is broken. */
enum err chunk_mark(int64_t at, struct str body, struct gram_range range, uint64_t *bits, uint32_t bit_count);
/* Up to GRAMS_IDS_BLOCK ids. */
enum err chunk_ids(struct str body, int64_t *ids, int *count);
