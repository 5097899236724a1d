/* devices.c: see devices.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/devices.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "talk/archive.h"
#include "talk/follow.h"
#include "talk/message.h"
#include "talk/nodes.h"
#include "talk/offline.h"
#include <stdlib.h>

const struct db_migration devices_migrations[] = {
    { 1, "device",
      "CREATE TABLE device(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, node INTEGER NOT NULL, resource TEXT NOT NULL,"
      " priority INTEGER NOT NULL, reach INTEGER NOT NULL);"
      "CREATE INDEX device_owner ON device(owner);"
      "CREATE INDEX device_node ON device(node);"
      "CREATE TABLE node(id INTEGER PRIMARY KEY, beat INTEGER NOT NULL);" },
    { 2, "device", "ALTER TABLE device ADD COLUMN since INTEGER NOT NULL DEFAULT 0;" },
    { 3, "device", "ALTER TABLE device ADD COLUMN agent INTEGER NOT NULL DEFAULT 0;" },
    { 4, "device", "ALTER TABLE node ADD COLUMN place INTEGER NOT NULL DEFAULT 0;" },      /* all before it had come there at the last beat */
    { 0 },
};

static struct db_sql device_write = {
    "INSERT INTO device(id, owner, node, resource, priority, reach, since, agent)"
    " SELECT ?1, ?2, ?3, ?4, ?5, ?6, last + ?7, ?8 FROM log_order WHERE one = 1"
    " ON CONFLICT(id) DO UPDATE SET node = excluded.node, priority = excluded.priority, reach = excluded.reach, agent = excluded.agent,"
    " since = CASE WHEN device.reach = 0 THEN excluded.since ELSE device.since END" };
static struct db_sql device_delete = { "DELETE FROM device WHERE id = ?1 AND node = ?2" };
static struct db_sql node_delete = {
    "DELETE FROM device WHERE node = ?1 AND coalesce((SELECT beat FROM node WHERE id = ?1), 0) = ?2" };
static struct db_sql beat_delete = { "DELETE FROM node WHERE id = ?1 AND beat = ?2" };
static struct db_sql devices_select = { "SELECT id, node, resource, priority, reach, agent FROM device WHERE owner = ?1 AND node <> ?2" };

/* What came for the owner behind a place, if nobody took messages then; who has come since has not been sent it. */
static struct db_sql aside_behind = {
    "INSERT INTO offline(owner, id) SELECT l.owner, l.id FROM log l CROSS JOIN message m ON m.id = l.id"
    " WHERE l.owner = ?1 AND l.id > ?2 AND m.recipient = ?1"
    " AND NOT EXISTS (SELECT 1 FROM device WHERE owner = ?1 AND reach <> 0 AND since < l.id)"
    " ON CONFLICT DO NOTHING" };

/* What the devices of a worker that died may not have been given any more: behind its last known place, where no other device was.
 * A stream that can be resumed has its own place, and is asked for (xep0198_move.c). */
static struct db_sql node_aside = {
    "INSERT INTO offline(owner, id) SELECT DISTINCT l.owner, l.id FROM node n JOIN device d ON d.node = n.id"
    " JOIN log l ON l.owner = d.owner AND l.id > n.place AND l.id > d.since JOIN message m ON m.id = l.id AND m.recipient = l.owner"
    " WHERE n.id = ?1 AND n.beat = ?2 AND n.place > 0 AND d.reach <> 0"
    " AND NOT EXISTS (SELECT 1 FROM stream s JOIN person p ON p.user = s.user"
    " WHERE p.id = d.owner AND s.node = ?1 AND s.resource = d.resource)"
    " AND NOT EXISTS (SELECT 1 FROM device o WHERE o.owner = d.owner AND o.node <> ?1 AND o.reach <> 0 AND o.since < l.id)"
    " ORDER BY l.id ON CONFLICT DO NOTHING RETURNING id" };
static struct db_sql aside_select = {
    "SELECT DISTINCT p.user FROM offline o JOIN person p ON p.id = o.owner WHERE o.id >= ?1 LIMIT ?2" };

/* ---- what others have ---- */

static void device_put(struct person *p, const struct device *d)
{
    p->devices = mem_resize(p->devices, sizeof *p->devices * (size_t)(p->device_count + 1));
    p->devices[p->device_count++] = *d;
}

static void device_drop(struct person *p, int at)
{
    free(p->devices[at].resource);
    p->devices[at] = p->devices[--p->device_count];
}

static int device_at(const struct person *p, int64_t key)
{
    for (int i = 0; i < p->device_count; i++)
        if (p->devices[i].key == key)
            return i;
    return -1;
}

void devices_load(struct person *p, struct db_conn *c)
{
    struct db_stmt *row = db_prepare(c, &devices_select);

    db_bind_i64(row, 1, p->id);
    db_bind_i64(row, 2, p->talk->node);
    while (db_step(row) == OK) {
        struct device d = { .key = db_i64(row, 0), .node = db_i64(row, 1), .resource = str_dup(db_text(row, 2)),
                            .priority = (int8_t)db_i64(row, 3), .reach = db_i64(row, 4) != 0, .agent = db_i64(row, 5) };
        device_put(p, &d);
    }
    db_done(row);
}

