/* test_arena.c: arenas.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/arena.h"
#include "base/test.h"

static void every_piece_is_aligned_and_its_own(struct test *t)
{
    struct arena a;
    char        *pieces[200];

    arena_init(&a);
    for (int i = 0; i < 200; i++) {
        pieces[i] = arena_alloc(&a, (size_t)i * 7);
        CHECK(t, (uintptr_t)pieces[i] % 16 == 0);
        memset(pieces[i], i, (size_t)i * 7);
    }
    for (int i = 1; i < 200; i++)
        CHECK_INT(t, i, (unsigned char)pieces[i][i * 7 - 1]);
    arena_done(&a);
}

static void pieces_larger_than_a_block_work(struct test *t)
{
    struct arena a;
    char        *p;

    arena_init(&a);
    CHECK_STR(t, "small", arena_str(&a, STR("small")));
    p = arena_zalloc(&a, 1 << 20);
    CHECK_INT(t, 0, p[(1 << 20) - 1]);
    CHECK_STR(t, "after", arena_str(&a, STR("after")));
    arena_done(&a);
}

static void reset_keeps_one_block_and_counts_anew(struct test *t)
{
    struct arena a;
    void        *first;

    arena_init(&a);
    first = arena_alloc(&a, 10);
    for (int i = 0; i < 100; i++)
        arena_alloc(&a, 60000);
    CHECK(t, a.used_bytes > 5000000);
    arena_reset(&a);
    CHECK_INT(t, 0, a.used_bytes);
    CHECK(t, arena_alloc(&a, 10) == first);
    CHECK_INT(t, 16, a.used_bytes);
    arena_done(&a);
    arena_alloc(&a, 1);     /* usable again */
    arena_done(&a);
    arena_done(&a);
}

static void copies_end_in_nul(struct test *t)
{
    struct arena a;
    struct str   s;

    arena_init(&a);
    s = arena_str(&a, str_make("alice@town", 5));
    CHECK_INT(t, 0, strcmp("alice", s.p));
    s = arena_str(&a, STR_NULL);
    CHECK(t, s.p && s.p[0] == '\0');
    CHECK_STR(t, "7 of 9", arena_printf(&a, "%d of %d", 7, 9));
    arena_done(&a);
}

TEST_MAIN(TEST(every_piece_is_aligned_and_its_own), TEST(pieces_larger_than_a_block_work),
          TEST(reset_keeps_one_block_and_counts_anew), TEST(copies_end_in_nul))
