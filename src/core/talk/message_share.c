/* message_share.c: messages over several workers: each delivers to the devices it has (deliver.h), by the places in the log that the
 * commit gives. See message_inner.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/message_inner.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/deliver.h"
#include "talk/devices.h"
#include "talk/follow.h"
#include "talk/nodes.h"
#include <stdlib.h>

METRIC_COUNTER(messages_ahead, "bongsu_talk_messages_ahead", "Messages that went out before they could be stored.");

enum {
    AHEAD_AFTER_MS = 120,       /* a message, or a commit, that has waited so long has begun a stall… */
    AHEAD_CALM_MS = 500,        /* …which is over when none has for so long: a busy database stalls again and again */
    AHEAD_LOOK_MS = 40,
    AHEAD_AGAIN_MS = 250,       /* what went ahead is told again after so long,… */
    AHEAD_AGAIN_TIMES = 4,      /* …and then after so many times as long */
};

static int64_t name_of(const struct message_op *o)
{
    return o->put.order ? archive_name(o->put.origin) : 0;
}

static void send_event(struct message_op *o, enum event_kind kind, const struct person *about, int64_t before)
{
    event_send(about->talk, &(struct event){
        .kind = kind, .local = about->jid.local, .text = o->put.stanza, .id = o->put.id, .before = before,
        .shown = name_of(o),
        .flags = (o->carbons ? EVENT_CARBONS : 0) | (o->put.offline && about == o->to ? EVENT_OFFLINE : 0),
        .number = about == o->to && !o->put.duplicate ? o->wake_after : 0 });
}

/* To one side's devices, here and elsewhere. `keeps`: it has a place in that side's log. */
static void share_with(struct message_op *o, struct person *p, bool keeps, int64_t before)
{
    struct logged m = { .id = o->put.id, .shown = name_of(o), .carbons = o->carbons,
                        .offline = o->put.offline && p == o->to, .stanza = o->put.stanza };

    if (keeps) {
        follow_logged(p, before, &m);
        send_event(o, EVENT_LOGGED, p, before);
    } else if (!m.offline && !o->put.ahead_us) {
        message_deliver_passed(p, m.stanza, o->carbons, NULL);
        send_event(o, EVENT_PASSED, p, 0);
    }
}

void message_share(struct message_op *o)
{
    bool again = o->put.duplicate;      /* it is in the log already: whoever has not seen it reads it there */

    nodes_note_id(o->talk, o->put.id);
    if (o->to)
        share_with(o, o->to, o->put.keeps & ARCHIVE_RECIPIENT_KEEPS, again ? -1 : o->put.before_recipient);
    if (o->from && o->from != o->to)
        share_with(o, o->from, o->put.keeps & ARCHIVE_SENDER_KEEPS, again ? -1 : o->put.before_sender);
}

void message_share_passed(struct message_op *o)
{
    send_event(o, EVENT_PASSED, o->to, 0);
    if (o->from && o->from != o->to)
        send_event(o, EVENT_PASSED, o->from, 0);
}

/* ---- one that went ahead is written down as such ---- */

struct note_op {
    struct change change;
    int64_t       id, ahead_us;
};

static enum err note_apply(struct db_conn *c, struct change *ch)
{
    struct note_op *n = (struct note_op *)ch;

    return archive_note_ahead(c, n->id, n->ahead_us);
}

static void note_done(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    (void)e;    /* then who asks for what came behind it is not given what overtook it */
    free(ch);
}

static void note_ahead(struct talk *t, const struct message_op *o)
{
    struct note_op *n = NEW(struct note_op);

    n->change.apply = note_apply;
    n->change.done = note_done;
    n->id = o->put.id;
    n->ahead_us = o->put.ahead_us;
    if (session_change(NULL, t, &n->change) != OK)
        free(n);
}

/* ---- going ahead ---- */

