/* XEP-0030 Service Discovery 2.5.0: what the server and an account can do. The lists are
 * made once, from the feature tables (features_init).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"
#include "talk/host.h"
#include "talk/xep/xep0060_pubsub.h"
#include "talk/xep/xep0114_component.h"
#include "talk/xep/xep0115_caps.h"

#define NS_INFO  "http://jabber.org/protocol/disco#info"
#define NS_ITEMS "http://jabber.org/protocol/disco#items"

static bool to_server(const struct stanza *iq)
{
    return iq->has_to && iq->to.local.len == 0;
}

/* §8: an account shows itself to its owner and to those who may see its presence. */
static bool may_ask(struct session *s, const struct stanza *iq)
{
    struct person *p;

    if (!iq->has_to || to_server(iq) || str_eq(iq->to.bare, s->jid.bare))
        return true;
    p = person_known(s->talk, iq->to.local);
    return p && person_may_see(p, s->jid.bare);
}

/* ERR_UNSUPPORTED: no feature has such a node. */
static enum err ask_features(struct session *s, const struct stanza *iq, struct str node, bool items, struct buf *b)
{
    enum err e = ERR_UNSUPPORTED;

    for (size_t i = 0; i < feature_count && e == ERR_UNSUPPORTED; i++)
        if (features[i]->disco_node)
            e = features[i]->disco_node(s, iq, node, items, b);
    return e;
}

static enum err node_get(struct session *s, const struct stanza *iq, struct str node, bool items)
{
    struct buf b;
    enum err   e;

    buf_init(&b, 0);
    buf_printf(&b, "<query xmlns='%s'", items ? NS_ITEMS : NS_INFO);
    xml_put_attr(&b, "node", node);
    buf_put_c(&b, '>');
    e = ask_features(s, iq, node, items, &b);
    BUF_LIT(&b, "</query>");
    if (!e)
        iq_result_str(s, iq, buf_str(&b));
    buf_done(&b);
    return e == ERR_UNSUPPORTED ? ERR_NOT_FOUND : e;
}

/* An account's own nodes are those of its eventing (xep0060_pubsub.c). */
static struct person *asked_person(struct session *s, const struct stanza *iq)
{
    return iq->has_to ? person_known(s->talk, iq->to.local) : s->person;
}

static enum err info_get(struct session *s, const struct stanza *iq)
{
    bool        server = to_server(iq);
    struct str  node = xml_attr(iq->payload, "node");
    struct buf *b;

    if (!may_ask(s, iq))
        return iq_error_condition(s, iq, "cancel", "service-unavailable", NULL);
    if (node.len && !(server && caps_node_is_ours(s->talk, node))) {
        enum err e = node_get(s, iq, node, false);

        return e == ERR_NOT_FOUND && !server ? pubsub_account_info(s, iq, asked_person(s, iq)) : e;
    }
    b = talk_scratch(s->talk);
    BUF_LIT(b, "<query xmlns='" NS_INFO "'");
    if (node.len)
        xml_put_attr(b, "node", node);
    buf_put_z(b, server ? "><identity category='server' type='im' name='Bongsu'/>"
                        : "><identity category='account' type='registered'/><identity category='pubsub' type='pep'/>");
    buf_put_str(b, buf_str(server ? &s->talk->disco_server : &s->talk->disco_account));
    BUF_LIT(b, "</query>");
    return iq_result_str(s, iq, buf_str(b));
}

static enum err items_get(struct session *s, const struct stanza *iq)
{
    struct buf *b;

    if (!may_ask(s, iq))
        return iq_error_condition(s, iq, "cancel", "service-unavailable", NULL);
    if (xml_attr(iq->payload, "node").len) {
        enum err e = node_get(s, iq, xml_attr(iq->payload, "node"), true);

        return e == ERR_NOT_FOUND && !to_server(iq) ? pubsub_account_items(s, iq, asked_person(s, iq)) : e;
    }
    if (!to_server(iq))
        return pubsub_account_items(s, iq, asked_person(s, iq));
    b = talk_scratch(s->talk);
    BUF_LIT(b, "<query xmlns='" NS_ITEMS "'>");
    host_put_items(s->talk, b);
    components_put_items(s->talk, b);
    BUF_LIT(b, "</query>");
    return iq_result_str(s, iq, buf_str(b));
}

static const struct iq_handler disco_iqs[] = {
    { "query", NS_INFO, IQ_TO_SERVER | IQ_TO_SELF | IQ_TO_OTHER | IQ_FROM_GUEST, info_get, NULL },
    { "query", NS_ITEMS, IQ_TO_SERVER | IQ_TO_SELF | IQ_TO_OTHER | IQ_FROM_GUEST, items_get, NULL },
    { 0 },
};
static const char *const disco_vars[] = { NS_INFO, NS_ITEMS, NULL };

const struct feature xep0030_disco = {
    .spec = "XEP-0030 2.5.0",
    .title = "Service Discovery",
    .disco_server = disco_vars,
    .disco_account = disco_vars,
    .iqs = disco_iqs,
};
