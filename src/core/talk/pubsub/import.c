/* import.c: the nodes of an account from its export, here or from another server (XEP-0227 §3.9): configuration, affiliations,
 * subscriptions and items. What is there already stays as it is.
 *
 * It fails closed: a node whose items come before its configuration, or without one, is the owner's alone until it comes.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "talk/import.h"
#include "talk/pubsub/inner.h"

static struct db_sql subscription_add = {
    "INSERT INTO pubsub_subscription(node, bare, jid, state) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING" };
static struct db_sql affiliation_add = {
    "INSERT INTO pubsub_affiliation(node, jid, affiliation) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING" };

/* A request of the owner, for store.c. */
static struct job *job_of(struct import *x)
{
    struct job *j = ARENA_NEW(&x->arena, struct job);

    j->talk = x->talk;
    j->service = (struct service){ .owner = x->owner, .pep = true, .bare = x->jid.bare };
    j->asker = (struct asker){ .bare = x->jid.bare, .full = x->jid.bare, .self = true, .local = true };
    arena_init(&j->work);
    return j;
}

static enum err done(struct import *x, struct job *j, enum err e)
{
    if (!e && j->fault) {
        x->why = arena_printf(&x->arena, "%s", j->fault->text ? j->fault->text : j->fault->condition);
        e = ERR_INVALID;
    }
    arena_done(&j->work);
    return e;
}

static enum err refuse(struct import *x, const char *why)
{
    x->why = str_of(why);
    return ERR_INVALID;
}

/* OK: not done by an earlier run of the import. ERR_EXISTS: it was. */
static enum err once(struct import *x, const char *what, struct str node)
{
    return import_once(x, arena_printf(&x->arena, "node %s %.*s", what, STR_ARG(node)));
}

/* ---- configuration ---- */

/* Of other servers' forms: fields without a value say nothing. */
static void drop_empty(struct form *f)
{
    int kept = 0;

    for (int i = 0; i < f->count; i++)
        if (f->fields[i].value_count && (f->fields[i].value_count > 1 || f->fields[i].values[0].len))
            f->fields[kept++] = f->fields[i];
    f->count = kept;
}

static enum err configure(struct import *x, struct job *j, struct node *n, bool there, const struct form *f)
{
    const struct fault *why;

    config_defaults(&n->config, true, n->name);
    if (!config_take(&n->config, f, true, false, &why))
        return refuse(x, "its configuration has a value that is not known here");
    return there ? node_write_config(j, x->conn, n) : node_insert(j, x->conn, n->name, &n->config, n);
}

static enum err configure_take(struct import *x)
{
    struct str              name = xml_attr(x->event->node, "node");
    const struct xml_node  *form = form_find(x->event->node, NULL);
    struct job             *j = job_of(x);
    struct form             f = { 0 };
    struct node             n;
    enum err                e, made;

    if (!name_fits(name) || (form && form_read(&x->arena, form, &f) != OK))
        return done(x, j, refuse(x, "it is no configuration of a node"));
    drop_empty(&f);
    e = node_read(j, x->conn, name, true, &n);
    if (e && e != ERR_NOT_FOUND)
        return done(x, j, e);
    /* A node that is there was made by its owner, or by its items a moment ago. */
    made = e ? OK : once(x, "made", name);
    if (!e && made == OK)
        return done(x, j, ERR_EXISTS);
    if (made && made != ERR_EXISTS)
        return done(x, j, made);
    made = once(x, "configured", name);
    return done(x, j, made ? made : configure(x, j, &n, e == OK, &f));
}

/* ---- who is what to it ---- */

typedef enum err entry_fn(struct import *x, const struct node *n, const struct jid *who, const struct xml_node *entry);

static enum err affiliation_entry(struct import *x, const struct node *n, const struct jid *who, const struct xml_node *entry)
{
    enum affiliation a;

    if (!affiliation_named(xml_attr(entry, "affiliation"), &a) || a == AFFILIATION_NONE)
        return OK;
    return db_run(x->conn, &affiliation_add, "isi", n->id, who->bare, (int64_t)a);
}

