/* inward.c: what came from other servers, to talk, until talk has it. One lane for each of talk's workers;
 * the two addresses choose the lane, so what one sends to another stays in order. When talk is away a lane
 * stands still, and then sends all that was not answered again, in order; talk knows messages that it has
 * stored.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include "base/metric.h"
#include "courier/s2s.h"
#include "proc/settings.h"

METRIC_COUNTER(taken, "bongsu_courier_received", "Stanzas of other servers that talk has taken.");
METRIC_COUNTER(dropped, "bongsu_courier_received_bad", "Stanzas of other servers that talk would not take.");
METRIC_COUNTER(stalls, "bongsu_courier_talk_away", "Times stanzas of other servers had to wait for talk.");

enum { LANE_AGAIN_MS = 100 };

struct lane {
    struct courier *courier;
    char            subject[40];
    struct list     parcels; /* in order */
    int             flying;
    bool            stalled;
    struct timer    again;
};

struct parcel {
    struct list  in_lane;
    struct lane *lane;
    bool         asked;
    inward_fn   *fn;
    void        *arg;
    size_t       len;
    char         payload[];
};

static void lanes_init(struct courier *c)
{
    c->lane_count = (int)settings_int(c->settings, "talk.workers");
    c->lanes = mem_new(sizeof *c->lanes * (size_t)c->lane_count);
    for (int i = 0; i < c->lane_count; i++) {
        c->lanes[i].courier = c;
        list_init(&c->lanes[i].parcels);
        if (i == 0)
            snprintf(c->lanes[i].subject, sizeof c->lanes[i].subject, "talk.federate");
        else
            snprintf(c->lanes[i].subject, sizeof c->lanes[i].subject, "talk%d.federate", i + 1);
    }
}

void inward_done(struct courier *c)
{
    for (int i = 0; i < c->lane_count; i++) {
        timer_stop(c->loop, &c->lanes[i].again);
        LIST_EACH(it, &c->lanes[i].parcels) {
            struct parcel *p = LIST_ITEM(it, struct parcel, in_lane);

            p->fn(p->arg, ERR_CLOSED);
            free(p);
        }
    }
    free(c->lanes);
    c->lanes = NULL;
    c->lane_count = 0;
}

static void lane_go(struct lane *l);

static void lane_again(struct timer *t)
{
    struct lane *l = LIST_ITEM(t, struct lane, again);

    l->stalled = false;
    lane_go(l);
}

static void answered(void *arg, enum err e, struct str payload)
{
    struct parcel *p = arg;
    struct lane   *l = p->lane;
    bool           refused = e == ERR_INVALID || e == ERR_UNSUPPORTED || e == ERR_DENIED;

    (void)payload;
    l->flying--;
    p->asked = false;
    if (!e || refused) {
        metric_add(e ? &dropped : &taken, 1);
        list_remove(&p->in_lane);
        p->fn(p->arg, refused ? ERR_INVALID : OK);
        free(p);
    } else if (!l->stalled) {
        l->stalled = true;
        metric_add(&stalls, 1);
    }
    if (l->stalled && l->flying == 0) /* all that was under way is decided: nothing overtakes */
        timer_start(l->courier->loop, &l->again, LANE_AGAIN_MS, lane_again);
}

static void lane_go(struct lane *l)
{
    LIST_EACH(it, &l->parcels) {
        struct parcel *p = LIST_ITEM(it, struct parcel, in_lane);

        if (l->stalled)
            return;
        if (p->asked)
            continue;
        p->asked = true;
        l->flying++;
        if (bus_ask(l->courier->bus, l->subject, str_make(p->payload, p->len), COURIER_ASK_MS, answered, p) == OK)
            continue;
        p->asked = false;
        l->flying--;
        l->stalled = true;
        if (l->flying == 0)
            timer_start(l->courier->loop, &l->again, LANE_AGAIN_MS, lane_again);
        return;
    }
}

/* By the bare addresses: an answer of another device stays in order too. */
static uint64_t lane_number(struct str text)
{
    const char *end = memchr(text.p, '>', text.len);
    struct str  head = str_make(text.p, end ? (size_t)(end - text.p) : 0);
    uint64_t    sum = 0;

    for (int i = 0; i < 2; i++) {
        const char *name = i ? " to='" : " from='";
        const char *at = memmem(head.p, head.len, name, strlen(name));
        const char *stop;

        if (!at)
            continue;
        at += strlen(name);
        for (stop = at; stop < head.p + head.len && *stop != '\'' && *stop != '/'; stop++)
            ;
        sum = sum * 31 + hash_bytes(at, (size_t)(stop - at));
    }
    return sum;
}

void inward_give(struct courier *c, struct str remote, struct str text, inward_fn *fn, void *arg)
{
    struct lane   *l;
    struct parcel *p;
    struct buf     b;

    if (!c->lanes)
        lanes_init(c);
    l = &c->lanes[lane_number(text) % (unsigned)c->lane_count];
    buf_init(&b, 0);
    courier_came_write(&b, remote, text);
    p = mem_new(sizeof *p + b.len);
    p->lane = l;
    p->fn = fn;
    p->arg = arg;
    p->len = b.len;
    memcpy(p->payload, b.p, b.len);
    buf_done(&b);
    list_append(&l->parcels, &p->in_lane);
    lane_go(l);
}

/* ---- what did not arrive ---- */

static bool is_told(const struct xml_node *n)
{
    struct str type = xml_attr(n, "type");

    if (str_is(n->name, "message"))
        return !str_is(type, "error");
    if (str_is(n->name, "iq"))
        return str_is(type, "get") || str_is(type, "set");
    return str_is(type, "subscribe");
}

static void put_error(struct buf *b, const struct xml_node *n, const char *type, const char *condition, const char *why)
{
    buf_put_c(b, '<');
    buf_put_str(b, n->name);
    xml_put_attr(b, "from", xml_attr(n, "to"));
    xml_put_attr(b, "to", xml_attr(n, "from"));
    xml_put_attr(b, "id", xml_attr(n, "id"));
    BUF_LIT(b, " type='error'>");
    for (const struct xml_node *x = xml_first(n); x; x = xml_next(x))
        if (!str_is(x->name, "error"))
            xml_put_node(b, x, STR("jabber:client"));
    buf_printf(b, "<error type='%s'><%s xmlns='" NS_STANZAS "'/><text xmlns='" NS_STANZAS "' xml:lang='en'>%s</text></error></", type,
               condition, why);
    buf_put_str(b, n->name);
    buf_put_c(b, '>');
}

void inward_bounce(struct courier *c, struct str remote, struct str text, const char *type, const char *condition, const char *why,
                   inward_fn *fn, void *arg)
{
    static const struct xml_scope scope = { .default_ns = { "jabber:client", 13 } };
    struct xml_node              *n;
    struct arena                  a;
    struct buf                    b;

    arena_init(&a);
    buf_init(&b, 0);
    if (xml_parse(&a, text, &scope, &n) == XML_FINE && is_told(n)) {
        put_error(&b, n, type, condition, why);
        inward_give(c, remote, buf_str(&b), fn, arg);
    } else {
        fn(arg, OK);
    }
    buf_done(&b);
    arena_done(&a);
}
