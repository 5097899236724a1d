/* test_caps.c: the verification string of XEP-0115, and the list of specifications.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/feature.h"
#include "talk/xep/xep0115_caps.h"

/* XEP-0115 §5.2. */
static void the_simple_example(struct test *t)
{
    static const char *const vars[] = { "http://jabber.org/protocol/caps", "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/muc" };
    char ver[32];

    caps_hash("client/pc//Exodus 0.9.1", vars, 4, ver);
    CHECK_STR(t, "QgayPKawpkPSDYmwT/WM94uAlu0=", str_of(ver));
}

static void every_row_names_its_specification(struct test *t)
{
    for (size_t i = 0; i < feature_count; i++) {
        CHECK(t, features[i]->title != NULL);
        CHECK(t, strncmp(features[i]->spec, "RFC ", 4) == 0 || strncmp(features[i]->spec, "XEP-", 4) == 0);
    }
}

static void the_doap_lists_each_specification_once(struct test *t)
{
    static const char ping[] = "extensions/xep-0199.html";
    struct buf        b;
    const char       *at;

    buf_init(&b, 0);
    features_print_doap(&b);
    at = memmem(b.p, b.len, ping, sizeof ping - 1);
    CHECK(t, at && !memmem(at + 1, b.len - (size_t)(at + 1 - b.p), ping, sizeof ping - 1));
    CHECK(t, memmem(b.p, b.len, "<xmpp:version>2.0.1</xmpp:version>", 34) != NULL);
    CHECK(t, !b.overflow);
    buf_done(&b);
}

TEST_MAIN(TEST(the_simple_example), TEST(every_row_names_its_specification), TEST(the_doap_lists_each_specification_once))
