/* XEP-0191 Blocking Command 1.3: polite blocking: the blocked see somebody who is away, and
 * subscriptions stay as they are.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0191_blocking.h"
#include "base/mem.h"
#include "talk/export.h"
#include "talk/feature.h"
#include "talk/import.h"
#include "talk/owned.h"
#include "talk/nodes.h"
#include "talk/presence.h"
#include "talk/roster.h"
#include "talk/xep/xep0198_sm.h"
#include "talk/xep/xep0377_reporting.h"
#include <stdio.h>
#include <stdlib.h>

#define NS_BLOCKING "urn:xmpp:blocking"

static const struct db_migration blocking_migrations[] = {
    { 1, "blocking",
      "CREATE TABLE blocked(owner INTEGER NOT NULL, jid TEXT NOT NULL, PRIMARY KEY(owner, jid)) WITHOUT ROWID;" },
    { 0 },
};

static struct db_sql blocked_insert = { "INSERT INTO blocked(owner, jid) VALUES (?1, ?2) ON CONFLICT DO NOTHING" };
static struct db_sql blocked_delete = { "DELETE FROM blocked WHERE owner = ?1 AND jid = ?2" };
static struct db_sql blocked_select = { "SELECT jid FROM blocked WHERE owner = ?1 ORDER BY jid" };
static struct db_sql blocked_clear = { "DELETE FROM blocked WHERE owner = ?1" };

/* ---- the list ---- */

static int place(const struct person *p, struct str jid, bool *found)
{
    int low = 0, high = p->blocked_count;

    *found = false;
    while (low < high) {
        int mid = (low + high) / 2;
        int order = str_cmp(p->blocked[mid], jid);

        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool has(const struct person *p, struct str jid)
{
    bool found;

    place(p, jid, &found);
    return found;
}

bool blocking_has(const struct person *p, const struct jid *other)
{
    char text[JID_BYTES_MAX + 1];
    int  n;

    if (p->blocked_count == 0 || str_eq(p->jid.bare, other->bare))
        return false;
    if (has(p, other->full) || has(p, other->bare) || has(p, other->domain))
        return true;
    if (other->local.len == 0 || other->resource.len == 0)
        return false;
    n = snprintf(text, sizeof text, "%.*s/%.*s", STR_ARG(other->domain), STR_ARG(other->resource));
    return has(p, str_make(text, (size_t)n));
}

bool blocking_between(const struct person *a, const struct person *b)
{
    return blocking_has(a, &b->jid) || blocking_has(b, &a->jid);
}

static void list_add(struct person *p, struct str jid)
{
    bool found;
    int  at = place(p, jid, &found);

    if (found)
        return;
    p->blocked = mem_resize(p->blocked, sizeof *p->blocked * (size_t)(p->blocked_count + 1));
    memmove(p->blocked + at + 1, p->blocked + at, sizeof *p->blocked * (size_t)(p->blocked_count - at));
    p->blocked[at] = str_make(str_dup(jid), jid.len);
    p->blocked_count++;
}

static void list_remove_at(struct person *p, int at)
{
    free((char *)p->blocked[at].p);
    memmove(p->blocked + at, p->blocked + at + 1, sizeof *p->blocked * (size_t)(p->blocked_count - at - 1));
    p->blocked_count--;
}

static void blocking_loaded(struct person *p, struct db_conn *c)
{
    struct db_stmt *row = db_prepare(c, &blocked_select);

    if (!row)
        return;
    db_bind_i64(row, 1, p->id);
    while (db_step(row) == OK)
        list_add(p, db_text(row, 0));
    db_done(row);
}

static void blocking_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &blocked_clear, "i", p->id);
}

/* ---- one durable change ---- */

struct blocking_op {
    struct change   change;
    struct arena    arena;
    struct person  *person;
    struct iq_later iq;
    int64_t         owner;
    bool            block;      /* else: unblock */
    int             count;
    struct jid     *jids;       /* those whose state changes */
    int             item_count;
    struct str     *items;      /* as asked for, for the push */
    struct report  *reports;    /* xep0377_reporting.h */
    struct str      reporter;
};

static enum err blocking_apply(struct db_conn *c, struct change *ch)
{
    struct blocking_op *o = (struct blocking_op *)ch;
    enum err            e = OK;

    for (int i = 0; i < o->count && !e; i++)
        e = db_run(c, o->block ? &blocked_insert : &blocked_delete, "is", o->owner, o->jids[i].full);
    return e ? e : report_apply(c, o->reports, o->reporter, o->owner);
}

