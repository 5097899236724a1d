/* XEP-0163 Personal Eventing Protocol 1.2.2: each account is a pubsub service (pubsub/pubsub.h) whose nodes come into being when
 * something is published, and whose subscribers are the contacts that want to hear of them.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0163_pep.h"
#include "base/mem.h"
#include "talk/nodes.h"
#include "talk/owned.h"
#include "talk/pubsub/inner.h"
#include "talk/roster.h"
#include "talk/xep/xep0115_clients.h"
#include <stdlib.h>

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

/* ---- news while last items are being read: what was read may be older ---- */

enum { NEWS_MAX = 32, LAST_ROUNDS = 8 };

struct pep_news {
    int reads; /* under way */
    int count; /* over NEWS_MAX: any node */
    char *nodes[NEWS_MAX];
};

void pep_told(struct session *s, struct str node)
{
    struct pep_news *n = s->pep_news;

    if (n && n->count < NEWS_MAX)
        n->nodes[n->count++] = str_dup(node);
    else if (n)
        n->count = NEWS_MAX + 1;
}

static bool told_since(const struct session *s, int from, struct str node)
{
    const struct pep_news *n = s->pep_news;

    for (int i = from; n && i < n->count && i < NEWS_MAX; i++)
        if (str_eq(str_of(n->nodes[i]), node))
            return true;
    return n && n->count > NEWS_MAX;
}

static void news_free(struct session *s)
{
    struct pep_news *n = s->pep_news;

    for (int i = 0; n && i < n->count && i < NEWS_MAX; i++)
        free(n->nodes[i]);
    free(n);
    s->pep_news = NULL;
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

struct wanted {
    int64_t owner;
    struct str bare, node;
};

struct last {
    struct job *job;
    uint64_t session_id;
    int64_t person;          /* of the device */
    bool ordinary, profiles; /* which kinds of nodes */
    int64_t since_us;        /* only what was published after that */
    int round;               /* it was read before, and news overtook it */
    int news_from;           /* what had been told before it was read */
    struct str wants, only;  /* `only`: of this account alone */
    struct str bare, full, suffix, domain;
    int count, cap;
    struct wanted *wanted;
    struct ids messages, nodes; /* of each message its node */
};

static bool is_wanted(const struct last *l, struct str bare, struct str node)
{
    for (int i = 0; i < l->count; i++)
        if (str_eq(l->wanted[i].bare, bare) && str_eq(l->wanted[i].node, node))
            return true;
    return false;
}

static void want(struct job *j, struct last *l, int64_t owner, struct str bare, struct str node)
{
    bool profile = profile_is_node(node) && !str_eq(bare, l->bare);

    if (!caps_list_has(l->wants, node) || (l->only.len && !str_eq(l->only, bare)) ||
        !(profile ? l->profiles : l->ordinary))
        return;
    if (l->count == l->cap) {
        struct wanted *more;

        l->cap = l->cap ? l->cap * 2 : 16;
        more = arena_alloc(&j->work, sizeof *more * (size_t)l->cap);
        if (l->count)
            memcpy(more, l->wanted, sizeof *more * (size_t)l->count);
        l->wanted = more;
    }
    l->wanted[l->count++] = (struct wanted){owner, arena_str(&j->work, bare), arena_str(&j->work, node)};
}

static enum err find_own(struct job *j, struct db_conn *c, struct last *l)
{
    struct db_stmt *row = db_prepare(c, &own_nodes);
    enum err e;

    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, l->person);
    while ((e = db_step(row)) == OK)
        want(j, l, l->person, l->bare, db_text(row, 0));
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
        want(j, l, db_i64(row, 1), db_text(row, 0), db_text(row, 2));
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

        for (int i = 0; profile_news[i]; i++)
            if (!is_wanted(l, bare, str_of(profile_news[i])))
                want(j, l, db_i64(row, 1), bare, str_of(profile_news[i]));
    }
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err add_item(struct job *j, struct last *l, const struct node *n, const struct item *i)
{
    struct buf b;

    buf_init(&b, 0);
    last_item_put(&b, j, n, i, l->full);
    ids_add(&j->work, &l->messages, buf_str(&b));
    ids_add(&j->work, &l->nodes, n->name);
    buf_done(&b);
    return OK;
}

static enum err add_basic(struct job *j, struct db_conn *c, struct last *l, const struct wanted *w)
{
    struct node n;
    struct item i;
    enum err e = item_last_seen(j, c, w->node, &n, &i);

    if (e || i.us < l->since_us || n.config.send_last != LAST_ON_SUB_AND_PRESENCE || !n.config.notifications ||
        !n.config.persist)
        return e == ERR_NOT_FOUND ? OK : e;
    return add_item(j, l, &n, &i);
}

/* Of who shows us another profile than the basic one, or perhaps does, that one (profile.h). */
static enum err add_profile(struct job *j, struct db_conn *c, struct last *l, const struct wanted *w)
{
    struct profile_view v = profile_of_job(j, c);
    struct node n = {.name = w->node, .config.payloads = true};
    int before = l->messages.count;
    struct item i;
    enum err e;

