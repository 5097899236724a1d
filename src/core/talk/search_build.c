/* search_build.c: the work at the search index, on one connection: what there is to do, reading texts, merging, writing. The
 * order of these is search_run.c's; search_step takes them one after the other.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/search_job.h"
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/digest.h"

enum {
    MERGE_COUNT = 8,
    READ_STEP = 1024,               /* texts read by one turn of a worker */
    SWEEP_OWNERS = 20,
    TRASH_AFTER_S = 60, UNPUBLISHED_AFTER_S = 3600,
    LONG_TEXT = 2048,               /* letters */
    LOCATE_ROWS = 5000,             /* how far back the message is looked for that an edit names */
};

struct index_record { int64_t id, peer; uint64_t edits, names[SEARCH_NAMES_MAX]; int name_count; };

/* ---- looking for work ---- */

static struct db_sql wanted_select = { "SELECT made FROM search_wanted WHERE one = 1" };
static struct db_sql owner_next = { "SELECT min(owner) FROM log WHERE owner > ?1" };
static struct db_sql log_grown = {
    "SELECT count(*), max(id) FROM (SELECT id FROM log WHERE owner = ?1 AND id > ?2 ORDER BY id LIMIT ?3) AS grown" };

static int level_of(int64_t count)
{
    return count < INDEX_MIDDLE ? 0 : count < INDEX_LARGE ? 1 : count < GRAMS_ORDINALS_MAX ? 2 : 3;
}

static bool find_old(struct index_job *j)
{
    for (int i = j->segments.count - 1; i >= 0; i--)
        if (j->segments.all[i].made < j->made) {
            j->kind = KIND_RENEW;
            j->from = i;
            j->count = 1;
            j->begin = i ? j->segments.all[i - 1].last : 0;
            j->end = j->segments.all[i].last;
            j->room = GRAMS_ORDINALS_MAX;
            return true;
        }
    return false;
}

/* The newest eight neighbours of one level; fewer when eight would be too much for one. */
static bool find_merge(struct index_job *j)
{
    for (int i = j->segments.count - MERGE_COUNT; i >= 0; i--) {
        const struct search_segment *g = &j->segments.all[i];
        int64_t                      sum = 0, chunks = 0;
        int                          n = 0, fits = 0;

        for (; n < MERGE_COUNT && level_of(g[n].count) == level_of(g[0].count); n++) {
            sum += g[n].count;
            chunks += g[n].chunks;
            fits += sum <= GRAMS_ORDINALS_MAX && chunks <= INDEX_CHUNKS_MAX;
        }
        if (n < MERGE_COUNT || fits < 2)
            continue;
        j->kind = KIND_MERGE;
        j->from = i;
        j->count = fits;
        return true;
    }
    return false;
}

static enum err find_growth(struct db_conn *c, struct index_job *j)
{
    int64_t         last = j->segments.count ? j->segments.all[j->segments.count - 1].last : 0, grown;
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &log_grown, "iii", j->owner, last, (int64_t)INDEX_LARGE);

    grown = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    j->room = grown >= INDEX_LARGE ? INDEX_LARGE : grown >= INDEX_MIDDLE ? INDEX_MIDDLE : INDEX_SMALL;
    if (!e && grown >= (j->busy ? INDEX_LARGE : INDEX_SMALL)) {
        j->kind = KIND_BUILD;
        j->begin = last;
        j->end = INT64_MAX;
        j->from = j->count = 0;
    }
    return e;
}

static enum err look_at(struct db_conn *c, struct index_job *j)
{
    enum err e = search_segments_read(c, &j->arena, j->owner, &j->segments);

    j->kind = KIND_NOTHING;
    if (!e && !j->busy && (find_old(j) || find_merge(j)))
        return OK;
    return e ? e : find_growth(c, j);
}

static enum err wanted_read(struct db_conn *c, struct index_job *j)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &wanted_select, "");

    j->made = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

static enum err next_owner(struct db_conn *c, struct index_job *j)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &owner_next, "i", j->owner);

    j->swept = e || db_is_null(s, 0);
    if (!j->swept)
        j->owner = db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

