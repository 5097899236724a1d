/* presence.c: see presence.h.
 *
 *   unavailable ──<presence/>──▶ available ──<presence/>──▶ available (an update)
 *        ▲      become_available     │ broadcast, what others are like, what waited
 *        └──<presence type='unavailable'/>, end of the session: become_unavailable
 *
 * A presence text is kept without `to`; each reader's is put in when it is sent.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/presence.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/deliver.h"
#include "talk/devices.h"
#include "talk/feature.h"
#include "talk/follow.h"
#include "talk/federate.h"
#include "talk/nodes.h"
#include "talk/offline.h"
#include "talk/profile.h"
#include "talk/roster.h"
#include "talk/subscription.h"
#include "talk/xep/xep0012_last.h"
#include "talk/xep/xep0153_photo.h"
#include "talk/xep/xep0163_guests.h"
#include "talk/xep/xep0163_pep.h"
#include "talk/xep/xep0191_blocking.h"
#include "talk/xep/xep0379_pars.h"
#include "talk/xep/xep0198_sm.h"
#include <stdio.h>
#include <stdlib.h>

METRIC_COUNTER(broadcasts, "bongsu_talk_presence_broadcasts", "Presence broadcasts of clients.");
METRIC_COUNTER(presences_out, "bongsu_talk_presence_out", "Presence stanzas sent because of them.");

static const char OPENING[] = "<presence";
enum { OPENING_BYTES = sizeof OPENING - 1 };

/* ---- directed presence: whom it was shown to (§4.6) ---- */

struct strset {
    struct strmap map;      /* the text is key and value */
};

static bool directed_has(const struct session *s, struct str jid)
{
    return s->directed && strmap_get(&s->directed->map, jid);
}

static bool directed_add(struct session *s, struct str jid)
{
    char *text;

    if (!s->directed) {
        s->directed = NEW(struct strset);
        strmap_init(&s->directed->map);
    }
    if (directed_has(s, jid))
        return true;
    if (s->directed->map.count >= PRESENCE_DIRECTED_MAX)
        return false;
    text = str_dup(jid);
    strmap_put(&s->directed->map, str_make(text, jid.len), text);
    return true;
}

static void directed_remove(struct session *s, struct str jid)
{
    if (s->directed)
        free(strmap_del(&s->directed->map, jid));
}

static void strset_free(struct strset *set)
{
    struct str key;
    void      *value;

    if (!set)
        return;
    for (size_t it = 0; strmap_next(&set->map, &it, &key, &value);)
        free(value);
    strmap_done(&set->map);
    free(set);
}

void presence_directed_free(struct session *s)
{
    strset_free(s->directed);
    s->directed = NULL;
}

struct person *presence_person(struct talk *t, struct str bare)
{
    struct str     rest = bare, local = str_split(&rest, '@');
    struct person *p;

    if (!rest.p || !str_eq(rest, t->domain))
        return NULL;
    p = strmap_get(&t->persons, local);
    return p && !p->deleted && p->session_count ? p : NULL;
}

/* ---- texts ---- */

/* As stanza_forward; of our own people's, without what is not for all. What somebody elsewhere says of their photo and name is theirs. */
static void put_presence(struct buf *b, const struct session *s, const struct stanza *p)
{
    stanza_open(b, "presence", s->jid.full, STR_NULL, p->id, stanza_type_text(p->type), p->lang);
    for (const struct xml_node *x = xml_first(p->node); x; x = xml_next(x))
        if (s->guest || !photo_is_told_by_us(x))
            xml_put_node(b, x, STR(NS_CLIENT));
    BUF_LIT(b, "</presence>");
}

static void put_to(struct talk *t, struct buf *b, struct str text, struct str to)
{
    static const char closing[] = "</presence>";
    struct str        rest = to, viewer = str_split(&rest, '/');

    buf_put(b, OPENING, OPENING_BYTES);
    xml_put_attr(b, "to", to);
    if (!str_ends(text, STR("</presence>"))) {
        buf_put(b, text.p + OPENING_BYTES, text.len - OPENING_BYTES);
        return;
    }
    buf_put(b, text.p + OPENING_BYTES, text.len - OPENING_BYTES - (sizeof closing - 1));
    photo_put(t, b, text, viewer);
    BUF_LIT(b, "</presence>");
}

