/* room_change.c: see room_change.h: the transaction.
 *
 * Each statement holds only if the room's row bears this change's stamp, which the first one put there if
 * nobody had changed the rules meanwhile. So nothing needs the answer of another, and all travel with the
 * batch. In a shared database whoever changes a room holds the lock of the log's order (archive.h): changes
 * and messages have one order, and no two batches wait for each other's rows.
 *
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_change.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "bus/codec.h"
#include "crypto/digest.h"
#include "talk/archive.h"
#include "talk/jids.h"
#include "talk/rooms/room_far.h"
#include "talk/rooms/room_leave.h"
#include "talk/rooms/room_stanza.h"
#include "talk/search.h"
#include "talk/xep/xep0198_sm.h"
#include <assert.h>
#include <stdlib.h>

METRIC_COUNTER(changes_made, "bongsu_talk_room_changes", "Changes of rooms: who is in, who may, how they are set up.");
METRIC_COUNTER(changes_again, "bongsu_talk_room_changes_again", "Changes judged again because another messenger was first.");

static struct db_sql room_create = {
    "INSERT INTO room(id, local, config, rules, seq, stamp, locked, listed, name, created_us, avatar)"
    " SELECT ?1, ?2, ?3, ?4, ?4, ?5, 1, 0, '', ?4, '' WHERE (SELECT count(*) FROM room_affiliation WHERE jid "
    "= ?6 AND affiliation = 3) < ?7"
    " ON CONFLICT DO NOTHING"
};
static struct db_sql room_touch = {
    "UPDATE room SET seq = seq + 1, stamp = ?2, rules = rules + ?4 WHERE id = ?1 AND (?3 < 0 OR rules = ?3)"
};
static struct db_sql seat_claim = {
    "INSERT INTO room_occupant(room, jid, bare, node, nick, role, presence, stamp, since) SELECT ?1, ?2, ?3, "
    "?4, ?5, ?6, ?7, ?8, ?9"
    " WHERE EXISTS (SELECT 1 FROM room WHERE id = ?1 AND stamp = ?8)"
    " AND NOT EXISTS (SELECT 1 FROM room_occupant o WHERE o.room = ?1 AND o.nick = ?5 AND o.bare <> ?3)"
    " ON CONFLICT(room, jid) DO UPDATE SET node = excluded.node, nick = excluded.nick, role = excluded.role,"
    " presence = excluded.presence, stamp = excluded.stamp, since = excluded.since"
};
static struct db_sql seat_presence = { "UPDATE room_occupant SET presence = ?3, stamp = ?4 WHERE room = ?1 AND jid = ?2"
                                       " AND EXISTS (SELECT 1 FROM room WHERE id = ?1 AND stamp = ?4)" };
static struct db_sql seat_leave = { "DELETE FROM room_occupant WHERE room = ?1 AND jid = ?2 AND node = ?3" };
static struct db_sql seat_node = { "UPDATE room_occupant SET node = ?3, stamp = ?4 WHERE room = ?1 AND jid = ?2" };
static struct db_sql seat_rename = {
    "UPDATE room_occupant SET nick = ?3, presence = ?6, stamp = ?5 WHERE room = ?1 AND nick = ?2 AND bare = "
    "?4"
    " AND EXISTS (SELECT 1 FROM room WHERE id = ?1 AND stamp = ?5)"
    " AND NOT EXISTS (SELECT 1 FROM room_occupant o WHERE o.room = ?1 AND o.nick = ?3 AND o.bare <> ?4)"
};
static struct db_sql seat_role = { "UPDATE room_occupant SET role = ?4 WHERE room = ?1 AND nick = ?2 AND bare = ?3"
                                   " AND EXISTS (SELECT 1 FROM room WHERE id = ?1 AND stamp = ?5)" };
static struct db_sql seat_remove = { "DELETE FROM room_occupant WHERE room = ?1 AND nick = ?2 AND bare = ?3 "
                                     "AND EXISTS (SELECT 1 FROM room WHERE id = ?1 AND stamp = ?4)" };
static struct db_sql affiliation_set = { "INSERT INTO room_affiliation(room, jid, affiliation, nick, since) SELECT ?1, ?2, ?3, ?4, ?5"
                                         " WHERE EXISTS (SELECT 1 FROM room WHERE id = ?1 AND stamp = ?7)"
                                         " ON CONFLICT(room, jid) DO UPDATE SET affiliation = excluded.affiliation,"
                                         " nick = CASE WHEN ?6 <> 0 THEN excluded.nick ELSE room_affiliation.nick END" };
static struct db_sql affiliation_drop = { "DELETE FROM room_affiliation WHERE room = ?1 AND jid = ?2 AND "
                                          "EXISTS (SELECT 1 FROM room WHERE id = ?1 AND stamp = ?3)" };
static struct db_sql config_set = { "UPDATE room SET config = ?2, listed = ?3, name = ?4, locked = 0 WHERE id = ?1 AND stamp = ?5" };
static struct db_sql vcard_set = { "INSERT INTO room_vcard(room, xml) SELECT ?1, ?2 WHERE EXISTS (SELECT 1 "
                                   "FROM room WHERE id = ?1 AND stamp = ?3)"
                                   " ON CONFLICT(room) DO UPDATE SET xml = excluded.xml" };
static struct db_sql avatar_set = { "UPDATE room SET avatar = ?2 WHERE id = ?1 AND stamp = ?3" };
/* The last column: the rows that the claim found or made. Only they are looked at: a room may have thousands. */
#define OUTCOME(claimed) "SELECT r.seq, r.rules, CASE WHEN r.stamp = ?2 THEN 1 ELSE 0 END, " claimed " FROM room r WHERE r.id = ?1"
#define CLAIMED(column) "(SELECT count(*) FROM room_occupant o WHERE o.room = ?1 AND o." column " = ?3 AND o.stamp = ?2)"
static struct db_sql outcome = { OUTCOME("0") };
static struct db_sql outcome_of_seat = { OUTCOME(CLAIMED("jid")) };
static struct db_sql outcome_of_nick = { OUTCOME(CLAIMED("nick")) };
static struct db_sql still_there = { "SELECT count(*) FROM room WHERE id = ?1" };

