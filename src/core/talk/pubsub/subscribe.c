/* subscribe.c: subscribing (XEP-0060 §6.1, §6.2), and what the owner decides about it: approvals (§8.6), subscriptions (§8.8),
 * affiliations (§8.9). One subscription for each JID: no SubIDs, no options.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include "talk/pubsub/inner.h"
#include "crypto/digest.h"

static struct db_sql subscription_select = { "SELECT state FROM pubsub_subscription WHERE node = ?1 AND bare = ?2 AND jid = ?3" };
static struct db_sql subscription_put = {
    "INSERT INTO pubsub_subscription(node, bare, jid, state) VALUES (?1, ?2, ?3, ?4)"
    " ON CONFLICT(node, bare, jid) DO UPDATE SET state = excluded.state" };
static struct db_sql subscription_delete = { "DELETE FROM pubsub_subscription WHERE node = ?1 AND bare = ?2 AND jid = ?3" };
static struct db_sql subscriptions_of = { "SELECT count(*) FROM pubsub_subscription WHERE bare = ?1" };
static struct db_sql subscriptions_to = { "SELECT count(*) FROM pubsub_subscription WHERE node = ?1" };
static struct db_sql subscriptions_list = {
    "SELECT jid, state FROM pubsub_subscription WHERE node = ?1 AND state >= 2 ORDER BY jid" };
static struct db_sql drop_outcast = { "DELETE FROM pubsub_subscription WHERE node = ?1 AND bare = ?2" };
static struct db_sql pending_of = { "SELECT jid FROM pubsub_subscription WHERE node = ?1 AND bare = ?2 AND state = 1" };
static struct db_sql affiliations_list = { "SELECT jid, affiliation FROM pubsub_affiliation WHERE node = ?1 ORDER BY jid" };
static struct db_sql affiliation_select = { "SELECT affiliation FROM pubsub_affiliation WHERE node = ?1 AND jid = ?2" };
static struct db_sql affiliation_put = {
    "INSERT INTO pubsub_affiliation(node, jid, affiliation) VALUES (?1, ?2, ?3)"
    " ON CONFLICT(node, jid) DO UPDATE SET affiliation = excluded.affiliation" };
static struct db_sql affiliation_delete = { "DELETE FROM pubsub_affiliation WHERE node = ?1 AND jid = ?2" };
static struct db_sql affiliations_count = { "SELECT count(*) FROM pubsub_affiliation WHERE node = ?1" };
static struct db_sql owners_list = { "SELECT jid FROM pubsub_affiliation WHERE node = ?1 AND affiliation = 5 ORDER BY jid" };

static const struct fault invalid_jid = { "bad-request", "invalid-jid", NULL, NULL };
static const struct fault no_subscribing = { "feature-not-implemented", "unsupported", "subscribe", NULL };
static const struct fault no_options = { "feature-not-implemented", "unsupported", "subscription-options", NULL };
static const struct fault too_many = { "policy-violation", "too-many-subscriptions", NULL, NULL };
static const struct fault pending = { "not-authorized", "pending-subscription", NULL, NULL };
static const struct fault not_subscribed = { "unexpected-request", "not-subscribed", NULL, NULL };
static const struct fault not_acceptable = { "not-acceptable", NULL, NULL, NULL };
static const struct fault malformed = { "jid-malformed", NULL, NULL, NULL };

static const char *const state_names[] = { "none", "pending", "subscribed" };
static const char *const affiliation_names[] = { "none", "outcast", "member", "publish-only", "publisher", "owner" };

const char *sub_state_name(enum sub_state s) { return state_names[s]; }
const char *affiliation_name(enum affiliation a) { return affiliation_names[a]; }

bool affiliation_named(struct str name, enum affiliation *out)
{
    for (int i = AFFILIATION_NONE; i <= AFFILIATION_OWNER; i++) {
        *out = (enum affiliation)i;
        if (str_is(name, affiliation_names[i]))
            return true;
    }
    return false;
}

/* ---- pieces ---- */

static enum err count(struct db_conn *c, struct db_sql *sql, int64_t node, struct str bare, int64_t *out)
{
    struct db_stmt *row = NULL;
    enum err        e = bare.p ? db_get(c, &row, sql, "s", bare) : db_get(c, &row, sql, "i", node);

    *out = e ? 0 : db_i64(row, 0);
    if (row)
        db_done(row);
    return e;
}

