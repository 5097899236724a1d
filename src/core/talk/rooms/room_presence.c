/* room_presence.c: coming in, going, another name, another mood (XEP-0045 §7).
 *
 *   outside ──available with <x/>──▶ inside ──available──▶ inside: another nick, or other presence
 *      ▲                                │ unavailable; the session ends; it does not answer; removed
 *      └────────────────────────────────┘
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/mem.h"
#include "talk/jids.h"
#include "talk/rooms/room_leave.h"
#include "talk/rooms/room_show.h"
#include "talk/rooms/room_stanza.h"
#include <stdlib.h>

enum { PRIVILEGED_PLACES = 20 }; /* beyond a room's bound, for its admins and owners (§7.1.9) */

struct refusal {
    const char *type, *condition, *text;
};

static const struct refusal fine = { 0 };

/* ---- going ---- */

void room_leave_last(struct room_change *c)
{
    struct room *r = c->room;

    if ((size_t)c->count >= r->seats.count && (!r->config.persistent || r->locked))
        room_delta(c, &(struct room_delta){ .kind = DELTA_DESTROY, .flags = DELTA_IF_EMPTY });
}

void room_end_if_empty(struct room *r)
{
    struct room_change *c;

    if (r->gone || r->seats.count || (r->config.persistent && !r->locked))
        return;
    c = room_change_new(r, NULL);
    c->expected = -1;
    room_delta(c, &(struct room_delta){ .kind = DELTA_DESTROY, .flags = DELTA_IF_EMPTY });
    room_change_go(c);
}

static void leave(struct room *r, struct seat *s, struct room_cause *cause, struct str inner, unsigned code)
{
    struct room_change *c = room_change_new(r, cause);

    c->expected = -1;
    room_delta(c, &(struct room_delta){ .kind = DELTA_LEAVE, .jid = s->full, .node = s->node, .text = inner, .code = code });
    room_leave_last(c);
    room_change_go(c);
}

void room_leave_soon(struct room *r, struct str full, unsigned code)
{
    struct seat *s = room_seat(r, full);

    if (s && !r->gone)
        leave(r, s, NULL, STR_NULL, code);
}

static void leave_all(struct room_visitor *v, struct str inner)
{
    LIST_EACH(it, &v->seats) {
        struct seat *seat = LIST_ITEM(it, struct seat, in_session);

        leave(seat_room(seat), seat, NULL, inner, 0);
    }
}

void rooms_session_left(struct session *s, struct str inner)
{
    struct room_visitor *v = rooms_visitor(s->talk, s->id);

    if (v)
        leave_all(v, inner);
}

void rooms_leave_again(struct talk *t)
{
    int64_t id;
    void   *value;

    if (!t->rooms->left_behind)
        return;
    t->rooms->left_behind = false;
    for (size_t it = 0; intmap_next(&t->rooms->sessions, &it, &id, &value);)
        if (!session_find(t, (uint64_t)id))
            leave_all(value, STR_NULL);
}

/* In memory at once, for whoever comes in next; then as any new presence. */
static void tell_less(struct session *s, struct occupant *o)
{
    struct room_change *c;
    struct buf          inner;

    buf_init(&inner, 0);
    if (room_put_inner_again(&inner, s, str_of(o->inner))) {
        free(o->inner);
        o->inner = str_dup(buf_str(&inner));
        occupant_text_drop(o);
        c = room_change_new(o->room, NULL);
        c->expected = -1;
        room_delta(c, &(struct room_delta){ .kind = DELTA_PRESENCE, .jid = s->jid.full, .text = buf_str(&inner) });
        room_change_go(c);
    }
    buf_done(&inner);
}

void rooms_person_tells_less(struct person *p)
{
    LIST_EACH(it, &p->sessions) {
        struct session      *s = LIST_ITEM(it, struct session, in_person);
        struct room_visitor *v = p->talk->rooms ? rooms_visitor(p->talk, s->id) : NULL;

        for (struct list *at = v ? v->seats.next : NULL; v && at != &v->seats; at = at->next)
            tell_less(s, LIST_ITEM(at, struct seat, in_session)->occupant);
    }
}

bool room_error_is_final(const struct stanza *st)
{
    static const char *const final[] = { "gone",     "item-not-found",          "recipient-unavailable",
                                         "redirect", "remote-server-not-found", "remote-server-timeout" };
    const struct xml_node   *e = xml_child(st->node, "error", NS_CLIENT);

    for (size_t i = 0; e && i < sizeof final / sizeof final[0]; i++)
        if (xml_child(e, final[i], NS_STANZA_ERRORS))
            return true;
    return false;
}

/* ---- may they? ---- */

static bool is_blank(struct str nick)
{
    for (size_t i = 0; i < nick.len; i++)
        if (nick.p[i] != ' ')
            return false;
    return true;
}

