/* subscription.c: see subscription.h. Both people live here, so one stanza moves both
 * rosters, in one durable change.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/subscription.h"
#include "talk/federate.h"
#include "talk/feature.h"
#include "talk/presence.h"
#include "talk/xep/xep0191_blocking.h"
#include <stdlib.h>

/* ---- the tables ---- */

/* Appendix A.2. What is not listed there leaves the state as it is. */
struct subscription_step subscription_outbound(uint8_t state, enum stanza_type t)
{
    struct subscription_step step = { .state = state };

    switch (t) {
    case TYPE_SUBSCRIBE:                /* A.2.1 */
        step.pass = true;
        if (!(state & STATE_TO))
            step.state |= STATE_OUT;
        break;
    case TYPE_UNSUBSCRIBE:              /* A.2.2 */
        step.pass = true;
        step.state &= (uint8_t)~(STATE_TO | STATE_OUT);
        break;
    case TYPE_SUBSCRIBED:               /* A.2.3 */
        if (state & STATE_IN) {
            step.pass = true;
            step.state = (uint8_t)((state & ~(STATE_IN | STATE_APPROVED)) | STATE_FROM);
        } else if (!(state & STATE_FROM)) {
            step.state |= STATE_APPROVED;   /* §3.4.2: before they have asked; it stays here */
        }
        break;
    case TYPE_UNSUBSCRIBED:             /* A.2.4 */
        step.pass = (state & (STATE_IN | STATE_FROM)) != 0;
        step.state &= (uint8_t)~(STATE_IN | STATE_FROM | STATE_APPROVED);
        break;
    default:
        break;
    }
    return step;
}

/* Appendix A.3. */
struct subscription_step subscription_inbound(uint8_t state, enum stanza_type t)
{
    struct subscription_step step = { .state = state };

    switch (t) {
    case TYPE_SUBSCRIBE:                /* A.3.1; §3.1.3 answers for those who may see us already */
        if (state & STATE_FROM) {
            step.reply = true;
        } else if (state & STATE_APPROVED) {
            step.reply = true;
            step.state = (uint8_t)((state & ~(STATE_IN | STATE_APPROVED)) | STATE_FROM);
        } else if (!(state & STATE_IN)) {
            step.pass = true;
            step.state |= STATE_IN;
        }
        break;
    case TYPE_UNSUBSCRIBE:              /* A.3.2 */
        step.pass = (state & (STATE_IN | STATE_FROM)) != 0;
        step.state &= (uint8_t)~(STATE_IN | STATE_FROM);
        break;
    case TYPE_SUBSCRIBED:               /* A.3.3 */
        if (state & STATE_OUT) {
            step.pass = true;
            step.state = (uint8_t)((state & ~STATE_OUT) | STATE_TO);
        }
        break;
    case TYPE_UNSUBSCRIBED:             /* A.3.4 */
        step.pass = (state & (STATE_OUT | STATE_TO)) != 0;
        step.state &= (uint8_t)~(STATE_OUT | STATE_TO);
        break;
    default:
        break;
    }
    return step;
}

/* ---- moving ---- */

static uint8_t state_of(const struct roster_item *item)
{
    if (!item)
        return 0;
    return (uint8_t)(item->subscription | (item->ask ? STATE_OUT : 0) | (item->request ? STATE_IN : 0) |
                     (item->approved ? STATE_APPROVED : 0));
}

static int count_strangers(const struct person *p)
{
    int n = 0;

    for (int i = 0; i < p->item_count; i++)
        n += !p->items[i].listed;
    return n;
}

/* Writes the new state into memory and the change. False: there is no room for the contact.
 * `request`: their stanza, when the state now has STATE_IN and had not. */
static bool move(struct roster_work *w, struct person *p, struct str bare, uint8_t state, struct str request)
{
    struct roster_item *item = person_item(p, bare);
    uint8_t             before = state_of(item);

    if (state == before)
        return true;
    if (!item && request.len && count_strangers(p) >= ROSTER_REQUESTS_MAX)
        return false;
    if (!item)
        item = person_item_make(p, bare);
    if (!item)
        return false;
    item->subscription = state & SUB_BOTH;
    item->ask = (state & STATE_OUT) != 0;
    item->approved = (state & STATE_APPROVED) != 0;
    item->listed |= (state & ~STATE_IN) != 0;
    if (!(state & STATE_IN) || request.len) {
        free(item->request);
        item->request = request.len ? str_dup(request) : NULL;
    }
    if (!item->listed && !item->request)
        roster_forget(w, p, item);
    else if ((before ^ state) & ~STATE_IN)
        roster_touch(w, p, item);
    else
        roster_write(w, p, item);
    return true;
}

/* The other side: somebody here, or (person NULL) of another server. */
struct side {
    struct person *person;
    struct jid     jid;
};

static struct str make_stanza(struct arena *a, struct str from_bare, struct str to_bare, enum stanza_type t)
{
    struct buf b;
    struct str text;

