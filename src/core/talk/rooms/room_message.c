/* room_message.c: see room_message.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_message.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "talk/archive.h"
#include "talk/deliver.h"
#include "talk/feature.h"
#include "talk/host.h"
#include "talk/jids.h"
#include "talk/message.h"
#include "talk/rooms/room_absent.h"
#include "talk/rooms/room_far.h"
#include "talk/rooms/room_show.h"
#include "talk/search.h"
#include <stdlib.h>

METRIC_COUNTER(said_count, "bongsu_talk_room_messages", "Messages to rooms made durable.");
METRIC_COUNTER(passed_count, "bongsu_talk_room_messages_passed", "Messages to rooms passed on without being kept.");
METRIC_COUNTER(again_count, "bongsu_talk_room_messages_duplicate", "Messages to rooms sent again and recognised by their origin-id.");
METRIC_COUNTER(deliveries, "bongsu_talk_room_deliveries", "Copies of them that went out.");
METRIC_COUNTER(gap_count, "bongsu_talk_room_log_gaps", "Times a room's log was read because a message was missing.");

/* ---- out ---- */

bool room_is_subject(struct str kept)
{
    const char *end = memchr(kept.p, '>', kept.len);
    struct str  rest = end ? str_make(end + 1, (size_t)(kept.p + kept.len - end - 1)) : STR_NULL;

    return str_starts(rest, STR("<subject")) && !memmem(rest.p, rest.len, "<body", 5) && !memmem(rest.p, rest.len, "<thread", 7);
}

void room_put_delivery(struct buf *b, struct str kept, struct str to_full, int64_t shown, int64_t delay_us)
{
    struct kept_head h;
    struct buf       with;

    kept_head_read(&h, kept);
    buf_init(&with, 0);
    BUF_LIT(&with, "<message");
    xml_put_attr(&with, "to", to_full);
    buf_put(&with, kept.p + 8, kept.len - 8);
    message_put(b, buf_str(&with), h.from_bare, shown, delay_us, h.from_bare);
    buf_done(&with);
}

/* One text for all; only `to` is put in. */
void room_deliver(struct room *r, struct str kept, int64_t id, int64_t shown)
{
    struct talk *t = r->talk;
    struct buf   text, *copy = &t->rooms->copy;
    int64_t      n = 0;

    if (r->here == 0)
        return;
    buf_init(&text, 0);
    message_put(&text, kept, id ? r->bare : STR_NULL, shown, 0, STR_NULL);
    LIST_EACH(it, &r->in_order) {
        LIST_EACH(at, &LIST_ITEM(it, struct occupant, in_room)->seats) {
            struct seat    *s = LIST_ITEM(at, struct seat, in_occupant);
            struct session *to = seat_session(r, s);

            if (!s->entered || s->node != t->node)
                continue;
            n++;
            if (!to || t->shared || !id) {
                seat_send(r, s, buf_str(&text));
                continue;
            }
            buf_clear(copy);
            room_put_copy(copy, str_make(s->to, s->to_len), buf_str(&text));
            session_fill(to, id, buf_str(copy));
        }
    }
    metric_add(&deliveries, n);
    buf_done(&text);
}

static void subject_take(struct room *r, const struct room_said *m)
{
    struct str       text = str_make(m->text, m->len), from;
    struct kept_head h;
    const char      *start = (const char *)memchr(text.p, '>', text.len) + 1, *end = start;

    kept_head_read(&h, text);
    from = h.from;
    while (end < text.p + text.len && str_starts(str_make(end, (size_t)(text.p + text.len - end)), STR("<subject"))) {
        const char *close = memchr(end, '>', (size_t)(text.p + text.len - end));

        if (close && close[-1] != '/')
            close = memmem(close, (size_t)(text.p + text.len - close), "</subject>", 10);
        if (!close)
            break;
        end = close + (*close == '>' ? 1 : 10);
    }
    free(r->subject);
    free(r->subject_from);
    r->subject = str_dup(str_make(start, (size_t)(end - start)));
    r->subject_from = str_dup(from);
    r->subject_us = m->id;
}

/* The next of the room's log. */
static void said(struct room *r, const struct room_said *m)
{
    struct str text = str_make(m->text, m->len);

    r->log_last = m->id;
    if (r->log_want < m->id)
        r->log_want = m->id;
    if (room_is_subject(text))
        subject_take(r, m);
    else
        room_said_add(r, m->id, m->shown, text);
    room_deliver(r, text, m->id, m->shown);
}

/* ---- following, where others write too ---- */

