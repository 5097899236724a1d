/* s2s_flow.c: what a stream carries: stanzas both ways, and how each side knows that the other has them
 * (XEP-0198, or a ping behind them).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/s2s.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/metric.h"
#include "crypto/digest.h"

METRIC_COUNTER(stanzas_in, "bongsu_courier_stanzas_in", "Stanzas that other servers sent.");
METRIC_COUNTER(stanzas_out, "bongsu_courier_stanzas_out", "Stanzas sent to other servers.");

/* ---- out: stanzas and their acknowledgement ---- */

static void ask_handled(struct s2s *s, struct link *l)
{
    struct buf b;

    if (s->sm_out) {
        if (!s->barrier) {
            s->barrier = s->sent;
            s->barrier_ms = loop_now_ms(s->courier->loop);
            s2s_write(s, STR("<r xmlns='" NS_SM "'/>"));
        }
        return;
    }
    if (s->barrier)
        return;
    memcpy(s->barrier_id, "bq-", 3);
    random_token(s->barrier_id + 3, 16);
    s->barrier = s->sent;
    s->barrier_ms = loop_now_ms(s->courier->loop);
    buf_init(&b, 0);
    BUF_LIT(&b, "<iq type='get'");
    xml_put_attr(&b, "from", l->local);
    xml_put_attr(&b, "to", l->remote);
    xml_put_attr(&b, "id", str_of(s->barrier_id));
    BUF_LIT(&b, "><ping xmlns='urn:xmpp:ping'/></iq>");
    s2s_write(s, buf_str(&b));
    buf_done(&b);
    s->sent++;
}

void s2s_carry(struct s2s *s, struct link *l)
{
    bool kept = false;

    if (!s->conn || s->closing)
        return;
    LIST_EACH(it, &l->items) {
        struct item *x = LIST_ITEM(it, struct item, in_link);

        if (x->stream || x->told)
            continue;
        if (conn_pending_bytes(s->conn) > S2S_SEND_BYTES_MAX || l->unacked >= LINK_UNACKED_MAX)
            break;
        s2s_write(s, str_make(x->text, x->len));
        metric_add(&stanzas_out, 1);
        s->used_ms = loop_now_ms(s->courier->loop);
        x->number = ++s->sent;
        link_sent(l, x, s->id);
        kept = true;
    }
    if (kept && l->unacked)
        ask_handled(s, l);
}

static void still_unacked(struct s2s *s)
{
    if (s->carries && s->carries->unacked && !s->closing)
        ask_handled(s, s->carries);
}

static void acked(struct s2s *s, const struct xml_node *n)
{
    uint64_t h;

    if (!s->sm_out || !str_to_u64(xml_attr(n, "h"), &h) || h > UINT32_MAX || (int32_t)(s->sent - (uint32_t)h) < 0) {
        s2s_fail(s, "undefined-condition");
        return;
    }
    s->barrier = 0;
    if (s->carries)
        link_handled(s->carries, s, (uint32_t)h);
    if ((uint32_t)h != s->sent)
        still_unacked(s);
}

/* An answer to our ping: what went before it has been handled. */
static bool is_barrier(struct s2s *s, const struct xml_node *n, const struct jid *from, const struct jid *to)
{
    struct str   id = xml_attr(n, "id"), type = xml_attr(n, "type");
    struct link *l;
    struct s2s  *on;
    uint32_t     upto;

    if (!str_is(n->name, "iq") || !str_starts(id, STR("bq-")) || to->local.len || from->local.len ||
        !(str_is(type, "result") || str_is(type, "error")))
        return false;
    l = link_find(s->courier, to->domain, from->domain);
    on = l ? l->carrier : NULL;
    if (!on || on->sm_out || !on->barrier || !str_eq(str_of(on->barrier_id), id))
        return true; /* a late one */
    upto = on->barrier;
    on->barrier = 0;
    l->barrier_misses = 0;
    link_handled(l, on, upto);
    still_unacked(on);
    return true;
}

void s2s_features_sm(struct s2s *s, const struct xml_node *features)
{
    s->may_sm |= xml_child(features, "sm", NS_SM) != NULL;
}

/* ---- in: stanzas ---- */

struct came {
    struct list     in_stream;
    struct courier *courier;
    uint64_t        stream;
    bool            done;
    bool            uncounted; /* came before acknowledging was switched on */
};

static void send_ack(struct s2s *s)
{
    char text[64];

    snprintf(text, sizeof text, "<a xmlns='" NS_SM "' h='%u'/>", (unsigned)s->handled);
    s2s_write(s, str_of(text));
}

void s2s_go_on(struct s2s *s)
{
    if (!s->held || s->rate_spent || s->came_count > S2S_WINDOW / 2 || !s->conn || s->closing)
        return;
    s->held = false;
    conn_resume(s->conn);
}

