/* route.c: first look at a stanza of a bound client: whom is it for? (RFC 6120 §10,
 * RFC 6121 §8.) Messages go on in message.c, presence in presence.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/route.h"
#include "base/mem.h"
#include "talk/devices.h"
#include "talk/federate.h"
#include "talk/feature.h"
#include "talk/follow.h"
#include "talk/host.h"
#include "talk/message.h"
#include "talk/nodes.h"
#include "talk/presence.h"
#include "talk/xep/xep0114_component.h"
#include "talk/xep/xep0115_guests.h"
#include "talk/xep/xep0357_push.h"
#include "talk/xep/xep0191_blocking.h"
#include <stdlib.h>

enum place { PLACE_SELF, PLACE_SERVER, PLACE_PERSON, PLACE_HOST, PLACE_ELSEWHERE };

static enum place place_of(const struct session *s, const struct stanza *st)
{
    if (!st->has_to)
        return PLACE_SELF;
    if (!str_eq(st->to.domain, s->talk->domain))
        return host_of(s->talk, st->to.domain) ? PLACE_HOST : PLACE_ELSEWHERE;
    if (st->to.local.len == 0)
        return PLACE_SERVER;
    return str_eq(st->to.full, s->jid.bare) ? PLACE_SELF : PLACE_PERSON;
}

/* ---- somebody whom only ident may know: the client waits, and the stanza is looked at again ---- */

struct waiting {
    uint64_t session_id;
    uint32_t received;      /* which stanza of the stream it is */
    char    *xml;
};

static void person_missing(struct session *s, const struct stanza *st)
{
    /* RFC 6121 §8.5.1: no such user. Presence reaches nobody, but moves the sender's own roster; the rest
     * gets an error that also somebody who is away and refuses strangers would give. */
    if (st->kind == STANZA_PRESENCE)
        presence_from_client(s, st);
    else
        session_bounce(s, st, "cancel", "service-unavailable", NULL);
}

static void person_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct waiting  *w = arg;
    struct session  *s = session_find(t, w->session_id);
    struct xml_node *n;
    struct stanza    st;
    const char      *condition;

    /* if the connection went meanwhile, the client was not told that we have it and sends it again (session_lost) */
    if (s && s->state == SESSION_BOUND && s->unhandled && s->received == w->received) {
        s->unhandled = false;
        arena_reset(&t->round);
        if (xml_parse(&t->round, str_of(w->xml), NULL, &n) == XML_FINE &&
            stanza_read(&t->round, n, &s->jid, &st, &condition) == OK) {
            st.foreign = s->guest != NULL;
            if (st.lang.len == 0 && s->lang)
                st.lang = str_of(s->lang);
            if (p)
                route_stanza(s, &st);
            else if (e == ERR_NOT_FOUND)
                person_missing(s, &st);
            else
                session_bounce(s, &st, "wait", "internal-server-error", "the account service is away");
        }
        if (s->state != SESSION_CLOSED)
            session_continue(s);
    }
    free(w->xml);
    free(w);
}

static void person_read_again(struct talk *t, struct person *p, void *arg)
{
    person_found(t, p, p ? OK : ERR_NOT_FOUND, arg);
}

/* NULL: somebody answers later, or has already answered. */
static struct person *person_of(struct session *s, const struct stanza *st)
{
    struct person  *p = person_known(s->talk, st->to.local);
    struct waiting *w;
    struct buf      b;

    if (p && !p->reloading)
        return p;
    w = NEW(struct waiting);
    w->session_id = s->id;
    w->received = s->received;
    s->unhandled = true;
    buf_init(&b, 0);
    xml_put_node(&b, st->node, STR_NULL);
    w->xml = str_dup(buf_str(&b));
    buf_done(&b);
    session_hold(s);
    if (!p)
        person_find(s->talk, st->to.local, person_found, w);
    else if (person_when_read(p, person_read_again, w) != OK)      /* another worker has just changed it */
        person_found(s->talk, p, OK, w);
    return NULL;
}

/* ---- iq ---- */