static enum err subscription_entry(struct import *x, const struct node *n, const struct jid *who, const struct xml_node *entry)
{
    struct str state = xml_attr(entry, "subscription");

    if (!str_is(state, "subscribed") && !str_is(state, "pending"))
        return OK;
    return db_run(x->conn, &subscription_add, "issi", n->id, who->bare, who->full,
                  (int64_t)(str_is(state, "pending") ? SUBSTATE_PENDING : SUBSTATE_SUBSCRIBED));
}

/* The entries of a node, which the import has made. */
static enum err entries_take(struct import *x, entry_fn *take)
{
    struct job *j = job_of(x);
    struct node n;
    struct jid  who;
    int64_t     fresh = 0;
    enum err    e = node_read(j, x->conn, xml_attr(x->event->node, "node"), true, &n);

    if (e == ERR_NOT_FOUND)
        return done(x, j, refuse(x, "it is of a node whose configuration is missing"));
    for (const struct xml_node *m = xml_first(x->event->node); m && !e; m = xml_next(m)) {
        if (jid_parse(&x->arena, xml_attr(m, "jid"), &who) != OK)
            continue;
        e = take(x, &n, &who, m);
        fresh += e ? 0 : db_changes(x->conn);
    }
    return done(x, j, e ? e : fresh ? OK : ERR_EXISTS);
}

static enum err affiliations_take(struct import *x)
{
    return entries_take(x, affiliation_entry);
}

static enum err subscriptions_take(struct import *x)
{
    return entries_take(x, subscription_entry);
}

/* ---- items ---- */

static enum err node_for(struct import *x, struct job *j, struct str name, struct node *n)
{
    struct node_config config;
    enum err           e = node_read(j, x->conn, name, true, n);

    if (e != ERR_NOT_FOUND)
        return e;
    config_defaults(&config, true, name);
    config.access = ACCESS_WHITELIST;
    config.max_items = PUBSUB_ITEMS_MAX;
    e = once(x, "made", name);
    if (e && e != ERR_EXISTS)
        return e;
    return node_insert(j, x->conn, name, &config, n);
}

static struct str payload_of(struct import *x)
{
    const struct xml_node *n = xml_first(x->event->node);
    struct buf             b;
    struct str             text;

    if (!n)
        return STR("");
    buf_init(&b, 0);
    xml_put_node(&b, n, STR_NULL);
    text = arena_str(&x->arena, buf_str(&b));
    buf_done(&b);
    return text;
}

static enum err item_take(struct import *x)
{
    struct job *j = job_of(x);
    struct str  name = xml_attr(x->event->inside, "node"), publisher = xml_attr(x->event->node, "publisher");
    struct item i = { .us = clock_us(), .id = xml_attr(x->event->node, "id"), .publisher = x->jid.bare }, there;
    struct node n;
    enum err    e;

    if (!name_fits(name) || !name_fits(i.id))
        return done(x, j, refuse(x, "it has no node or no id"));
    if (publisher.len && publisher.len <= JID_BYTES_MAX)
        i.publisher = publisher;
    i.xml = payload_of(x);
    e = node_for(x, j, name, &n);
    if (e || j->fault)
        return done(x, j, e);
    e = item_get(j, x->conn, &n, i.id, &there);
    if (e != ERR_NOT_FOUND)
        return done(x, j, e ? e : ERR_EXISTS);
    e = import_once(x, arena_printf(&x->arena, "item %.*s %.*s %.*s", STR_ARG(name), STR_ARG(i.id), STR_ARG(i.xml)));
    return done(x, j, e ? e : item_store(j, x->conn, &n, &i, NULL));
}

const struct import_handler pubsub_imports[] = {
    { "configure", NS_PUBSUB_OWNER, "pubsub", NS_PUBSUB_OWNER, "nodes", configure_take },
    { "affiliations", NS_PUBSUB_OWNER, "pubsub", NS_PUBSUB_OWNER, "affiliations of nodes", affiliations_take },
    { "subscriptions", NS_PUBSUB_OWNER, "pubsub", NS_PUBSUB_OWNER, "subscriptions to nodes", subscriptions_take },
    { "item", NS_PUBSUB, "items", NS_PUBSUB, "items of nodes", item_take },
    { 0 },
};