void devices_free(struct person *p)
{
    while (p->device_count)
        device_drop(p, p->device_count - 1);
    free(p->devices);
    p->devices = NULL;
}

static void found_again(struct person *p, bool before)
{
    if (!before && devices_reach(p))
        message_tell_found(p->talk);
}

void devices_take(struct person *p, struct person *fresh)
{
    bool before = devices_reach(p);

    devices_free(p);
    p->devices = fresh->devices;
    p->device_count = fresh->device_count;
    fresh->devices = NULL;
    fresh->device_count = 0;
    found_again(p, before);
}

void devices_event(struct person *p, const struct event *e)
{
    bool          before = devices_reach(p);
    int           at = device_at(p, e->key);
    struct device d = { .key = e->key, .node = e->node, .priority = (int8_t)e->number, .reach = (e->flags & EVENT_REACH) != 0,
                        .agent = e->shown };

    if (at >= 0)
        device_drop(p, at);
    if (e->flags & EVENT_ASIDE)
        offline_stored(p);
    if (e->flags & EVENT_GONE)
        return;
    d.resource = str_dup(e->jid);
    device_put(p, &d);
    found_again(p, before);
}

struct device *device_find(struct person *p, struct str resource)
{
    for (int i = 0; i < p->device_count; i++)
        if (str_is(resource, p->devices[i].resource) && node_alive(p->talk, p->devices[i].node))
            return &p->devices[i];
    return NULL;
}

bool devices_reach(const struct person *p)
{
    for (int i = 0; i < p->device_count; i++)
        if (p->devices[i].reach && node_alive(p->talk, p->devices[i].node))
            return true;
    return false;
}

/* ---- ours ---- */

struct device_op {
    struct change  change;
    struct person *person;
    uint64_t       session_id;      /* not the change's: what a client sends does not wait for this row */
    int64_t        key, owner, node, priority, agent;
    bool           gone, reach, left;   /* left: it took messages until now… */
    int64_t        seen;                /* …and had seen its owner's log so far */
    char          *resource;
};

static enum err device_apply(struct db_conn *c, struct change *ch)
{
    struct device_op *o = (struct device_op *)ch;
    enum err          e = archive_order_take(c, &ch->talk->order);

    if (e)
        return e;
    if (o->gone)
        e = db_run(c, &device_delete, "ii", o->key, o->node);
    else
        e = db_run(c, &device_write, "iiisiiii", o->key, o->owner, o->node, str_of(o->resource), o->priority, (int64_t)o->reach,
                   (int64_t)ch->talk->order.count, o->agent);
    /* Until this moment its row said that somebody is there: what was stored meanwhile has found nobody. */
    return e || !o->left ? e : db_run(c, &aside_behind, "ii", o->owner, o->seen);
}

static void tell(struct talk *t, const struct device_op *o)
{
    event_send(t, &(struct event){ .kind = EVENT_DEVICE, .local = o->person->jid.local, .key = o->key, .node = o->node,
                                   .jid = str_of(o->resource), .number = o->priority, .shown = o->agent,
                                   .flags = (o->gone ? EVENT_GONE : 0) | (o->reach ? EVENT_REACH : 0) | (o->left ? EVENT_ASIDE : 0) });
}

static void device_done(struct talk *t, struct change *ch, enum err e)
{
    struct device_op *o = (struct device_op *)ch;
    struct session   *s = o->gone ? NULL : session_find(t, o->session_id);

    if (e) {
        LOG_WARN("device.failed", LF_STR("user", o->person->jid.local), LF_ERR(e));
    } else {
        tell(t, o);
        if (s && o->reach && session_takes_messages(s))
            offline_deliver(s);
        if (o->left)
            offline_stored(o->person);
    }
    if (o->reach)
        offline_settled(o->person);
    person_unref(o->person);
    free(o->resource);
    free(o);
}

/* Before the row is durable: whoever answers at once must find the device. */
static void tell_now(const struct session *s)
{
    event_send(s->talk, &(struct event){ .kind = EVENT_DEVICE, .local = s->jid.local, .key = s->key, .node = s->talk->node,
                                         .jid = s->jid.resource, .number = s->priority, .shown = s->agent,
                                         .flags = s->reached ? EVENT_REACH : 0 });
}

void devices_tell(struct person *p)
{
    LIST_EACH(it, &p->sessions) {
        const struct session *s = LIST_ITEM(it, struct session, in_person);

        if (s->key && !s->closing)
            tell_now(s);
    }
}