    buf_init(&b, 0);
    stanza_open(&b, "presence", from_bare, to_bare, STR_NULL, stanza_type_text(t), STR_NULL);
    BUF_LIT(&b, "</presence>");
    text = arena_str(a, buf_str(&b));
    buf_done(&b);
    return text;
}

static void inbound(struct roster_work *w, struct person *to, const struct side *from, enum stanza_type t, struct str text);

/* A stanza of `me` to the other side: it moves their roster if that is here, else their server does. */
static void tell(struct roster_work *w, struct person *me, const struct side *other, enum stanza_type t, struct str text)
{
    if (other->person)
        inbound(w, other->person, &(struct side){ me, me->jid }, t, text);
    else if (federate_reaches(me->talk, other->jid.domain))
        roster_then(w, EFFECT_LEAVES, me, NULL, text);
}

static void show(struct roster_work *w, struct person *me, const struct side *other, bool shown)
{
    if (other->person)
        roster_then(w, shown ? EFFECT_SHOW : EFFECT_HIDE, me, other->person, STR_NULL);
    else if (federate_reaches(me->talk, other->jid.domain))
        roster_then(w, shown ? EFFECT_SHOW_FAR : EFFECT_HIDE_FAR, me, NULL, other->jid.bare);
}

/* They may see us already, or we said yes before they asked: the answer needs nobody (§3.1.3). */
static void answer_yes(struct roster_work *w, struct person *to, const struct side *from, uint8_t state)
{
    struct arena a;

    if (!move(w, to, from->jid.bare, state, STR_NULL))
        return;
    arena_init(&a);
    tell(w, to, from, TYPE_SUBSCRIBED, make_stanza(&a, to->jid.bare, from->jid.bare, TYPE_SUBSCRIBED));
    show(w, to, from, true);
    arena_done(&a);
}

/* What a subscription stanza of `from` does to `to`. */
static void inbound(struct roster_work *w, struct person *to, const struct side *from, enum stanza_type t, struct str text)
{
    uint8_t                  before = state_of(person_item(to, from->jid.bare));
    struct subscription_step step = subscription_inbound(before, t);

    roster_depend(w, to);       /* "they did not ask" may be old news */
    if (step.reply) {
        answer_yes(w, to, from, step.state);
        return;
    }
    if (t == TYPE_SUBSCRIBE) {
        /* XEP-0191 §3.3: the blocked are not answered, and what they ask is not kept */
        if (step.pass && !blocking_has(to, &from->jid) && move(w, to, from->jid.bare, step.state, text))
            roster_then(w, EFFECT_REQUEST, to, from->person, text);
        return;
    }
    if (step.pass && (from->person || !blocking_has(to, &from->jid)))
        roster_then(w, EFFECT_ANSWER, to, from->person, text);      /* before the push, as in §3.1.6 */
    move(w, to, from->jid.bare, step.state, STR_NULL);
    if (before & ~step.state & STATE_FROM)
        show(w, to, from, false);       /* §3.3.3 */
}

/* ---- from a client ---- */

struct person *subscription_target(struct talk *t, const struct jid *j)
{
    struct person *p = str_eq(j->domain, t->domain) && j->local.len ? person_known(t, j->local) : NULL;

    return p && !p->deleted ? p : NULL;
}

/* §3.1.2: from and to are bare. */
static struct str stamped(struct session *s, const struct stanza *p)
{
    struct buf b;
    struct str text;

    buf_init(&b, 0);
    stanza_forward(&b, p, s->jid.bare, p->to.bare);
    text = arena_str(p->arena, buf_str(&b));
    buf_done(&b);
    if (text.len > ROSTER_REQUEST_BYTES_MAX)
        text = make_stanza(p->arena, s->jid.bare, p->to.bare, p->type);
    return text;
}

/* From another server: nothing moves but the roster here. */
static void subscription_from_guest(struct session *s, const struct stanza *p)
{
    struct person      *to = subscription_target(s->talk, &p->to);
    struct roster_work *w;

    if (!to)
        return;         /* RFC 6121 §8.5.1: in silence */
    w = roster_begin(s->talk, s);
    inbound(w, to, &(struct side){ NULL, s->jid }, p->type, stamped(s, p));
    roster_commit(w, p);
}

