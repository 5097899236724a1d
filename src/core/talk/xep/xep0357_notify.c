/* XEP-0357: when a device is woken. A device that is there gets the message over its stream; whether that
 * reached it, XEP-0198 tells, so it is looked at again a little later.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "base/metric.h"
#include "talk/devices.h"
#include "talk/feature.h"
#include "talk/nodes.h"
#include "talk/xep/xep0198_sm.h"
#include "talk/xep/xep0357_inner.h"
#include <stdlib.h>

METRIC_COUNTER(spared, "bongsu_talk_pushes_spared",
               "Devices that confirmed in time what they would have been woken for.");

enum {
    ACTIVE_MS = 30000, /* how long a device that says nothing may take to confirm… */
    ACTIVE_CALL_MS = 5000,
    INACTIVE_MS = 5000, /* …and one that has said it sleeps (XEP-0352) */
    INACTIVE_CALL_MS = 2000,
    LEFT_MS = 5000,
    FAR_MS = NODE_DEAD_MS + 1500,
};

/* ---- is it worth waking somebody? ---- */

static bool is_encrypted(const struct xml_node *m)
{
    const struct xml_node *axolotl = xml_child(m, "encrypted", "eu.siacs.conversations.axolotl");

    if (axolotl && !xml_child(axolotl, "payload", NULL))
        return false; /* keys only */
    return axolotl || xml_child(m, "encrypted", "urn:xmpp:omemo:2") ||
           xml_child(m, "openpgp", "urn:xmpp:openpgp:0") || xml_child(m, "encryption", "urn:xmpp:eme:0");
}

/* What has a text to show only for clients that know no better. */
static bool is_about_another(const struct xml_node *m)
{
    return xml_child(m, "replace", "urn:xmpp:message-correct:0") ||
           xml_child(m, "retract", "urn:xmpp:message-retract:1") ||
           xml_child(m, "apply-to", "urn:xmpp:fasten:0") || xml_child(m, "reactions", "urn:xmpp:reactions:0");
}

bool push_event_read(struct arena *a, const struct xml_node *m, struct push_event *out)
{
    const struct xml_node *body = xml_child(m, "body", NS_CLIENT);
    bool encrypted = is_encrypted(m);

    *out = (struct push_event){.kind = PUSH_MESSAGE, .message = m};
    if (xml_child(m, "propose", "urn:xmpp:jingle-message:0")) {
        out->kind = PUSH_CALL;
        return true;
    }
    if (is_about_another(m))
        return false;
    if (body && !encrypted && !xml_child(m, "encrypted", NULL))
        out->body = xml_text(a, body);
    return out->body.len || encrypted || xml_child(m, "x", "jabber:x:conference");
}

/* ---- devices that are there ---- */

/* One for a registration and kind. */
struct note {
    struct list link;
    struct talk *talk;
    struct person *person;
    uint64_t session_id; /* 0: the device is another messenger's… */
    int64_t node;        /* …this one's */
    int64_t registration, due_ms;
    uint32_t number; /* of the entry that has to be confirmed */
    enum push_kind kind;
    char *sender, *body;
};

static struct intmap *notes_of(struct talk *t, enum push_kind kind)
{
    return &t->push->notes_by[kind];
}

static void note_free(struct note *n)
{
    intmap_del(notes_of(n->talk, n->kind), n->registration);
    n->talk->push->note_count--;
    list_remove(&n->link);
    person_unref(n->person);
    free(n->sender);
    free(n->body);
    free(n);
}

/* NULL: too many. */
static struct note *note_put(struct person *p, const struct push_registration *r, const struct push_event *ev,
                             int64_t patience_ms)
{
    struct talk *t = p->talk;
    struct note *n = intmap_get(notes_of(t, ev->kind), r->id);

    if (!n && t->push->note_count >= PUSH_NOTES_MAX)
        return NULL;
    if (!n) {
        n = NEW(struct note);
        *n = (struct note){.talk = t,
                           .person = p,
                           .registration = r->id,
                           .kind = ev->kind,
                           .due_ms = loop_now_ms(t->loop) + patience_ms};
        person_ref(p);
        list_append(&t->push->notes, &n->link);
        intmap_put(notes_of(t, ev->kind), r->id, n);
        t->push->note_count++;
    }
    n->session_id = 0;
    n->sender = push_keep(r->sender ? ev->sender : STR_NULL, n->sender);
    n->body = push_keep(r->body ? ev->body : STR_NULL, n->body);
    return n;
}

static int64_t patience_of(const struct session *s, enum push_kind kind)
{
    if (s->csi)
        return kind == PUSH_CALL ? INACTIVE_CALL_MS : INACTIVE_MS;
    return kind == PUSH_CALL ? ACTIVE_CALL_MS : ACTIVE_MS;
}

