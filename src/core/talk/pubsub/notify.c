/* notify.c: a change is durable: who is told.
 *
 *   subscribers by name       wherever the address leads
 *   contacts of an account    each of their devices that has said it wants the node ("+notify" in its capabilities, XEP-0115), on
 *                             whichever messenger it is: an event goes to those that have the contact in memory; at other servers,
 *                             those that this messenger knows of (xep/xep0163_guests.h)
 * A notification is told once. Who misses it gets the last item with its next presence (xep/xep0163_last.h), or asks.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include "talk/pubsub/inner.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "talk/federate.h"
#include "talk/host.h"
#include "talk/message.h"
#include "talk/nodes.h"
#include "talk/presence.h"
#include "talk/roster.h"
#include "talk/xep/xep0115_clients.h"
#include "talk/xep/xep0163_guests.h"
#include "talk/xep/xep0163_pep.h"
#include "talk/xep/xep0191_blocking.h"
#include <stdlib.h>

METRIC_COUNTER(notifications, "bongsu_talk_pubsub_notifications", "PubSub notifications sent to devices.");

static const char OPENING[] = "<message";
enum { OPENING_BYTES = sizeof OPENING - 1 };

struct note *note_new(struct job *j, const struct node *n)
{
    struct note *note = ARENA_NEW(&j->work, struct note);

    note->node = n->name;
    note->normal = n->config.notification == NOTIFY_NORMAL;
    note->contacts = j->service.pep && n->config.access != ACCESS_AUTHORIZE && n->config.access != ACCESS_WHITELIST;
    note->own = j->service.pep;
    note->group_count = -1;
    if (n->config.access == ACCESS_ROSTER) {
        note->group_count = n->config.group_count;
        note->groups = arena_alloc(&j->work, sizeof *note->groups * PUBSUB_GROUPS_MAX);
        memcpy(note->groups, n->config.groups, sizeof *note->groups * (size_t)n->config.group_count);
    }
    *j->notes_end = note;
    j->notes_end = &note->next;
    return note;
}

/* ---- texts ---- */

static void put_content(struct buf *b, const struct note *n)
{
    char time[CLOCK_TEXT_BYTES];

    if (n->raw.p) {
        buf_put_str(b, n->raw);
        return;
    }
    BUF_LIT(b, "<event xmlns='" NS_PUBSUB_EVENT "'>");
    buf_put_str(b, n->event);
    BUF_LIT(b, "</event>");
    if (n->us) { /* §7.1.2.2: it is not news */
        BUF_LIT(b, "<delay xmlns='urn:xmpp:delay' stamp='");
        buf_put_str(b, clock_format(n->us, time));
        BUF_LIT(b, "'/>");
    }
}

/* Without `to`: each reader's is put in when it is sent. */
static void put_message(struct buf *b, struct str from, bool normal, struct str content)
{
    char id[17];

    random_token(id, 16);
    stanza_open(b, "message", from, STR_NULL, str_of(id), normal ? NULL : "headline", STR_NULL);
    buf_put_str(b, content);
    BUF_LIT(b, "</message>");
}

static void put_to(struct buf *b, struct str message, struct str to)
{
    buf_put(b, OPENING, OPENING_BYTES);
    xml_put_attr(b, "to", to);
    buf_put(b, message.p + OPENING_BYTES, message.len - OPENING_BYTES);
}

void last_item_put(struct buf *b, const struct job *j, const struct node *n, const struct item *i, struct str to)
{
    struct buf  items, content, message;
    struct note note = { .us = i->us };

    buf_init(&items, 0);
    buf_init(&content, 0);
    buf_init(&message, 0);
    items_event_put(&items, n->name, i, n->config.payloads, shows_publisher(j, i));
    note.event = buf_str(&items);
    put_content(&content, &note);
    put_message(&message, j->service.bare, false, buf_str(&content));
    put_to(b, buf_str(&message), to);
    buf_done(&items);
    buf_done(&content);
    buf_done(&message);
}

/* ---- to the devices of one account that want a node ---- */

static bool holds(struct str message, const char *element)
{
    return memmem(message.p, message.len, element, strlen(element)) != NULL;
}

/* The newest item, or that there is none. When one is retracted, another one may be the last. */
static bool says_all(struct str message)
{
    return (holds(message, "<item ") || holds(message, "<purge ") || holds(message, "<delete ")) && !holds(message, "<retract ");
}

void pep_to_devices(struct person *p, struct str node, struct str message)
{
    uint64_t   ids[ROSTER_SESSIONS_MAX];
    int        n = roster_sessions(p, ids);
    struct buf b;

    buf_init(&b, 0);
    for (int i = 0; i < n; i++) {
        struct session *s = session_find(p->talk, ids[i]);
        bool            hears = s && session_available(s) && caps_wants(s, node);

        if (s && s->pep_news) /* also one that is away just now: it may be back before what is being read for it */
            pep_told(s, node, hears && says_all(message));
        if (!hears)
            continue;
        buf_clear(&b);
        put_to(&b, message, s->jid.full);
        session_send(s, buf_str(&b));
        metric_add(&notifications, 1);
    }
    buf_done(&b);
}

static struct str local_of(const struct talk *t, struct str bare)
{
    struct str rest = bare, local = str_split(&rest, '@');

