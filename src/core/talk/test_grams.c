/* test_grams.c: lists are what they were made of, however they are packed and merged; and a word's grams are in every text that
 * holds the word.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/test.h"
#include "base/mem.h"
#include "talk/grams.h"

enum { WORDS = 64 };        /* ordinals of a segment here, in 64-bit words */

struct chunks {
    int        count;
    int64_t    ats[4096];
    struct str bodies[4096];
    struct arena arena;
};

static void keep(void *arg, int64_t at, struct str body)
{
    struct chunks *c = arg;

    c->ats[c->count] = at;
    c->bodies[c->count++] = arena_str(&c->arena, body);
}

static bool marked(struct test *t, const struct chunks *c, struct gram_range r, uint64_t bits[WORDS])
{
    memset(bits, 0, sizeof *bits * WORDS);
    for (int i = 0; i < c->count; i++)
        if (!CHECK_OK(t, chunk_mark(c->ats[i], c->bodies[i], r, bits, WORDS * 64)))
            return false;
    return true;
}

static void fill(struct gram_places *g, uint32_t from, uint32_t to, uint64_t model[][WORDS], uint32_t base)
{
    for (uint32_t o = from; o < to; o++)
        for (int n = rand() % 12; n > 0; n--) {
            int64_t gram = rand() % 3 ? rand() % 20 : rand() % 500;

            gram_places_add(g, gram, o - base);
            model[gram][o / 64] |= 1ull << o % 64;
        }
}

static void all_lists_are_right(struct test *t, const struct chunks *c, uint64_t model[][WORDS])
{
    uint64_t bits[WORDS];

    for (int gram = 0; gram < 500; gram++) {
        if (!marked(t, c, (struct gram_range){ gram, gram }, bits))
            return;
        CHECK(t, memcmp(bits, model[gram], sizeof bits) == 0);
    }
}

static void lists_are_what_they_were_made_of(struct test *t)
{
    static uint64_t model[500][WORDS];
    static struct chunks c;
    uint32_t        numbers[WORDS * 64];
    struct gram_places g = { 0 };

    srand(7);
    memset(model, 0, sizeof model);
    arena_init(&c.arena);
    for (uint32_t i = 0; i < WORDS * 64; i++)
        numbers[i] = i;
    fill(&g, 0, WORDS * 64, model, 0);
    c.count = 0;
    grams_write(&g, numbers, WORDS * 64, keep, &c);
    CHECK(t, c.count > 3);
    all_lists_are_right(t, &c, model);
    gram_places_free(&g);
    arena_done(&c.arena);
}

static void merged_lists_are_one_behind_the_other(struct test *t)
{
    static uint64_t model[500][WORDS];
    static struct chunks part[3], all;
    uint32_t             ends[4] = { 0, 700, 701, WORDS * 64 };
    uint32_t             numbers[WORDS * 64];
    struct gram_source   sources[3];

    srand(8);
    memset(model, 0, sizeof model);
    arena_init(&all.arena);
    for (uint32_t i = 0; i < WORDS * 64; i++)
        numbers[i] = i;
    for (int i = 0; i < 3; i++) {
        struct gram_places g = { 0 };

        arena_init(&part[i].arena);
        part[i].count = 0;
        fill(&g, ends[i], ends[i + 1], model, ends[i]);
        grams_write(&g, numbers, WORDS * 64, keep, &part[i]);
        gram_places_free(&g);
        sources[i] = (struct gram_source){ ends[i], part[i].count, part[i].ats, part[i].bodies };
    }
    all.count = 0;
    CHECK_OK(t, grams_merge(sources, 3, keep, &all));
    all_lists_are_right(t, &all, model);
    for (int i = 0; i < 3; i++)
        arena_done(&part[i].arena);
    arena_done(&all.arena);
}