static struct refusal judge_text(struct str nick)
{
    if (is_blank(nick))
        return (struct refusal){ "modify", "jid-malformed", nick.len ? "a nickname has to be seen" : "a nickname is needed" };
    if (nick.len > ROOM_NICK_BYTES_MAX)
        return (struct refusal){ "modify", "policy-violation", "the nickname is too long" };
    return fine;
}

static struct refusal judge_nick(const struct room *r, const struct session *s, struct str nick)
{
    const struct occupant *o = room_occupant(r, nick);
    const struct member   *owner = room_nick_owner(r, nick);

    if (o && !str_eq(o->bare, s->jid.bare))
        return (struct refusal){ "cancel", "conflict", "somebody has that nickname" };
    if (owner && !str_eq(owner->jid, s->jid.bare))
        return (struct refusal){ "cancel", "conflict", "that nickname is reserved" };
    return fine;
}

static struct refusal judge_size(const struct room *r, const struct session *s, enum affiliation a)
{
    const struct room_visitor *v = rooms_visitor(s->talk, s->id);
    size_t                     most = (size_t)s->talk->limits.room_occupants_max;

    if (r->config.occupants_max && (size_t)r->config.occupants_max < most)
        most = (size_t)r->config.occupants_max;
    if (a >= AFF_ADMIN)
        most += PRIVILEGED_PLACES;
    if (r->seats.count >= most)
        return (struct refusal){ "wait", "service-unavailable", "the room is full" };
    if (v && v->count >= s->talk->limits.rooms_per_session_max)
        return (struct refusal){ "wait", "resource-constraint", "you are in too many rooms" };
    return fine;
}

static struct refusal judge_entry(const struct room *r, const struct session *s, const struct stanza *st)
{
    enum affiliation       a = room_affiliation(r, s->jid.bare);
    const struct xml_node *x = xml_child(st->node, "x", NS_MUC);
    struct str             password = xml_child_text(st->arena, x, "password", NS_MUC);

    if (r->locked && a != AFF_OWNER)
        return (struct refusal){ "cancel", "item-not-found", "the room is not configured yet" };
    if (a == AFF_OUTCAST)
        return (struct refusal){ "auth", "forbidden", "you are banned from this room" };
    if (r->config.members_only && a < AFF_MEMBER)
        return (struct refusal){ "auth", "registration-required", "this room is for members" };
    if (r->config.password && !str_eq_secret(password.p ? password : STR(""), str_of(r->config.password)))
        return (struct refusal){ "auth", "not-authorized", "this room has a password" };
    return judge_size(r, s, a);
}

/* ---- coming in ---- */

static void refuse(struct session *s, const struct stanza *st, struct refusal f)
{
    session_bounce(s, st, f.type, f.condition, f.text);
}

static struct str inner_of(struct buf *b, struct session *s, const struct stanza *st)
{
    buf_init(b, 0);
    room_put_inner(b, s, st);
    return buf_str(b);
}

static void take_seat(struct room *r, struct session *s, const struct stanza *st, int tries, unsigned flags)
{
    struct room_change    *c = room_change_new(r, room_cause_new(s, st, tries));
    const struct occupant *o = room_occupant(r, st->to.resource);
    enum affiliation       a = room_affiliation(r, s->jid.bare);
    struct buf             inner;

    room_delta(c, &(struct room_delta){ .kind = DELTA_SEAT,
                                        .flags = flags,
                                        .jid = s->jid.full,
                                        .nick = st->to.resource,
                                        .node = s->talk->node,
                                        .since = talk_log_id(s->talk),
                                        .role = (int8_t)(o ? o->role : room_default_role(r, a)),
                                        .text = inner_of(&inner, s, st) });
    buf_done(&inner);
    room_change_go(c);
}

/* Another messenger may have just let them in, or made room: nobody is refused by old news, if that costs little. */
static bool is_doubtful(struct room *r, int tries)
{
    enum { DOUBT_MS = 500, DOUBTS_MAX = 8 };
    int64_t now = loop_now_ms(r->talk->loop);

    if (!r->talk->wide || tries)
        return false;
    if (now - r->doubted_ms >= DOUBT_MS) {
        r->doubted_ms = now;
        r->doubts = 0;
    }
    return r->doubts++ < DOUBTS_MAX;
}

static void join(struct room *r, struct session *s, const struct stanza *st, int tries)
{
    struct refusal f = judge_nick(r, s, st->to.resource);

    if (!f.condition)
        f = judge_entry(r, s, st);
    if (f.condition && is_doubtful(r, tries)) {
        room_stale(r);
        room_stanza(s, st, 1);
    } else if (f.condition) {
        refuse(s, st, f);
    } else {
        take_seat(r, s, st, tries, 0);
    }
}