static void send_to_session(struct session *s, struct str text)
{
    struct buf b;

    buf_init(&b, 0);
    put_to(s->talk, &b, text, s->guest ? s->jid.full : s->jid.bare);
    follow_send(s, buf_str(&b));
    metric_add(&presences_out, 1);
    buf_done(&b);
}

/* To another server. False: the address is of none. */
static bool send_away(struct talk *t, struct str jid, struct str text)
{
    struct str rest = jid, domain;
    struct buf b;

    str_split(&rest, '@');
    domain = rest.p ? rest : jid;
    rest = domain;
    domain = str_split(&rest, '/');
    if (!federate_reaches(t, domain))
        return false;
    buf_init(&b, 0);
    put_to(t, &b, text, jid);
    federate_send(t, buf_str(&b));
    metric_add(&presences_out, 1);
    buf_done(&b);
    return true;
}

/* To the available sessions, or the named one. `but`: not to this one. */
static void send_to_person(struct person *p, struct str resource, const struct session *but, struct str text)
{
    uint64_t ids[ROSTER_SESSIONS_MAX];
    int      n = roster_sessions(p, ids);

    for (int i = 0; i < n; i++) {
        struct session *s = session_find(p->talk, ids[i]);

        if (!s || s == but)
            continue;
        if (resource.len ? str_eq(s->jid.resource, resource) : session_available(s))
            send_to_session(s, text);
    }
}

/* ---- to and from other workers ---- */

static struct str local_of(const struct talk *t, struct str bare)
{
    struct str rest = bare, local = str_split(&rest, '@');

    return rest.p && str_eq(rest, t->domain) ? local : STR_NULL;
}

/* To the devices that an account has elsewhere. `resource` empty: the available ones. */
static void send_far(struct talk *t, struct str bare, struct str resource, struct str text)
{
    struct str local = local_of(t, bare);
    char       full[JID_BYTES_MAX + 1];

    if (!local.p && resource.len) {
        int n = snprintf(full, sizeof full, "%.*s/%.*s", STR_ARG(bare), STR_ARG(resource));

        send_away(t, str_make(full, (size_t)n), text);
    } else if (!local.p) {
        send_away(t, bare, text);
    }
    if (local.p)
        event_send(t, &(struct event){ .kind = EVENT_PRESENCE, .local = local, .jid = resource, .text = text });
}

static void ask_far(struct talk *t, enum event_kind kind, struct str bare, struct str who)
{
    struct str local = local_of(t, bare);

    if (local.p)
        event_send(t, &(struct event){ .kind = kind, .local = local, .jid = who });
}

/* Whose presence a text tells: its `from` is the first attribute. */
static bool is_from_blocked(struct person *p, struct str text)
{
    struct arena a;
    struct jid   j;
    struct str   from = kept_attr(text, "from");
    bool         blocked = false;

    if (p->blocked_count == 0 || !from.p)
        return false;
    arena_init(&a);
    if (jid_parse(&a, from, &j) == OK)
        blocked = blocking_has(p, &j);
    arena_done(&a);
    return blocked;
}

void presence_to_devices(struct person *p, struct str resource, struct str text)
{
    if (text.len > OPENING_BYTES && str_starts(text, STR("<presence")) && !is_from_blocked(p, text))
        send_to_person(p, resource, NULL, text);
}

void presence_answer_far(struct person *p, struct str asker_full)
{
    struct arena a;
    struct jid   j;

    arena_init(&a);
    if (jid_parse(&a, asker_full, &j) == OK && person_may_see(p, j.bare) && !blocking_has(p, &j)) {
        LIST_EACH(it, &p->sessions) {
            struct session *s = LIST_ITEM(it, struct session, in_person);

            if (!session_available(s) || s->closing)
                continue;
            send_far(p->talk, j.bare, j.resource, str_of(s->presence));
            photo_ask(s, j.full);
        }
    }
    arena_done(&a);
}

static struct str unavailable_text(struct buf *b, struct str from);

void presence_show_far(struct person *p, struct str to_bare, bool show)
{
    struct person *here = presence_person(p->talk, to_bare);
    struct buf     b;

    buf_init(&b, 0);
    LIST_EACH(it, &p->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);
        struct str      text;

        if (!session_available(s) || s->closing)
            continue;
        text = show ? str_of(s->presence) : unavailable_text(&b, s->jid.full);
        send_far(p->talk, to_bare, STR_NULL, text);
        if (here)
            send_to_person(here, STR_NULL, NULL, text);
        if (show)
            photo_ask(s, to_bare);
    }
    if (show)
        guest_devices_show(p, to_bare);
    buf_done(&b);
}