enum { FOLLOW_AGAIN_MS = 100 };

struct follow {
    struct db_read      read;
    struct room        *room;
    int64_t             from, upto;
    struct arena        arena;
    struct archive_page page;
    struct timer        again;
};

static void log_go(struct room *r);

static enum err log_work(struct db_conn *c, struct db_read *self)
{
    struct follow        *f = (struct follow *)self;
    struct archive_filter filter = { .owner = f->room->id, .start_us = f->from + 1 };

    if (!archive_reaches(c, f->upto)) /* a replica that is behind: what it has is no whole page */
        return ERR_UNAVAILABLE;
    return archive_read(c, &f->arena, &filter, ARCHIVE_PAGE_MAX, false, &f->page);
}

static void log_end(struct follow *f)
{
    struct room *r = f->room;

    r->following = false;
    arena_done(&f->arena);
    free(f);
    if (!r->gone)
        log_go(r);
    room_unref(r);
}

static void log_again(struct timer *timer)
{
    log_end(LIST_ITEM(timer, struct follow, again));
}

static void log_read(struct db_read *self, enum err e)
{
    struct follow *f = (struct follow *)self;
    struct room   *r = f->room;

    if (e && !r->gone) {
        timer_start(r->talk->loop, &f->again, FOLLOW_AGAIN_MS, log_again);
        return;
    }
    for (int i = 0; !r->gone && i < f->page.count; i++) {
        const struct archive_row *row = &f->page.rows[i];

        if (row->id > r->log_last)
            said(r, &(struct room_said){ row->id, row->shown, row->stanza.len, (char *)row->stanza.p });
    }
    if (f->page.complete && r->log_last < f->upto)
        r->log_last = f->upto;
    log_end(f);
}

static void log_go(struct room *r)
{
    struct follow *f;

    if (r->following || r->log_want <= r->log_last)
        return;
    f = NEW(struct follow);
    f->read = (struct db_read){ .work = log_work, .done = log_read };
    f->room = r;
    f->from = r->log_last;
    f->upto = r->log_want;
    arena_init(&f->arena);
    room_ref(r);
    r->following = true;
    metric_add(&gap_count, 1);
    if (db_read_start(r->talk->db, &f->read) != OK)
        log_read(&f->read, ERR_LIMIT);
}

void room_follow(struct room *r, int64_t before, const struct room_said *m)
{
    if (m->id <= r->log_last)
        return;
    if (before == r->log_last && !r->following) {
        said(r, m);
        return;
    }
    if (m->id > r->log_want)
        r->log_want = m->id;
    log_go(r);
}

void room_follow_to(struct talk *t, int64_t room_id, int64_t id)
{
    struct room *r = t->rooms ? intmap_get(&t->rooms->by_id, room_id) : NULL;

    if (!r || r->gone || id <= r->log_want)
        return;
    r->log_want = id;
    log_go(r);
}

/* ---- on its way ---- */

struct said_op {
    struct change      change;
    struct archive_put put;
    struct room       *room;
    struct room_cause *cause; /* room_post */
    room_post_fn      *also;
    void              *also_arg;
    int64_t            seq;         /* who was inside when the places were taken */
    char              *full, *bare; /* the sender; NULL: the room */
    char              *id;
    char              *text;
    bool               subject, stranger;
    struct list        in_room; /* room->posting: its places are taken, and it is not decided */
    int                target_count, target_cap;
    uint64_t          *targets; /* sessions in whose streams it has a place */
};

static struct db_sql subject_set = { "UPDATE room SET subject = ?2, subject_from = ?3, subject_us = ?4 WHERE id = ?1" };

static enum err subject_apply(struct db_conn *c, struct said_op *o)
{
    struct room      r = { 0 };
    struct room_said m = { .id = o->put.id ? o->put.id : clock_us(), .len = o->put.stanza.len, .text = o->text };
    enum err         e;

    subject_take(&r, &m);
    e = db_run(c, &subject_set, "issi", o->room->id, str_of(r.subject), str_of(r.subject_from), m.id);
    free(r.subject);
    free(r.subject_from);
    return e;
}

static enum err said_apply(struct db_conn *c, struct change *ch)
{
    struct said_op *o = (struct said_op *)ch;
    bool            shared = ch->talk->shared;
    enum err        e = shared ? archive_order_take(c, &ch->talk->order) : OK;

    if (!e && o->stranger && shared)
        e = jids_write(c, o->put.sender, str_of(o->bare));
    if (!e && o->also)
        e = o->also(c, o->also_arg);
    if (!e)
        e = archive_write(c, &o->put);
    return e || !o->subject ? e : subject_apply(c, o);
}