    return rest.p && str_eq(rest, t->domain) ? local : STR_NULL;
}

static void to_guests(struct person *me, struct str bare, struct str node, struct str message)
{
    const struct jid *to[GUEST_DEVICES_OF_CONTACT_MAX];
    int               n = guest_devices_wanting(me, bare, node, to);
    struct buf        b;

    buf_init(&b, 0);
    for (int i = 0; i < n; i++) {
        buf_clear(&b);
        put_to(&b, message, to[i]->full);
        federate_send(me->talk, buf_str(&b));
        metric_add(&notifications, 1);
    }
    buf_done(&b);
}

/* To the devices of `bare` that want the node. `me`: whose it is. */
static void to_account(struct person *me, struct str bare, struct str node, struct str message)
{
    struct talk   *t = me->talk;
    struct str     local = local_of(t, bare);
    struct person *p = presence_person(t, bare);

    if (!local.p) {
        to_guests(me, bare, node, message);
        return;
    }
    if (p)
        pep_to_devices(p, node, message);
    event_send(t, &(struct event){ .kind = EVENT_PEP, .local = local, .jid = node, .text = message });
}

static bool apart(struct person *me, struct str bare)
{
    struct person *other = presence_person(me->talk, bare);
    struct arena   a;
    struct jid     j;
    bool           yes = other && blocking_has(other, &me->jid);

    if (yes || me->blocked_count == 0)
        return yes;
    arena_init(&a);
    yes = jid_parse(&a, bare, &j) == OK && blocking_has(me, &j);
    arena_done(&a);
    return yes;
}

/* ---- to somebody by name ---- */

static bool is_named(const struct note *n, struct str bare)
{
    for (int i = 0; i < n->count; i++)
        if (str_eq(n->to[i], bare))
            return true;
    return false;
}

/* Kept for who is away, as any message. */
struct posting {
    char *text;
};

static void post_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct posting               *g = arg;
    struct xml_node              *n;
    struct stanza                 st;
    struct jid                    from;
    struct arena                  a;
    const char                   *condition;
    static const struct xml_scope scope = { .default_ns = { NS_CLIENT, sizeof NS_CLIENT - 1 } };

    (void)e;
    (void)t;
    arena_init(&a);
    if (p && xml_parse(&a, str_of(g->text), &scope, &n) == XML_FINE && jid_parse(&a, xml_attr(n, "from"), &from) == OK &&
        stanza_read(&a, n, &from, &st, &condition) == OK)
        message_post(p, &st, NULL, NULL);
    arena_done(&a);
    free(g->text);
    free(g);
}

static void post(struct talk *t, const struct jid *to, struct str text)
{
    struct posting *g;

    if (!str_eq(to->domain, t->domain)) {
        host_send(t, to, text);
        return;
    }
    g = NEW(struct posting);
    g->text = str_dup(text);
    person_find(t, to->local, post_found, g);
}

static void to_names(struct job *j, const struct note *n, struct str message)
{
    struct arena a;
    struct buf   b;

    arena_init(&a);
    buf_init(&b, 0);
    for (int i = 0; i < n->count; i++) {
        struct jid to;

        if (n->interested) {
            if (!apart(j->service.person, n->to[i]))
                to_account(j->service.person, n->to[i], n->node, message);
            continue;
        }
        if (jid_parse(&a, n->to[i], &to) != OK || (j->service.person && apart(j->service.person, to.bare)))
            continue;
        buf_clear(&b);
        put_to(&b, message, to.full);
        if (n->normal)
            post(j->talk, &to, buf_str(&b));
        else
            host_send(j->talk, &to, buf_str(&b));
        metric_add(&notifications, 1);
    }
    buf_done(&b);
    arena_done(&a);
}

/* ---- to those who see the account's presence ---- */

static bool excepted(const struct note *n, struct str bare)
{
    for (int i = 0; i < n->except_count; i++)
        if (str_eq(n->except[i], bare))
            return true;
    return false;
}

static void to_contacts(struct person *me, const struct note *n, struct str message)
{
    for (int i = 0; i < me->item_count; i++) {
        const struct roster_item *item = &me->items[i];

        if (!(item->subscription & SUB_FROM) || is_named(n, item->jid) || excepted(n, item->jid))
            continue;
        if (n->group_count >= 0 && !groups_meet(item->groups, n->group_count, n->groups))
            continue;
        if (!apart(me, item->jid))
            to_account(me, item->jid, n->node, message);
    }
}

static void send_note(struct job *j, const struct note *n)
{
    struct buf content, message;

    buf_init(&content, 0);
    buf_init(&message, 0);
    put_content(&content, n);
    put_message(&message, j->service.bare, n->normal && !n->contacts, buf_str(&content));
    to_names(j, n, buf_str(&message));
    if (n->contacts)
        to_contacts(j->service.person, n, buf_str(&message));
    if (n->own && !is_named(n, j->service.bare))
        to_account(j->service.person, j->service.bare, n->node, buf_str(&message));
    if (j->service.person)
        guest_devices_told(j->service.person, n->node);
    buf_done(&content);
    buf_done(&message);
}

void notes_send(struct job *j)
{
    for (const struct note *n = j->notes; n; n = n->next)
        send_note(j, n);
}
