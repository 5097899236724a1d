/* webpush.c: see webpush.h. Measured: about 90 µs a message, all but 5 of it for the key pair and the
 * exchange. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "crypto/webpush.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "crypto/digest.h"
#include "wire/base64.h"
#include "wire/json.h"

enum { TAG_BYTES = 16, SHARED_BYTES = 32, HEADER_BYTES = WEBPUSH_SALT_BYTES + 4 + 1 };

struct webpush_key {
    EVP_PKEY *pair;
    uint8_t public[WEBPUSH_PUBLIC_BYTES];
    uint8_t private[WEBPUSH_PRIVATE_BYTES];
};

static struct str bytes_of(const uint8_t *p, size_t n)
{
    return str_make((const char *)p, n);
}

/* ---- keys ---- */

static EVP_PKEY *key_build(struct str public, const BIGNUM *private)
{
    OSSL_PARAM_BLD *b = OSSL_PARAM_BLD_new();
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM *p = NULL;
    EVP_PKEY *k = NULL;
    bool ok;

    ok = b && c && OSSL_PARAM_BLD_push_utf8_string(b, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
         OSSL_PARAM_BLD_push_octet_string(b, OSSL_PKEY_PARAM_PUB_KEY, public.p, public.len) &&
         (!private || OSSL_PARAM_BLD_push_BN(b, OSSL_PKEY_PARAM_PRIV_KEY, private));
    if (ok)
        p = OSSL_PARAM_BLD_to_param(b);
    /* fails for a point that is not on the curve */
    if (!p || EVP_PKEY_fromdata_init(c) <= 0 ||
        EVP_PKEY_fromdata(c, &k, private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, p) <= 0)
        k = NULL;
    OSSL_PARAM_free(p);
    OSSL_PARAM_BLD_free(b);
    EVP_PKEY_CTX_free(c);
    return k;
}

static EVP_PKEY *peer_read(struct str bytes)
{
    if (bytes.len != WEBPUSH_PUBLIC_BYTES || bytes.p[0] != 4)
        return NULL;
    return key_build(bytes, NULL);
}

bool webpush_is_public(struct str bytes)
{
    EVP_PKEY *k = peer_read(bytes);

    EVP_PKEY_free(k);
    return k != NULL;
}

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "OpenSSL could not %s; the process ends\n", what);
    abort();
}

static void parts_read(struct webpush_key *k)
{
    BIGNUM *d = NULL;
    size_t n = 0;

    must(EVP_PKEY_get_octet_string_param(k->pair, OSSL_PKEY_PARAM_PUB_KEY, k->public, sizeof k->public, &n) ==
                 1 &&
             n == sizeof k->public && EVP_PKEY_get_bn_param(k->pair, OSSL_PKEY_PARAM_PRIV_KEY, &d) == 1 &&
             BN_bn2binpad(d, k->private, sizeof k->private) == sizeof k->private,
         "read a key pair of its own");
    BN_clear_free(d);
}

struct webpush_key *webpush_key_new(void)
{
    struct webpush_key *k = NEW(struct webpush_key);

    k->pair = EVP_EC_gen("P-256");
    must(k->pair != NULL, "make a key pair");
    parts_read(k);
    return k;
}

/* The public part is computed: what is kept is 32 bytes. */
static bool public_of(const BIGNUM *private, uint8_t out[WEBPUSH_PUBLIC_BYTES])
{
    EC_GROUP *g = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *p = g ? EC_POINT_new(g) : NULL;
    bool ok;

    ok = p && !BN_is_zero(private) && BN_cmp(private, EC_GROUP_get0_order(g)) < 0 &&
         EC_POINT_mul(g, p, private, NULL, NULL, NULL) &&
         EC_POINT_point2oct(g, p, POINT_CONVERSION_UNCOMPRESSED, out, WEBPUSH_PUBLIC_BYTES, NULL) ==
             WEBPUSH_PUBLIC_BYTES;
    EC_POINT_free(p);
    EC_GROUP_free(g);
    return ok;
}

enum err webpush_key_read(struct str private_bytes, struct webpush_key **out)
{
    uint8_t public[WEBPUSH_PUBLIC_BYTES];
    BIGNUM *d;
    EVP_PKEY *pair = NULL;

    *out = NULL;
    if (private_bytes.len != WEBPUSH_PRIVATE_BYTES)
        return ERR_INVALID;
    d = BN_bin2bn((const uint8_t *)private_bytes.p, WEBPUSH_PRIVATE_BYTES, NULL);
    if (d && public_of(d, public))
        pair = key_build(bytes_of(public, sizeof public), d);
    BN_clear_free(d);
    if (!pair)
        return ERR_INVALID;
    *out = NEW(struct webpush_key);
    (*out)->pair = pair;
    parts_read(*out);
    return OK;
}

