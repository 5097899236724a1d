/* room_far.c: see room_far.h.
 *
 * Transactions have one order, `seq`, but their news may cross: a change of ours may be known before one of
 * another messenger that came before it. Ours is applied at once, its number noted; theirs waits until it is
 * next. What is missing after a moment was lost. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_far.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "bus/codec.h"
#include "talk/nodes.h"
#include "talk/rooms/room_message.h"
#include "talk/rooms/room_stanza.h"
#include <stdio.h>
#include <stdlib.h>

METRIC_COUNTER(events_sent, "bongsu_talk_room_events_sent", "Events about rooms told to other messengers.");
METRIC_COUNTER(events_bad, "bongsu_talk_room_events_refused", "Events about rooms that could not be read.");
METRIC_COUNTER(gaps, "bongsu_talk_room_gaps", "Times a room was read again because an event was missing.");

enum { ROOM_EVENT_VERSION = 1, GAP_MS = 200, LOOK_MS = 10000, FRESH_MS = 5000, LOOK_MAX = 1000, BURIAL_AGAIN_MS = 2000, BURIAL_ROUNDS_MAX = 100 };

void room_event_write(struct buf *b, const struct room_event *e, int64_t position)
{
    codec_begin(b, ROOM_EVENT_VERSION);
    codec_put_u64(b, e->kind);
    codec_put_str(b, e->local);
    codec_put_i64(b, e->seq);
    codec_put_i64(b, e->rules);
    codec_put_i64(b, e->id);
    codec_put_i64(b, e->before);
    codec_put_i64(b, e->shown);
    codec_put_i64(b, position);
    codec_put_bytes(b, e->text);
}

enum err room_event_read(struct str payload, struct room_event *out, int64_t *position)
{
    struct codec_reader r = codec_open(payload, ROOM_EVENT_VERSION);
    uint64_t            kind = codec_u64(&r);

    *out = (struct room_event){ .kind = kind < ROOM_EVENT_KINDS ? (enum room_event_kind)kind : 0 };
    out->local = codec_str(&r, JID_PART_BYTES_MAX);
    out->seq = codec_i64(&r);
    out->rules = codec_i64(&r);
    out->id = codec_i64(&r);
    out->before = codec_i64(&r);
    out->shown = codec_i64(&r);
    *position = codec_i64(&r);
    out->text = codec_bytes(&r, BUS_PAYLOAD_BYTES_MAX);
    if (!codec_ok(&r) || !out->kind)
        return ERR_INVALID;
    return out->kind == ROOM_CHANGED || out->kind == ROOM_OUTDATED || (event_holds_message(out->text) && str_is_utf8(out->text))
               ? OK
               : ERR_INVALID;
}

static void subject_of(const struct talk *t, struct str local, char out[NODE_SUBJECT_BYTES])
{
    snprintf(out, NODE_SUBJECT_BYTES, "room.%016llx", (unsigned long long)hash_bytes_keyed(t->origin_key, local.p, local.len));
}

void room_far_send(struct talk *t, const struct room_event *e)
{
    char       subject[NODE_SUBJECT_BYTES];
    struct buf b;

    if (!t->wide)
        return;
    subject_of(t, e->local, subject);
    buf_init(&b, 0);
    room_event_write(&b, e, db_position(t->db));
    if (bus_publish(t->wide, subject, buf_str(&b)) == OK)
        metric_add(&events_sent, 1);
    buf_done(&b);
}

/* ---- the order of changes ---- */

struct room_held {
    int64_t seq, rules;
    size_t  len;
    char   *text;
};

static void apply_far(struct room *r, struct str text)
{
    struct room_delta *d = mem_new(sizeof *d * ROOM_DELTAS_FAR_MAX);
    int                n = room_deltas_read(text, d, ROOM_DELTAS_FAR_MAX);

    if (n < 0) {
        metric_add(&events_bad, 1);
        room_stale(r);
    } else {
        room_apply(r, d, n, NULL);
    }
    free(d);
}

static void held_free(struct room_held **h)
{
    if (*h)
        free((*h)->text);
    free(*h);
    *h = NULL;
}

