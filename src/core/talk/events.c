/* events.c: what a worker does with what another one tells it (nodes.h): to the person's devices that are here.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "talk/admin.h"
#include "talk/deliver.h"
#include "talk/devices.h"
#include "talk/message.h"
#include "talk/nodes.h"
#include "talk/presence.h"
#include "talk/roster.h"
#include "talk/signed_in.h"
#include "talk/xep/xep0153_photo.h"
#include "talk/xep/xep0163_guests.h"
#include "talk/xep/xep0163_pep.h"
#include "talk/xep/xep0191_blocking.h"
#include "talk/xep/xep0227_export.h"
#include <stdio.h>
#include <stdlib.h>

static void take_changed(struct person *p, const struct event *e)
{
    (void)e;
    if (p->changing)
        p->stale = true;        /* roster_leave reads it again */
    else
        person_reload(p);
}

static void take_deleted(struct person *p, const struct event *e)
{
    exports_forget(p->talk, e->local);
    person_dismiss(p);
}

static void take_who(struct person *p, const struct event *e)
{
    (void)e;
    devices_tell(p);
    guest_devices_tell(p);
}

/* A connection between two buses that outlives a cut gives out afterwards what it had taken before: who was bound later stays. */
enum { CLOCKS_APART_US = 1000000 };

static void take_conflict(struct person *p, const struct event *e)
{
    struct session *s = person_session(p, e->jid);

    if (s && s->key != e->key && s->bound_us <= e->id + CLOCKS_APART_US)
        session_fail(s, "conflict", NULL);
}

static void take_logged(struct person *p, const struct event *e)
{
    follow_logged(p, e->before, &(struct logged){ .id = e->id, .shown = e->shown, .stanza = e->text,
                                                  .carbons = (e->flags & EVENT_CARBONS) != 0, .offline = (e->flags & EVENT_OFFLINE) != 0, .wake_after = e->number });
}

static void take_ahead(struct person *p, const struct event *e)
{
    struct logged m = { .shown = e->shown, .stanza = e->text, .carbons = (e->flags & EVENT_CARBONS) != 0 };

    (e->flags & EVENT_AGAIN ? follow_ahead_again : follow_ahead)(p, &m, &(struct ahead_of){ .logged = e->before, .ahead = e->id });
}

static void take_pending(struct person *p, const struct event *e)
{
    (void)e;
    message_tell_pending(p, true);
}

static void take_passed(struct person *p, const struct event *e)
{
    message_deliver_passed(p, e->text, (e->flags & EVENT_CARBONS) != 0, NULL);
}

static void take_presence(struct person *p, const struct event *e)
{
    presence_to_devices(p, e->jid, e->text);
}

/* As it is, to one device, or to those that are there or have asked for the contact list. */
static void take_stanza(struct person *p, const struct event *e)
{
    uint64_t ids[ROSTER_SESSIONS_MAX];
    int      n = roster_sessions(p, ids);

    for (int i = 0; i < n; i++) {
        struct session *s = session_find(p->talk, ids[i]);

        if (!s || (e->jid.len && !str_eq(e->jid, s->jid.resource)))
            continue;
        if (e->jid.len || ((e->flags & EVENT_AVAILABLE) && session_available(s)) || ((e->flags & EVENT_INTERESTED) && s->interested))
            session_send(s, e->text);
    }
}

static void take_probe(struct person *p, const struct event *e) { presence_answer_far(p, e->jid); }
static void take_show(struct person *p, const struct event *e) { presence_show_far(p, e->jid, true); }
static void take_hide(struct person *p, const struct event *e) { presence_show_far(p, e->jid, false); }
static void take_roster_push(struct person *p, const struct event *e) { roster_push_here(p, e->text); }
static void take_block_push(struct person *p, const struct event *e) { blocking_push_here(p, e->text); }

static void take_pep(struct person *p, const struct event *e)
{
    pep_to_devices(p, e->jid, e->text);
    if (str_eq(kept_attr(e->text, "from"), p->jid.bare)) /* the account's own news */
        guest_devices_told(p, e->jid);
}

static void take_guests(struct person *p, const struct event *e) { guest_devices_take(p, e->text, (e->flags & EVENT_AGAIN) != 0); }
static void take_pep_show(struct person *p, const struct event *e) { pep_show_here(p, e->jid); }
static void take_profile(struct person *p, const struct event *e) { photo_refresh(p); }

static void take_end(struct person *p, const struct event *e)
{
    char why[200];

    person_end_here(p, e->jid, "policy-violation", str_copy(e->text, why, sizeof why) ? why : NULL);
}

static struct session *session_with_key(struct person *p, int64_t key)
{
    LIST_EACH(it, &p->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);