/* In the order in which they came. */
static void count_handled(struct s2s *s)
{
    while (!list_empty(&s->came)) {
        struct came *first = LIST_ITEM(s->came.next, struct came, in_stream);

        if (!first->done)
            break;
        list_remove(&first->in_stream);
        s->handled += !first->uncounted;
        free(first);
    }
    if (s->wants_ack && list_empty(&s->came) && !s->closing) {
        s->wants_ack = false;
        send_ack(s);
    }
}

static void came_done(void *arg, enum err e)
{
    struct came *m = arg;
    struct s2s  *s = intmap_get(&m->courier->streams_by_id, (int64_t)m->stream); /* one that is closing too */

    (void)e; /* what talk refuses for good is handled too */
    m->done = true;
    if (!s) {
        free(m);
        return;
    }
    s->came_count--;
    count_handled(s);
    s2s_go_on(s);
}

static bool is_stanza(const struct xml_node *n)
{
    return str_is(n->ns, "jabber:client") && (str_is(n->name, "message") || str_is(n->name, "presence") || str_is(n->name, "iq"));
}

static struct came *came_new(struct s2s *s)
{
    struct came *m = NEW(struct came);

    *m = (struct came){ .courier = s->courier, .stream = s->id };
    list_append(&s->came, &m->in_stream);
    return m;
}

static void take(struct s2s *s, const struct xml_node *n, const struct jid *from, const struct jid *to)
{
    struct came *m = came_new(s);
    struct buf   b;

    buf_init(&b, 0);
    xml_put_stanza(&b, n, from->full, to->full, STR("jabber:client"));
    if (++s->came_count >= S2S_WINDOW && !s->held) {
        s->held = true;
        conn_pause(s->conn);
    }
    inward_give(s->courier, from->domain, buf_str(&b), came_done, m);
    buf_done(&b);
}

void s2s_stanza(struct s2s *s, const struct xml_node *n)
{
    struct arena *a = &s->courier->round;
    struct jid    from, to;

    if (!is_stanza(n)) {
        s2s_fail(s, s->ready ? "unsupported-stanza-type" : "not-authorized");
        return;
    }
    metric_add(&stanzas_in, 1);
    s->used_ms = loop_now_ms(s->courier->loop);
    if (!xml_attr(n, "from").len || !xml_attr(n, "to").len || jid_parse(a, xml_attr(n, "from"), &from) != OK ||
        jid_parse(a, xml_attr(n, "to"), &to) != OK) {
        s2s_fail(s, "improper-addressing"); /* RFC 6120 §4.9.3.7 */
        return;
    }
    if (!courier_is_ours(s->courier, to.domain)) {
        s2s_fail(s, "host-unknown"); /* we are nobody's relay */
        return;
    }
    if (!s2s_is_proven(s, to.domain, from.domain)) {
        s2s_fail(s, s->ready ? "invalid-from" : "not-authorized");
        return;
    }
    if (!courier_may_speak(s->courier, from.domain)) {
        s2s_fail(s, "policy-violation");
        return;
    }
    if (is_barrier(s, n, &from, &to)) {
        came_new(s)->done = true;
        count_handled(s);
        return;
    }
    take(s, n, &from, &to);
}

/* ---- acknowledging ---- */

static void count_from_here(struct s2s *s)
{
    s->sm_in = true;
    s->handled = 0;
    LIST_EACH(it, &s->came)
        LIST_ITEM(it, struct came, in_stream)->uncounted = true;
    LOG_INFO("s2s.managed", LF_I64("stream", (int64_t)s->id), LF_STR("remote", str_of(s->remote)));
}

/* XEP-0198. On a stream of theirs we acknowledge, and on ours they do; what we send through theirs is
 * followed by pings. */
bool s2s_sm_element(struct s2s *s, const struct xml_node *n)
{
    if (!str_is(n->ns, NS_SM))
        return false;
    if (str_is(n->name, "enable") && s->incoming) {
        if (!s->ready || s->sm_in) {
            s2s_write(s, STR("<failed xmlns='" NS_SM "'><unexpected-request xmlns='" NS_STANZAS "'/></failed>"));
            return true;
        }
        count_from_here(s);
        s2s_write(s, STR("<enabled xmlns='" NS_SM "'/>"));
    } else if (str_is(n->name, "enabled") && s->asked_sm) {
        count_from_here(s);
        s->sm_out = true;
        s->barrier = 0;
        still_unacked(s);
    } else if (str_is(n->name, "failed")) {
        s->asked_sm = false;
    } else if (str_is(n->name, "r") && s->sm_in) {
        if (list_empty(&s->came))
            send_ack(s);
        else
            s->wants_ack = true;
    } else if (str_is(n->name, "a")) {
        acked(s, n);
    } else if (str_is(n->name, "resume")) {
        s2s_write(s, STR("<failed xmlns='" NS_SM "'><feature-not-implemented xmlns='" NS_STANZAS "'/></failed>"));
    }
    return true;
}

void s2s_came_forget(struct s2s *s)
{
    LIST_EACH(it, &s->came) {
        struct came *m = LIST_ITEM(it, struct came, in_stream);

        list_remove(&m->in_stream); /* came_done frees it, unless it is done and stood behind another */
        if (m->done)
            free(m);
    }
}
