/* publish.c: an item comes (XEP-0060 §7.1), an item goes (§7.2).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include "talk/pubsub/inner.h"
#include "base/clock.h"
#include "crypto/digest.h"
#include "talk/xep/xep0402_bookmarks.h"

static const struct fault precondition = { "conflict", "precondition-not-met", NULL, NULL };
static const struct fault bad_options = { "bad-request", NULL, NULL, "publish-options need a form of their type" };
static const struct fault payload_required = { "bad-request", "payload-required", NULL, NULL };
static const struct fault item_forbidden = { "bad-request", "item-forbidden", NULL, NULL };
static const struct fault invalid_payload = { "bad-request", "invalid-payload", NULL, NULL };
static const struct fault node_full = { "conflict", "node-full", NULL, NULL };
static const struct fault no_persistence = { "feature-not-implemented", "unsupported", "persistent-items", NULL };
static const struct fault bad_notify = { "bad-request", NULL, NULL, "notify is true or false" };

/* ---- the node ---- */

/* False: there are options, and they are not what they should be. `f->type.p` NULL: there are none. */
static bool read_options(struct job *j, struct form *f)
{
    const struct xml_node *options = xml_child(j->payload, "publish-options", NS_PUBSUB), *x;

    *f = (struct form){ 0 };
    if (!options)
        return true;
    x = xml_child(options, "x", NS_FORMS);
    return x && form_read(&j->work, x, f) == OK && str_is(f->type, NS_PUBSUB "#publish-options");
}

/* §7.1.4: an account's nodes come into being when it publishes. It is made when the item has been judged
 * (`id` is 0 until then). */
static enum err plan_new(struct job *j, struct str name, const struct form *options, struct node *n)
{
    const struct fault *why;

    if (!j->service.pep || !j->asker.self)
        return job_fail(j, &fault_not_found);
    *n = (struct node){ .name = name, .mine = AFFILIATION_OWNER };
    config_defaults(&n->config, true, name);
    return config_take(&n->config, options, true, true, &why) ? OK : job_fail(j, why);
}

static enum err judge_node(struct job *j, const struct form *options, const struct node *n)
{
    if (!may_publish(n))
        return job_fail(j, &fault_forbidden);
    return config_meets(&n->config, options) ? OK : job_fail(j, &precondition);
}

static enum err node_for(struct job *j, struct db_conn *c, struct node *n, struct form *options)
{
    struct str name = xml_attr(j->verb, "node");
    enum err   e;

    if (!name_fits(name))
        return job_fail(j, &fault_nodeid_required);
    if (!read_options(j, options))
        return job_fail(j, &bad_options);
    e = node_read(j, c, name, true, n);
    if (e == ERR_NOT_FOUND)
        return plan_new(j, name, options, n);
    return e ? e : judge_node(j, options, n);
}

static enum err make_planned(struct job *j, struct db_conn *c, struct node *n, const struct form *options)
{
    struct node_config config = n->config;
    enum err           e;

    if (n->id)
        return OK;
    e = node_insert(j, c, n->name, &config, n);
    if (e || j->fault != &fault_conflict)
        return e;
    j->fault = NULL; /* another device was quicker: then it is there */
    e = node_read(j, c, n->name, true, n);
    return e ? e : judge_node(j, options, n);
}

/* ---- the item ---- */

static const struct fault *judge_payload(const struct node *n, const struct xml_node *item, const struct xml_node **payload)
{
    const struct node_config *k = &n->config;

    *payload = xml_first(item);
    if (!k->persist && !k->payloads)
        return &item_forbidden;
    if (!*payload)
        return k->payloads ? &payload_required : NULL;
    if (xml_next(*payload) || (k->type.len && !str_eq(k->type, (*payload)->ns)))
        return &invalid_payload;
    return NULL;
}

