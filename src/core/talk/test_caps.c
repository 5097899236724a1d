/* test_caps.c: the verification string of XEP-0115, and the list of specifications.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/feature.h"
#include "talk/xep/xep0115_caps.h"
#include "talk/xep/xep0115_clients.h"
#include "talk/xep/xep0115_guests.h"
#include "wire/base64.h"
#include <stdio.h>

/* XEP-0115 §5.2. */
static void the_simple_example(struct test *t)
{
    static const char *const vars[] = { "http://jabber.org/protocol/caps", "http://jabber.org/protocol/disco#info",
        "http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/muc" };
    char ver[32];

    caps_hash("client/pc//Exodus 0.9.1", vars, 4, ver);
    CHECK_STR(t, "QgayPKawpkPSDYmwT/WM94uAlu0=", str_of(ver));
}

static bool hash_of(struct arena *a, const char *query, struct caps_wants *w, struct str *ver)
{
    struct xml_node *n;
    struct buf       text, out;
    uint8_t          hash[20];
    bool             fine;

    buf_init(&text, 0);
    buf_init(&out, 0);
    fine = xml_parse(a, arena_str(a, str_of(query)), NULL, &n) == XML_FINE && caps_read(a, n, &text, w);
    digest(DIGEST_SHA1, buf_str(&text), hash);
    base64_put(&out, str_make((char *)hash, sizeof hash));
    *ver = arena_str(a, buf_str(&out));
    buf_done(&text);
    buf_done(&out);
    return fine;
}

/* XEP-0115 §5.3. */
static void the_complex_example(struct test *t)
{
    static const char query[] =
        "<query xmlns='http://jabber.org/protocol/disco#info'>"
        "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>"
        "<identity xml:lang='el' category='client' name='\xce\xa8 0.11' type='pc'/>"
        "<feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>"
        "<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>"
        "<x xmlns='jabber:x:data' type='result'>"
        "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>"
        "<field var='ip_version'><value>ipv4</value><value>ipv6</value></field><field var='os'><value>Mac</value></field>"
        "<field var='os_version'><value>10.5.1</value></field><field var='software'><value>Psi</value></field>"
        "<field var='software_version'><value>0.11</value></field></x></query>";
    struct arena      a;
    struct caps_wants w;
    struct str        ver;

    arena_init(&a);
    CHECK(t, hash_of(&a, query, &w, &ver));
    CHECK_STR(t, "q07IKJEyjvHSyhy//CH0CxmKi8w=", ver);
    CHECK_INT(t, 0, w.count);
    arena_done(&a);
}

/* A server on the way says what language the stanza is in; the client had not hashed that. */
static void the_language_of_the_stanza_is_not_the_identitys(struct test *t)
{
    static const char inner[] = "<identity category='client' type='pc'/><feature var='urn:a'/></query>";
    char              text[300];
    struct arena      a;
    struct caps_wants w;
    struct str        plain, said;

    arena_init(&a);
    snprintf(text, sizeof text, "<query xmlns='http://jabber.org/protocol/disco#info'>%s", inner);
    CHECK(t, hash_of(&a, text, &w, &plain));
    snprintf(text, sizeof text, "<query xml:lang='ko' xmlns='http://jabber.org/protocol/disco#info'>%s", inner);
    CHECK(t, hash_of(&a, text, &w, &said));
    CHECK(t, str_eq(plain, said));
    arena_done(&a);
}

/* Of a device at another server only what can be proved is kept, and nothing that would break a list of lines. */
static void only_what_can_be_proved_is_a_version(struct test *t)
{
    static const struct { const char *c, *version; } told[] = {
        { "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>", "sha-1 QgayPKawpkPSDYmwT/WM94uAlu0=" },
        { "<c xmlns='http://jabber.org/protocol/caps' node='n' ver='0.9'/>", NULL },
        { "<c xmlns='http://jabber.org/protocol/caps' hash='md5' node='n' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>", NULL },
        { "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='QgayPKawpkPSDYmwT/WM94uAlu0'/>", NULL },
        { "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='QgayPKawpkPSDYmwT/WM94uAl&#10;0='/>", NULL },
        { "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n&#10;m' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>", NULL },
        { "<c xmlns='urn:other' hash='sha-1' node='n' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>", NULL },
        { NULL, NULL },
    };
    struct arena a;

    arena_init(&a);
    for (int i = 0; told[i].c; i++) {
        struct str       text = arena_printf(&a, "<presence xmlns='jabber:client'>%s</presence>", told[i].c), node, version;
        struct xml_node *n;

        CHECK(t, xml_parse(&a, text, NULL, &n) == XML_FINE);
        version = version_told(&a, n, &node);
        CHECK(t, told[i].version ? str_is(version, told[i].version) : !version.p);
    }
    arena_done(&a);
}

static void what_a_client_wants_is_read(struct test *t)
{
    struct arena      a;
    struct caps_wants w;
    struct str        ver;

    arena_init(&a);
    CHECK(t, hash_of(&a, "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/>"
                         "<feature var='urn:a+notify'/><feature var='+notify'/><feature var='urn:b'/></query>", &w, &ver));
    CHECK_INT(t, 1, w.count);
    CHECK_STR(t, "urn:a", w.nodes[0]);
    arena_done(&a);
}

/* §5.4: what is there twice, or holds what separates the parts, is no answer. */
static void an_ill_formed_answer_is_none(struct test *t)
{
    static const char *const wrong[] = {
        "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='a'/><feature var='a'/></query>",
        "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='c' type='t'/><identity category='c' type='t'/></query>",
        "<query xmlns='http://jabber.org/protocol/disco#info'><feature var='a&lt;b'/></query>",
        "<query xmlns='http://jabber.org/protocol/disco#info'><x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>u</value></field></x>"
        "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>u</value></field></x></query>",
        "<other xmlns='http://jabber.org/protocol/disco#info'/>", NULL };
    struct arena      a;
    struct caps_wants w;
    struct str        ver;

    arena_init(&a);
    for (int i = 0; wrong[i]; i++)
        CHECK(t, !hash_of(&a, wrong[i], &w, &ver));
    arena_done(&a);
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

TEST_MAIN(TEST(the_simple_example), TEST(the_complex_example), TEST(the_language_of_the_stanza_is_not_the_identitys),
          TEST(only_what_can_be_proved_is_a_version), TEST(what_a_client_wants_is_read), TEST(an_ill_formed_answer_is_none),
          TEST(every_row_names_its_specification), TEST(the_doap_lists_each_specification_once))
