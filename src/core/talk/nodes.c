/* nodes.c: see nodes.h. Pulses, and what is done when they stop:
 *
 *   alive ──silent──▶ suspect ──dead──▶ its devices are not counted on ──its beats stop──▶ its rows go ──▶ forgotten
 *     ▲                  │ heard again           │ heard again
 *     └──────────────────┴───────────────────────┘
 *
 * From suspect on until its rows go, the log is read twice a second: it may be only we who do not hear it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/nodes.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "bus/codec.h"
#include "crypto/digest.h"
#include "talk/archive.h"
#include "talk/devices.h"
#include "talk/follow.h"
#include "talk/message.h"
#include "talk/xep/xep0163_pep.h"
#include "talk/rooms/room_far.h"
#include "talk/rooms/room_message.h"
#include "talk/xep/xep0198_move.h"
#include <stdio.h>
#include <stdlib.h>

METRIC_GAUGE(nodes_alive, "bongsu_talk_nodes", "Messengers that are heard, this one included.");
METRIC_COUNTER(events_sent, "bongsu_talk_events_sent", "Events told to other messengers.");
METRIC_COUNTER(events_taken, "bongsu_talk_events_taken", "Events of other messengers.");
METRIC_COUNTER(events_bad, "bongsu_talk_events_refused", "Events that could not be read.");
METRIC_COUNTER(repairs, "bongsu_talk_log_repairs", "Times the log was read because events may have been lost.");

enum {
    EVENT_VERSION = 1,
    EVENT_TEXT_MAX = 1000 * 1024,
    REPAIR_MS = 500,
    MARK_AFTER_MS = 1500,           /* after a break: what a worker stored before we missed it has been committed by then, or never */
    REPAIR_PAGE = 2000,
    REFRESH_AFTER_MS = 1000,
    HEART_MS = 1000,
    HEART_GAP_MS = 2000,
    COUNT_MS = 2000,
    BURY_AFTER_MS = 6000,
    CALM_MS = 1000,
};

struct node {
    int64_t id, heard_ms;
    uint64_t pulse;
    bool    suspect, dead;
    bool    has_rows;           /* dead, and the rows of its devices are still there */
    int64_t beat, beat_ms;      /* its count in the database, and when that was first read; 0: it was not */
    int64_t asked_ms;
};

struct nodes {
    struct talk  *talk;
    struct intmap all;              /* id → struct node; not this one */
    struct timer  beat;
    uint64_t      pulse;
    int64_t       sweep_ms;
    int64_t       broken_ms;        /* since when there is no connection; 0: there is */
    int64_t       refresh_ms;       /* when to read again what others may have changed unheard; 0: nothing was missed */
    int64_t       trouble_ms;       /* the last break; 0: all that was told since has been taken */
    int64_t       hearted_ms, heart_ms;     /* our last beat; the one under way */
    int64_t       gap_ms;           /* when a beat of ours had taken too long */
    int64_t       marked_ms, mark_ms;   /* a commit of ours after it has landed; is under way since */
    int64_t       missed_us;     /* events may have been lost since then; 0: none */
    int64_t       repaired_ms, calm_ms;
    int64_t       highest, calm, calm_next;   /* places in the log: heard of; all before is here; the one after that */
    int64_t       read_upto, read_before;     /* how far the last repair has come, and the one before it */
    bool          repairing;
    struct strmap routes;           /* full JID → struct route */
};

static void routes_clear(struct nodes *n)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&n->routes, &it, &key, &value);) {
        strmap_del(&n->routes, key);
        free(value);
    }
}

/* ---- events ---- */

void event_write(struct buf *b, const struct event *e, int64_t position)
{
    codec_begin(b, EVENT_VERSION);
    codec_put_u64(b, e->kind);
    codec_put_str(b, e->local);
    codec_put_u64(b, e->flags);
    codec_put_i64(b, e->key);
    codec_put_i64(b, e->node);
    codec_put_i64(b, e->id);
    codec_put_i64(b, e->before);
    codec_put_i64(b, e->shown);
    codec_put_i64(b, e->number);
    codec_put_i64(b, position);
    codec_put_str(b, e->jid);
    codec_put_str(b, e->text);
}

