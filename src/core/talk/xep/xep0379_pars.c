/* XEP-0379 Pre-Authenticated Roster Subscription 0.3.3: whoever asks with a token of ours (talk/invite.h) is answered yes, and asked
 * back. A token that is none, or of somebody who has blocked the asker, is passed over (§4.1): then it is an ordinary request.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0379_pars.h"
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "talk/feature.h"
#include "talk/invite.h"
#include "talk/presence.h"
#include "talk/subscription.h"
#include "talk/xep/xep0191_blocking.h"

enum { TOKEN_BYTES_MAX = 128 };

struct asking {
    struct change  change;
    struct arena   arena;
    struct person *me, *target;
    struct str     token, stanza;
    bool           good;
};

static enum err spend(struct db_conn *c, struct change *ch)
{
    struct asking *a = (struct asking *)ch;
    enum err       e = invite_contact(c, a->token, a->target->jid.local, a->me->jid.local, clock_us());

    a->good = e == OK;
    return e == ERR_NOT_FOUND ? OK : e;
}

/* The stanza again, with or without the answer. */
static void go_on(struct session *s, struct asking *a)
{
    const struct xml_scope scope = { .default_ns = STR(NS_CLIENT) };
    struct xml_node       *n;
    struct stanza          p;
    const char            *condition;

    arena_reset(&s->talk->round);
    if (xml_parse(&s->talk->round, a->stanza, &scope, &n) != XML_FINE || stanza_read(&s->talk->round, n, &s->jid, &p, &condition) != OK)
        return;
    if (a->good)
        subscription_befriend(s->talk, s, a->target, a->me, false, &p);
    else
        subscription_from_client(s, &p);
}

static void spent(struct talk *t, struct change *ch, enum err e)
{
    struct asking  *a = (struct asking *)ch;
    uint64_t        id = a->change.session_id;
    struct session *s = session_find(t, id);

    if (e)
        a->good = false;
    if (s && !a->target->deleted)
        go_on(s, a);
    person_unref(a->me);
    person_unref(a->target);
    arena_done(&a->arena);
    free(a);
    s = session_find(t, id);
    if (s && s->state != SESSION_CLOSED)
        session_continue(s);
}

bool pars_takes(struct session *s, const struct stanza *p, struct person *target)
{
    const struct xml_node *n = xml_child(p->node, "preauth", NS_PARS);
    struct str             token = n ? xml_attr(n, "token") : STR_NULL;
    struct asking         *a;
    struct buf             b;

    if (!target || !s->person || p->type != TYPE_SUBSCRIBE || token.len == 0 || token.len > TOKEN_BYTES_MAX)
        return false;
    if (target == s->person || blocking_between(target, s->person))
        return false;
    a = NEW(struct asking);
    arena_init(&a->arena);
    a->me = s->person;
    a->target = target;
    person_ref(a->me);
    person_ref(a->target);
    a->token = arena_str(&a->arena, token);
    buf_init(&b, 0);
    xml_put_node(&b, p->node, STR(NS_CLIENT));
    a->stanza = arena_str(&a->arena, buf_str(&b));
    buf_done(&b);
    a->change.apply = spend;
    a->change.done = spent;
    session_hold(s);
    if (session_change(s, s->talk, &a->change) != OK) {
        a->change.session_id = s->id;
        spent(s->talk, &a->change, ERR_LIMIT);
    }
    return true;
}

const struct feature xep0379_pars = {
    .spec = "XEP-0379 0.3.3",
    .title = "Pre-Authenticated Roster Subscription",
    .note = "tokens are made and honoured by the server (XEP-0401)",
};
