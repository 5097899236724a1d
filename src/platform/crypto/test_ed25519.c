/* test_ed25519.c: RFC 8032 §7.1.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "crypto/ed25519.h"
#include "wire/base64.h"

static struct str hex_of(struct arena *a, const uint8_t *bytes, size_t n)
{
    struct buf b;
    struct str s;

    buf_init(&b, 0);
    hex_put(&b, str_make((const char *)bytes, n));
    s = arena_str(a, buf_str(&b));
    buf_done(&b);
    return s;
}

static void the_vectors_of_the_rfc(struct test *t)
{
    static const uint8_t seed[32] = { 0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f,
                                      0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb };
    struct arena a;
    uint8_t      key[32], signature[64];

    arena_init(&a);
    ed25519_public(seed, key);
    CHECK_STR(t, "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", hex_of(&a, key, 32));
    ed25519_sign(seed, STR("\x72"), signature);
    CHECK_STR(t, "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                 "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00", hex_of(&a, signature, 64));
    CHECK(t, ed25519_verify(key, STR("\x72"), signature));
    CHECK(t, !ed25519_verify(key, STR("\x73"), signature));
    signature[0] ^= 1;
    CHECK(t, !ed25519_verify(key, STR("\x72"), signature));
    arena_done(&a);
}

TEST_MAIN(TEST(the_vectors_of_the_rfc))