/* What a room leaves behind. Each only once its row is gone. */
#define GONE " AND NOT EXISTS (SELECT 1 FROM room WHERE id = ?1)"
static struct db_sql destroy = { "DELETE FROM room WHERE id = ?1 AND stamp = ?2" };
static struct db_sql destroy_empty = { "DELETE FROM room WHERE id = ?1 AND stamp = ?2 AND NOT EXISTS (SELECT "
                                       "1 FROM room_occupant WHERE room = ?1)" };
static struct db_sql gone_seats = { "DELETE FROM room_occupant WHERE room = ?1" GONE };
static struct db_sql gone_affiliations = { "DELETE FROM room_affiliation WHERE room = ?1" GONE };
static struct db_sql gone_vcard = { "DELETE FROM room_vcard WHERE room = ?1" GONE };
static struct db_sql gone_messages = { "DELETE FROM message WHERE id IN (SELECT id FROM log WHERE owner = ?1)" GONE };
static struct db_sql gone_tail = { "DELETE FROM message WHERE id > (SELECT id FROM settled) AND recipient = ?1" GONE };
static struct db_sql gone_log = { "DELETE FROM log WHERE owner = ?1" GONE };

enum err room_gone_apply(struct db_conn *c, int64_t id)
{
    struct db_sql *const all[] = { &gone_seats, &gone_affiliations, &gone_vcard, &gone_messages, &gone_tail, &gone_log };
    enum err             e = OK;

    for (size_t i = 0; i < sizeof all / sizeof all[0] && !e; i++)
        e = db_run(c, all[i], "i", id);
    return e;
}

/* ---- in the transaction ---- */

static struct str text_of(struct str s)
{
    return s.p ? s : STR("");
}