enum err event_read(struct str payload, struct event *out, int64_t *position)
{
    struct codec_reader r = codec_open(payload, EVENT_VERSION);
    uint64_t            kind = codec_u64(&r);

    *out = (struct event){ .kind = kind < EVENT_KINDS ? (enum event_kind)kind : 0 };
    out->local = codec_str(&r, JID_PART_BYTES_MAX);
    out->flags = (unsigned)codec_u64(&r);
    out->key = codec_i64(&r);
    out->node = codec_i64(&r);
    out->id = codec_i64(&r);
    out->before = codec_i64(&r);
    out->shown = codec_i64(&r);
    out->number = codec_i64(&r);
    *position = codec_i64(&r);
    out->jid = codec_str(&r, 3 * JID_PART_BYTES_MAX + 2);
    out->text = codec_str(&r, EVENT_TEXT_MAX);
    return codec_ok(&r) && out->kind ? OK : ERR_INVALID;
}

static void person_subject(const struct talk *t, struct str local, char out[NODE_SUBJECT_BYTES])
{
    snprintf(out, NODE_SUBJECT_BYTES, "person.%016llx",
             (unsigned long long)hash_bytes_keyed(t->origin_key, local.p, local.len));
}

void nodes_subject(char out[NODE_SUBJECT_BYTES], int64_t node, const char *verb)
{
    snprintf(out, NODE_SUBJECT_BYTES, "node.%016llx%s%s", (unsigned long long)node, *verb ? "." : "", verb);
}

static void publish(struct talk *t, const char *subject, const struct event *e)
{
    struct buf b;

    buf_init(&b, 0);
    event_write(&b, e, db_position(t->db));
    if (bus_publish(t->wide, subject, buf_str(&b)) == OK)
        metric_add(&events_sent, 1);
    buf_done(&b);
}

void event_send(struct talk *t, const struct event *e)
{
    char subject[NODE_SUBJECT_BYTES];

    if (!t->wide)
        return;
    person_subject(t, e->local, subject);
    publish(t, subject, e);
}

void event_send_node(struct talk *t, int64_t node, const struct event *e)
{
    char subject[NODE_SUBJECT_BYTES];

    if (!t->wide)
        return;
    nodes_subject(subject, node, "");
    publish(t, subject, e);
}

/* An event that says what follows from a change waits until the change has been read. */
struct held_event {
    struct buf payload;
};

static void event_later(struct talk *t, struct person *p, void *arg)
{
    struct held_event *h = arg;
    struct event       e;
    int64_t            position;

    if (p && event_read(buf_str(&h->payload), &e, &position) == OK)
        event_take(t, p, &e);
    buf_done(&h->payload);
    free(h);
}

static void event_hold(struct person *p, struct str payload)
{
    struct held_event *h = NEW(struct held_event);

    buf_init(&h->payload, 0);
    buf_put_str(&h->payload, payload);
    if (person_hold(p, event_later, h) == OK)
        return;
    metric_add(&events_bad, 1);
    buf_done(&h->payload);
    free(h);
}

static bool needs_lists(enum event_kind kind)
{
    switch (kind) {
    case EVENT_PRESENCE: case EVENT_STANZA: case EVENT_PROBE: case EVENT_SHOW: case EVENT_HIDE:
    case EVENT_ROSTER_PUSH: case EVENT_BLOCK_PUSH:
        return true;
    default:
        return false;
    }
}

/* Where a device is that has just asked something: its row may not be there yet when the answer comes. */
struct route {
    int64_t node, key, at_ms;
    size_t  len;
    char    jid[];
};

enum { ROUTES_MAX = 4096 };

static void route_learn(struct talk *t, const struct event *e)
{
    struct route *r;

    if (!e->jid.len || !e->node)
        return;
    r = strmap_get(&t->nodes->routes, e->jid);
    if (!r) {
        if (t->nodes->routes.count >= ROUTES_MAX)
            routes_clear(t->nodes);
        r = mem_new(sizeof *r + e->jid.len + 1);
        r->len = e->jid.len;
        memcpy(r->jid, e->jid.p, e->jid.len);
        strmap_put(&t->nodes->routes, str_make(r->jid, r->len), r);
    }
    r->node = e->node;
    r->key = e->number;
}