/* NULL: fine. `i->id.p` NULL: nothing is published but the news that something was. */
static const struct fault *read_item(struct job *j, const struct node *n, struct item *i)
{
    const struct xml_node *item = xml_child(j->verb, "item", NS_PUBSUB), *payload;
    const struct fault    *why;
    struct buf             b;
    char                   token[17];

    *i = (struct item){ .us = clock_us(), .publisher = j->asker.bare };
    if (!item)
        return n->config.persist ? &fault_item_required : n->config.payloads ? &payload_required : NULL;
    if (xml_next(item))
        return &fault_bad_request;
    why = judge_payload(n, item, &payload);
    if (why)
        return why;
    random_token(token, 16);
    i->id = xml_attr(item, "id").len ? xml_attr(item, "id") : arena_str(&j->work, str_of(token));
    if (!name_fits(i->id))
        return &fault_bad_request;
    buf_init(&b, 0);
    if (payload)
        xml_put_node(&b, payload, STR_NULL);
    i->xml = arena_str(&j->work, buf_str(&b));
    buf_done(&b);
    return n->config.payload_bytes_max && i->xml.len > (size_t)n->config.payload_bytes_max ? &fault_too_big : NULL;
}

/* ---- the news ---- */

static void put_items_open(struct buf *b, struct str node)
{
    BUF_LIT(b, "<items");
    xml_put_attr(b, "node", node);
    buf_put_c(b, '>');
}

void items_event_put(struct buf *b, struct str node, const struct item *i, bool payload, bool publisher)
{
    put_items_open(b, node);
    if (i)
        item_put(b, i, payload, publisher);
    BUF_LIT(b, "</items>");
}

static struct str taken(struct job *j, struct buf *b)
{
    struct str s = arena_str(&j->work, buf_str(b));

    buf_done(b);
    return s;
}

enum err node_tell(struct job *j, struct db_conn *c, const struct node *n, struct str event, bool pending_too)
{
    struct note *note;
    struct ids   to;
    enum err     e = subscribers_read(j, c, n, pending_too, &to);

    if (e)
        return e;
    note = note_new(j, n);
    note->event = event;
    note->to = to.ids;
    note->count = to.count;
    return shows_profile(&j->service, n->name) ? profile_except(j, c, note) : OK;
}

static enum err tell_published(struct job *j, struct db_conn *c, const struct node *n, const struct item *i)
{
    struct buf b;

    if (!n->config.notifications)
        return OK;
    buf_init(&b, 0);
    items_event_put(&b, n->name, i->id.p ? i : NULL, n->config.payloads, shows_publisher(j, i));
    return node_tell(j, c, n, taken(j, &b), false);
}

static enum err tell_removed(struct job *j, struct db_conn *c, const struct node *n, const struct ids *ids)
{
    struct buf b;

    if (ids->count == 0)
        return OK;
    buf_init(&b, 0);
    put_items_open(&b, n->name);
    for (int k = 0; k < ids->count; k++) {
        BUF_LIT(&b, "<retract");
        xml_put_attr(&b, "id", ids->ids[k]);
        BUF_LIT(&b, "/>");
    }
    BUF_LIT(&b, "</items>");
    return node_tell(j, c, n, taken(j, &b), false);
}

/* ---- publishing ---- */

static enum err has_room(struct job *j, struct db_conn *c, const struct node *n, const struct item *i)
{
    struct item there;
    enum err    e;

    if (n->config.when_full != FULL_REJECT || n->items < n->config.max_items)
        return OK;
    e = item_get(j, c, n, i->id, &there);
    return e == ERR_NOT_FOUND ? job_fail(j, &node_full) : e;
}

static enum err publish(struct job *j, struct db_conn *c, struct node *n, const struct item *i)
{
    struct ids removed = { 0 };
    enum err   e = OK;

    if (n->config.persist) {
        e = has_room(j, c, n, i);
        if (!e && !j->fault)
            e = item_store(j, c, n, i, &removed);
    }
    if (e || j->fault)
        return e;
    e = tell_published(j, c, n, i);
    /* where one item takes the place of another, the new one is news enough */
    if (!e && n->config.notify_retract && n->config.when_full == FULL_RETRACT_OLDEST && n->config.max_items > 1)
        e = tell_removed(j, c, n, &removed);
    return e;
}