static enum err create_apply(struct db_conn *c, struct room_change *o, const struct room_delta *d)
{
    enum err e = o->room->talk->shared ? jids_write(c, o->id, o->room->bare) : OK;

    return e ? e
             : db_run(c, &room_create, "isbiisi", o->id, o->room->local, d->text, d->since, o->stamp, d->jid,
                      (int64_t)o->room->talk->limits.rooms_per_account_max);
}

static enum err config_apply(struct db_conn *c, struct room_change *o, const struct room_delta *d)
{
    return db_run(c, &config_set, "ibisi", o->id, d->text, (int64_t)(d->flags != 0), text_of(d->other), o->stamp);
}

static enum err affiliation_apply(struct db_conn *c, struct room_change *o, const struct room_delta *d)
{
    bool outcast = d->affiliation == AFF_OUTCAST;

    if (d->affiliation == AFF_NONE)
        return db_run(c, &affiliation_drop, "isi", o->id, d->jid, o->stamp);
    return db_run(c, &affiliation_set, "isisiii", o->id, d->jid, (int64_t)d->affiliation, outcast ? STR("") : text_of(d->nick), d->since,
                  (int64_t)(d->nick.p != NULL || outcast), o->stamp);
}

static enum err avatar_apply(struct db_conn *c, struct room_change *o, const struct room_delta *d)
{
    enum err e = db_run(c, &vcard_set, "isi", o->id, d->text, o->stamp);

    return e ? e : db_run(c, &avatar_set, "isi", o->id, text_of(d->other), o->stamp);
}

static enum err destroy_apply(struct db_conn *c, struct room_change *o, const struct room_delta *d)
{
    enum err e = db_run(c, d->flags & DELTA_IF_EMPTY ? &destroy_empty : &destroy, "ii", o->id, o->stamp);

    if (!e)
        e = room_gone_apply(c, o->id);
    if (!e)
        e = search_forget_owner(c, o->id); /* if it is still there after all, the index is made again */
    return e ? e : db_run_later(c, &still_there, &o->left, 1, &o->left_rows, "i", o->id);
}

static enum err delta_apply(struct db_conn *c, struct room_change *o, const struct room_delta *d)
{
    struct str rest = d->jid;

    switch (d->kind) {
    case DELTA_SEAT:
        return db_run(c, &seat_claim, "issisisii", o->id, d->jid, str_split(&rest, '/'), d->node, d->nick, (int64_t)d->role, text_of(d->text),
                      o->stamp, d->since);
    case DELTA_PRESENCE:
        return db_run(c, &seat_presence, "issi", o->id, d->jid, text_of(d->text), o->stamp);
    case DELTA_LEAVE:
        return db_run(c, &seat_leave, "isi", o->id, d->jid, d->node);
    case DELTA_NODE:
        return db_run(c, &seat_node, "isii", o->id, d->jid, d->node, o->stamp);
    case DELTA_RENAME:
        return db_run(c, &seat_rename, "isssis", o->id, d->nick, d->other, d->jid, o->stamp, text_of(d->text));
    case DELTA_ROLE:
        if (d->role == ROLE_NONE)
            return db_run(c, &seat_remove, "issi", o->id, d->nick, d->jid, o->stamp);
        return db_run(c, &seat_role, "issii", o->id, d->nick, d->jid, (int64_t)d->role, o->stamp);
    case DELTA_AFFILIATION:
        return affiliation_apply(c, o, d);
    case DELTA_CONFIG:
        return config_apply(c, o, d);
    case DELTA_AVATAR:
        return avatar_apply(c, o, d);
    default:
        return OK;
    }
}

static bool is_claim(const struct room_delta *d)
{
    return d->kind == DELTA_SEAT || d->kind == DELTA_PRESENCE || d->kind == DELTA_RENAME;
}

static enum err outcome_read(struct db_conn *c, struct room_change *o)
{
    const struct room_delta *claim = NULL;