static void look_at_session(struct session *s, struct push_registration *r, const struct push_event *ev)
{
    struct note *n;

    if (s->state == SESSION_DETACHED || (!s->sm && s->csi)) {
        push_due(s->person, r, ev, false);
        return;
    }
    if (!s->sm)
        return; /* it takes what it is sent, as far as anybody can know */
    n = note_put(s->person, r, ev, patience_of(s, ev->kind));
    if (!n)
        return;
    n->session_id = s->id;
    n->number = s->sm->acked + (uint32_t)s->sm->count;
}

/* The messenger that has the device looks after it, unless it is dead and nobody knows yet. */
static void look_at_device(struct person *p, struct push_registration *r, const struct push_event *ev,
                           const struct device *d)
{
    struct note *n = note_put(p, r, ev, FAR_MS);

    if (n)
        n->node = d->node;
}

static bool is_confirmed(const struct note *n, const struct session *s)
{
    return s->sm && (int32_t)(s->sm->acked - n->number) >= 0;
}

static bool has_failed(const struct note *n, const struct session *s, const struct push_registration *r)
{
    if (!n->session_id)
        return !node_alive(n->talk, n->node) && !person_session(n->person, r->resource) &&
               !device_find(n->person, r->resource);
    return s && !is_confirmed(
                    n, s); /* a session that is gone: ended() was there before, or another messenger has it */
}

static void note_end(struct note *n, struct session *s)
{
    struct push_registration *r = push_find(n->person, n->registration);

    if (r && has_failed(n, s, r)) {
        push_due(n->person, r,
                 &(struct push_event){.kind = n->kind, .sender = str_of(n->sender), .body = str_of(n->body)},
                 false);
    } else if (r && s) {
        metric_add(&spared, 1);
        r->unseen = 0;
    }
    note_free(n);
}

static void notes_end(struct session *s)
{
    struct push_list *l = s->person->push;

    for (int i = 0; l && l == s->person->push && i < l->count; i++)
        for (int kind = 0; kind < PUSH_KINDS; kind++) {
            struct note *n = intmap_get(notes_of(s->talk, (enum push_kind)kind), l->items[i]->id);

            if (n && n->session_id == s->id)
                note_end(n, s);
        }
}

void push_device_lost(struct session *s)
{
    notes_end(s);
}

void push_notify_bound(struct session *s)
{
    for (int i = 0; s->person->push && i < s->person->push->count; i++)
        if (str_eq(s->person->push->items[i]->resource, s->jid.resource)) {
            s->person->push->items[i]->unseen = 0;
            s->person->push->items[i]->left_ms = 0;
        }
}

void push_notify_ended(struct session *s)
{
    notes_end(s);
    for (int i = 0; s->person->push && i < s->person->push->count; i++)
        if (str_eq(s->person->push->items[i]->resource, s->jid.resource))
            s->person->push->items[i]->left_ms = loop_now_ms(s->talk->loop);
}

static void notes_tick(struct talk *t)
{
    int64_t now = loop_now_ms(t->loop);

    LIST_EACH(it, &t->push->notes)
    {
        struct note *n = LIST_ITEM(it, struct note, link);
        struct session *s = n->session_id ? session_find(t, n->session_id) : NULL;

        if (n->due_ms <= now || (n->session_id && (!s || is_confirmed(n, s))))
            note_end(n, s);
        else if (s) /* clients confirm when they are asked; what was asked before the message was written does
                       not tell */
            sm_ask(s);
    }
}

/* ---- events ---- */

static struct session *session_of(struct person *p, const struct push_registration *r)
{
    struct session *s = person_session(p, r->resource);

    return s && !s->closing ? s : NULL;
}

/* A device of a messenger that is dead is nowhere, though its row may be there yet. */
static bool is_with_the_dead(const struct person *p, const struct push_registration *r)
{
    for (int i = 0; i < p->device_count; i++)
        if (str_is(r->resource, p->devices[i].resource) && !node_alive(p->talk, p->devices[i].node))
            return true;
    return false;
}

/* True: it is another messenger's. */
static bool absent_or_far(struct person *p, struct push_registration *r, const struct push_event *ev)
{
    const struct device *d = device_find(p, r->resource);

    if (d) /* if it leaves at this moment, its messenger sees the message come (push_message_missed) */
        look_at_device(p, r, ev, d);
    else
        push_due(p, r, ev, p->talk->shared && !is_with_the_dead(p, r));
    return d != NULL;
}

int64_t push_message_kept(struct person *to, const struct message *m)
{
    struct push_event ev;
    int64_t newest = 1;
    bool far = false;

    if (m->from == to || m->stanza->type == TYPE_ERROR || m->stanza->type == TYPE_HEADLINE ||
        (to->push && !push_event_read(m->stanza->arena, m->stanza->node, &ev)))
        return 0;
    for (int i = 0; to->push && i < to->push->count; i++) {
        struct push_registration *r = to->push->items[i];
        struct session *s = session_of(to, r);

        ev.sender = m->stanza->from.bare;
        if (r->at > newest)
            newest = r->at;
        if (push_is_muted(r, &ev, to->jid.bare))
            continue;
        if (s && !to->talk->shared)
            look_at_session(s, r, &ev);
        else if (!s)
            far |= absent_or_far(to, r, &ev);
    }
    return far ? 1 : newest;
}