bool nodes_route(const struct talk *t, struct str full, int64_t *node, int64_t *key)
{
    const struct route *r = t->nodes ? strmap_get(&t->nodes->routes, full) : NULL;

    if (!r || !node_alive(t, r->node))
        return false;
    *node = r->node;
    *key = r->key;
    return true;
}

static void event_came(void *arg, struct str subject, struct str payload)
{
    struct talk  *t = arg;
    struct event  e;
    struct person *p;
    int64_t       position;

    (void)subject;
    if (FAULT("talk.event"))        /* a bus may lose any of them */
        return;
    if (event_read(payload, &e, &position) != OK) {
        metric_add(&events_bad, 1);
        return;
    }
    metric_add(&events_taken, 1);
    db_position_need(t->db, position);
    if (e.kind == EVENT_LOGGED)
        nodes_note_id(t, e.id);
    if (e.kind == EVENT_TO_DEVICE)
        route_learn(t, &e);
    arena_reset(&t->round);
    p = person_known(t, e.local);
    if (p && p->reloading && needs_lists(e.kind))
        event_hold(p, payload);
    else if (p)
        event_take(t, p, &e);
    else if (e.kind == EVENT_TO_DEVICE)
        event_for_nobody(t, &e);
    else if (e.kind == EVENT_CHANGED)
        person_load_again(t, e.local);      /* it is being read just now, perhaps from before the change */
    else if (e.kind == EVENT_DEVICE && (p = person_loading(t, e.local)))
        event_hold(p, payload);
    arena_reset(&t->round);
}

void nodes_person_enter(struct talk *t, struct str local)
{
    char subject[NODE_SUBJECT_BYTES];

    if (!t->wide)
        return;
    person_subject(t, local, subject);
    bus_subscribe(t->wide, subject, event_came, t);
}

void nodes_person_leave(struct talk *t, struct str local)
{
    char subject[NODE_SUBJECT_BYTES];

    if (!t->wide)
        return;
    person_subject(t, local, subject);
    bus_unsubscribe(t->wide, subject, event_came, t);
}

/* ---- what was missed ---- */

void nodes_note_id(struct talk *t, int64_t id)
{
    if (t->nodes && id > t->nodes->highest)
        t->nodes->highest = id;
}

struct repair_row { int64_t id, sender, recipient; };
struct repair {
    struct db_read    read;
    struct talk      *talk;
    int64_t           from, started_ms;
    int               count;
    struct repair_row rows[REPAIR_PAGE];
};

static struct db_sql repair_page = { "SELECT id, sender, recipient FROM message WHERE id > ?1 ORDER BY id LIMIT ?2" };

static enum err repair_work(struct db_conn *c, struct db_read *self)
{
    struct repair  *r = (struct repair *)self;
    struct db_stmt *s = db_prepare(c, &repair_page);
    enum err        e;

    db_bind_i64(s, 1, r->from);
    db_bind_i64(s, 2, REPAIR_PAGE);
    while ((e = db_step(s)) == OK && r->count < REPAIR_PAGE)
        r->rows[r->count++] = (struct repair_row){ db_i64(s, 0), db_i64(s, 1), db_i64(s, 2) };
    db_done(s);
    return e == ERR_NOT_FOUND || e == OK ? OK : e;
}

static void repair_start(struct talk *t, int64_t from, int64_t started_ms);

