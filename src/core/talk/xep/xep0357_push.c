/* XEP-0357 Push Notifications 0.4.1: which devices want to be woken, and through which service. The whole is
 * told in xep0357_push.h. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_absent.h"
#include "talk/xep/xep0357_push.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "talk/feature.h"
#include "talk/forms.h"
#include "talk/host.h"
#include "talk/owned.h"
#include "talk/roster.h"
#include <stdlib.h>

#define OPTIONS_TYPE "http://jabber.org/protocol/pubsub#publish-options"

enum { SHOW_SENDER = 1, SHOW_BODY = 2 };

static const struct db_migration push_migrations[] = {
    {1, "push",
     "CREATE TABLE push(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, service TEXT NOT NULL, node TEXT NOT "
     "NULL,"
     " resource TEXT NOT NULL, form TEXT NOT NULL, shows INTEGER NOT NULL, at INTEGER NOT NULL);"
     "CREATE UNIQUE INDEX push_owner ON push(owner, service, node);"
     /* what a batch with a message for it leaves behind, until somebody has it */
     "CREATE TABLE push_due(push INTEGER NOT NULL, kind INTEGER NOT NULL, owner INTEGER NOT NULL, at INTEGER "
     "NOT NULL,"
     " PRIMARY KEY(push, kind)) WITHOUT ROWID;"
     "CREATE TABLE push_key(id INTEGER PRIMARY KEY, private BLOB NOT NULL);"},
    {2, "push", "ALTER TABLE push ADD COLUMN muted TEXT NOT NULL DEFAULT '';"},
    {0},
};

static struct db_sql push_select = {
    "SELECT id, service, node, resource, form, shows, at, muted FROM push WHERE owner = ?1 ORDER BY at"};
static struct db_sql push_insert = {"INSERT INTO push(id, owner, service, node, resource, form, shows, at, muted) "
                                    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"};
static struct db_sql push_mute = {"UPDATE push SET muted = ?2 WHERE owner = ?1 AND muted <> ''"};
static struct db_sql push_delete_same = {"DELETE FROM push WHERE owner = ?1 AND service = ?2 AND node = ?3"};
static struct db_sql push_delete_service = {"DELETE FROM push WHERE owner = ?1 AND service = ?2"};
static struct db_sql push_delete_one = {"DELETE FROM push WHERE id = ?1"};
static struct db_sql push_delete_all = {"DELETE FROM push WHERE owner = ?1"};
static struct db_sql due_delete_all = {"DELETE FROM push_due WHERE owner = ?1"};

/* ---- memory ---- */

static void registration_free(struct push_registration *r)
{
    free((char *)r->muted.p);
    arena_done(&r->arena);
    free(r);
}

void push_list_free(struct push_list **lp)
{
    struct push_list *l = *lp;

    *lp = NULL;
    for (int i = 0; l && i < l->count; i++)
        registration_free(l->items[i]);
    free(l);
}

struct push_registration *push_find(struct person *p, int64_t id)
{
    for (int i = 0; p->push && !p->deleted && i < p->push->count; i++)
        if (p->push->items[i]->id == id)
            return p->push->items[i];
    return NULL;
}

static void drop(struct person *p, int at)
{
    struct push_list *l = p->push;

    registration_free(l->items[at]);
    memmove(l->items + at, l->items + at + 1, sizeof *l->items * (size_t)(l->count - at - 1));
    if (--l->count == 0)
        push_list_free(&p->push);
}

static void add(struct person *p, struct push_registration *r)
{
    if (!p->push)
        p->push = NEW(struct push_list);
    p->push->items[p->push->count++] = r;
}

/* Where our own service finds the browser: fields of the form (docs/push.md). False: it does not say. */
static bool web_read(struct push_registration *r, const struct xml_node *x)
{
    struct form f;
    struct str json;

    if (!x || form_read(&r->arena, x, &f) != OK)
        return false;
    json = form_text(&r->arena, &f, "subscription");
    if (json.len)
        return push_subscription_read(&r->arena, json, &r->web) == OK;
    return push_subscription_check(&r->arena, form_value(&f, "endpoint"), form_value(&f, "p256dh"),
                                   form_value(&f, "auth"), &r->web) == OK;
}

static bool is_own(const struct talk *t, const struct jid *service);

static bool web_read_text(struct push_registration *r)
{
    struct xml_node *x;

    return xml_parse(&r->arena, r->form, NULL, &x) == XML_FINE && web_read(r, x);
}

static void push_loaded(struct person *p, struct db_conn *c)
{
    struct db_stmt *row = db_prepare(c, &push_select);

    if (!row)
        return;
    db_bind_i64(row, 1, p->id);
    while (db_step(row) == OK && (!p->push || p->push->count < PUSH_REGISTRATIONS_MAX)) {
        struct push_registration *r = NEW(struct push_registration);

        arena_init(&r->arena);
        r->id = db_i64(row, 0);
        r->node = arena_str(&r->arena, db_text(row, 2));
        r->resource = arena_str(&r->arena, db_text(row, 3));
        r->form = arena_str(&r->arena, db_text(row, 4));
        r->sender = db_i64(row, 5) & SHOW_SENDER;
        r->body = db_i64(row, 5) & SHOW_BODY;
        r->at = db_i64(row, 6);
        r->muted = push_muted_copy(db_text(row, 7));
        if (jid_parse(&r->arena, arena_str(&r->arena, db_text(row, 1)), &r->service) != OK) {
            registration_free(r);
            continue;
        }
        r->own = is_own(p->talk, &r->service) && web_read_text(r);
        add(p, r);
    }
    db_done(row);
}

static void push_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &push_delete_all, "i", p->id);
    db_run(c, &due_delete_all, "i", p->id);
}