void room_far_forget(struct room *r)
{
    for (int i = 0; i < ROOM_HELD_MAX; i++)
        held_free(&r->held[i]);
}

/* One that waited, and is next. NULL: none. */
static struct room_held *next_held(struct room *r, int *at)
{
    for (int i = 0; i < ROOM_HELD_MAX; i++) {
        if (r->held[i] && r->held[i]->seq <= r->seq) {
            held_free(&r->held[i]);
        } else if (r->held[i] && r->held[i]->seq == r->seq + 1) {
            *at = i;
            return r->held[i];
        }
    }
    return NULL;
}

void room_far_advance(struct room *r)
{
    struct room_held *h;
    int               at = 0;

    room_ref(r);
    while (!r->gone && (h = next_held(r, &at))) {
        r->held[at] = NULL;
        r->seq = h->seq;
        r->rules = h->rules > r->rules ? h->rules : r->rules;
        if (h->text) /* NULL: ours, applied already */
            apply_far(r, str_make(h->text, h->len));
        held_free(&h);
    }
    room_unref(r);
}

static bool waits(const struct room *r)
{
    for (int i = 0; i < ROOM_HELD_MAX; i++)
        if (r->held[i])
            return true;
    return false;
}

static void look_for_gap(struct timer *timer)
{
    struct room *r = LIST_ITEM(timer, struct room, gap);

    if (!r->gone && waits(r)) {
        metric_add(&gaps, 1);
        room_stale(r);
    }
    room_unref(r);
}

static void hold(struct room *r, int64_t seq, int64_t rules, struct str text)
{
    for (int i = 0; i < ROOM_HELD_MAX; i++) {
        if (r->held[i])
            continue;
        r->held[i] = NEW(struct room_held);
        *r->held[i] = (struct room_held){ seq, rules, text.len, text.p ? mem_copy(text.p, text.len) : NULL };
        if (!timer_running(&r->gap)) {
            room_ref(r);
            timer_start(r->talk->loop, &r->gap, GAP_MS, look_for_gap);
        }
        return;
    }
    metric_add(&gaps, 1);
    room_stale(r);
}

static void changed(struct room *r, const struct room_event *e)
{
    if (e->seq <= r->seq)
        return;
    if (e->seq != r->seq + 1) {
        hold(r, e->seq, e->rules, e->text);
        return;
    }
    room_ref(r);
    r->seq = e->seq;
    r->rules = e->rules > r->rules ? e->rules : r->rules;
    apply_far(r, e->text);
    room_far_advance(r);
    room_unref(r);
}

static void tell(struct talk *t, struct room *r, const struct room_change *c)
{
    struct buf b;

    if (!t->wide)
        return;
    buf_init(&b, 0);
    room_deltas_write(&b, c->deltas, c->count);
    room_far_send(t, &(struct room_event){
                         .kind = ROOM_CHANGED, .local = r->local, .seq = c->results[0], .rules = c->results[1], .text = buf_str(&b) });
    buf_done(&b);
}

/* A room of ours is there; or somebody has read it from the database already, before we were told. */
static void born(struct room_change *c)
{
    struct room *r = c->room, *other = strmap_get(&r->talk->rooms->all, r->local);
    struct seat *s;

    if (!other) {
        r->seq = c->results[0];
        r->fresh_ms = loop_now_ms(r->talk->loop);
        strmap_put(&r->talk->rooms->all, r->local, r);
        if (r->talk->shared)
            intmap_put(&r->talk->rooms->by_id, r->id, r);
        room_far_enter(r->talk, r->local);
        return;
    }
    c->room = other;
    room_ref(other);
    room_unref(r);
    for (int i = 0; i < c->count; i++) {
        s = c->deltas[i].kind == DELTA_SEAT ? room_seat(other, c->deltas[i].jid) : NULL;
        if (s)
            s->entered = false; /* it has not been shown the room */
    }
}