static void queue(struct session *s, bool gone)
{
    struct talk      *t = s->talk;
    struct device_op *o = NEW(struct device_op);

    o->change.apply = device_apply;
    o->change.done = device_done;
    o->person = s->person;
    o->session_id = s->id;
    o->key = s->key;
    o->owner = person_number(s->person);
    o->node = t->node;
    o->priority = s->priority;
    o->agent = s->agent;
    o->gone = gone;
    o->reach = !gone && session_takes_messages(s);
    o->left = s->reached && !o->reach;
    o->seen = s->person->log_last;
    s->reached = o->reach;
    o->resource = str_dup(s->jid.resource);
    person_ref(o->person);
    if (o->reach) {
        o->person->has_offline = true;      /* until it was looked at */
        o->person->offline_pending++;
    }
    if (session_change(NULL, t, &o->change) != OK)
        device_done(t, &o->change, ERR_LIMIT);
}

void device_changed(struct session *s)
{
    if (!s->talk->shared || !s->key)
        return;
    queue(s, false);
    tell_now(s);
}

void device_presence(struct session *s)
{
    bool was = s->reached;

    if (!s->key || was == session_takes_messages(s))
        return;
    device_changed(s);
    if (!was) {
        s->reached_us = clock_us();
        follow_ask_pending(s->person);
    }
}

void device_gone(struct session *s)
{
    if (s->talk->shared && s->key && !s->talk->stopping_hard)
        queue(s, true);
}

/* Others may have deleted the rows of a worker that they did not hear. */
void devices_tell_all(struct talk *t)
{
    LIST_EACH(it, &t->sessions_all) {
        struct session *s = LIST_ITEM(it, struct session, in_talk);

        if (s->state == SESSION_BOUND || s->state == SESSION_DETACHED)
            device_changed(s);
    }
}

void devices_announce_all(struct talk *t)
{
    LIST_EACH(it, &t->sessions_all) {
        struct session *s = LIST_ITEM(it, struct session, in_talk);

        if (s->key && !s->closing)
            tell_now(s);
    }
}

/* ---- a worker is gone ---- */

enum { BEREAVED_MAX = 4096 };       /* told at once; the others look when they come again */

struct node_op {
    struct change change;
    int64_t       node, beat, aside, asides;    /* the first message that was put aside, and how many were */
};

/* Whose messages were put aside: those who are at another worker by now look. */
struct bereaved {
    struct db_read read;
    struct talk   *talk;
    int64_t        from;
    int            count;
    struct arena   arena;
    struct str     names[BEREAVED_MAX];
};

static enum err bereaved_read(struct db_conn *c, struct db_read *self)
{
    struct bereaved *b = (struct bereaved *)self;
    struct db_stmt  *s = db_prepare(c, &aside_select);
    enum err         e;

    db_bind_i64(s, 1, b->from);
    db_bind_i64(s, 2, BEREAVED_MAX);
    while ((e = db_step(s)) == OK && b->count < BEREAVED_MAX)
        b->names[b->count++] = arena_str(&b->arena, db_text(s, 0));
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void bereaved_told(struct db_read *self, enum err e)
{
    struct bereaved *b = (struct bereaved *)self;

    for (int i = 0; !e && i < b->count; i++) {
        struct person *p = strmap_get(&b->talk->persons, b->names[i]);

        if (p)
            offline_stored(p);
        event_send(b->talk, &(struct event){ .kind = EVENT_DEVICE, .local = b->names[i], .flags = EVENT_GONE | EVENT_ASIDE });
    }
    arena_done(&b->arena);
    free(b);
}

static void tell_bereaved(struct talk *t, int64_t from)
{
    struct bereaved *b = NEW(struct bereaved);

    b->read = (struct db_read){ .work = bereaved_read, .done = bereaved_told, .class = DB_READ_PATIENT };     /* it looks through all that waits */
    b->talk = t;
    b->from = from;
    arena_init(&b->arena);
    if (db_read_start(t->db, &b->read) != OK)
        bereaved_told(&b->read, ERR_LIMIT);     /* it waits for their next coming */
}

static enum err node_apply(struct db_conn *c, struct change *ch)
{
    struct node_op *o = (struct node_op *)ch;
    enum err        e = archive_order_take(c, &ch->talk->order);

    if (!e)
        e = db_run_later(c, &node_aside, &o->aside, 1, &o->asides, "ii", o->node, o->beat);
    if (!e)
        e = db_run(c, &node_delete, "ii", o->node, o->beat);
    return e ? e : db_run(c, &beat_delete, "ii", o->node, o->beat);
}

static void node_done(struct talk *t, struct change *ch, enum err e)
{
    struct node_op *o = (struct node_op *)ch;

    if (!e && o->asides)        /* else another worker has done the same */
        tell_bereaved(t, o->aside);
    free(o);
}

void devices_node_died(struct talk *t, int64_t node)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&t->persons, &it, &key, &value);) {
        struct person *p = value;

        for (int i = p->device_count - 1; i >= 0; i--)
            if (p->devices[i].node == node)
                device_drop(p, i);
    }
}

void devices_delete_node(struct talk *t, int64_t node, int64_t beat)
{
    struct node_op *o = NEW(struct node_op);

    o->change.apply = node_apply;
    o->change.done = node_done;
    o->node = node;
    o->beat = beat;
    LOG_INFO("node.buried", LF_I64("node", node));
    if (session_change(NULL, t, &o->change) != OK)
        free(o);
}