static bool probe_away(struct session *s, struct str bare);

void presence_far_changed(struct person *me, struct str bare, bool ask, bool tell, bool show)
{
    if (tell) {
        presence_show_far(me, bare, show);
        ask_far(me->talk, show ? EVENT_SHOW : EVENT_HIDE, me->jid.bare, bare);
    }
    LIST_EACH(it, &me->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);

        if (ask && session_available(s) && !probe_away(s, bare))
            ask_far(me->talk, EVENT_PROBE, bare, s->jid.full);
    }
}

static bool apart(struct person *a, struct person *b)
{
    return blocking_has(a, &b->jid) || blocking_has(b, &a->jid);
}

static bool blocks(struct person *me, struct str bare)
{
    struct arena a;
    struct jid   j;
    bool         yes = false;

    if (me->blocked_count == 0)
        return false;
    arena_init(&a);
    if (jid_parse(&a, bare, &j) == OK)
        yes = blocking_has(me, &j);
    arena_done(&a);
    return yes;
}

static void tell_contact(struct session *s, struct str bare, struct str resource, struct str text)
{
    struct person *me = s->person, *p = presence_person(s->talk, bare);

    if (p && apart(me, p))
        return;
    if (p)
        send_to_person(p, resource, NULL, text);
    if (!blocks(me, bare))
        send_far(s->talk, bare, resource, text);
}

/* To everyone who may see it: contacts and one's own sessions (§4.2.2). */
static void each_viewer(struct session *s, presence_text_fn *fn, void *arg)
{
    struct person *me = s->person;
    struct str     text;

    for (int i = 0; i < me->item_count; i++) {
        if (!(me->items[i].subscription & SUB_FROM))
            continue;
        text = fn(arg, s, me->items[i].jid);
        if (text.p)
            tell_contact(s, me->items[i].jid, STR_NULL, text);
    }
    text = fn(arg, s, me->jid.bare);
    if (!text.p)
        return;
    send_to_person(me, STR_NULL, s->closing ? s : NULL, text);
    send_far(s->talk, me->jid.bare, STR_NULL, text);
}

void presence_tell(struct session *s, struct str viewer, presence_text_fn *fn, void *arg)
{
    struct str resource = viewer, bare = str_split(&resource, '/'), text;

    if (viewer.len == 0) {
        each_viewer(s, fn, arg);
        return;
    }
    text = person_may_see(s->person, bare) || str_eq(bare, s->person->jid.bare) ? fn(arg, s, bare) : STR_NULL;
    if (text.p)
        tell_contact(s, bare, resource, text);
}

static struct str same_text(void *arg, const struct session *s, struct str viewer_bare)
{
    return *(const struct str *)arg;
}

static void broadcast(struct session *s, struct str text)
{
    metric_add(&broadcasts, 1);
    each_viewer(s, same_text, &text);
    photo_ask(s, STR(""));
}

static struct str unavailable_text(struct buf *b, struct str from)
{
    buf_clear(b);
    stanza_open(b, "presence", from, STR_NULL, STR_NULL, "unavailable", STR_NULL);
    BUF_LIT(b, "</presence>");
    return buf_str(b);
}

void presence_show(struct person *of, struct person *to)
{
    uint64_t ids[ROSTER_SESSIONS_MAX];
    int      n = roster_sessions(of, ids);

    if (apart(of, to))
        return;
    for (int i = 0; i < n; i++) {
        struct session *s = session_find(of->talk, ids[i]);

        if (!s || !session_available(s))
            continue;
        send_to_person(to, STR_NULL, NULL, str_of(s->presence));
        send_far(of->talk, to->jid.bare, STR_NULL, str_of(s->presence));
        photo_ask(s, to->jid.bare);
    }
    ask_far(of->talk, EVENT_SHOW, of->jid.bare, to->jid.bare);
    pep_show(of, to);
}

void presence_show_guest(struct person *of, struct str to_bare, bool show)
{
    presence_show_far(of, to_bare, show);
    ask_far(of->talk, show ? EVENT_SHOW : EVENT_HIDE, of->jid.bare, to_bare);
}

