/* roster.c: see roster.h. First the durable change, then the protocol (RFC 6121 §2).
 *
 * Versions (§2.6) are times in microseconds that never go back, so one that another life of
 * the account gave out is not taken for one of ours. A removal leaves only its version
 * behind, in the row with the empty JID: who asks with an older one gets the whole roster.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/roster.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "talk/export.h"
#include "talk/feature.h"
#include "talk/import.h"
#include "talk/owned.h"
#include "talk/federate.h"
#include "talk/nodes.h"
#include "talk/presence.h"
#include "talk/route.h"
#include "talk/subscription.h"
#include "talk/xep/xep0191_blocking.h"
#include "talk/xep/xep0198_sm.h"
#include <stdio.h>
#include <stdlib.h>

#define NS_ROSTER "jabber:iq:roster"

static const struct db_migration roster_migrations[] = {
    { 1, "roster",
      "CREATE TABLE roster(owner INTEGER NOT NULL, jid TEXT NOT NULL, name TEXT, item_groups TEXT,"
      " subscription INTEGER NOT NULL, flags INTEGER NOT NULL, request TEXT, version INTEGER NOT NULL,"
      " PRIMARY KEY(owner, jid)) WITHOUT ROWID;" },
    { 0 },
};

enum { FLAG_ASK = 1, FLAG_APPROVED = 2, FLAG_LISTED = 4 };

static struct db_sql item_write = {
    "INSERT INTO roster(owner, jid, name, item_groups, subscription, flags, request, version)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"
    " ON CONFLICT(owner, jid) DO UPDATE SET name = excluded.name, item_groups = excluded.item_groups,"
    " subscription = excluded.subscription, flags = excluded.flags, request = excluded.request, version = excluded.version" };
static struct db_sql item_delete = { "DELETE FROM roster WHERE owner = ?1 AND jid = ?2" };
static struct db_sql items_select = {
    "SELECT jid, name, item_groups, subscription, flags, request, version FROM roster WHERE owner = ?1 ORDER BY jid" };
static struct db_sql removed_select = { "SELECT version FROM roster WHERE owner = ?1 AND jid = ''" };
/* Fails when the lists are not those any more: the column takes no NULL. */
static struct db_sql lists_claim = { "UPDATE person SET lists = CASE WHEN lists = ?2 THEN lists + 1 ELSE NULL END WHERE id = ?1" };
static struct db_sql items_delete = { "DELETE FROM roster WHERE owner = ?1" };

/* ---- loading ---- */

static struct str copy(struct str s)
{
    return s.len ? str_make(str_dup(s), s.len) : STR_NULL;
}

static void load_item(struct person *p, struct db_stmt *row)
{
    struct str          request = db_text(row, 5);
    int64_t             flags = db_i64(row, 4);
    struct roster_item *item;

    if (p->item_count == p->item_cap) {
        p->item_cap = p->item_cap ? p->item_cap * 2 : 8;
        p->items = mem_resize(p->items, sizeof *p->items * (size_t)p->item_cap);
    }
    item = &p->items[p->item_count++];      /* rows come in the order of the array */
    *item = (struct roster_item){
        .jid = copy(db_text(row, 0)), .name = copy(db_text(row, 1)), .groups = copy(db_text(row, 2)),
        .subscription = (uint8_t)(db_i64(row, 3) & SUB_BOTH), .version = db_i64(row, 6),
        .ask = (flags & FLAG_ASK) != 0, .approved = (flags & FLAG_APPROVED) != 0, .listed = (flags & FLAG_LISTED) != 0,
        .request = request.p ? str_dup(request) : NULL,
    };
}

static void roster_loaded(struct person *p, struct db_conn *c)
{
    struct db_stmt *row = db_prepare(c, &items_select);

    if (!row)
        return;
    db_bind_i64(row, 1, p->id);
    while (db_step(row) == OK) {
        if (db_i64(row, 6) > p->roster_version)
            p->roster_version = db_i64(row, 6);
        if (db_text(row, 0).len)
            load_item(p, row);
        else
            p->removed_version = db_i64(row, 6);
    }
    db_done(row);
}

static void roster_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &items_delete, "i", p->id);
}

/* ---- a failed change ---- */

void roster_enter(struct person *p)
{
    person_ref(p);
    p->changing++;
}

