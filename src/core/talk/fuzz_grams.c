/* fuzz_grams.c: a chunk is what a database holds: any bytes. Reading and merging it ends, within its bounds.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "talk/grams.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *arg, int64_t at, struct str body)
{
    *(uint64_t *)arg += (uint64_t)at + body.len;
}

static void ignore_gram(void *arg, int64_t gram)
{
    *(uint64_t *)arg += gram > 0;
    if (gram < 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str         in = str_make((const char *)data, size);
    struct str         halves[2] = { str_make(in.p, size / 2), str_make(in.p + size / 2, size - size / 2) };
    int64_t            ats[2] = { 0, 1000 }, ids[GRAMS_IDS_BLOCK];
    uint64_t           sum = 0;
    struct gram_source sources[2] = { { 0, 2, ats, halves }, { 100, 1, ats, &in } };
    struct gram_range  ranges[8];
    uint64_t           bits[4];
    int                n;

    if (chunk_mark(0, in, (struct gram_range){ 0, INT64_MAX }, bits, 256) == OK && chunk_ids(in, ids, &n) == OK && n > GRAMS_IDS_BLOCK)
        abort();
    grams_merge(sources, 2, ignore, &sum);
    n = grams_of_word(in, ranges, 8);
    grams_of_text(in, ignore_gram, &sum);
    if (n > 8)
        abort();
    return 0;
}