enum err index_look(struct db_conn *c, struct db_read *r)
{
    struct index_job *j = LIST_ITEM(r, struct index_job, read);
    enum err    e = wanted_read(c, j);

    if (j->sweeping && j->resting && j->made == j->made_before)
        return e;
    for (int i = 0; j->sweeping && i < SWEEP_OWNERS && !e; i++) {
        arena_reset(&j->arena);
        e = next_owner(c, j);
        if (e || j->swept)
            return e;
        e = look_at(c, j);
        if (j->kind != KIND_NOTHING)
            return e;
    }
    return e || j->sweeping ? e : look_at(c, j);
}

/* ---- reading texts ---- */

static struct db_sql texts = {
    "SELECT l.id, l.peer, m.stanza, m.name FROM log l CROSS JOIN message m ON m.id = l.id"
    " WHERE l.owner = ?1 AND l.id > ?2 AND l.id <= ?3 ORDER BY l.id LIMIT ?4" };
static struct db_sql texts_back = {
    "SELECT l.id, l.peer, m.stanza, m.name FROM log l CROSS JOIN message m ON m.id = l.id"
    " WHERE l.owner = ?1 AND l.id < ?2 ORDER BY l.id DESC LIMIT ?3" };

struct adding { struct index_job *j; uint32_t ordinal; };

static void add_gram(void *arg, int64_t gram)
{
    struct adding *a = arg;

    gram_places_add(&a->j->places, gram, a->ordinal);
}

static void look_row(struct index_job *j, struct db_stmt *s, struct searched *m)
{
    int64_t id = db_i64(s, 0);

    arena_reset(&j->scratch);
    search_look(&j->scratch, db_text(s, 2), db_i64(s, 3) ? db_i64(s, 3) : id, j->key, m);
}

static void read_row(struct index_job *j, struct db_stmt *s)
{
    struct adding   a = { j, (uint32_t)j->record_count };
    size_t          places = j->places.count;
    struct searched m;
    struct index_record  *r;

    look_row(j, s, &m);
    if (j->record_count == j->record_cap) {
        j->record_cap = j->record_cap ? j->record_cap * 2 : 1024;
        j->records = mem_resize(j->records, sizeof *j->records * (size_t)j->record_cap);
    }
    r = &j->records[j->record_count++];
    *r = (struct index_record){ .id = db_i64(s, 0), .peer = db_i64(s, 1), .edits = m.edits, .name_count = m.name_count };
    memcpy(r->names, m.names, sizeof r->names);
    if (m.edits) {
        search_hides_put(&j->hides, m.edits, r->id);
        search_edits_add(&j->edits, m.edits, r->id);
    }
    if (m.folded.len == 0)
        return;
    add_gram(&a, gram_of_peer(r->peer));
    grams_of_text(m.folded, add_gram, &a);
    if (j->places.count - places > LONG_TEXT)
        gram_places_thin(&j->places, places);
}

static bool hidden(const struct index_job *j, const struct index_record *r)
{
    struct searched m = { .name_count = r->name_count };

    memcpy(m.names, r->names, sizeof m.names);
    return search_edits_hide(&j->edits, &m, r->id);
}

/* Edits of this build whose message is not in it. */
static size_t unresolved(struct index_job *j, struct search_edits *out)
{
    struct search_edits here;

    search_edits_init(&here, &j->arena);
    search_edits_init(out, &j->arena);
    for (int i = 0; i < j->record_count; i++)
        for (int n = 0; n < j->records[i].name_count && !j->records[i].edits; n++)
            search_edits_add(&here, j->records[i].names[n], 1);
    for (int i = 0; i < j->record_count; i++) {
        struct searched m = { .name_count = 1, .names = { j->records[i].edits } };

        if (j->records[i].edits && !search_edits_hide(&here, &m, 0))
            search_edits_add(out, j->records[i].edits, j->records[i].id);
    }
    return out->count;
}

/* What an edit names may be in an older segment, which is then made anew without it. */
static enum err locate(struct db_conn *c, struct index_job *j)
{
    struct search_edits wanted;
    size_t              left = j->kind == KIND_BUILD && j->hides.len ? unresolved(j, &wanted) : 0;
    struct db_stmt     *s = left ? db_prepare(c, &texts_back) : NULL;
    enum err            e = ERR_NOT_FOUND;

