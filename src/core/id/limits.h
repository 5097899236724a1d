/* limits.h: token buckets per key (an address, an address and a user) in a
 * table of fixed size. Keys are kept as hashes under the process's random key.
 * A full row gives up its fullest bucket, the one that mattered least, so a
 * flood of addresses costs memory of nobody and frees only the nearly free.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

enum { LIMITS_ROWS = 4096, LIMITS_ROW_BUCKETS = 8 };    /* 768 KiB, taken at the start */

struct limits_bucket { uint64_t key; int64_t at_ms; double tokens; };
struct limits {
    struct limits_bucket *buckets;
    int                   burst;       /* capacity; 0: no limit */
    int64_t               refill_ms;   /* time from empty to full */
};

void limits_init(struct limits *l, int burst, int64_t refill_ms);
void limits_done(struct limits *l);
/* True when the bucket of (a, b) is empty. Takes nothing. */
bool limits_empty(struct limits *l, struct str a, struct str b, int64_t now_ms);
/* Takes one; false, and takes nothing, when it is empty. */
bool limits_take(struct limits *l, struct str a, struct str b, int64_t now_ms);