    for (int i = 0; i < o->count; i++)
        if (is_claim(&o->deltas[i]))
            claim = &o->deltas[i];
    if (!claim)
        return db_run_later(c, &outcome, o->results, 4, &o->rows, "ii", o->id, o->stamp);
    if (claim->kind == DELTA_RENAME)
        return db_run_later(c, &outcome_of_nick, o->results, 4, &o->rows, "iis", o->id, o->stamp, claim->other);
    return db_run_later(c, &outcome_of_seat, o->results, 4, &o->rows, "iis", o->id, o->stamp, claim->jid);
}

static enum err change_apply(struct db_conn *c, struct change *ch)
{
    struct room_change *o = (struct room_change *)ch;
    enum err            e = ch->talk->shared ? archive_order_take(c, &ch->talk->order) : OK;

    o->left = 1;
    if (!e && o->deltas[0].kind == DELTA_CREATE)
        e = create_apply(c, o, &o->deltas[0]);
    else if (!e)
        e = db_run(c, &room_touch, "iiii", o->id, o->stamp, o->expected, (int64_t)o->bump);
    for (int i = 0; i < o->count && !e; i++)
        e = delta_apply(c, o, &o->deltas[i]);
    if (!e)
        e = outcome_read(c, o);
    for (int i = 0; i < o->count && !e; i++)
        if (o->deltas[i].kind == DELTA_DESTROY)
            e = destroy_apply(c, o, &o->deltas[i]);
    return e;
}

/* ---- the cause ---- */

struct room_cause *room_cause_new(struct session *s, const struct stanza *st, int tries)
{
    struct room_cause *c = NEW(struct room_cause);
    struct buf         b;

    buf_init(&b, 0);
    xml_put_node(&b, st->node, STR_NULL);
    *c = (struct room_cause){ .talk = s->talk, .session_id = s->id, .received = s->received, .xml = str_dup(buf_str(&b)), .tries = tries };
    arena_init(&c->arena);
    buf_done(&b);
    session_hold(s);
    return c;
}

struct session *room_cause_stanza(struct room_cause *c, struct stanza *st)
{
    struct session  *s = session_find(c->talk, c->session_id);
    struct xml_node *n;
    const char      *condition;

    if (!s || s->state == SESSION_CLOSED || s->closing)
        return NULL;
    arena_reset(&c->arena);
    if (xml_parse(&c->arena, str_of(c->xml), NULL, &n) != XML_FINE || stanza_read(&c->arena, n, &s->jid, st, &condition) != OK)
        return NULL;
    if (st->lang.len == 0 && s->lang)
        st->lang = str_of(s->lang);
    return s;
}

void room_cause_bounce(struct room_cause *c, const char *type, const char *condition, const char *text)
{
    struct stanza   st;
    struct session *s = room_cause_stanza(c, &st);

    if (s)
        session_bounce(s, &st, type, condition, text);
}

void room_cause_result(struct room_cause *c, struct str payload)
{
    struct stanza   st;
    struct session *s = room_cause_stanza(c, &st);

    if (s && st.kind == STANZA_IQ)
        iq_result_str(s, &st, payload);
}

void room_answer_done(struct talk *t, struct room_change *c)
{
    (void)t;
    room_cause_result(c->cause, STR_NULL);
}

void room_cause_free(struct room_cause *c)
{
    arena_done(&c->arena);
    free(c->xml);
    free(c);
}

static void cause_release(struct room_cause *c)
{
    struct session *s = session_find(c->talk, c->session_id);

    if (s && s->state != SESSION_CLOSED && s->received == c->received)
        session_continue(s);
}

void room_cause_done(struct room_cause *c)
{
    if (!c)
        return;
    cause_release(c);
    room_cause_free(c);
}

static void cause_again(struct room_cause *c)
{
    struct stanza   st;
    struct session *s = room_cause_stanza(c, &st);

    metric_add(&changes_again, 1);
    cause_release(c); /* what it does now may hold it again */
    if (s && c->tries >= ROOM_TRIES_MAX)
        session_bounce(s, &st, "wait", "resource-constraint", "the room changes too fast");
    else if (s)
        room_stanza(s, &st, c->tries + 1);
    room_cause_free(c);
}