void roster_leave(struct person *p, enum err e)
{
    p->changing--;
    p->changes++;
    p->stale |= e != OK;
    if (p->talk->shared && p->changing) {
        person_unref(p);        /* the last one reads: earlier, its change would not be there yet */
        return;
    }
    if (p->stale && !p->deleted)
        person_reload(p);
    if (p->changing == 0)
        p->stale = false;
    person_unref(p);
}

/* ---- one durable change ---- */

struct row {
    struct row *next;
    int64_t     owner, version;
    struct str  jid, name, groups, request;
    int64_t     subscription, flags;
    bool        gone;
};

struct effect {
    struct effect     *next;
    enum roster_effect what;
    struct person     *a, *b;
    struct str         text;
    struct outbound   *out;     /* EFFECT_LEAVES */
};

struct touched {
    struct touched *next;
    struct person  *person;
    bool            written;        /* its rows are changed… */
    int64_t         owner, lists;   /* …which were these, in a shared database */
};

struct roster_work {
    struct change   change;
    struct talk    *talk;
    struct session *session;        /* until roster_commit returns */
    struct arena    arena;
    struct row     *rows, **rows_end;
    struct effect  *effects, **effects_end;
    struct touched *touched;
    struct iq_later iq;             /* id p NULL: the cause was no iq */
    int             tries;
    char           *again;          /* the cause, to be handled anew after another worker was first; NULL: none */
    bool            answers;        /* there is an iq to answer */
    struct str      id, to;         /* of a presence, for an error */
};

struct roster_work *roster_begin(struct talk *t, struct session *s)
{
    struct roster_work *w = NEW(struct roster_work);

    w->talk = t;
    w->session = s;
    arena_init(&w->arena);
    w->rows_end = &w->rows;
    w->effects_end = &w->effects;
    return w;
}

static void work_touch(struct roster_work *w, struct person *p)
{
    struct touched *x;

    for (x = w->touched; x; x = x->next)
        if (x->person == p)
            return;
    x = ARENA_NEW(&w->arena, struct touched);
    x->person = p;
    x->next = w->touched;
    w->touched = x;
    roster_enter(p);
}

/* Two workers may change the same lists at once. Each says what it started from; the second one's change fails as a whole,
 * its people are read again, and the stanza is handled anew. */
static void work_claim(struct roster_work *w, struct person *p)
{
    struct touched *x = w->touched;

    while (x->person != p)
        x = x->next;
    if (x->written || !p->talk->shared)
        return;
    x->written = true;
    x->owner = p->id;
    x->lists = p->lists++;
}

void roster_depend(struct roster_work *w, struct person *p)
{
    if (!p->talk->shared)
        return;
    work_touch(w, p);
    person_number(p);
    work_claim(w, p);
}

/* Nothing is to be written: what was claimed for that stays as it was. */
static void unclaim(struct roster_work *w)
{
    for (struct touched *x = w->touched; x; x = x->next)
        if (x->written) {
            x->written = false;
            x->person->lists--;
        }
}

static struct row *row_add(struct roster_work *w, struct person *p, struct str jid)
{
    struct row *r = ARENA_NEW(&w->arena, struct row);

    work_touch(w, p);
    r->owner = person_number(p);
    work_claim(w, p);
    r->jid = arena_str(&w->arena, jid);
    r->version = p->roster_version;
    *w->rows_end = r;
    w->rows_end = &r->next;
    return r;
}

static int64_t next_version(struct person *p)
{
    int64_t now = clock_us();

    p->roster_version = now > p->roster_version ? now : p->roster_version + 1;
    return p->roster_version;
}

void roster_put_item(struct buf *b, const struct roster_item *item)
{
    static const char *const names[] = { "none", "to", "from", "both" };

    BUF_LIT(b, "<item");
    xml_put_attr(b, "jid", item->jid);
    if (item->name.len)
        xml_put_attr(b, "name", item->name);
    xml_put_attr(b, "subscription", str_of(names[item->subscription]));
    if (item->ask)
        BUF_LIT(b, " ask='subscribe'");
    if (item->approved)
        BUF_LIT(b, " approved='true'");
    if (item->groups.len == 0) {
        BUF_LIT(b, "/>");
        return;
    }
    buf_put_c(b, '>');
    buf_put_str(b, item->groups);
    BUF_LIT(b, "</item>");
}

static void put_query_open(struct buf *b, int64_t version)
{
    BUF_LIT(b, "<query xmlns='" NS_ROSTER "' ver='");
    buf_put_i64(b, version);
    BUF_LIT(b, "'>");
}