void webpush_key_free(struct webpush_key **kp)
{
    struct webpush_key *k = *kp;

    if (!k)
        return;
    *kp = NULL;
    EVP_PKEY_free(k->pair);
    mem_wipe(k->private, sizeof k->private);
    free(k);
}

void webpush_key_public(const struct webpush_key *k, uint8_t out[WEBPUSH_PUBLIC_BYTES])
{
    memcpy(out, k->public, WEBPUSH_PUBLIC_BYTES);
}

void webpush_key_private(const struct webpush_key *k, uint8_t out[WEBPUSH_PRIVATE_BYTES])
{
    memcpy(out, k->private, WEBPUSH_PRIVATE_BYTES);
}

/* ---- RFC 8188 ---- */

/* HKDF (RFC 5869) with SHA-256, for at most one block of output. */
static void hkdf(struct str salt, struct str ikm, struct str info, uint8_t *out, size_t bytes)
{
    uint8_t prk[32], block[32];
    struct buf b;

    hmac(DIGEST_SHA256, salt, ikm, prk);
    buf_init(&b, 0);
    buf_put_str(&b, info);
    buf_put_c(&b, 1);
    hmac(DIGEST_SHA256, bytes_of(prk, sizeof prk), buf_str(&b), block);
    buf_done(&b);
    memcpy(out, block, bytes);
    mem_wipe(prk, sizeof prk);
    mem_wipe(block, sizeof block);
}

/* `text` is replaced by what it becomes, its tag behind it. */
static bool gcm(const uint8_t key[16], const uint8_t nonce[12], uint8_t *text, size_t bytes)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    int n;
    bool ok;

    ok = c && EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, key, nonce) == 1 &&
         EVP_EncryptUpdate(c, text, &n, text, (int)bytes) == 1 && EVP_EncryptFinal_ex(c, text + n, &n) == 1 &&
         EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, text + bytes) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok;
}

enum err aes128gcm_seal(struct buf *out, struct str ikm, const uint8_t salt[WEBPUSH_SALT_BYTES],
                        struct str key_id, uint32_t record_bytes, struct str plain, size_t pad_to)
{
    size_t text_bytes = (plain.len > pad_to ? plain.len : pad_to) + 1;
    uint8_t head[HEADER_BYTES], key[16], nonce[12];
    char *text;

    if (text_bytes + TAG_BYTES > record_bytes || key_id.len > 255)
        return ERR_LIMIT;
    hkdf(bytes_of(salt, WEBPUSH_SALT_BYTES), ikm, STR("Content-Encoding: aes128gcm\0"), key, sizeof key);
    hkdf(bytes_of(salt, WEBPUSH_SALT_BYTES), ikm, STR("Content-Encoding: nonce\0"), nonce, sizeof nonce);
    memcpy(head, salt, WEBPUSH_SALT_BYTES);
    for (int i = 0; i < 4; i++)
        head[WEBPUSH_SALT_BYTES + i] = (uint8_t)(record_bytes >> (24 - 8 * i));
    head[HEADER_BYTES - 1] = (uint8_t)key_id.len;
    buf_put(out, head, sizeof head);
    buf_put_str(out, key_id);
    text = buf_reserve(out, text_bytes + TAG_BYTES);
    if (!text)
        return ERR_LIMIT;
    memset(text, 0, text_bytes);
    memcpy(text, plain.p ? plain.p : "", plain.len);
    text[plain.len] = 2; /* the last record (§2); zeros behind it are padding */
    must(gcm(key, nonce, (uint8_t *)text, text_bytes), "encrypt");
    out->len += text_bytes + TAG_BYTES;
    mem_wipe(key, sizeof key);
    return OK;
}

/* ---- RFC 8291 ---- */

static bool exchange(const struct webpush_key *own, EVP_PKEY *peer, uint8_t out[SHARED_BYTES])
{
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(own->pair, NULL);
    size_t n = SHARED_BYTES;
    bool ok;

    ok = c && EVP_PKEY_derive_init(c) == 1 && EVP_PKEY_derive_set_peer(c, peer) == 1 &&
         EVP_PKEY_derive(c, out, &n) == 1 && n == SHARED_BYTES;
    EVP_PKEY_CTX_free(c);
    return ok;
}

/* §3.4: both keys and the secret that the push service does not know. */
static void ikm_of(const uint8_t shared[SHARED_BYTES], const struct webpush_key *own, struct str browser,
                   struct str auth, uint8_t out[32])
{
    char info[14 + 2 * WEBPUSH_PUBLIC_BYTES];

