/* room_load.c: rooms come out of the database on a worker; what was read is made into memory in the loop. One
 * that is in memory already is read again when another messenger knows more: the difference becomes deltas,
 * and is shown like any change. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/log.h"
#include "base/mem.h"
#include "talk/archive.h"
#include "talk/rooms/room_change.h"
#include "talk/rooms/room_far.h"
#include "talk/rooms/room_message.h"
#include "talk/rooms/room_stanza.h"
#include <stdlib.h>

const struct db_migration rooms_migrations[] = {
    { 1, "rooms",
      "CREATE TABLE room(id INTEGER PRIMARY KEY, local TEXT NOT NULL UNIQUE, config BLOB NOT NULL, rules "
      "INTEGER NOT NULL,"
      " seq INTEGER NOT NULL, stamp INTEGER NOT NULL, locked INTEGER NOT NULL, listed INTEGER NOT NULL, name "
      "TEXT NOT NULL,"
      " created_us INTEGER NOT NULL, avatar TEXT NOT NULL, subject TEXT, subject_from TEXT, subject_us "
      "INTEGER NOT NULL DEFAULT 0);"
      "CREATE INDEX room_listed ON room(listed, local);"
      "CREATE TABLE room_affiliation(room INTEGER NOT NULL, jid TEXT NOT NULL, affiliation INTEGER NOT NULL, "
      "nick TEXT NOT NULL,"
      " since INTEGER NOT NULL, PRIMARY KEY(room, jid)) WITHOUT ROWID;"
      "CREATE INDEX room_affiliation_jid ON room_affiliation(jid, affiliation);"
      "CREATE TABLE room_occupant(room INTEGER NOT NULL, jid TEXT NOT NULL, bare TEXT NOT NULL, node INTEGER "
      "NOT NULL,"
      " nick TEXT NOT NULL, role INTEGER NOT NULL, presence TEXT NOT NULL, stamp INTEGER NOT NULL, since "
      "INTEGER "
      "NOT NULL, PRIMARY KEY(room, jid)) WITHOUT ROWID;"
      "CREATE INDEX room_occupant_nick ON room_occupant(room, nick);"
      "CREATE INDEX room_occupant_node ON room_occupant(node);"
      "CREATE INDEX room_occupant_jid ON room_occupant(jid);"
      "CREATE TABLE room_vcard(room INTEGER PRIMARY KEY, xml TEXT NOT NULL);" },
    { 0 },
};

static struct db_sql room_select = { "SELECT id, config, rules, seq, locked, avatar, subject, subject_from, "
                                     "subject_us FROM room WHERE local = ?1" };
static struct db_sql affiliations_select = { "SELECT jid, affiliation, nick, since FROM room_affiliation WHERE room = ?1" };
static struct db_sql seats_select = { "SELECT jid, node, nick, role, presence FROM room_occupant WHERE room = ?1 ORDER BY nick, jid" };

struct read_member {
    struct str jid, nick;
    int64_t    affiliation, since;
};
struct read_seat {
    struct str jid, nick, presence;
    int64_t    node, role;
};

struct waiter {
    struct list link;
    room_fn    *fn;
    void       *arg;
};

struct load {
    struct db_read      read;
    struct talk        *talk;
    char               *local;
    struct room        *old; /* it is in memory; NULL: it is not */
    struct list         waiters;
    int                 waiting;
    bool                again; /* something has changed since */
    int                 restarts;
    struct arena        arena;
    bool                found;
    int64_t             id, rules, seq, locked, subject_us, log_first, log_last;
    struct str          config, avatar, subject, subject_from;
    int                 member_count, seat_count;
    struct read_member *members;
    struct read_seat   *seats;
    struct archive_page said;
};

/* ---- on the worker ---- */

static void *grow(struct arena *a, void *old, int count, size_t one)
{
    void *wider;

    if (count & (count - 1))
        return old; /* room for the next power of two */
    wider = arena_alloc(a, one * (size_t)(count ? count * 2 : 1));
    if (count)
        memcpy(wider, old, one * (size_t)count);
    return wider;
}

static enum err members_read(struct load *l, struct db_conn *c)
{
    struct db_stmt *s = db_prepare(c, &affiliations_select);
    enum err        e;