static void put_items(struct buf *b, const struct blocking_op *o)
{
    buf_put_z(b, o->block ? "<block xmlns='" NS_BLOCKING "'>" : "<unblock xmlns='" NS_BLOCKING "'>");
    for (int i = 0; i < o->item_count; i++) {
        BUF_LIT(b, "<item");
        xml_put_attr(b, "jid", o->items[i]);
        BUF_LIT(b, "/>");
    }
    buf_put_z(b, o->block ? "</block>" : "</unblock>");
}

void blocking_push_here(struct person *p, struct str payload)
{
    struct talk *t = p->talk;
    uint64_t     ids[ROSTER_SESSIONS_MAX];
    int          n = roster_sessions(p, ids);
    struct buf   b;

    buf_init(&b, 0);
    for (int i = 0; i < n; i++) {
        struct session *s = session_find(t, ids[i]);

        if (!s || !s->blocklist)
            continue;
        buf_clear(&b);
        buf_printf(&b, "<iq type='set' id='block%lld'", (long long)talk_log_id(t));
        xml_put_attr(&b, "to", s->jid.full);
        buf_put_c(&b, '>');
        buf_put_str(&b, payload);
        BUF_LIT(&b, "</iq>");
        session_send(s, buf_str(&b));
    }
    buf_done(&b);
}

static void push(struct blocking_op *o)
{
    struct buf b;

    buf_init(&b, 0);
    put_items(&b, o);
    blocking_push_here(o->person, buf_str(&b));
    event_send(o->person->talk, &(struct event){ .kind = EVENT_BLOCK_PUSH, .local = o->person->jid.local, .text = buf_str(&b) });
    buf_done(&b);
}

/* Contacts that the entry means and who may see our presence. An entry for one resource
 * leaves what the person's others see. */
static void show_or_hide(struct blocking_op *o, const struct jid *blocked)
{
    struct person *me = o->person;

    if (blocked->resource.len)
        return;
    for (int i = 0; i < me->item_count; i++) {
        struct person *p = presence_person(me->talk, me->items[i].jid);

        if (!(str_eq(me->items[i].jid, blocked->bare) || (blocked->local.len == 0 && str_ends(me->items[i].jid, blocked->full))))
            continue;
        if (!p) {       /* not on this worker */
            presence_far_changed(me, me->items[i].jid, !o->block && (me->items[i].subscription & SUB_TO),
                                 (me->items[i].subscription & SUB_FROM) != 0, !o->block);
            continue;
        }
        if (o->block && (me->items[i].subscription & SUB_FROM))
            presence_hide(me, p);
        if (!o->block && (me->items[i].subscription & SUB_FROM))
            presence_show(me, p);
        if (!o->block && (me->items[i].subscription & SUB_TO) && person_may_see(p, me->jid.bare))
            presence_show(p, me);       /* what was missed meanwhile */
    }
}

static void blocking_done(struct talk *t, struct change *ch, enum err e)
{
    struct blocking_op *o = (struct blocking_op *)ch;

    if (e) {
        iq_later_error(t, &o->iq, e);
    } else {
        person_tell_changed(o->person);
        iq_later_result(t, &o->iq, STR_NULL);
        push(o);
        for (int i = 0; i < o->count; i++)
            show_or_hide(o, &o->jids[i]);
    }
    roster_leave(o->person, e);
    arena_done(&o->arena);
    free(o);
}

/* ---- the protocol ---- */

static enum err list_get(struct session *s, const struct stanza *iq)
{
    struct buf *b = talk_scratch(s->talk);
    bool        told = s->blocklist;

    s->blocklist = true;        /* from this answer on it is told of changes */
    BUF_LIT(b, "<blocklist xmlns='" NS_BLOCKING "'>");
    for (int i = 0; i < s->person->blocked_count; i++) {
        BUF_LIT(b, "<item");
        xml_put_attr(b, "jid", s->person->blocked[i]);
        BUF_LIT(b, "/>");
    }
    BUF_LIT(b, "</blocklist>");
    return told ? iq_result_str(s, iq, buf_str(b)) : sm_row_result(s, iq, buf_str(b));
}