static void send_ahead(struct person *p, const struct logged *m, const struct ahead_of *after, unsigned flags)
{
    event_send(p->talk, &(struct event){ .kind = EVENT_AHEAD, .local = p->jid.local, .text = m->stanza, .shown = m->shown,
                                         .before = after->logged, .id = after->ahead, .flags = flags | (m->carbons ? EVENT_CARBONS : 0) });
}

/* The conversation does not wait for the database (docs/sites.md): who is there gets it now, under the name that the archive
 * will give it too. Nothing is acknowledged. */
static void go_ahead_to(struct message_op *o, struct person *p)
{
    struct logged   m = { .shown = name_of(o), .carbons = o->carbons, .stanza = o->put.stanza };
    struct ahead_of after = { .logged = follow_end(p), .ahead = p->ahead_last };

    follow_ahead(p, &m, &after);
    send_ahead(p, &m, &after, 0);
    p->ahead_last = m.shown;
}

static void ahead_decided(const struct message_op *o, struct person *p)
{
    if (p && p->ahead_last == name_of(o))
        p->ahead_last = 0;
}

static void note_leaving(struct message_op *o)
{
    __atomic_store_n(&o->put.ahead_us, clock_us(), __ATOMIC_RELAXED);
    o->tell_after_ms = AHEAD_AGAIN_MS;
    o->tell_ms = loop_now_ms(o->talk->loop) + o->tell_after_ms;
    metric_add(&messages_ahead, 1);
}

static void go_ahead(struct message_op *o)
{
    if (o->put.ahead_us || o->away)
        return;
    note_leaving(o);
    if (o->to)
        go_ahead_to(o, o->to);
    if (o->from && o->from != o->to)
        go_ahead_to(o, o->from);
}

/* One that stayed here, as nobody was there: now `p` is. */
static bool leave_for(struct message_op *o, struct person *p)
{
    if (!o->away || o->to != p || !p->talk->going_ahead)
        return false;
    o->away = false;
    note_leaving(o);
    if (o->from && o->from != p)
        go_ahead_to(o, o->from);
    return true;
}

void message_tell_pending(struct person *p, bool far)
{
    struct ahead_of after = { .logged = follow_end(p) };

    LIST_EACH(it, &p->talk->messages) {
        struct message_op *o = LIST_ITEM(it, struct message_op, under_way);
        struct logged      m = { .shown = name_of(o), .carbons = o->carbons, .stanza = o->put.stanza };

        if (o->to != p && o->from != p)
            continue;
        if (!o->put.ahead_us && !leave_for(o, p))
            continue;
        if (far)
            send_ahead(p, &m, &after, EVENT_AGAIN);
        else
            message_deliver_ahead(p, &m);
        after.ahead = m.shown;
    }
    if (after.ahead)
        p->ahead_last = after.ahead;    /* what goes from now on comes behind them */
}

void message_tell_found(struct talk *t)
{
    LIST_EACH(it, &t->messages) {
        struct message_op *o = LIST_ITEM(it, struct message_op, under_way);

        if (!o->away || !o->to || !devices_reach(o->to))
            continue;
        o->away = false;        /* also for a stall that has only begun: it goes when the others do */
        if (t->going_ahead)
            go_ahead(o);
    }
}

static bool is_due(const struct message_op *o, int64_t now) { return o->tell_ms && now >= o->tell_ms; }

static bool any_is_due(const struct talk *t, int64_t now)
{
    for (const struct list *it = t->messages.next; it != &t->messages; it = it->next)
        if (is_due(LIST_ITEM(it, const struct message_op, under_way), now))
            return true;
    return false;
}

static void no_last_ahead(struct talk *t)
{
    LIST_EACH(it, &t->messages) {
        struct message_op *o = LIST_ITEM(it, struct message_op, under_way);

        if (o->to)
            o->to->ahead_last = 0;
        if (o->from)
            o->from->ahead_last = 0;
    }
}

