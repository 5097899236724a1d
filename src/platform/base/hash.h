/* hash.h: SipHash-1-3 under a per-process random key (strangers choose our
 * keys), and hash maps from text or from int64 to a pointer.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

uint64_t hash_bytes(const void *p, size_t bytes);          /* keyed per process */
uint64_t hash_bytes_keyed(const uint8_t key[16], const void *p, size_t bytes); /* stable across runs */
static inline uint64_t hash_str(struct str s) { return hash_bytes(s.p, s.len); }

/* Text → pointer. The map does not copy keys: `key` must live as long as the
 * entry, usually inside the value. */
struct strmap_slot;
struct strmap {
    struct strmap_slot *slots;
    size_t              count, cap;
};
void  strmap_init(struct strmap *m);
void  strmap_done(struct strmap *m);
void *strmap_get(const struct strmap *m, struct str key);           /* NULL if absent */
void *strmap_put(struct strmap *m, struct str key, void *value);    /* returns what was there before, or NULL */
void *strmap_del(struct strmap *m, struct str key);                 /* returns what was there */
/* for (size_t it = 0; strmap_next(m, &it, &key, &value);). Do not put while
 * iterating; deleting the entry just returned is allowed. */
bool  strmap_next(const struct strmap *m, size_t *it, struct str *key, void **value);

struct intmap_slot;
struct intmap {
    struct intmap_slot *slots;
    size_t              count, cap;
};
void  intmap_init(struct intmap *m);
void  intmap_done(struct intmap *m);
void *intmap_get(const struct intmap *m, int64_t key);
void *intmap_put(struct intmap *m, int64_t key, void *value);
void *intmap_del(struct intmap *m, int64_t key);
bool  intmap_next(const struct intmap *m, size_t *it, int64_t *key, void **value);
