/* digest.c: see digest.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "crypto/digest.h"
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static const EVP_MD  *fetched[3];
static pthread_once_t fetch_once = PTHREAD_ONCE_INIT;

/* Once: OpenSSL 3 looks an algorithm up at every use otherwise, which costs more than a short hash. */
static void fetch(void)
{
    fetched[DIGEST_SHA1] = EVP_MD_fetch(NULL, "SHA1", NULL);
    fetched[DIGEST_SHA256] = EVP_MD_fetch(NULL, "SHA256", NULL);
    fetched[DIGEST_SHA512] = EVP_MD_fetch(NULL, "SHA512", NULL);
}

static const EVP_MD *md_of(enum digest_kind k)
{
    pthread_once(&fetch_once, fetch);
    return fetched[k];
}

size_t digest_bytes(enum digest_kind k)
{
    static const size_t bytes[] = { 20, 32, 64 };

    return bytes[k];
}

static void must(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "OpenSSL could not compute %s; the process ends\n", what);
    abort();
}

void digest(enum digest_kind k, struct str in, uint8_t *out)
{
    unsigned n;

    must(EVP_Digest(in.p, in.len, out, &n, md_of(k), NULL), "a hash");
}

/* OpenSSL's own context under our name. */
struct digest_state *digest_begin(enum digest_kind k)
{
    EVP_MD_CTX *c = EVP_MD_CTX_new();

    must(c && EVP_DigestInit_ex(c, md_of(k), NULL), "a hash");
    return (struct digest_state *)c;
}

void digest_add(struct digest_state *d, struct str in)
{
    must(EVP_DigestUpdate((EVP_MD_CTX *)d, in.p, in.len), "a hash");
}

void digest_end(struct digest_state **d, uint8_t *out)
{
    uint8_t unused[EVP_MAX_MD_SIZE];

    if (!*d)
        return;
    must(EVP_DigestFinal_ex((EVP_MD_CTX *)*d, out ? out : unused, NULL), "a hash");
    EVP_MD_CTX_free((EVP_MD_CTX *)*d);
    *d = NULL;
}

void hmac(enum digest_kind k, struct str key, struct str in, uint8_t *out)
{
    unsigned n;

    must(HMAC(md_of(k), key.p ? key.p : "", (int)key.len, (const uint8_t *)in.p, in.len, out, &n) != NULL, "an HMAC");
}

void pbkdf2(enum digest_kind k, struct str password, struct str salt, int iterations, uint8_t *out)
{
    must(PKCS5_PBKDF2_HMAC(password.p, (int)password.len, (const uint8_t *)salt.p, (int)salt.len, iterations,
                           md_of(k), (int)digest_bytes(k), out), "PBKDF2");
}

/* ---- randomness ---- */

static uint64_t seeded;     /* 0: the kernel's */

void random_seed(uint64_t seed) { seeded = seed; }

static uint64_t split_mix(void)
{
    uint64_t z = (seeded += 0x9E3779B97F4A7C15u);

    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void random_bytes(void *out, size_t bytes)
{
    uint8_t *p = out;

    while (bytes) {
        ssize_t n;

        if (seeded) {
            *p = (uint8_t)split_mix();
            n = 1;
        } else {
            n = getrandom(p, bytes, 0);
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            fprintf(stderr, "the kernel gives no random bytes; the process ends\n");
            abort();
        }
        p += n;
        bytes -= (size_t)n;
    }
}

uint64_t random_u64(void)
{
    uint64_t v;

    random_bytes(&v, sizeof v);
    return v;
}

void random_token(char *out, size_t chars)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

    random_bytes(out, chars);
    for (size_t i = 0; i < chars; i++)
        out[i] = alphabet[(uint8_t)out[i] & 63];
    out[chars] = '\0';
}