/* ---- one durable change ---- */

struct push_op {
    struct change change;
    struct arena arena;
    struct person *person;
    struct iq_later iq;
    bool from_client;
    push_removed_fn *removed;
    void *removed_arg;
    int64_t owner, evicted, gone; /* ids; 0: none */
    struct str service, node;     /* node p NULL: all of the service */
    bool same;                    /* service and node go */
    bool insert, mute;
    int64_t id, at, shows;
    struct str resource, form, muted;
};

static enum err push_apply(struct db_conn *c, struct change *ch)
{
    struct push_op *o = (struct push_op *)ch;
    enum err e = OK;

    if (o->same && o->node.p)
        e = db_run(c, &push_delete_same, "iss", o->owner, o->service, o->node);
    else if (o->same)
        e = db_run(c, &push_delete_service, "is", o->owner, o->service);
    if (!e && o->evicted)
        e = db_run(c, &push_delete_one, "i", o->evicted);
    if (!e && o->gone)
        e = db_run(c, &push_delete_one, "i", o->gone);
    if (!e && o->insert)
        e = db_run(c, &push_insert, "iissssiis", o->id, o->owner, o->service, o->node, o->resource, o->form,
                   o->shows, o->at, o->muted);
    if (!e && o->mute)
        e = db_run(c, &push_mute, "is", o->owner, o->muted);
    return e;
}

static void push_changed(struct talk *t, struct change *ch, enum err e)
{
    struct push_op *o = (struct push_op *)ch;

    if (!e)
        person_tell_changed(o->person);
    if (o->from_client && e)
        iq_later_error(t, &o->iq, e);
    else if (o->from_client)
        iq_later_result(t, &o->iq, STR_NULL);
    if (o->removed)
        o->removed(o->removed_arg, e);
    roster_leave(o->person, e);
    arena_done(&o->arena);
    free(o);
}

static struct push_op *op_new(struct person *p)
{
    struct push_op *o = NEW(struct push_op);

    arena_init(&o->arena);
    o->person = p;
    o->change.apply = push_apply;
    o->change.done = push_changed;
    o->owner = person_number(p);
    roster_enter(p);
    return o;
}

static void op_go(struct session *s, struct push_op *o)
{
    struct talk *t = o->person->talk;
    enum err e = session_change(s, t, &o->change);

    if (e)
        push_changed(t, &o->change, e);
}

