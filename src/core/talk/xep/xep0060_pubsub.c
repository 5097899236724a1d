/* XEP-0060 Publish-Subscribe 1.30.0: the public service on pubsub.DOMAIN, where every local account may have nodes; the tables;
 * and what service discovery tells of nodes, here and on accounts. The work is done in talk/pubsub.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0060_pubsub.h"
#include "talk/host.h"
#include "talk/pubsub/inner.h"
#include "talk/roster.h"

#define NS_INFO "http://jabber.org/protocol/disco#info"
#define NS_ITEMS "http://jabber.org/protocol/disco#items"
#define NS_PING "urn:xmpp:ping"
#define NS_VERSION "jabber:iq:version"

static const char host_features[] =
#define F(name) "<feature var='" NS_PUBSUB "#" name "'/>"
    "<feature var='" NS_INFO "'/><feature var='" NS_ITEMS "'/><feature var='" NS_PUBSUB
    "'/><feature var='" NS_PUBSUB_OWNER "'/>"
    "<feature var='" NS_PING "'/>" F("access-authorize") F("access-open") F("access-whitelist")
        F("config-node") F("config-node-max") F("create-and-configure") F("create-nodes") F("delete-items")
            F("delete-nodes") F("instant-nodes") F("item-ids") F("manage-subscriptions")
                F("member-affiliation") F("meta-data") F("modify-affiliations") F("multi-items")
                    F("outcast-affiliation") F("persistent-items") F("publish") F("publish-only-affiliation")
                        F("publish-options") F("publisher-affiliation") F("purge-nodes") F("retract-items")
                            F("retrieve-affiliations") F("retrieve-default") F("retrieve-items")
                                F("retrieve-subscriptions") F("rsm") F("subscribe");
#undef F

static struct service public_service(const struct talk *t)
{
    return (struct service){.owner = 0, .bare = host_domain(t, &pubsub_host)};
}

/* ---- discovery of nodes ---- */

static struct db_sql nodes_list = {
    "SELECT name, config FROM pubsub_node WHERE owner = ?1 ORDER BY name LIMIT ?2"};
static struct db_sql items_list = {
    "SELECT id FROM pubsub_item WHERE node = ?1 AND us >= ?2 ORDER BY sequence LIMIT ?3"};

static enum err node_info(struct job *j, struct db_conn *c)
{
    struct str name = xml_attr(j->payload, "node"), creator;
    struct node n;
    enum err e = node_find(j, c, name, false, &n);

    if (e || j->fault)
        return e;
    creator = n.creator.len || j->service.pep ? n.creator : j->talk->domain; /* the server's own: announced.c */
    BUF_LIT(&j->out, "<query xmlns='" NS_INFO "'");
    xml_put_attr(&j->out, "node", name);
    BUF_LIT(&j->out, "><identity category='pubsub' type='leaf'/><feature var='" NS_PUBSUB "'/>");
    config_put_meta(&j->out, &n.config, creator, j->service.pep ? j->service.bare : creator,
                    shows_profile(&j->service, name) && !j->asker.self ? -1 : n.items);
    BUF_LIT(&j->out, "</query>");
    return OK;
}

/* Nodes that one may not read are not listed: their names tell something too. */
static enum err put_nodes(struct job *j, struct db_conn *c)
{
    struct db_stmt *row = db_prepare(c, &nodes_list);
    struct ids names = {0};
    enum err e;

    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, j->service.owner);
    db_bind_i64(row, 2, PUBSUB_LIST_MAX);
    while ((e = db_step(row)) == OK)
        ids_add(&j->work, &names, db_text(row, 0));
    db_done(row);
    e = e == ERR_NOT_FOUND ? OK : e;
    for (int i = 0; i < names.count && !e; i++) {
        const struct fault *why;
        struct node n;

        e = node_read(j, c, names.ids[i], false, &n);
        if (!e)
            e = access_to(j, c, &n, &why);
        if (e || why)
            continue;
        BUF_LIT(&j->out, "<item");
        xml_put_attr(&j->out, "jid", j->service.bare);
        xml_put_attr(&j->out, "node", n.name);
        if (n.config.title.len)
            xml_put_attr(&j->out, "name", n.config.title);
        BUF_LIT(&j->out, "/>");
    }
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err put_items(struct job *j, struct db_conn *c, const struct node *n)
{
    struct db_stmt *row = db_prepare(c, &items_list);
    enum err e;

    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, n->id);
    db_bind_i64(row, 2, node_oldest_us(n));
    db_bind_i64(row, 3, PUBSUB_LIST_MAX);
    while ((e = db_step(row)) == OK) {
        BUF_LIT(&j->out, "<item");
        xml_put_attr(&j->out, "jid", j->service.bare);
        xml_put_attr(&j->out, "name", db_text(row, 0));
        BUF_LIT(&j->out, "/>");
    }
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err list_items(struct job *j, struct db_conn *c)
{
    struct str name = xml_attr(j->payload, "node");
    const struct fault *why = NULL;
    struct node n;
    enum err e = OK;

    if (name.len)
        e = node_find(j, c, name, false, &n);
    if (!e && !j->fault && name.len)
        e = access_to(j, c, &n, &why);
    if (e || j->fault || why)
        return e || j->fault ? e : job_fail(j, why);
    BUF_LIT(&j->out, "<query xmlns='" NS_ITEMS "'");
    if (name.len)
        xml_put_attr(&j->out, "node", name);
    buf_put_c(&j->out, '>');
    /* an avatar's id is its hash: only the owner gets those of profile nodes from here, others ask for the
     * items */
    if (!shows_profile(&j->service, name) || j->asker.self)
        e = name.len ? put_items(j, c, &n) : put_nodes(j, c);
    BUF_LIT(&j->out, "</query>");
    return e;
}

