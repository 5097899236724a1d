/* test_authenticator.h: an authenticator in software, and the browser in front of it, for the tests: written from WebAuthn §5.8.1
 * and §6 by itself, with OpenSSL, so that an error in webauthn.c is not made twice.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include "base/arena.h"
#include "base/buf.h"
#include "crypto/digest.h"
#include "wire/base64.h"

enum { ES256 = -7, EDDSA = -8, RS256 = -257 };
enum { UP = 0x01, UV = 0x04, BE = 0x08, BS = 0x10, AT = 0x40, ED = 0x80 };

struct authenticator {
    struct arena *a;
    EVP_PKEY     *key;
    int           algorithm;
    char          id[32];
    const char   *rp_id, *origin;
    unsigned      flags;            /* of what it says next, without AT */
    uint32_t      counter;
    bool          extensions;
};

static inline void authenticator_init(struct authenticator *k, struct arena *a, int algorithm, const char *rp_id, const char *origin)
{
    *k = (struct authenticator){ .a = a, .algorithm = algorithm, .rp_id = rp_id, .origin = origin, .flags = UP | UV };
    k->key = algorithm == ES256 ? EVP_EC_gen("P-256") : algorithm == EDDSA ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_RSA_gen(2048);
    random_bytes(k->id, sizeof k->id);
}

static inline void authenticator_done(struct authenticator *k)
{
    EVP_PKEY_free(k->key);
}

static inline struct str authenticator_id(const struct authenticator *k)
{
    return str_make(k->id, sizeof k->id);
}

static inline struct str copied(struct arena *a, struct buf *b)
{
    struct str s = arena_str(a, buf_str(b));

    buf_done(b);
    return s;
}

/* ---- CBOR ---- */

static inline void put_head(struct buf *b, int major, size_t n)
{
    if (n < 24)
        buf_put_c(b, (char)(major << 5 | (int)n));
    else if (n < 256) {
        buf_put_c(b, (char)(major << 5 | 24));
        buf_put_c(b, (char)n);
    } else {
        buf_put_c(b, (char)(major << 5 | 25));
        buf_put_c(b, (char)(n >> 8));
        buf_put_c(b, (char)n);
    }
}

static inline void put_int(struct buf *b, int n)
{
    put_head(b, n < 0, (size_t)(n < 0 ? -1 - n : n));
}

static inline void put_bytes(struct buf *b, struct str s)
{
    put_head(b, 2, s.len);
    buf_put_str(b, s);
}

static inline void put_text(struct buf *b, const char *z)
{
    put_head(b, 3, strlen(z));
    buf_put_z(b, z);
}

/* ---- the key, as COSE (RFC 9053) ---- */

static inline void put_number(struct buf *b, int label, EVP_PKEY *key, const char *name, int bytes)
{
    BIGNUM *n = NULL;
    uint8_t raw[256];

    EVP_PKEY_get_bn_param(key, name, &n);
    BN_bn2binpad(n, raw, bytes);
    BN_free(n);
    put_int(b, label);
    put_bytes(b, str_make((char *)raw, (size_t)bytes));
}

static inline void put_cose(struct buf *b, const struct authenticator *k)
{
    uint8_t raw[32];
    size_t  n = sizeof raw;

    put_head(b, 5, k->algorithm == EDDSA || k->algorithm == RS256 ? 4 : 5);
    put_int(b, 1);
    put_int(b, k->algorithm == EDDSA ? 1 : k->algorithm == RS256 ? 3 : 2);
    put_int(b, 3);
    put_int(b, k->algorithm);
    if (k->algorithm == RS256) {
        put_number(b, -1, k->key, OSSL_PKEY_PARAM_RSA_N, 256);
        put_number(b, -2, k->key, OSSL_PKEY_PARAM_RSA_E, 3);
        return;
    }
    put_int(b, -1);
    put_int(b, k->algorithm == EDDSA ? 6 : 1);
    if (k->algorithm == EDDSA) {
        EVP_PKEY_get_raw_public_key(k->key, raw, &n);
        put_int(b, -2);
        put_bytes(b, str_make((char *)raw, n));
        return;
    }
    put_number(b, -2, k->key, OSSL_PKEY_PARAM_EC_PUB_X, 32);
    put_number(b, -3, k->key, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
}

/* ---- what it says ---- */

static inline struct str client_data(const struct authenticator *k, const char *type, struct str challenge)
{
    struct buf b = { 0 };

    buf_printf(&b, "{\"type\":\"%s\",\"challenge\":\"", type);
    base64url_put(&b, challenge);
    buf_printf(&b, "\",\"origin\":\"%s\",\"crossOrigin\":false}", k->origin);
    return copied(k->a, &b);
}

static inline struct str auth_data(const struct authenticator *k, bool with_key)
{
    struct buf b = { 0 };
    uint8_t    hash[DIGEST_BYTES_MAX];

    digest(DIGEST_SHA256, str_of(k->rp_id), hash);
    buf_put(&b, hash, 32);
    buf_put_c(&b, (char)(k->flags | (with_key ? AT : 0) | (k->extensions ? ED : 0)));
    for (int i = 3; i >= 0; i--)
        buf_put_c(&b, (char)(k->counter >> (8 * i)));
    if (with_key) {
        buf_put(&b, (char[16]){ 0 }, 16);
        buf_put_c(&b, 0);
        buf_put_c(&b, sizeof k->id);
        buf_put(&b, k->id, sizeof k->id);
        put_cose(&b, k);
    }
    if (k->extensions) {
        put_head(&b, 5, 1);
        put_text(&b, "credProtect");
        put_int(&b, 2);
    }
    return copied(k->a, &b);
}

/* Over authenticator data and the hash of client data (§6.3.3). */
static inline struct str signature(const struct authenticator *k, struct str data, struct str client)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    uint8_t     hash[DIGEST_BYTES_MAX];
    size_t      n = 512;
    char       *out = arena_alloc(k->a, n);
    struct buf  b = { 0 };

    digest(DIGEST_SHA256, client, hash);
    buf_put_str(&b, data);
    buf_put(&b, hash, 32);
    EVP_DigestSignInit(md, NULL, k->algorithm == EDDSA ? NULL : EVP_sha256(), NULL, k->key);
    EVP_DigestSign(md, (unsigned char *)out, &n, (unsigned char *)b.p, b.len);
    EVP_MD_CTX_free(md);
    buf_done(&b);
    return str_make(out, n);
}

/* `format`: "none", or "packed", which the key signs itself. */
static inline struct str attestation(const struct authenticator *k, const char *format, struct str client)
{
    struct str data = auth_data(k, true);
    struct buf b = { 0 };

    put_head(&b, 5, 3);
    put_text(&b, "fmt");
    put_text(&b, format);
    put_text(&b, "attStmt");
    if (strcmp(format, "packed") == 0) {
        put_head(&b, 5, 2);
        put_text(&b, "alg");
        put_int(&b, k->algorithm);
        put_text(&b, "sig");
        put_bytes(&b, signature(k, data, client));
    } else {
        put_head(&b, 5, 0);
    }
    put_text(&b, "authData");
    put_bytes(&b, data);
    return copied(k->a, &b);
}