void presence_hide(struct person *of, struct person *to)
{
    uint64_t   ids[ROSTER_SESSIONS_MAX];
    int        n = roster_sessions(of, ids);
    struct buf b;

    if (blocking_has(to, &of->jid))
        return;
    buf_init(&b, 0);
    for (int i = 0; i < n; i++) {
        struct session *s = session_find(of->talk, ids[i]);

        if (!s || !session_available(s))
            continue;
        send_to_person(to, STR_NULL, NULL, unavailable_text(&b, s->jid.full));
        send_far(of->talk, to->jid.bare, STR_NULL, buf_str(&b));
    }
    ask_far(of->talk, EVENT_HIDE, of->jid.bare, to->jid.bare);
    buf_done(&b);
}

void presence_again(struct person *p)
{
    uint64_t ids[ROSTER_SESSIONS_MAX];
    int      n = roster_sessions(p, ids);

    for (int i = 0; i < n; i++) {
        struct session *s = session_find(p->talk, ids[i]);

        if (s && session_available(s) && !s->closing)
            broadcast(s, str_of(s->presence));
    }
}

/* ---- becoming available (§4.2) ---- */

/* §4.3.1: their server tells this device. */
static bool probe_away(struct session *s, struct str bare)
{
    struct buf b;
    bool       away;

    buf_init(&b, 0);
    stanza_open(&b, "presence", s->jid.full, STR_NULL, STR_NULL, "probe", STR_NULL);
    BUF_LIT(&b, "</presence>");
    away = send_away(s->talk, bare, buf_str(&b));
    buf_done(&b);
    return away;
}

void presence_probe_guests(struct session *s)
{
    struct person *me = s->person;

    for (int i = 0; session_available(s) && i < me->item_count && !s->closing; i++)
        if (me->items[i].subscription == SUB_BOTH && !blocks(me, me->items[i].jid))
            probe_away(s, me->items[i].jid);
}

/* What its contacts and its own other sessions are like: the answers to the probes
 * that the server would send for it (§4.3). Who is away is not told: a client assumes it. */
static void tell_others(struct session *s)
{
    struct person *me = s->person;
    uint64_t       ids[ROSTER_SESSIONS_MAX];

    for (int i = 0; i < me->item_count && !s->closing; i++) {
        struct person *p;
        int            n;

        if (!(me->items[i].subscription & SUB_TO))
            continue;
        if (!blocks(me, me->items[i].jid))
            ask_far(s->talk, EVENT_PROBE, me->items[i].jid, s->jid.full);
        if (!blocks(me, me->items[i].jid) && probe_away(s, me->items[i].jid))
            continue;
        p = presence_person(s->talk, me->items[i].jid);
        if (!p || !person_may_see(p, me->jid.bare) || apart(me, p))
            continue;
        n = roster_sessions(p, ids);
        for (int k = 0; k < n; k++) {
            struct session *o = session_find(s->talk, ids[k]);

            if (!o || !session_available(o))
                continue;
            send_to_session(s, str_of(o->presence));
            photo_ask(o, s->jid.full);
        }
    }
    ask_far(s->talk, EVENT_PROBE, me->jid.bare, s->jid.full);
    LIST_EACH(it, &me->sessions) {
        struct session *o = LIST_ITEM(it, struct session, in_person);

        if (o == s || !session_available(o) || s->closing)
            continue;
        send_to_session(s, str_of(o->presence));
        photo_ask(o, s->jid.full);
    }
}

/* §3.1.3: until they are answered, requests are shown to every new session. */
static void show_requests(struct session *s)
{
    for (int i = 0; i < s->person->item_count && !s->closing; i++)
        if (s->person->items[i].request)
            session_send(s, str_of(s->person->items[i].request));
}

/* RFC 6121 §4.7.2.3: a number from -128 to 127. */
static bool read_priority(const struct stanza *p, int8_t *out)
{
    struct str text = xml_child_text(p->arena, p->node, "priority", NS_CLIENT);
    int64_t    v = 0;

    if (text.p) {
        text = str_trim(text);
        if (text.len && text.p[0] == '+')
            text = str_make(text.p + 1, text.len - 1);
        if (!str_to_i64(text, &v) || v < INT8_MIN || v > INT8_MAX)
            return false;
    }
    *out = (int8_t)v;
    return true;
}

static void hooks_out(struct session *s, const struct stanza *p)
{
    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->presence_out)
            features[i]->presence_out(s, p);
}

static void hooks_available(struct session *s)
{
    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->available)
            features[i]->available(s);
}