static void op_free(struct said_op *o)
{
    list_remove(&o->in_room);
    room_cause_done(o->cause);
    room_unref(o->room);
    free(o->also_arg);
    free(o->full);
    free(o->bare);
    free(o->id);
    free(o->text);
    free(o->targets);
    free(o);
}

/* Those who have left since give their places up. */
static void give_up(struct talk *t, struct said_op *o)
{
    for (int i = 0; i < o->target_count; i++) {
        struct session *s = session_find(t, o->targets[i]);

        if (s)
            session_fill(s, o->put.id, STR_NULL);
    }
}

static void tell_failure(struct talk *t, struct said_op *o, enum err e)
{
    struct session        *s = session_find(t, o->change.session_id);
    const struct err_info *info = err_info(e);
    struct buf             b;

    if (o->cause)
        room_cause_bounce(o->cause, info->type, info->condition, "it was not stored");
    if (o->cause || !s || !o->full)
        return;
    buf_init(&b, 0);
    stanza_open(&b, "message", o->room->bare, s->jid.full, o->id ? str_of(o->id) : STR_NULL, "error", STR_NULL);
    buf_printf(&b,
               "<error type='%s'><%s xmlns='" NS_STANZA_ERRORS "'/>"
               "<text xmlns='" NS_STANZA_ERRORS "' xml:lang='en'>the message was not stored: %s</text></error></message>",
               info->type, info->condition, info->sentence);
    session_send(s, buf_str(&b));
    buf_done(&b);
}

/* Sent again: it is there already; the sender alone sees it once more, and so knows. Another messenger may have stored it just now: then
 * what is before it has not been shown here either, and all of it comes by the log. */
static void reflect_again(struct said_op *o, int64_t id)
{
    struct room *r = o->room;
    struct seat *s = o->full ? room_seat(r, str_of(o->full)) : NULL;
    struct buf   b;

    metric_add(&again_count, 1);
    if (o->put.order && id > r->log_last) {
        room_follow_to(r->talk, r->id, id);
        return;
    }
    if (!s || !id)
        return;
    buf_init(&b, 0);
    message_put(&b, o->put.stanza, r->bare, o->put.order ? archive_name(o->put.origin) : id, 0, STR_NULL);
    seat_send(r, s, buf_str(&b));
    buf_done(&b);
}

static void stored(struct talk *t, struct said_op *o)
{
    struct room     *r = o->room;
    struct room_said m = { o->put.id, o->put.order ? archive_name(o->put.origin) : o->put.id, o->put.stanza.len, o->text };

    metric_add(&said_count, 1);
    search_note(t, r->id);
    if (o->cause)
        room_cause_result(o->cause, STR_NULL);
    if (o->put.order) {
        room_follow(r, o->put.before_recipient, &m);
        room_far_send(t, &(struct room_event){ .kind = ROOM_SAID,
                                               .local = r->local,
                                               .id = m.id,
                                               .before = o->put.before_recipient,
                                               .shown = m.shown,
                                               .text = o->put.stanza });
    } else if (!r->gone) {
        said(r, &m);
        if (o->seq != r->seq)
            give_up(t, o);
    } else {
        give_up(t, o);
    }
    room_message_for_absent(r, o->put.stanza, m.shown);
}

static void said_done(struct talk *t, struct change *ch, enum err e)
{
    struct said_op *o = (struct said_op *)ch;

    if (o->put.order && !e)
        archive_decided(&o->put);
    else if (!o->put.order && !e && !o->put.duplicate)
        archive_wrote(t);
    else if (!o->put.order && o->put.origin)
        archive_recent_remove(t, o->put.sender, o->put.origin);
    if (e) {
        give_up(t, o);
        tell_failure(t, o, e);
    } else if (o->put.duplicate) {
        give_up(t, o);
        reflect_again(o, o->put.order ? o->put.id : o->put.original);
    } else {
        stored(t, o);
    }
    op_free(o);
}

/* The same is in the tail, perhaps still in the batch. */
static void again_done(struct talk *t, struct change *ch, enum err e)
{
    struct said_op *o = (struct said_op *)ch;
    int64_t         id = archive_recent(t, o->put.sender, o->put.origin);

    if (e || !id)
        tell_failure(t, o, e ? e : ERR_UNAVAILABLE);
    else
        reflect_again(o, id);
    op_free(o);
}

static struct said_op *op_new(struct room *r, struct str kept)
{
    struct said_op *o = NEW(struct said_op);

