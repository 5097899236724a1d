/* message.c: see message.h. The text that is kept and sent is written once, by
 * stanza_forward; copies for each reader differ only in what is put around and behind it (message_text.c).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/message_inner.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "talk/archive_id.h"
#include "talk/deliver.h"
#include "talk/devices.h"
#include "talk/feature.h"
#include "talk/follow.h"
#include "talk/jids.h"
#include "talk/offline.h"
#include "talk/search.h"
#include "talk/xep/xep0357_push.h"
#include <stdlib.h>

METRIC_COUNTER(messages_kept, "bongsu_talk_messages_kept", "Messages made durable.");
METRIC_COUNTER(messages_passed, "bongsu_talk_messages_passed", "Messages passed on without being kept.");
METRIC_COUNTER(messages_duplicate, "bongsu_talk_messages_duplicate", "Messages sent again and recognised by their origin-id.");
METRIC_COUNTER(messages_failed, "bongsu_talk_messages_failed", "Messages refused because they could not be made durable.");
METRIC_COUNTER(messages_offline, "bongsu_talk_messages_offline", "Messages kept for somebody who was away.");

/* ---- who gets it ---- */

enum fate { FATE_DELIVER, FATE_OFFLINE, FATE_IGNORE, FATE_BOUNCE };

struct plan {
    enum fate      fate;
    bool           named;       /* for one device of another worker */
    int            count, cap;
    struct target *targets;     /* in the round's arena */
};

static void plan_add(struct plan *p, struct session *s, enum delivery how)
{
    for (int i = 0; i < p->count; i++)
        if (p->targets[i].session_id == s->id)
            return;
    if (p->count < p->cap)
        p->targets[p->count++] = (struct target){ s->id, (uint8_t)how };
}

static void plan_reachable(struct plan *plan, struct person *p)
{
    LIST_EACH(it, &p->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);
        if (session_takes_messages(s))
            plan_add(plan, s, DELIVERY_DIRECT);
    }
}

static void plan_carbons(struct plan *plan, struct person *p, enum delivery how, const struct session *but)
{
    LIST_EACH(it, &p->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);
        if (s->carbons && s != but && !s->closing)
            plan_add(plan, s, how);
    }
}

/* RFC 6121 §8.5.2.1.1, §8.5.2.2.1: to a bare JID. */
static enum fate to_bare(struct plan *plan, struct person *to, const struct stanza *st)
{
    if (st->type == TYPE_ERROR)
        return FATE_IGNORE;
    if (st->type == TYPE_GROUPCHAT)
        return FATE_BOUNCE;
    if (!to->offline_busy || to->talk->shared)      /* there the log keeps the order */
        plan_reachable(plan, to);
    if (plan->count || devices_reach(to))
        return FATE_DELIVER;
    return st->type == TYPE_HEADLINE ? FATE_IGNORE : FATE_OFFLINE;
}

/* §8.5.3: to a full JID. */
static enum fate to_full(struct plan *plan, struct person *to, const struct stanza *st)
{
    struct session *s = person_session(to, st->to.resource);

    if (s && !(to->offline_busy && !to->talk->shared && st->type == TYPE_CHAT)) {
        plan_add(plan, s, DELIVERY_DIRECT);
        return FATE_DELIVER;
    }
    if (!s && device_find(to, st->to.resource)) {
        plan->named = true;
        return FATE_DELIVER;
    }
    switch (st->type) {
    case TYPE_CHAT:
        return to_bare(plan, to, st);
    case TYPE_ERROR:
    case TYPE_HEADLINE:
        return FATE_IGNORE;
    default:
        return FATE_BOUNCE;
    }
}

/* ---- on its way ---- */

static struct session *target_session(struct talk *t, const struct target *g)
{
    return session_find(t, g->session_id);
}

static void give_up(struct talk *t, struct message_op *o)
{
    for (int i = 0; i < o->target_count; i++) {
        struct session *s = target_session(t, &o->targets[i]);
        if (s)
            session_fill(s, o->put.id, STR_NULL);
    }
}