static void read_again(struct talk *t, struct room *r, enum err e, void *arg)
{
    (void)t;
    (void)r;
    (void)e; /* whatever there is now: the stanza finds out */
    cause_again(arg);
}

/* ---- life ---- */

struct room_change *room_change_new(struct room *r, struct room_cause *cause)
{
    struct room_change *c = NEW(struct room_change);

    c->room = r;
    c->cause = cause;
    c->id = r->id;
    c->stamp = (int64_t)(random_u64() >> 2) | 1;
    c->expected = r->rules;
    arena_init(&c->arena);
    room_ref(r);
    return c;
}

static struct str keep(struct arena *a, struct str s)
{
    return s.p ? arena_str(a, s) : s;
}

bool room_delta(struct room_change *c, const struct room_delta *d)
{
    struct room_delta *o;

    if (c->count == ROOM_DELTAS_MAX)
        return false;
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 2;
        c->deltas = mem_resize(c->deltas, sizeof *c->deltas * (size_t)c->cap);
    }
    o = &c->deltas[c->count++];
    *o = *d;
    o->jid = keep(&c->arena, d->jid);
    o->nick = keep(&c->arena, d->nick);
    o->text = keep(&c->arena, d->text);
    o->other = keep(&c->arena, d->other);
    o->actor = keep(&c->arena, d->actor);
    o->reason = keep(&c->arena, d->reason);
    c->claims += is_claim(d);
    c->bump |= d->kind == DELTA_AFFILIATION || d->kind == DELTA_CONFIG;
    return true;
}

static void change_free(struct room_change *c)
{
    room_cause_done(c->cause);
    room_unref(c->room);
    arena_done(&c->arena);
    free(c->deltas);
    if (c->arg && c->abandon)
        c->abandon(c->arg);
    else
        free(c->arg);
    free(c);
}

void room_change_drop(struct room_change *c)
{
    change_free(c);
}

static void lost(struct talk *t, struct room_change *c)
{
    struct room_cause *cause = c->cause;
    bool               full = c->deltas[0].kind == DELTA_CREATE && c->rows == 0;

    c->cause = NULL;
    if (full && cause) {
        room_cause_bounce(cause, "wait", "resource-constraint", "you own too many rooms");
        room_cause_done(cause);
    } else {
        if (!c->room->gone && c->deltas[0].kind != DELTA_CREATE)
            room_stale(c->room);
        if (cause)
            room_find(t, c->room->local, read_again, cause);
    }
    change_free(c);
}

static void failed(struct room_change *c, enum err e)
{
    const struct err_info *info = err_info(e);

    if (c->cause)
        room_cause_bounce(c->cause, info->type, info->condition, "the change was not stored");
    else
        c->room->talk->rooms->left_behind = true;
    if (!c->room->gone && e != ERR_LIMIT)
        room_stale(c->room);
    change_free(c);
}

static void change_done(struct talk *t, struct change *ch, enum err e)
{
    struct room_change *c = (struct room_change *)ch;

    if (e) {
        failed(c, e);
    } else if (c->rows == 0 || !c->results[2] || c->results[3] < c->claims) {
        lost(t, c);
    } else {
        metric_add(&changes_made, 1);
        if (c->left == 0 && c->deltas[c->count - 1].kind == DELTA_DESTROY)
            c->deltas[c->count - 1].flags &= ~(unsigned)DELTA_IF_EMPTY; /* it has happened */
        room_far_won(c);
        change_free(c);
    }
}

static void note_stream(struct room *r, struct seat *seat)
{
    struct session *s = seat_session(r, seat);

    if (s && s->sm)
        sm_received(s);
}

/* Who is in which rooms decides how a stream is restored after a crash (xep0198_sm.h): its row joins the
 * transaction. */