static void repair_done(struct db_read *self, enum err e)
{
    struct repair *r = (struct repair *)self;
    struct talk   *t = r->talk;
    struct nodes  *n = t->nodes;

    if (n)
        n->repairing = false;
    for (int i = 0; n && !e && i < r->count; i++) {
        struct person *p = intmap_get(&t->persons_by_id, r->rows[i].recipient);

        nodes_note_id(t, r->rows[i].id);
        n->read_upto = r->rows[i].id;
        if (p)
            follow_to(p, r->rows[i].id);
        room_follow_to(t, r->rows[i].recipient, r->rows[i].id);
        p = intmap_get(&t->persons_by_id, r->rows[i].sender);
        if (p)
            follow_to(p, r->rows[i].id);
    }
    if (n && !e && r->count == REPAIR_PAGE)
        repair_start(t, r->rows[r->count - 1].id, r->started_ms);
    else if (n && !e && n->marked_ms && r->started_ms > n->marked_ms)
        n->trouble_ms = 0;      /* read to the end, of a log that has all from before the mark */
    free(r);
}

static void repair_start(struct talk *t, int64_t from, int64_t started_ms)
{
    struct repair *r;

    if (t->nodes->repairing)
        return;
    r = NEW(struct repair);
    r->read = (struct db_read){ .work = repair_work, .done = repair_done, .class = DB_READ_URGENT };
    r->talk = t;
    r->from = from;
    r->started_ms = started_ms;
    t->nodes->repairing = true;
    metric_add(&repairs, 1);
    if (db_read_start(t->db, &r->read) != OK)
        repair_done(&r->read, ERR_LIMIT);
}

static void trouble(struct nodes *n)
{
    n->trouble_ms = loop_now_ms(n->talk->loop);
    n->marked_ms = 0;
}

/* A replica may be read that has not yet what a lost worker had stored. A commit of our own, made a while after the break, stands
 * behind all that: what is read with its position in mind is whole. */
static enum err mark_apply(struct db_conn *c, struct change *ch)
{
    return archive_order_take(c, &ch->talk->order);
}

static void mark_done(struct talk *t, struct change *ch, enum err e)
{
    struct nodes *n = t->nodes;

    free(ch);
    if (!n)
        return;
    if (!e && n->trouble_ms && n->mark_ms - n->trouble_ms >= MARK_AFTER_MS)
        n->marked_ms = loop_now_ms(t->loop);
    n->mark_ms = 0;
}

static void mark(struct nodes *n, int64_t now)
{
    struct change *c;

    if (!n->trouble_ms || n->marked_ms || n->mark_ms || now - n->trouble_ms < MARK_AFTER_MS)
        return;
    c = NEW(struct change);
    c->apply = mark_apply;
    c->done = mark_done;
    if (session_change(NULL, n->talk, c) == OK)
        n->mark_ms = now;
    else
        free(c);
}

/* While all is well the border of what is certainly here moves on, two steps behind what was heard. */
static void look_at_log(struct nodes *n, int64_t now, bool all_heard)
{
    mark(n, now);
    if (n->trouble_ms || !all_heard) {
        if (now - n->repaired_ms >= REPAIR_MS) {
            n->repaired_ms = now;
            /* Places are given in the order of commits, so none comes before one that was read. Two readings back, for people who
             * were being loaded meanwhile. */
            n->calm = n->read_before > n->calm ? n->read_before : n->calm;
            n->read_before = n->read_upto;
            repair_start(n->talk, n->calm, now);
        }
    } else if (now - n->calm_ms >= CALM_MS) {
        n->calm_ms = now;
        n->calm = n->calm_next > n->calm ? n->calm_next : n->calm;
        n->calm_next = n->highest;
    }
}

static struct node *node_of(struct nodes *n, int64_t id)
{
    struct node *o = intmap_get(&n->all, id);

    if (o || n->all.count >= NODES_MAX)
        return o;
    o = NEW(struct node);
    o->id = id;
    intmap_put(&n->all, id, o);
    return o;
}

/* ---- workers that nobody has heard for long, or ever: those that died while nobody looked ---- */

enum { SWEEP_FIRST_MS = 3000, SWEEP_MS = 30000, SWEEP_MAX = 64 };

struct sweep {
    struct db_read read;
    struct talk   *talk;
    int            count;
    int64_t        nodes[SWEEP_MAX];
};

static struct db_sql nodes_in_table = { "SELECT node FROM device UNION SELECT node FROM room_occupant LIMIT 64" };