static void deliver(struct talk *t, struct message_op *o)
{
    struct buf direct, copy;

    buf_init(&direct, 0);
    buf_init(&copy, 0);
    for (int i = 0; i < o->target_count; i++) {
        struct session *s = target_session(t, &o->targets[i]);
        struct buf     *b = &direct;
        bool            archived;

        if (!s)
            continue;
        archived = o->put.keeps & (s->person == o->from ? ARCHIVE_SENDER_KEEPS : ARCHIVE_RECIPIENT_KEEPS);
        if (o->targets[i].how == DELIVERY_DIRECT) {
            if (direct.len == 0)
                message_put(&direct, o->put.stanza, archived ? s->jid.bare : STR_NULL, o->put.id, 0, STR_NULL);
        } else {
            b = &copy;
            buf_clear(b);
            message_put_carbon(b, o->put.stanza, s->jid.bare, s->jid.full, archived ? o->put.id : 0,
                               o->targets[i].how == DELIVERY_CARBON_SENT);
        }
        if (o->kept)
            session_fill(s, o->put.id, buf_str(b));
        else
            follow_send(s, buf_str(b));
    }
    buf_done(&direct);
    buf_done(&copy);
}

/* The sender is told, whole and at once: nothing of it was kept. */
static void tell_failure(struct talk *t, struct message_op *o, enum err e)
{
    struct session        *s = session_find(t, o->change.session_id);
    const struct err_info *info = err_info(e);
    struct buf             b;

    metric_add(&messages_failed, 1);
    if (!s)
        return;
    buf_init(&b, 0);
    stanza_open(&b, "message", o->to_text, s->jid.full, o->id, "error", STR_NULL);
    buf_printf(&b, "<error type='%s'><%s xmlns='" NS_STANZA_ERRORS "'/>"
                   "<text xmlns='" NS_STANZA_ERRORS "' xml:lang='en'>the message was not stored: %s</text></error></message>",
               info->type, info->condition, info->sentence);
    session_send(s, buf_str(&b));
    buf_done(&b);
}

/* It was not kept, or refused: whoever sent it is told. */
static void refuse(struct talk *t, struct message_op *o, enum err e)
{
    tell_failure(t, o, e);
    if (o->posted)
        o->posted(t, o->posted_arg, e);
    o->posted = NULL;
}

static void op_free(struct message_op *o)
{
    list_remove(&o->under_way);
    if (o->from)
        person_unref(o->from);
    if (o->to)
        person_unref(o->to);
    if (o->out)
        outbound_decided(o->talk, o->out, false);
    free(o);
}

static enum err message_apply(struct db_conn *c, struct change *ch)
{
    struct message_op *o = (struct message_op *)ch;
    enum err           e = archive_write(c, &o->put);

    /* One that is known already has left before, or is about to; in a shared database that is known later, and by its name. */
    return e || !o->out || o->put.duplicate ? e : outbound_write(c, o->out);
}

/* One line answers "what happened to this message": by its archive id, its stanza id, and both sides. What went
 * as it should is told only on request (talk.log_messages): a line costs as much as half a delivery. */
static void log_outcome(struct talk *t, const struct message_op *o, const char *outcome, enum err e)
{
    struct buf id;

    if (!t->limits.log_messages && !e && !o->put.duplicate)
        return;
    buf_init(&id, 0);
    if (o->put.id)
        archive_id_put(&id, o->put.id);
    LOG_INFO("message", LF_Z("outcome", outcome), LF_STR("archive_id", buf_str(&id)), LF_STR("id", o->id),
             LF_STR("from", o->from ? o->from->jid.bare : kept_attr(o->put.stanza, "from")), LF_STR("to", o->to_text), LF_I64("session", (int64_t)o->change.session_id),
             LF_I64("delivered_to", o->target_count), LF_ERR(e));
    buf_done(&id);
}

static void note_for_search(struct talk *t, const struct archive_put *p)
{
    if (p->keeps & ARCHIVE_SENDER_KEEPS)
        search_note(t, p->sender);
    if ((p->keeps & ARCHIVE_RECIPIENT_KEEPS) && p->recipient != p->sender)
        search_note(t, p->recipient);
}

/* It is durable: to courier. */
static void leaves(struct talk *t, struct message_op *o)
{
    if (o->out)
        outbound_decided(t, o->out, true);
    o->out = NULL;
}

/* In a shared database its row was written before it was known to be a second one. */
static void leaves_again(struct talk *t, struct message_op *o)
{
    if (!t->shared || !o->out)
        return;
    outbound_known(t, o->out);
    o->out = NULL;
}