void subscription_from_client(struct session *s, const struct stanza *p)
{
    struct person           *me = s->person;
    struct side              other = { subscription_target(s->talk, &p->to), p->to };
    bool                     is_far = federate_reaches(s->talk, p->to.domain);
    uint8_t                  before;
    struct subscription_step step;
    struct roster_work      *w;

    if (s->guest) {
        subscription_from_guest(s, p);
        return;
    }
    before = state_of(person_item(me, p->to.bare));
    step = subscription_outbound(before, p->type);
    if (str_eq(p->to.bare, me->jid.bare))
        return;     /* everyone sees themselves */
    if (p->to.local.len == 0 && !is_far) {
        if (p->type == TYPE_SUBSCRIBE)
            session_bounce(s, p, "cancel", "service-unavailable", "the server has no presence");
        return;
    }
    if (blocking_has(me, &p->to)) {
        blocking_refuse(s, p);
        return;
    }
    if (is_far && federate_is_full(s->talk)) {
        session_bounce(s, p, "wait", "resource-constraint", NULL);
        return;
    }
    w = roster_begin(s->talk, s);
    if (!move(w, me, p->to.bare, step.state, STR_NULL)) {
        session_bounce(s, p, "cancel", "resource-constraint", "the contact list is full");
        roster_commit(w, NULL);
        return;
    }
    if (step.pass)
        tell(w, me, &other, p->type, stamped(s, p));
    if ((other.person || is_far) && (step.state & ~before & STATE_FROM))
        show(w, me, &other, true);      /* §3.1.5 */
    if ((other.person || is_far) && (before & ~step.state & STATE_FROM))
        show(w, me, &other, false);     /* §3.2.2 */
    roster_commit(w, p);
}

/* ---- with an invitation ---- */

/* As if `of` had said yes before `to` asks (§3.4). */
static bool approve(struct roster_work *w, struct person *of, struct person *to)
{
    uint8_t state = state_of(person_item(of, to->jid.bare));

    return (state & STATE_FROM) || move(w, of, to->jid.bare, (uint8_t)(state & ~STATE_IN) | STATE_APPROVED, STR_NULL);
}

/* `from` asks to see `to`. */
static bool ask(struct roster_work *w, struct arena *a, struct person *from, struct person *to)
{
    uint8_t state = state_of(person_item(from, to->jid.bare));

    if (state & STATE_TO)
        return true;
    if (!move(w, from, to->jid.bare, state | STATE_OUT, STR_NULL))
        return false;
    inbound(w, to, &(struct side){ from, from->jid }, TYPE_SUBSCRIBE, make_stanza(a, from->jid.bare, to->jid.bare, TYPE_SUBSCRIBE));
    return true;
}

bool subscription_befriend(struct talk *t, struct session *s, struct person *inviter, struct person *guest, bool sure,
                           const struct stanza *cause)
{
    struct roster_work *w = roster_begin(t, s);
    struct arena        a;
    bool                all;

    arena_init(&a);
    all = approve(w, inviter, guest) && ask(w, &a, guest, inviter) && (!sure || approve(w, guest, inviter)) && ask(w, &a, inviter, guest);
    arena_done(&a);
    roster_commit(w, cause);
    return all;
}

/* ---- removal ---- */

static void end_both_ways(struct roster_work *w, struct person *me, const struct side *other, uint8_t state)
{
    struct arena a;

    arena_init(&a);
    if (state & (STATE_TO | STATE_OUT))
        tell(w, me, other, TYPE_UNSUBSCRIBE, make_stanza(&a, me->jid.bare, other->jid.bare, TYPE_UNSUBSCRIBE));
    if (state & STATE_FROM) {
        tell(w, me, other, TYPE_UNSUBSCRIBED, make_stanza(&a, me->jid.bare, other->jid.bare, TYPE_UNSUBSCRIBED));
        show(w, me, other, false);
    }
    arena_done(&a);
}

/* False: nobody, here or elsewhere. */
static bool side_of(struct talk *t, struct arena *a, struct str bare, struct side *out)
{
    *out = (struct side){ 0 };
    if (jid_parse(a, bare, &out->jid) != OK)
        return false;
    out->person = subscription_target(t, &out->jid);
    return out->person || federate_reaches(t, out->jid.domain);
}

void subscription_remove(struct roster_work *w, struct person *p, struct roster_item *item)
{
    uint8_t      state = state_of(item);
    struct arena a;
    struct side  other;
    bool         there;
    char        *request = item->request;

    arena_init(&a);
    there = side_of(p->talk, &a, arena_str(&a, item->jid), &other);
    item->request = NULL;
    roster_forget(w, p, item);
    if (request && other.jid.bare.len)      /* removed but not answered: they still wait */
        move(w, p, other.jid.bare, STATE_IN, str_of(request));
    free(request);
    if (there)
        end_both_ways(w, p, &other, state);
    arena_done(&a);
}

void roster_clear(struct person *p)
{
    struct roster_work *w = roster_begin(p->talk, NULL);

    while (p->item_count) {
        struct roster_item *item = &p->items[p->item_count - 1];
        struct arena        a;
        struct side         other;
        uint8_t             state = state_of(item);
        bool                there;

        arena_init(&a);
        there = side_of(p->talk, &a, arena_str(&a, item->jid), &other);
        roster_forget(w, p, item);
        if (there && other.person != p) {
            end_both_ways(w, p, &other, state);
            if (state & STATE_IN)
                tell(w, p, &other, TYPE_UNSUBSCRIBED, make_stanza(&a, p->jid.bare, other.jid.bare, TYPE_UNSUBSCRIBED));
        }
        arena_done(&a);
    }
    roster_commit(w, NULL);
}
