/* XEP-0163 Personal Eventing Protocol 1.2.2: each account is a pubsub service (pubsub/pubsub.h) whose nodes come into being when
 * something is published, and whose subscribers are the contacts that want to hear of them.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0163_pep.h"
#include "talk/nodes.h"
#include "talk/owned.h"
#include "talk/pubsub/inner.h"
#include "talk/roster.h"
#include "talk/xep/xep0115_clients.h"
#include "talk/xep/xep0163_guests.h"
#include "talk/xep/xep0163_last.h"

/* ---- requests ---- */

static enum err pep_iq(struct session *s, const struct stanza *iq)
{
    struct person *p = iq->has_to ? person_known(s->talk, iq->to.local) : s->person;
    struct service at;

    if (!p)
        return ERR_NOT_FOUND;
    at = service_of(p);
    return pubsub_ask(s, iq, &at);
}

void pep_told(struct session *s, struct str node, bool settled)
{
    pep_news_note(s->pep_news, node, settled);
}

void pep_forget(struct session *s)
{
    pep_news_free(&s->pep_news);
}

/* ---- the last items, for a device that has come ---- */

/* The nodes of those whose presence ?1 sees and who let them (?3: the bare JID of ?1, ?4: its full one, ?5:
 * the domain). */
static struct db_sql contacts_nodes = {
    "SELECT r.jid, p.id, n.name FROM roster r"
    " CROSS JOIN person p ON p.user = CASE WHEN length(r.jid) > length(?2) THEN substr(r.jid, 1, "
    "length(r.jid) - length(?2)) ELSE '' END"
    " CROSS JOIN roster o ON o.owner = p.id AND o.jid = ?3 AND (o.subscription & 2) <> 0"
    " CROSS JOIN pubsub_node n ON n.owner = p.id AND n.items > 0"
    " WHERE r.owner = ?1 AND (r.subscription & 1) <> 0 AND r.jid = p.user || ?2"
    " AND NOT EXISTS (SELECT 1 FROM blocked b WHERE b.owner = p.id AND b.jid IN (?3, ?4, ?5))"
    " AND NOT EXISTS (SELECT 1 FROM blocked b WHERE b.owner = ?1 AND b.jid IN (r.jid, ?5))"
    " ORDER BY r.jid, n.name"};
static struct db_sql own_nodes = {
    "SELECT name FROM pubsub_node WHERE owner = ?1 AND items > 0 ORDER BY name"};

static enum err find_own(struct job *j, struct db_conn *c, struct last *l)
{
    struct db_stmt *row = db_prepare(c, &own_nodes);
    enum err e;

    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, l->person);
    while ((e = db_step(row)) == OK)
        last_want(j, l, l->person, l->bare, db_text(row, 0));
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err find_contacts(struct job *j, struct db_conn *c, struct last *l)
{
    struct db_stmt *row = db_prepare(c, &contacts_nodes);
    enum err e;

    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, l->person);
    db_bind_str(row, 2, l->suffix);
    db_bind_str(row, 3, l->bare);
    db_bind_str(row, 4, l->full);
    db_bind_str(row, 5, l->domain);
    while ((e = db_step(row)) == OK)
        last_want(j, l, db_i64(row, 1), db_text(row, 0), db_text(row, 2));
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* Those who show this account another profile than the basic one: they need no node for that. */
static struct db_sql shown_to = {
    "SELECT p.user, v.owner FROM profile_viewer v CROSS JOIN person p ON p.id = v.owner"
    " CROSS JOIN roster r ON r.owner = v.owner AND r.jid = ?1 AND (r.subscription & 2) <> 0"
    " WHERE v.jid = ?1"
    " AND NOT EXISTS (SELECT 1 FROM blocked b WHERE b.owner = v.owner AND b.jid IN (?1, ?3, ?4))"
    " AND NOT EXISTS (SELECT 1 FROM blocked b WHERE b.owner = ?5 AND b.jid IN (p.user || ?2, ?4))"
    " ORDER BY p.user"};

static enum err find_shown(struct job *j, struct db_conn *c, struct last *l)
{
    struct db_stmt *row = db_prepare(c, &shown_to);
    enum err e;

    if (!row)
        return ERR_IO;
    db_bind_str(row, 1, l->bare);
    db_bind_str(row, 2, l->suffix);
    db_bind_str(row, 3, l->full);
    db_bind_str(row, 4, l->domain);
    db_bind_i64(row, 5, l->person);
    while ((e = db_step(row)) == OK) {
        struct str bare = arena_printf(&j->work, "%.*s%.*s", STR_ARG(db_text(row, 0)), STR_ARG(l->suffix));

        last_want_profile(j, l, db_i64(row, 1), bare);
    }
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err find_all(struct job *j, struct db_conn *c, struct last *l)
{
    enum err e = l->only.len && !str_eq(l->only, l->bare) ? OK : find_own(j, c, l);

    if (!e)
        e = find_contacts(j, c, l);
    return e || !l->profiles ? e : find_shown(j, c, l);
}

static struct pep_news **news_of(struct talk *t, const struct last *l)
{
    struct session *s = session_find(t, l->session_id);

