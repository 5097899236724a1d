/* archive_id.c: four Feistel rounds over two 32-bit halves, with SipHash as the round function (Luby, Rackoff:
 * four rounds of a pseudo-random function make a strong pseudo-random permutation).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/archive_id.h"
#include "base/hash.h"

enum { ROUNDS = 4, DIGITS = 16 };

static uint8_t round_key[16];

void archive_id_setup(const uint8_t key[16]) { memcpy(round_key, key, sizeof round_key); }

static uint32_t round_of(uint8_t number, uint32_t half)
{
    uint8_t in[8] = { 'a', 'i', 'd', number };

    memcpy(in + 4, &half, sizeof half);
    return (uint32_t)hash_bytes_keyed(round_key, in, sizeof in);
}

static uint64_t shuffle(uint64_t id)
{
    uint32_t left = (uint32_t)(id >> 32), right = (uint32_t)id;

    for (uint8_t i = 0; i < ROUNDS; i++) {
        uint32_t next = left ^ round_of(i, right);

        left = right;
        right = next;
    }
    return (uint64_t)left << 32 | right;
}

static uint64_t shuffle_back(uint64_t v)
{
    uint32_t left = (uint32_t)(v >> 32), right = (uint32_t)v;

    for (uint8_t i = ROUNDS; i-- > 0;) {
        uint32_t before = right ^ round_of(i, left);

        right = left;
        left = before;
    }
    return (uint64_t)left << 32 | right;
}

void archive_id_put(struct buf *b, int64_t id)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t          v = shuffle((uint64_t)id);
    char              text[DIGITS];

    for (int i = DIGITS - 1; i >= 0; i--, v >>= 4)
        text[i] = digits[v & 15];
    buf_put(b, text, sizeof text);
}

bool archive_id_parse(struct str text, int64_t *id)
{
    uint64_t v;

    if (text.len != DIGITS || !str_hex_to_u64(text, &v))
        return false;
    *id = (int64_t)shuffle_back(v);
    return *id > 0;
}
