/* subscribe.c: subscribing (XEP-0060 §6.1, §6.2), and the owner's approval of it (§8.6). One subscription for each JID: no SubIDs, no options.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include "talk/pubsub/inner.h"
#include "crypto/digest.h"

static struct db_sql subscription_select = { "SELECT state FROM pubsub_subscription WHERE node = ?1 AND bare = ?2 AND jid = ?3" };
static struct db_sql subscription_write = { "INSERT INTO pubsub_subscription(node, bare, jid, state) VALUES (?1, ?2, ?3, ?4)"
                                            " ON CONFLICT(node, bare, jid) DO UPDATE SET state = excluded.state" };
static struct db_sql subscription_delete = { "DELETE FROM pubsub_subscription WHERE node = ?1 AND bare = ?2 AND jid = ?3" };
static struct db_sql subscriptions_of = { "SELECT count(*) FROM pubsub_subscription WHERE bare = ?1" };
static struct db_sql subscriptions_to = { "SELECT count(*) FROM pubsub_subscription WHERE node = ?1" };
static struct db_sql owners_list = { "SELECT jid FROM pubsub_affiliation WHERE node = ?1 AND affiliation = 5 ORDER BY jid" };

static const struct fault invalid_jid = { "bad-request", "invalid-jid", NULL, NULL };
static const struct fault no_subscribing = { "feature-not-implemented", "unsupported", "subscribe", NULL };
static const struct fault no_options = { "feature-not-implemented", "unsupported", "subscription-options", NULL };
static const struct fault too_many = { "policy-violation", "too-many-subscriptions", NULL, NULL };
static const struct fault pending = { "not-authorized", "pending-subscription", NULL, NULL };
static const struct fault not_subscribed = { "unexpected-request", "not-subscribed", NULL, NULL };

static const char *const state_names[] = { "none", "pending", "subscribed" };

const char *sub_state_name(enum sub_state s)
{
    return state_names[s];
}

/* ---- pieces ---- */

enum err pubsub_count(struct db_conn *c, struct db_sql *sql, int64_t node, struct str bare, int64_t *out)
{
    struct db_stmt *row = NULL;
    enum err        e = bare.p ? db_get(c, &row, sql, "s", bare) : db_get(c, &row, sql, "i", node);

    *out = e ? 0 : db_i64(row, 0);
    if (row)
        db_done(row);
    return e;
}

enum err subscription_state(struct db_conn *c, const struct node *n, const struct jid *who, enum sub_state *out)
{
    struct db_stmt *row = NULL;
    enum err        e = db_get(c, &row, &subscription_select, "iss", n->id, who->bare, who->full);

    *out = e ? SUBSTATE_NONE : (enum sub_state)db_i64(row, 0);
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

void subscription_put(struct buf *b, struct str node, struct str jid, enum sub_state s)
{
    BUF_LIT(b, "<subscription");
    if (node.len)
        xml_put_attr(b, "node", node);
    xml_put_attr(b, "jid", jid);
    xml_put_attr(b, "subscription", str_of(sub_state_name(s)));
    BUF_LIT(b, "/>");
}

/* A message of its own to one or several addresses. Takes the text out of `b`. */
struct note *note_named(struct job *j, const struct node *n, struct buf *b, struct str to)
{
    struct note *note = note_new(j, n);
    struct ids   ids = { 0 };

    note->contacts = note->own = false;
    note->event = arena_str(&j->work, buf_str(b));
    buf_done(b);
    if (to.len)
        ids_add(&j->work, &ids, to);
    note->to = ids.ids;
    note->count = ids.count;
    return note;
}

/* §8.8.4: the subscriber is told what has become of it. */
static void tell_state(struct job *j, const struct node *n, struct str jid, enum sub_state s)
{
    struct buf b;

    buf_init(&b, 0);
    subscription_put(&b, n->name, jid, s);
    note_named(j, n, &b, jid)->normal = true;
}

enum err subscriber_send_last(struct job *j, struct db_conn *c, const struct node *n, struct str jid)
{
    struct str   rest = jid, bare = str_split(&rest, '/');
    struct item  i;
    struct note *note;
    struct buf   b;
    enum err     e;