void route_iq_handle(struct session *s, const struct stanza *iq, const struct iq_handler *h)
{
    iq_fn   *fn = !h ? NULL : iq->type == TYPE_GET ? h->get : h->set;
    enum err e;

    if (!fn) {
        session_bounce(s, iq, "cancel", h ? "feature-not-implemented" : "service-unavailable", NULL);
        return;
    }
    e = fn(s, iq);
    if (e)
        iq_error(s, iq, e);
}

static void iq_handle(struct session *s, const struct stanza *iq, enum iq_to whom)
{
    const struct iq_handler *h;

    if (iq->type != TYPE_GET && iq->type != TYPE_SET) {
        for (size_t i = 0; i < feature_count && whom == IQ_TO_SERVER; i++)
            if (features[i]->iq_answer)
                features[i]->iq_answer(s, iq);
        return;
    }
    h = features_iq(iq->payload->name, iq->payload->ns);
    if (h && s->guest && !(h->to & IQ_FROM_GUEST))
        h = NULL;
    route_iq_handle(s, iq, h && (h->to & whom) ? h : NULL);
}

static bool stages_pass(struct session *s, const struct stanza *st, struct person *to)
{
    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->stanza_in && features[i]->stanza_in(to, s, st) == STOP)
            return false;
    return true;
}

struct relay {
    uint64_t target_id;     /* a session here, or… */
    int64_t  node, key;     /* …another worker's */
    int64_t  from_key;
    char    *local, *from, *text;
};

static void relay_now(struct talk *t, void *arg)
{
    struct relay   *r = arg;
    struct session *s = r->node ? NULL : session_find(t, r->target_id);

    if (s && !s->closing)
        follow_send(s, str_of(r->text));
    else if (!r->node)
        event_for_nobody(t, &(struct event){ .text = str_of(r->text), .jid = str_of(r->from), .node = t->node, .number = r->from_key });
    if (r->node)
        event_send_node(t, r->node, &(struct event){ .kind = EVENT_TO_DEVICE, .local = str_of(r->local), .key = r->key, .text = str_of(r->text),
                                                       .jid = str_of(r->from), .node = t->node, .number = r->from_key });
    free(r->local);
    free(r->from);
    free(r->text);
    free(r);
}

static void relay_far(struct session *from, struct person *p, int64_t node, int64_t key, struct str text)
{
    struct relay *r = NEW(struct relay);

    *r = (struct relay){ .node = node, .key = key, .local = str_dup(p->jid.local), .text = str_dup(text),
                         .from = str_dup(from->jid.full), .from_key = from->key };
    session_after_commits(from, relay_now, r);
}

/* To one session, behind what the sender has in the batch (RFC 6120 §10.1). */
static void relay(struct session *from, struct session *to, struct str text)
{
    struct relay *r;

    if (from->commits == 0) {
        follow_send(to, text);
        return;
    }
    r = NEW(struct relay);
    r->target_id = to->id;
    r->text = str_dup(text);
    r->from = str_dup(from->jid.full);
    r->from_key = from->key;
    session_after_commits(from, relay_now, r);
}

void route_iq(struct session *s, const struct stanza *iq)
{
    struct person  *p = person_known(s->talk, iq->to.local);
    struct session *there = p ? person_session(p, iq->to.resource) : NULL, *to = there && !there->closing ? there : NULL;
    struct device  *far = p && !to ? device_find(p, iq->to.resource) : NULL;
    int64_t         node = far ? far->node : 0, key = far ? far->key : 0;
    struct buf     *b;

    if (p && !stages_pass(s, iq, p))
        return;
    if (far || (p && !to && nodes_route(s->talk, iq->to.full, &node, &key))) {
        b = talk_scratch(s->talk);
        stanza_forward(b, iq, s->jid.full, iq->to.full);
        relay_far(s, p, node, key, buf_str(b));
        return;
    }
    if (!to) {      /* §8.5.3.2.3 */
        session_bounce(s, iq, "cancel", "service-unavailable", NULL);
        return;
    }
    b = talk_scratch(s->talk);
    stanza_forward(b, iq, s->jid.full, iq->to.full);
    relay(s, to, buf_str(b));
}

