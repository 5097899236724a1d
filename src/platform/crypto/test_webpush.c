/* test_webpush.c: the vectors of RFC 8188 §3.1, RFC 8291 appendix A and RFC 8292 §2.4, to the byte.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <string.h>
#include "base/test.h"
#include "base/clock.h"
#include "crypto/webpush.h"
#include "wire/base64.h"

static struct arena arena;

static struct str unb64(const char *text)
{
    struct str out = STR_NULL;

    base64url_decode(&arena, str_of(text), &out);
    return out;
}

static struct str b64(struct str bytes)
{
    struct buf b;
    struct str out;

    buf_init(&b, 0);
    base64url_put(&b, bytes);
    out = arena_str(&arena, buf_str(&b));
    buf_done(&b);
    return out;
}

#define BROWSER "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
#define AUTH "BTBZMqHH6r4Tts7J_aSIgg"
#define SENDER_PUBLIC                                                                                        \
    "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"

static void rfc8188_one_record(struct test *t)
{
    struct buf b;

    buf_init(&b, 0);
    CHECK_OK(t, aes128gcm_seal(&b, unb64("yqdlZ-tYemfogSmv7Ws5PQ"),
                               (const uint8_t *)unb64("I1BsxtFttlv3u_Oo94xnmw").p, STR_NULL, 4096,
                               STR("I am the walrus"), 0));
    CHECK_STR(t, "I1BsxtFttlv3u_Oo94xnmwAAEAAA-NAVub2qFgBEuQKRapoZu-IxkIva3MEB1PD-ly8Thjg", b64(buf_str(&b)));
    CHECK_INT(
        t, ERR_LIMIT,
        aes128gcm_seal(&b, STR("key"), (const uint8_t *)"0123456789abcdef", STR_NULL, 20, STR("0123"), 0));
    buf_done(&b);
}

static void rfc8291_appendix_a(struct test *t)
{
    struct webpush_key *k;
    uint8_t public[WEBPUSH_PUBLIC_BYTES];
    struct buf b;

    CHECK_OK(t, webpush_key_read(unb64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), &k));
    webpush_key_public(k, public);
    CHECK_STR(t, SENDER_PUBLIC, b64(str_make((char *)public, sizeof public)));
    buf_init(&b, 0);
    CHECK_OK(t,
             webpush_encrypt_with(&b, k, (const uint8_t *)unb64("DGv6ra1nlYgDCS1FRnbzlw").p, unb64(BROWSER),
                                  unb64(AUTH), STR("When I grow up, I want to be a watermelon"), 0));
    CHECK_STR(t,
              "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_"
              "c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6P"
              "Bru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN",
              b64(buf_str(&b)));
    buf_done(&b);
    webpush_key_free(&k);
}

static void padding_hides_the_length(struct test *t)
{
    struct buf a, b;

    buf_init(&a, 0);
    buf_init(&b, 0);
    CHECK_OK(t, webpush_encrypt(&a, unb64(BROWSER), unb64(AUTH), STR("x"), 1000));
    CHECK_OK(t, webpush_encrypt(&b, unb64(BROWSER), unb64(AUTH), STR("a longer one"), 1000));
    CHECK_INT(t, a.len, b.len);
    CHECK_INT(t, 21 + 65 + 1000 + 1 + 16, a.len);
    CHECK(t, memcmp(a.p, b.p, 16) != 0); /* each has its own salt */
    buf_done(&a);
    buf_done(&b);
}

static void bounds_and_strangers_keys(struct test *t)
{
    static char big[WEBPUSH_PLAIN_BYTES_MAX + 1];
    char off[WEBPUSH_PUBLIC_BYTES];
    struct buf b;
    struct webpush_key *k;

    buf_init(&b, 0);
    CHECK_OK(t, webpush_encrypt(&b, unb64(BROWSER), unb64(AUTH), str_make(big, sizeof big - 1), 1 << 20));
    CHECK_INT(t, WEBPUSH_BODY_BYTES_MAX + 21 + 65 - 86, b.len);
    CHECK_INT(t, ERR_LIMIT, webpush_encrypt(&b, unb64(BROWSER), unb64(AUTH), str_make(big, sizeof big), 0));
    CHECK_INT(t, ERR_INVALID, webpush_encrypt(&b, unb64(BROWSER), STR("short"), STR("x"), 0));
    memcpy(off, unb64(BROWSER).p, sizeof off);
    off[64] ^= 1; /* no point of the curve */
    CHECK(t, !webpush_is_public(str_make(off, sizeof off)));
    CHECK_INT(t, ERR_INVALID, webpush_encrypt(&b, str_make(off, sizeof off), unb64(AUTH), STR("x"), 0));
    CHECK(t, !webpush_is_public(STR("")) && webpush_is_public(unb64(BROWSER)));
    memset(off, 0, sizeof off);
    CHECK_INT(t, ERR_INVALID, webpush_key_read(str_make(off, 32), &k));
    memset(off, 0xff, sizeof off);
    CHECK_INT(t, ERR_INVALID, webpush_key_read(str_make(off, 32), &k));
    CHECK_INT(t, ERR_INVALID, webpush_key_read(STR("short"), &k));
    buf_done(&b);
}

