/* test_jid.c: addresses.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "wire/jid.h"

/* What each text becomes; NULL: it is no address. */
static const char *const cases[][2] = {
    { "town.example", "town.example" },
    { "alice@town.example", "alice@town.example" },
    { "alice@town.example/phone", "alice@town.example/phone" },
    { "Alice@Town.Example/Phone", "alice@town.example/Phone" },
    /* RFC 7622 §3.2: first '/', then first '@' before it */
    { "town.example/a@b/c", "town.example/a@b/c" },
    { "a@b/c@d/e", "a@b/c@d/e" },
    { "alice@town.example.", "alice@town.example" },
    { "alice@town.example./r", "alice@town.example/r" },
    { "a@127.0.0.1", "a@127.0.0.1" },
    { "a@[2001:DB8::1]/r", "a@[2001:db8::1]/r" },
    { "a@host_1", "a@host_1" },
    { "a@b/ r ", "a@b/ r " },
    /* beyond ASCII */
    { "\xEC\x95\xA8\xEB\xA6\xAC\xEC\x8A\xA4@\xEB\x8F\x84\xEC\x8B\x9C.\xED\x95\x9C\xEA\xB5\xAD/\xEC\xA0\x84\xED\x99\x94",
      "\xEC\x95\xA8\xEB\xA6\xAC\xEC\x8A\xA4@\xEB\x8F\x84\xEC\x8B\x9C.\xED\x95\x9C\xEA\xB5\xAD/\xEC\xA0\x84\xED\x99\x94" },
    { "STRA\xC3\x9F" "E@b", "strasse@b" },
    { "\xC3\x89t\xC3\xA9@b", "\xC3\xA9t\xC3\xA9@b" },
    { "e\xCC\x81@b", "\xC3\xA9@b" },                           /* composed */
    { "a@b/\xF0\x9F\xAB\xA8", "a@b/\xF0\x9F\xAB\xA8" },        /* U+1FAE8, Unicode 15 */
    { "a@b\xE3\x80\x82" "example", "a@b.example" },            /* ideographic full stop */
    { "a@xn--3e0b707e", "a@\xED\x95\x9C\xEA\xB5\xAD" },        /* an A-label is its U-label */
    { "a@XN--3E0B707E/r", "a@\xED\x95\x9C\xEA\xB5\xAD/r" },
    { "a\xC2\xAD@b", "a@b" },                                  /* soft hyphen: mapped to nothing */
    /* no addresses */
    { "", NULL }, { "@b", NULL }, { "a@", NULL }, { "a@/r", NULL }, { "/r", NULL }, { "a@b/", NULL }, { "b/", NULL },
    { "a@b@c", NULL }, { "a b@c", NULL }, { "a\"@c", NULL }, { "a&b@c", NULL }, { "a'@c", NULL }, { "a:b@c", NULL },
    { "a<@c", NULL }, { "a@b c", NULL }, { "a@b..c", NULL }, { "a@.", NULL }, { "a@.b", NULL }, { "a@b:5222", NULL },
    { "a@[::1", NULL }, { "a@[zz]", NULL }, { "a@[127.0.0.1]", NULL }, { "a@b/\x01", NULL }, { "a@b/\x7F", NULL },
    { "\xFF@b", NULL }, { "a@b/\xED\xA0\x80", NULL }, { "a@b\xEF\xBC\x8F" "c", NULL }, { "a\xEF\xBC\xA0" "b@c", NULL },
    { "\xC2\xAD@b", NULL }, { "a@b/\xE2\x80\xAE", NULL },
};

static void addresses_become_normal(struct test *t)
{
    struct arena a;
    struct jid   j;

    arena_init(&a);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        enum err e = jid_parse(&a, str_of(cases[i][0]), &j);
        bool     fine = CHECK_INT(t, cases[i][1] ? OK : ERR_INVALID, e);

        if (fine && cases[i][1])
            fine = CHECK_STR(t, cases[i][1], j.full);
        if (!fine)
            printf("    %s\n", cases[i][0]);
    }
    arena_done(&a);
}