void roster_write(struct roster_work *w, struct person *p, struct roster_item *item)
{
    struct row *r = row_add(w, p, item->jid);

    r->version = item->version;
    r->name = arena_str(&w->arena, item->name);
    r->groups = arena_str(&w->arena, item->groups);
    r->request = item->request ? arena_str(&w->arena, str_of(item->request)) : STR_NULL;
    r->subscription = item->subscription;
    r->flags = (item->ask ? FLAG_ASK : 0) | (item->approved ? FLAG_APPROVED : 0) | (item->listed ? FLAG_LISTED : 0);
}

void roster_touch(struct roster_work *w, struct person *p, struct roster_item *item)
{
    struct buf b;

    if (item->listed)
        item->version = next_version(p);
    roster_write(w, p, item);
    if (!item->listed)
        return;
    buf_init(&b, 0);
    put_query_open(&b, item->version);
    roster_put_item(&b, item);
    BUF_LIT(&b, "</query>");
    roster_then(w, EFFECT_PUSH, p, NULL, buf_str(&b));
    buf_done(&b);
}

/* A removal is pushed, and its version is remembered. */
static void push_removal(struct roster_work *w, struct person *p, struct str jid)
{
    struct buf b;

    p->removed_version = next_version(p);
    row_add(w, p, STR(""));
    buf_init(&b, 0);
    put_query_open(&b, p->roster_version);
    BUF_LIT(&b, "<item");
    xml_put_attr(&b, "jid", jid);
    BUF_LIT(&b, " subscription='remove'/></query>");
    roster_then(w, EFFECT_PUSH, p, NULL, buf_str(&b));
    buf_done(&b);
}

void roster_forget(struct roster_work *w, struct person *p, struct roster_item *item)
{
    if (item->listed)
        push_removal(w, p, item->jid);
    row_add(w, p, item->jid)->gone = true;
    person_item_remove(p, item);
}

void roster_then(struct roster_work *w, enum roster_effect what, struct person *a, struct person *b, struct str text)
{
    struct effect *x = ARENA_NEW(&w->arena, struct effect);

    work_touch(w, a);
    if (b)
        work_touch(w, b);
    *x = (struct effect){ .what = what, .a = a, .b = b, .text = arena_str(&w->arena, text) };
    if (what == EFFECT_LEAVES)
        x->out = outbound_new(w->talk, text, 0);
    *w->effects_end = x;
    w->effects_end = &x->next;
}

/* By rising owner, so that two workers never wait for each other. */
static enum err claim_all(struct db_conn *c, const struct roster_work *w)
{
    const struct touched *last = NULL, *next;
    enum err              e = OK;

    for (; !e; last = next) {
        next = NULL;
        for (const struct touched *x = w->touched; x; x = x->next)
            if (x->written && (!last || x->owner > last->owner) && (!next || x->owner < next->owner))
                next = x;
        if (!next)
            break;
        e = db_run(c, &lists_claim, "ii", next->owner, next->lists);
    }
    return e;
}

static enum err work_apply(struct db_conn *c, struct change *ch)
{
    struct roster_work *w = (struct roster_work *)ch;
    enum err            e = claim_all(c, w);

    for (struct row *r = w->rows; r && !e; r = r->next) {
        if (r->gone)
            e = db_run(c, &item_delete, "is", r->owner, r->jid);
        else
            e = db_run(c, &item_write, "isssiisi", r->owner, r->jid, r->name, r->groups, r->subscription, r->flags,
                       r->request, r->version);
    }
    for (struct effect *x = w->effects; x && !e; x = x->next)
        if (x->out)
            e = outbound_write(c, x->out);
    return e;
}

int roster_sessions(struct person *p, uint64_t ids[ROSTER_SESSIONS_MAX])
{
    int n = 0;

    LIST_EACH(it, &p->sessions)
        if (n < ROSTER_SESSIONS_MAX)
            ids[n++] = LIST_ITEM(it, struct session, in_person)->id;
    return n;
}

/* The stanza is for whoever has asked for the roster, or is there (§3.1.6: "interested resources"). */
static void send_each(struct person *p, bool interested, bool available, struct str head, struct str text)
{
    uint64_t   ids[ROSTER_SESSIONS_MAX];
    int        n = roster_sessions(p, ids);
    struct buf b;

    buf_init(&b, 0);
    for (int i = 0; i < n; i++) {
        struct session *s = session_find(p->talk, ids[i]);

        if (!s || !((interested && s->interested) || (available && session_available(s))))
            continue;
        if (!head.len) {
            session_send(s, text);
            continue;
        }
        buf_clear(&b);
        buf_put_str(&b, head);
        xml_put_attr(&b, "to", s->jid.full);
        buf_put_c(&b, '>');
        buf_put_str(&b, text);
        BUF_LIT(&b, "</iq>");
        session_send(s, buf_str(&b));
    }
    buf_done(&b);
}

