/* search.c: asking; see search.h.
 *
 *   newest first:   tail (texts, one by one) → newest segment → … → oldest     stops when the page is full
 *   oldest first:   tail is looked at for edits, then oldest segment → … → newest → tail
 *
 * In a segment every condition is a set of bits, one for each message; what is in all sets is read and compared.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/search.h"
#include <stdlib.h>
#include "wire/fold.h"

const struct db_migration search_migrations[] = {
    { 1, "search",
      "CREATE TABLE search_segment(owner INTEGER NOT NULL, last INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL,"
      " segment INTEGER NOT NULL, made INTEGER NOT NULL, hides BLOB NOT NULL, PRIMARY KEY(owner, last)) WITHOUT ROWID;"
      "CREATE TABLE search_chunk(owner INTEGER NOT NULL, segment INTEGER NOT NULL, at INTEGER NOT NULL, body BLOB NOT NULL,"
      " PRIMARY KEY(owner, segment, at)) WITHOUT ROWID;"
      "CREATE TABLE search_trash(segment INTEGER NOT NULL PRIMARY KEY, owner INTEGER NOT NULL, after_us INTEGER NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE search_wanted(one INTEGER PRIMARY KEY CHECK(one = 1), made INTEGER NOT NULL);"
      "INSERT INTO search_wanted(one, made) VALUES (1, 1);" },
    { 2, "search", "ALTER TABLE search_segment ADD COLUMN chunks INTEGER NOT NULL DEFAULT 0;" },
    { 0 },
};

/* ---- the question ---- */

static bool next_word(struct str text, size_t *at, struct str *out)
{
    size_t start = 0, end = 0;
    bool   any = false;

    while (*at < text.len) {
        size_t before = *at;

        if (!fold_is_space(fold_next(text, at))) {
            start = any ? start : before;
            end = *at;
            any = true;
        } else if (any) {
            break;
        }
    }
    *out = str_make(text.p + start, end - start);
    return any;
}

enum err search_query_read(struct arena *a, struct str text, const uint8_t key[16], struct search_query *out)
{
    struct buf b;
    struct str folded, word;

    *out = (struct search_query){ .key = key };
    if (text.len > SEARCH_TEXT_BYTES_MAX)
        return ERR_LIMIT;
    buf_init(&b, 0);
    fold_put(&b, text);
    folded = arena_str(a, buf_str(&b));
    buf_done(&b);
    for (size_t at = 0; next_word(folded, &at, &word);) {
        if (out->word_count == SEARCH_WORDS_MAX)
            return ERR_LIMIT;
        out->words[out->word_count++] = word;
        out->range_count += grams_of_word(word, out->ranges + out->range_count, SEARCH_RANGES_MAX - out->range_count);
    }
    return out->word_count ? OK : ERR_NOT_FOUND;
}

static bool has_words(const struct search_query *q, struct str folded)
{
    if (folded.len == 0)
        return false;
    for (int i = 0; i < q->word_count; i++)
        if (!memmem(folded.p, folded.len, q->words[i].p, q->words[i].len))
            return false;
    return true;
}

bool search_fits(struct arena *a, const struct search_query *q, const struct archive_row *row)
{
    struct searched m;

    search_look(a, row->stanza, row->shown, q->key, &m);
    return has_words(q, m.folded);
}

/* ---- segments ---- */

static struct db_sql segments_select = {
    "SELECT last, first, count, segment, made, chunks, hides FROM search_segment WHERE owner = ?1 ORDER BY last" };

enum err search_segments_read(struct db_conn *c, struct arena *a, int64_t owner, struct search_segments *out)
{
    struct db_stmt *s = db_prepare(c, &segments_select);
    int             cap = 32;
    enum err        e;

