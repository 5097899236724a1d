/* test_limits.c: token buckets and the hashing pool.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <unistd.h>
#include "base/test.h"
#include "net/pool.h"
#include "id/limits.h"

static void a_bucket_empties_and_refills(struct test *t)
{
    struct limits l;

    limits_init(&l, 3, 3000);
    CHECK(t, !limits_empty(&l, STR("10.0.0.1"), STR_NULL, 1000));
    for (int i = 0; i < 3; i++)
        CHECK(t, limits_take(&l, STR("10.0.0.1"), STR_NULL, 1000));
    CHECK(t, limits_empty(&l, STR("10.0.0.1"), STR_NULL, 1000));
    CHECK(t, !limits_take(&l, STR("10.0.0.1"), STR_NULL, 1000));
    CHECK(t, limits_empty(&l, STR("10.0.0.1"), STR_NULL, 1999));
    CHECK(t, !limits_empty(&l, STR("10.0.0.1"), STR_NULL, 2001));
    CHECK(t, limits_take(&l, STR("10.0.0.1"), STR_NULL, 2001));
    CHECK(t, limits_empty(&l, STR("10.0.0.1"), STR_NULL, 2001));
    limits_done(&l);
}

static void buckets_do_not_mix(struct test *t)
{
    struct limits l;

    limits_init(&l, 1, 60000);
    CHECK(t, limits_take(&l, STR("a"), STR("bc"), 0));
    CHECK(t, limits_empty(&l, STR("a"), STR("bc"), 0));
    CHECK(t, !limits_empty(&l, STR("ab"), STR("c"), 0));
    CHECK(t, !limits_empty(&l, STR("a"), STR("b"), 0));
    limits_done(&l);
}

static void zero_means_no_limit(struct test *t)
{
    struct limits l;

    limits_init(&l, 0, 1000);
    for (int i = 0; i < 1000; i++)
        CHECK(t, limits_take(&l, STR("a"), STR_NULL, 0));
    CHECK(t, !limits_empty(&l, STR("a"), STR_NULL, 0));
    limits_done(&l);
}

/* A flood of addresses that each fail once does not wash out one that is at its limit. */
static void a_flood_does_not_free_the_guilty(struct test *t)
{
    struct limits l;
    char name[32];

    limits_init(&l, 10, 1000000);
    for (int i = 0; i < 10; i++)
        limits_take(&l, STR("guilty"), STR_NULL, 0);
    for (int i = 0; i < 4 * LIMITS_ROWS * LIMITS_ROW_BUCKETS; i++) {
        snprintf(name, sizeof name, "10.%d", i);
        limits_take(&l, str_of(name), STR_NULL, 0);
    }
    CHECK(t, limits_empty(&l, STR("guilty"), STR_NULL, 0));
    limits_done(&l);
}

struct sleeper {
    struct pool_job job;
    int             fd;             /* read end: work waits for a byte */
    int            *order;          /* counts how many are done */
    enum err        e;
    int             done_at;
};

static void sleep_work(struct pool_job *j)
{
    struct sleeper *s = LIST_ITEM(j, struct sleeper, job);
    char c;

    if (s->fd >= 0 && read(s->fd, &c, 1) < 0)
        s->done_at = -1;
}

static void sleep_done(struct pool_job *j, enum err e)
{
    struct sleeper *s = LIST_ITEM(j, struct sleeper, job);

    s->e = e;
    s->done_at = ++*s->order;
}

static void the_pool_is_bounded_and_ends_in_order(struct test *t)
{
    static struct sleeper s[POOL_QUEUE_MAX + 2];
    struct loop *l = loop_new();
    struct pool *p = NULL;
    int ends[2], order = 0, refused = 0, closed = 0;

    CHECK(t, pipe(ends) == 0);
    CHECK_OK(t, pool_new(l, 1, &p));
    /* The thread may or may not have taken the first yet: at most one more than the queue fits. */
    for (int i = 0; i < POOL_QUEUE_MAX + 2; i++) {
        s[i] = (struct sleeper){ .job = { .work = sleep_work, .done = sleep_done }, .fd = i == 0 ? ends[0] : -1,
                                 .order = &order };
        if (pool_add(p, &s[i].job) == ERR_LIMIT)
            refused++;
    }
    CHECK(t, refused == 1 || refused == 2);
    CHECK(t, write(ends[1], "x", 1) == 1);
    while (order < 10)
        loop_round(l, 100);
    CHECK_OK(t, s[0].e);
    CHECK_INT(t, 1, s[0].done_at);
    pool_free(&p);
    CHECK_INT(t, POOL_QUEUE_MAX + 2 - refused, order);
    for (int i = 0; i < POOL_QUEUE_MAX; i++)
        closed += s[i].e == ERR_CLOSED;
    CHECK(t, closed < POOL_QUEUE_MAX);
    loop_round(l, 0);
    loop_free(&l);
    close(ends[0]);
    close(ends[1]);
}

TEST_MAIN(TEST(a_bucket_empties_and_refills), TEST(buckets_do_not_mix), TEST(zero_means_no_limit),
          TEST(a_flood_does_not_free_the_guilty), TEST(the_pool_is_bounded_and_ends_in_order))