/* To one side's devices elsewhere, if it is due; those behind it name it. */
static void tell_again_to(const struct message_op *o, struct person *p, bool due)
{
    struct logged   m = { .shown = name_of(o), .carbons = o->carbons, .stanza = o->put.stanza };
    struct ahead_of after = { .logged = follow_end(p), .ahead = p->ahead_last };

    if (due)
        send_ahead(p, &m, &after, EVENT_AGAIN);
    p->ahead_last = m.shown;
}

/* The bus may lose an event, and behind the last one none comes that would show the gap. */
static void tell_again(struct talk *t)
{
    int64_t now = loop_now_ms(t->loop);

    if (!any_is_due(t, now))
        return;
    no_last_ahead(t);
    LIST_EACH(it, &t->messages) {
        struct message_op *o = LIST_ITEM(it, struct message_op, under_way);
        bool               due = is_due(o, now);

        if (!o->put.ahead_us)
            continue;
        if (o->to)
            tell_again_to(o, o->to, due);
        if (o->from && o->from != o->to)
            tell_again_to(o, o->from, due);
        if (due) {
            o->tell_after_ms *= AHEAD_AGAIN_TIMES;
            o->tell_ms = now + o->tell_after_ms;
        }
    }
}

static int64_t longest_wait_ms(const struct talk *t, int64_t now)
{
    return list_empty(&t->messages) ? 0 : now - LIST_ITEM(t->messages.next, struct message_op, under_way)->since_ms;
}

/* Once one goes, all before it go, and those that come: a sender's order is kept. */
static bool must_go_ahead(struct talk *t)
{
    int64_t now = loop_now_ms(t->loop);
    bool    going;

    if (commit_stalled_ms(t->db) >= AHEAD_AFTER_MS || longest_wait_ms(t, now) >= AHEAD_AFTER_MS)
        t->ahead_until_ms = now + AHEAD_CALM_MS;
    going = now < t->ahead_until_ms;
    if (going && !t->going_ahead)
        LIST_EACH(it, &t->messages)
            go_ahead(LIST_ITEM(it, struct message_op, under_way));
    t->going_ahead = going;
    return going;
}

void message_enters(struct message_op *o)
{
    struct talk *t = o->talk;

    t->order_open = true;
    list_append(&t->messages, &o->under_way);
    o->since_ms = loop_now_ms(t->loop);
    if (must_go_ahead(t))
        go_ahead(o);
}

void message_decided(struct message_op *o, enum err e)
{
    list_remove(&o->under_way);
    ahead_decided(o, o->from);
    ahead_decided(o, o->to);
    if (!e)
        archive_decided(&o->put);
    if (!e && o->put.ahead_us && (o->put.duplicate || !o->put.ahead_written))   /* it went out while its batch was on its way */
        note_ahead(o->talk, o);
}

static void look_ahead(struct timer *timer)
{
    struct talk *t = LIST_ITEM(timer, struct talk, ahead_look);

    timer_start(t->loop, &t->ahead_look, AHEAD_LOOK_MS, look_ahead);
    must_go_ahead(t);
    tell_again(t);
}

/* ---- the order of a batch ---- */

static enum err order_close_apply(struct db_conn *c, struct change *ch)
{
    return archive_order_close(c, &ch->talk->order);
}

static void order_closed(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    (void)e;
    free(ch);
}

static void close_order(void *arg)
{
    struct talk   *t = arg;
    struct change *c;

    if (!t->order_open)
        return;
    t->order_open = false;
    c = NEW(struct change);
    c->apply = order_close_apply;
    c->done = order_closed;
    if (session_change(NULL, t, c) != OK)
        free(c);
}

void message_share_init(struct talk *t)
{
    list_init(&t->messages);
    deliver_init(t);
    if (!t->shared)
        return;
    commit_on_seal(t->db, close_order, t);
    timer_start(t->loop, &t->ahead_look, AHEAD_LOOK_MS, look_ahead);
}