    *out = (struct search_segments){ .all = arena_alloc(a, sizeof *out->all * (size_t)cap) };
    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, owner);
    while ((e = db_step(s)) == OK) {
        if (out->count == cap) {
            struct search_segment *larger = arena_alloc(a, sizeof *larger * (size_t)cap * 2);

            memcpy(larger, out->all, sizeof *larger * (size_t)cap);
            out->all = larger;
            cap *= 2;
        }
        out->all[out->count++] = (struct search_segment){ db_i64(s, 0), db_i64(s, 1), db_i64(s, 2), db_i64(s, 3), db_i64(s, 4),
                                                          db_i64(s, 5), arena_str(a, db_blob(s, 6)) };
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- a page ---- */

struct page {
    struct db_conn              *c;
    struct arena                *arena, scratch;     /* scratch: dropped after each message */
    const struct archive_filter *f;
    struct search_query         *q;
    struct archive_page         *out;
    struct search_edits          edits;
    struct search_segments       segments;
    int64_t                      low, high;          /* both exclusive */
    int64_t                      settled;            /* rows behind it are in `message` only */
    int                          limit;
    bool                         backwards;
    uint64_t                    *all, *one;          /* bits of a segment */
    int64_t                      block_segment, block;      /* the ids that are at hand */
    int                          block_count;
    int64_t                      ids[GRAMS_IDS_BLOCK];
};

static bool full(const struct page *p) { return p->out->count >= p->limit; }

enum { ROW_ID, ROW_STANZA, ROW_NAME, ROW_AHEAD, ROW_SENDER, ROW_PEER };       /* archive_row_read, and whom it was exchanged with */
#define LOG_ROW "SELECT l.id, m.stanza, m.name, m.ahead_us, m.sender, l.peer FROM log l CROSS JOIN message m ON m.id = l.id" \
    " WHERE l.owner = ?1"
#define BATCH_IDS "?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17,?18,?19,?20,?21,?22,?23,?24,?25"
static struct db_sql log_some = { LOG_ROW " AND l.id IN (" BATCH_IDS ") ORDER BY l.id" };
static struct db_sql log_some_back = { LOG_ROW " AND l.id IN (" BATCH_IDS ") ORDER BY l.id DESC" };
static struct db_sql log_back = { LOG_ROW " AND l.id > ?2 AND l.id < ?3 ORDER BY l.id DESC LIMIT ?4" };
#define TAIL_ROW "SELECT id, stanza, name, ahead_us, sender, CASE sender WHEN ?1 THEN recipient ELSE sender END FROM message" \
    " WHERE ((sender = ?1 AND (keeps & 1) <> 0) OR (recipient = ?1 AND (keeps & 2) <> 0))"
static struct db_sql tail_some = { TAIL_ROW " AND id IN (" BATCH_IDS ") ORDER BY id" };
static struct db_sql tail_back = { TAIL_ROW " AND id > ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4" };

/* The row at hand: is it one of those asked for? Notes what it edits in any case. */
static bool row_fits(struct page *p, struct db_stmt *s)
{
    struct str             stanza = db_text(s, ROW_STANZA);
    int64_t                id = db_i64(s, ROW_ID), shown = db_i64(s, ROW_NAME) ? db_i64(s, ROW_NAME) : id;
    const struct archive_filter *f = p->f;
    struct searched        m;
    bool                   fits;

    arena_reset(&p->scratch);
    search_look(&p->scratch, stanza, shown, p->q->key, &m);
    fits = id > p->low && id < p->high && shown != f->after_shown && has_words(p->q, m.folded) &&
           !search_edits_hide(&p->edits, &m, id);
    if (m.edits)
        search_edits_add(&p->edits, m.edits, id);
    if (fits && f->peer)
        fits = db_i64(s, ROW_PEER) == f->peer;
    return fits && (!f->peer_full.len || archive_kept_has_address(stanza, f->peer_full));
}

static void row_take(struct page *p, struct db_stmt *s)
{
    archive_row_read(s, p->arena, &p->out->rows[p->out->count++]);
}

/* So many are asked for at once: on PostgreSQL each statement is a round trip. */
enum { BATCH = 24 };

static void bind_batch(struct db_stmt *s, const int64_t *values, int count)
{
    for (int i = 0; i < BATCH; i++)
        db_bind_i64(s, 2 + i, values[i < count ? i : count - 1]);
}

/* Those that fit, of up to BATCH ids in the order of reading. */
static enum err take_batch(struct page *p, struct db_sql *sql, const int64_t *ids, int count)
{
    struct db_stmt *s = count ? db_prepare(p->c, sql) : NULL;
    enum err        e;

    if (!s)
        return count ? ERR_BUG : OK;
    db_bind_i64(s, 1, p->f->owner);
    bind_batch(s, ids, count);
    while ((e = db_step(s)) == OK && !full(p))
        if (row_fits(p, s))
            row_take(p, s);
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- texts, one by one ---- */

enum { SCAN_STEP = 1000 };

struct found { int64_t *ids; int count, cap; };

static void found_add(struct page *p, struct found *f, int64_t id)
{
    if (f->count == f->cap) {
        int64_t *larger = arena_alloc(p->arena, sizeof *larger * (size_t)(f->cap = f->cap ? f->cap * 2 : 256));

        if (f->count)
            memcpy(larger, f->ids, sizeof *larger * (size_t)f->count);
        f->ids = larger;
    }
    f->ids[f->count++] = id;
}

/* From the newest below `high` down to `low`, both exclusive: newest first because what edits a message is newer. Rows are taken
 * at once (backwards), or their ids are kept for later. */
static enum err scan(struct page *p, struct db_sql *sql, int64_t low, int64_t high, struct found *found)
{
    while (low < high - 1) {
        struct db_stmt *s = db_prepare(p->c, sql);
        int             rows = 0;
        enum err        e;

        if (!s)
            return ERR_BUG;
        db_bind_i64(s, 1, p->f->owner);
        db_bind_i64(s, 2, low);
        db_bind_i64(s, 3, high);
        db_bind_i64(s, 4, SCAN_STEP);
        while ((e = db_step(s)) == OK && !(p->backwards && full(p))) {
            rows++;
            high = db_i64(s, ROW_ID);
            if (!row_fits(p, s))
                continue;
            if (p->backwards)
                row_take(p, s);
            else
                found_add(p, found, high);
        }
        db_done(s);
        p->q->tail += rows;
        if (e != ERR_NOT_FOUND && e != OK)
            return e;
        if (rows < SCAN_STEP)
            break;
    }
    return OK;
}

/* Oldest first, for a page that is read forwards: what is settled first, for it is older. */
static enum err take_found(struct page *p, const struct found *found)
{
    int      at = found->count;
    enum err e = OK;

    while (at > 0 && !e && !full(p)) {
        int64_t ids[BATCH];
        bool    settled = found->ids[at - 1] <= p->settled;
        int     n = 0;

        while (at > 0 && n < BATCH && (found->ids[at - 1] <= p->settled) == settled)
            ids[n++] = found->ids[--at];
        e = take_batch(p, settled ? &log_some : &tail_some, ids, n);
    }
    return e;
}

/* ---- a segment ---- */

static struct db_sql chunks_select = {
    "SELECT at, body FROM search_chunk WHERE owner = ?1 AND segment = ?2 AND at >= coalesce((SELECT max(c.at) FROM search_chunk c"
    " WHERE c.owner = ?1 AND c.segment = ?2 AND c.at <= ?3), ?3) AND at <= ?4 ORDER BY at" };
static struct db_sql chunk_one = { "SELECT body FROM search_chunk WHERE owner = ?1 AND segment = ?2 AND at = ?3" };

static enum err mark(struct page *p, const struct search_segment *g, struct gram_range range, uint64_t *bits)
{
    struct db_stmt *s = db_prepare(p->c, &chunks_select);
    enum err        e, broken = OK;

    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, p->f->owner);
    db_bind_i64(s, 2, g->segment);
    db_bind_i64(s, 3, range.low);
    db_bind_i64(s, 4, range.high);
    while ((e = db_step(s)) == OK && !broken)
        broken = chunk_mark(db_i64(s, 0), db_blob(s, 1), range, bits, (uint32_t)g->count);
    db_done(s);
    return broken ? broken : e == ERR_NOT_FOUND ? OK : e;
}

static int count_bits(const uint64_t *bits, size_t words, int enough)
{
    int n = 0;

    for (size_t i = 0; i < words && n < enough; i++)
        n += __builtin_popcountll(bits[i]);
    return n;
}

/* What fits every condition is left in p->all. Few enough are rather read than looked up further. */
static enum err candidates(struct page *p, const struct search_segment *g)
{
    enum { FEW = 4 };
    size_t            words = ((size_t)g->count + 63) / 64;
    struct gram_range ranges[SEARCH_RANGES_MAX + 1];
    int               n = 0;

    if (p->f->peer)
        ranges[n++] = (struct gram_range){ gram_of_peer(p->f->peer), gram_of_peer(p->f->peer) };
    for (int i = 0; i < p->q->range_count; i++)
        ranges[n++] = p->q->ranges[i];
    for (int i = n - 1; i >= 0; i--) {       /* the peer last: words tell more */
        uint64_t *bits = i == n - 1 ? p->all : p->one;
        enum err  e;

        memset(bits, 0, words * sizeof *bits);
        e = mark(p, g, ranges[i], bits);
        if (e)
            return e;
        for (size_t w = 0; bits == p->one && w < words; w++)
            p->all[w] &= bits[w];
        if (count_bits(p->all, words, FEW) < FEW)
            break;
    }
    return OK;
}

static enum err block_read(struct page *p, const struct search_segment *g, int64_t block)
{
    struct db_stmt *s;
    enum err        e;

    if (p->block_segment == g->segment && p->block == block)
        return OK;
    e = db_get(p->c, &s, &chunk_one, "iii", p->f->owner, g->segment, GRAM_IDS_FIRST + block);
    p->block_segment = 0;
    if (!e)
        e = chunk_ids(db_blob(s, 0), p->ids, &p->block_count);
    if (s)
        db_done(s);
    if (e == ERR_NOT_FOUND || (!e && p->block_count == 0))
        return ERR_INVALID;
    if (!e) {
        p->block_segment = g->segment;
        p->block = block;
    }
    return e;
}

static enum err id_of(struct page *p, const struct search_segment *g, int64_t ordinal, int64_t *id)
{
    enum err e = block_read(p, g, ordinal / GRAMS_IDS_BLOCK);

    if (!e && ordinal % GRAMS_IDS_BLOCK >= p->block_count)
        e = ERR_INVALID;
    if (!e)
        *id = p->ids[ordinal % GRAMS_IDS_BLOCK];
    return e;
}

/* The first ordinal whose id is at least `id`. */
static enum err ordinal_of(struct page *p, const struct search_segment *g, int64_t id, int64_t *out)
{
    int64_t low = 0, high = g->count, at;

    while (low < high) {
        int64_t  middle = low + (high - low) / 2;
        enum err e = id_of(p, g, middle, &at);

        if (e)
            return e;
        if (at < id)
            low = middle + 1;
        else
            high = middle;
    }
    *out = low;
    return OK;
}

static int64_t next_bit(const uint64_t *bits, int64_t at, int64_t end)
{
    while (at < end) {
        uint64_t w = bits[at / 64] >> at % 64;

        if (w)
            return at + __builtin_ctzll(w);
        at = (at / 64 + 1) * 64;
    }
    return end;
}

static int64_t last_bit(const uint64_t *bits, int64_t begin, int64_t at)       /* the last one before `at`; begin - 1: none */
{
    while (at > begin) {
        uint64_t w = bits[(at - 1) / 64] << (63 - (at - 1) % 64);

        if (w)
            return at - 1 - __builtin_clzll(w);
        at = (at - 1) / 64 * 64;
    }
    return begin - 1;
}

static struct db_sql blocks_some = {
    "SELECT at, body FROM search_chunk WHERE owner = ?1 AND segment = ?26 AND at IN (" BATCH_IDS ") ORDER BY at" };

/* The ids of up to BATCH ordinals that rise or fall. */
static enum err ids_of(struct page *p, const struct search_segment *g, const int64_t *ordinals, int count, int64_t *ids)
{
    struct db_stmt *s = db_prepare(p->c, &blocks_some);
    int64_t         ats[BATCH];
    int             found = 0;
    enum err        e, broken = OK;

    if (!s)
        return ERR_BUG;
    for (int i = 0; i < count; i++)
        ats[i] = GRAM_IDS_FIRST + ordinals[i] / GRAMS_IDS_BLOCK;
    db_bind_i64(s, 1, p->f->owner);
    bind_batch(s, ats, count);
    db_bind_i64(s, 26, g->segment);
    while (!broken && (e = db_step(s)) == OK) {
        int64_t at = db_i64(s, 0);

        broken = chunk_ids(db_blob(s, 1), p->ids, &p->block_count);
        for (int i = 0; i < count && !broken; i++)
            if (ats[i] == at && ordinals[i] % GRAMS_IDS_BLOCK < p->block_count) {
                ids[i] = p->ids[ordinals[i] % GRAMS_IDS_BLOCK];
                found++;
            }
    }
    db_done(s);
    p->block_segment = 0;       /* what was at hand is not any more */
    if (!broken && e != ERR_NOT_FOUND)
        return e;
    return broken || found < count ? ERR_INVALID : OK;
}

static enum err take_candidates(struct page *p, const struct search_segment *g, int64_t from, int64_t to)
{
    int64_t at = p->backwards ? last_bit(p->all, from, to) : next_bit(p->all, from, to);

    while (at >= from && at < to && !full(p)) {
        int64_t  ordinals[BATCH], ids[BATCH];
        int      n = 0;
        enum err e;

        for (; n < BATCH && n < p->limit - p->out->count && at >= from && at < to; n++) {
            ordinals[n] = at;
            at = p->backwards ? last_bit(p->all, from, at) : next_bit(p->all, at + 1, to);
        }
        e = ids_of(p, g, ordinals, n, ids);
        if (!e)
            e = take_batch(p, p->backwards ? &log_some_back : &log_some, ids, n);
        if (e)
            return e;
    }
    return OK;
}

static enum err from_index(struct page *p, const struct search_segment *g)
{
    int64_t  from = 0, to = g->count;
    enum err e = g->count > 0 && g->count <= GRAMS_ORDINALS_MAX ? candidates(p, g) : ERR_INVALID;

    if (!e && p->low >= g->first)
        e = ordinal_of(p, g, p->low + 1, &from);
    if (!e && p->high <= g->last)
        e = ordinal_of(p, g, p->high, &to);
    return e ? e : take_candidates(p, g, from, to > g->count ? g->count : to);
}

/* A broken one is as if it were not there: its texts are read, and it is made anew. */
static enum err from_segment(struct page *p, int at)
{
    const struct search_segment *g = &p->segments.all[at];
    int                          count = p->out->count;
    struct found                 found = { 0 };
    enum err                     e;

    if (g->count == 0 || g->last <= p->low || g->first >= p->high || full(p))
        return OK;
    e = from_index(p, g);
    if (e != ERR_INVALID)
        return e;
    p->out->count = count;
    p->q->broken = g->segment;
    e = scan(p, &log_back, g->first - 1, g->last + 1, &found);
    return e ? e : take_found(p, &found);
}

/* ---- all together ---- */

static enum err scan_tail(struct page *p, struct found *found)
{
    int64_t  last = p->segments.count ? p->segments.all[p->segments.count - 1].last : 0;
    int64_t  upto = last > p->low ? last : p->low;       /* an edit before the range is of something before the range */
    enum err e = scan(p, &tail_back, p->settled > upto ? p->settled : upto, INT64_MAX, found);

    return e ? e : scan(p, &log_back, upto, p->settled == INT64_MAX ? INT64_MAX : p->settled + 1, found);
}

static enum err walk(struct page *p)
{
    struct found found = { 0 };
    enum err     e = scan_tail(p, &found);

    for (int i = 0; i < p->segments.count && !e; i++)
        e = from_segment(p, p->backwards ? p->segments.count - 1 - i : i);
    return e || p->backwards ? e : take_found(p, &found);
}

enum err search_page(struct db_conn *c, struct arena *a, const struct archive_filter *f, int64_t low, int64_t high, int64_t settled,
                     int max, bool backwards, struct archive_page *out)
{
    struct page p = { .c = c, .arena = a, .f = f, .q = f->search, .out = out, .low = low, .high = high, .settled = settled,
                      .limit = max + 1, .backwards = backwards };
    int64_t     most = 0;
    enum err    e;

    p.q->tail = 0;
    p.q->broken = 0;
    if (f->peer == -1)
        return OK;
    arena_init(&p.scratch);
    search_edits_init(&p.edits, a);
    e = search_segments_read(c, a, f->owner, &p.segments);
    for (int i = 0; i < p.segments.count; i++) {
        search_hides_read(p.segments.all[i].hides, &p.edits);
        most = p.segments.all[i].count > most ? p.segments.all[i].count : most;
    }
    most = (most < GRAMS_ORDINALS_MAX ? most : GRAMS_ORDINALS_MAX) / 64 + 1;
    p.all = arena_alloc(a, sizeof *p.all * (size_t)most);
    p.one = arena_alloc(a, sizeof *p.one * (size_t)most);
    if (!e)
        e = walk(&p);
    arena_done(&p.scratch);
    return e;
}

enum err search_count(struct db_conn *c, const struct archive_filter *asked, int64_t *out)
{
    struct archive_filter f = *asked;
    struct archive_page   page;
    struct arena          a;
    enum err              e = OK;

    arena_init(&a);
    for (*out = 0; *out < SEARCH_COUNT_MAX;) {
        e = archive_read(c, &a, &f, ARCHIVE_PAGE_MAX, false, &page);
        if (e || page.missing)
            break;
        *out += page.count;
        if (page.complete || page.count == 0)
            break;
        f.after_id = page.rows[page.count - 1].id;
        arena_reset(&a);
    }
    arena_done(&a);
    return e;
}
