/* signed_in.c: see signed_in.h. Tokens end first, and are gone for good before a session ends: so nobody comes back by one.
 *
 *   asked ─▶ ident ends the tokens ─▶ nothing wakes them any more ─▶ sessions end, here and on other workers ─▶ answered
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/signed_in.h"
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "id/ident.h"
#include "talk/devices.h"
#include "talk/feature.h"
#include "talk/roster.h"
#include "talk/xep/xep0357_push.h"

#define NS_DEVICES "urn:bongsu:devices:0"

/* ---- ending sessions ---- */

static bool is_meant(const struct sign_out *w, struct str resource, int64_t agent)
{
    if (w->resource.len)    /* one of a device ends with its token or not at all */
        return !agent && str_eq(w->resource, resource);
    if (w->others)
        return !w->agent || agent != w->agent;
    return w->agent && agent == w->agent;
}

/* Those that are not bound yet are on no list of the person's, and must not slip through: looked for among all. */
static int sessions_meant(struct person *p, const struct sign_out *w, const struct session *but, uint64_t ids[ROSTER_SESSIONS_MAX])
{
    int n = 0;

    LIST_EACH(it, &p->talk->sessions_all) {
        struct session *s = LIST_ITEM(it, struct session, in_talk);

        if (s->person == p && s != but && !s->guest && !s->closing && n < ROSTER_SESSIONS_MAX && is_meant(w, s->jid.resource, s->agent))
            ids[n++] = s->id;
    }
    return n;
}

static int end_here(struct person *p, const struct sign_out *w, const struct session *but)
{
    uint64_t ids[ROSTER_SESSIONS_MAX];
    int      n = sessions_meant(p, w, but, ids);

    person_ref(p);
    for (int i = 0; i < n; i++) {
        struct session *s = session_find(p->talk, ids[i]);

        if (s)
            session_fail(s, "not-authorized", "this device was logged out");
    }
    person_unref(p);
    return n;
}

/* A session that belongs to a device ends with it; else there would be a token left to come back by. */
static int64_t agent_of(struct person *p, struct str resource)
{
    struct session *s = person_session(p, resource);
    struct device  *d = s ? NULL : device_find(p, resource);

    return s ? s->agent : d ? d->agent : 0;
}

/* Of a device that may be away: the resource that Bind 2 made ends with its id. */
static int64_t agent_by_name(struct person *p, struct str resource)
{
    int64_t    agent = agent_of(p, resource);
    struct str tail = resource.len > 16 ? str_make(resource.p + resource.len - 16, 16) : resource;
    uint64_t   id;

    if (!agent && tail.len == 16 && str_hex_to_u64(tail, &id))
        agent = (int64_t)id;
    return agent;
}

/* What is said of messages to a device that was logged out would be said to whoever holds it. `pending` counts those for which
 * `done` will be called. */
static void end_pushes(struct person *p, const struct sign_out *w, struct str but, int *pending, push_removed_fn *done, void *arg)
{
    for (int i = p->push ? p->push->count : 0; i-- > 0;) {
        const struct push_registration *r = p->push->items[i];

        if ((w->others && str_eq(r->resource, but)) || !is_meant(w, r->resource, agent_by_name(p, r->resource)))
            continue;
        ++*pending;
        push_remove(p, r->id, done, arg);
    }
}

void signed_in_event(struct person *p, const struct event *e)
{
    struct sign_out w = { e->jid, e->key, (e->flags & EVENT_OTHERS) != 0 };
    int             pending = 0;

    end_pushes(p, &w, e->text, &pending, NULL, NULL);     /* one that was made here is perhaps not known there yet */
    end_here(p, &w, NULL);
}

static int end_everywhere(struct person *p, const struct sign_out *w, const struct session *but)
{
    int n = 0;

    for (int i = 0; i < p->device_count; i++)
        n += is_meant(w, str_of(p->devices[i].resource), p->devices[i].agent);
    if (n || !w->resource.len)      /* what an unknown resource is, nobody here can say */
        event_send(p->talk, &(struct event){ .kind = EVENT_SIGN_OUT, .local = p->jid.local, .jid = w->resource, .key = w->agent,
                                             .text = but ? but->jid.resource : STR_NULL, .flags = w->others ? EVENT_OTHERS : 0 });
    return n + end_here(p, w, but);
}

