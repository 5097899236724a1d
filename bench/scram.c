/* scram.c: SCRAM-SHA-1 (RFC 5802) and SCRAM-SHA-256 (RFC 7677) for the load
 * generator. The salted password is remembered per account, and accounts
 * that share salt and count share the work, so that a log-in costs the
 * client a few hashes and the measurement belongs to the server.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include "load.h"

struct keys {
    uint8_t salt[64];
    size_t  salt_len;
    int     iterations;         /* 0: not computed */
    bool    sha256;
    uint8_t client[SCRAM_KEY_MAX], stored[SCRAM_KEY_MAX], server[SCRAM_KEY_MAX];
};

static struct keys *cache;      /* by account */
static int          cache_count;
static struct keys  newest;

void base64_encode(const void *p, size_t len, char *out)
{
    EVP_EncodeBlock((unsigned char *)out, p, (int)len);
}

bool base64_decode(const char *text, size_t len, uint8_t *out, size_t out_max, size_t *out_len)
{
    uint8_t tmp[SCRAM_TEXT_MAX];

    if (len == 0 || len % 4 || len / 4 * 3 > sizeof tmp)
        return false;
    int n = EVP_DecodeBlock(tmp, (const unsigned char *)text, (int)len);
    if (n < 0)
        return false;
    n -= (text[len - 1] == '=') + (text[len - 2] == '=');
    if ((size_t)n > out_max)
        return false;
    memcpy(out, tmp, (size_t)n);
    *out_len = (size_t)n;
    return true;
}

static size_t key_bytes(bool sha256) { return sha256 ? 32 : 20; }

static void hmac(bool sha256, const uint8_t *key, const char *text, uint8_t *out)
{
    unsigned n = 0;
    HMAC(sha256 ? EVP_sha256() : EVP_sha1(), key, (int)key_bytes(sha256),
         (const unsigned char *)text, strlen(text), out, &n);
}

static bool same_salt(const struct keys *a, const struct keys *b)
{
    return a->iterations == b->iterations && a->sha256 == b->sha256 && a->salt_len == b->salt_len
        && memcmp(a->salt, b->salt, a->salt_len) == 0;
}

/* `want` holds salt, count and hash; the keys are filled in. */
static const struct keys *keys_for(int account, struct keys *want)
{
    if (account >= cache_count) {
        cache = realloc(cache, (size_t)(account + 64) * sizeof *cache);
        if (!cache)
            die("out of memory");
        memset(cache + cache_count, 0, (size_t)(account + 64 - cache_count) * sizeof *cache);
        cache_count = account + 64;
    }
    struct keys *k = &cache[account];
    if (same_salt(k, want))
        return k;
    if (!same_salt(&newest, want)) {
        const EVP_MD *md = want->sha256 ? EVP_sha256() : EVP_sha1();
        uint8_t salted[SCRAM_KEY_MAX];
        int n = (int)key_bytes(want->sha256);

        PKCS5_PBKDF2_HMAC(opt.password, (int)strlen(opt.password), want->salt, (int)want->salt_len,
                          want->iterations, md, n, salted);
        hmac(want->sha256, salted, "Client Key", want->client);
        hmac(want->sha256, salted, "Server Key", want->server);
        EVP_Digest(want->client, (size_t)n, want->stored, NULL, md, NULL);
        newest = *want;
    }
    *k = newest;
    return k;
}

void scram_first(struct scram *s, bool sha256, const char *user, char out[SCRAM_TEXT_MAX])
{
    uint8_t random[18];
    char bare[160];

    s->sha256 = sha256;
    snprintf(s->user, sizeof s->user, "%s", user);
    RAND_bytes(random, sizeof random);
    base64_encode(random, sizeof random, s->nonce);
    int n = snprintf(bare, sizeof bare, "n,,n=%s,r=%s", s->user, s->nonce);
    base64_encode(bare, (size_t)n, out);
}

/* `challenge` and `out` are base64, as they stand in the stanza. */
bool scram_final(struct scram *s, int account, const char *challenge, char out[SCRAM_TEXT_MAX])
{
    char server_first[SCRAM_TEXT_MAX], nonce[256], salt[128], auth[SCRAM_TEXT_MAX * 2], final[SCRAM_TEXT_MAX], proof64[64];
    uint8_t signature[SCRAM_KEY_MAX], proof[SCRAM_KEY_MAX];
    struct keys want = { .sha256 = s->sha256 };
    size_t n;

    if (!base64_decode(challenge, strlen(challenge), (uint8_t *)server_first, sizeof server_first - 1, &n))
        return false;
    server_first[n] = 0;
    if (sscanf(server_first, "r=%255[^,],s=%127[^,],i=%d", nonce, salt, &want.iterations) != 3 || want.iterations < 1)
        return false;
    if (strncmp(nonce, s->nonce, strlen(s->nonce)) != 0)
        return false;
    if (!base64_decode(salt, strlen(salt), want.salt, sizeof want.salt, &want.salt_len))
        return false;
    const struct keys *k = keys_for(account, &want);

    snprintf(auth, sizeof auth, "n=%s,r=%s,%s,c=biws,r=%s", s->user, s->nonce, server_first, nonce);
    hmac(s->sha256, k->stored, auth, signature);
    hmac(s->sha256, k->server, auth, s->server_signature);
    for (size_t i = 0; i < key_bytes(s->sha256); i++)
        proof[i] = k->client[i] ^ signature[i];
    base64_encode(proof, key_bytes(s->sha256), proof64);
    n = (size_t)snprintf(final, sizeof final, "c=biws,r=%s,p=%s", nonce, proof64);
    if (n / 3 * 4 + 8 > SCRAM_TEXT_MAX)
        return false;
    base64_encode(final, n, out);
    return true;
}

bool scram_check(const struct scram *s, const char *success)
{
    uint8_t text[SCRAM_TEXT_MAX], theirs[64];
    size_t n, m;

    if (!base64_decode(success, strlen(success), text, sizeof text, &n) || n < 2 || memcmp(text, "v=", 2) != 0)
        return false;
    return base64_decode((char *)text + 2, n - 2, theirs, sizeof theirs, &m)
        && m == key_bytes(s->sha256) && memcmp(theirs, s->server_signature, m) == 0;
}