    if (!s)
        return left ? ERR_BUG : OK;
    db_bind_i64(s, 1, j->owner);
    db_bind_i64(s, 2, j->begin + 1);
    db_bind_i64(s, 3, LOCATE_ROWS);
    while (left && j->stale_count < INDEX_STALE_MAX && (e = db_step(s)) == OK) {
        struct searched m;

        look_row(j, s, &m);
        if (!search_edits_hide(&wanted, &m, db_i64(s, 0)))
            continue;
        if (m.folded.len)
            j->stale[j->stale_count++] = db_i64(s, 0);
        left -= !m.edits;
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- what is written ---- */

static void keep_chunk(void *arg, int64_t at, struct str body)
{
    struct index_job *j = arg;

    if (j->chunk_count == j->chunk_cap) {
        j->chunk_cap = j->chunk_cap ? j->chunk_cap * 2 : 64;
        j->chunks = mem_resize(j->chunks, sizeof *j->chunks * (size_t)j->chunk_cap);
    }
    j->chunks[j->chunk_count++] = (struct index_chunk){ at, arena_str(&j->arena, body) };
}

/* Those that say nothing that could be found have no number in the segment. */
static void write_segment(struct index_job *j)
{
    uint32_t *numbers = mem_new(sizeof *numbers * (size_t)(j->record_count + 1));
    int64_t  *ids = mem_new(sizeof *ids * (size_t)(j->record_count + 1));
    uint8_t  *spoken = mem_new((size_t)j->record_count + 1);
    uint32_t  count = 0;

    for (size_t i = 0; i < j->places.count; i++)
        spoken[j->places.p[i].ordinal] = 1;
    for (int i = 0; i < j->record_count; i++) {
        numbers[i] = UINT32_MAX;
        if (!spoken[i] || hidden(j, &j->records[i]))
            continue;
        ids[count] = j->records[i].id;
        numbers[i] = count++;
    }
    grams_write_ids(ids, count, keep_chunk, j);
    grams_write(&j->places, numbers, (size_t)j->record_count, keep_chunk, j);
    j->fresh.count = count;
    j->fresh.first = j->record_count ? j->records[0].id : 0;
    if (j->kind == KIND_BUILD)
        j->fresh.last = j->record_count ? j->records[j->record_count - 1].id : 0;
    free(numbers);
    free(ids);
    free(spoken);
}

/* A build may end at any message; what is made anew holds no more than it was. */
static bool build_is_full(const struct index_job *j)
{
    return j->kind == KIND_BUILD && j->places.count >= INDEX_PLACES_MAX;
}

static enum err read_texts(struct db_conn *c, struct db_read *read)
{
    struct index_job     *j = LIST_ITEM(read, struct index_job, read);
    struct db_stmt *s = db_prepare(c, &texts);
    int64_t         left = j->room - j->record_count, rows = 0, step = left < READ_STEP ? left : READ_STEP;
    enum err        e = OK;

    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, j->owner);
    db_bind_i64(s, 2, j->record_count ? j->records[j->record_count - 1].id : j->begin);
    db_bind_i64(s, 3, j->end);
    db_bind_i64(s, 4, step);
    while (!build_is_full(j) && (e = db_step(s)) == OK) {
        read_row(j, s);
        rows++;
    }
    db_done(s);
    if (e && e != ERR_NOT_FOUND)
        return e;
    j->read_all = rows < step || j->record_count >= j->room;
    if (!j->read_all)
        return OK;
    e = locate(c, j);
    if (!e)
        write_segment(j);
    return e;
}

/* ---- merging ---- */

static struct db_sql chunks_all = { "SELECT at, body FROM search_chunk WHERE owner = ?1 AND segment = ?2 ORDER BY at" };

struct merging {
    struct gram_source sources[GRAMS_SOURCES_MAX];
    int64_t           *ids;
    size_t             id_count;
};

static enum err source_chunk(struct index_job *j, struct merging *m, struct gram_source *g, int *cap, int64_t at, struct str body)
{
    int      count = 0;
    enum err e;

