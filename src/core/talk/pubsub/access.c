/* access.c: who may read, subscribe and publish (XEP-0060 §4.1, §4.5). Whether somebody sees an account's presence is asked of
 * the table in the same transaction, not of memory, so it is true whichever messenger is asked.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include "talk/pubsub/inner.h"

static const struct fault outcast = { "forbidden", NULL, NULL, NULL };
static const struct fault needs_presence = { "not-authorized", "presence-subscription-required", NULL, NULL };
static const struct fault needs_group = { "not-authorized", "not-in-roster-group", NULL, NULL };
static const struct fault needs_whitelist = { "not-allowed", "closed-node", NULL, NULL };
static const struct fault needs_subscription = { "not-authorized", "not-subscribed", NULL, NULL };

static struct db_sql contact_select = { "SELECT item_groups FROM roster WHERE owner = ?1 AND jid = ?2 AND (subscription & 2) <> 0" };

bool is_owner(const struct node *n)
{
    return n->mine == AFFILIATION_OWNER;
}

bool groups_meet(struct str have, int count, const struct str *want)
{
    for (int i = 0; i < count; i++) {
        struct buf b;
        bool       found;

        buf_init(&b, 0);
        BUF_LIT(&b, "<group>");
        xml_put_escaped(&b, want[i]);
        BUF_LIT(&b, "</group>");
        found = have.len && memmem(have.p, have.len, b.p, b.len);
        buf_done(&b);
        if (found)
            return true;
    }
    return false;
}

static enum err by_contact(struct job *j, struct db_conn *c, const struct node *n, const struct fault **why)
{
    struct db_stmt *row = NULL;
    enum err        e;

    *why = &needs_presence;
    if (!j->service.pep)
        return OK;
    e = db_get(c, &row, &contact_select, "is", j->service.owner, j->asker.bare);
    if (!e)
        *why = n->config.access == ACCESS_ROSTER && !groups_meet(db_text(row, 0), n->config.group_count, n->config.groups) ? &needs_group
                                                                                                                           : NULL;
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err access_to(struct job *j, struct db_conn *c, const struct node *n, const struct fault **why)
{
    *why = NULL;
    if (n->mine == AFFILIATION_OUTCAST) {
        *why = &outcast;
        return OK;
    }
    if (n->mine == AFFILIATION_OWNER || n->mine == AFFILIATION_PUBLISHER || n->mine == AFFILIATION_MEMBER)
        return OK;
    switch (n->config.access) {
    case ACCESS_OPEN:
        return OK;
    case ACCESS_PRESENCE:
    case ACCESS_ROSTER:
        return by_contact(j, c, n, why);
    case ACCESS_AUTHORIZE:
        if (n->subscribed != SUBSTATE_SUBSCRIBED)
            *why = &needs_subscription;
        return OK;
    default:
        *why = &needs_whitelist;
        return OK;
    }
}

enum err item_last_seen(struct job *j, struct db_conn *c, struct str node, struct node *n, struct item *out)
{
    const struct fault *why;
    enum err            e = node_read(j, c, node, false, n);

    if (!e)
        e = access_to(j, c, n, &why);
    if (e)
        return e;
    return why ? ERR_NOT_FOUND : item_last(j, c, n, out);
}

bool may_publish(const struct node *n)
{
    switch (n->mine) {
    case AFFILIATION_OWNER:
    case AFFILIATION_PUBLISHER:
    case AFFILIATION_PUBLISH_ONLY:
        return true;
    case AFFILIATION_OUTCAST:
        return false;
    default:
        return n->config.publish_model == PUBLISH_OPEN ||
               (n->config.publish_model == PUBLISH_SUBSCRIBERS && n->subscribed == SUBSTATE_SUBSCRIBED);
    }
}