    return s ? &s->pep_news : NULL;
}

static void send_one(struct talk *t, const struct last *l, struct str message)
{
    struct session *s = session_find(t, l->session_id);

    if (session_available(s))
        session_send(s, message);
}

static const struct last_reader device = {.find = find_all, .news = news_of, .send = send_one};

static void send_last(struct session *s, struct str only, int64_t since_us)
{
    if (s->person && session_available(s) && caps_known(s))
        last_items(s->talk, &(struct last){.reader = &device,
                                           .session_id = s->id,
                                           .person = s->person->id,
                                           .bare = s->jid.bare,
                                           .full = s->jid.full,
                                           .wants = caps_list(s),
                                           .only = only,
                                           .since_us = since_us});
}

void pep_interested(struct session *s)
{
    send_last(s, STR_NULL, 0);
}

void pep_show_here(struct person *to, struct str of_bare)
{
    uint64_t ids[ROSTER_SESSIONS_MAX];
    int n = roster_sessions(to, ids);

    for (int i = 0; i < n; i++) {
        struct session *s = session_find(to->talk, ids[i]);

        if (s)
            send_last(s, of_bare, 0);
    }
}

void pep_show(struct person *of, struct person *to)
{
    pep_show_here(to, of->jid.bare);
    event_send(to->talk,
               &(struct event){.kind = EVENT_PEP_SHOW, .local = to->jid.local, .jid = of->jid.bare});
}

/* ---- after a break ---- */

enum {
    PEP_AGAIN_PER_SECOND = 200,
    PEP_MARGIN_US = 30 * 1000000
}; /* clocks differ, and a commit takes its time */

void pep_missed(struct talk *t, int64_t since_us)
{
    if (!since_us)
        return;
    if (!t->pep_since_us || since_us - PEP_MARGIN_US < t->pep_since_us)
        t->pep_since_us = since_us - PEP_MARGIN_US;
    LIST_EACH(it, &t->sessions_all)
    {
        struct session *s = LIST_ITEM(it, struct session, in_talk);

        s->pep_due = s->caps != NULL;
    }
}

static void pep_tick(struct talk *t)
{
    int n = 0;

    guest_devices_tick(t);
    if (!t->pep_since_us)
        return;
    LIST_EACH(it, &t->sessions_all)
    {
        struct session *s = LIST_ITEM(it, struct session, in_talk);

        if (!s->pep_due)
            continue;
        if (n++ == PEP_AGAIN_PER_SECOND)
            return;
        s->pep_due = false;
        send_last(s, STR_NULL, t->pep_since_us);
    }
    t->pep_since_us = 0;
}

/* ---- the rows ---- */

static void pep_deleted(struct person *p, struct db_conn *c)
{
    pubsub_delete_all(c, p->id, p->jid.bare);
}

static const struct owned pep_owned[] = {
    {"pubsub_node", "owner = ?1 OR (owner = 0 AND creator = ?3)"},
    {"pubsub_item", "node IN (SELECT id FROM pubsub_node WHERE owner = ?1 OR (owner = 0 AND creator = ?3))"},
    {"pubsub_affiliation", "jid = ?3"},
    {"pubsub_subscription", "bare = ?3"},
    {0},
};

static const struct iq_handler pep_iqs[] = {
    {"pubsub", NS_PUBSUB, IQ_TO_SELF | IQ_TO_OTHER | IQ_FROM_GUEST, pep_iq, pep_iq},
    {"pubsub", NS_PUBSUB_OWNER, IQ_TO_SELF | IQ_TO_OTHER | IQ_FROM_GUEST, pep_iq, pep_iq},
    {0},
};

static const char *const pep_disco[] = {
    NS_PUBSUB,
    NS_PUBSUB_OWNER,
    NS_PUBSUB_EVENT,
    NS_PUBSUB "#pubsub-on-a-jid",
    NS_PUBSUB "#access-authorize",
    NS_PUBSUB "#access-open",
    NS_PUBSUB "#access-presence",
    NS_PUBSUB "#access-roster",
    NS_PUBSUB "#access-whitelist",
    NS_PUBSUB "#auto-create",
    NS_PUBSUB "#auto-subscribe",
    NS_PUBSUB "#config-node",
    NS_PUBSUB "#config-node-max",
    NS_PUBSUB "#create-and-configure",
    NS_PUBSUB "#create-nodes",
    NS_PUBSUB "#delete-items",
    NS_PUBSUB "#delete-nodes",
    NS_PUBSUB "#filtered-notifications",
    NS_PUBSUB "#instant-nodes",
    NS_PUBSUB "#item-ids",
    NS_PUBSUB "#last-published",
    NS_PUBSUB "#manage-subscriptions",
    NS_PUBSUB "#member-affiliation",
    NS_PUBSUB "#meta-data",
    NS_PUBSUB "#modify-affiliations",
    NS_PUBSUB "#multi-items",
    NS_PUBSUB "#outcast-affiliation",
    NS_PUBSUB "#persistent-items",
    NS_PUBSUB "#presence-notifications",
    NS_PUBSUB "#presence-subscribe",
    NS_PUBSUB "#publish",
    NS_PUBSUB "#publish-only-affiliation",
    NS_PUBSUB "#publish-options",
    NS_PUBSUB "#publisher-affiliation",
    NS_PUBSUB "#purge-nodes",
    NS_PUBSUB "#retract-items",
    NS_PUBSUB "#retrieve-affiliations",
    NS_PUBSUB "#retrieve-default",
    NS_PUBSUB "#retrieve-items",
    NS_PUBSUB "#retrieve-subscriptions",
    NS_PUBSUB "#rsm",
    NS_PUBSUB "#subscribe",
    NULL,
};

const struct feature xep0163_pep = {
    .spec = "XEP-0163 1.2.2",
    .title = "Personal Eventing Protocol",
    .note = "contacts at other servers hear of it by themselves too: docs/federation.md",
    .disco_account = pep_disco,
    .iqs = pep_iqs,
    .available = pep_interested,
    .ended = pep_forget,
    .person_deleted = pep_deleted,
    .person_export = pubsub_export,
    .imports = pubsub_imports,
    .owned = pep_owned,
    .tick = pep_tick,
};