    o->room = r;
    o->text = str_dup(kept);
    o->seq = r->seq;
    o->put.stanza = str_make(o->text, kept.len);
    o->put.recipient = r->id;
    o->put.keeps = ARCHIVE_RECIPIENT_KEEPS;
    o->change.done = said_done;
    room_ref(r);
    return o;
}

static void name_it(struct talk *t, struct said_op *o, struct str origin_id)
{
    if (origin_id.len)
        o->put.origin = archive_origin_hash(t, origin_id);
    if (!t->shared) {
        o->put.id = talk_log_id(t);
        return;
    }
    o->put.order = &t->order;
    if (!o->put.origin) /* so that a batch whose answer was lost can be repeated */
        o->put.origin = (int64_t)(random_u64() | 1);
    o->put.origin = archive_origin_of(o->put.sender, o->put.origin);
}

static void expect(struct said_op *o, struct session *to)
{
    if (!to->sm)
        return;
    if (o->target_count == o->target_cap) {
        o->target_cap = o->target_cap ? o->target_cap * 2 : o->room->here + 1;
        o->targets = mem_resize(o->targets, sizeof *o->targets * (size_t)o->target_cap);
    }
    o->targets[o->target_count++] = to->id;
    session_expect(to, o->put.id, DELIVERY_ROOM);
}

static void expect_all(struct said_op *o)
{
    struct room *r = o->room;

    list_append(&r->posting, &o->in_room);
    LIST_EACH(it, &r->in_order)
        LIST_EACH(at, &LIST_ITEM(it, struct occupant, in_room)->seats) {
            struct seat    *s = LIST_ITEM(at, struct seat, in_occupant);
            struct session *to = seat_session(r, s);

            if (to && s->entered)
                expect(o, to);
        }
}

void room_expect(struct room *r, struct seat *s)
{
    struct session *to = seat_session(r, s);

    LIST_EACH(it, &r->posting)
        if (to)
            expect(LIST_ITEM(it, struct said_op, in_room), to);
}

/* False: too much waits. */
static bool launch(struct session *s, struct said_op *o)
{
    struct talk *t = o->room->talk;

    if (commit_waiting(t->db) > COMMIT_OPS_MAX / 2)
        return false;
    if (!t->shared && o->put.origin && archive_recent(t, o->put.sender, o->put.origin)) {
        o->change.done = again_done;
        return session_change(s, t, &o->change) == OK;
    }
    o->change.apply = said_apply;
    if (session_change(s, t, &o->change) != OK)
        return false;
    if (t->shared) {
        t->order_open = true;
        return true;
    }
    if (o->put.origin)
        archive_recent_add(t, o->put.sender, o->put.origin, o->put.id);
    expect_all(o);
    return true;
}

static void launch_or_refuse(struct session *s, struct said_op *o)
{
    o->change.session_id = s ? s->id : 0;
    if (launch(s, o))
        return;
    tell_failure(o->room->talk, o, ERR_LIMIT);
    op_free(o);
}

void room_post(struct room *r, struct room_cause *cause, struct str kept, room_post_fn *apply, void *arg, int64_t sender)
{
    struct said_op *o = op_new(r, kept);

    o->cause = cause;
    o->also = apply;
    o->also_arg = arg;
    o->put.sender = sender;
    if (sender == r->id) /* what one writes to oneself is in the log once, as what was sent */
        o->put.keeps |= ARCHIVE_SENDER_KEEPS;
    name_it(r->talk, o, STR_NULL);
    launch_or_refuse(cause ? session_find(r->talk, cause->session_id) : NULL, o);
}

/* ---- what a client says ---- */

static bool is_wanted(const struct stanza *st, bool subject)
{
    if (xml_child(st->node, "no-store", "urn:xmpp:hints") || xml_child(st->node, "no-permanent-store", "urn:xmpp:hints"))
        return false;
    if (subject || xml_child(st->node, "store", "urn:xmpp:hints"))
        return true;
    for (const struct xml_node *n = xml_first(st->node); n; n = xml_next(n))
        if (xml_is(n, "body", NS_CLIENT) || (features_payload(n->name, n->ns) & PAYLOAD_KEPT))
            return true;
    return false;
}

/* §8.1: a subject alone. p NULL: it does not change the subject. The elements hold text and nothing else, so that they can be
 * cut out of what is kept (subject_take). */
static struct str subject_of(const struct stanza *st)
{
    struct str out;
    struct buf b;