static void message_done(struct talk *t, struct change *ch, enum err e)
{
    struct message_op *o = (struct message_op *)ch;
    bool               waited = o->put.offline;     /* it may have been put aside */

    if (o->put.order)
        message_decided(o, e);
    else if (o->kept && !e && !o->put.duplicate)
        archive_wrote(t);
    else if (o->kept && o->put.origin)
        archive_recent_remove(t, o->put.sender, o->put.origin);
    if (e) {
        give_up(t, o);
        refuse(t, o, e);
        log_outcome(t, o, "failed", e);
    } else if (o->put.duplicate) {
        metric_add(&messages_duplicate, 1);
        leaves_again(t, o);
        give_up(t, o);
        if (o->put.order)
            message_share(o);
        log_outcome(t, o, "duplicate", OK);
    } else {
        metric_add(o->kept ? &messages_kept : &messages_passed, 1);
        note_for_search(t, &o->put);
        leaves(t, o);
        if (o->put.order)
            message_share(o);
        else
            deliver(t, o);
        log_outcome(t, o, o->put.offline ? "offline" : "delivered", OK);
    }
    if (waited) {
        if (!o->put.offline)
            o->to->offline_count--;     /* somebody was there after all */
        offline_settled(o->to);
    }
    if (o->posted)
        o->posted(t, o->posted_arg, OK);
    op_free(o);
}

static struct message_op *op_new(struct talk *t, const struct message *m, const struct plan *plan, struct person *to, struct str kept, struct str to_text)
{
    size_t             head = sizeof(struct message_op) + sizeof(struct target) * (size_t)plan->count;
    struct message_op *o = mem_new(head + kept.len + m->stanza->id.len + to_text.len);
    char              *at = (char *)o + head;

    o->change.done = message_done;
    list_init(&o->under_way);
    o->carbons = m->carbons;
    o->talk = t;
    o->from = m->from;
    o->to = to;
    if (o->from)
        person_ref(o->from);
    if (o->to)
        person_ref(o->to);
    o->target_count = plan->count;
    memcpy(o->targets, plan->targets, sizeof(struct target) * (size_t)plan->count);
    o->put.stanza = str_pack(&at, kept);
    o->id = str_pack(&at, m->stanza->id);
    o->to_text = str_pack(&at, to_text);
    return o;
}

/* A server that sends again says so: Prosody adds when it had it first. */
static struct str without_delay(const struct stanza *s, struct str kept)
{
    const struct xml_node *delay = xml_child(s->node, "delay", "urn:xmpp:delay");
    struct buf             b;
    const char            *at;
    size_t                 before;

    if (!delay)
        return kept;
    buf_init(&b, 0);
    xml_put_node(&b, delay, STR("jabber:client"));
    at = memmem(kept.p, kept.len, b.p, b.len);
    before = at ? (size_t)(at - kept.p) : 0;
    if (at)
        kept = arena_printf(s->arena, "%.*s%.*s", (int)before, kept.p, (int)(kept.len - before - b.len), at + b.len);
    buf_done(&b);
    return kept;
}

/* What makes it the same message when it comes again. Another server may send one again whose sender gave it no origin-id: then all of it. */
static int64_t origin_of(struct talk *t, const struct message *m, struct str kept)
{
    if (m->origin_id.len)
        return archive_origin_hash(t, m->origin_id);
    return m->stanza->foreign && m->stanza->id.len ? archive_origin_hash(t, without_delay(m->stanza, kept)) : 0;
}

static void keep(struct message_op *o, const struct message *m, struct person *to, bool offline)
{
    struct talk *t = o->talk;

    if (m->archive && m->from && archive_keeps(m->from, m->stanza->has_to ? m->stanza->to.bare : m->from->jid.bare))
        o->put.keeps |= ARCHIVE_SENDER_KEEPS;
    if (m->archive && to && archive_keeps(to, m->stanza->from.bare))
        o->put.keeps |= ARCHIVE_RECIPIENT_KEEPS;
    o->kept = o->put.keeps || offline || !to;
    if (!o->kept)
        return;
    o->put.offline = offline;
    o->put.sender = m->from ? person_number(m->from) : jids_number(t, m->stanza->from.bare);
    o->put.recipient = to ? person_number(to) : jids_number(t, m->stanza->to.bare);
    o->put.origin = origin_of(t, m, o->put.stanza);
    if (t->shared) {
        o->put.order = &t->order;
        if (!o->put.origin)     /* so that a batch whose answer was lost can be repeated */
            o->put.origin = (int64_t)(random_u64() | 1);
        o->put.origin = archive_origin_of(o->put.sender, o->put.origin);
    } else {
        o->put.id = talk_log_id(t);
    }
}

/* The same message is in the tail, perhaps still in the batch: acknowledged when that is durable, and only if
 * it became so. */
