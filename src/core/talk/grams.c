/* grams.c: see grams.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/grams.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "wire/fold.h"

enum { LETTER_BITS = 21, VARINT_BYTES_MAX = 10, WORD_MAX = 256 };

/* ---- of a text ---- */

/* Letters that tell so much that two of them are enough. */
static bool is_wide(uint32_t c)
{
    return (c >= 0x1100 && c <= 0x11FF) || (c >= 0x2E80 && c <= 0xD7FF) || (c >= 0xF900 && c <= 0xFAFF) || c >= 0x1F000;
}

static int letters_of(uint32_t first)
{
    return is_wide(first) ? 2 : 3;
}

static int64_t gram_make(const uint32_t *letters, int count)
{
    int64_t g = 0;

    for (int i = 0; i < 3; i++)
        g = g << LETTER_BITS | (i < count ? letters[i] : 0);
    return g;
}

/* The letters up to the first white space; reads at most `max` of them. */
static int read_word(struct str s, uint32_t *out, int max)
{
    size_t at = 0;
    int    n = 0;

    while (at < s.len && n < max) {
        uint32_t c = fold_next(s, &at);

        if (fold_is_space(c))
            break;
        out[n++] = c;
    }
    return n;
}

static void emit(const uint32_t *letters, int left, gram_fn *fn, void *arg)
{
    int wanted = letters_of(letters[0]);

    fn(arg, gram_make(letters, wanted < left ? wanted : left));
}

void grams_of_text(struct str s, gram_fn *fn, void *arg)
{
    uint32_t window[3];
    int      n = 0;

    for (size_t at = 0; at < s.len || n;) {
        uint32_t c = at < s.len ? fold_next(s, &at) : ' ';

        if (fold_is_space(c)) {
            for (int i = 0; i < n; i++)
                emit(window + i, n - i, fn, arg);
            n = 0;
            continue;
        }
        window[n++] = c;
        if (n == 3) {
            emit(window, n, fn, arg);
            window[0] = window[1];
            window[1] = window[2];
            n = 2;
        }
    }
}

static struct gram_range exactly(int64_t gram)
{
    return (struct gram_range){ gram, gram };
}

static struct gram_range beginning(const uint32_t *letters, int count)
{
    int64_t low = gram_make(letters, count);

    return (struct gram_range){ low, low | ((1LL << (3 - count) * LETTER_BITS) - 1) };
}

int grams_of_word(struct str s, struct gram_range *out, int max)
{
    uint32_t run[WORD_MAX];
    int      n = read_word(s, run, WORD_MAX), found = 0, covered = 0;

    for (int i = 0; i < n && found < max && covered < n; i++) {
        int letters = letters_of(run[i]);

        if (letters <= n - i) {
            out[found++] = exactly(gram_make(run + i, letters));
            covered = i + letters;
        } else {
            out[found++] = beginning(run + i, n - i);
            covered = n;
        }
    }
    return found;
}

/* ---- numbers ---- */

static size_t put_varint(uint8_t out[VARINT_BYTES_MAX], uint64_t v)
{
    size_t n = 0;

    for (; v >= 0x80; v >>= 7)
        out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}

static inline bool get_varint(const uint8_t **p, const uint8_t *end, uint64_t *out)
{
    uint64_t v = 0;

    for (int shift = 0; *p < end && shift < 64; shift += 7) {
        uint8_t byte = *(*p)++;

        v |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *out = v;
            return true;
        }
    }
    return false;
}

/* ---- making lists ---- */

void gram_places_add(struct gram_places *g, int64_t gram, uint32_t ordinal)
{
    if (g->count == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 4096;
        g->p = mem_resize(g->p, sizeof *g->p * g->cap);
    }
    g->p[g->count++] = (struct gram_place){ gram, ordinal };
}