void roster_push_here(struct person *p, struct str query)
{
    char head[64];
    int  n = snprintf(head, sizeof head, "<iq type='set' id='push%lld'", (long long)talk_log_id(p->talk));

    send_each(p, true, false, str_make(head, (size_t)n), query);
}

static void push(struct person *p, struct str query)
{
    roster_push_here(p, query);
    event_send(p->talk, &(struct event){ .kind = EVENT_ROSTER_PUSH, .local = p->jid.local, .text = query });
}

static void send_far(struct person *p, unsigned whom, struct str text)
{
    event_send(p->talk, &(struct event){ .kind = EVENT_STANZA, .local = p->jid.local, .flags = whom, .text = text });
}

static void effect_run(struct effect *x)
{
    if (x->what == EFFECT_LEAVES) {
        outbound_decided(x->a->talk, x->out, true);
        x->out = NULL;
        return;
    }
    if (x->a->deleted && x->what != EFFECT_HIDE && x->what != EFFECT_HIDE_FAR)
        return;
    switch (x->what) {
    case EFFECT_PUSH:
        push(x->a, x->text);
        break;
    case EFFECT_REQUEST:
        if (x->b && blocking_has(x->a, &x->b->jid))
            break;
        send_each(x->a, false, true, STR_NULL, x->text);
        send_far(x->a, EVENT_AVAILABLE, x->text);
        break;
    case EFFECT_ANSWER:
        if (x->b && blocking_has(x->a, &x->b->jid))
            break;
        send_each(x->a, true, true, STR_NULL, x->text);
        send_far(x->a, EVENT_INTERESTED | EVENT_AVAILABLE, x->text);
        break;
    case EFFECT_SHOW:
        presence_show(x->a, x->b);
        break;
    case EFFECT_HIDE:
        presence_hide(x->a, x->b);
        break;
    case EFFECT_SHOW_FAR:
    case EFFECT_HIDE_FAR:
        presence_show_guest(x->a, x->text, x->what == EFFECT_SHOW_FAR);
        break;
    case EFFECT_LEAVES:
        break;
    }
}

static void tell_failure(struct roster_work *w, enum err e)
{
    struct session        *s = session_find(w->talk, w->change.session_id);
    const struct err_info *info = err_info(e);
    struct buf             b;

    if (!s || !w->to.len)
        return;
    buf_init(&b, 0);
    stanza_open(&b, "presence", w->to, s->jid.full, w->id, "error", STR_NULL);
    buf_printf(&b, "<error type='%s'><%s xmlns='" NS_STANZA_ERRORS "'/></error></presence>", info->type, info->condition);
    session_send(s, buf_str(&b));
    buf_done(&b);
}

/* ---- handled anew ---- */

enum { AGAIN_MAX = 20 };

struct again {
    uint64_t session_id;
    int      tries;
    char    *xml;
};

static void handle_again(struct talk *t, struct person *p, void *arg)
{
    struct again    *g = arg;
    struct session  *s = session_find(t, g->session_id);
    struct xml_node *n;
    struct stanza    st;
    const char      *condition;

    if (p && s && s->state == SESSION_BOUND) {
        arena_reset(&t->round);
        s->roster_tries = (uint8_t)g->tries;
        if (xml_parse(&t->round, str_of(g->xml), NULL, &n) == XML_FINE && stanza_read(&t->round, n, &s->jid, &st, &condition) == OK) {
            st.foreign = s->guest != NULL;
            route_stanza(s, &st);
        }
        s->roster_tries = 0;
    }
    free(g->xml);
    free(g);
}

/* Another worker was first (or the statement is ours to mend, and the tries come to an end). */
static bool try_again(struct roster_work *w, enum err e)
{
    struct session *s = session_find(w->talk, w->change.session_id);
    struct person  *who;
    struct again   *g;

    if (!w->talk->shared || !w->again || !s || (e != ERR_INVALID && e != ERR_EXISTS) || w->tries >= AGAIN_MAX)
        return false;
    g = NEW(struct again);
    *g = (struct again){ s->id, w->tries + 1, w->again };
    w->again = NULL;
    free(w->iq.id);
    free(w->iq.to);
    who = s->person ? s->person : w->touched->person;
    person_ref(who);
    for (struct touched *x = w->touched; x; x = x->next)
        roster_leave(x->person, e);
    if (person_when_read(who, handle_again, g) != OK)
        handle_again(w->talk, NULL, g);
    person_unref(who);
    return true;
}