static enum err state_of(struct db_conn *c, const struct node *n, const struct jid *who, enum sub_state *out)
{
    struct db_stmt *row = NULL;
    enum err        e = db_get(c, &row, &subscription_select, "iss", n->id, who->bare, who->full);

    *out = e ? SUBSTATE_NONE : (enum sub_state)db_i64(row, 0);
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void put_subscription(struct buf *b, struct str node, struct str jid, enum sub_state s)
{
    BUF_LIT(b, "<subscription");
    if (node.len)
        xml_put_attr(b, "node", node);
    xml_put_attr(b, "jid", jid);
    xml_put_attr(b, "subscription", str_of(sub_state_name(s)));
    BUF_LIT(b, "/>");
}

/* A message of its own to one or several addresses. Takes the text out of `b`. */
static struct note *note_to(struct job *j, const struct node *n, struct buf *b, struct str to)
{
    struct note *note = note_new(j, n);
    struct ids   ids = { 0 };

    note->contacts = false;
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
    put_subscription(&b, n->name, jid, s);
    note_to(j, n, &b, jid)->normal = true;
}

static enum err send_last(struct job *j, struct db_conn *c, const struct node *n, struct str jid)
{
    struct item  i;
    struct note *note;
    struct buf   b;
    enum err     e;

    if (n->config.send_last == LAST_NEVER || !n->config.notifications || !n->config.persist)
        return OK;
    e = item_last(j, c, n, &i);
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    buf_init(&b, 0);
    BUF_LIT(&b, "<items");
    xml_put_attr(&b, "node", n->name);
    buf_put_c(&b, '>');
    item_put(&b, &i, n->config.payloads, shows_publisher(j, &i));
    BUF_LIT(&b, "</items>");
    note = note_to(j, n, &b, jid);
    note->us = i.us;
    return OK;
}

static enum err owners_of(struct job *j, struct db_conn *c, const struct node *n, struct ids *out)
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
    enum err     e = owners_of(j, c, n, &owners);

    buf_init(&b, 0);
    form_open(&b, "form", NS_PUBSUB "#subscribe_authorization");
    form_put(&b, "text-single", "pubsub#node", "Node", n->name);
    form_put(&b, "jid-single", "pubsub#subscriber_jid", "Who asks", jid);
    form_put(&b, "boolean", "pubsub#allow", "Allow it?", STR("0"));
    form_close(&b);
    note = note_to(j, n, &b, STR_NULL);
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
    enum err     e = owners_of(j, c, n, &owners);

    buf_init(&b, 0);
    put_subscription(&b, n->name, jid, s);
    note = note_to(j, n, &b, STR_NULL);
    note->to = owners.ids;
    note->count = owners.count;
    return e;
}

/* ---- subscribe ---- */

/* The `jid` of a request: one's own, bare or full. */
static enum err own_jid(struct job *j, const struct fault *otherwise, struct jid *out)
{
    struct str text = xml_attr(j->verb, "jid");

    if (!text.p || jid_parse(&j->work, text, out) != OK)
        return job_fail(j, &invalid_jid);
    return str_eq(out->bare, j->asker.bare) ? OK : job_fail(j, otherwise);
}

static void answer_state(struct job *j, const struct node *n, struct str jid, enum sub_state s)
{
    BUF_LIT(&j->out, "<pubsub xmlns='" NS_PUBSUB "'>");
    put_subscription(&j->out, n->name, jid, s);
    BUF_LIT(&j->out, "</pubsub>");
}

/* Whether one more is too many; and what it will be. */
static enum err judge_new(struct job *j, struct db_conn *c, const struct node *n, enum sub_state *s)
{
    const struct fault *why;
    int64_t             mine, all;
    enum err            e = access_to(j, c, n, &why);

    *s = SUBSTATE_SUBSCRIBED;
    if (why && n->config.access == ACCESS_AUTHORIZE && n->mine != AFFILIATION_OUTCAST) {
        why = NULL;
        *s = SUBSTATE_PENDING;
    }
    if (e || why)
        return e ? e : job_fail(j, why);
    e = count(c, &subscriptions_of, 0, j->asker.bare, &mine);
    if (!e)
        e = count(c, &subscriptions_to, n->id, STR_NULL, &all);
    return e || (mine < PUBSUB_SUBSCRIPTIONS_MAX && all < PUBSUB_SUBSCRIBERS_MAX) ? e : job_fail(j, &too_many);
}

static enum err subscribe(struct job *j, struct db_conn *c, const struct node *n, const struct jid *who)
{
    enum sub_state s;
    enum err       e = judge_new(j, c, n, &s);

