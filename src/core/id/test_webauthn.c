/* test_webauthn.c: what an honest authenticator says is believed, and nothing that differs from it in any way.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "id/test_authenticator.h"
#include "id/webauthn.h"

static const struct webauthn_party us = { .rp_id = { "town.example", 12 }, .origins = { "", 0 } };
static const struct str            challenge = { "0123456789abcdef", 16 };

struct fixture {
    struct arena         a;
    struct authenticator k;
    struct webauthn_key  key;
    const char          *why;
};

static void setup(struct fixture *f, int algorithm)
{
    *f = (struct fixture){ .why = "" };
    arena_init(&f->a);
    authenticator_init(&f->k, &f->a, algorithm, "town.example", "https://town.example");
}

static void teardown(struct fixture *f)
{
    authenticator_done(&f->k);
    arena_done(&f->a);
}

static enum err registers(struct fixture *f, const char *format)
{
    struct str client = client_data(&f->k, "webauthn.create", challenge);

    return webauthn_attestation(&f->a, &us, client, attestation(&f->k, format, client), &f->key, &f->why);
}

static enum err logs_in(struct fixture *f)
{
    struct str client = client_data(&f->k, "webauthn.get", challenge), data = auth_data(&f->k, false);
    uint32_t   counter;

    return webauthn_assertion(&us, client, data, signature(&f->k, data, client), &f->key, &counter, &f->why);
}

/* ---- client data ---- */

static enum err client(struct fixture *f, const struct webauthn_party *party, const char *json, const char *type)
{
    struct str out = STR_NULL;
    enum err   e = webauthn_client_data(&f->a, party, str_of(json), type, &out, &f->why);

    return e ? e : str_eq(out, challenge) ? OK : ERR_BUG;
}

#define C "\"challenge\":\"MDEyMzQ1Njc4OWFiY2RlZg\""
#define T "\"type\":\"webauthn.get\""

static void client_data_is_ours_or_refused(struct test *t)
{
    static const struct { enum err e; const char *why, *json; } cases[] = {
        { OK, "", "{" T "," C ",\"origin\":\"https://town.example\"}" },
        { OK, "", "{" T "," C ",\"origin\":\"https://town.example:5280\",\"crossOrigin\":false,\"new\":{\"x\":[]}}" },
        { ERR_DENIED, "another type", "{\"type\":\"webauthn.create\"," C ",\"origin\":\"https://town.example\"}" },
        { ERR_DENIED, "another type", "{" C ",\"origin\":\"https://town.example\"}" },
        { ERR_DENIED, "another origin", "{" T "," C ",\"origin\":\"http://town.example\"}" },
        { ERR_DENIED, "another origin", "{" T "," C ",\"origin\":\"https://town.example.evil.example\"}" },
        { ERR_DENIED, "another origin", "{" T "," C ",\"origin\":\"https://town.example:1:2\"}" },
        { ERR_DENIED, "another origin", "{" T "," C ",\"origin\":\"https://town.example:99999\"}" },
        { ERR_DENIED, "another origin", "{" T "," C ",\"origin\":\"https://eviltown.example\"}" },
        { ERR_DENIED, "another origin", "{" T "," C ",\"origin\":\"https://x.town.example\"}" },
        { ERR_DENIED, "another origin", "{" T "," C "}" },
        { ERR_DENIED, "cross-origin", "{" T "," C ",\"origin\":\"https://town.example\",\"crossOrigin\":true}" },
        { ERR_INVALID, "no challenge", "{" T ",\"origin\":\"https://town.example\"}" },
        { ERR_INVALID, "no challenge", "{" T ",\"challenge\":\"MDEyMzQ1Njc4OWFiY2RlZg==\",\"origin\":\"https://town.example\"}" },
        { ERR_INVALID, "client data is no JSON object", "[]" },
        { ERR_INVALID, "client data is no JSON object", "{" T "," C "," C ",\"origin\":\"https://town.example\"}" },
        { ERR_INVALID, "client data is no JSON object", "" },
    };
    struct fixture f;

    setup(&f, ES256);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        f.why = "";
        if (!CHECK_INT(t, cases[i].e, client(&f, &us, cases[i].json, "webauthn.get")) || !CHECK_STR(t, cases[i].why, str_of(f.why)))
            printf("    %s\n", cases[i].json);
    }
    teardown(&f);
}