static void sent_again(struct talk *t, struct change *ch, enum err e)
{
    struct message_op *o = (struct message_op *)ch;

    if (!e && !archive_recent(t, o->put.sender, o->put.origin) && !o->put.duplicate)
        e = ERR_UNAVAILABLE;
    if (e)
        refuse(t, o, e);
    else
        metric_add(&messages_duplicate, 1);
    log_outcome(t, o, "duplicate", e);
    if (o->posted)
        o->posted(t, o->posted_arg, OK);
    op_free(o);
}

/* `s` NULL: no client sent it. */
static bool send_kept(struct session *s, struct message_op *o)
{
    struct talk *t = o->talk;

    /* half the queue is left to the rows that must join the same batch */
    if (commit_waiting(t->db) > COMMIT_OPS_MAX / 2)
        return false;
    if (!o->put.order && o->put.origin && archive_recent(t, o->put.sender, o->put.origin)) {
        o->change.apply = NULL;
        o->change.done = sent_again;
        return session_change(s, t, &o->change) == OK;
    }
    o->change.apply = message_apply;
    if (session_change(s, t, &o->change) != OK)
        return false;
    if (o->put.order)
        message_enters(o);
    else if (o->put.origin)
        archive_recent_add(t, o->put.sender, o->put.origin, o->put.id);
    for (int i = 0; i < o->target_count; i++)
        session_expect(target_session(t, &o->targets[i]), o->put.id, o->targets[i].how);
    if (o->put.offline) {
        metric_add(&messages_offline, 1);
        o->to->offline_pending++;
        o->to->offline_count++;
        o->to->has_offline = true;
    }
    return true;
}

static void passed_on(struct talk *t, void *arg)
{
    struct message_op *o = arg;

    if (t->shared)
        message_share_passed(o);
    message_done(t, &o->change, OK);
}

static void launch(struct message *m, struct plan *plan, struct person *to, message_posted_fn *posted, void *arg)
{
    struct talk         *t = to->talk;
    struct session      *s = m->sender;
    const struct stanza *st = m->stanza;
    struct str           to_text = st->has_to ? st->to.full : st->from.bare;
    bool                 offline = plan->fate == FATE_OFFLINE;
    struct buf          *b = talk_scratch(t);
    struct message_op   *o;

    /* What is known of other workers' devices may be old: whether anyone is there is decided with the commit. */
    if (t->shared && plan->fate == FATE_DELIVER && plan->count == 0 && !plan->named && m->offline)
        offline = st->type == TYPE_CHAT || st->type == TYPE_NORMAL;

    stanza_forward(b, st, st->from.full, to_text);
    o = op_new(t, m, plan, to, buf_str(b), to_text);
    o->posted = posted;
    o->posted_arg = arg;
    if (m->archive || offline)
        keep(o, m, to, offline);
    o->away = plan->fate == FATE_OFFLINE;
    if (o->put.order)
        o->target_count = 0;        /* where it goes is found when its place is known */
    o->change.session_id = s ? s->id : 0;
    if (!o->kept && s) {
        session_after_commits(s, passed_on, o);
    } else if (!o->kept) {
        passed_on(t, o);
    } else if (!send_kept(s, o)) {
        refuse(t, o, ERR_LIMIT);
        op_free(o);
    } else if (o->change.apply && (o->put.offline || o->put.keeps & ARCHIVE_RECIPIENT_KEEPS)) {
        o->wake_after = push_message_kept(to, m);
    }
}

/* ---- judging ---- */

static bool may_leave(struct message *m)
{
    for (size_t i = 0; m->from && i < feature_count; i++)
        if (features[i]->message_out && features[i]->message_out(m->sender, m) == STOP)
            return false;
    return true;
}

static bool may_arrive(struct message *m, struct person *to)
{
    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->message_in && features[i]->message_in(to, m) == STOP)
            return false;
    return true;
}

static struct str origin_id_of(const struct stanza *st)
{
    const struct xml_node *n = xml_child(st->node, "origin-id", "urn:xmpp:sid:0");

    return n ? xml_attr(n, "id") : STR_NULL;
}

static enum fate fate_of(const struct message *m, struct plan *plan, struct person *to)
{
    const struct stanza *st = m->stanza;
    enum fate            fate = st->has_to && st->to.resource.len ? to_full(plan, to, st) : to_bare(plan, to, st);