    if (n->config.send_last == LAST_NEVER || !n->config.notifications || !n->config.persist)
        return OK;
    e = item_last_for(j, c, n, bare, &i);
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    buf_init(&b, 0);
    items_event_put(&b, n->name, &i, n->config.payloads, shows_publisher(j, &i));
    note = note_named(j, n, &b, jid);
    note->us = i.us;
    return OK;
}

enum err node_owners(struct job *j, struct db_conn *c, const struct node *n, struct ids *out)
{
    struct db_stmt *row;
    enum err        e;

    if (j->service.pep) {
        ids_add(&j->work, out, j->service.bare);
        return OK;
    }
    row = db_prepare(c, &owners_list);
    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, n->id);
    while ((e = db_step(row)) == OK)
        ids_add(&j->work, out, db_text(row, 0));
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* §8.6: the owners are asked. */
static enum err ask_owners(struct job *j, struct db_conn *c, const struct node *n, struct str jid)
{
    struct ids   owners = { 0 };
    struct note *note;
    struct buf   b;
    enum err     e = node_owners(j, c, n, &owners);

    buf_init(&b, 0);
    BUF_LIT(&b, "<body>");
    xml_put_escaped(&b, jid);
    BUF_LIT(&b, " asks to subscribe to ");
    xml_put_escaped(&b, n->name);
    BUF_LIT(&b, "</body>");
    form_open(&b, FORM_EMPTY, NS_PUBSUB "#subscribe_authorization", NULL, NULL);
    form_put_field(&b, FORM_TEXT, "pubsub#node", "Node", n->name);
    form_put_field(&b, FORM_JID, "pubsub#subscriber_jid", "Who asks", jid);
    form_put_field(&b, FORM_BOOL, "pubsub#allow", "Allow it?", STR("0"));
    form_close(&b);
    note = note_named(j, n, &b, STR_NULL);
    note->raw = note->event;
    note->normal = true;
    note->to = owners.ids;
    note->count = owners.count;
    return e;
}

static enum err tell_owners(struct job *j, struct db_conn *c, const struct node *n, struct str jid, enum sub_state s)
{
    struct ids   owners = { 0 };
    struct note *note;
    struct buf   b;
    enum err     e = node_owners(j, c, n, &owners);

    buf_init(&b, 0);
    subscription_put(&b, n->name, jid, s);
    note = note_named(j, n, &b, STR_NULL);
    note->to = owners.ids;
    note->count = owners.count;
    return e;
}

/* ---- subscribe ---- */

/* Of a request that names a node: its `jid`, one's own, bare or full. */
static enum err own_jid(struct job *j, const struct fault *otherwise, struct jid *out)
{
    struct str text = xml_attr(j->verb, "jid");

    if (!name_fits(xml_attr(j->verb, "node")))
        return job_fail(j, &fault_nodeid_required);
    if (!text.p || jid_parse(&j->work, text, out) != OK)
        return job_fail(j, &invalid_jid);
    return str_eq(out->bare, j->asker.bare) ? OK : job_fail(j, otherwise);
}

static void answer_state(struct job *j, const struct node *n, struct str jid, enum sub_state s)
{
    BUF_LIT(&j->out, "<pubsub xmlns='" NS_PUBSUB "'>");
    subscription_put(&j->out, n->name, jid, s);
    BUF_LIT(&j->out, "</pubsub>");
}

static enum err judge_room(struct job *j, struct db_conn *c, const struct node *n, struct str bare)
{
    int64_t theirs, all;
    enum err e = pubsub_count(c, &subscriptions_of, 0, bare, &theirs);

    if (!e)
        e = pubsub_count(c, &subscriptions_to, n->id, STR_NULL, &all);
    return e || (theirs < PUBSUB_SUBSCRIPTIONS_MAX && all < PUBSUB_SUBSCRIBERS_MAX) ? e : job_fail(j, &too_many);
}

/* Whether one more is too many; and what it will be. */
static enum err judge_new(struct job *j, struct db_conn *c, const struct node *n, enum sub_state *s)
{
    const struct fault *why;
    enum err            e = access_to(j, c, n, &why);

    *s = SUBSTATE_SUBSCRIBED;
    if (why && n->config.access == ACCESS_AUTHORIZE && n->mine != AFFILIATION_OUTCAST) {
        why = NULL;
        *s = SUBSTATE_PENDING;
    }
    if (e || why)
        return e ? e : job_fail(j, why);
    return judge_room(j, c, n, j->asker.bare);
}

static enum err subscribe(struct job *j, struct db_conn *c, const struct node *n, const struct jid *who)
{
    enum sub_state s;
    enum err       e = judge_new(j, c, n, &s);