static void become_available(struct session *s, const struct stanza *p)
{
    bool       first = !session_available(s);
    int8_t     priority;
    struct buf b;

    if (!read_priority(p, &priority)) {
        session_bounce(s, p, "modify", "bad-request", "the priority is no number from -128 to 127");
        return;
    }
    buf_init(&b, 0);
    put_presence(&b, s, p);
    free(s->presence);
    s->presence = str_dup(buf_str(&b));
    buf_done(&b);
    s->priority = priority;
    hooks_out(s, p);
    sm_row_changed(s);
    device_presence(s);
    broadcast(s, str_of(s->presence));
    if (s->closing || s->state == SESSION_CLOSED)
        return;
    if (first) {
        s->probed = true;
        tell_others(s);
        show_requests(s);
        hooks_available(s);
    }
    if (s->priority >= 0 && !s->closing && !s->talk->shared)    /* else when its device row is durable */
        offline_deliver(s);
}

/* ---- becoming unavailable (§4.5) ---- */

static void tell_directed(struct session *s, struct str text)
{
    struct strset *set = s->directed;
    struct arena   a;
    struct str     key;
    void          *value;

    s->directed = NULL;     /* ending others may come back here */
    if (!set)
        return;
    arena_init(&a);
    for (size_t it = 0; strmap_next(&set->map, &it, &key, &value);) {
        struct jid     j;
        struct person *p;

        if (jid_parse(&a, key, &j) != OK || person_may_see(s->person, j.bare))
            continue;       /* the broadcast has told them */
        p = presence_person(s->talk, j.bare);
        if (p && apart(s->person, p))
            continue;
        if (p)
            send_to_person(p, j.resource, NULL, text);
        send_far(s->talk, j.bare, j.resource, text);
    }
    arena_done(&a);
    strset_free(set);
}

/* `text`: the unavailable presence, without `to`. */
static void become_unavailable(struct session *s, struct str text, struct str status)
{
    bool was = session_available(s);

    if (was) {
        broadcast(s, text);     /* to this session too, unless it is closing */
        free(s->presence);
        s->presence = NULL;
        s->priority = 0;
        s->probed = false;
        if (!s->closing)
            device_presence(s);
    }
    tell_directed(s, text);
    if (!was)
        return;
    last_unavailable(s, status);
    if (!s->closing)
        sm_row_changed(s);
}

static void leave(struct session *s, const struct stanza *p)
{
    struct buf b;

    buf_init(&b, 0);
    put_presence(&b, s, p);
    hooks_out(s, p);
    become_unavailable(s, buf_str(&b), xml_child_text(p->arena, p->node, "status", NS_CLIENT));
    buf_done(&b);
}

void presence_session_gone(struct session *s)
{
    struct buf b;

    if (!session_available(s) && !s->directed)
        return;
    buf_init(&b, 0);
    become_unavailable(s, unavailable_text(&b, s->jid.full), STR_NULL);
    buf_done(&b);
}

/* ---- to somebody (§4.6) ---- */

static bool stages_pass(struct session *s, const struct stanza *p, struct person *to)
{
    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->stanza_in && features[i]->stanza_in(to, s, p) == STOP)
            return false;
    return true;
}

/* Directed presence shows the photo too (XEP-0398 §3). */
static void put_directed(struct session *s, struct buf *b, const struct stanza *p)
{
    struct buf text;

    buf_init(&text, 0);
    put_presence(&text, s, p);
    put_to(s->talk, b, buf_str(&text), p->to.full);
    buf_done(&text);
}

static bool note_directed(struct session *s, const struct stanza *p)
{
    if (s->guest)
        return true;    /* their server does that */
    if (p->type == TYPE_UNAVAILABLE)
        directed_remove(s, p->to.full);
    else if (p->type == TYPE_AVAILABLE && !person_may_see(s->person, p->to.bare) && !directed_add(s, p->to.full)) {
        session_bounce(s, p, "wait", "resource-constraint", "too many directed presences");
        return false;
    }
    return true;
}

static void directed(struct session *s, const struct stanza *p, struct person *to)
{
    struct buf *b;

    if (p->type == TYPE_ERROR && p->to.resource.len == 0)
        return;     /* §8.5.2: there is nobody it is about */
    if (!stages_pass(s, p, to) || !note_directed(s, p))
        return;
    if (s->guest)
        guest_device_presence(to, p);
    b = talk_scratch(s->talk);
    put_directed(s, b, p);
    route_presence(s->talk, to, p->to.resource, buf_str(b));
}

