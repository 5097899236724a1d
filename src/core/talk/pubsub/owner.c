/* owner.c: what an owner decides about others: their subscriptions (XEP-0060 §8.8) and their affiliations (§8.9).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include "talk/pubsub/inner.h"

static struct db_sql      subscriptions_list = { "SELECT jid, state FROM pubsub_subscription WHERE node = ?1 AND state >= 2 ORDER BY jid" };
static struct db_sql      drop_outcast = { "DELETE FROM pubsub_subscription WHERE node = ?1 AND bare = ?2" };
static struct db_sql      pending_of = { "SELECT jid FROM pubsub_subscription WHERE node = ?1 AND bare = ?2 AND state = 1" };
static struct db_sql      affiliations_list = { "SELECT jid, affiliation FROM pubsub_affiliation WHERE node = ?1 ORDER BY jid" };
static struct db_sql      affiliations_count = { "SELECT count(*) FROM pubsub_affiliation WHERE node = ?1" };
static const struct fault not_acceptable = { "not-acceptable", NULL, NULL, NULL };
static const struct fault malformed = { "jid-malformed", NULL, NULL, NULL };

static const char *const affiliation_names[] = { "none", "outcast", "member", "publish-only", "publisher", "owner" };

const char *pubsub_affiliation_name(enum affiliation a)
{
    return affiliation_names[a];
}

bool affiliation_named(struct str name, enum affiliation *out)
{
    for (int i = AFFILIATION_NONE; i <= AFFILIATION_OWNER; i++) {
        *out = (enum affiliation)i;
        if (str_is(name, affiliation_names[i]))
            return true;
    }
    return false;
}

/* ---- subscriptions ---- */

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
        subscription_put(&j->out, STR_NULL, db_text(row, 0), (enum sub_state)db_i64(row, 1));
    db_done(row);
    BUF_LIT(&j->out, "</subscriptions></pubsub>");
    return e == ERR_NOT_FOUND ? OK : e;
}

static bool state_named(struct str name, enum sub_state *out)
{
    for (int i = SUBSTATE_NONE; i <= SUBSTATE_SUBSCRIBED; i++) {
        *out = (enum sub_state)i;
        if (str_is(name, sub_state_name((enum sub_state)i)))
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
        e = subscription_state(c, n, &who, &now);
        if (e)
            return e;
        BUF_LIT(&j->fault_extra, "<pubsub xmlns='" NS_PUBSUB_OWNER "'><subscriptions");
        xml_put_attr(&j->fault_extra, "node", n->name);
        buf_put_c(&j->fault_extra, '>');
        subscription_put(&j->fault_extra, STR_NULL, who.full, now);
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
            e = subscription_set(j, c, &n, &who, s);
    }
    return e;
}

/* ---- affiliations ---- */

static void put_affiliation(struct buf *b, struct str jid, enum affiliation a)
{
    BUF_LIT(b, "<affiliation");
    xml_put_attr(b, "jid", jid);
    xml_put_attr(b, "affiliation", str_of(pubsub_affiliation_name(a)));
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

struct wanted {
    struct jid       who;
    enum affiliation now, then;
};

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
        e = affiliation_of(j, c, n, one->who.bare, &one->now);
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
    struct ids           owners = { 0 };
    const struct wanted *worst = NULL;
    int                  left;
    enum err             e = node_owners(j, c, n, &owners);

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
            e = subscription_set(j, c, n, &full, w->then == AFFILIATION_OUTCAST ? SUBSTATE_NONE : SUBSTATE_SUBSCRIBED);
    }
    return e || w->then != AFFILIATION_OUTCAST ? e : db_run(c, &drop_outcast, "is", n->id, w->who.bare);
}

static enum err set_affiliation(struct job *j, struct db_conn *c, const struct node *n, const struct wanted *w)
{
    enum err e;

    if (w->then == w->now)
        return OK;
    e = affiliation_write(c, n, w->who.bare, w->then);
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
    e = pubsub_count(c, &affiliations_count, n.id, STR_NULL, &there);
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