    db_bind_i64(s, 1, l->id);
    while ((e = db_step(s)) == OK) {
        l->members = grow(&l->arena, l->members, l->member_count, sizeof *l->members);
        l->members[l->member_count++] =
            (struct read_member){ arena_str(&l->arena, db_text(s, 0)), arena_str(&l->arena, db_text(s, 2)), db_i64(s, 1), db_i64(s, 3) };
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err seats_read(struct load *l, struct db_conn *c)
{
    struct db_stmt *s = db_prepare(c, &seats_select);
    enum err        e;

    db_bind_i64(s, 1, l->id);
    while ((e = db_step(s)) == OK) {
        l->seats = grow(&l->arena, l->seats, l->seat_count, sizeof *l->seats);
        l->seats[l->seat_count++] = (struct read_seat){ arena_str(&l->arena, db_text(s, 0)), arena_str(&l->arena, db_text(s, 2)),
                                                        arena_str(&l->arena, db_text(s, 4)), db_i64(s, 1), db_i64(s, 3) };
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static struct str keep(struct arena *a, struct str s)
{
    return s.p ? arena_str(a, s) : s;
}

static enum err room_read(struct load *l, struct db_conn *c)
{
    struct db_stmt *s = NULL;
    enum err        e = db_get(c, &s, &room_select, "s", str_of(l->local));

    l->found = e == OK;
    if (l->found) {
        l->id = db_i64(s, 0);
        l->config = keep(&l->arena, db_blob(s, 1));
        l->rules = db_i64(s, 2);
        l->seq = db_i64(s, 3);
        l->locked = db_i64(s, 4);
        l->avatar = keep(&l->arena, db_text(s, 5));
        l->subject = keep(&l->arena, db_text(s, 6));
        l->subject_from = keep(&l->arena, db_text(s, 7));
        l->subject_us = db_i64(s, 8);
    }
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err load_work(struct db_conn *c, struct db_read *self)
{
    struct load          *l = (struct load *)self;
    struct archive_filter f;
    enum err              e = room_read(l, c);

    if (e || !l->found)
        return e;
    e = members_read(l, c);
    if (!e)
        e = seats_read(l, c);
    if (!e && !l->old)
        e = archive_ends(c, l->id, &l->log_first, &l->log_last);
    f = (struct archive_filter){ .owner = l->id };
    if (!e && !l->old)
        e = archive_read(c, &l->arena, &f, ROOM_HISTORY_MAX, true, &l->said);
    if (!e && !l->old && l->log_last && (l->said.count == 0 || l->said.rows[l->said.count - 1].id > l->log_last))
        l->log_last = l->said.count ? l->said.rows[l->said.count - 1].id : 0;
    return e ? e : db_conn_state(c);
}

/* ---- into memory ---- */

static void take_subject(struct room *r, const struct load *l)
{
    free(r->subject);
    free(r->subject_from);
    r->subject = l->subject.p ? str_dup(l->subject) : NULL;
    r->subject_from = l->subject_from.p ? str_dup(l->subject_from) : NULL;
    r->subject_us = l->subject_us;
}

/* On a database of our own the rows are of this process or of the one before it. */
static int64_t node_of(const struct talk *t, const struct read_seat *s)
{
    return t->shared ? s->node : t->node;
}

static struct room *room_make(struct load *l)
{
    struct talk *t = l->talk;
    struct room *r = room_new(t, str_of(l->local));

    r->id = l->id;
    r->rules = l->rules;
    r->seq = l->seq;
    r->locked = l->locked != 0;
    if (room_config_read(l->config, &r->config) != OK)
        room_config_default(&r->config);
    str_copy(l->avatar, r->avatar, sizeof r->avatar);
    take_subject(r, l);
    for (int i = 0; i < l->member_count; i++)
        room_member_set(r, l->members[i].jid, (enum affiliation)l->members[i].affiliation, l->members[i].nick, l->members[i].since);
    for (int i = 0; i < l->said.count; i++)
        if (!room_is_subject(l->said.rows[i].stanza))
            room_said_add(r, l->said.rows[i].id, l->said.rows[i].shown, l->said.rows[i].stanza);
    r->log_last = r->log_want = l->said.count ? l->said.rows[l->said.count - 1].id : l->log_last;
    strmap_put(&t->rooms->all, r->local, r);
    r->fresh_ms = loop_now_ms(t->loop);
    if (t->shared)
        intmap_put(&t->rooms->by_id, r->id, r);
    room_ref(r);
    for (int i = 0; i < l->seat_count; i++) {
        const struct read_seat *s = &l->seats[i];
        struct seat            *seat;

        seat = room_seat_take(r, s->jid, s->nick, (enum role)s->role, s->presence, node_of(t, s),
                              node_of(t, s) == t->node ? room_session_id(t, s->jid) : 0);
        seat->entered = true;
    }
    room_unref(r);
    return r;
}

/* ---- the difference ---- */

struct diff {
    struct room        *room;
    struct load        *load;
    struct room_change *c;
};

static void diff_gone(struct diff *d)
{
    struct strmap there;
    struct str    key;
    void         *value;

    strmap_init(&there);
    for (int i = 0; i < d->load->seat_count; i++)
        strmap_put(&there, d->load->seats[i].jid, &d->load->seats[i]);
    for (size_t it = 0; strmap_next(&d->room->seats, &it, &key, &value);)
        if (!strmap_get(&there, key))
            room_delta(d->c, &(struct room_delta){ .kind = DELTA_LEAVE, .jid = key, .code = 333 });
    strmap_done(&there);
}

static void diff_seat(struct diff *d, const struct read_seat *s)
{
    struct seat     *old = room_seat(d->room, s->jid);
    struct talk     *t = d->room->talk;
    struct occupant *o = old ? old->occupant : NULL;
    struct str       rest = s->jid, bare = str_split(&rest, '/');

    if (!old) {
        if (node_of(t, s) != t->node) /* one of ours comes in when its change is done */
            room_delta(
                d->c,
                &(struct room_delta){
                    .kind = DELTA_SEAT, .jid = s->jid, .nick = s->nick, .role = (int8_t)s->role, .text = s->presence, .node = s->node });
        return;
    }
    if (!str_eq(o->nick, s->nick) && o->seats.next == &old->in_occupant)
        room_delta(d->c, &(struct room_delta){ .kind = DELTA_RENAME, .jid = bare, .nick = o->nick, .other = s->nick, .text = s->presence });
    else if (!str_is(s->presence, o->inner) && o->seats.prev == &old->in_occupant)
        room_delta(d->c, &(struct room_delta){ .kind = DELTA_PRESENCE, .jid = s->jid, .text = s->presence });
    if (o->role != s->role)
        room_delta(d->c, &(struct room_delta){ .kind = DELTA_ROLE, .jid = bare, .nick = s->nick, .role = (int8_t)s->role });
    if (old->node != node_of(t, s) && node_of(t, s) != t->node)
        room_delta(d->c, &(struct room_delta){ .kind = DELTA_NODE, .jid = s->jid, .node = s->node });
}

static void diff_members(struct diff *d)
{
    struct room *r = d->room;
    uint64_t     mark = ++r->talk->rooms->mark;
    struct str   key;
    void        *value;

    for (int i = 0; i < d->load->member_count; i++) {
        const struct read_member *m = &d->load->members[i];
        struct member            *old = room_member(r, m->jid);

        if (old)
            old->mark = mark;
        if (!old || old->affiliation != m->affiliation || !str_eq(str_of(old->nick ? old->nick : ""), m->nick))
            room_delta(
                d->c,
                &(struct room_delta){
                    .kind = DELTA_AFFILIATION, .jid = m->jid, .affiliation = (int8_t)m->affiliation, .nick = m->nick, .since = m->since });
    }
    for (size_t it = 0; strmap_next(&r->members, &it, &key, &value);)
        if (((struct member *)value)->mark != mark)
            room_delta(d->c, &(struct room_delta){ .kind = DELTA_AFFILIATION, .jid = key, .affiliation = AFF_NONE });
}

static void diff_config(struct diff *d)
{
    struct room_config fresh = { 0 };
    struct buf         b;

    buf_init(&b, 0);
    room_config_write(&d->room->config, &b);
    if (!str_eq(buf_str(&b), d->load->config) && room_config_read(d->load->config, &fresh) == OK)
        room_delta(d->c, &(struct room_delta){
                             .kind = DELTA_CONFIG, .text = d->load->config, .code = room_config_changes(&d->room->config, &fresh) });
    if (!str_is(d->load->avatar, d->room->avatar))
        room_delta(d->c, &(struct room_delta){ .kind = DELTA_AVATAR, .other = d->load->avatar });
    room_config_free(&fresh);
    buf_done(&b);
}

static void show_difference(struct room *r, struct load *l)
{
    struct diff d = { r, l, room_change_new(r, NULL) };

    if (!l->found) {
        room_delta(d.c, &(struct room_delta){ .kind = DELTA_DESTROY });
    } else {
        r->seq = l->seq;
        r->rules = l->rules;
        take_subject(r, l);
        diff_config(&d);
        diff_members(&d);
        diff_gone(&d);
        for (int i = 0; i < l->seat_count; i++)
            diff_seat(&d, &l->seats[i]);
    }
    room_apply(r, d.c->deltas, d.c->count, NULL);
    room_change_drop(d.c);
}

/* ---- life ---- */

enum { AGAIN_MS = 100, RESTARTS_MAX = 3 };

static void load_start(struct load *l);

static void load_free(struct load *l)
{
    arena_done(&l->arena);
    free(l->local);
    free(l);
}

static void waiters_tell(struct load *l, struct room *r, enum err e)
{
    while (!list_empty(&l->waiters)) {
        struct waiter *w = LIST_ITEM(l->waiters.next, struct waiter, link);

        list_remove(&w->link);
        arena_reset(&l->talk->round);
        w->fn(l->talk, r && !r->gone ? r : NULL, e, w->arg);
        free(w);
    }
}

static void again(struct timer *timer)
{
    struct room *r = LIST_ITEM(timer, struct room, again);

    if (!r->gone)
        room_stale(r);
    room_unref(r);
}

static void load_end(struct load *l, struct room *r, enum err e)
{
    strmap_del(&l->talk->rooms->loads, str_of(l->local));
    if (r)
        room_ref(r);
    waiters_tell(l, r, e);
    if (r)
        room_unref(r);
    load_free(l);
}

static void reread(struct load *l, enum err e)
{
    struct room *r = l->old;
    bool         more = false;

    r->reading = false;
    if (r->gone) {
        e = ERR_NOT_FOUND;
    } else if (e) { /* no server answers just now */
        if (!timer_running(&r->again))
            room_ref(r);
        timer_start(r->talk->loop, &r->again, AGAIN_MS, again);
    } else {
        r->stale = false;
        show_difference(r, l);
        room_far_advance(r);
        if (l->again)
            more = true;
    }
    l->old = NULL;
    load_end(l, r->gone ? NULL : r, r->gone ? ERR_NOT_FOUND : e);
    if (more)
        room_stale(r);
    room_unref(r);
}

/* Something has changed while it was read. */
static void load_over(struct load *l)
{
    l->again = false;
    l->restarts++;
    arena_done(&l->arena);
    arena_init(&l->arena);
    l->member_count = l->seat_count = 0;
    load_start(l);
}

static void load_done(struct db_read *self, enum err e)
{
    struct load *l = (struct load *)self;
    struct room *r = NULL;
    bool         stale = l->again;

    if (l->old) {
        reread(l, e);
    } else if (!e && l->again && l->restarts < RESTARTS_MAX) {
        load_over(l);
    } else if (e || !l->found) {
        if (!strmap_get(&l->talk->rooms->all, str_of(l->local)))
            room_far_leave_name(l->talk, str_of(l->local));
        load_end(l, NULL, e ? ERR_UNAVAILABLE : ERR_NOT_FOUND);
    } else {
        r = room_make(l);
        room_ref(r);
        load_end(l, r, OK);
        if (stale)
            room_stale(r);
        room_unref(r);
    }
}

static void load_start(struct load *l)
{
    l->read = (struct db_read){ .work = load_work, .done = load_done };
    if (db_read_start(l->talk->db, &l->read) != OK)
        load_done(&l->read, ERR_LIMIT);
}

static struct load *load_new(struct talk *t, struct str local, struct room *old)
{
    struct load *l = NEW(struct load);

    l->talk = t;
    l->local = str_dup(local);
    l->old = old;
    list_init(&l->waiters);
    arena_init(&l->arena);
    strmap_put(&t->rooms->loads, str_of(l->local), l);
    return l;
}

void room_find(struct talk *t, struct str local, room_fn *fn, void *arg)
{
    struct room   *r = strmap_get(&t->rooms->all, local);
    struct load   *l = strmap_get(&t->rooms->loads, local);
    struct waiter *w;

    if (r && !r->gone && !r->stale) {
        fn(t, r, OK, arg);
        return;
    }
    if (l ? l->waiting >= ROOM_WAITING_MAX : r != NULL && !r->reading) {
        fn(t, NULL, ERR_UNAVAILABLE, arg); /* it is stale, and the next reading has not begun */
        return;
    }
    w = NEW(struct waiter);
    *w = (struct waiter){ .fn = fn, .arg = arg };
    if (l) {
        list_append(&l->waiters, &w->link);
        l->waiting++;
        return;
    }
    room_far_enter(t, local);
    l = load_new(t, local, NULL);
    list_append(&l->waiters, &w->link);
    l->waiting++;
    load_start(l);
}

void room_load_again(struct talk *t, struct str local)
{
    struct load *l = strmap_get(&t->rooms->loads, local);

    if (l)
        l->again = true;
}

void room_stale(struct room *r)
{
    struct load *l = strmap_get(&r->talk->rooms->loads, r->local);

    if (r->gone)
        return;
    r->stale = true;
    if (l) {
        l->again = true;
        return;
    }
    if (strmap_get(&r->talk->rooms->all, r->local) != r)
        return;
    room_ref(r);
    r->reading = true;
    load_start(load_new(r->talk, r->local, r));
}

/* ---- at the start, on a database of our own ---- */

struct adopt_op {
    struct change change;
};

static struct db_sql adopt_all = { "UPDATE room_occupant SET node = ?1 WHERE node <> ?1" };
static struct db_sql inhabited = { "SELECT DISTINCT r.local FROM room_occupant o JOIN room r ON r.id = o.room" };

static enum err adopt_apply(struct db_conn *c, struct change *ch)
{
    return db_run(c, &adopt_all, "i", ch->talk->node);
}

static void adopted(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    (void)e; /* then those who are away are found again at the next start */
    free(ch);
}

static void restore_one(struct talk *t, struct str local)
{
    struct load *l = load_new(t, local, NULL);
    struct room *r;
    struct str   key;
    void        *value;

    if (load_work(db_loop_conn(t->db), &l->read) != OK || !l->found) {
        load_end(l, NULL, ERR_NOT_FOUND);
        return;
    }
    r = room_make(l);
    for (size_t it = 0; strmap_next(&r->seats, &it, &key, &value);) {
        const struct seat *s = value;

        if (s->session_id == UINT64_MAX) /* no stream of theirs may be resumed */
            room_leave_soon(r, s->full, 333);
    }
    load_end(l, r, OK);
}

void rooms_restore(struct talk *t)
{
    struct db_conn  *c = t->shared ? NULL : db_loop_conn(t->db);
    struct db_stmt  *s = c ? db_prepare(c, &inhabited) : NULL;
    struct arena     a;
    struct str      *names = NULL;
    int              n = 0;
    struct adopt_op *o;

    if (!s)
        return;
    arena_init(&a);
    while (db_step(s) == OK) {
        names = grow(&a, names, n, sizeof *names);
        names[n++] = arena_str(&a, db_text(s, 0));
    }
    db_done(s);
    o = NEW(struct adopt_op);
    o->change.apply = adopt_apply;
    o->change.done = adopted;
    if (n == 0 || session_change(NULL, t, &o->change) != OK)
        free(o);
    for (int i = 0; i < n; i++)
        restore_one(t, names[i]);
    arena_done(&a);
    if (n)
        LOG_INFO("rooms.restored", LF_I64("count", n));
}