static enum err discover(struct session *s, const struct stanza *iq, const struct service *at, verb_fn *run)
{
    struct job *j = job_ask(s, iq, at, run);

    if (!j)
        return ERR_INVALID;
    job_read(j, s);
    return OK;
}

enum err pubsub_account_info(struct session *s, const struct stanza *iq, struct person *p)
{
    struct service at = service_of(p);

    return discover(s, iq, &at, node_info);
}

enum err pubsub_account_items(struct session *s, const struct stanza *iq, struct person *p)
{
    struct service at = service_of(p);

    return discover(s, iq, &at, list_items);
}

/* ---- the host ---- */

static enum err host_pubsub(struct session *s, const struct stanza *iq)
{
    struct service at = public_service(s->talk);

    return pubsub_ask(s, iq, &at);
}

static enum err host_info(struct session *s, const struct stanza *iq)
{
    struct service at = public_service(s->talk);
    struct buf *b;

    if (xml_attr(iq->payload, "node").len)
        return discover(s, iq, &at, node_info);
    b = talk_scratch(s->talk);
    BUF_LIT(b, "<query xmlns='" NS_INFO "'><identity category='pubsub' type='service' name='Bongsu'/>");
    buf_put_z(b, host_features);
    BUF_LIT(b, "</query>");
    return iq_result_str(s, iq, buf_str(b));
}

static enum err host_items(struct session *s, const struct stanza *iq)
{
    struct service at = public_service(s->talk);

    return discover(s, iq, &at, list_items);
}

static enum err host_ping(struct session *s, const struct stanza *iq)
{
    return iq_result(s, iq, NULL);
}

static const struct iq_handler host_iqs[] = {
    {"pubsub", NS_PUBSUB, 0, host_pubsub, host_pubsub},
    {"pubsub", NS_PUBSUB_OWNER, 0, host_pubsub, host_pubsub},
    {"query", NS_INFO, 0, host_info, NULL},
    {"query", NS_ITEMS, 0, host_items, NULL},
    {"ping", NS_PING, 0, host_ping, NULL},
    {0},
};

/* ---- an owner's answer to a request for approval (§8.6) ---- */

static const struct xml_node *authorization(const struct stanza *m)
{
    const struct xml_node *x = xml_child(m->node, "x", NS_FORMS);
    struct form f;

    if (!x || form_read(m->arena, x, &f) != OK || !str_is(f.type, NS_PUBSUB "#subscribe_authorization"))
        return NULL;
    return f.kind == FORM_SUBMIT || f.kind == FORM_CANCEL ? x : NULL;
}

static void authorize(struct session *s, const struct xml_node *x, const struct service *at)
{
    struct job *j = job_new(s->talk, at);
    struct buf *b = talk_scratch(s->talk);

    job_asker(j, s->jid.bare, s->jid.full, str_eq(s->jid.domain, s->talk->domain));
    xml_put_node(b, x, STR_NULL);
    if (job_payload(j, buf_str(b)) != OK) {
        job_free(j);
        return;
    }
    j->run = verb_authorize;
    job_change(j, s);
}

static void host_take(struct session *from, const struct stanza *st)
{
    struct service at = public_service(from->talk);
    const struct xml_node *x =
        st->kind == STANZA_MESSAGE && st->type != TYPE_ERROR ? authorization(st) : NULL;

    if (x && st->to.local.len == 0)
        authorize(from, x, &at);
    else if (st->kind == STANZA_IQ && st->to.local.len == 0 && st->to.resource.len == 0)
        host_iq(from, st, host_iqs);
    else if (st->kind != STANZA_PRESENCE)
        session_bounce(from, st, "cancel", "service-unavailable", NULL);
}

/* To one's own account: approvals of one's own nodes. */
static enum verdict message_leaves(struct session *s, struct message *m)
{
    const struct stanza *st = m->stanza;
    const struct xml_node *x;
    struct service at;

    if (!s || !s->person || (st->has_to && !str_eq(st->to.full, s->jid.bare)) || st->type == TYPE_ERROR ||
        !stanza_has(st, "x", NS_FORMS))
        return PASS;
    x = authorization(st);
    if (!x)
        return PASS;
    at = service_of(s->person);
    authorize(s, x, &at);
    return STOP;
}

const struct host pubsub_host = {
    .prefix = "pubsub",
    .category = "pubsub",
    .type = "service",
    .name = "Publish-Subscribe",
    .take = host_take,
};

/* Notifications of a node that wants them kept are normal messages. */
static const struct payload pubsub_payloads[] = {{"event", NS_PUBSUB_EVENT, PAYLOAD_KEPT}, {0}};

const struct feature xep0060_pubsub = {
    .spec = "XEP-0060 1.30.0",
    .title = "Publish-Subscribe",
    .host = &pubsub_host,
    .payloads = pubsub_payloads,
    .migrations = pubsub_migrations,
    .message_out = message_leaves,
};
