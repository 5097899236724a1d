/* limits.c: token buckets, set-associative.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/limits.h"
#include <stdlib.h>
#include "base/hash.h"
#include "base/mem.h"

void limits_init(struct limits *l, int burst, int64_t refill_ms)
{
    *l = (struct limits){ .burst = burst, .refill_ms = refill_ms };
    if (burst > 0)
        l->buckets = mem_new(sizeof(struct limits_bucket) * LIMITS_ROWS * LIMITS_ROW_BUCKETS);
}

void limits_done(struct limits *l)
{
    free(l->buckets);
    l->buckets = NULL;
}

static uint64_t key_of(struct str a, struct str b)
{
    uint64_t halves[2] = { hash_str(a), hash_str(b) };
    uint64_t key = hash_bytes(halves, sizeof halves);

    return key ? key : 1;
}

static double tokens_now(const struct limits *l, const struct limits_bucket *k, int64_t now_ms)
{
    double t = k->tokens + (double)(now_ms - k->at_ms) * l->burst / (double)l->refill_ms;

    return k->key == 0 || t > l->burst ? l->burst : t;
}

static struct limits_bucket *row_of(struct limits *l, uint64_t key)
{
    return l->buckets + (key % LIMITS_ROWS) * LIMITS_ROW_BUCKETS;
}

static struct limits_bucket *find(struct limits *l, uint64_t key)
{
    struct limits_bucket *row = row_of(l, key);

    for (int i = 0; i < LIMITS_ROW_BUCKETS; i++)
        if (row[i].key == key)
            return &row[i];
    return NULL;
}

static struct limits_bucket *find_or_evict(struct limits *l, uint64_t key, int64_t now_ms)
{
    struct limits_bucket *row = row_of(l, key), *best = find(l, key);

    if (best)
        return best;
    best = row;
    for (int i = 1; i < LIMITS_ROW_BUCKETS; i++)
        if (tokens_now(l, &row[i], now_ms) > tokens_now(l, best, now_ms))
            best = &row[i];
    *best = (struct limits_bucket){ .key = key, .at_ms = now_ms, .tokens = l->burst };
    return best;
}

bool limits_empty(struct limits *l, struct str a, struct str b, int64_t now_ms)
{
    struct limits_bucket *k;

    if (l->burst <= 0)
        return false;
    k = find(l, key_of(a, b));
    return k && tokens_now(l, k, now_ms) < 1;
}

bool limits_take(struct limits *l, struct str a, struct str b, int64_t now_ms)
{
    struct limits_bucket *k;

    if (l->burst <= 0)
        return true;
    k = find_or_evict(l, key_of(a, b), now_ms);
    k->tokens = tokens_now(l, k, now_ms);
    k->at_ms = now_ms;
    if (k->tokens < 1)
        return false;
    k->tokens -= 1;
    return true;
}