static int by_gram(const void *a, const void *b)
{
    const struct gram_place *x = a, *y = b;

    if (x->gram != y->gram)
        return x->gram < y->gram ? -1 : 1;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

void gram_places_thin(struct gram_places *g, size_t from)
{
    size_t kept = from;

    qsort(g->p + from, g->count - from, sizeof *g->p, by_gram);
    for (size_t i = from; i < g->count; i++)
        if (kept == from || by_gram(&g->p[kept - 1], &g->p[i]) != 0)
            g->p[kept++] = g->p[i];
    g->count = kept;
}

void gram_places_free(struct gram_places *g)
{
    free(g->p);
    *g = (struct gram_places){ 0 };
}

struct chunk_writer {
    chunk_fn  *fn;
    void      *arg;
    struct buf body, list;
    int64_t    at, last;        /* the first gram of the chunk, the last one */
    uint32_t   last_ordinal;
    bool       open;            /* the list holds something */
};

static void writer_init(struct chunk_writer *w, chunk_fn *fn, void *arg)
{
    *w = (struct chunk_writer){ .fn = fn, .arg = arg };
    buf_init(&w->body, 0);
    buf_init(&w->list, 0);
}

static void chunk_out(struct chunk_writer *w)
{
    if (w->body.len)
        w->fn(w->arg, w->at, buf_str(&w->body));
    buf_clear(&w->body);
}

static void list_add(struct chunk_writer *w, uint32_t ordinal)
{
    uint8_t bytes[VARINT_BYTES_MAX];

    if (w->open && ordinal == w->last_ordinal)
        return;
    buf_put(&w->list, bytes, put_varint(bytes, w->open ? ordinal - w->last_ordinal : ordinal));
    w->open = true;
    w->last_ordinal = ordinal;
}

static void list_end(struct chunk_writer *w, int64_t gram)
{
    uint8_t head[2 * VARINT_BYTES_MAX];
    size_t  n;

    if (!w->open)
        return;
    if (w->body.len && w->body.len + w->list.len > GRAMS_CHUNK_BYTES)
        chunk_out(w);
    if (w->body.len == 0)
        w->at = w->last = gram;
    n = put_varint(head, (uint64_t)gram - (uint64_t)w->last);
    n += put_varint(head + n, w->list.len);
    buf_put(&w->body, head, n);
    buf_put_str(&w->body, buf_str(&w->list));
    w->last = gram;
    buf_clear(&w->list);
    w->open = false;
}

static void writer_done(struct chunk_writer *w)
{
    chunk_out(w);
    buf_done(&w->body);
    buf_done(&w->list);
}

void grams_write(struct gram_places *g, const uint32_t *numbers, size_t numbers_count, chunk_fn *fn, void *arg)
{
    struct chunk_writer w;

    qsort(g->p, g->count, sizeof *g->p, by_gram);
    writer_init(&w, fn, arg);
    for (size_t i = 0; i < g->count; i++) {
        const struct gram_place *p = &g->p[i];

        if (p->ordinal < numbers_count && numbers[p->ordinal] != UINT32_MAX)
            list_add(&w, numbers[p->ordinal]);
        if (i + 1 == g->count || g->p[i + 1].gram != p->gram)
            list_end(&w, p->gram);
    }
    writer_done(&w);
}

void grams_write_ids(const int64_t *ids, size_t count, chunk_fn *fn, void *arg)
{
    uint8_t body[GRAMS_IDS_BLOCK * VARINT_BYTES_MAX];

    for (size_t from = 0; from < count; from += GRAMS_IDS_BLOCK) {
        size_t  n = 0;
        int64_t before = 0;

        for (size_t i = from; i < count && i < from + GRAMS_IDS_BLOCK; i++) {
            n += put_varint(body + n, (uint64_t)(ids[i] - before));
            before = ids[i];
        }
        fn(arg, GRAM_IDS_FIRST + (int64_t)(from / GRAMS_IDS_BLOCK), str_make((char *)body, n));
    }
}

/* ---- merging ---- */

struct merge_cursor {
    const struct gram_source *source;
    int                       chunk;
    const uint8_t            *p, *end;       /* in the chunk: behind the entry at hand */
    const uint8_t            *list, *list_end;
    int64_t                   gram;
    bool                      over;
};

static enum err cursor_next(struct merge_cursor *c)
{
    uint64_t distance, bytes;

    while (c->p == c->end) {
        if (c->chunk == c->source->chunk_count) {
            c->over = true;
            return OK;
        }
        c->gram = c->source->ats[c->chunk];
        c->p = (const uint8_t *)c->source->bodies[c->chunk].p;
        c->end = c->p + c->source->bodies[c->chunk].len;
        c->chunk++;
    }
    if (!get_varint(&c->p, c->end, &distance) || !get_varint(&c->p, c->end, &bytes) || bytes > (uint64_t)(c->end - c->p))
        return ERR_INVALID;
    c->gram = (int64_t)((uint64_t)c->gram + distance);
    c->list = c->p;
    c->p += bytes;
    c->list_end = c->p;
    return OK;
}

static enum err list_copy(struct chunk_writer *w, const struct merge_cursor *c)
{
    uint64_t ordinal = c->source->base, distance;

    for (const uint8_t *p = c->list; p < c->list_end;) {
        if (!get_varint(&p, c->list_end, &distance))
            return ERR_INVALID;
        ordinal += distance;
        if (ordinal >= UINT32_MAX || (w->open && ordinal < w->last_ordinal))
            return ERR_INVALID;
        list_add(w, (uint32_t)ordinal);
    }
    return OK;
}

enum err grams_merge(const struct gram_source *sources, int count, chunk_fn *fn, void *arg)
{
    struct merge_cursor at[GRAMS_SOURCES_MAX];
    struct chunk_writer w;
    enum err            e = OK;

    assert(count <= GRAMS_SOURCES_MAX);
    for (int i = 0; i < count && !e; i++) {
        at[i] = (struct merge_cursor){ .source = &sources[i] };
        e = cursor_next(&at[i]);
    }
    writer_init(&w, fn, arg);
    while (!e) {
        int64_t least = INT64_MAX;
        bool    any = false;

        for (int i = 0; i < count; i++)
            if (!at[i].over && (!any || at[i].gram < least)) {
                least = at[i].gram;
                any = true;
            }
        if (!any)
            break;
        for (int i = 0; i < count && !e; i++) {
            if (at[i].over || at[i].gram != least)
                continue;
            e = list_copy(&w, &at[i]);
            if (!e)
                e = cursor_next(&at[i]);
        }
        list_end(&w, least);
    }
    writer_done(&w);
    return e;
}

/* ---- reading lists ---- */

static enum err list_mark(const uint8_t *p, const uint8_t *end, uint64_t *bits, uint32_t bit_count)
{
    uint64_t ordinal = 0, distance;

    while (p < end) {
        if (!get_varint(&p, end, &distance) || distance > UINT32_MAX)
            return ERR_INVALID;
        ordinal += distance;
        if (ordinal < bit_count)
            bits[ordinal / 64] |= 1ull << ordinal % 64;
    }
    return OK;
}

enum err chunk_mark(int64_t at, struct str body, struct gram_range range, uint64_t *bits, uint32_t bit_count)
{
    const uint8_t *p = (const uint8_t *)body.p, *end = p + body.len;
    int64_t        gram = at;

    while (p < end) {
        uint64_t distance, bytes;

        if (!get_varint(&p, end, &distance) || !get_varint(&p, end, &bytes) || bytes > (uint64_t)(end - p))
            return ERR_INVALID;
        gram = (int64_t)((uint64_t)gram + distance);
        if (gram > range.high)
            return OK;
        if (gram >= range.low && list_mark(p, p + bytes, bits, bit_count) != OK)
            return ERR_INVALID;
        p += bytes;
    }
    return OK;
}

enum err chunk_ids(struct str body, int64_t *ids, int *count)
{
    const uint8_t *p = (const uint8_t *)body.p, *end = p + body.len;
    uint64_t       id = 0, distance;

    for (*count = 0; p < end; ids[(*count)++] = (int64_t)id) {
        if (*count == GRAMS_IDS_BLOCK || !get_varint(&p, end, &distance))
            return ERR_INVALID;
        id += distance;
    }
    return OK;
}