void push_remove(struct person *p, int64_t id, push_removed_fn *done, void *arg)
{
    struct push_op *o = op_new(p);

    for (int i = 0; p->push && i < p->push->count; i++)
        if (p->push->items[i]->id == id) {
            LOG_INFO("push.removed", LF_STR("user", p->jid.local),
                     LF_STR("service", p->push->items[i]->service.full), LF_I64("registration", id));
            drop(p, i);
            break;
        }
    o->gone = id;
    o->removed = done;
    o->removed_arg = arg;
    op_go(NULL, o);
}

/* ---- the protocol ---- */

static enum err refuse(struct session *s, const struct stanza *iq, const char *condition, const char *text)
{
    return iq_error_condition(s, iq, "modify", condition, text);
}

static bool asks_for_self(const struct session *s, const struct stanza *iq)
{
    return s->person && (!iq->has_to || str_eq(iq->to.full, s->jid.bare));
}

/* What the owner lets be told (docs/push.md); the request is the owner's own, who can read all of it anyhow.
 */
static void show_read(struct push_registration *r, const struct xml_node *enable)
{
    const struct xml_node *show = xml_child(enable, "show", NS_PUSH_OWN);

    r->sender = show && (str_is(xml_attr(show, "sender"), "true") || str_is(xml_attr(show, "sender"), "1"));
    r->body = show && (str_is(xml_attr(show, "body"), "true") || str_is(xml_attr(show, "body"), "1"));
}

static enum err form_take(struct session *s, const struct stanza *iq, struct push_registration *r)
{
    const struct xml_node *x = xml_child(iq->payload, "x", NS_FORMS);
    struct form f;
    struct buf b;

    if (x && (form_read(iq->arena, x, &f) != OK || !str_is(f.type, OPTIONS_TYPE)))
        return refuse(s, iq, "bad-request", "the form is no " OPTIONS_TYPE), ERR_INVALID;
    if (x) {
        buf_init(&b, 0);
        xml_put_node(&b, x, STR_NULL);
        r->form = arena_str(&r->arena, buf_str(&b));
        buf_done(&b);
    }
    if (r->form.len > PUSH_FORM_BYTES_MAX)
        return refuse(s, iq, "policy-violation", "the form is too long"), ERR_LIMIT;
    r->own = is_own(s->talk, &r->service);
    if (r->own && !web_read(r, x))
        return refuse(s, iq, "not-acceptable",
                      "the form must hold a browser's subscription: endpoint, p256dh and auth"),
               ERR_INVALID;
    return OK;
}

/* On anything but OK the client has its answer, here and in the next one. */
static enum err muted_take(struct session *s, const struct stanza *iq, const struct xml_node *mute, struct str *out)
{
    enum err e = push_muted_read(iq->arena, mute, out);

    if (e == ERR_LIMIT)
        refuse(s, iq, "policy-violation", "too many chats are muted");
    else if (e)
        refuse(s, iq, "jid-malformed", "the address of a muted chat is none");
    return e;
}

static enum err registration_read(struct session *s, const struct stanza *iq, struct push_registration *r)
{
    struct str jid = xml_attr(iq->payload, "jid"), node = xml_attr(iq->payload, "node"), muted;
    enum err e;

    if (jid.len == 0)
        return refuse(s, iq, "bad-request", "the service's jid is missing"), ERR_INVALID;
    if (jid_parse(&r->arena, arena_str(&r->arena, jid), &r->service) != OK)
        return refuse(s, iq, "jid-malformed", NULL), ERR_INVALID;
    if (node.len > PUSH_NODE_BYTES_MAX)
        return refuse(s, iq, "bad-request", "the node's name is too long"), ERR_LIMIT;
    if (host_is_ours(s->talk, r->service.domain) && !is_own(s->talk, &r->service) && !r->service.local.len)
        return refuse(s, iq, "not-acceptable", "that is no push service"), ERR_INVALID;
    r->node = arena_str(&r->arena, node.p ? node : STR(""));
    r->resource = arena_str(&r->arena, s->jid.resource);
    show_read(r, iq->payload);
    e = muted_take(s, iq, xml_child(iq->payload, "mute", NS_PUSH_OWN), &muted);
    if (e)
        return e;
    r->muted = push_muted_copy(muted);
    return form_take(s, iq, r);
}