void room_far_won(struct room_change *c)
{
    struct room *r;
    struct talk *t = c->room->talk;
    int64_t      seq = c->results[0];

    if (c->deltas[0].kind == DELTA_CREATE)
        born(c);
    r = c->room;
    if (seq == r->seq + 1)
        r->seq = seq;
    else if (seq > r->seq)
        hold(r, seq, c->results[1], STR_NULL);
    if (c->results[1] > r->rules)
        r->rules = c->results[1];
    room_apply(r, c->deltas, c->count, c);
    tell(t, r, c);
    room_far_advance(r);
}

/* ---- what comes ---- */

static void came(void *arg, struct str subject, struct str payload)
{
    struct talk      *t = arg;
    struct room_event e;
    struct room      *r;
    int64_t           position;

    (void)subject;
    if (FAULT("talk.room_event"))       /* a bus may lose any of them */
        return;
    if (room_event_read(payload, &e, &position) != OK) {
        metric_add(&events_bad, 1);
        return;
    }
    db_position_need(t->db, position);
    if (e.kind == ROOM_SAID)
        nodes_note_id(t, e.id);
    arena_reset(&t->round);
    r = strmap_get(&t->rooms->all, e.local);
    if (!r) {
        if (e.kind != ROOM_PASSED)
            room_load_again(t, e.local);
    } else if (e.kind == ROOM_OUTDATED) {
        room_stale(r);
    } else if (e.kind == ROOM_CHANGED) {
        changed(r, &e);
    } else if (e.kind == ROOM_SAID) {
        room_follow(r, e.before, &(struct room_said){ .id = e.id, .shown = e.shown, .len = e.text.len, .text = (char *)e.text.p });
    } else {
        room_deliver(r, e.text, 0, 0);
    }
    arena_reset(&t->round);
}

void room_far_enter(struct talk *t, struct str local)
{
    char subject[NODE_SUBJECT_BYTES];

    if (!t->wide)
        return;
    subject_of(t, local, subject);
    bus_unsubscribe(t->wide, subject, came, t);
    bus_subscribe(t->wide, subject, came, t);
}

void room_far_leave_name(struct talk *t, struct str local)
{
    char subject[NODE_SUBJECT_BYTES];

    if (!t->wide)
        return;
    subject_of(t, local, subject);
    bus_unsubscribe(t->wide, subject, came, t);
}

void room_far_leave(struct room *r)
{
    room_far_leave_name(r->talk, r->local);
}

/* ---- who died ---- */

/* Its rooms are looked for until there are none: there may be more than one reading holds, and a reading or a change may fail while
 * the database moves to another server. */
struct burial {
    struct db_read read;
    struct timer   again;
    struct talk   *talk;
    int64_t        node;
    struct arena   arena;
    int            rounds, count;
    struct str     names[LOOK_MAX];
};

static struct db_sql rooms_of_node = {
    "SELECT DISTINCT r.local FROM room_occupant o JOIN room r ON r.id = o.room WHERE o.node = ?1 LIMIT 1000"
};

static enum err burial_work(struct db_conn *c, struct db_read *self)
{
    struct burial  *b = (struct burial *)self;
    struct db_stmt *s = db_prepare(c, &rooms_of_node);
    enum err        e;

    db_bind_i64(s, 1, b->node);
    while ((e = db_step(s)) == OK && b->count < LOOK_MAX)
        b->names[b->count++] = arena_str(&b->arena, db_text(s, 0));
    db_done(s);
    return e == ERR_NOT_FOUND || e == OK ? OK : e;
}

static void bury_in(struct talk *t, struct room *r, enum err e, void *arg)
{
    int64_t             node = *(int64_t *)arg;
    struct room_change *c;
    struct str          key;
    void               *value;

    (void)t;
    (void)e;
    free(arg);
    if (!r)
        return;
    c = room_change_new(r, NULL);
    c->expected = -1;
    for (size_t it = 0; strmap_next(&r->seats, &it, &key, &value);) {
        const struct seat *s = value;

        if (s->node == node)
            room_delta(c, &(struct room_delta){ .kind = DELTA_LEAVE, .jid = s->full, .node = node, .code = 333 });
    }
    if (c->count)
        room_leave_last(c);
    if (c->count)
        room_change_go(c);
    else
        room_change_drop(c);
}