static enum err sweep_work(struct db_conn *c, struct db_read *self)
{
    struct sweep   *w = (struct sweep *)self;
    struct db_stmt *s = db_prepare(c, &nodes_in_table);
    enum err        e;

    while ((e = db_step(s)) == OK && w->count < SWEEP_MAX)
        w->nodes[w->count++] = db_i64(s, 0);
    db_done(s);
    return e == ERR_NOT_FOUND || e == OK ? OK : e;
}

static void sweep_done(struct db_read *self, enum err e)
{
    struct sweep *w = (struct sweep *)self;
    struct nodes *n = w->talk->nodes;

    for (int i = 0; n && !e && i < w->count; i++) {
        struct node *o = w->nodes[i] == w->talk->node ? NULL : node_of(n, w->nodes[i]);

        if (!o || (o->heard_ms && !o->dead))
            continue;
        if (!o->heard_ms)
            o->heard_ms = loop_now_ms(w->talk->loop);       /* to be forgotten like one that was heard */
        o->dead = o->suspect = o->has_rows = true;
    }
    free(w);
}

static void sweep(struct nodes *n, int64_t now)
{
    struct sweep *w;

    if (!bus_connected(n->talk->wide)) {
        n->sweep_ms = now + SWEEP_FIRST_MS;     /* counted anew from the connection on */
        return;
    }
    if (now < n->sweep_ms)
        return;
    n->sweep_ms = now + SWEEP_MS;
    w = NEW(struct sweep);
    w->read = (struct db_read){ .work = sweep_work, .done = sweep_done };
    w->talk = n->talk;
    if (db_read_start(n->talk->db, &w->read) != OK)
        free(w);
}

/* ---- pulses ---- */

bool node_alive(const struct talk *t, int64_t node)
{
    const struct node *n;

    if (node == t->node)
        return true;
    n = t->nodes ? intmap_get(&t->nodes->all, node) : NULL;
    return n && !n->dead && loop_now_ms(t->loop) - n->heard_ms < NODE_SILENT_MS;
}

int nodes_count(const struct talk *t)
{
    int64_t id;
    void   *value;
    int     count = 1;

    for (size_t it = 0; t->nodes && intmap_next(&t->nodes->all, &it, &id, &value);)
        count += node_alive(t, id);
    return count;
}

enum { PULSE_LAST = 1 };

static void pulse_send(struct nodes *n, unsigned flags)
{
    struct talk *t = n->talk;
    struct buf   b;

    buf_init(&b, 0);
    codec_begin(&b, EVENT_VERSION);
    codec_put_i64(&b, t->node);
    codec_put_u64(&b, ++n->pulse);
    codec_put_u64(&b, flags);
    codec_put_i64(&b, n->highest);
    codec_put_i64(&b, db_position(t->db));
    bus_publish(t->wide, "pulse", buf_str(&b));
    buf_done(&b);
}

static void node_died(struct nodes *n, struct node *o, const char *how)
{
    o->dead = o->has_rows = true;
    LOG_WARN("node.gone", LF_I64("node", o->id), LF_Z("how", how));
    devices_node_died(n->talk, o->id);
}

/* ---- beats: each worker counts in the database, once a second ----
 *
 * Who hears nobody may be cut off itself, so silence on the bus condemns no rows. A dead worker's count is read again and again, and its
 * rows go only when it has been the same for BURY_AFTER_MS, while our own beats went well all the time. One that goes on counting is
 * only out of hearing, and the log tells what it stores (look_at_log) for as long as that lasts. Who could not commit for a while writes its
 * rows again with the first commit that it can make: they may be gone. */

struct beat_op {
    struct change change;
    int64_t       started_ms, place;
};

static struct db_sql beat_write = {
    "INSERT INTO node(id, beat, place) VALUES (?1, 1, ?2) ON CONFLICT(id) DO UPDATE SET beat = node.beat + 1, place = excluded.place" };
static struct db_sql beat_read = { "SELECT beat FROM node WHERE id = ?1" };

static enum err heart_apply(struct db_conn *c, struct change *ch)
{
    return db_run(c, &beat_write, "ii", ch->talk->node, ((struct beat_op *)ch)->place);
}