/* NULL: fine, and the operation has its items. */
static const char *read_items(struct blocking_op *o, const struct xml_node *list)
{
    int n = 0;

    for (const struct xml_node *x = xml_first(list); x; x = xml_next(x))
        n++;
    if (n > BLOCKED_MAX)
        return "resource-constraint";
    o->items = arena_alloc(&o->arena, sizeof *o->items * (size_t)(n + 1));
    o->jids = arena_alloc(&o->arena, sizeof *o->jids * (size_t)(n + o->person->blocked_count + 1));
    for (const struct xml_node *x = xml_first(list); x; x = xml_next(x)) {
        struct jid  j;
        const char *fault;

        if (!xml_is(x, "item", NS_BLOCKING) || !xml_attr(x, "jid").p)
            return "bad-request";
        if (jid_parse(&o->arena, arena_str(&o->arena, xml_attr(x, "jid")), &j) != OK)
            return "jid-malformed";
        fault = o->block ? report_look(&o->arena, x, j.full, &o->reports) : NULL;
        if (fault)
            return fault;
        o->items[o->item_count++] = j.full;
        if (has(o->person, j.full) != o->block)
            o->jids[o->count++] = j;
    }
    return NULL;
}

/* <unblock/> without items. */
static void everyone(struct blocking_op *o)
{
    for (int i = 0; i < o->person->blocked_count; i++)
        if (jid_parse(&o->arena, arena_str(&o->arena, o->person->blocked[i]), &o->jids[o->count]) == OK)
            o->count++;
}

static void change_memory(struct blocking_op *o)
{
    struct person *p = o->person;

    for (int i = 0; i < o->count; i++) {
        bool found;
        int  at;

        if (o->block) {
            list_add(p, o->jids[i].full);
            continue;
        }
        at = place(p, o->jids[i].full, &found);
        if (found)
            list_remove_at(p, at);
    }
}

static enum err change_list(struct session *s, const struct stanza *iq, bool block)
{
    struct blocking_op *o = NEW(struct blocking_op);
    const char         *fault;
    enum err            e;

    o->person = s->person;
    o->block = block;
    arena_init(&o->arena);
    o->reporter = arena_str(&o->arena, s->jid.bare);
    fault = read_items(o, iq->payload);
    if (!fault && block && o->item_count == 0)
        fault = "bad-request";
    if (!fault && block && s->person->blocked_count + o->count > BLOCKED_MAX)
        fault = "resource-constraint";
    if (fault) {
        arena_done(&o->arena);
        free(o);
        return iq_error_condition(s, iq, "modify", fault, NULL);
    }
    if (o->item_count == 0)
        everyone(o);
    change_memory(o);
    roster_enter(o->person);
    o->owner = person_number(o->person);
    o->change.apply = blocking_apply;
    o->change.done = blocking_done;
    o->iq = iq_keep(s, iq);
    e = session_change(s, s->talk, &o->change);
    if (e)
        blocking_done(s->talk, &o->change, e);
    return OK;
}

static enum err block_set(struct session *s, const struct stanza *iq) { return change_list(s, iq, true); }
static enum err unblock_set(struct session *s, const struct stanza *iq) { return change_list(s, iq, false); }

/* ---- the stages ---- */

void blocking_refuse(struct session *s, const struct stanza *st)
{
    static const char end[] = "</error>";
    struct buf        b, out;
    const char       *at;

    if (st->type == TYPE_ERROR || st->type == TYPE_RESULT)
        return;
    buf_init(&b, 0);
    buf_init(&out, 0);
    stanza_error(&b, st, st->to.full, "cancel", "not-acceptable", NULL);
    at = b.p + b.len;
    while (strncmp(--at, end, sizeof end - 1) != 0)     /* the last one is ours; the payload stands before it */
        ;
    buf_put(&out, b.p, (size_t)(at - b.p));
    BUF_LIT(&out, "<blocked xmlns='urn:xmpp:blocking:errors'/>");
    buf_put(&out, at, (size_t)(b.p + b.len - at));
    session_send(s, buf_str(&out));
    buf_done(&b);
    buf_done(&out);
}

static enum verdict message_leaves(struct session *s, struct message *m)
{
    if (!m->stanza->has_to || !blocking_has(s->person, &m->stanza->to))
        return PASS;
    blocking_refuse(s, m->stanza);
    return STOP;
}

static enum verdict message_arrives(struct person *to, struct message *m)
{
    if (!blocking_has(to, &m->stanza->from))
        return PASS;
    if (m->sender)
        session_bounce(m->sender, m->stanza, "cancel", "service-unavailable", NULL);
    return STOP;
}

static enum verdict other_stanza(struct person *to, struct session *from, const struct stanza *st)
{
    if (from->person && blocking_has(from->person, &st->to)) {
        blocking_refuse(from, st);
        return STOP;
    }
    if (!blocking_has(to, &st->from))
        return PASS;
    if (st->kind == STANZA_IQ)      /* presence is dropped in silence */
        session_bounce(from, st, "cancel", "service-unavailable", NULL);
    return STOP;
}

