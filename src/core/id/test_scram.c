/* test_scram.c: SCRAM, PLAIN and hashed-token messages.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "id/fast.h"
#include "id/plain.h"
#include "id/scram.h"
#include "wire/base64.h"

struct vector {
    enum digest_kind kind;
    const char *salt, *first, *server_nonce, *server_first, *final, *server_final;
};

static const struct vector rfc5802 = {
    DIGEST_SHA1, "QSXCR+Q6sek8bf92", "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j",
    "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
    "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
};
static const struct vector rfc7677 = {
    DIGEST_SHA256, "W22ZaJ0SNY7soEsUEjb6gQ==", "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
};

/* Runs the vector with `final` in place of its own; fills `server_final`. */
static bool run(struct test *t, const struct vector *v, const char *password, const char *final, struct buf *server_final)
{
    struct arena a;
    struct scram s = { 0 };
    struct scram_first first;
    struct scram_final last;
    struct credential key;
    struct str salt;
    bool right;

    arena_init(&a);
    CHECK_OK(t, base64_decode(&a, str_of(v->salt), &salt));
    credential_derive(&key, v->kind, str_of(password), salt, 4096);
    CHECK_INT(t, SASL_FINE, scram_parse_first(&a, str_of(v->first), &first));
    CHECK_STR(t, "user", first.user);
    CHECK_STR(t, v->server_first, scram_challenge(&s, &first, STR_NULL, str_of(v->server_nonce), &key));
    right = scram_parse_final(&a, str_of(final), &last) == SASL_FINE && scram_check(&s, &last, server_final);
    scram_done(&s);
    arena_done(&a);
    return right;
}

static void vector_holds(struct test *t, const struct vector *v)
{
    struct buf out = { 0 };

    CHECK(t, run(t, v, "pencil", v->final, &out));
    CHECK_STR(t, v->server_final, buf_str(&out));
    buf_clear(&out);
    CHECK(t, !run(t, v, "pencil2", v->final, &out));
    CHECK_INT(t, 0, out.len);
    buf_done(&out);
}

static void rfc5802_example_holds(struct test *t)
{
    vector_holds(t, &rfc5802);
}

static void rfc7677_example_holds(struct test *t)
{
    vector_holds(t, &rfc7677);
}

/* One byte changed anywhere in client-final is refused. */
static void any_changed_byte_is_refused(struct test *t)
{
    struct buf out = { 0 };
    char       final[256];

    for (size_t i = 0; i < strlen(rfc5802.final); i++) {
        strcpy(final, rfc5802.final);
        final[i] = final[i] == 'A' ? 'B' : 'A';
        if (!CHECK(t, !run(t, &rfc5802, "pencil", final, &out)))
            return;
    }
    buf_done(&out);
}

static void first_messages_are_read_strictly(struct test *t)
{
    static const char *const bad[] = {
        "", "n", "n,", "n,,", "n,,n=", "n,,n=u", "n,,n=u,", "n,,n=u,r=", "n,,n=,r=x", "x,,n=u,r=x", "nn,,n=u,r=x",
        "p,,n=u,r=x", "p=,,n=u,r=x", "p=tls exporter,,n=u,r=x", "n,b=x,n=u,r=x", "n,a=,n=u,r=x", "n,,m=x,n=u,r=x",
        "n,,n=a=2Cb=,r=x", "n,,n=a=2c,r=x", "n,,n=a=,r=x", "n,,n=a=4,r=x", "n,,r=x,n=u", "n,,n=u,r=a b", "n,,n=u,r=\x7f",
        "n,,n=u,r=\xc3\xa4", "n,,n=u,r=x,", "n,,n=u,r=x,y", "n,,n=u,r=x,m=1", "n,,n=u,r=x,y=", "n,,n=u,r=x,1=2",
        "n,,n=\xff,r=x", "n,a=\xc3,n=u,r=x",
    };
    struct scram_first f;
    struct arena a;
    char   nonce[SCRAM_NONCE_BYTES_MAX + 32] = "n,,n=u,r=";

    arena_init(&a);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!CHECK_INT(t, SASL_MALFORMED_REQUEST, scram_parse_first(&a, str_of(bad[i]), &f)))
            printf("      %s\n", bad[i]);
    CHECK_INT(t, SASL_MALFORMED_REQUEST, scram_parse_first(&a, str_make("n,,n=a\0b,r=x", 12), &f));
    memset(nonce + 9, 'x', SCRAM_NONCE_BYTES_MAX);
    CHECK_INT(t, SASL_FINE, scram_parse_first(&a, str_of(nonce), &f));
    strcat(nonce, "x");
    CHECK_INT(t, SASL_MALFORMED_REQUEST, scram_parse_first(&a, str_of(nonce), &f));
    CHECK_INT(t, SASL_FINE, scram_parse_first(&a, STR("p=tls-exporter,a=a=3Db,n=a=2Cb,r=x,y=future"), &f));
    CHECK_STR(t, "tls-exporter", f.binding_name);
    CHECK_STR(t, "a=b", f.authzid);
    CHECK_STR(t, "a,b", f.user);
    CHECK_STR(t, "p=tls-exporter,a=a=3Db,", f.gs2_header);
    CHECK_STR(t, "n=a=2Cb,r=x,y=future", f.bare);
    arena_done(&a);
}