static void origins_may_be_listed(struct test *t)
{
    static const struct webauthn_party listed = { .rp_id = { "town.example", 12 }, .origins = { "https://a.town.example, https://b.example:1", 43 } };
    static const struct webauthn_party local = { .rp_id = { "localhost", 9 } };
    struct fixture f;

    setup(&f, ES256);
    CHECK_OK(t, client(&f, &listed, "{" T "," C ",\"origin\":\"https://a.town.example\"}", "webauthn.get"));
    CHECK_OK(t, client(&f, &listed, "{" T "," C ",\"origin\":\"https://b.example:1\"}", "webauthn.get"));
    CHECK_INT(t, ERR_DENIED, client(&f, &listed, "{" T "," C ",\"origin\":\"https://town.example\"}", "webauthn.get"));
    CHECK_INT(t, ERR_DENIED, client(&f, &listed, "{" T "," C ",\"origin\":\"https://b.example:12\"}", "webauthn.get"));
    CHECK_INT(t, ERR_DENIED, client(&f, &listed, "{" T "," C ",\"origin\":\"\"}", "webauthn.get"));
    CHECK_OK(t, client(&f, &local, "{" T "," C ",\"origin\":\"http://localhost:5281\"}", "webauthn.get"));
    CHECK_INT(t, ERR_DENIED, client(&f, &local, "{" T "," C ",\"origin\":\"http://localhost.example\"}", "webauthn.get"));
    teardown(&f);
}

/* ---- both ways ---- */

static void keys_of_each_kind_register_and_log_in(struct test *t)
{
    static const int algorithms[] = { ES256, EDDSA, RS256 };
    struct fixture f;

    for (int i = 0; i < 3; i++) {
        setup(&f, algorithms[i]);
        f.k.counter = 7;
        if (!CHECK_OK(t, registers(&f, "none")))
            printf("    %d: %s\n", algorithms[i], f.why);
        CHECK_INT(t, algorithms[i], f.key.algorithm);
        CHECK_INT(t, 7, f.key.counter);
        CHECK(t, str_eq(f.key.credential, authenticator_id(&f.k)));
        if (!CHECK_OK(t, logs_in(&f)))
            printf("    %d: %s\n", algorithms[i], f.why);
        CHECK_OK(t, registers(&f, "packed"));
        f.k.flags = UP | UV | BE | BS;
        CHECK_OK(t, registers(&f, "none"));
        CHECK_OK(t, logs_in(&f));
        teardown(&f);
    }
}

static void what_a_security_key_adds_unasked_is_taken(struct test *t)
{
    struct fixture f;

    setup(&f, ES256);
    f.k.extensions = true;
    CHECK_OK(t, registers(&f, "none"));
    teardown(&f);
}

static void the_asserted_counter_is_told(struct test *t)
{
    struct fixture f;
    struct str     said, data;
    uint32_t       counter = 0;

    setup(&f, ES256);
    CHECK_OK(t, registers(&f, "none"));
    f.k.counter = 0x80000001;
    said = client_data(&f.k, "webauthn.get", challenge);
    data = auth_data(&f.k, false);
    CHECK_OK(t, webauthn_assertion(&us, said, data, signature(&f.k, data, said), &f.key, &counter, &f.why));
    CHECK_INT(t, 0x80000001, counter);
    teardown(&f);
}

/* ---- whatever is amiss ---- */

static void nobody_verified_is_nobody(struct test *t)
{
    static const struct { unsigned flags; enum err e; } cases[] = {
        { 0, ERR_DENIED }, { UP, ERR_DENIED }, { UV, ERR_DENIED }, { UP | UV | BS, ERR_INVALID },
    };
    struct fixture f;

    setup(&f, ES256);
    CHECK_OK(t, registers(&f, "none"));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct webauthn_key mine = f.key;

        f.k.flags = cases[i].flags;
        CHECK_INT(t, cases[i].e, logs_in(&f));
        CHECK_INT(t, cases[i].e, registers(&f, "none"));
        f.key = mine;
    }
    teardown(&f);
}

static void another_rp_id_is_another_service(struct test *t)
{
    struct fixture f;

    setup(&f, ES256);
    CHECK_OK(t, registers(&f, "none"));
    f.k.rp_id = "evil.example";
    CHECK_INT(t, ERR_DENIED, logs_in(&f));
    CHECK_STR(t, "another rp id", str_of(f.why));
    CHECK_INT(t, ERR_DENIED, registers(&f, "none"));
    teardown(&f);
}

static void a_signature_is_over_all_that_was_said(struct test *t)
{
    struct fixture f;
    struct str     said, other, data, sig;
    uint32_t       counter;

    setup(&f, ES256);
    CHECK_OK(t, registers(&f, "none"));
    said = client_data(&f.k, "webauthn.get", challenge);
    other = client_data(&f.k, "webauthn.get", STR("fedcba9876543210"));
    data = auth_data(&f.k, false);
    sig = signature(&f.k, data, said);
    CHECK_OK(t, webauthn_assertion(&us, said, data, sig, &f.key, &counter, &f.why));
    CHECK_INT(t, ERR_DENIED, webauthn_assertion(&us, other, data, sig, &f.key, &counter, &f.why));
    CHECK_STR(t, "signature", str_of(f.why));
    f.k.counter++;
    CHECK_INT(t, ERR_DENIED, webauthn_assertion(&us, said, auth_data(&f.k, false), sig, &f.key, &counter, &f.why));
    CHECK_INT(t, ERR_INVALID, webauthn_assertion(&us, said, data, STR(""), &f.key, &counter, &f.why));
    CHECK_INT(t, ERR_DENIED, webauthn_assertion(&us, said, data, STR("signature"), &f.key, &counter, &f.why));
    teardown(&f);
}

