/* test_digest.c: the published test vectors, and that randomness is random or repeatable as asked.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <string.h>
#include "base/test.h"
#include "crypto/digest.h"

static struct str hex(const uint8_t *p, size_t bytes)
{
    static char out[2 * DIGEST_BYTES_MAX + 1];

    for (size_t i = 0; i < bytes; i++)
        snprintf(out + 2 * i, 3, "%02x", p[i]);
    return str_of(out);
}

static void hashes_match_fips_180(struct test *t)
{
    static const char *const want[] = {
        "a9993e364706816aba3e25717850c26c9cd0d89d",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
         "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"),
    };
    uint8_t out[DIGEST_BYTES_MAX];

    for (int k = DIGEST_SHA1; k <= DIGEST_SHA512; k++) {
        digest((enum digest_kind)k, STR("abc"), out);
        CHECK_STR(t, want[k], hex(out, digest_bytes((enum digest_kind)k)));
    }
    digest(DIGEST_SHA256, STR_NULL, out);
    CHECK_STR(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", hex(out, 32));
}

static void hmac_matches_rfc4231(struct test *t)
{
    uint8_t out[DIGEST_BYTES_MAX];

    hmac(DIGEST_SHA256, STR("Jefe"), STR("what do ya want for nothing?"), out);
    CHECK_STR(t, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", hex(out, 32));
    hmac(DIGEST_SHA1, STR_NULL, STR_NULL, out);
    CHECK_STR(t, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d", hex(out, 20));
}

static void pbkdf2_matches_rfc6070(struct test *t)
{
    uint8_t out[DIGEST_BYTES_MAX];

    pbkdf2(DIGEST_SHA1, STR("password"), STR("salt"), 4096, out);
    CHECK_STR(t, "4b007901b765489abead49d926f721d065a429c1", hex(out, 20));
    pbkdf2(DIGEST_SHA256, STR("password"), STR("salt"), 1, out);
    CHECK_STR(t, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b", hex(out, 32));
}

static void a_seed_repeats_and_none_does_not(struct test *t)
{
    uint64_t first, other;
    char     token[23];

    random_seed(7);
    first = random_u64();
    random_seed(7);
    CHECK(t, first == random_u64());
    random_seed(0);
    first = random_u64();
    other = random_u64();
    CHECK(t, first != other);
    random_token(token, 22);
    CHECK_INT(t, 22, strlen(token));
    CHECK_INT(t, 22, strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"));
}

TEST_MAIN(TEST(hashes_match_fips_180), TEST(hmac_matches_rfc4231), TEST(pbkdf2_matches_rfc6070),
          TEST(a_seed_repeats_and_none_does_not))