static void final_messages_are_read_strictly(struct test *t)
{
    static const char *const bad[] = {
        "", "c=biws", "c=biws,r=x", "c=biws,r=x,p=", "c=biws,r=x,p=!", "c=b,r=x,p=AAAA", "r=x,c=biws,p=AAAA",
        "c=biws,r=x,p=AAAA,", "c=biws,r=x,p=AAAA,x=y", "c=biws,r=x,m=1,p=AAAA", "c=biws,r=x,,p=AAAA", "c=biws,p=AAAA",
        "c=biws,r=x,p=AAAA=",
    };
    struct scram_final f;
    struct arena a;

    arena_init(&a);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (!CHECK_INT(t, SASL_MALFORMED_REQUEST, scram_parse_final(&a, str_of(bad[i]), &f)))
            printf("      %s\n", bad[i]);
    CHECK_INT(t, SASL_FINE, scram_parse_final(&a, STR("c=biws,r=x,z=y,p=AAAA"), &f));
    CHECK_STR(t, "c=biws,r=x,z=y", f.without_proof);
    CHECK_STR(t, "n,,", f.binding);
    CHECK_INT(t, 3, f.proof.len);
    arena_done(&a);
}

static void plain_messages_are_read_strictly(struct test *t)
{
    struct plain p;

    CHECK_INT(t, SASL_FINE, plain_parse(str_make("z\0u\0pw", 6), &p));
    CHECK_STR(t, "z", p.authzid);
    CHECK_STR(t, "u", p.user);
    CHECK_STR(t, "pw", p.password);
    CHECK_INT(t, SASL_FINE, plain_parse(str_make("\0u\0pw", 5), &p));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, plain_parse(STR(""), &p));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, plain_parse(STR("u"), &p));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, plain_parse(str_make("\0u", 2), &p));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, plain_parse(str_make("\0u\0", 3), &p));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, plain_parse(str_make("\0\0pw", 4), &p));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, plain_parse(str_make("\0u\0p\0w", 6), &p));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, plain_parse(str_make("\0u\0\xff", 4), &p));
}

/* Hashes computed with Python's hmac module. */
static void token_hashes_hold(struct test *t)
{
    static const char *const want[] = {
        "9097787461a184e0fa84ec00c1381190b6c4d16a8ec4453c7b2ac5e7fcf935ed",
        "0c5745576afeea711960549186a31a65c9f328205ee38b66825b3d4c872b395c",
        "4e513409631474863b986c9f3e8c1e27ca29d1d7ab9ed4097e7afd6007bf9c62",
        "1260579b34d55aeba4e43062a412db609a0a7153abd218b0f148445c4e83529f",
    };
    struct str token = STR("WXZzciBwYmFmdmZnZiBqdmd1IGp2eXFhcmZm");
    struct buf hex = { 0 };
    char       binding[32];
    uint8_t    hash[FAST_HASH_BYTES];

    for (int i = 0; i < 32; i++)
        binding[i] = (char)i;
    for (int i = 0; i < 4; i++) {
        fast_hash(token, i < 2 ? "Initiator" : "Responder", str_make(binding, i & 1 ? 32 : 0), hash);
        buf_clear(&hex);
        hex_put(&hex, str_make((char *)hash, sizeof hash));
        CHECK_STR(t, want[i], buf_str(&hex));
    }
    buf_done(&hex);
}

static void token_messages_are_read_strictly(struct test *t)
{
    struct fast_message m;
    char in[64] = "alice";

    CHECK_INT(t, SASL_FINE, fast_parse(str_make(in, 6 + 32), &m));
    CHECK_STR(t, "alice", m.user);
    CHECK_INT(t, 32, m.hash.len);
    CHECK_INT(t, SASL_MALFORMED_REQUEST, fast_parse(str_make(in, 6 + 31), &m));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, fast_parse(str_make(in, 6 + 33), &m));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, fast_parse(str_make(in + 5, 33), &m));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, fast_parse(STR("alice"), &m));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, fast_parse(STR_NULL, &m));
}

TEST_MAIN(TEST(rfc5802_example_holds), TEST(rfc7677_example_holds), TEST(any_changed_byte_is_refused),
          TEST(first_messages_are_read_strictly), TEST(final_messages_are_read_strictly),
          TEST(plain_messages_are_read_strictly), TEST(token_hashes_hold), TEST(token_messages_are_read_strictly))