static void another_key_is_another_person(struct test *t)
{
    struct fixture f, g;

    setup(&f, ES256);
    setup(&g, ES256);
    CHECK_OK(t, registers(&f, "none"));
    CHECK_OK(t, registers(&g, "none"));
    g.key = f.key;
    CHECK_INT(t, ERR_DENIED, logs_in(&g));
    teardown(&g);
    teardown(&f);
}

static void self_attestation_is_checked(struct test *t)
{
    struct fixture f;
    struct str     said, about;

    setup(&f, ES256);
    said = client_data(&f.k, "webauthn.create", challenge);
    about = attestation(&f.k, "packed", client_data(&f.k, "webauthn.create", STR("fedcba9876543210")));
    CHECK_INT(t, ERR_DENIED, webauthn_attestation(&f.a, &us, said, about, &f.key, &f.why));
    CHECK_STR(t, "signature", str_of(f.why));
    CHECK_INT(t, ERR_UNSUPPORTED, webauthn_attestation(&f.a, &us, said, attestation(&f.k, "tpm", said), &f.key, &f.why));
    teardown(&f);
}

static void only_what_we_asked_for_is_taken(struct test *t)
{
    struct fixture f;

    setup(&f, ES256);
    f.k.algorithm = -35;            /* ES384, says the key; it would be none */
    CHECK_INT(t, ERR_UNSUPPORTED, registers(&f, "none"));
    teardown(&f);
}

/* No byte of it can be missing, added or changed and the whole still be taken for the same key. */
static void a_damaged_object_is_refused_or_another(struct test *t)
{
    struct fixture      f;
    struct webauthn_key whole, out;
    struct str          said, about;
    char               *copy;
    int                 same = 0;

    setup(&f, ES256);
    said = client_data(&f.k, "webauthn.create", challenge);
    about = attestation(&f.k, "none", said);
    CHECK_OK(t, webauthn_attestation(&f.a, &us, said, about, &whole, &f.why));
    for (size_t n = 0; n < about.len; n++)
        CHECK(t, webauthn_attestation(&f.a, &us, said, str_make(about.p, n), &out, &f.why) != OK);
    copy = arena_alloc(&f.a, about.len + 1);
    memcpy(copy, about.p, about.len);
    copy[about.len] = 0;
    CHECK_INT(t, ERR_INVALID, webauthn_attestation(&f.a, &us, said, str_make(copy, about.len + 1), &out, &f.why));
    for (size_t n = 0; n < about.len; n++) {
        copy[n] ^= 0x20;
        same += webauthn_attestation(&f.a, &us, said, str_make(copy, about.len), &out, &f.why) == OK &&
                str_eq(out.key, whole.key) && str_eq(out.credential, whole.credential) && out.counter == whole.counter;
        copy[n] ^= 0x20;
    }
    CHECK_INT(t, 16 + 1, same);     /* the aaguid, which says the model, and a reserved flag */
    teardown(&f);
}

static void a_point_off_the_curve_is_no_key(struct test *t)
{
    struct fixture f;
    struct str     said, about;
    char          *copy;

    setup(&f, ES256);
    said = client_data(&f.k, "webauthn.create", challenge);
    about = attestation(&f.k, "none", said);
    copy = arena_alloc(&f.a, about.len);
    memcpy(copy, about.p, about.len);
    copy[about.len - 1] ^= 1;
    CHECK_INT(t, ERR_INVALID, webauthn_attestation(&f.a, &us, said, str_make(copy, about.len), &f.key, &f.why));
    CHECK_STR(t, "public key", str_of(f.why));
    teardown(&f);
}

TEST_MAIN(TEST(client_data_is_ours_or_refused), TEST(origins_may_be_listed), TEST(keys_of_each_kind_register_and_log_in),
          TEST(what_a_security_key_adds_unasked_is_taken), TEST(the_asserted_counter_is_told), TEST(nobody_verified_is_nobody),
          TEST(another_rp_id_is_another_service), TEST(a_signature_is_over_all_that_was_said), TEST(another_key_is_another_person),
          TEST(self_attestation_is_checked), TEST(only_what_we_asked_for_is_taken), TEST(a_damaged_object_is_refused_or_another),
          TEST(a_point_off_the_curve_is_no_key))