    if (v.kind == PROFILE_BASIC) {
        e = add_basic(j, c, l, w);
        if (e || profile_still(c, &v))
            return e;
        l->messages.count = l->nodes.count = before;
        v.kind = PROFILE_MINIMAL;
    }
    return profile_item(j, c, &v, w->node, &i) == OK ? add_item(j, l, &n, &i) : OK;
}

static enum err add_message(struct job *j, struct db_conn *c, struct last *l, const struct wanted *w)
{
    j->service = (struct service){.owner = w->owner, .pep = true, .bare = w->bare};
    j->asker.self = str_eq(w->bare, l->bare);
    return !j->asker.self && profile_is_node(w->node) ? add_profile(j, c, l, w) : add_basic(j, c, l, w);
}

static enum err last_run(struct job *j, struct db_conn *c)
{
    struct last *l = j->arg;
    enum err e;

    l->count = l->cap = 0;
    l->messages = l->nodes = (struct ids){0};
    e = l->only.len && !str_eq(l->only, l->bare) ? OK : find_own(j, c, l);
    if (!e)
        e = find_contacts(j, c, l);
    if (!e && l->profiles)
        e = find_shown(j, c, l);
    for (int i = 0; i < l->count && !e; i++)
        e = add_message(j, c, l, &l->wanted[i]);
    return e;
}

static void start_last(struct session *s, const struct last *l);

/* The nodes that were told of meanwhile, once more. */
static void read_again(struct session *s, const struct last *l)
{
    struct last again = *l;
    struct buf nodes;

    buf_init(&nodes, 0);
    for (int i = 0; i < l->nodes.count; i++)
        if (told_since(s, l->news_from, l->nodes.ids[i]) && !caps_list_has(buf_str(&nodes), l->nodes.ids[i])) {
            buf_put_str(&nodes, l->nodes.ids[i]);
            buf_put_c(&nodes, '\n');
        }
    again.wants = buf_str(&nodes);
    again.round++;
    start_last(s, &again);
    buf_done(&nodes);
}

static void last_done(struct job *j, enum err e)
{
    struct last *l = j->arg;
    struct session *s = session_find(j->talk, l->session_id);
    bool stale = false;

    for (int i = 0; s && i < l->messages.count && !e; i++) {
        if (l->round < LAST_ROUNDS && told_since(s, l->news_from, l->nodes.ids[i]))
            stale = true;
        else if (session_available(s))
            session_send(s, l->messages.ids[i]);
        s = session_find(j->talk, l->session_id);
    }
    if (!s || !s->pep_news)
        return;
    if (stale)
        read_again(s, l);
    if (--s->pep_news->reads == 0)
        news_free(s);
}

static bool wants_profiles(struct str list)
{
    while (list.len)
        if (profile_is_node(str_split(&list, '\n')))
            return true;
    return false;
}

static void start_last(struct session *s, const struct last *what)
{
    struct service at = {.pep = true, .bare = s->jid.bare};
    struct job *j;
    struct last *l;

    if (!s->pep_news)
        s->pep_news = NEW(struct pep_news);
    s->pep_news->reads++;
    j = job_new(s->talk, &at);
    job_asker(j, s->jid.bare, s->jid.full, true);
    l = arena_zalloc(&j->arena, sizeof *l);
    *l = (struct last){.session_id = s->id,
                       .person = s->person->id,
                       .wants = arena_str(&j->arena, what->wants),
                       .ordinary = what->ordinary,
                       .profiles = what->profiles,
                       .since_us = what->since_us,
                       .round = what->round,
                       .news_from = s->pep_news->count,
                       .only = arena_str(&j->arena, what->only),
                       .bare = j->asker.bare,
                       .full = j->asker.full,
                       .domain = arena_str(&j->arena, s->talk->domain),
                       .suffix = arena_printf(&j->arena, "@%.*s", STR_ARG(s->talk->domain))};
    j->arg = l;
    j->run = last_run;
    j->done = last_done;
    if (l->profiles && s->talk->shared)
        job_change(j, NULL); /* where the newest is seen */
    else
        job_read(j, NULL);
}

static void send_last(struct session *s, struct str only, int64_t since_us)
{
    struct last what = {.only = only, .since_us = since_us};
    bool profiles;

    if (!s->person || !session_available(s) || !caps_known(s))
        return;
    profiles = wants_profiles(caps_list(s));
    what.wants = caps_list(s);
    what.ordinary = true;
    what.profiles = profiles && !s->talk->shared;
    start_last(s, &what);
    if (profiles && s->talk->shared) {
        what.ordinary = false;
        what.profiles = true;
        start_last(s, &what);
    }
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
    .disco_account = pep_disco,
    .iqs = pep_iqs,
    .available = pep_interested,
    .ended = news_free,
    .person_deleted = pep_deleted,
    .person_export = pubsub_export,
    .imports = pubsub_imports,
    .owned = pep_owned,
    .tick = pep_tick,
};