static const struct iq_handler blocking_iqs[] = {
    { "blocklist", NS_BLOCKING, IQ_TO_SELF, list_get, NULL },
    { "block", NS_BLOCKING, IQ_TO_SELF, NULL, block_set },
    { "unblock", NS_BLOCKING, IQ_TO_SELF, NULL, unblock_set },
    { 0 },
};
static const char *const blocking_disco[] = { NS_BLOCKING, NULL };

static void blocking_export(struct person_export *x)
{
    struct db_stmt *row = db_prepare(x->conn, &blocked_select);
    enum err        e;

    if (!row) {
        export_fail(x, ERR_BUG);
        return;
    }
    db_bind_i64(row, 1, x->owner);
    BUF_LIT(&x->xml, "<blocklist xmlns='" NS_BLOCKING "'>");
    export_heading(x, "Blocked", "차단");
    BUF_LIT(&x->html, "<ul>\n");
    while ((e = db_step(row)) == OK) {
        BUF_LIT(&x->xml, "<item");
        xml_put_attr(&x->xml, "jid", db_text(row, 0));
        BUF_LIT(&x->xml, "/>");
        BUF_LIT(&x->html, "<li>");
        export_put_text(&x->html, db_text(row, 0));
        BUF_LIT(&x->html, "</li>\n");
        export_count(x, "blocked", 1);
        export_flush(x);
    }
    db_done(row);
    BUF_LIT(&x->xml, "</blocklist>\n");
    BUF_LIT(&x->html, "</ul>\n");
    if (e != ERR_NOT_FOUND)
        export_fail(x, e);
}

static const struct owned xep0191_blocking_owned[] = { { "blocked" }, { 0 } };

static enum err blocking_take(struct import *x)
{
    struct jid j;
    enum err   e = OK;
    int64_t    fresh = 0;

    for (const struct xml_node *n = xml_first(x->event->node); n && !e; n = xml_next(n)) {
        if (jid_parse(&x->arena, xml_attr(n, "jid"), &j) != OK)
            continue;
        e = db_run(x->conn, &blocked_insert, "is", x->owner, j.full);
        fresh += e ? 0 : db_changes(x->conn);
    }
    return e ? e : fresh ? OK : ERR_EXISTS;
}

/* Servers of before XEP-0191 keep block lists as privacy lists (XEP-0016): of the default list, whom it keeps away altogether. */
static enum err privacy_take(struct import *x)
{
    const struct xml_node *chosen = xml_child(x->event->node, "default", NULL);
    struct str             name = chosen ? xml_attr(chosen, "name") : STR_NULL;
    enum err               e = OK;
    int                    others = 0;

    for (const struct xml_node *list = xml_first(x->event->node); list && !e; list = xml_next(list)) {
        if (!str_is(list->name, "list") || !str_eq(xml_attr(list, "name"), name))
            continue;
        for (const struct xml_node *n = xml_first(list); n && !e; n = xml_next(n)) {
            struct jid j;
            bool       all = str_is(xml_attr(n, "action"), "deny") && str_is(xml_attr(n, "type"), "jid") && !xml_first(n);

            if (all && jid_parse(&x->arena, xml_attr(n, "value"), &j) == OK)
                e = db_run(x->conn, &blocked_insert, "is", x->owner, j.full);
            else
                others++;
        }
    }
    if (!e && others) {
        x->why = STR("of a privacy list only those who are blocked altogether were taken");
        return ERR_INVALID;
    }
    return e;
}

static const struct import_handler xep0191_blocking_imports[] = {
    { "blocklist", NS_BLOCKING, NULL, NULL, "block lists", blocking_take },
    { "query", "jabber:iq:privacy", NULL, NULL, "block lists", privacy_take },
    { 0 },
};

const struct feature xep0191_blocking = {
    .spec = "XEP-0191 1.3",
    .title = "Blocking Command",
    .disco_server = blocking_disco,
    .iqs = blocking_iqs,
    .migrations = blocking_migrations,
    .message_out = message_leaves,
    .message_in = message_arrives,
    .stanza_in = other_stanza,
    .person_loaded = blocking_loaded,
    .person_deleted = blocking_deleted,
    .owned = xep0191_blocking_owned,
    .person_export = blocking_export,
    .imports = xep0191_blocking_imports,
};