static void ids_come_back(struct test *t)
{
    static struct chunks c;
    int64_t ids[300], back[GRAMS_IDS_BLOCK];
    int     n;

    arena_init(&c.arena);
    c.count = 0;
    for (int i = 0; i < 300; i++)
        ids[i] = 1700000000000000 + (int64_t)i * i * 1000003;
    grams_write_ids(ids, 300, keep, &c);
    CHECK_INT(t, 3, c.count);
    for (int i = 0; i < 300; i++) {
        CHECK_OK(t, chunk_ids(c.bodies[i / GRAMS_IDS_BLOCK], back, &n));
        CHECK_INT(t, ids[i], back[i % GRAMS_IDS_BLOCK]);
    }
    arena_done(&c.arena);
}

/* ---- words ---- */

struct seen { int count; int64_t grams[4096]; };

static void see(void *arg, int64_t gram)
{
    struct seen *s = arg;

    s->grams[s->count++] = gram;
}

static bool all_there(const struct seen *s, const struct gram_range *r, int count)
{
    for (int i = 0; i < count; i++) {
        bool any = false;

        for (int k = 0; k < s->count; k++)
            any |= s->grams[k] >= r[i].low && s->grams[k] <= r[i].high;
        if (!any)
            return false;
    }
    return true;
}

static int random_text(char *out, int letters)
{
    static const char *const some[] = { "학", "교", "a", "b", "漢", "é", "ㅋ", "🎉", "1" };
    int                      n = 0;

    for (int i = 0; i < letters; i++)
        n += sprintf(out + n, "%s", some[rand() % 9]);
    return n;
}

static void a_words_grams_are_in_every_text_that_holds_it(struct test *t)
{
    srand(9);
    for (int round = 0; round < 5000; round++) {
        char              text[512], word[256];
        struct gram_range r[32];
        static struct seen s;
        int               n = random_text(text, rand() % 6), w = random_text(word, 1 + rand() % 7), count;

        memcpy(text + n, word, (size_t)w);
        n += w;
        n += random_text(text + n, rand() % 6);
        if (rand() % 3 == 0)
            text[n++] = ' ';
        n += random_text(text + n, rand() % 3);
        s.count = 0;
        grams_of_text(str_make(text, (size_t)n), see, &s);
        count = grams_of_word(str_make(word, (size_t)w), r, 32);
        CHECK(t, count > 0);
        if (!CHECK(t, all_there(&s, r, count)))
            printf("text \"%.*s\", word \"%.*s\"\n", n, text, w, word);
    }
}

static void other_texts_have_them_seldom(struct test *t)
{
    struct gram_range r[8];
    static struct seen s;

    s.count = 0;
    grams_of_text(STR("학원 교실"), see, &s);
    CHECK_INT(t, 1, grams_of_word(STR("학교"), r, 8));
    CHECK(t, !all_there(&s, r, 1));
    CHECK_INT(t, 1, grams_of_word(STR("학"), r, 8));
    CHECK(t, all_there(&s, r, 1));
    CHECK_INT(t, 3, grams_of_word(STR("hello"), r, 8));
}

static void a_broken_chunk_is_an_error(struct test *t)
{
    uint64_t bits[1] = { 0 };
    int64_t  ids[GRAMS_IDS_BLOCK];
    int      n;

    CHECK_INT(t, ERR_INVALID, chunk_mark(0, STR("\x05\x40zz"), (struct gram_range){ 0, 9 }, bits, 64));
    CHECK_INT(t, ERR_INVALID, chunk_mark(0, STR("\xff"), (struct gram_range){ 0, 9 }, bits, 64));
    CHECK_INT(t, ERR_INVALID, chunk_ids(STR("\x81"), ids, &n));
}

TEST_MAIN(TEST(lists_are_what_they_were_made_of), TEST(merged_lists_are_one_behind_the_other), TEST(ids_come_back),
          TEST(a_words_grams_are_in_every_text_that_holds_it), TEST(other_texts_have_them_seldom), TEST(a_broken_chunk_is_an_error))
