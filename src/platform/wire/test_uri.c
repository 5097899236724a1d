/* test_uri.c: request targets and percent codes.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "wire/uri.h"

static void parts_are_found(struct test *t)
{
    struct uri u;

    CHECK_OK(t, uri_parse(STR("https://town.example:8443/a/b?c=d?e#f"), &u));
    CHECK_STR(t, "https", u.scheme);
    CHECK_STR(t, "town.example", u.host);
    CHECK_INT(t, 8443, u.port);
    CHECK_STR(t, "/a/b", u.path);
    CHECK_STR(t, "c=d?e", u.query);
    CHECK_STR(t, "f", u.fragment);
    CHECK_OK(t, uri_parse(STR("/upload/x%20y?token=1"), &u));
    CHECK(t, u.scheme.len == 0 && u.host.len == 0 && u.port == 0);
    CHECK_STR(t, "/upload/x%20y", u.path);
    CHECK_OK(t, uri_parse(STR("wss://[2001:db8::1]"), &u));
    CHECK_STR(t, "[2001:db8::1]", u.host);
    CHECK_OK(t, uri_parse(STR("//evil.example/x"), &u));
    CHECK_STR(t, "//evil.example/x", u.path);
    CHECK_OK(t, uri_parse(STR("xmpp:alice@town.example?message"), &u));
    CHECK_STR(t, "alice@town.example", u.path);
    CHECK_OK(t, uri_parse(STR("*"), &u));
}

static void broken_targets_are_refused(struct test *t)
{
    static const char *const wrong[] = { "", "/a b", "/a\r\nb", "/%", "/%4", "/%zz", "/\xC3\xA9", "/a<b", "http://u:p@h/",
                                         "http://h:99999/", "http://h:0/", "http://h:8x/", "http://[::1/", "/a#b#c",
                                         "http://a[b]/", "/\x7F" };
    struct uri u;

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (!CHECK_INT(t, ERR_INVALID, uri_parse(str_of(wrong[i]), &u)))
            printf("    %s\n", wrong[i]);
}

static void a_path_cannot_leave_its_root(struct test *t)
{
    static const char *const right[][2] = {
        { "/", "/" }, { "/a/b", "/a/b" }, { "/a/./b", "/a/b" }, { "/a/../b", "/b" }, { "/a/b/..", "/a/" },
        { "/a/.", "/a/" }, { "/a/", "/a/" }, { "//etc//passwd", "/etc/passwd" }, { "/a/..", "/" },
        { "/%EC%95%88", "/\xEC\x95\x88" }, { "/%2e%2E.", "/..." }, { "/a/%2E%2e/b", "/b" },
    };
    static const char *const wrong[] = { "", "a", "/..", "/a/../..", "/%2e%2e/x", "/a%2Fb", "/a%00b", "/%ff", "/%4",
                                         "/a/..//../b" };
    struct arena a;
    struct str   out;

    arena_init(&a);
    for (size_t i = 0; i < sizeof right / sizeof *right; i++) {
        CHECK_OK(t, uri_path(&a, str_of(right[i][0]), &out));
        CHECK_STR(t, right[i][1], out);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (!CHECK_INT(t, ERR_INVALID, uri_path(&a, str_of(wrong[i]), &out)))
            printf("    %s\n", wrong[i]);
    arena_done(&a);
}

static void queries_are_decoded(struct test *t)
{
    struct arena a;
    struct str   out;

    arena_init(&a);
    CHECK_STR(t, "b c&", uri_query_get(&a, STR("x=1&a=b+c%26&a=2"), "a"));
    CHECK_STR(t, "", uri_query_get(&a, STR("a"), "a"));
    CHECK_STR(t, "v", uri_query_get(&a, STR("%61=v"), "a"));
    CHECK(t, uri_query_get(&a, STR("aa=1&b=a"), "a").p == NULL);
    CHECK(t, uri_query_get(&a, STR("a=%ff"), "a").p == NULL);
    CHECK(t, uri_query_get(&a, STR_NULL, "a").p == NULL);
    CHECK_OK(t, uri_decode(&a, STR("a+b%2B"), &out));
    CHECK_STR(t, "a+b+", out);
    arena_done(&a);
}

TEST_MAIN(TEST(parts_are_found), TEST(broken_targets_are_refused), TEST(a_path_cannot_leave_its_root),
          TEST(queries_are_decoded))