static void work_free(struct roster_work *w)
{
    for (struct effect *x = w->effects; x; x = x->next)
        if (x->out)
            outbound_decided(w->talk, x->out, false);
    free(w->again);
    arena_done(&w->arena);
    free(w);
}

static void work_done(struct talk *t, struct change *ch, enum err e)
{
    struct roster_work *w = (struct roster_work *)ch;

    if (e && try_again(w, e)) {
        work_free(w);
        return;
    }

    for (struct touched *x = w->touched; x && !e; x = x->next)
        person_tell_changed(x->person);     /* before what follows from it */
    for (struct effect *x = w->effects; x && !e; x = x->next)
        effect_run(x);
    if (e)
        LOG_WARN("roster.failed", LF_I64("session", (int64_t)ch->session_id), LF_ERR(e));
    if (w->answers && e)
        iq_later_error(t, &w->iq, e);
    else if (w->answers)
        iq_later_result(t, &w->iq, STR_NULL);
    else if (e)
        tell_failure(w, e);
    for (struct touched *x = w->touched; x; x = x->next)
        roster_leave(x->person, e);
    work_free(w);
}

void roster_commit(struct roster_work *w, const struct stanza *cause)
{
    enum err e = OK;

    if (cause && w->talk->shared) {
        struct buf b;

        buf_init(&b, 0);
        xml_put_node(&b, cause->node, STR_NULL);
        w->again = str_dup(buf_str(&b));
        w->tries = w->session->roster_tries;
        buf_done(&b);
    }
    if (cause && cause->kind == STANZA_IQ) {
        w->iq = iq_keep(w->session, cause);
        w->answers = true;
    } else if (cause) {
        w->id = cause->id.p ? arena_str(&w->arena, cause->id) : STR_NULL;
        w->to = arena_str(&w->arena, cause->to.full);
    }
    w->change.apply = work_apply;
    w->change.done = work_done;
    if (w->rows || w->effects) {
        e = session_change(w->session, w->talk, &w->change);
    } else {
        w->change.session_id = w->session ? w->session->id : 0;
        unclaim(w);
    }
    if (e || (!w->rows && !w->effects))
        work_done(w->talk, &w->change, e);
}

/* ---- roster get (§2.1.3, §2.6) ---- */

static void answer_whole(struct talk *t, struct person *p, struct iq_later *k)
{
    struct buf b;

    buf_init(&b, 0);
    put_query_open(&b, p->roster_version);
    for (int i = 0; i < p->item_count; i++)
        if (p->items[i].listed)
            roster_put_item(&b, &p->items[i]);
    BUF_LIT(&b, "</query>");
    iq_later_result(t, k, buf_str(&b));
    buf_done(&b);
}

static int by_version(const void *a, const void *b)
{
    const struct roster_item *const *x = a, *const *y = b;

    return (*x)->version < (*y)->version ? -1 : (*x)->version > (*y)->version;
}

/* Pushes to this session what is newer than its version, oldest first. */
static void push_newer(struct session *s, int64_t version)
{
    struct person             *p = s->person;
    const struct roster_item **newer = mem_new(sizeof *newer * (size_t)(p->item_count + 1));
    int                        n = 0;
    struct buf                 b;

    for (int i = 0; i < p->item_count; i++)
        if (p->items[i].listed && p->items[i].version > version)
            newer[n++] = &p->items[i];
    qsort(newer, (size_t)n, sizeof *newer, by_version);
    buf_init(&b, 0);
    for (int i = 0; i < n; i++) {
        buf_clear(&b);
        buf_printf(&b, "<iq type='set' id='push%lld'", (long long)talk_log_id(s->talk));
        xml_put_attr(&b, "to", s->jid.full);
        buf_put_c(&b, '>');
        put_query_open(&b, newer[i]->version);
        roster_put_item(&b, newer[i]);
        BUF_LIT(&b, "</query></iq>");
        session_send(s, buf_str(&b));
    }
    buf_done(&b);
    free(newer);
}

static int64_t last_removal(struct person *p)
{
    struct db_stmt *row;
    int64_t         version = 0;

    if (p->talk->shared)
        return p->removed_version;
    if (db_get(db_loop_conn(p->talk->db), &row, &removed_select, "i", p->id) == OK)
        version = db_i64(row, 0);
    if (row)
        db_done(row);
    return version;
}