    if (!e && !j->fault)
        e = db_run(c, &subscription_put, "issi", n->id, who->bare, who->full, (int64_t)s);
    if (e || j->fault)
        return e;
    answer_state(j, n, who->full, s);
    if (s == SUBSTATE_PENDING)
        return ask_owners(j, c, n, who->full);
    e = send_last(j, c, n, who->full);
    return e || !n->config.notify_sub ? e : tell_owners(j, c, n, who->full, s);
}

enum err verb_subscribe(struct job *j, struct db_conn *c)
{
    struct str     name = xml_attr(j->verb, "node");
    enum sub_state s;
    struct node    n;
    struct jid     who;
    enum err       e;

    if (!name_fits(name))
        return job_fail(j, &fault_nodeid_required);
    e = own_jid(j, &invalid_jid, &who);
    if (e || j->fault)
        return e;
    if (xml_child(j->payload, "options", NS_PUBSUB))
        return job_fail(j, &no_options);
    e = node_read(j, c, name, true, &n);
    if (e)
        return e == ERR_NOT_FOUND ? job_fail(j, &fault_not_found) : e;
    if (!n.config.subscribe && !is_owner(&n))
        return job_fail(j, &no_subscribing);
    e = state_of(c, &n, &who, &s);
    if (e || s == SUBSTATE_NONE)
        return e ? e : subscribe(j, c, &n, &who);
    if (s == SUBSTATE_PENDING)
        return job_fail(j, &pending);
    answer_state(j, &n, who.full, s);       /* §6.1.6: as if it were new */
    return OK;
}

enum err verb_unsubscribe(struct job *j, struct db_conn *c)
{
    struct str     name = xml_attr(j->verb, "node");
    enum sub_state s;
    struct node    n;
    struct jid     who;
    enum err       e;

    if (!name_fits(name))
        return job_fail(j, &fault_nodeid_required);
    e = own_jid(j, &fault_forbidden, &who);
    if (e || j->fault)
        return e;
    e = node_read(j, c, name, true, &n);
    if (e)
        return e == ERR_NOT_FOUND ? job_fail(j, &fault_not_found) : e;
    e = state_of(c, &n, &who, &s);
    if (e || s == SUBSTATE_NONE)
        return e ? e : job_fail(j, &not_subscribed);
    return db_run(c, &subscription_delete, "iss", n.id, who.bare, who.full);
}

enum err verb_options(struct job *j, struct db_conn *c)
{
    (void)c;
    return job_fail(j, &no_options);
}

/* ---- the owner: subscriptions ---- */

enum err verb_owner_subscriptions_get(struct job *j, struct db_conn *c)
{
    struct node     n;
    struct db_stmt *row;
    enum err        e = node_of_owner(j, c, false, &n);

    if (e || j->fault)
        return e;
    row = db_prepare(c, &subscriptions_list);
    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, n.id);
    BUF_LIT(&j->out, "<pubsub xmlns='" NS_PUBSUB_OWNER "'><subscriptions");
    xml_put_attr(&j->out, "node", n.name);
    buf_put_c(&j->out, '>');
    while ((e = db_step(row)) == OK)
        put_subscription(&j->out, STR_NULL, db_text(row, 0), (enum sub_state)db_i64(row, 1));
    db_done(row);
    BUF_LIT(&j->out, "</subscriptions></pubsub>");
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err set_state(struct job *j, struct db_conn *c, const struct node *n, const struct jid *who, enum sub_state s)
{
    enum sub_state before;
    enum err       e = state_of(c, n, who, &before);

    if (e || before == s)
        return e;
    e = s == SUBSTATE_NONE ? db_run(c, &subscription_delete, "iss", n->id, who->bare, who->full)
                           : db_run(c, &subscription_put, "issi", n->id, who->bare, who->full, (int64_t)s);
    if (e)
        return e;
    tell_state(j, n, who->full, s);
    return s == SUBSTATE_SUBSCRIBED ? send_last(j, c, n, who->full) : OK;
}

static bool state_named(struct str name, enum sub_state *out)
{
    for (int i = SUBSTATE_NONE; i <= SUBSTATE_SUBSCRIBED; i++) {
        *out = (enum sub_state)i;
        if (str_is(name, state_names[i]))
            return true;
    }
    return false;
}

