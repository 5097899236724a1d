/* hash.c: SipHash-1-3 and open-addressing maps with linear probing. A slot keeps
 * its hash, so that growing and missing cost no key comparison.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/hash.h"
#include "base/mem.h"
#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/random.h>

/* ---- SipHash-1-3 (Aumasson, Bernstein) ---- */

static uint64_t rotate(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, 8);
    return v;   /* little-endian machines only, as everywhere here */
}

#define SIP_ROUND do { \
    v0 += v1; v1 = rotate(v1, 13); v1 ^= v0; v0 = rotate(v0, 32); \
    v2 += v3; v3 = rotate(v3, 16); v3 ^= v2; \
    v0 += v3; v3 = rotate(v3, 21); v3 ^= v0; \
    v2 += v1; v1 = rotate(v1, 17); v1 ^= v2; v2 = rotate(v2, 32); } while (0)

static uint64_t siphash(uint64_t k0, uint64_t k1, const uint8_t *p, size_t bytes)
{
    uint64_t v0 = 0x736f6d6570736575u ^ k0, v1 = 0x646f72616e646f6du ^ k1;
    uint64_t v2 = 0x6c7967656e657261u ^ k0, v3 = 0x7465646279746573u ^ k1;
    uint64_t last = (uint64_t)bytes << 56;
    size_t   whole = bytes & ~(size_t)7;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t m = load64(p + i);

        v3 ^= m;
        SIP_ROUND;
        v0 ^= m;
    }
    for (size_t i = 0; i < (bytes & 7); i++)
        last |= (uint64_t)p[whole + i] << (8 * i);
    v3 ^= last;
    SIP_ROUND;
    v0 ^= last;
    v2 ^= 0xff;
    SIP_ROUND;
    SIP_ROUND;
    SIP_ROUND;
    return v0 ^ v1 ^ v2 ^ v3;
}

static uint64_t       process_key[2];
static pthread_once_t process_key_once = PTHREAD_ONCE_INIT;

static void process_key_make(void)
{
    if (getrandom(process_key, sizeof process_key, 0) != sizeof process_key)
        abort();
}

uint64_t hash_bytes(const void *p, size_t bytes)
{
    pthread_once(&process_key_once, process_key_make);
    return siphash(process_key[0], process_key[1], p, bytes);
}

uint64_t hash_bytes_keyed(const uint8_t key[16], const void *p, size_t bytes)
{
    return siphash(load64(key), load64(key + 8), p, bytes);
}

/* ---- walking ---- */

/* A walk goes downwards and around from an empty slot, of which there always is one. A
 * deletion moves entries down within their run of full slots, so what it moves into the
 * gap comes from above, where we have been, and none passes the empty slot. The iterator
 * holds where that slot is (high half) and how many slots have been visited. */
enum { WALK_BITS = 32 };
_Static_assert(sizeof(size_t) == 8, "an iterator holds two halves");

static size_t walk_begin(size_t empty_slot) { return (empty_slot + 1) << WALK_BITS; }
static size_t walk_visited(size_t it) { return it & (((size_t)1 << WALK_BITS) - 1); }
static size_t walk_slot(size_t it, size_t cap) { return ((it >> WALK_BITS) - 1 - walk_visited(it)) & (cap - 1); }

/* ---- text → pointer ---- */

struct strmap_slot {
    struct str key;
    uint64_t   hash;
    void      *value;       /* NULL: empty */
};

void strmap_init(struct strmap *m) { *m = (struct strmap){ 0 }; }

void strmap_done(struct strmap *m)
{
    free(m->slots);
    *m = (struct strmap){ 0 };
}

static size_t str_slot(const struct strmap *m, struct str key, uint64_t hash)
{
    size_t i = hash & (m->cap - 1);

    while (m->slots[i].value && !(m->slots[i].hash == hash && str_eq(m->slots[i].key, key)))
        i = (i + 1) & (m->cap - 1);
    return i;
}

void *strmap_get(const struct strmap *m, struct str key)
{
    return m->count ? m->slots[str_slot(m, key, hash_str(key))].value : NULL;
}

static void str_grow(struct strmap *m)
{
    struct strmap_slot *old = m->slots;
    size_t              cap = m->cap;

    m->cap = cap ? cap * 2 : 16;
    m->slots = mem_new(sizeof *m->slots * m->cap);
    for (size_t i = 0; i < cap; i++)
        if (old[i].value)
            m->slots[str_slot(m, old[i].key, old[i].hash)] = old[i];
    free(old);
}