struct get {
    struct change  change;
    struct person *person;
    struct iq_later iq;
    int64_t        version;     /* the client's; -1: it has none that we know */
};

static void get_answer(struct talk *t, struct change *ch, enum err e)
{
    struct get     *g = (struct get *)ch;
    struct session *s = session_find(t, g->iq.session_id);

    (void)e;
    if (g->version < 0 || g->version > g->person->roster_version || g->version < last_removal(g->person)) {
        answer_whole(t, g->person, &g->iq);
    } else {
        iq_later_result(t, &g->iq, STR_NULL);
        if (s)
            push_newer(s, g->version);
    }
    person_unref(g->person);
    free(g);
}

static void get_read(struct talk *t, struct person *p, void *arg)
{
    struct get     *g = arg;
    struct session *s = session_find(t, g->iq.session_id);
    bool            wait = g->person->changing;     /* what is not durable yet is not shown */

    (void)p;
    if (s && !s->interested) {      /* from this answer on it is told of changes */
        s->interested = true;
        sm_row_changed(s);
        wait |= sm_row_matters(s);
    }
    if (!s || !wait || session_change(s, t, &g->change) != OK)
        get_answer(t, &g->change, OK);
}

static bool is_own(const struct session *s, const struct stanza *iq)
{
    return !iq->has_to || str_eq(iq->to.full, s->jid.bare);
}

static enum err roster_get(struct session *s, const struct stanza *iq)
{
    struct str  ver = xml_attr(iq->payload, "ver");
    struct get *g;

    if (!is_own(s, iq))
        return ERR_DENIED;      /* §2.1.3 */
    g = NEW(struct get);
    g->change.done = get_answer;
    g->person = s->person;
    g->iq = iq_keep(s, iq);
    if (!str_to_i64(ver, &g->version) || g->version < 0)
        g->version = -1;
    person_ref(g->person);
    if (person_when_read(s->person, get_read, g) != OK)
        get_read(s->talk, s->person, g);
    return OK;
}

/* ---- roster set (§2.3, §2.4, §2.5) ---- */

static enum err refuse(struct session *s, const struct stanza *iq, const char *type, const char *condition, const char *text)
{
    return iq_error_condition(s, iq, type, condition, text);
}

static const char *group_fault(struct arena *a, const struct xml_node *item, const struct xml_node *g, int count)
{
    struct str text = xml_text(a, g);

    if (text.len == 0 || text.len > ROSTER_NAME_BYTES_MAX || count >= ROSTER_GROUPS_MAX)
        return "not-acceptable";
    for (const struct xml_node *o = xml_first(item); o && o != g; o = xml_next(o))
        if (xml_is(o, "group", NS_ROSTER) && str_eq(xml_text(a, o), text))
            return "bad-request";
    return NULL;
}

/* §2.3.3. NULL: fine, and `out` holds the groups. */
static const char *read_groups(struct arena *a, const struct xml_node *item, struct buf *out)
{
    int count = 0;

    for (const struct xml_node *g = xml_first(item); g; g = xml_next(g)) {
        const char *fault;

        if (!xml_is(g, "group", NS_ROSTER))
            continue;
        fault = group_fault(a, item, g, count++);
        if (fault)
            return fault;
        BUF_LIT(out, "<group>");
        xml_put_escaped(out, xml_text(a, g));
        BUF_LIT(out, "</group>");
    }
    return NULL;
}

static enum err item_remove(struct session *s, const struct stanza *iq, struct str bare)
{
    struct roster_item *item = person_item(s->person, bare);
    struct roster_work *w;

    if (!item || !item->listed)
        return ERR_NOT_FOUND;   /* §2.5.3 */
    w = roster_begin(s->talk, s);
    subscription_remove(w, s->person, item);
    roster_commit(w, iq);
    return OK;
}

static void replace(struct str *at, struct str with)
{
    free((char *)at->p);
    *at = copy(with);
}

static enum err item_set(struct session *s, const struct stanza *iq, const struct xml_node *x, struct str bare)
{
    struct str          name = xml_attr(x, "name");
    struct roster_work *w;
    struct roster_item *item;
    const char         *fault;
    struct buf          groups;