/* What is wrong with one of the list makes all of it wrong; the answer shows it as it is. */
static enum err judge_states(struct job *j, struct db_conn *c, const struct node *n)
{
    for (const struct xml_node *x = xml_first(j->verb); x; x = xml_next(x)) {
        enum sub_state s, now;
        struct jid     who;
        enum err       e;

        if (!xml_is(x, "subscription", NS_PUBSUB_OWNER) || jid_parse(&j->work, xml_attr(x, "jid"), &who) != OK)
            return job_fail(j, &fault_bad_request);
        if (!xml_attr(x, "subscription").p || state_named(xml_attr(x, "subscription"), &s))
            continue;
        e = state_of(c, n, &who, &now);
        if (e)
            return e;
        BUF_LIT(&j->fault_extra, "<pubsub xmlns='" NS_PUBSUB_OWNER "'><subscriptions");
        xml_put_attr(&j->fault_extra, "node", n->name);
        buf_put_c(&j->fault_extra, '>');
        put_subscription(&j->fault_extra, STR_NULL, who.full, now);
        BUF_LIT(&j->fault_extra, "</subscriptions></pubsub>");
        return job_fail(j, &not_acceptable);
    }
    return OK;
}

enum err verb_owner_subscriptions_set(struct job *j, struct db_conn *c)
{
    struct node n;
    enum err    e = node_of_owner(j, c, true, &n);

    if (!e && !j->fault)
        e = judge_states(j, c, &n);
    for (const struct xml_node *x = e || j->fault ? NULL : xml_first(j->verb); x && !e; x = xml_next(x)) {
        enum sub_state s;
        struct jid     who;

        if (state_named(xml_attr(x, "subscription"), &s) && jid_parse(&j->work, xml_attr(x, "jid"), &who) == OK)
            e = set_state(j, c, &n, &who, s);
    }
    return e;
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

    if (form_read(&j->work, j->payload, &f) != OK || !f.submit || !form_bool(form_value(&f, "pubsub#allow"), &allow) ||
        jid_parse(&j->work, form_value(&f, "pubsub#subscriber_jid"), &who) != OK || !name_fits(form_value(&f, "pubsub#node")))
        return OK;
    e = node_read(j, c, form_value(&f, "pubsub#node"), true, &n);
    if (e || !is_owner(&n))
        return e == ERR_NOT_FOUND ? OK : e;
    e = state_of(c, &n, &who, &s);
    return e || s != SUBSTATE_PENDING ? e : set_state(j, c, &n, &who, allow ? SUBSTATE_SUBSCRIBED : SUBSTATE_NONE);
}

/* ---- the owner: affiliations ---- */

static void put_affiliation(struct buf *b, struct str jid, enum affiliation a)
{
    BUF_LIT(b, "<affiliation");
    xml_put_attr(b, "jid", jid);
    xml_put_attr(b, "affiliation", str_of(affiliation_name(a)));
    BUF_LIT(b, "/>");
}

static void put_affiliations_open(struct buf *b, struct str node)
{
    BUF_LIT(b, "<pubsub xmlns='" NS_PUBSUB_OWNER "'><affiliations");
    xml_put_attr(b, "node", node);
    buf_put_c(b, '>');
}

enum err verb_owner_affiliations_get(struct job *j, struct db_conn *c)
{
    struct node     n;
    struct db_stmt *row;
    enum err        e = node_of_owner(j, c, false, &n);

    if (e || j->fault)
        return e;
    row = db_prepare(c, &affiliations_list);
    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, n.id);
    put_affiliations_open(&j->out, n.name);
    if (j->service.pep)
        put_affiliation(&j->out, j->service.bare, AFFILIATION_OWNER);
    while ((e = db_step(row)) == OK)
        put_affiliation(&j->out, db_text(row, 0), (enum affiliation)db_i64(row, 1));
    db_done(row);
    BUF_LIT(&j->out, "</affiliations></pubsub>");
    return e == ERR_NOT_FOUND ? OK : e;
}

struct wanted { struct jid who; enum affiliation now, then; };

static enum err affiliation_now(struct job *j, struct db_conn *c, const struct node *n, struct str bare, enum affiliation *out)
{
    struct db_stmt *row = NULL;
    enum err        e = db_get(c, &row, &affiliation_select, "is", n->id, bare);