static void burial_go(struct burial *b);

static void burial_again(struct timer *timer)
{
    burial_go(LIST_ITEM(timer, struct burial, again));
}

static void burial_done(struct db_read *self, enum err e)
{
    struct burial *b = (struct burial *)self;

    for (int i = 0; !e && i < b->count; i++)
        room_find(b->talk, b->names[i], bury_in, mem_copy(&b->node, sizeof b->node));
    arena_done(&b->arena);
    if ((!e && b->count == 0) || ++b->rounds == BURIAL_ROUNDS_MAX)
        free(b);
    else
        timer_start(b->talk->loop, &b->again, BURIAL_AGAIN_MS, burial_again);
}

static void burial_go(struct burial *b)
{
    if (node_alive(b->talk, b->node)) { /* it is back, and may let others in */
        free(b);
        return;
    }
    b->read = (struct db_read){ .work = burial_work, .done = burial_done };
    b->count = 0;
    arena_init(&b->arena);
    if (db_read_start(b->talk->db, &b->read) != OK)
        burial_done(&b->read, ERR_LIMIT);
}

void rooms_node_buried(struct talk *t, int64_t node)
{
    struct burial *b = NEW(struct burial);

    b->talk = t;
    b->node = node;
    burial_go(b);
}

/* ---- what may have been missed ---- */

struct look {
    struct db_read read;
    struct talk   *talk;
    int            count;
    struct {
        int64_t id, seq, there, log_last;
    } rooms[LOOK_MAX];
};

static struct db_sql seq_of = { "SELECT seq, (SELECT max(l.id) FROM log l WHERE l.owner = room.id) FROM room WHERE id = ?1" };

static enum err look_work(struct db_conn *c, struct db_read *self)
{
    struct look *l = (struct look *)self;

    for (int i = 0; i < l->count; i++) {
        struct db_stmt *s = NULL;
        enum err        e = db_get(c, &s, &seq_of, "i", l->rooms[i].id);

        l->rooms[i].there = e ? 0 : db_i64(s, 0);
        l->rooms[i].log_last = e ? 0 : db_i64(s, 1);
        if (s)
            db_done(s);
        if (e && e != ERR_NOT_FOUND)
            return e;
    }
    return OK;
}

static void look_done(struct db_read *self, enum err e)
{
    struct look *l = (struct look *)self;

    for (int i = 0; !e && l->talk->rooms && i < l->count; i++) {
        struct room *r = intmap_get(&l->talk->rooms->by_id, l->rooms[i].id);

        if (r && !r->gone && !r->stale && r->seq == l->rooms[i].seq && (!l->rooms[i].there || l->rooms[i].there > r->seq))
            room_stale(r);
        room_follow_to(l->talk, l->rooms[i].id, l->rooms[i].log_last);
    }
    free(l);
}

/* All of them now and then, so many at a time; one that has just come into memory each second: what was told before the bus knew
 * that we listen is lost. */
void rooms_look(struct talk *t)
{
    struct rooms *rooms = t->rooms;
    struct look  *l;
    struct str    key;
    void         *value;
    int64_t       now = loop_now_ms(t->loop);
    bool          all = rooms->look_at || now - rooms->looked_ms >= LOOK_MS;

    if (!t->wide || (!all && rooms->all.count > LOOK_MAX))
        return;
    if (all && !rooms->look_at)
        rooms->looked_ms = now;
    l = NEW(struct look);
    l->read = (struct db_read){ .work = look_work, .done = look_done };
    l->talk = t;
    while (l->count < LOOK_MAX && strmap_next(&rooms->all, &rooms->look_at, &key, &value)) {
        const struct room *r = value;

        if (r->here && (all || now - r->fresh_ms < FRESH_MS))
            l->rooms[l->count++] = (__typeof__(l->rooms[0])){ r->id, r->seq, 0 };
    }
    if (l->count < LOOK_MAX)
        rooms->look_at = 0; /* that was the last of them */
    if (l->count == 0 || db_read_start(t->db, &l->read) != OK)
        free(l);
}