    if (name.len > ROSTER_NAME_BYTES_MAX)
        return refuse(s, iq, "modify", "not-acceptable", "the name is too long");
    buf_init(&groups, 0);
    fault = read_groups(iq->arena, x, &groups);
    item = fault ? NULL : person_item_make(s->person, bare);
    if (!item) {
        buf_done(&groups);
        return fault ? refuse(s, iq, "modify", fault, "the groups are empty, too long, too many or repeated")
                     : refuse(s, iq, "cancel", "resource-constraint", "the contact list is full");
    }
    replace(&item->name, name);
    replace(&item->groups, buf_str(&groups));
    item->listed = true;
    buf_done(&groups);
    w = roster_begin(s->talk, s);
    roster_touch(w, s->person, item);
    roster_commit(w, iq);
    return OK;
}

static enum err roster_set(struct session *s, const struct stanza *iq)
{
    const struct xml_node *item = xml_first(iq->payload);
    struct jid             j;

    if (!is_own(s, iq))
        return ERR_DENIED;      /* §2.3.3 */
    if (!item || !xml_is(item, "item", NS_ROSTER) || xml_next(item) || !xml_attr(item, "jid").p)
        return ERR_INVALID;
    if (jid_parse(iq->arena, xml_attr(item, "jid"), &j) != OK)
        return refuse(s, iq, "modify", "jid-malformed", NULL);
    if (str_eq(j.bare, s->jid.bare))
        return refuse(s, iq, "cancel", "not-allowed", "one is not one's own contact");
    /* §2.1.2.5: any other value of `subscription` is ignored */
    if (str_is(xml_attr(item, "subscription"), "remove"))
        return item_remove(s, iq, j.bare);
    return item_set(s, iq, item, j.bare);
}

static void roster_features(struct session *s, struct buf *out)
{
    if (s->state == SESSION_AUTHENTICATED || s->state == SESSION_BOUND)
        BUF_LIT(out, "<ver xmlns='urn:xmpp:features:rosterver'/><sub xmlns='urn:xmpp:features:pre-approval'/>");
}

static const struct iq_handler roster_iqs[] = {
    { "query", NS_ROSTER, IQ_TO_SELF | IQ_TO_OTHER, roster_get, roster_set },
    { 0 },
};
static const char *const roster_disco[] = { NS_ROSTER, NULL };

/* ---- own data (export.h) ---- */

static void item_free(struct roster_item *item)
{
    free((char *)item->jid.p);
    free((char *)item->name.p);
    free((char *)item->groups.p);
    free(item->request);
}

static void put_readable_item(struct buf *b, const struct roster_item *item)
{
    static const char *const subscriptions[] = { "none", "to", "from", "both" };

    BUF_LIT(b, "<tr><td>");
    export_put_text(b, item->jid);
    BUF_LIT(b, "</td><td>");
    export_put_text(b, item->name);
    buf_printf(b, "</td><td>%s</td></tr>\n", subscriptions[item->subscription]);
}

/* With what whoever asks has said. */
static void put_request(struct buf *b, struct str stanza)
{
    static const char open[] = "<presence";

    BUF_LIT(b, "<presence xmlns='" NS_CLIENT "'");
    buf_put(b, stanza.p + sizeof open - 1, stanza.len - (sizeof open - 1));
    buf_put_c(b, '\n');
}

static void roster_export(struct person_export *x)
{
    struct person p = { .id = x->owner };

    roster_loaded(&p, x->conn);
    export_heading(x, "Contacts", "친구");
    BUF_LIT(&x->html, "<table>\n");
    BUF_LIT(&x->xml, "<query xmlns='" NS_ROSTER "'>\n");
    for (int i = 0; i < p.item_count; i++) {
        if (!p.items[i].listed)
            continue;
        roster_put_item(&x->xml, &p.items[i]);
        put_readable_item(&x->html, &p.items[i]);
        export_count(x, "contacts", 1);
        export_flush(x);
    }
    BUF_LIT(&x->xml, "</query>\n");
    BUF_LIT(&x->html, "</table>\n");
    for (int i = 0; i < p.item_count; i++) {
        if (p.items[i].request) {
            put_request(&x->xml, str_of(p.items[i].request));
            export_count(x, "requests", 1);
        }
        item_free(&p.items[i]);
    }
    free(p.items);
}

static const struct owned rfc6121_roster_owned[] = { { "roster" }, { 0 } };

/* ---- from another server (import.h): what is listed here already stays as it is ---- */

static struct db_sql item_import = {
    "INSERT INTO roster(owner, jid, name, item_groups, subscription, flags, request, version)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, NULL, ?7) ON CONFLICT(owner, jid) DO UPDATE SET name = excluded.name,"
    " item_groups = excluded.item_groups, subscription = excluded.subscription, flags = excluded.flags, version = excluded.version,"
    " request = CASE WHEN excluded.subscription >= 2 THEN NULL ELSE roster.request END WHERE (roster.flags & 4) = 0" };