    *out = e ? AFFILIATION_NONE : (enum affiliation)db_i64(row, 0);
    if (j->service.pep && str_eq(bare, j->service.bare))
        *out = AFFILIATION_OWNER;
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err read_wanted(struct job *j, struct db_conn *c, const struct node *n, struct wanted *w, int *n_wanted)
{
    *n_wanted = 0;
    for (const struct xml_node *x = xml_first(j->verb); x; x = xml_next(x)) {
        struct wanted *one = &w[*n_wanted];
        struct str     name = xml_attr(x, "affiliation");
        enum err       e;

        if (!xml_is(x, "affiliation", NS_PUBSUB_OWNER) || !xml_attr(x, "jid").p)
            return job_fail(j, &fault_bad_request);
        if (jid_parse(&j->work, xml_attr(x, "jid"), &one->who) != OK)
            return job_fail(j, &malformed);
        for (int i = 0; i < *n_wanted; i++)
            if (str_eq(w[i].who.bare, one->who.bare))
                return job_fail(j, &fault_bad_request);
        e = affiliation_now(j, c, n, one->who.bare, &one->now);
        if (e)
            return e;
        one->then = one->now;
        if (name.p && !affiliation_named(name, &one->then))
            return job_fail(j, &fault_bad_request);
        ++*n_wanted;
    }
    return OK;
}

/* §8.9.2.4: a node has an owner. An account's node has that one, always, and no other. */
static enum err keeps_an_owner(struct job *j, struct db_conn *c, const struct node *n, const struct wanted *w, int count_wanted)
{
    struct ids          owners = { 0 };
    const struct wanted *worst = NULL;
    int                 left;
    enum err            e = owners_of(j, c, n, &owners);

    left = owners.count;
    for (int i = 0; i < count_wanted; i++) {
        left += (w[i].then == AFFILIATION_OWNER) - (w[i].now == AFFILIATION_OWNER);
        if (w[i].then != w[i].now && (w[i].now == AFFILIATION_OWNER || (j->service.pep && w[i].then == AFFILIATION_OWNER)))
            worst = &w[i];
    }
    if (e || !worst || (left > 0 && !j->service.pep))
        return e;
    put_affiliations_open(&j->fault_extra, n->name);
    put_affiliation(&j->fault_extra, worst->who.bare, worst->now);
    BUF_LIT(&j->fault_extra, "</affiliations></pubsub>");
    return job_fail(j, &not_acceptable);
}

/* §8.6: what a new affiliation makes of a pending request. */
static enum err settle_pending(struct job *j, struct db_conn *c, const struct node *n, const struct wanted *w)
{
    struct db_stmt *row = db_prepare(c, &pending_of);
    struct ids      who = { 0 };
    enum err        e;

    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, n->id);
    db_bind_str(row, 2, w->who.bare);
    while ((e = db_step(row)) == OK)
        ids_add(&j->work, &who, db_text(row, 0));
    db_done(row);
    e = e == ERR_NOT_FOUND ? OK : e;
    for (int i = 0; i < who.count && !e; i++) {
        struct jid full;

        if (jid_parse(&j->work, who.ids[i], &full) == OK)
            e = set_state(j, c, n, &full, w->then == AFFILIATION_OUTCAST ? SUBSTATE_NONE : SUBSTATE_SUBSCRIBED);
    }
    return e || w->then != AFFILIATION_OUTCAST ? e : db_run(c, &drop_outcast, "is", n->id, w->who.bare);
}

static enum err set_affiliation(struct job *j, struct db_conn *c, const struct node *n, const struct wanted *w)
{
    enum err e;

    if (w->then == w->now)
        return OK;
    e = w->then == AFFILIATION_NONE ? db_run(c, &affiliation_delete, "is", n->id, w->who.bare)
                                    : db_run(c, &affiliation_put, "isi", n->id, w->who.bare, (int64_t)w->then);
    return e || w->then == AFFILIATION_NONE ? e : settle_pending(j, c, n, w);
}

enum err verb_owner_affiliations_set(struct job *j, struct db_conn *c)
{
    struct wanted *w;
    struct node    n;
    int64_t        there;
    int            wanted = 0;
    enum err       e = node_of_owner(j, c, true, &n);

    if (e || j->fault)
        return e;
    for (const struct xml_node *x = xml_first(j->verb); x; x = xml_next(x))
        wanted++;
    e = count(c, &affiliations_count, n.id, STR_NULL, &there);
    if (e || there + wanted > PUBSUB_AFFILIATIONS_MAX)
        return e ? e : job_fail(j, &fault_limit);
    w = arena_alloc(&j->work, sizeof *w * (size_t)(wanted + 1));
    e = read_wanted(j, c, &n, w, &wanted);
    if (!e && !j->fault)
        e = keeps_an_owner(j, c, &n, w, wanted);
    for (int i = 0; i < wanted && !e && !j->fault; i++)
        e = set_affiliation(j, c, &n, &w[i]);
    return e;
}