static void heart_done(struct talk *t, struct change *ch, enum err e)
{
    struct nodes *n = t->nodes;
    int64_t       started_ms = ((struct beat_op *)ch)->started_ms;

    free(ch);
    if (!n)
        return;
    n->heart_ms = 0;
    if (!e && loop_now_ms(t->loop) - started_ms <= HEART_GAP_MS)
        return;
    n->gap_ms = loop_now_ms(t->loop);
    devices_tell_all(t);
}

static void heart(struct nodes *n, int64_t now)
{
    struct beat_op *o;

    if (n->heart_ms || now - n->hearted_ms < HEART_MS)
        return;
    o = NEW(struct beat_op);
    o->change.apply = heart_apply;
    o->change.done = heart_done;
    o->started_ms = now;
    o->place = n->calm;
    if (session_change(NULL, n->talk, &o->change) == OK)
        n->heart_ms = n->hearted_ms = now;
    else
        free(o);
}

struct count_op {
    struct change change;
    int64_t       node, beat, rows;
};

static enum err count_apply(struct db_conn *c, struct change *ch)
{
    struct count_op *o = (struct count_op *)ch;

    return db_run_later(c, &beat_read, &o->beat, 1, &o->rows, "i", o->node);
}

static void counted(struct talk *t, struct change *ch, enum err e)
{
    struct count_op *o = (struct count_op *)ch;
    struct node     *d = t->nodes ? intmap_get(&t->nodes->all, o->node) : NULL;

    int64_t          beat = o->rows ? o->beat : 0;

    if (d && d->dead && !e && (!d->beat_ms || beat != d->beat)) {
        d->beat = beat;
        d->beat_ms = loop_now_ms(t->loop);
    }
    free(o);
}

static void count(struct nodes *n, struct node *d, int64_t now)
{
    struct count_op *o = NEW(struct count_op);

    o->change.apply = count_apply;
    o->change.done = counted;
    o->node = d->id;
    d->asked_ms = now;
    if (session_change(NULL, n->talk, &o->change) != OK)
        free(o);
}

static void bury(struct nodes *n, int64_t now)
{
    int64_t id;
    void   *value;

    for (size_t it = 0; intmap_next(&n->all, &it, &id, &value);) {
        struct node *d = value;

        if (!d->dead || !d->has_rows || (n->heart_ms && now - n->heart_ms > HEART_GAP_MS))
            continue;
        if (n->gap_ms && n->gap_ms >= d->beat_ms)
            d->beat_ms = 0;
        if (d->beat_ms && now - d->beat_ms > BURY_AFTER_MS) {
            d->has_rows = false;
            devices_delete_node(n->talk, d->id, d->beat);
            rooms_node_buried(n->talk, d->id);
        } else if (now - d->asked_ms > COUNT_MS) {
            count(n, d, now);
        }
    }
}

static void pulse_came(void *arg, struct str subject, struct str payload)
{
    struct talk        *t = arg;
    struct nodes       *n = t->nodes;
    struct codec_reader r = codec_open(payload, EVENT_VERSION);
    int64_t             id = codec_i64(&r);
    uint64_t            pulse = codec_u64(&r), flags = codec_u64(&r);
    int64_t             highest = codec_i64(&r), position = codec_i64(&r);
    struct node        *o;
    bool                was_silent;

    (void)subject;
    if (!codec_ok(&r) || id == t->node)
        return;
    o = node_of(n, id);
    if (!o)
        return;
    if (o->suspect || !o->pulse || pulse != o->pulse + 1)
        trouble(n);
    if (!o->pulse || o->dead)
        LOG_INFO(o->pulse ? "node.back" : "node.found", LF_I64("node", id));
    if (o->dead && !(flags & PULSE_LAST)) {
        devices_announce_all(t);    /* it has forgotten ours */
        if (!n->refresh_ms)
            n->refresh_ms = loop_now_ms(t->loop) + REFRESH_AFTER_MS;
    }
    o->pulse = pulse;
    was_silent = loop_now_ms(t->loop) - o->heard_ms >= NODE_SILENT_MS;
    o->heard_ms = loop_now_ms(t->loop);
    o->suspect = o->dead = o->has_rows = false;
    o->beat_ms = 0;
    if (was_silent)
        message_tell_found(t);
    nodes_note_id(t, highest);
    db_position_need(t->db, position);
    if (flags & PULSE_LAST)
        node_died(n, o, "it said so");
}