    if (at < GRAM_PEER_FIRST) {
        if (m->id_count + GRAMS_IDS_BLOCK > GRAMS_ORDINALS_MAX + GRAMS_IDS_BLOCK)
            return ERR_INVALID;
        e = chunk_ids(body, m->ids + m->id_count, &count);
        m->id_count += (size_t)count;
        return e;
    }
    if (g->chunk_count == *cap) {
        *cap = *cap ? *cap * 2 : 64;
        g->ats = mem_resize(g->ats, sizeof *g->ats * (size_t)*cap);
        g->bodies = mem_resize(g->bodies, sizeof *g->bodies * (size_t)*cap);
    }
    g->ats[g->chunk_count] = at;
    g->bodies[g->chunk_count++] = arena_str(&j->scratch, body);
    return OK;
}

static enum err source_read(struct db_conn *c, struct index_job *j, struct merging *m, int i)
{
    const struct search_segment *from = &j->segments.all[j->from + i];
    struct gram_source          *g = &m->sources[i];
    size_t                       before = m->id_count;
    struct db_stmt              *s = db_prepare(c, &chunks_all);
    int                          cap = 0;
    enum err                     e, broken = OK;

    if (!s)
        return ERR_BUG;
    g->base = (uint32_t)before;
    db_bind_i64(s, 1, j->owner);
    db_bind_i64(s, 2, from->segment);
    while ((e = db_step(s)) == OK && !broken)
        broken = source_chunk(j, m, g, &cap, db_i64(s, 0), db_blob(s, 1));
    db_done(s);
    if (broken || (e == ERR_NOT_FOUND && (int64_t)(m->id_count - before) != from->count))
        return ERR_INVALID;
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err merge(struct db_conn *c, struct db_read *read)
{
    struct index_job    *j = LIST_ITEM(read, struct index_job, read);
    struct merging m = { .ids = mem_new(sizeof *m.ids * (GRAMS_ORDINALS_MAX + GRAMS_IDS_BLOCK)) };
    enum err       e = OK;

    arena_reset(&j->scratch);
    for (int i = 0; i < j->count && !e; i++)
        e = source_read(c, j, &m, i);
    if (!e) {
        grams_write_ids(m.ids, m.id_count, keep_chunk, j);
        e = grams_merge(m.sources, j->count, keep_chunk, j);
    }
    j->fresh.count = (int64_t)m.id_count;
    for (int i = 0; i < j->count; i++) {
        const struct search_segment *g = &j->segments.all[j->from + i];

        buf_put_str(&j->hides, g->hides);
        free(m.sources[i].ats);
        free(m.sources[i].bodies);
    }
    j->fresh.first = j->segments.all[j->from].first;
    j->read_all = true;
    free(m.ids);
    return e;
}

/* ---- writing ---- */

static struct db_sql trash_put = { "INSERT INTO search_trash(segment, owner, after_us) VALUES (?1, ?2, ?3)" };
static struct db_sql trash_take = { "DELETE FROM search_trash WHERE segment = ?1" };
static struct db_sql trash_has = { "SELECT 1 FROM search_trash WHERE segment = ?1" };
static struct db_sql chunk_put = { "INSERT INTO search_chunk(owner, segment, at, body) VALUES (?1, ?2, ?3, ?4)" };
static struct db_sql segment_is = { "SELECT 1 FROM search_segment WHERE owner = ?1 AND last = ?2 AND segment = ?3 AND made = ?4" };
static struct db_sql segment_last = { "SELECT coalesce(max(last), 0) FROM search_segment WHERE owner = ?1" };
static struct db_sql log_has = { "SELECT 1 FROM log WHERE owner = ?1 AND id = ?2" };
static struct db_sql segment_take = { "DELETE FROM search_segment WHERE owner = ?1 AND last = ?2" };
static struct db_sql segment_put = {
    "INSERT INTO search_segment(owner, last, first, count, segment, made, chunks, hides) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)" };
static struct db_sql segment_stale = { "UPDATE search_segment SET made = 0 WHERE owner = ?1 AND first <= ?2 AND last >= ?2" };

enum err index_write_chunks(struct db_conn *c, struct change *ch)
{
    struct index_job *j = LIST_ITEM(ch, struct index_job, change);
    enum err    e = OK;

