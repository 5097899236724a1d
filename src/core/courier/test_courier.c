/* test_courier.c: keys of dialback, lists of domains, what travels on the bus.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include "base/test.h"
#include "courier/s2s.h"

/* The example of XEP-0185 §3. */
static void the_key_is_that_of_the_text(struct test *t)
{
    char key[DIALBACK_KEY_BYTES];

    dialback_key(STR("s3cr3tf0rd14lb4ck"), STR("xmpp.example.com"), STR("example.org"), STR("D60000229F"), key);
    CHECK_STR(t, "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643", str_of(key));
    dialback_key(STR("s3cr3tf0rd14lb4ck"), STR("example.org"), STR("xmpp.example.com"), STR("D60000229F"), key);
    CHECK(t, strcmp(key, "37c69b1cf07a3f67c04a5ef5902fa5114f2c76fe4a2686482ba5b89323075643") != 0);
}

static void a_list_names_domains_and_what_is_below(struct test *t)
{
    struct str list = STR("a.example, *.b.example ,c.example");

    CHECK(t, courier_domain_in(list, STR("a.example")));
    CHECK(t, courier_domain_in(list, STR("A.example")));
    CHECK(t, courier_domain_in(list, STR("x.b.example")));
    CHECK(t, courier_domain_in(list, STR("y.x.b.example")));
    CHECK(t, courier_domain_in(list, STR("c.example")));
    CHECK(t, !courier_domain_in(list, STR("b.example")));
    CHECK(t, !courier_domain_in(list, STR("xb.example")));
    CHECK(t, !courier_domain_in(list, STR("x.a.example")));
    CHECK(t, !courier_domain_in(list, STR("")));
    CHECK(t, !courier_domain_in(STR(""), STR("a.example")));
}

static struct courier ours(const char *domain)
{
    return (struct courier){ .domain = str_of(domain) };
}

static void what_is_below_our_domain_is_ours(struct test *t)
{
    struct courier c = ours("town.example");

    CHECK(t, courier_is_ours(&c, STR("town.example")));
    CHECK(t, courier_is_ours(&c, STR("rooms.town.example")));
    CHECK(t, !courier_is_ours(&c, STR("boomtown.example")));
    CHECK(t, !courier_is_ours(&c, STR(".town.example")));
    CHECK(t, !courier_is_ours(&c, STR("example")));
}

static void names_are_written_as_dns_does(struct test *t)
{
    char out[256];

    CHECK(t, courier_ascii(STR("봉수.example"), out));
    CHECK_STR(t, "xn--9n3bo6g.example", str_of(out));
    CHECK(t, courier_ascii(STR("town.example"), out));
    CHECK_STR(t, "town.example", str_of(out));
    CHECK(t, !courier_ascii(STR(""), out));
}

static void a_stanza_travels_whole(struct test *t)
{
    struct courier_stanza in = { .flags = COURIER_KEEP,
                                 .name = STR("n1"),
                                 .local = STR("a.example"),
                                 .remote = STR("b.example"),
                                 .text = STR("<message from='x@a.example' to='y@b.example'><body>안녕</body></message>") };
    struct courier_stanza out;
    struct buf            b;
    struct codec_reader   r;
    struct str            remote, text;

    buf_init(&b, 0);
    courier_send_write(&b, &in);
    r = codec_open(buf_str(&b), COURIER_PAYLOAD_VERSION);
    CHECK_OK(t, courier_send_read(&r, &out));
    CHECK(t, str_eq(in.name, out.name) && str_eq(in.local, out.local) && str_eq(in.remote, out.remote) && str_eq(in.text, out.text));
    in.name = STR(""); /* what is kept has a name */
    buf_clear(&b);
    courier_send_write(&b, &in);
    r = codec_open(buf_str(&b), COURIER_PAYLOAD_VERSION);
    CHECK_INT(t, ERR_INVALID, courier_send_read(&r, &out));
    buf_clear(&b);
    courier_came_write(&b, STR("b.example"), STR("<presence/>"));
    CHECK_OK(t, courier_came_read(buf_str(&b), &remote, &text));
    CHECK_STR(t, "<presence/>", text);
    buf_clear(&b);
    courier_came_write(&b, STR("b.example"), STR("presence"));
    CHECK_INT(t, ERR_INVALID, courier_came_read(buf_str(&b), &remote, &text));
    buf_done(&b);
}