static void iq_to_person(struct session *s, const struct stanza *iq)
{
    struct person *p;

    if (iq->type == TYPE_RESULT || iq->type == TYPE_ERROR) {
        if (iq->to.resource.len && (!s->talk->shared || person_of(s, iq)))
            route_iq(s, iq);
        else if (!iq->to.resource.len)
            (void)(version_answered(s, iq) || push_answered(s->talk, iq));
        return;
    }
    p = person_of(s, iq);   /* for a full address too: what the stages refuse must not tell who is loaded */
    if (!p)
        return;
    if (iq->to.resource.len)
        route_iq(s, iq);
    else if (stages_pass(s, iq, p))
        iq_handle(s, iq, IQ_TO_OTHER);
}

/* ---- every stanza ---- */

static void question_leaves(struct session *s, const struct stanza *iq)
{
    struct buf *b;

    if (iq->type != TYPE_RESULT && iq->type != TYPE_ERROR && blocking_has(s->person, &iq->to)) {
        blocking_refuse(s, iq);
        return;
    }
    b = talk_scratch(s->talk);
    stanza_forward(b, iq, s->jid.full, iq->to.full);
    federate_send_after(s, buf_str(b));
}

/* Somebody at another server is nobody whom we forward for, but to and from components of ours. */
static bool may_pass(const struct session *s, struct str to)
{
    return federate_reaches(s->talk, to) && (!s->guest || component_is(s->talk, to) || component_is(s->talk, s->jid.domain));
}

/* To another server, or a component. */
static void elsewhere(struct session *s, const struct stanza *st)
{
    if (!may_pass(s, st->to.domain))
        session_bounce(s, st, "cancel", "remote-server-not-found", NULL);
    else if (s->guest)
        federate_pass(s, st);
    else if (st->kind == STANZA_MESSAGE)
        message_leaves(s, st);
    else if (st->kind == STANZA_PRESENCE)
        presence_from_client(s, st);
    else
        question_leaves(s, st);
}

static void to_server(struct session *s, const struct stanza *st)
{
    if (st->kind == STANZA_IQ && st->to.resource.len == 0)
        iq_handle(s, st, IQ_TO_SERVER);
    else if (st->kind == STANZA_PRESENCE)
        presence_from_client(s, st);
    else
        session_bounce(s, st, "cancel", "service-unavailable", NULL);
}

static void message_stanza(struct session *s, const struct stanza *st, enum place place)
{
    struct person *p = place == PLACE_SELF ? s->person : person_of(s, st);

    if (p)
        message_route(s, st, p);
}

void route_stanza(struct session *s, const struct stanza *st)
{
    enum place place = place_of(s, st);

    if (place == PLACE_HOST) {
        host_of(s->talk, st->to.domain)->take(s, st);
    } else if (place == PLACE_ELSEWHERE) {
        if (!s->guest && st->kind == STANZA_PRESENCE && st->type != TYPE_SUBSCRIBE)
            presence_from_client(s, st);
        else
            elsewhere(s, st);
    } else if (place == PLACE_SERVER) {
        to_server(s, st);
    } else if (st->kind == STANZA_MESSAGE) {
        message_stanza(s, st, place);
    } else if (st->kind == STANZA_PRESENCE) {
        if (place == PLACE_SELF || person_of(s, st))
            presence_from_client(s, st);
    } else if (place == PLACE_SELF) {
        iq_handle(s, st, IQ_TO_SELF);
    } else {
        iq_to_person(s, st);
    }
}

void route_presence(struct talk *t, struct person *to, struct str resource, struct str stanza)
{
    event_send(t, &(struct event){ .kind = EVENT_STANZA, .local = to->jid.local, .jid = resource, .flags = EVENT_AVAILABLE, .text = stanza });
    LIST_EACH(it, &to->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);

        if (resource.len ? str_eq(s->jid.resource, resource) : session_available(s))
            follow_send(s, stanza);
    }
}