    memcpy(info, "WebPush: info", 14);
    memcpy(info + 14, browser.p, WEBPUSH_PUBLIC_BYTES);
    memcpy(info + 14 + WEBPUSH_PUBLIC_BYTES, own->public, WEBPUSH_PUBLIC_BYTES);
    hkdf(auth, bytes_of(shared, SHARED_BYTES), str_make(info, sizeof info), out, 32);
}

enum err webpush_encrypt_with(struct buf *out, const struct webpush_key *own,
                              const uint8_t salt[WEBPUSH_SALT_BYTES], struct str browser, struct str auth,
                              struct str plain, size_t pad_to)
{
    EVP_PKEY *peer = auth.len == WEBPUSH_AUTH_BYTES ? peer_read(browser) : NULL;
    uint8_t shared[SHARED_BYTES], ikm[32];
    enum err e = peer && exchange(own, peer, shared) ? OK : ERR_INVALID;

    EVP_PKEY_free(peer);
    if (e)
        return e;
    ikm_of(shared, own, browser, auth, ikm);
    if (pad_to > WEBPUSH_PLAIN_BYTES_MAX)
        pad_to = WEBPUSH_PLAIN_BYTES_MAX;
    if (plain.len > WEBPUSH_PLAIN_BYTES_MAX)
        e = ERR_LIMIT;
    else
        e = aes128gcm_seal(out, bytes_of(ikm, sizeof ikm), salt, bytes_of(own->public, sizeof own->public),
                           WEBPUSH_BODY_BYTES_MAX, plain, pad_to);
    mem_wipe(shared, sizeof shared);
    mem_wipe(ikm, sizeof ikm);
    return e;
}

enum err webpush_encrypt(struct buf *out, struct str browser, struct str auth, struct str plain,
                         size_t pad_to)
{
    struct webpush_key *own = webpush_key_new();
    uint8_t salt[WEBPUSH_SALT_BYTES];
    enum err e;

    random_bytes(salt, sizeof salt);
    e = webpush_encrypt_with(out, own, salt, browser, auth, plain, pad_to);
    webpush_key_free(&own);
    return e;
}

/* ---- RFC 8292 ---- */

static void claims_put(struct buf *b, struct str audience, struct str subject, int64_t expires_s)
{
    json_t *o = json_object();

    json_object_set_new(o, "aud", json_stringn(audience.p, audience.len));
    json_object_set_new(o, "exp", json_integer(expires_s));
    json_object_set_new(o, "sub", json_stringn(subject.p, subject.len));
    json_write(b, o);
    json_decref(o);
}

/* JOSE wants r and s side by side, 32 bytes each, where OpenSSL gives DER (RFC 7518 §3.4). */
static bool sign(const struct webpush_key *k, struct str text, uint8_t out[64])
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    uint8_t der[80];
    size_t n = sizeof der;
    const uint8_t *at = der;
    ECDSA_SIG *s = NULL;
    bool ok;

    ok = c && EVP_DigestSignInit(c, NULL, EVP_sha256(), NULL, k->pair) == 1 &&
         EVP_DigestSign(c, der, &n, (const uint8_t *)text.p, text.len) == 1 &&
         (s = d2i_ECDSA_SIG(NULL, &at, (long)n)) != NULL &&
         BN_bn2binpad(ECDSA_SIG_get0_r(s), out, 32) == 32 &&
         BN_bn2binpad(ECDSA_SIG_get0_s(s), out + 32, 32) == 32;
    ECDSA_SIG_free(s);
    EVP_MD_CTX_free(c);
    return ok;
}

enum err webpush_vapid(struct buf *out, const struct webpush_key *k, struct str audience, struct str subject,
                       int64_t expires_s)
{
    struct buf claims, token;
    uint8_t signature[64];

    buf_init(&claims, 0);
    claims_put(&claims, audience, subject, expires_s);
    buf_init(&token, 0);
    base64url_put(&token, STR("{\"typ\":\"JWT\",\"alg\":\"ES256\"}"));
    buf_put_c(&token, '.');
    base64url_put(&token, buf_str(&claims));
    must(sign(k, buf_str(&token), signature), "sign");
    BUF_LIT(out, "vapid t=");
    buf_put_str(out, buf_str(&token));
    buf_put_c(out, '.');
    base64url_put(out, bytes_of(signature, sizeof signature));
    BUF_LIT(out, ", k=");
    base64url_put(out, bytes_of(k->public, sizeof k->public));
    buf_done(&claims);
    buf_done(&token);
    return out->overflow ? ERR_LIMIT : OK;
}