    if (!xml_child(st->node, "subject", NS_CLIENT) || xml_child(st->node, "body", NS_CLIENT) || xml_child(st->node, "thread", NS_CLIENT))
        return STR_NULL;
    buf_init(&b, 0);
    for (const struct xml_node *c = xml_first(st->node); c; c = xml_next(c)) {
        if (!xml_is(c, "subject", NS_CLIENT))
            continue;
        BUF_LIT(&b, "<subject");
        if (c->lang.len)
            xml_put_attr(&b, "xml:lang", c->lang);
        buf_put_c(&b, '>');
        xml_put_escaped(&b, xml_text(st->arena, c));
        BUF_LIT(&b, "</subject>");
    }
    out = arena_str(st->arena, buf_str(&b));
    buf_done(&b);
    return out;
}

static void put_kept(struct buf *b, struct room *r, const struct stanza *st, const struct occupant *from, struct str subject)
{
    char token[17];

    random_token(token, 16);
    stanza_open(b, "message", from->address, STR_NULL, st->id.len ? st->id : str_make(token, 16), "groupchat", st->lang);
    buf_put_str(b, subject);
    for (const struct xml_node *c = xml_first(st->node); c; c = xml_next(c))
        if (!room_drops(r->talk, c) && !(subject.p && xml_is(c, "subject", NS_CLIENT)))
            xml_put_node(b, c, STR(NS_CLIENT));
    room_put_occupant_id(b, from->id);
    BUF_LIT(b, "</message>");
}

static int64_t sender_of(struct session *s, struct said_op *o)
{
    if (s->person)
        return person_number(s->person);
    o->stranger = true;
    return s->talk->shared ? jids_hash(s->talk, s->jid.bare) : jids_number(s->talk, s->jid.bare);
}

struct passing {
    struct room *room;
    struct buf   text;
};

static void pass_now(struct talk *t, void *arg)
{
    struct passing *p = arg;

    metric_add(&passed_count, 1);
    if (!p->room->gone) {
        room_deliver(p->room, buf_str(&p->text), 0, 0);
        room_far_send(t, &(struct room_event){ .kind = ROOM_PASSED, .local = p->room->local, .text = buf_str(&p->text) });
    }
    buf_done(&p->text);
    room_unref(p->room);
    free(p);
}

static void pass_on(struct room *r, struct session *s, struct str kept)
{
    struct passing *p = NEW(struct passing);

    p->room = r;
    room_ref(r);
    buf_init(&p->text, 0);
    buf_put_str(&p->text, kept);
    session_after_commits(s, pass_now, p);
}

static void keep(struct room *r, struct session *s, const struct stanza *st, struct str kept, bool subject)
{
    struct said_op        *o = op_new(r, kept);
    const struct xml_node *origin = xml_child(st->node, "origin-id", "urn:xmpp:sid:0");

    o->full = str_dup(s->jid.full);
    o->bare = str_dup(s->jid.bare);
    o->id = st->id.p ? str_dup(st->id) : NULL;
    o->subject = subject;
    o->put.sender = sender_of(s, o);
    name_it(r->talk, o, origin ? xml_attr(origin, "id") : STR_NULL);
    launch_or_refuse(s, o);
}

static bool may_change_subject(const struct room *r, const struct occupant *o)
{
    return o->role == ROLE_MODERATOR || (r->config.change_subject && o->role == ROLE_PARTICIPANT);
}

void room_message(struct room *r, struct session *s, const struct stanza *st)
{
    struct seat *from = room_seat(r, s->jid.full);
    struct str   subject = subject_of(st);
    bool         wanted = is_wanted(st, subject.p != NULL);
    struct buf   b;

    if (!from) {
        session_bounce(s, st, "modify", "not-acceptable", "only those inside may speak here");
        return;
    }
    if (from->occupant->role < ROLE_PARTICIPANT) {
        session_bounce(s, st, "auth", "forbidden", "a moderator has to give you voice first");
        return;
    }
    if (subject.p && !may_change_subject(r, from->occupant)) {
        session_bounce(s, st, "auth", "forbidden", "only moderators may change the subject");
        return;
    }
    if (subject.len > ROOM_TEXT_BYTES_MAX) {
        session_bounce(s, st, "modify", "policy-violation", "the subject is too long");
        return;
    }
    buf_init(&b, 0);
    put_kept(&b, r, st, from->occupant, subject);
    if (subject.p || (wanted && r->config.logging))
        keep(r, s, st, buf_str(&b), subject.p != NULL);
    else
        pass_on(r, s, buf_str(&b));
    buf_done(&b);
}