    if (fate == FATE_OFFLINE && !m->offline)
        fate = m->archive || xml_child(st->node, "body", NS_CLIENT) ? FATE_BOUNCE : FATE_IGNORE;
    if (fate == FATE_OFFLINE && to->offline_count >= to->talk->limits.offline_max)
        fate = FATE_BOUNCE;     /* XEP-0160 §2: the store is full */
    return fate;
}

/* OK: on its way, or nothing has to be done, and `posted` may still be called; anything else: it is not. */
static enum err judge(struct message *m, struct person *to, message_posted_fn *posted, void *arg)
{
    const struct stanza *st = m->stanza;
    struct plan          plan = { .cap = to->session_count + (m->from ? m->from->session_count : 0) };

    m->archive = archive_wanted(st);
    m->origin_id = origin_id_of(st);
    m->offline = m->archive;
    m->carbons = m->archive || st->type == TYPE_CHAT;
    plan.targets = arena_alloc(st->arena, sizeof *plan.targets * (size_t)(plan.cap + 1));
    if (!may_leave(m) || !may_arrive(m, to))
        return ERR_DENIED;      /* the hook has answered */
    plan.fate = fate_of(m, &plan, to);
    if (plan.fate == FATE_BOUNCE) {
        if (m->sender)
            session_bounce(m->sender, st, "cancel", "service-unavailable", NULL);
        return ERR_UNAVAILABLE;
    }
    if (plan.fate == FATE_IGNORE) {
        if (posted)
            posted(to->talk, arg, OK);
        return OK;
    }
    if (m->carbons)
        plan_carbons(&plan, to, to == m->from ? DELIVERY_CARBON_SENT : DELIVERY_CARBON_RECEIVED, to == m->from ? m->sender : NULL);
    if (m->carbons && m->from)
        plan_carbons(&plan, m->from, DELIVERY_CARBON_SENT, m->sender);
    launch(m, &plan, to, posted, arg);
    return OK;
}

void message_route(struct session *s, const struct stanza *st, struct person *to)
{
    judge(&(struct message){ .sender = s, .from = s->person, .stanza = st }, to, NULL, NULL);
}

/* Waits for nothing but what was sent before it. */
static void passes(struct session *s, const struct message *m)
{
    struct buf *b = talk_scratch(s->talk);

    stanza_forward(b, m->stanza, s->jid.full, m->stanza->to.full);
    metric_add(&messages_passed, 1);
    federate_send_after(s, buf_str(b));
    if (!m->carbons)
        return;
    message_deliver_passed(s->person, buf_str(b), true, s);
    event_send(s->talk, &(struct event){ .kind = EVENT_PASSED, .local = s->jid.local, .text = buf_str(b), .flags = EVENT_CARBONS });
}

static void launch_far(struct session *s, struct message *m, struct plan *plan)
{
    struct talk       *t = s->talk;
    struct buf        *b = talk_scratch(t);
    struct message_op *o;

    stanza_forward(b, m->stanza, s->jid.full, m->stanza->to.full);
    o = op_new(t, m, plan, NULL, buf_str(b), m->stanza->to.full);
    keep(o, m, NULL, false);
    o->out = outbound_new(t, o->put.stanza, o->put.origin && (m->origin_id.len || t->shared) ? archive_origin_of(o->put.sender, o->put.origin) : 0);
    o->change.session_id = s->id;
    if (o->put.order)
        o->target_count = 0;
    if (federate_is_full(t) || !send_kept(s, o)) {
        refuse(t, o, ERR_LIMIT);
        op_free(o);
    }
}

void message_leaves(struct session *s, const struct stanza *st)
{
    struct message m = { .sender = s, .from = s->person, .stanza = st, .archive = archive_wanted(st), .origin_id = origin_id_of(st) };
    struct plan    plan = { .cap = s->person->session_count };

    m.offline = m.archive || (st->type == TYPE_GROUPCHAT && xml_first(st->node));
    m.carbons = m.archive || st->type == TYPE_CHAT;
    if (!may_leave(&m))
        return;
    plan.targets = arena_alloc(st->arena, sizeof *plan.targets * (size_t)(plan.cap + 1));
    if (m.carbons)
        plan_carbons(&plan, m.from, DELIVERY_CARBON_SENT, s);
    if (!m.offline && !m.archive)
        passes(s, &m);
    else
        launch_far(s, &m, &plan);
}

void message_post(struct person *to, const struct stanza *st, message_posted_fn *posted, void *arg)
{
    enum err e = judge(&(struct message){ .stanza = st }, to, posted, arg);

    if (e && posted)
        posted(to->talk, arg, e);
}