    if (j->written == 0)
        e = db_run(c, &trash_put, "iii", j->fresh.segment, j->owner, clock_us() + UNPUBLISHED_AFTER_S * 1000000LL);
    for (int i = j->written; i < j->chunk_count && i < j->written + INDEX_WRITE_STEP && !e; i++)
        e = db_run(c, &chunk_put, "iiib", j->owner, j->fresh.segment, j->chunks[i].at, j->chunks[i].body);
    return e;
}

static bool is_true(struct db_conn *c, struct db_sql *sql, const char *types, int64_t a, int64_t b, int64_t d, int64_t f)
{
    struct db_stmt *s = NULL;
    enum err        e = db_get(c, &s, sql, types, a, b, d, f);

    if (s)
        db_done(s);
    return e == OK;
}

static bool still_last(struct db_conn *c, const struct index_job *j)
{
    struct db_stmt *s = NULL;
    enum err        e = db_get(c, &s, &segment_last, "i", j->owner);
    bool            same = e == OK && db_i64(s, 0) == j->begin;

    if (s)
        db_done(s);
    return same;
}

/* Nobody has changed what this began from, and its chunks are there. */
static bool still_fits(struct db_conn *c, const struct index_job *j)
{
    bool fits = is_true(c, &trash_has, "i", j->fresh.segment, 0, 0, 0);

    if (j->kind == KIND_BUILD)
        return fits && still_last(c, j) && is_true(c, &log_has, "ii", j->owner, j->fresh.last, 0, 0);
    for (int i = j->from; i < j->from + j->count && fits; i++) {
        const struct search_segment *g = &j->segments.all[i];

        fits = is_true(c, &segment_is, "iiii", j->owner, g->last, g->segment, g->made);
    }
    return fits;
}

enum err index_publish(struct db_conn *c, struct change *ch)
{
    struct index_job *j = LIST_ITEM(ch, struct index_job, change);
    enum err    e = j->t && j->t->shared ? archive_order_take(c, &j->t->order) : OK;     /* one after the other, and after who forgets */

    j->lost = !e && !still_fits(c, j);
    if (e || j->lost)
        return e;
    for (int i = j->from; i < j->from + j->count && !e; i++) {
        const struct search_segment *g = &j->segments.all[i];

        e = db_run(c, &segment_take, "ii", j->owner, g->last);
        if (!e)
            e = db_run(c, &trash_put, "iii", g->segment, j->owner, clock_us() + TRASH_AFTER_S * 1000000LL);
    }
    if (!e && (j->kind != KIND_RENEW || j->record_count))       /* also an empty one says how far the index goes */
        e = db_run(c, &segment_put, "iiiiiiib", j->owner, j->fresh.last, j->fresh.first, j->fresh.count, j->fresh.segment, j->fresh.made,
                   (int64_t)j->chunk_count, str_make(j->hides.p ? j->hides.p : "", j->hides.len));
    if (!e)
        e = db_run(c, &trash_take, "i", j->fresh.segment);
    for (int i = 0; i < j->stale_count && !e; i++)
        e = db_run(c, &segment_stale, "ii", j->owner, j->stale[i]);
    return e;
}

static struct db_sql segment_broken = { "UPDATE search_segment SET made = 0 WHERE owner = ?1 AND last >= ?2 AND last <= ?3" };

enum err index_break(struct db_conn *c, struct change *ch)
{
    struct index_job *j = LIST_ITEM(ch, struct index_job, change);

    return db_run(c, &segment_broken, "iii", j->owner, j->segments.all[j->from].last, j->segments.all[j->from + j->count - 1].last);
}

void index_reset(struct index_job *j)
{
    gram_places_free(&j->places);
    free(j->records);
    free(j->chunks);
    buf_done(&j->hides);
    j->records = NULL;
    j->chunks = NULL;
    j->record_count = j->record_cap = j->chunk_count = j->chunk_cap = j->written = j->stale_count = 0;
    arena_reset(&j->arena);
    arena_reset(&j->scratch);
}

void index_begin(struct index_job *j)
{
    j->fresh = (struct search_segment){ .segment = (int64_t)(random_u64() >> 1), .made = j->made };
    buf_init(&j->hides, 0);
    search_edits_init(&j->edits, &j->arena);
    for (int i = 0; i < j->segments.count; i++)
        search_hides_read(j->segments.all[i].hides, &j->edits);
    if (j->kind != KIND_BUILD)
        j->fresh.last = j->segments.all[j->from + j->count - 1].last;
    j->read_all = false;
}

enum err index_read(struct db_conn *c, struct db_read *r)
{
    return LIST_ITEM(r, struct index_job, read)->kind == KIND_MERGE ? merge(c, r) : read_texts(c, r);
}

/* ---- all of it at once ---- */

static enum err make_here(struct db_conn *c, struct index_job *j)
{
    enum err e = OK;

