/* host.c: see host.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/host.h"
#include "base/log.h"
#include "base/mem.h"
#include "talk/devices.h"
#include "talk/federate.h"
#include "talk/follow.h"
#include "talk/nodes.h"
#include <assert.h>
#include <stdlib.h>

void hosts_init(struct talk *t)
{
    for (size_t i = 0; i < feature_count; i++) {
        const struct host *h = features[i]->host;
        struct buf         b;

        if (!h)
            continue;
        assert(t->host_count < HOSTS_MAX);
        buf_init(&b, 0);
        buf_printf(&b, "%s.%.*s", h->prefix, STR_ARG(t->domain));
        t->hosts[t->host_count++] = (struct talk_host){ h, str_make(str_dup(buf_str(&b)), b.len) };
        buf_done(&b);
    }
}

void hosts_done(struct talk *t)
{
    for (int i = 0; i < t->host_count; i++)
        free((char *)t->hosts[i].domain.p);
    t->host_count = 0;
}

const struct host *host_of(const struct talk *t, struct str domain)
{
    for (int i = 0; i < t->host_count; i++)
        if (str_eq(t->hosts[i].domain, domain))
            return t->hosts[i].host;
    return NULL;
}

struct str host_domain(const struct talk *t, const struct host *h)
{
    for (int i = 0; i < t->host_count; i++)
        if (t->hosts[i].host == h)
            return t->hosts[i].domain;
    return STR_NULL;
}

bool host_is_ours(const struct talk *t, struct str domain)
{
    return str_eq(domain, t->domain) || host_of(t, domain);
}

void host_put_items(const struct talk *t, struct buf *b)
{
    for (int i = 0; i < t->host_count; i++) {
        BUF_LIT(b, "<item");
        xml_put_attr(b, "jid", t->hosts[i].domain);
        xml_put_attr(b, "name", str_of(t->hosts[i].host->name));
        BUF_LIT(b, "/>");
    }
}

/* ---- iq ---- */

static const struct iq_handler *handler_of(const struct iq_handler *h, const struct xml_node *payload)
{
    for (; h->ns; h++)
        if (str_is(payload->ns, h->ns) && (!h->name || str_is(payload->name, h->name)))
            return h;
    return NULL;
}

void host_iq(struct session *from, const struct stanza *iq, const struct iq_handler *handlers)
{
    if (iq->type == TYPE_GET || iq->type == TYPE_SET)
        route_iq_handle(from, iq, handler_of(handlers, iq->payload));
}

/* ---- sending ---- */

static void to_person(struct talk *t, struct person *p, struct str resource, struct str text)
{
    struct session *s = resource.len ? person_session(p, resource) : NULL;
    struct device  *far = resource.len && !s ? device_find(p, resource) : NULL;

    if (s)
        follow_send(s, text);
    else if (far)
        event_send_node(t, far->node, &(struct event){ .kind = EVENT_TO_DEVICE, .local = p->jid.local, .key = far->key, .text = text });
    else if (!resource.len)
        route_presence(t, p, STR_NULL, text);
}

struct sending {
    char *resource, *text;
};

static void found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct sending *g = arg;

    if (p)
        to_person(t, p, str_of(g->resource), str_of(g->text));
    else if (e != ERR_NOT_FOUND)
        LOG_WARN("host.unsent", LF_ERR(e));
    free(g->resource);
    free(g->text);
    free(g);
}

void host_send(struct talk *t, const struct jid *to, struct str stanza)
{
    struct person  *p;
    struct sending *g;

    if (federate_reaches(t, to->domain)) {
        federate_send(t, stanza);
        return;
    }
    if (!str_eq(to->domain, t->domain) || !to->local.len)
        return;     /* hosts ask each other nothing */
    p = person_known(t, to->local);
    if (p) {
        to_person(t, p, to->resource, stanza);
        return;
    }
    if (!t->shared)
        return;     /* nobody of that name has a device */
    g = NEW(struct sending);
    *g = (struct sending){ str_dup(to->resource), str_dup(stanza) };
    person_find(t, to->local, found, g);
}