        if (s->key == key && !s->closing)
            return s;
    }
    return NULL;
}

/* To the sender's worker, or here: a worker does not hear itself. */
static void answer_sender(struct talk *t, const struct event *e, struct str local, struct str resource, struct str answer)
{
    struct person  *p;
    struct session *s;

    if (e->node != t->node) {
        event_send_node(t, e->node, &(struct event){ .kind = EVENT_TO_DEVICE, .local = local, .key = e->number, .text = answer });
        return;
    }
    p = person_known(t, local);
    s = !p ? NULL : t->shared ? session_with_key(p, e->number) : person_session(p, resource);
    if (s)
        follow_send(s, answer);
}

void event_for_nobody(struct talk *t, const struct event *e)
{
    struct str type = kept_attr(e->text, "type"), resource = e->jid;
    struct str local = str_split(&resource, '@'), domain = str_split(&resource, '/');
    struct buf b;

    if (!str_eq(domain, t->domain) || !str_starts(e->text, STR("<iq ")) || !(str_is(type, "get") || str_is(type, "set")))
        return;
    buf_init(&b, 0);
    buf_printf(&b, "<iq from='%.*s' to='%.*s' id='%.*s' type='error'><error type='cancel'><service-unavailable xmlns='" NS_STANZA_ERRORS "'/></error></iq>",
               STR_ARG(kept_attr(e->text, "to")), STR_ARG(kept_attr(e->text, "from")), STR_ARG(kept_attr(e->text, "id")));
    answer_sender(t, e, local, resource, buf_str(&b));
    buf_done(&b);
}

/* It may have moved while the sender's worker had not heard of it: once more to where it is, then there is nobody. */
static void device_is_not_here(struct person *p, const struct event *e)
{
    struct kept_head *head = NEW(struct kept_head);
    struct session   *s;
    struct device    *d;
    struct event      again = *e;

    kept_head_read(head, e->text);
    s = person_session(p, head->to_resource);
    d = device_find(p, head->to_resource);
    again.flags |= EVENT_AGAIN;
    if (s && !s->closing) {
        follow_send(s, e->text);
    } else if (d && !(e->flags & EVENT_AGAIN)) {
        again.key = d->key;
        event_send_node(p->talk, d->node, &again);
    } else {
        event_for_nobody(p->talk, e);
    }
    free(head);
}

static void take_to_device(struct person *p, const struct event *e)
{
    struct session *s = session_with_key(p, e->key);

    if (s)
        follow_send(s, e->text);
    else
        device_is_not_here(p, e);
}

bool event_holds_message(struct str text)
{
    const char *end = text.len ? memchr(text.p, '>', text.len) : NULL;

    return str_starts(text, STR("<message")) && str_ends(text, STR("</message>")) && end && end < text.p + text.len - 10 &&
           (text.p[8] == ' ' || text.p[8] == '>');
}

static bool makes_sense(const struct event *e)
{
    switch (e->kind) {
    case EVENT_LOGGED:
    case EVENT_AHEAD:
    case EVENT_PASSED:
    case EVENT_PEP:
        return event_holds_message(e->text);
    case EVENT_STANZA:
    case EVENT_TO_DEVICE:
        return e->text.len > 2 && e->text.p[0] == '<';
    default:
        return true;
    }
}

void event_take(struct talk *t, struct person *p, const struct event *e)
{
    static void (*const takes[EVENT_KINDS])(struct person *p, const struct event *e) = {
        [EVENT_CHANGED] = take_changed, [EVENT_DELETED] = take_deleted, [EVENT_WHO] = take_who,
        [EVENT_DEVICE] = devices_event,
        [EVENT_CONFLICT] = take_conflict, [EVENT_LOGGED] = take_logged, [EVENT_AHEAD] = take_ahead, [EVENT_PENDING] = take_pending,
        [EVENT_PASSED] = take_passed, [EVENT_PRESENCE] = take_presence, [EVENT_STANZA] = take_stanza,
        [EVENT_PROBE] = take_probe, [EVENT_SHOW] = take_show, [EVENT_HIDE] = take_hide,
        [EVENT_ROSTER_PUSH] = take_roster_push, [EVENT_BLOCK_PUSH] = take_block_push, [EVENT_TO_DEVICE] = take_to_device,
        [EVENT_PEP] = take_pep, [EVENT_PEP_SHOW] = take_pep_show, [EVENT_GUESTS] = take_guests,
        [EVENT_END] = take_end, [EVENT_SIGN_OUT] = signed_in_event, [EVENT_PROFILE] = take_profile,
    };

    (void)t;
    if (makes_sense(e))
        takes[e->kind](p, e);
}
