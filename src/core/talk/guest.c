/* guest.c: see guest.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/guest.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/federate.h"
#include "talk/route.h"
#include "talk/stream.h"
#include <stdlib.h>

METRIC_GAUGE(guests_known, "bongsu_talk_guests", "People of other servers that have written lately.");
METRIC_COUNTER(stanzas_far, "bongsu_talk_stanzas_from_servers", "Stanzas of other servers.");

/* Whom to tell that a stanza has been taken. */
struct taken {
    guest_taken_fn *fn;
    void           *arg;
};

struct guest {
    struct session      s;       /* first */
    struct list         by_use;  /* in t->guests_by_use */
    struct list         waiting; /* behind the one that is being handled */
    int                 waiting_count;
    bool                inside; /* route_stanza is running */
    bool                busy;   /* the one at hand waits for something (session.held) */
    struct taken        taken;  /* of the one at hand */
};

struct waiting_stanza {
    struct list  link;
    struct taken taken;
    size_t       len;
    char         text[];
};

/* ---- who is known ---- */

static void guest_free(struct guest *g)
{
    struct talk *t = g->s.talk;

    strmap_del(&t->guests, g->s.jid.full);
    intmap_del(&t->sessions, (int64_t)g->s.id);
    list_remove(&g->by_use);
    LIST_EACH(it, &g->waiting)
        free(LIST_ITEM(it, struct waiting_stanza, link));
    free((char *)g->s.jid.full.p);
    g->s.state = SESSION_CLOSED;
    loop_free_later(t->loop, g);
}

static void forget_oldest(struct talk *t)
{
    LIST_EACH(it, &t->guests_by_use) {
        struct guest *g = LIST_ITEM(it, struct guest, by_use);

        if (g->busy || g->s.commits || g->waiting_count)
            continue;
        guest_free(g);
        return;
    }
}

static struct guest *guest_of(struct talk *t, const struct jid *from)
{
    struct guest *g = strmap_get(&t->guests, from->full);
    struct jid    j = *from;

    if (g) {
        list_remove(&g->by_use);
        list_append(&t->guests_by_use, &g->by_use);
        return g;
    }
    if (t->guests.count >= GUESTS_MAX)
        forget_oldest(t);
    g = NEW(struct guest);
    g->s.talk = t;
    g->s.guest = g;
    g->s.id = ++t->last_session_id;
    g->s.state = SESSION_BOUND;
    g->s.secure = true;
    list_init(&g->s.in_talk);
    list_init(&g->s.in_person);
    list_init(&g->waiting);
    session_name(&g->s, &j);
    list_append(&t->guests_by_use, &g->by_use);
    strmap_put(&t->guests, g->s.jid.full, g);
    intmap_put(&t->sessions, (int64_t)g->s.id, &g->s);
    metric_set(&guests_known, (int64_t)t->guests.count);
    return g;
}

/* ---- handling ---- */

static void tell(struct taken taken, enum err e)
{
    if (taken.fn)
        taken.fn(taken.arg, e);
}

static void tell_later(struct talk *t, void *arg)
{
    struct taken *taken = arg;

    (void)t;
    tell(*taken, OK);
    free(taken);
}

static void handled(struct guest *g)
{
    struct taken taken = g->taken, *kept;

    g->taken = (struct taken){ 0 };
    g->busy = false;
    if (!taken.fn || g->s.commits == 0) {
        tell(taken, OK);
        return;
    }
    kept = NEW(struct taken);
    *kept = taken;
    session_after_commits(&g->s, tell_later, kept);
}

static void handle(struct guest *g, struct str text, struct taken taken)
{
    struct session  *s = &g->s;
    struct xml_node *n;
    struct stanza    st;
    const char      *condition = NULL;
    enum err         e;

    metric_add(&stanzas_far, 1);
    if (xml_parse(&s->talk->round, text, &stanza_scope, &n) != XML_FINE ||
        (e = stanza_read(&s->talk->round, n, &s->jid, &st, &condition)) == ERR_UNSUPPORTED || !st.has_to) {
        tell(taken, ERR_INVALID);
        return;
    }
    g->taken = taken;
    g->busy = g->inside = true;
    s->received++;
    st.foreign = true;
    if (e)
        session_bounce(s, &st, "modify", condition, NULL);
    else
        route_stanza(s, &st);
    g->inside = false;
    if (!s->held)
        handled(g);
}

static void next(struct guest *g)
{
    while (!g->busy && !list_empty(&g->waiting)) {
        struct waiting_stanza *w = LIST_ITEM(g->waiting.next, struct waiting_stanza, link);

        list_remove(&w->link);
        g->waiting_count--;
        handle(g, str_make(w->text, w->len), w->taken);
        free(w);
    }
}

void guest_continue(struct session *s)
{
    if (s->guest->inside)
        return; /* handle() goes on */
    handled(s->guest);
    next(s->guest);
}

void guest_take(struct talk *t, const struct jid *from, struct str text, guest_taken_fn *fn, void *arg)
{
    struct guest          *g = guest_of(t, from);
    struct taken           taken = { fn, arg };
    struct waiting_stanza *w;

    if (!g->busy && list_empty(&g->waiting)) {
        handle(g, text, taken);
        return;
    }
    if (g->waiting_count >= GUEST_WAITING_MAX) {
        tell(taken, ERR_LIMIT);
        return;
    }
    w = mem_new(sizeof *w + text.len + 1);
    w->taken = taken;
    w->len = text.len;
    memcpy(w->text, text.p, text.len);
    list_append(&g->waiting, &w->link);
    g->waiting_count++;
}

void guest_send(struct session *s, struct str stanza)
{
    federate_send(s->talk, stanza);
}

/* ---- life ---- */

void guests_init(struct talk *t)
{
    strmap_init(&t->guests);
    list_init(&t->guests_by_use);
}

void guests_done(struct talk *t)
{
    LIST_EACH(it, &t->guests_by_use)
        guest_free(LIST_ITEM(it, struct guest, by_use));
    strmap_done(&t->guests);
}