/* ---- a question that waits for ident ---- */

struct asking {
    struct talk    *talk;
    struct person  *person;
    struct iq_later iq;
    struct sign_out which;
    char           *resource;       /* which.resource's bytes */
    uint64_t        session_id;
    bool            no_token;       /* ident knew none that was meant */
    int             pending;        /* registrations for push that are going, and one for who counts them */
    enum err        failed;
};

static struct asking *ask(struct session *s, const struct stanza *iq)
{
    struct asking *k = NEW(struct asking);

    k->talk = s->talk;
    k->person = s->person;
    person_ref(k->person);
    k->session_id = s->id;
    k->iq = iq_keep(s, iq);
    return k;
}

static void asking_free(struct asking *k)
{
    person_unref(k->person);
    free(k->resource);
    free(k);
}

static enum err sent(enum err e, struct asking *k)
{
    if (e) {
        iq_later_error(k->talk, &k->iq, ERR_UNAVAILABLE);
        asking_free(k);
    }
    return OK;
}

/* ---- the list ---- */

static void put_time(struct buf *b, const char *name, int64_t us)
{
    char time[CLOCK_TEXT_BYTES];

    xml_put_attr(b, name, clock_format(us, time));
}

static void put_text(struct buf *b, const char *name, struct str text)
{
    if (!text.len)
        return;
    buf_printf(b, "<%s>", name);
    xml_put_escaped(b, text);
    buf_printf(b, "</%s>", name);
}

static void put_session(struct buf *b, struct str resource)
{
    BUF_LIT(b, "<session");
    xml_put_attr(b, "resource", resource);
    BUF_LIT(b, "/>");
}

/* What of a person is open, here and on other workers. */
struct open { struct str resource; int64_t agent; bool told; };

static int open_sessions(struct person *p, struct open out[ROSTER_SESSIONS_MAX])
{
    int n = 0;

    LIST_EACH(it, &p->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);

        if (!s->closing && n < ROSTER_SESSIONS_MAX)
            out[n++] = (struct open){ s->jid.resource, s->agent, false };
    }
    for (int i = 0; i < p->device_count && n < ROSTER_SESSIONS_MAX; i++)
        if (node_alive(p->talk, p->devices[i].node))
            out[n++] = (struct open){ str_of(p->devices[i].resource), p->devices[i].agent, false };
    return n;
}

/* One device with its sessions; one without an id has just this session. */
static void put_device(struct buf *b, const struct session *asker, int64_t agent, const struct ident_device *d, struct open *open, int n, int first)
{
    bool mine = agent ? agent == asker->agent : str_eq(open[first].resource, asker->jid.resource);

    BUF_LIT(b, "<device");
    if (agent)
        buf_printf(b, " id='%016llx'", (unsigned long long)agent);
    if (mine)
        BUF_LIT(b, " this='true'");
    if (d) {
        put_time(b, "seen", d->seen_us);
        put_time(b, "expires", d->expires_us);
    }
    buf_put_c(b, '>');
    put_text(b, "software", d ? d->software : STR_NULL);
    put_text(b, "name", d ? d->name : STR_NULL);
    for (int i = first; i < n; i++) {
        if (open[i].told || open[i].agent != agent || (!agent && i != first))
            continue;
        open[i].told = true;
        put_session(b, open[i].resource);
    }
    BUF_LIT(b, "</device>");
}

static void listed(void *arg, enum err e, const struct ident_device *devices, int count)
{
    struct asking  *k = arg;
    struct session *s = session_find(k->talk, k->session_id);
    struct open     open[ROSTER_SESSIONS_MAX];
    struct buf     *b = talk_scratch(k->talk);
    int             n = s && s->person ? open_sessions(s->person, open) : 0;

    /* what cannot be read is an error, never a list with less in it */
    if (e || !s) {
        iq_later_error(k->talk, &k->iq, e ? e : ERR_CLOSED);
        asking_free(k);
        return;
    }
    BUF_LIT(b, "<devices xmlns='" NS_DEVICES "'>");
    for (int i = 0; i < count; i++)
        put_device(b, s, (int64_t)devices[i].id, &devices[i], open, n, 0);
    for (int i = 0; i < n; i++)
        if (!open[i].told)
            put_device(b, s, open[i].agent, NULL, open, n, i);
    BUF_LIT(b, "</devices>");
    iq_later_result(k->talk, &k->iq, buf_str(b));
    asking_free(k);
}