static void parts_point_into_the_whole(struct test *t)
{
    struct arena a;
    struct jid   j;

    arena_init(&a);
    CHECK_OK(t, jid_parse(&a, STR("Alice@town.example/Phone"), &j));
    CHECK_STR(t, "alice", j.local);
    CHECK_STR(t, "town.example", j.domain);
    CHECK_STR(t, "Phone", j.resource);
    CHECK_STR(t, "alice@town.example", j.bare);
    CHECK(t, j.bare.p == j.full.p && !jid_is_bare(&j));
    CHECK_OK(t, jid_parse(&a, STR("town.example"), &j));
    CHECK(t, j.local.len == 0 && j.resource.len == 0 && jid_is_bare(&j) && str_eq(j.bare, j.full));
    CHECK_OK(t, jid_make(&a, STR("A"), STR("B"), STR("C"), &j));
    CHECK_STR(t, "a@b/C", j.full);
    CHECK_OK(t, jid_make(&a, STR_NULL, STR("b"), STR_NULL, &j));
    CHECK_STR(t, "b", j.full);
    CHECK_INT(t, ERR_INVALID, jid_make(&a, STR("a@b"), STR("c"), STR_NULL, &j));
    CHECK_INT(t, ERR_INVALID, jid_make(&a, STR("a"), STR_NULL, STR_NULL, &j));
    arena_done(&a);
}

static void a_part_has_1023_bytes_at_most(struct test *t)
{
    static char  text[3000];
    struct arena a;
    struct jid   j;

    arena_init(&a);
    memset(text, 'x', sizeof text);
    text[JID_PART_BYTES_MAX] = '@';
    CHECK_OK(t, jid_parse(&a, str_make(text, JID_PART_BYTES_MAX + 5), &j));
    CHECK_INT(t, ERR_INVALID, jid_make(&a, str_make(text + 1100, JID_PART_BYTES_MAX + 1), STR("b"), STR_NULL, &j));
    CHECK_OK(t, jid_make(&a, STR("a"), STR("b"), str_make(text + 1100, JID_PART_BYTES_MAX), &j));
    CHECK_INT(t, ERR_INVALID, jid_make(&a, STR("a"), STR("b"), str_make(text + 1100, JID_PART_BYTES_MAX + 1), &j));
    CHECK_INT(t, ERR_INVALID, jid_make(&a, STR("a"), str_make(text + 1100, 64), STR_NULL, &j));
    CHECK_OK(t, jid_make(&a, STR("a"), str_make(text + 1100, 63), STR_NULL, &j));
    /* grows when prepared: U+FDFA becomes 18 letters */
    for (size_t i = 0; i + 3 <= 900; i += 3)
        memcpy(text + i, "\xEF\xB7\xBA", 3);
    CHECK_INT(t, ERR_INVALID, jid_make(&a, STR("a"), STR("b"), str_make(text, 900), &j));
    arena_done(&a);
}

static void passwords_are_prepared(struct test *t)
{
    struct arena a;
    struct str   out;

    arena_init(&a);
    /* RFC 4013 §3 */
    CHECK_OK(t, jid_prep_sasl(&a, STR("I\xC2\xADX"), &out));
    CHECK_STR(t, "IX", out);
    CHECK_OK(t, jid_prep_sasl(&a, STR("user"), &out));
    CHECK_STR(t, "user", out);
    CHECK_OK(t, jid_prep_sasl(&a, STR("\xC2\xAA"), &out));
    CHECK_STR(t, "a", out);
    CHECK_OK(t, jid_prep_sasl(&a, STR("\xE2\x85\xA8"), &out));
    CHECK_STR(t, "IX", out);
    CHECK_INT(t, ERR_INVALID, jid_prep_sasl(&a, STR("\x07"), &out));
    CHECK_INT(t, ERR_INVALID, jid_prep_sasl(&a, STR("\xD8\xA7" "1"), &out));
    CHECK_INT(t, ERR_INVALID, jid_prep_sasl(&a, STR(""), &out));
    CHECK_OK(t, jid_prep_sasl(&a, STR("a\xC2\xA0" "b"), &out));
    CHECK_STR(t, "a b", out);
    arena_done(&a);
}

TEST_MAIN(TEST(addresses_become_normal), TEST(parts_point_into_the_whole), TEST(a_part_has_1023_bytes_at_most),
          TEST(passwords_are_prepared))