/* §10.1: the room comes into being with its first occupant, its owner. */
static void create(struct session *s, const struct stanza *st, int tries)
{
    struct talk        *t = s->talk;
    struct room        *r;
    struct room_change *c;
    struct buf          inner, config;

    if (!t->limits.rooms_create || !s->person) {
        refuse(s, st, (struct refusal){ "cancel", "not-allowed", "you may not make rooms here" });
        return;
    }
    r = room_new(t, st->to.local);
    r->id = t->shared ? jids_hash(t, r->bare) : jids_number(t, r->bare);
    r->locked = true;
    room_config_default(&r->config);
    c = room_change_new(r, room_cause_new(s, st, tries));
    buf_init(&config, 0);
    room_config_write(&r->config, &config);
    room_delta(c, &(struct room_delta){ .kind = DELTA_CREATE, .text = buf_str(&config), .jid = s->jid.bare, .since = clock_us() });
    room_delta(c, &(struct room_delta){ .kind = DELTA_AFFILIATION, .jid = s->jid.bare, .affiliation = AFF_OWNER, .since = clock_us() });
    room_delta(c, &(struct room_delta){ .kind = DELTA_SEAT,
                                        .flags = DELTA_CREATED,
                                        .jid = s->jid.full,
                                        .nick = st->to.resource,
                                        .node = t->node,
                                        .since = talk_log_id(t),
                                        .role = ROLE_MODERATOR,
                                        .text = inner_of(&inner, s, st) });
    buf_done(&inner);
    buf_done(&config);
    room_change_go(c);
}

/* §7.1.16: a client that thinks it is inside, and is not. */
static void put_out(struct session *s, const struct stanza *st)
{
    struct buf b;

    buf_init(&b, 0);
    stanza_open(&b, "presence", st->to.full, s->jid.full, st->id, "unavailable", STR_NULL);
    BUF_LIT(&b, "<x xmlns='" NS_MUC_USER "'><item affiliation='none' role='none'/><status code='110'/><status code='307'/>"
                "<status code='333'/></x></presence>");
    session_send(s, buf_str(&b));
    buf_done(&b);
}

/* ---- inside ---- */

static void rename_to(struct room *r, struct session *s, const struct stanza *st, int tries, struct seat *seat)
{
    struct refusal      f = judge_nick(r, s, st->to.resource);
    struct room_change *c;
    struct buf          inner;

    if (f.condition) {
        refuse(s, st, f);
        return;
    }
    c = room_change_new(r, room_cause_new(s, st, tries));
    room_delta(c, &(struct room_delta){ .kind = DELTA_RENAME,
                                        .jid = s->jid.bare,
                                        .nick = seat->occupant->nick,
                                        .other = st->to.resource,
                                        .text = inner_of(&inner, s, st) });
    buf_done(&inner);
    room_change_go(c);
}

static void update(struct room *r, struct session *s, const struct stanza *st, int tries)
{
    struct room_change *c = room_change_new(r, room_cause_new(s, st, tries));
    struct buf          inner;

    c->expected = -1;
    room_delta(c, &(struct room_delta){ .kind = DELTA_PRESENCE, .jid = s->jid.full, .text = inner_of(&inner, s, st) });
    buf_done(&inner);
    room_change_go(c);
}

static void available(struct room *r, struct session *s, const struct stanza *st, int tries)
{
    struct seat   *seat = r ? room_seat(r, s->jid.full) : NULL;
    bool           joins = xml_child(st->node, "x", NS_MUC) != NULL;
    struct buf     inner;
    struct refusal f = judge_text(st->to.resource);

    if (inner_of(&inner, s, st).len > ROOM_PRESENCE_BYTES_MAX)
        f = (struct refusal){ "modify", "policy-violation", "the presence is too large" };
    if (f.condition)
        refuse(s, st, f);
    else if (!seat && !joins)
        put_out(s, st);
    else if (!r)
        create(s, st, tries);
    else if (!seat)
        join(r, s, st, tries);
    else if (!str_eq(seat->occupant->nick, st->to.resource))
        rename_to(r, s, st, tries, seat);
    else if (joins)
        take_seat(r, s, st, tries, DELTA_AGAIN);
    else
        update(r, s, st, tries);
    buf_done(&inner);
}

void room_presence(struct room *r, struct session *s, const struct stanza *st, int tries)
{
    struct seat *seat = r ? room_seat(r, s->jid.full) : NULL;
    struct buf   inner;

    if (st->type == TYPE_AVAILABLE) {
        available(r, s, st, tries);
    } else if (st->type == TYPE_UNAVAILABLE && seat) {
        leave(r, seat, room_cause_new(s, st, tries), inner_of(&inner, s, st), 0);
        buf_done(&inner);
    } else if (st->type == TYPE_ERROR && seat && room_error_is_final(st)) {
        leave(r, seat, NULL, STR_NULL, 333);
    }
}