static struct db_sql request_import = {
    "INSERT INTO roster(owner, jid, name, item_groups, subscription, flags, request, version)"
    " VALUES (?1, ?2, '', '', 0, 0, ?3, ?4) ON CONFLICT(owner, jid) DO UPDATE SET request = excluded.request"
    " WHERE roster.request IS NULL AND roster.subscription < 2" };

static int subscription_of(struct str text)
{
    return str_is(text, "both") ? SUB_BOTH : str_is(text, "from") ? SUB_FROM : str_is(text, "to") ? SUB_TO : SUB_NONE;
}

static struct str groups_of(struct import *x, const struct xml_node *item)
{
    struct buf b;
    struct str text;
    int        count = 0;

    buf_init(&b, 0);
    for (const struct xml_node *n = xml_first(item); n; n = xml_next(n)) {
        struct str name = xml_is(n, "group", NS_ROSTER) ? xml_text(&x->arena, n) : STR_NULL;

        if (name.len == 0 || name.len > ROSTER_NAME_BYTES_MAX || ++count > ROSTER_GROUPS_MAX)
            continue;
        BUF_LIT(&b, "<group>");
        xml_put_escaped(&b, name);
        BUF_LIT(&b, "</group>");
    }
    text = arena_str(&x->arena, buf_str(&b));
    buf_done(&b);
    return text;
}

static enum err take_item(struct import *x)
{
    const struct xml_node *n = x->event->node;
    struct str             name = xml_attr(n, "name"), subscription = xml_attr(n, "subscription");
    int64_t                flags = FLAG_LISTED;
    struct jid             j;
    enum err               e;

    if (jid_parse(&x->arena, xml_attr(n, "jid"), &j) != OK || str_is(subscription, "remove")) {
        x->why = STR("it is no address");
        return ERR_INVALID;
    }
    if (str_is(xml_attr(n, "ask"), "subscribe"))
        flags |= FLAG_ASK;
    if (str_is(xml_attr(n, "approved"), "true") || str_is(xml_attr(n, "approved"), "1"))
        flags |= FLAG_APPROVED;
    e = db_run(x->conn, &item_import, "isssiii", x->owner, j.bare, name.len <= ROSTER_NAME_BYTES_MAX && name.p ? name : STR(""),
               groups_of(x, n), (int64_t)subscription_of(subscription), flags, clock_us());
    return e ? e : db_changes(x->conn) ? OK : ERR_EXISTS;
}

/* 1.1: a request that waits for an answer. */
static enum err take_request(struct import *x)
{
    const struct xml_node *n = x->event->node;
    struct jid             j;
    struct buf             b;
    size_t                 start;
    enum err               e;

    if (!str_is(xml_attr(n, "type"), "subscribe") || jid_parse(&x->arena, xml_attr(n, "from"), &j) != OK) {
        x->why = STR("it is no request");
        return ERR_INVALID;
    }
    buf_init(&b, 0);
    stanza_open(&b, "presence", j.bare, x->jid.bare, STR_NULL, "subscribe", n->lang);
    start = b.len;
    for (const struct xml_node *m = xml_first(n); m; m = xml_next(m))
        xml_put_node(&b, m, STR(NS_CLIENT));
    if (b.len > ROSTER_REQUEST_BYTES_MAX)
        b.len = start;
    BUF_LIT(&b, "</presence>");
    e = db_run(x->conn, &request_import, "issi", x->owner, j.bare, buf_str(&b), clock_us());
    buf_done(&b);
    return e ? e : db_changes(x->conn) ? OK : ERR_EXISTS;
}

static const struct import_handler rfc6121_roster_imports[] = {
    { "item", NS_ROSTER, "query", NS_ROSTER, "contacts", take_item },
    { "presence", NULL, NULL, NULL, "requests", take_request },
    { 0 },
};

const struct feature rfc6121_roster = {
    .spec = "RFC 6121",
    .title = "Roster",
    .disco_server = roster_disco,
    .iqs = roster_iqs,
    .migrations = roster_migrations,
    .stream_features = roster_features,
    .person_loaded = roster_loaded,
    .person_deleted = roster_deleted,
    .owned = rfc6121_roster_owned,
    .person_export = roster_export,
    .imports = rfc6121_roster_imports,
};