/* §5: the same service and node: the last request holds. */
static void replace_same(struct person *p, struct push_registration *r, struct push_op *o)
{
    for (int i = 0; p->push && i < p->push->count; i++) {
        struct push_registration *old = p->push->items[i];

        if (!str_eq(old->service.full, r->service.full) || !str_eq(old->node, r->node))
            continue;
        if (str_eq(old->form, r->form)) /* it leads where it led: what waits for it stays good */
            r->id = old->id;
        drop(p, i);
        break;
    }
    if (p->push && p->push->count >= PUSH_REGISTRATIONS_MAX) {
        o->evicted = p->push->items[0]->id;
        drop(p, 0);
    }
}

static enum err enable_set(struct session *s, const struct stanza *iq)
{
    struct push_registration *r;
    struct push_op *o;

    if (!asks_for_self(s, iq))
        return ERR_DENIED;
    r = NEW(struct push_registration);
    arena_init(&r->arena);
    if (registration_read(s, iq, r) != OK) {
        registration_free(r);
        return OK;
    }
    o = op_new(s->person);
    r->id = (int64_t)(random_u64() >> 3) | 1;
    r->at = talk_log_id(s->talk);
    replace_same(s->person, r, o);
    add(s->person, r);
    o->same = o->insert = true;
    o->id = r->id;
    o->at = r->at;
    o->shows = (r->sender ? SHOW_SENDER : 0) | (r->body ? SHOW_BODY : 0);
    o->service = arena_str(&o->arena, r->service.full);
    o->node = arena_str(&o->arena, r->node);
    o->resource = arena_str(&o->arena, r->resource);
    o->form = r->form.len ? arena_str(&o->arena, r->form) : STR("");
    o->muted = arena_str(&o->arena, r->muted);
    o->from_client = true;
    o->iq = iq_keep(s, iq);
    op_go(s, o);
    return OK;
}

static enum err disable_set(struct session *s, const struct stanza *iq)
{
    struct str jid = xml_attr(iq->payload, "jid"), node = xml_attr(iq->payload, "node");
    struct person *p = s->person;
    struct push_op *o;
    struct jid service;

    if (!asks_for_self(s, iq))
        return ERR_DENIED;
    if (jid.len == 0)
        return refuse(s, iq, "bad-request", "the service's jid is missing");
    if (jid_parse(iq->arena, arena_str(iq->arena, jid), &service) != OK)
        return refuse(s, iq, "jid-malformed", NULL);
    o = op_new(p);
    for (int i = p->push ? p->push->count - 1 : -1; p->push && i >= 0; i--)
        if (str_eq(p->push->items[i]->service.full, service.full) &&
            (!node.p || str_eq(p->push->items[i]->node, node)))
            drop(p, i);
    o->same = true;
    o->service = arena_str(&o->arena, service.full);
    o->node = node.p ? arena_str(&o->arena, node) : STR_NULL;
    o->from_client = true;
    o->iq = iq_keep(s, iq);
    op_go(s, o);
    return OK;
}

/* What is muted for all devices of the account that keep to it: one of them may be asleep, and enables push no more. */
static enum err mute_set(struct session *s, const struct stanza *iq)
{
    struct person *p = s->person;
    struct push_op *o;
    struct str muted;

    if (!asks_for_self(s, iq))
        return ERR_DENIED;
    if (muted_take(s, iq, iq->payload, &muted) != OK)
        return OK;
    for (int i = 0; p->push && i < p->push->count; i++)
        if (p->push->items[i]->muted.len) {
            free((char *)p->push->items[i]->muted.p);
            p->push->items[i]->muted = push_muted_copy(muted);
        }
    o = op_new(p);
    o->mute = true;
    o->muted = arena_str(&o->arena, muted);
    o->from_client = true;
    o->iq = iq_keep(s, iq);
    op_go(s, o);
    return OK;
}

/* ---- our own service: push.town.example ---- */