static enum err devices_get(struct session *s, const struct stanza *iq)
{
    struct asking *k;

    if (iq->has_to && !str_eq(iq->to.full, s->jid.bare))
        return ERR_DENIED;
    if (!str_is(iq->payload->name, "devices"))
        return ERR_INVALID;
    k = ask(s, iq);
    return sent(ident_devices(s->talk->bus, s->jid.local, listed, k), k);
}

/* ---- the end of some ---- */

static void end_sessions(struct asking *k)
{
    struct session *s = session_find(k->talk, k->session_id);
    struct sign_out w = k->which;
    struct person  *p = k->person;
    bool            own = s && !w.others && is_meant(&w, s->jid.resource, s->agent);
    int             n = end_everywhere(p, &w, s);

    if (k->failed)
        iq_later_error(k->talk, &k->iq, k->failed);     /* asked again, it does the rest */
    else if (k->no_token && !n && !own && !w.others)
        iq_later_error(k->talk, &k->iq, ERR_NOT_FOUND);
    else
        iq_later_result(k->talk, &k->iq, STR_NULL);
    s = own ? session_find(k->talk, k->session_id) : NULL;
    if (s)      /* it has heard that it is */
        session_fail(s, "not-authorized", "this device was logged out");
    asking_free(k);
}

static void push_gone(void *arg, enum err e)
{
    struct asking *k = arg;

    if (e)
        k->failed = e;
    if (--k->pending == 0)
        end_sessions(k);
}

static void ended(void *arg, enum err e)
{
    struct asking  *k = arg;
    struct session *s = session_find(k->talk, k->session_id);

    if (e && e != ERR_NOT_FOUND) {
        iq_later_error(k->talk, &k->iq, e);
        asking_free(k);
        return;
    }
    k->no_token = e != OK;
    k->pending = 1;
    end_pushes(k->person, &k->which, s ? s->jid.resource : STR_NULL, &k->pending, push_gone, k);
    push_gone(k, OK);
}

static bool read_which(const struct stanza *iq, struct sign_out *out)
{
    struct str id = xml_attr(iq->payload, "id"), others = xml_attr(iq->payload, "others");
    uint64_t   agent = 0;

    *out = (struct sign_out){ .resource = xml_attr(iq->payload, "resource"), .others = str_is(others, "true") || str_is(others, "1") };
    if (id.p && (id.len != 16 || !str_hex_to_u64(id, &agent) || !agent))
        return false;
    if (others.p && !out->others)
        return false;
    out->agent = (int64_t)agent;
    return (id.p != NULL) + (out->resource.len > 0) + (others.p != NULL) == 1;
}

static enum err devices_set(struct session *s, const struct stanza *iq)
{
    struct sign_out w;
    struct asking  *k;

    if (!s->person || (iq->has_to && !str_eq(iq->to.full, s->jid.bare)))
        return ERR_DENIED;
    if (!str_is(iq->payload->name, "end") || !read_which(iq, &w))
        return ERR_INVALID;
    if (w.resource.len && (w.agent = agent_of(s->person, w.resource)) != 0)
        w.resource = STR_NULL;
    if (w.others)
        w.agent = s->agent;
    k = ask(s, iq);
    k->which = w;
    if (w.resource.len) {
        k->resource = str_dup(w.resource);
        k->which.resource = str_of(k->resource);
        ended(k, ERR_NOT_FOUND);        /* there is no token */
        return OK;
    }
    return sent(ident_device_end(s->talk->bus, s->jid.local, (uint64_t)w.agent, w.others, ended, k), k);
}

static const struct iq_handler devices_iqs[] = {
    { NULL, NS_DEVICES, IQ_TO_SELF, devices_get, devices_set },
    { 0 },
};
static const char *const devices_disco[] = { NS_DEVICES, NULL };

const struct feature signed_in = {
    .spec = "XEP-0484 0.2.0",
    .title = "Devices of an account",
    .disco_account = devices_disco,
    .iqs = devices_iqs,
};