static void beat(struct timer *timer)
{
    struct nodes *n = LIST_ITEM(timer, struct nodes, beat);
    int64_t       now = loop_now_ms(n->talk->loop), id;
    bool          all_heard = bus_connected(n->talk->wide);
    void         *value;

    timer_start(n->talk->loop, &n->beat, NODE_PULSE_MS, beat);
    pulse_send(n, 0);
    for (size_t it = 0; intmap_next(&n->all, &it, &id, &value);) {
        struct node *o = value;
        int64_t      silent = now - o->heard_ms;

        if (silent > NODE_FORGET_MS && !o->has_rows) {
            intmap_del(&n->all, id);
            free(o);
            continue;
        }
        if (silent > 3 * NODE_PULSE_MS && !o->suspect) {
            o->suspect = true;
            trouble(n);
        }
        if (o->suspect && (!o->dead || o->has_rows))
            all_heard = false;
        /* Cut off ourselves, we hear nobody: that tells nothing of them. */
        if (silent > NODE_DEAD_MS && !o->dead && bus_connected(n->talk->wide))
            node_died(n, o, "silent");
    }
    look_at_log(n, now, all_heard);
    heart(n, now);
    sweep(n, now);
    bury(n, now);
    if (n->refresh_ms && now >= n->refresh_ms && bus_connected(n->talk->wide)) {
        n->refresh_ms = 0;
        persons_reload_all(n->talk);
        pep_missed(n->talk, n->missed_us);
        n->missed_us = 0;
    }
    metric_set(&nodes_alive, nodes_count(n->talk));
}

static void weather(void *arg, bool connected)
{
    struct talk *t = arg;

    struct nodes *n = t->nodes;
    int64_t       now = loop_now_ms(t->loop);

    LOG_INFO("nodes.bus", LF_Z("state", connected ? "connected" : "lost"));
    trouble(n);
    if (!n->missed_us)
        n->missed_us = clock_us();
    if (!connected) {
        n->broken_ms = now;
        return;
    }
    if (n->broken_ms && now - n->broken_ms > NODE_SILENT_MS)
        devices_announce_all(t);    /* others may have thought that we were gone */
    n->broken_ms = 0;
    if (!n->refresh_ms)
        n->refresh_ms = now + REFRESH_AFTER_MS;     /* a connection that comes and goes costs one reading */
}

/* ---- life ---- */

void nodes_init(struct talk *t)
{
    struct nodes *n;
    char          subject[NODE_SUBJECT_BYTES];

    t->node = (int64_t)(random_u64() >> 2) | 1;
    if (!t->wide)
        return;
    n = t->nodes = NEW(struct nodes);
    n->talk = t;
    intmap_init(&n->all);
    strmap_init(&n->routes);
    n->highest = n->calm = n->calm_next = t->last_log_id;
    nodes_subject(subject, t->node, "");
    bus_subscribe(t->wide, subject, event_came, t);
    bus_subscribe(t->wide, "pulse", pulse_came, t);
    sm_move_init(t);
    bus_on_break(t->wide, weather, t);
    timer_start(t->loop, &n->beat, NODE_PULSE_MS, beat);
}

void nodes_done(struct talk *t)
{
    struct nodes *n = t->nodes;
    int64_t       id;
    void         *value;

    if (!n)
        return;
    timer_stop(t->loop, &n->beat);
    for (size_t it = 0; intmap_next(&n->all, &it, &id, &value);)
        free(value);
    intmap_done(&n->all);
    routes_clear(n);
    strmap_done(&n->routes);
    free(n);
    t->nodes = NULL;
}

void nodes_leave(struct talk *t)
{
    if (t->nodes)
        pulse_send(t->nodes, PULSE_LAST);
}