static void note_streams(struct room_change *c)
{
    for (int i = 0; i < c->count; i++) {
        const struct room_delta *d = &c->deltas[i];
        struct occupant         *o = d->kind == DELTA_ROLE && d->role == ROLE_NONE ? room_occupant(c->room, d->nick) : NULL;
        struct seat             *seat = d->kind == DELTA_LEAVE || d->kind == DELTA_SEAT ? room_seat(c->room, d->jid) : NULL;

        if (seat)
            note_stream(c->room, seat);
        if (o)
            LIST_EACH(it, &o->seats)
                note_stream(c->room, LIST_ITEM(it, struct seat, in_occupant));
        if (d->kind == DELTA_DESTROY)
            LIST_EACH(it, &c->room->in_order)
                LIST_EACH(at, &LIST_ITEM(it, struct occupant, in_room)->seats)
                    note_stream(c->room, LIST_ITEM(at, struct seat, in_occupant));
    }
}

void room_change_go(struct room_change *c)
{
    struct session *s = c->cause ? session_find(c->cause->talk, c->cause->session_id) : NULL;
    enum err        e;

    assert(c->claims <= 1); /* outcome_read */
    c->change.apply = change_apply;
    c->change.done = change_done;
    note_streams(c);
    e = session_change(s, c->room->talk, &c->change);
    if (e)
        failed(c, e);
}

/* ---- as other messengers are told ---- */

enum { DELTAS_VERSION = 1 };

void room_deltas_write(struct buf *b, const struct room_delta *d, int count)
{
    codec_begin(b, DELTAS_VERSION);
    codec_put_u64(b, (uint64_t)count);
    for (int i = 0; i < count; i++, d++) {
        codec_put_u64(b, d->kind);
        codec_put_u64(b, d->flags);
        codec_put_u64(b, d->code);
        codec_put_i64(b, d->affiliation);
        codec_put_i64(b, d->role);
        codec_put_i64(b, d->node);
        codec_put_i64(b, d->since);
        codec_put_str(b, d->jid);
        codec_put_str(b, d->nick);
        codec_put_bytes(b, d->kind == DELTA_AVATAR ? STR_NULL : d->text); /* the card is read when somebody asks */
        codec_put_str(b, d->other);
        codec_put_str(b, d->actor);
        codec_put_str(b, d->reason);
    }
}

static bool makes_sense(const struct room_delta *d)
{
    bool needs_nick = d->kind == DELTA_SEAT || d->kind == DELTA_RENAME || d->kind == DELTA_ROLE;

    return d->kind >= DELTA_CREATE && d->kind < DELTA_KINDS && d->affiliation >= AFF_OUTCAST && d->affiliation <= AFF_OWNER &&
           d->role >= 0 && d->role <= ROLE_MODERATOR && (!needs_nick || d->nick.len) && (d->kind != DELTA_RENAME || d->other.len) &&
           (d->jid.len || d->kind == DELTA_CONFIG || d->kind == DELTA_AVATAR || d->kind == DELTA_DESTROY || d->kind == DELTA_CREATE);
}

int room_deltas_read(struct str text, struct room_delta *out, int max)
{
    struct codec_reader r = codec_open(text, DELTAS_VERSION);
    uint64_t            count = codec_u64(&r);

    if (count > (uint64_t)max)
        return -1;
    for (uint64_t i = 0; i < count && !r.failed; i++) {
        struct room_delta *d = &out[i];

        d->kind = (enum delta_kind)codec_u64(&r);
        d->flags = (unsigned)codec_u64(&r);
        d->code = (unsigned)codec_u64(&r);
        d->affiliation = (int8_t)codec_i64(&r);
        d->role = (int8_t)codec_i64(&r);
        d->node = codec_i64(&r);
        d->since = codec_i64(&r);
        d->jid = codec_str(&r, JID_BYTES_MAX);
        d->nick = codec_str(&r, JID_PART_BYTES_MAX);
        d->text = codec_bytes(&r, 1024 * 1024);
        d->other = codec_str(&r, JID_BYTES_MAX);
        d->actor = codec_str(&r, JID_BYTES_MAX);
        d->reason = codec_str(&r, ROOM_TEXT_BYTES_MAX);
        if (!makes_sense(d))
            return -1;
    }
    return codec_ok(&r) ? (int)count : -1;
}