/* §4.3.2: a probe is answered with every presence there is, or with the lack of it. */
static void answer_probe(struct session *s, const struct stanza *p, struct person *to)
{
    struct buf b;
    int        told = 0;

    if (!stages_pass(s, p, to))
        return;
    buf_init(&b, 0);
    if (!person_may_see(to, s->jid.bare)) {
        stanza_open(&b, "presence", to->jid.bare, s->jid.bare, STR_NULL, "unsubscribed", STR_NULL);
        BUF_LIT(&b, "</presence>");
        follow_send(s, buf_str(&b));
        buf_done(&b);
        return;
    }
    LIST_EACH(it, &to->sessions) {
        struct session *o = LIST_ITEM(it, struct session, in_person);

        if (!session_available(o) || (p->to.resource.len && !str_eq(p->to.resource, o->jid.resource)) || s->closing)
            continue;
        send_to_session(s, str_of(o->presence));
        photo_ask(o, s->jid.full);
        told++;
    }
    if (to->device_count)
        ask_far(s->talk, EVENT_PROBE, to->jid.bare, s->jid.full);
    else if (!told && !s->closing)
        send_to_session(s, unavailable_text(&b, p->to.full));
    buf_done(&b);
}

/* Directed presence to another server, and what a client asks there itself. */
static void leaves(struct session *s, const struct stanza *p)
{
    struct buf *b;

    if (blocking_has(s->person, &p->to)) {
        blocking_refuse(s, p);
        return;
    }
    if (!note_directed(s, p))
        return;
    b = talk_scratch(s->talk);
    put_directed(s, b, p);
    federate_send(s->talk, buf_str(b));
}

static void to_somebody(struct session *s, const struct stanza *p)
{
    struct person *to;

    if (!s->guest && federate_reaches(s->talk, p->to.domain)) {
        leaves(s, p);
        return;
    }
    if (!str_eq(p->to.domain, s->talk->domain) || p->to.local.len == 0)
        return;     /* the server itself needs no presence */
    to = person_known(s->talk, p->to.local);
    if (!to)
        return;
    if (p->type == TYPE_PROBE)
        answer_probe(s, p, to);
    else
        directed(s, p, to);
}

static void handle(struct session *s, const struct stanza *p)
{
    switch (p->type) {
    case TYPE_SUBSCRIBE:
    case TYPE_SUBSCRIBED:
    case TYPE_UNSUBSCRIBE:
    case TYPE_UNSUBSCRIBED:
        if (p->has_to && pars_takes(s, p, subscription_target(s->talk, &p->to)))
            return;
        if (p->has_to)
            subscription_from_client(s, p);
        else
            session_bounce(s, p, "modify", "bad-request", "whose?");
        return;
    default:
        break;
    }
    if (p->has_to)
        to_somebody(s, p);
    else if (p->type == TYPE_AVAILABLE)
        become_available(s, p);
    else if (p->type == TYPE_UNAVAILABLE)
        leave(s, p);
}

/* ---- order ---- */

struct later {
    uint64_t session_id;
    char    *xml, *lang;    /* which it may have from the stream */
};

static void handle_later(struct talk *t, void *arg)
{
    struct later    *l = arg;
    struct session  *s = session_find(t, l->session_id);
    struct xml_node *n;
    struct stanza    p;
    const char      *condition;

    if (s && (s->person || s->guest) && !s->closing && s->state != SESSION_CLOSED) {
        arena_reset(&t->round);
        if (xml_parse(&t->round, str_of(l->xml), NULL, &n) == XML_FINE &&
            stanza_read(&t->round, n, &s->jid, &p, &condition) == OK) {
            p.foreign = s->guest != NULL;
            p.lang = str_of(l->lang);
            handle(s, &p);
        }
    }
    free(l->xml);
    free(l->lang);
    free(l);
}

void presence_from_client(struct session *s, const struct stanza *p)
{
    struct later *l;
    struct buf    b;

    if (s->commits == 0) {
        handle(s, p);
        return;
    }
    l = NEW(struct later);
    l->session_id = s->id;
    buf_init(&b, 0);
    xml_put_node(&b, p->node, STR_NULL);
    l->xml = str_dup(buf_str(&b));
    l->lang = str_dup(p->lang);
    buf_done(&b);
    session_after_commits(s, handle_later, l);
}

/* ---- the row ---- */

const struct feature rfc6121_presence = {
    .spec = "RFC 6121",
    .title = "Presence and subscriptions",
};