    if (!e && !j->fault)
        e = db_run(c, &subscription_write, "issi", n->id, who->bare, who->full, (int64_t)s);
    if (e || j->fault)
        return e;
    answer_state(j, n, who->full, s);
    if (s == SUBSTATE_PENDING)
        return ask_owners(j, c, n, who->full);
    e = subscriber_send_last(j, c, n, who->full);
    return e || !n->config.notify_sub ? e : tell_owners(j, c, n, who->full, s);
}

enum err verb_subscribe(struct job *j, struct db_conn *c)
{
    enum sub_state s;
    struct node    n;
    struct jid     who;
    enum err       e = own_jid(j, &invalid_jid, &who);

    if (e || j->fault)
        return e;
    if (xml_child(j->payload, "options", NS_PUBSUB))
        return job_fail(j, &no_options);
    e = node_find(j, c, xml_attr(j->verb, "node"), true, &n);
    if (e || j->fault)
        return e;
    if (!n.config.subscribe && !is_owner(&n))
        return job_fail(j, &no_subscribing);
    e = subscription_state(c, &n, &who, &s);
    if (e || s == SUBSTATE_NONE)
        return e ? e : subscribe(j, c, &n, &who);
    if (s == SUBSTATE_PENDING)
        return job_fail(j, &pending);
    answer_state(j, &n, who.full, s); /* §6.1.6: as if it were new */
    return OK;
}

enum err verb_unsubscribe(struct job *j, struct db_conn *c)
{
    enum sub_state s;
    struct node    n;
    struct jid     who;
    enum err       e = own_jid(j, &fault_forbidden, &who);

    if (e || j->fault)
        return e;
    e = node_find(j, c, xml_attr(j->verb, "node"), true, &n);
    if (e || j->fault)
        return e;
    e = subscription_state(c, &n, &who, &s);
    if (e || s == SUBSTATE_NONE)
        return e ? e : job_fail(j, &not_subscribed);
    return db_run(c, &subscription_delete, "iss", n.id, who.bare, who.full);
}

enum err verb_options(struct job *j, struct db_conn *c)
{
    (void)c;
    return job_fail(j, &no_options);
}

/* ---- an owner decides ---- */

enum err subscription_set(struct job *j, struct db_conn *c, const struct node *n, const struct jid *who, enum sub_state s)
{
    enum sub_state before;
    enum err       e = subscription_state(c, n, who, &before);

    if (e || before == s)
        return e;
    if (before == SUBSTATE_NONE)
        e = judge_room(j, c, n, who->bare);
    if (e || j->fault)
        return e ? e : job_undo(j, j->fault); /* others may have been written */
    e = s == SUBSTATE_NONE ? db_run(c, &subscription_delete, "iss", n->id, who->bare, who->full)
                           : db_run(c, &subscription_write, "issi", n->id, who->bare, who->full, (int64_t)s);
    if (e)
        return e;
    tell_state(j, n, who->full, s);
    return s == SUBSTATE_SUBSCRIBED ? subscriber_send_last(j, c, n, who->full) : OK;
}

/* The answer to ask_owners: a form, which is the payload here. */
enum err verb_authorize(struct job *j, struct db_conn *c)
{
    enum sub_state s;
    struct form    f;
    struct node    n;
    struct jid     who;
    bool           allow;
    enum err       e;

    if (form_read(&j->work, j->payload, &f) != OK || f.kind != FORM_SUBMIT || !form_read_bool(form_value(&f, "pubsub#allow"), &allow) ||
        jid_parse(&j->work, form_value(&f, "pubsub#subscriber_jid"), &who) != OK || !name_fits(form_value(&f, "pubsub#node")))
        return OK;
    e = node_read(j, c, form_value(&f, "pubsub#node"), true, &n);
    if (e || !is_owner(&n))
        return e == ERR_NOT_FOUND ? OK : e;
    e = subscription_state(c, &n, &who, &s);
    return e || s != SUBSTATE_PENDING ? e : subscription_set(j, c, &n, &who, allow ? SUBSTATE_SUBSCRIBED : SUBSTATE_NONE);
}
