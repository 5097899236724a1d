/* search.h: finding messages by their words, in everyone's own log and in those of rooms (any owner of a log).
 *
 *   search_segment(owner, last, first, count, segment, made, hides, chunks)   an owner's messages from `first` to `last`, in the index
 *   search_chunk(owner, segment, at, body)                             its lists of grams (grams.h), its ids
 *   search_trash(segment, owner, after_us)                             chunks that no segment row speaks of, and when they go
 *   search_wanted(one, made)                                           segments made before are made anew (`bongsu db reindex`)
 *
 * A message is found when each word of the question is somewhere in its text (fold.h says what is alike). The index only names
 * candidates; each is read and compared, so what is gone from the archive is not found, whatever the index says. Behind the newest
 * segment, and where a segment is broken, texts are read one by one. The index is made behind the messages (search_run.c), so
 * keeping a message costs nothing more.
 *
 * A message that was retracted (XEP-0424, XEP-0425) or corrected (XEP-0308) by its author is not found any more; its correction is.
 * What is said of whom by such an "edit" is compared by keyed hashes of author and id.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/archive.h"
#include "talk/grams.h"

enum {
    SEARCH_TEXT_BYTES_MAX = 512,    /* of a question */
    SEARCH_WORDS_MAX = 16,
    SEARCH_RANGES_MAX = 32,
    SEARCH_COUNT_MAX = 1000,        /* a count goes no further */
    SEARCH_TAIL_LONG = 512,         /* messages outside of the index, from which on it is worth asking for more of it */
};

extern const struct db_migration search_migrations[];

/* ---- asking ---- */

struct search_query {
    int               word_count;
    struct str        words[SEARCH_WORDS_MAX];        /* folded */
    int               range_count;
    struct gram_range ranges[SEARCH_RANGES_MAX];
    const uint8_t    *key;          /* talk->origin_key */
    int64_t           tail;         /* out: how many messages were read that no segment has */
    int64_t           broken;       /* out: a segment that could not be used; 0: none */
};
/* ERR_NOT_FOUND: there is no word in it (ask for all); ERR_LIMIT: too long. The words are in `a`. */
enum err search_query_read(struct arena *a, struct str text, const uint8_t key[16], struct search_query *out);

/* For archive_read, which has looked the borders up: rows of (low, high) in the order of reading, up to `max` + 1 of them. */
enum err search_page(struct db_conn *c, struct arena *a, const struct archive_filter *f, int64_t low, int64_t high, int64_t settled,
                     int max, bool backwards, struct archive_page *out);
/* Whether the words are in this one's text, whatever came later. */
bool     search_fits(struct arena *a, const struct search_query *q, const struct archive_row *row);
enum err search_count(struct db_conn *c, const struct archive_filter *f, int64_t *out);   /* counts to SEARCH_COUNT_MAX */

/* ---- a kept message, as search sees it (search_look.c) ---- */

enum { SEARCH_NAMES_MAX = 5 };
struct searched {
    struct str folded;              /* empty: nothing to be found by */
    int        name_count;
    uint64_t   names[SEARCH_NAMES_MAX];     /* what an edit would call it */
    uint64_t   edits;               /* the name of what it retracts or corrects; 0: nothing */
    bool       retracts;
};
/* `shown`: the id that clients know it by. Results are in `a`. */
void search_look(struct arena *a, struct str kept, int64_t shown, const uint8_t key[16], struct searched *out);

/* Edits by name, each with the newest message that does it. In an arena. */
struct search_edits {
    size_t count, cap;
    struct { uint64_t name; int64_t id; } *slots;
    struct arena *arena;
};
void search_edits_init(struct search_edits *e, struct arena *a);
void search_edits_add(struct search_edits *e, uint64_t name, int64_t id);
bool search_edits_hide(const struct search_edits *e, const struct searched *m, int64_t id);     /* some edit newer than it names it */

/* ---- segments ---- */

struct search_segment { int64_t last, first, count, segment, made, chunks; struct str hides; };
struct search_segments { int count; struct search_segment *all; };    /* oldest first */
enum err search_segments_read(struct db_conn *c, struct arena *a, int64_t owner, struct search_segments *out);
void     search_hides_put(struct buf *b, uint64_t name, int64_t id);
void     search_hides_read(struct str hides, struct search_edits *into);

/* ---- keeping the index (search_build.c, search_run.c) ---- */

void search_init(struct talk *t);
void search_done(struct talk *t);
void search_tick(struct talk *t);
void search_note(struct talk *t, int64_t owner);    /* one more message is in this log: cheap, may be forgotten */
void search_ask(struct talk *t, int64_t owner);     /* it is worth indexing now */
void search_mend(struct talk *t, int64_t owner, int64_t segment);     /* it was found broken: made anew */
/* `bongsu db reindex`: all segments are made anew, one after the other, while people search in the old ones. Who keeps the index
 * sees within seconds that it is wanted; what is made stays made when they end. */
enum err search_want_new(struct db_conn *c);
enum err search_progress(struct db_conn *c, int64_t *left, int64_t *all);     /* segments */

/* The next piece of work at one log, on a connection of one's own: tests, tools. `more`: there was something to do. */
enum err search_step(struct db_conn *c, const uint8_t key[16], int64_t owner, bool *more);

/* In an apply: the text of this message is no longer in the archive, and its grams shall not stay in the index (moderation, say). */
enum err search_forget(struct db_conn *c, int64_t owner, int64_t id);
enum err search_stale(struct db_conn *c, int64_t owner, int64_t segment);     /* this segment is made anew, no other */
enum err search_forget_owner(struct db_conn *c, int64_t owner);
enum err search_forget_before(struct db_conn *c, int64_t id);       /* everyone's messages before it are gone */
