/* xep0114_places.c: which messenger has a component, and what is sent there.
 *
 *   component.place    has, node, since, domain: who has one tells it, at once and each second; `has` 0: no more
 *   node.<id>.component    domain, text: a stanza to pass on
 *
 * Who hears of a later log-in than its own ends its own: one connection of a name is left.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "bus/codec.h"
#include "talk/deliver.h"
#include "talk/nodes.h"
#include "talk/stanza.h"
#include "talk/xep/xep0114_inner.h"

enum { PLACE_VERSION = 1, PLACE_TEXT_MAX = 1000 * 1024 };
static const char place_subject[] = "component.place";

/* ---- where ---- */

bool place_is_known(const struct talk *t, const struct component *c)
{
    return c->node && loop_now_ms(t->loop) - c->node_heard_ms < COMPONENT_PLACE_MS;
}

static void tell(struct talk *t, const struct component *c, bool has)
{
    struct buf b;

    if (!t->wide)
        return;
    buf_init(&b, 0);
    codec_begin(&b, PLACE_VERSION);
    codec_put_u64(&b, has);
    codec_put_i64(&b, t->node);
    codec_put_i64(&b, c->since_us);
    codec_put_str(&b, c->domain);
    bus_publish(t->wide, place_subject, buf_str(&b));
    buf_done(&b);
}

/* Later than the log-in that it replaces, also where clocks differ. */
void place_take(struct talk *t, struct component *c)
{
    c->since_us = clock_us();
    if (c->node && c->since_us <= c->node_since_us)
        c->since_us = c->node_since_us + 1;
    c->node = 0;
    tell(t, c, true);
}

void place_leave(struct talk *t, struct component *c)
{
    tell(t, c, false);
}

void places_tick(struct talk *t)
{
    for (int i = 0; i < t->components->count; i++)
        if (t->components->all[i].stream)
            tell(t, &t->components->all[i], true);
}

static void heard(void *arg, struct str subject, struct str payload)
{
    struct talk        *t = arg;
    struct codec_reader r = codec_open(payload, PLACE_VERSION);
    bool                has = codec_u64(&r) == 1;
    int64_t             node = codec_i64(&r), since_us = codec_i64(&r);
    struct str          domain = codec_str(&r, JID_PART_BYTES_MAX);
    struct component   *c = codec_ok(&r) ? component_find(t, domain) : NULL;

    (void)subject;
    if (!c || node == t->node)
        return;
    if (!has) {
        if (c->node == node)
            c->node = 0;
        return;
    }
    if (c->stream && since_us <= c->since_us)
        return;         /* it hears of ours within a second */
    if (place_is_known(t, c) && c->node != node && since_us < c->node_since_us)
        return;
    c->node = node;
    c->node_since_us = since_us;
    c->node_heard_ms = loop_now_ms(t->loop);
    if (c->stream)
        component_fail(c->stream, "conflict", "it has connected again");
}

/* ---- there ---- */

void component_send(struct talk *t, struct str domain, struct str text, bus_reply_fn *fn, void *arg)
{
    struct component *c = component_find(t, domain);
    char              subject[NODE_SUBJECT_BYTES];
    struct buf        b;
    enum err          e;

    if (!c || c->stream || !t->wide || !place_is_known(t, c)) {
        fn(arg, c && c->stream ? component_write(c->stream, text) : ERR_UNAVAILABLE, STR_NULL);
        return;
    }
    buf_init(&b, 0);
    codec_begin(&b, PLACE_VERSION);
    codec_put_str(&b, c->domain);
    codec_put_str(&b, text);
    nodes_subject(subject, c->node, "component");
    e = bus_ask(t->wide, subject, buf_str(&b), COMPONENT_ASK_MS, fn, arg);
    buf_done(&b);
    if (e)
        fn(arg, e, STR_NULL);
}

/* Is it one stanza, as we write it, for that domain? */
static bool is_for(struct talk *t, struct str text, struct str domain)
{
    struct xml_node *n;
    struct jid       to;
    bool             fine;

    arena_reset(&t->round);
    fine = xml_parse(&t->round, text, &stanza_scope, &n) == XML_FINE && jid_parse(&t->round, xml_attr(n, "to"), &to) == OK &&
           str_eq(to.domain, domain);
    arena_reset(&t->round);
    return fine;
}

static void asked(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct talk        *t = arg;
    struct codec_reader r = codec_open(payload, PLACE_VERSION);
    struct str          domain = codec_str(&r, JID_PART_BYTES_MAX), text = codec_str(&r, PLACE_TEXT_MAX);
    struct component   *c = codec_ok(&r) ? component_find(t, domain) : NULL;
    enum err            e = ERR_INVALID;

    (void)subject;
    if (c && is_for(t, text, domain))
        e = c->stream ? component_write(c->stream, text) : ERR_UNAVAILABLE;
    bus_answer(rq, e, STR_NULL);
}

void places_init(struct talk *t)
{
    char subject[NODE_SUBJECT_BYTES];

    if (!t->wide || !t->components->count)
        return;
    nodes_subject(subject, t->node, "component");
    bus_serve(t->wide, subject, asked, t);
    bus_subscribe(t->wide, place_subject, heard, t);
}