static void info_put(const struct talk *t, struct buf *b)
{
    struct str key = push_vapid_key(t);

    BUF_LIT(b, "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='pubsub' type='push' "
               "name='Web Push'/>"
               "<feature var='http://jabber.org/protocol/disco#info'/><feature var='" NS_PUSH "'/>");
    if (key.len) {
        form_open(b, FORM_RESULT, NS_PUSH_OWN, NULL, NULL);
        form_put_value(b, "vapid-key", key);
        form_close(b);
    }
    BUF_LIT(b, "</query>");
}

static void info_later(struct talk *t, void *arg)
{
    struct iq_later *iq = arg;
    struct buf b;

    buf_init(&b, 0);
    info_put(t, &b);
    iq_later_result(t, iq, buf_str(&b));
    buf_done(&b);
    free(iq);
}

static enum err host_info(struct session *s, const struct stanza *iq)
{
    struct iq_later later;
    struct buf *b;

    if (xml_attr(iq->payload, "node").len)
        return ERR_NOT_FOUND;
    if (!push_vapid_key(s->talk).len) { /* courier is starting */
        struct iq_later *kept;

        later = iq_keep(s, iq);
        kept = mem_copy(&later, sizeof later);
        if (push_vapid_key_ask(s->talk, info_later, kept) != OK)
            info_later(s->talk, kept);
        return OK;
    }
    b = talk_scratch(s->talk);
    info_put(s->talk, b);
    return iq_result_str(s, iq, buf_str(b));
}

static enum err host_items(struct session *s, const struct stanza *iq)
{
    return iq_result(s, iq, "<query xmlns='http://jabber.org/protocol/disco#items'/>");
}

static const struct iq_handler host_iqs[] = {
    {"query", "http://jabber.org/protocol/disco#info", 0, host_info, NULL},
    {"query", "http://jabber.org/protocol/disco#items", 0, host_items, NULL},
    {0},
};

static void host_take(struct session *from, const struct stanza *st)
{
    if (st->kind == STANZA_IQ)
        host_iq(from, st, host_iqs);
    else if (st->kind == STANZA_MESSAGE)
        session_bounce(from, st, "cancel", "service-unavailable", NULL);
}

static const struct host push_host = {
    .prefix = "push", .category = "pubsub", .type = "push", .name = "Web Push", .take = host_take};

static bool is_own(const struct talk *t, const struct jid *service)
{
    return !service->local.len && str_eq(service->domain, host_domain(t, &push_host));
}

/* ---- life ---- */

static void said_in_room(struct talk *t, const struct room *r, struct str member, struct str kept, int64_t shown)
{
    (void)shown;
    push_room_message(t, member, r->bare, kept);
}

static void push_init(struct talk *t)
{
    rooms_on_absent(said_in_room);
    push_notify_init(t);
    push_publish_init(t);
}

static void push_tick(struct talk *t)
{
    push_notify_tick(t);
    push_publish_tick(t);
}

static const struct iq_handler push_iqs[] = {
    {"enable", NS_PUSH, IQ_TO_SELF | IQ_TO_OTHER, NULL, enable_set},
    {"disable", NS_PUSH, IQ_TO_SELF | IQ_TO_OTHER, NULL, disable_set},
    {"mute", NS_PUSH_OWN, IQ_TO_SELF | IQ_TO_OTHER, NULL, mute_set},
    {0},
};
static const struct owned push_owned[] = {{"push"}, {"push_due"}, {0}};
static const char *const push_disco[] = {NS_PUSH, NULL};

const struct feature xep0357_push = {
    .spec = "XEP-0357 0.4.1",
    .title = "Push Notifications",
    .note = "and a Web Push service of our own, push.DOMAIN",
    .disco_account = push_disco,
    .iqs = push_iqs,
    .host = &push_host,
    .migrations = push_migrations,
    .owned = push_owned,
    .person_loaded = push_loaded,
    .person_deleted = push_deleted,
    .bound = push_notify_bound,
    .ended = push_notify_ended,
    .init = push_init,
    .tick = push_tick,
};