/* Is it signed by that point? `token`: header.claims.signature */
static bool verifies(struct str token, struct str public)
{
    const char *dot = memrchr(token.p, '.', token.len);
    struct str raw = STR_NULL;
    ECDSA_SIG *s = ECDSA_SIG_new();
    EVP_PKEY *k = EVP_PKEY_new();
    EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    OSSL_PARAM p[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)"prime256v1", 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)public.p, public.len),
        OSSL_PARAM_END};
    EVP_MD_CTX *m = EVP_MD_CTX_new();
    unsigned char *der = NULL;
    int n;
    bool ok;

    base64url_decode(&arena, str_make(dot + 1, (size_t)(token.p + token.len - dot - 1)), &raw);
    if (raw.len != 64)
        return false;
    ECDSA_SIG_set0(s, BN_bin2bn((const uint8_t *)raw.p, 32, NULL),
                   BN_bin2bn((const uint8_t *)raw.p + 32, 32, NULL));
    n = i2d_ECDSA_SIG(s, &der);
    EVP_PKEY_free(k);
    k = NULL;
    ok = EVP_PKEY_fromdata_init(c) == 1 && EVP_PKEY_fromdata(c, &k, EVP_PKEY_PUBLIC_KEY, p) == 1 &&
         EVP_DigestVerifyInit(m, NULL, EVP_sha256(), NULL, k) == 1 &&
         EVP_DigestVerify(m, der, (size_t)n, (const uint8_t *)token.p, (size_t)(dot - token.p)) == 1;
    OPENSSL_free(der);
    ECDSA_SIG_free(s);
    EVP_PKEY_CTX_free(c);
    EVP_MD_CTX_free(m);
    EVP_PKEY_free(k);
    return ok;
}

#define RFC_CLAIMS                                                                                           \
    "eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9."                                                                  \
    "eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3Njgs"                                   \
    "InN1YiI6Im1haWx0bzpwdXNoQGV4YW1wbGUuY29tIn0"

static void rfc8292_example(struct test *t)
{
    struct webpush_key *k = webpush_key_new(), *again;
    uint8_t public[WEBPUSH_PUBLIC_BYTES], private[WEBPUSH_PRIVATE_BYTES];
    struct buf b;
    struct str rest, token;

    /* the text's own token is good, so our way of judging is */
    CHECK(
        t,
        verifies(
            STR(RFC_CLAIMS
                ".i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA"),
            unb64(
                "BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs")));
    buf_init(&b, 0);
    webpush_key_private(k, private);
    CHECK_OK(t, webpush_key_read(str_make((char *)private, sizeof private), &again));
    CHECK_OK(t, webpush_vapid(&b, again, STR("https://push.example.net"), STR("mailto:push@example.com"),
                              1453523768));
    rest = buf_str(&b);
    CHECK(t, str_starts(rest, STR("vapid t=" RFC_CLAIMS ".")));
    token = str_make(rest.p + 8, (size_t)((char *)memchr(rest.p, ',', rest.len) - rest.p - 8));
    webpush_key_public(k, public);
    CHECK(t, verifies(token, str_make((char *)public, sizeof public)));
    CHECK(t, str_ends(rest, b64(str_make((char *)public, sizeof public))));
    buf_done(&b);
    webpush_key_free(&k);
    webpush_key_free(&again);
}

static void what_a_message_costs(struct test *t)
{
    struct buf b;
    int64_t start = clock_us();

    buf_init(&b, 0);
    for (int i = 0; i < 200; i++) {
        buf_clear(&b);
        CHECK_OK(t, webpush_encrypt(&b, unb64(BROWSER), unb64(AUTH), STR("{\"v\":1}"), 256));
    }
    printf("  %lld us a message\n", (long long)(clock_us() - start) / 200);
    buf_done(&b);
}

TEST_MAIN(TEST(rfc8188_one_record), TEST(rfc8291_appendix_a), TEST(padding_hides_the_length),
          TEST(bounds_and_strangers_keys), TEST(rfc8292_example), TEST(what_a_message_costs))