static bool is_bookmarks(const struct job *j, const struct node *n)
{
    return j->service.pep && str_is(n->name, NODE_BOOKMARKS);
}

enum err verb_publish(struct job *j, struct db_conn *c)
{
    struct form         options;
    struct node         n;
    struct item         i;
    const struct fault *why;
    enum err            e;

    if (j->service.pep && str_is(xml_attr(j->verb, "node"), NS_STORAGE))
        return bookmarks_node_publish(j, c);
    e = node_for(j, c, &n, &options);
    if (e || j->fault)
        return e;
    why = read_item(j, &n, &i);
    if (why)
        return job_fail(j, why);
    e = make_planned(j, c, &n, &options);
    if (!e && !j->fault)
        e = publish(j, c, &n, &i);
    if (e || j->fault)
        return e ? e : job_undo(j, j->fault); /* the node may be new */
    BUF_LIT(&j->out, "<pubsub xmlns='" NS_PUBSUB "'><publish");
    xml_put_attr(&j->out, "node", n.name);
    buf_put_c(&j->out, '>');
    if (i.id.p)
        item_put(&j->out, &i, false, false);
    BUF_LIT(&j->out, "</publish></pubsub>");
    return is_bookmarks(j, &n) ? bookmarks_tell(j, c) : OK;
}

enum err publish_own(struct job *j, struct db_conn *c, struct str node, struct str id, struct str payload, enum access access)
{
    struct item i = { .us = clock_us(), .id = id, .publisher = j->asker.bare, .xml = payload };
    struct form none = { 0 };
    struct node n;
    enum err    e = node_read(j, c, node, true, &n);

    if (e == ERR_NOT_FOUND) {
        e = plan_new(j, node, &none, &n);
        n.config.access = access;
        if (!e && !j->fault)
            e = make_planned(j, c, &n, &none);
    }
    return e || j->fault ? e : publish(j, c, &n, &i);
}

/* ---- retracting ---- */

static enum err may_retract(struct job *j, struct db_conn *c, const struct node *n, struct str id)
{
    struct item i;
    enum err    e = item_get(j, c, n, id, &i);

    if (e == ERR_NOT_FOUND) /* what is there and what is not is said to those who publish there */
        return job_fail(j, may_publish(n) ? &fault_not_found : &fault_forbidden);
    if (e)
        return e;
    return is_owner(n) || str_eq(i.publisher, j->asker.bare) ? OK : job_fail(j, &fault_forbidden);
}

enum err retract_own(struct job *j, struct db_conn *c, struct node *n, struct str id, bool notify)
{
    struct ids gone = { 0 };
    enum err   e = item_remove(j, c, n, id);

    if (e || !notify)
        return e;
    ids_add(&j->work, &gone, id);
    return tell_removed(j, c, n, &gone);
}

enum err verb_retract(struct job *j, struct db_conn *c)
{
    struct str             name = xml_attr(j->verb, "node"), notify = xml_attr(j->verb, "notify");
    const struct xml_node *item = xml_child(j->verb, "item", NS_PUBSUB);
    bool                   told = false;
    struct node            n;
    enum err               e;

    if (!name_fits(name))
        return job_fail(j, &fault_nodeid_required);
    if (!item || xml_attr(item, "id").len == 0)
        return job_fail(j, &fault_item_required);
    if (notify.p && !form_read_bool(notify, &told))
        return job_fail(j, &bad_notify);
    e = node_find(j, c, name, true, &n);
    if (e || j->fault)
        return e;
    if (n.mine == AFFILIATION_OUTCAST)
        return job_fail(j, &fault_forbidden);
    if (!n.config.persist)
        return job_fail(j, &no_persistence);
    e = may_retract(j, c, &n, xml_attr(item, "id"));
    if (e || j->fault)
        return e;
    /* a publisher who does not ask for it is overruled by an owner who does */
    e = retract_own(j, c, &n, xml_attr(item, "id"), told || n.config.notify_retract);
    return e || !is_bookmarks(j, &n) ? e : bookmarks_tell(j, c);
}
