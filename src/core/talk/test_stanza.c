/* test_stanza.c: what a stanza is judged to be, and what is written for others.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/archive_id.h"
#include "talk/route.h"
#include "talk/stanza.h"

static enum err read_text(struct arena *a, const char *text, struct stanza *st, const char **condition)
{
    static const struct xml_scope scope = { .default_ns = { NS_CLIENT, sizeof NS_CLIENT - 1 } };
    struct xml_node *n = NULL;
    struct jid       from;

    jid_parse(a, STR("alice@town.example/home"), &from);
    if (xml_parse(a, str_of(text), &scope, &n) != XML_FINE)
        return ERR_BUG;
    return stanza_read(a, n, &from, st, condition);
}

static void each_rule_of_section_8_is_judged(struct test *t)
{
    static const struct { const char *text; enum err want; const char *condition; } cases[] = {
        { "<message to='bob@town.example'/>", OK, NULL },
        { "<message to='@@'/>", ERR_INVALID, "jid-malformed" },
        { "<message type='shout'/>", OK, NULL },
        { "<presence type='shout'/>", ERR_INVALID, "bad-request" },
        { "<iq type='get' id='1'><a xmlns='b'/></iq>", OK, NULL },
        { "<iq type='get'><a xmlns='b'/></iq>", ERR_INVALID, "bad-request" },
        { "<iq type='get' id='1'/>", ERR_INVALID, "bad-request" },
        { "<iq type='get' id='1'><a xmlns='b'/><a xmlns='b'/></iq>", ERR_INVALID, "bad-request" },
        { "<iq type='result' id='1'/>", OK, NULL },
        { "<iq id='1'><a xmlns='b'/></iq>", ERR_INVALID, "bad-request" },
        { "<other/>", ERR_UNSUPPORTED, NULL },
        { "<message xmlns='jabber:server'/>", ERR_UNSUPPORTED, NULL },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena  a;
        struct stanza st;
        const char   *condition = NULL;

        arena_init(&a);
        if (!CHECK_INT(t, cases[i].want, read_text(&a, cases[i].text, &st, &condition)))
            printf("    in: %s\n", cases[i].text);
        if (cases[i].want == ERR_INVALID)
            CHECK_STR(t, cases[i].condition, str_of(condition));
        arena_done(&a);
    }
}

static void a_forwarded_stanza_is_ours_outside_and_theirs_inside(struct test *t)
{
    struct arena  a;
    struct stanza st;
    const char   *condition;
    struct buf    b;

    arena_init(&a);
    buf_init(&b, 0);
    CHECK_OK(t, read_text(&a, "<message from='mallory@x' to='bob@town.example' id='&lt;1' type='chat'>"
                              "<body>a &amp; b</body><x xmlns='some:thing'><y/></x>"
                              "<stanza-id xmlns='urn:xmpp:sid:0' by='bob@town.example' id='9'/>"
                              "<private xmlns='urn:xmpp:carbons:2'/></message>", &st, &condition));
    stanza_forward(&b, &st, st.from.full, st.to.full);
    CHECK_STR(t, "<message from='alice@town.example/home' to='bob@town.example' id='&lt;1' type='chat'>"
                 "<body>a &amp; b</body><x xmlns='some:thing'><y/></x></message>", buf_str(&b));
    buf_done(&b);
    arena_done(&a);
}

static void copies_differ_only_in_what_is_around_them(struct test *t)
{
    static const char kept[] = "<message from='a@x/1' to='b@x' id='m' type='chat'><body>hi</body></message>";
    struct buf        b;

    buf_init(&b, 0);
    message_put(&b, STR(kept), STR("b@x"), 1000000, 0, STR_NULL);
    CHECK_STR(t, "<message from='a@x/1' to='b@x' id='m' type='chat'><body>hi</body>"
                 "<stanza-id xmlns='urn:xmpp:sid:0' by='b@x' id='d47702e2619bdce8'/></message>", buf_str(&b));
    buf_clear(&b);
    message_put_carbon(&b, STR(kept), STR("b@x"), STR("b@x/2"), 1000000, false);
    CHECK_STR(t, "<message from='b@x' to='b@x/2' type='chat'><received xmlns='urn:xmpp:carbons:2'>"
                 "<forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='a@x/1' to='b@x' id='m' type='chat'>"
                 "<body>hi</body><stanza-id xmlns='urn:xmpp:sid:0' by='b@x' id='d47702e2619bdce8'/></message></forwarded>"
                 "</received></message>", buf_str(&b));
    buf_clear(&b);
    message_put_forwarded(&b, STR(kept), STR("b@x"), 1000000, false);
    CHECK_STR(t, "<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='1970-01-01T00:00:01Z'/>"
                 "<message xmlns='jabber:client' from='a@x/1' to='b@x' id='m' type='chat'><body>hi</body></message></forwarded>",
              buf_str(&b));
    buf_done(&b);
}

TEST_MAIN(TEST(each_rule_of_section_8_is_judged), TEST(a_forwarded_stanza_is_ours_outside_and_theirs_inside),
          TEST(copies_differ_only_in_what_is_around_them))