    index_begin(j);
    while (!e && !j->read_all)
        e = index_read(c, &j->read);
    if (e == ERR_INVALID && j->kind == KIND_MERGE)
        return index_break(c, &j->change);
    for (; !e && j->written < j->chunk_count; j->written += INDEX_WRITE_STEP)
        e = index_write_chunks(c, &j->change);
    if (!e && j->chunk_count == 0)
        e = index_write_chunks(c, &j->change);
    return e ? e : index_publish(c, &j->change);
}

enum err search_step(struct db_conn *c, const uint8_t key[16], int64_t owner, bool *more)
{
    struct index_job j = { .key = key, .owner = owner };
    enum err   e;

    arena_init(&j.arena);
    arena_init(&j.scratch);
    buf_init(&j.hides, 0);
    e = index_look(c, &j.read);
    *more = !e && j.kind != KIND_NOTHING;
    if (*more)
        e = make_here(c, &j);
    index_reset(&j);
    arena_done(&j.arena);
    arena_done(&j.scratch);
    return e;
}

/* ---- generations ---- */

enum err search_want_new(struct db_conn *c)
{
    static struct db_sql wanted_more = { "UPDATE search_wanted SET made = made + 1 WHERE one = 1" };

    return db_run(c, &wanted_more, "");
}

enum err search_progress(struct db_conn *c, int64_t *left, int64_t *all)
{
    static struct db_sql count = {
        "SELECT CAST(coalesce(sum(CASE WHEN g.made < w.made THEN 1 ELSE 0 END), 0) AS BIGINT), count(g.owner)"
        " FROM search_wanted w LEFT JOIN search_segment g ON 1 = 1" };
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &count, "");

    *left = e ? 0 : db_i64(s, 0);
    *all = e ? 0 : db_i64(s, 1);
    if (s)
        db_done(s);
    return e;
}

/* ---- forgetting ---- */

enum { PARTLY_GONE_AFTER_S = 86400 };

enum err search_forget(struct db_conn *c, int64_t owner, int64_t id)
{
    return db_run(c, &segment_stale, "ii", owner, id);
}

enum err search_stale(struct db_conn *c, int64_t owner, int64_t segment)
{
    static struct db_sql stale = { "UPDATE search_segment SET made = 0 WHERE owner = ?1 AND segment = ?2" };

    return db_run(c, &stale, "ii", owner, segment);
}

enum err search_forget_owner(struct db_conn *c, int64_t owner)
{
    static struct db_sql segments = { "DELETE FROM search_segment WHERE owner = ?1" };
    static struct db_sql chunks = { "DELETE FROM search_chunk WHERE owner = ?1" };
    enum err e = db_run(c, &segments, "i", owner);

    return e ? e : db_run(c, &chunks, "i", owner);
}

enum err search_forget_before(struct db_conn *c, int64_t id)
{
    static struct db_sql trash = {
        "INSERT INTO search_trash(segment, owner, after_us) SELECT segment, owner, 0 FROM search_segment WHERE last < ?1"
        " ON CONFLICT DO NOTHING" };
    static struct db_sql whole = { "DELETE FROM search_segment WHERE last < ?1" };
    static struct db_sql partly = { "UPDATE search_segment SET made = 0 WHERE first < ?1" };
    enum err e = db_run(c, &trash, "i", id);

    if (!e)
        e = db_run(c, &whole, "i", id);
    return e ? e : db_run(c, &partly, "i", id - PARTLY_GONE_AFTER_S * 1000000LL);
}
