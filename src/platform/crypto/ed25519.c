/* ed25519.c: see ed25519.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "crypto/ed25519.h"
#include <assert.h>
#include <openssl/evp.h>

void ed25519_public(const uint8_t seed[ED25519_SEED_BYTES], uint8_t out[ED25519_PUBLIC_BYTES])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_SEED_BYTES);
    size_t    n = ED25519_PUBLIC_BYTES;
    int       ok = key && EVP_PKEY_get_raw_public_key(key, out, &n) == 1;

    EVP_PKEY_free(key);
    assert(ok);
}

void ed25519_sign(const uint8_t seed[ED25519_SEED_BYTES], struct str text, uint8_t out[ED25519_SIGNATURE_BYTES])
{
    EVP_PKEY   *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, ED25519_SEED_BYTES);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    size_t      n = ED25519_SIGNATURE_BYTES;
    int         ok = key && c && EVP_DigestSignInit(c, NULL, NULL, NULL, key) == 1 &&
             EVP_DigestSign(c, out, &n, (const uint8_t *)(text.p ? text.p : ""), text.len) == 1;

    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    assert(ok);
}

bool ed25519_verify(const uint8_t key_bytes[ED25519_PUBLIC_BYTES], struct str text, const uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    EVP_PKEY   *key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key_bytes, ED25519_PUBLIC_BYTES);
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    bool        ok = key && c && EVP_DigestVerifyInit(c, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestVerify(c, signature, ED25519_SIGNATURE_BYTES, (const uint8_t *)(text.p ? text.p : ""), text.len) == 1;

    EVP_MD_CTX_free(c);
    EVP_PKEY_free(key);
    return ok;
}