static void figures_travel_whole(struct test *t)
{
    struct courier_figures in = { .on = true, .disk = ERR_FULL, .commits_waiting = 1, .now_us = 2, .out_count = 3, .in_count = 4, .waiting = 5,
                                  .domains_waiting = 30, .oldest_us = 6, .push_waiting = 7, .domain_count = 2,
                                  .domains = { { STR("a.example"), 8, 9, true }, { STR("봉수.example"), 10, 11, false } } };
    struct courier_figures out;
    struct buf             b;

    buf_init(&b, 0);
    courier_figures_write(&b, &in);
    CHECK_OK(t, courier_figures_read(buf_str(&b), &out));
    CHECK(t, out.on && out.disk == ERR_FULL && out.commits_waiting == 1 && out.now_us == 2 && out.out_count == 3 && out.in_count == 4);
    CHECK(t, out.waiting == 5 && out.domains_waiting == 30 && out.oldest_us == 6 && out.push_waiting == 7 && out.domain_count == 2);
    CHECK(t, out.domains[0].waiting == 8 && out.domains[0].oldest_us == 9 && out.domains[0].away && !out.domains[1].away);
    CHECK_STR(t, "봉수.example", out.domains[1].name);
    CHECK_INT(t, ERR_INVALID, courier_figures_read(str_make(b.p, b.len - 1), &out));
    buf_clear(&b);
    in.disk = ERR_COUNT;
    courier_figures_write(&b, &in);
    CHECK_INT(t, ERR_INVALID, courier_figures_read(buf_str(&b), &out));
    buf_done(&b);
}

/* Names that nobody has proven cannot keep our own people from sending. */
static void strangers_leave_room_for_links(struct test *t)
{
    struct courier c = ours("town.example");
    char           name[40];

    c.loop = loop_new();
    strmap_init(&c.links);
    for (int i = 0; i < COURIER_LINKS_MAX; i++) {
        snprintf(name, sizeof name, "d%d.example", i);
        if (!link_to_ask(&c, c.domain, str_of(name)))
            break;
    }
    CHECK_INT(t, COURIER_LINKS_MAX / 2, c.links.count);
    CHECK(t, link_to_ask(&c, c.domain, STR("d0.example")) == link_find(&c, c.domain, STR("d0.example")));
    CHECK(t, link_get(&c, c.domain, STR("b.example")));
    CHECK(t, link_to_ask(&c, c.domain, STR("b.example")));
    links_free(&c);
    loop_free(&c.loop);
}

/* However few they are, large stanzas stay in the database. */
static void a_link_holds_so_many_bytes(struct test *t)
{
    struct courier c = ours("town.example");
    struct link   *l;

    c.loop = loop_new();
    strmap_init(&c.links);
    l = link_get(&c, c.domain, STR("b.example"));
    CHECK(t, link_has_room(l, COURIER_STANZA_BYTES_MAX));
    l->bytes = LINK_BYTES_MAX - 1000;
    CHECK(t, link_has_room(l, 1000));
    CHECK(t, !link_has_room(l, 1001));
    l->count = LINK_ITEMS_MAX;
    CHECK(t, !link_has_room(l, 1));
    links_free(&c);
    loop_free(&c.loop);
}

TEST_MAIN(TEST(the_key_is_that_of_the_text), TEST(a_list_names_domains_and_what_is_below), TEST(what_is_below_our_domain_is_ours),
          TEST(names_are_written_as_dns_does), TEST(a_stanza_travels_whole), TEST(figures_travel_whole),
          TEST(strangers_leave_room_for_links), TEST(a_link_holds_so_many_bytes))
