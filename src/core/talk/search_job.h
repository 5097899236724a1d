/* search_job.h: one piece of work at the search index: what search_build.c does on a connection, and search_run.c orders.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/search.h"
#include "talk/session.h"

enum {
    INDEX_SMALL = 256, INDEX_MIDDLE = 2048, INDEX_LARGE = 16384,      /* sizes of segments: a level is eight times the one below */
    INDEX_PLACES_MAX = 1 << 21,     /* letters that one build takes in (32 MB), and the text that goes beyond: it ends earlier */
    INDEX_CHUNKS_MAX = 16384,       /* of a merged segment (15 MB) */
    INDEX_STALE_MAX = 64,           /* texts that leave older segments, found by one build */
    INDEX_WRITE_STEP = 48,          /* chunks in one operation */
};

enum kind { KIND_NOTHING, KIND_BUILD, KIND_RENEW, KIND_MERGE };

struct index_chunk { int64_t at; struct str body; };
struct index_record;

struct index_job {
    struct db_read        read;
    struct change         change;
    struct talk          *t;
    const uint8_t        *key;
    struct arena          arena, scratch;
    int64_t               owner;
    bool                  sweeping, busy, swept;    /* swept: there is no owner behind this one */
    bool                  resting;          /* a sweep is only wanted if an index is */
    int64_t               made_before;
    enum kind             kind;
    int64_t               made;             /* what is wanted */
    struct search_segments segments;        /* all of the owner's, as they were */
    int                   from, count;      /* those that are replaced */
    int64_t               begin, end;       /* texts: ids of (begin, end] */
    int64_t               room;             /* how many at most */
    /* what is being made */
    struct search_segment fresh;
    struct gram_places    places;
    struct index_record  *records;
    int                   record_count, record_cap;
    struct search_edits   edits;            /* of the owner, as far as is known */
    struct buf            hides;
    bool                  read_all;
    int64_t               stale[INDEX_STALE_MAX];        /* messages whose text shall leave an older segment */
    int                   stale_count;
    struct index_chunk   *chunks;
    int                   chunk_count, chunk_cap, written;
    bool                  lost;             /* somebody else has changed it */
};

/* Reads on a connection. */
enum err index_look(struct db_conn *c, struct db_read *r);          /* what is there to do? Sets kind and what it needs */
void     index_begin(struct index_job *j);
enum err index_read(struct db_conn *c, struct db_read *r);          /* until read_all; ERR_INVALID: a segment that is merged is broken */
/* Writes, each for an apply, on j->change. */
enum err index_write_chunks(struct db_conn *c, struct change *ch);  /* from j->written on */
enum err index_publish(struct db_conn *c, struct change *ch);
enum err index_break(struct db_conn *c, struct change *ch);         /* what was to be merged is made anew instead */
void     index_reset(struct index_job *j);                                /* for the next look */

/* ---- search_run.c ---- */
int search_waiting(const struct talk *t, bool urgent); /* how many turns are asked for */
