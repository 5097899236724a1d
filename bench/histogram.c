/* histogram.c: log-linear buckets, 64 in each power of two.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "load.h"

static int bucket_of(uint64_t ns)
{
    if (ns < HISTOGRAM_SUB)
        return (int)ns;
    int shift = 63 - __builtin_clzll(ns) - 6;   /* 6 bits stay: 64 buckets */
    int b = (shift + 1) * HISTOGRAM_SUB + (int)((ns >> shift) - HISTOGRAM_SUB);
    return b < HISTOGRAM_BUCKETS ? b : HISTOGRAM_BUCKETS - 1;
}

static uint64_t value_of(int bucket)
{
    if (bucket < HISTOGRAM_SUB)
        return (uint64_t)bucket;
    int shift = bucket / HISTOGRAM_SUB - 1;
    uint64_t low = (uint64_t)(HISTOGRAM_SUB + bucket % HISTOGRAM_SUB) << shift;
    return low + ((1ULL << shift) >> 1);        /* the middle */
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->count++;
    h->bucket[bucket_of(ns)]++;
}

void histogram_merge(struct histogram *into, const struct histogram *h)
{
    into->count += h->count;
    for (int i = 0; i < HISTOGRAM_BUCKETS; i++)
        into->bucket[i] += h->bucket[i];
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t want = (uint64_t)(share * (double)h->count + 0.5), seen = 0;

    for (int i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += h->bucket[i];
        if (seen >= want && seen > 0)
            return value_of(i);
    }
    return 0;
}