void *strmap_put(struct strmap *m, struct str key, void *value)
{
    uint64_t hash = hash_str(key);
    size_t   i;
    void    *before;

    assert(value);
    if ((m->count + 1) * 4 > m->cap * 3)
        str_grow(m);
    i = str_slot(m, key, hash);
    before = m->slots[i].value;
    m->slots[i] = (struct strmap_slot){ key, hash, value };
    m->count += before == NULL;
    return before;
}

/* Closes the gap at `i`: entries that probed past it move back. */
static void str_close_gap(struct strmap *m, size_t i)
{
    size_t mask = m->cap - 1;

    for (size_t j = (i + 1) & mask; m->slots[j].value; j = (j + 1) & mask) {
        size_t home = m->slots[j].hash & mask;

        if (((j - home) & mask) >= ((j - i) & mask)) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    m->slots[i] = (struct strmap_slot){ 0 };
}

void *strmap_del(struct strmap *m, struct str key)
{
    size_t i;
    void  *before;

    if (m->count == 0)
        return NULL;
    i = str_slot(m, key, hash_str(key));
    before = m->slots[i].value;
    if (!before)
        return NULL;
    m->count--;
    str_close_gap(m, i);
    return before;
}

bool strmap_next(const struct strmap *m, size_t *it, struct str *key, void **value)
{
    if (m->count == 0)
        return false;
    for (size_t i = 0; *it == 0; i++)
        if (!m->slots[i].value)
            *it = walk_begin(i);
    while (walk_visited(*it) < m->cap) {
        const struct strmap_slot *s = &m->slots[walk_slot((*it)++, m->cap)];

        if (s->value) {
            *key = s->key;
            *value = s->value;
            return true;
        }
    }
    return false;
}

/* ---- int64 → pointer ---- */

struct intmap_slot {
    int64_t key;
    void   *value;
};

/* One multiplication folded: numbers are rarely a stranger's choice, and the key hides the rest. */
static uint64_t int_hash(int64_t key)
{
    pthread_once(&process_key_once, process_key_make);
    unsigned __int128 wide = (unsigned __int128)((uint64_t)key ^ process_key[0]) * (process_key[1] | 1);

    return (uint64_t)wide ^ (uint64_t)(wide >> 64);
}

void intmap_init(struct intmap *m) { *m = (struct intmap){ 0 }; }

void intmap_done(struct intmap *m)
{
    free(m->slots);
    *m = (struct intmap){ 0 };
}

static size_t int_slot(const struct intmap *m, int64_t key)
{
    size_t i = int_hash(key) & (m->cap - 1);

    while (m->slots[i].value && m->slots[i].key != key)
        i = (i + 1) & (m->cap - 1);
    return i;
}

void *intmap_get(const struct intmap *m, int64_t key)
{
    return m->count ? m->slots[int_slot(m, key)].value : NULL;
}

void *intmap_put(struct intmap *m, int64_t key, void *value)
{
    size_t i;
    void  *before;

    assert(value);
    if ((m->count + 1) * 4 > m->cap * 3) {
        struct intmap_slot *old = m->slots;
        size_t              cap = m->cap;

        m->cap = cap ? cap * 2 : 16;
        m->slots = mem_new(sizeof *m->slots * m->cap);
        for (size_t j = 0; j < cap; j++)
            if (old[j].value)
                m->slots[int_slot(m, old[j].key)] = old[j];
        free(old);
    }
    i = int_slot(m, key);
    before = m->slots[i].value;
    m->slots[i] = (struct intmap_slot){ key, value };
    m->count += before == NULL;
    return before;
}

void *intmap_del(struct intmap *m, int64_t key)
{
    size_t mask = m->cap - 1, i;
    void  *before;

    if (m->count == 0)
        return NULL;
    i = int_slot(m, key);
    before = m->slots[i].value;
    if (!before)
        return NULL;
    m->count--;
    for (size_t j = (i + 1) & mask; m->slots[j].value; j = (j + 1) & mask) {
        size_t home = int_hash(m->slots[j].key) & mask;

        if (((j - home) & mask) >= ((j - i) & mask)) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    m->slots[i] = (struct intmap_slot){ 0 };
    return before;
}

bool intmap_next(const struct intmap *m, size_t *it, int64_t *key, void **value)
{
    if (m->count == 0)
        return false;
    for (size_t i = 0; *it == 0; i++)
        if (!m->slots[i].value)
            *it = walk_begin(i);
    while (walk_visited(*it) < m->cap) {
        const struct intmap_slot *s = &m->slots[walk_slot((*it)++, m->cap)];

        if (s->value) {
            *key = s->key;
            *value = s->value;
            return true;
        }
    }
    return false;
}