static struct str bare_of(struct str jid)
{
    const char *slash = jid.len ? memchr(jid.p, '/', jid.len) : NULL;

    return slash ? str_make(jid.p, (size_t)(slash - jid.p)) : jid;
}

/* The device left this messenger a moment ago, and the sender's may not have known. */
static bool has_just_left(struct person *p, const struct push_registration *r)
{
    return r->left_ms && loop_now_ms(p->talk->loop) - r->left_ms < LEFT_MS && !device_find(p, r->resource);
}

static void logged(struct person *p, struct str kept, int64_t wake_after)
{
    static const struct xml_scope scope = {.default_ns = {NS_CLIENT, sizeof NS_CLIENT - 1}};
    struct push_event ev;
    struct xml_node *n;
    struct arena a;

    arena_init(&a);
    if (xml_parse(&a, kept, &scope, &n) == XML_FINE && !str_is(xml_attr(n, "type"), "error") &&
        push_event_read(&a, n, &ev)) {
        ev.sender = bare_of(xml_attr(n, "from"));
        for (int i = 0; p->push && i < p->push->count && !str_eq(ev.sender, p->jid.bare); i++) {
            struct push_registration *r = p->push->items[i];
            struct session *s = session_of(p, r);

            if (push_is_muted(r, &ev, p->jid.bare))
                continue;
            if (s)
                look_at_session(s, r, &ev);
            else if (wake_after && r->at > wake_after && has_just_left(p, r))
                push_due(p, r, &ev, true);
        }
    }
    arena_done(&a);
}

void push_message_logged(struct person *p, struct str kept, int64_t wake_after)
{
    if (p->push)
        logged(p, kept, wake_after);
}

void push_message_missed(struct person *p, struct str kept, int64_t wake_after)
{
    for (int i = 0; p->push && i < p->push->count; i++)
        if (has_just_left(p, p->push->items[i])) {
            logged(p, kept, wake_after);
            break;
        }
}

/* ---- rooms ---- */

struct room_message {
    char *room, *kept;
};

static void wake_member(struct person *p, const struct push_event *ev)
{
    for (int i = 0; p->push && i < p->push->count; i++) {
        struct push_registration *r = p->push->items[i];
        struct session *s = session_of(p, r);

        if (push_is_muted(r, ev, p->jid.bare))
            continue;
        if (!s)
            absent_or_far(p, r, ev);
        else if (s->state == SESSION_DETACHED)
            push_due(p, r, ev, false);
    }
}

static void member_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    static const struct xml_scope scope = {.default_ns = {NS_CLIENT, sizeof NS_CLIENT - 1}};
    struct room_message *m = arg;
    struct push_event ev;
    struct xml_node *n;
    struct arena a;

    (void)t;
    (void)e;
    arena_init(&a);
    if (p && p->push && xml_parse(&a, str_of(m->kept), &scope, &n) == XML_FINE &&
        push_event_read(&a, n, &ev)) {
        ev.sender = str_of(m->room);
        wake_member(p, &ev);
    }
    arena_done(&a);
    free(m->room);
    free(m->kept);
    free(m);
}

void push_room_message(struct talk *t, struct str member, struct str room, struct str kept)
{
    const char *at = memchr(member.p ? member.p : "", '@', member.len);
    struct room_message *m;

    if (!at || !str_eq(str_make(at + 1, (size_t)(member.p + member.len - at - 1)), t->domain))
        return; /* of another server, which wakes its own */
    m = NEW(struct room_message);
    *m = (struct room_message){str_dup(room), str_dup(kept)};
    person_find(t, str_make(member.p, (size_t)(at - member.p)), member_found, m);
}

/* ---- life ---- */

void push_notify_tick(struct talk *t)
{
    notes_tick(t);
    push_due_tick(t);
}

void push_notify_init(struct talk *t)
{
    t->push = NEW(struct push_state);
    push_due_init(t);
    list_init(&t->push->notes);
    for (int i = 0; i < PUSH_KINDS; i++)
        intmap_init(&t->push->notes_by[i]);
}

/* At the end of the process, behind the database, before persons go. */
void push_done(struct talk *t)
{
    if (!t->push)
        return;
    while (!list_empty(&t->push->notes))
        note_free(LIST_ITEM(t->push->notes.next, struct note, link));
    for (int i = 0; i < PUSH_KINDS; i++)
        intmap_done(&t->push->notes_by[i]);
    push_due_end(t);
    free(t->push);
    t->push = NULL;
}
