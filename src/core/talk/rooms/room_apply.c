/* room_apply.c: a change has happened: memory follows, and whoever is inside here is told.
 *
 * First all of memory, so that what is shown is how it is after all deltas; what goes away is written down
 * before it goes. Then those who were removed are told, then whoever caused it (XEP-0045 §8.2 wants that
 * order), then the others. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "talk/rooms/room_absent.h"
#include "talk/rooms/room_change.h"
#include "talk/rooms/room_far.h"
#include "talk/rooms/room_show.h"
#include "talk/rooms/room_stanza.h"
#include <stdlib.h>

/* Somebody, or some of their sessions, who is inside no longer. */
struct parting {
    bool                   whole;   /* the occupant has gone, not only a session */
    const struct occupant *renamed; /* it is still here, and told already */
    uint8_t                role;
    struct str             texts[2]; /* for the others */
    struct str             self;     /* without `to` */
    int                    seat_count;
    struct parting_seat {
        uint64_t   session_id;
        struct str full, to;
        bool       here;
    } * seats;
};

struct touched {
    struct occupant   *o;
    struct room_notice n;
};
struct coming {
    struct seat *seat;
    unsigned     flags;
    bool         fresh;
};

struct effects {
    struct room    *room;
    struct arena    arena;
    struct parting *partings;
    struct touched *touched;
    struct coming  *comings;
    int             parting_count, touched_count, coming_count;
    unsigned        config;
    bool            avatar, destroyed;
};

/* ---- going ---- */

static struct str text_of(struct effects *e, const struct occupant *o, struct str inner, bool sees, const struct room_notice *n)
{
    struct str out;
    struct buf b;

    buf_init(&b, 0);
    room_put_presence(&b, e->room, o, true, inner, sees, n);
    out = arena_str(&e->arena, buf_str(&b));
    buf_done(&b);
    return out;
}

static struct parting *part_begin(struct effects *e, const struct occupant *o, struct str inner, const struct room_notice *n)
{
    struct parting    *p = &e->partings[e->parting_count++];
    struct room_notice self = *n;
    int                cap = 0;

    *p = (struct parting){ .role = o->role };
    for (int sees = 0; sees < 2; sees++)
        p->texts[sees] = text_of(e, o, inner, sees, n);
    self.codes[self.count++] = SHOW_SELF;
    p->self = text_of(e, o, inner, room_sees_jids(e->room, o->role), &self);
    for (const struct list *it = o->seats.next; it != &o->seats; it = it->next)
        cap++;
    p->seats = arena_alloc(&e->arena, sizeof *p->seats * (size_t)(cap + 1));
    return p;
}

static void part_seat(struct effects *e, struct parting *p, struct seat *s)
{
    p->seats[p->seat_count++] = (struct parting_seat){ s->session_id, arena_str(&e->arena, s->full),
                                                       arena_str(&e->arena, str_make(s->to, s->to_len)), s->node == e->room->talk->node };
}

static void part_tell(struct effects *e, const struct parting *p)
{
    struct buf b;

    buf_init(&b, 0);
    for (int i = 0; i < p->seat_count; i++) {
        const struct parting_seat *s = &p->seats[i];
        struct session            *to = s->session_id ? session_find(e->room->talk, s->session_id) : NULL;

        if (!s->here)
            continue;
        buf_clear(&b);
        room_put_copy(&b, s->to, p->self);
        if (to && !to->closing)
            session_send(to, buf_str(&b));
        else if (!s->session_id)
            room_to_host(e->room, s->full, buf_str(&b));
    }
    buf_done(&b);
}

static void untouch(struct effects *e, const struct occupant *o)
{
    for (int i = 0; i < e->touched_count; i++)
        if (e->touched[i].o == o)
            e->touched[i] = e->touched[--e->touched_count];
}

static void leave(struct effects *e, const struct room_delta *d)
{
    struct seat       *s = room_seat(e->room, d->jid);
    struct room_notice n = { .count = d->code ? 1 : 0, .codes = { d->code } };
    struct parting    *p;

    if (!s || (d->node && s->node != d->node))
        return;
    p = part_begin(e, s->occupant, d->text, &n);
    p->whole = s->occupant->seats.next == s->occupant->seats.prev;
    if (p->whole)
        untouch(e, s->occupant);
    part_seat(e, p, s);
    room_seat_drop(e->room, s);
}

static void remove_all(struct effects *e, struct occupant *o, struct str inner, const struct room_notice *n)
{
    struct parting *p = part_begin(e, o, inner, n);
    bool            more = true;

    p->whole = true;
    untouch(e, o);
    while (more) {
        struct seat *s = LIST_ITEM(o->seats.next, struct seat, in_occupant);

        more = s->in_occupant.next != &o->seats;
        part_seat(e, p, s);
        room_seat_drop(e->room, s);
    }
}

/* ---- changing ---- */

static struct touched *touch(struct effects *e, struct occupant *o)
{
    occupant_text_drop(o);
    for (int i = 0; i < e->touched_count; i++)
        if (e->touched[i].o == o)
            return &e->touched[i];
    e->touched[e->touched_count] = (struct touched){ .o = o };
    return &e->touched[e->touched_count++];
}

static void notice_why(struct room_notice *n, const struct room_delta *d)
{
    if (d->actor.p)
        n->actor = d->actor;
    if (d->reason.p)
        n->reason = d->reason;
}

static void take_role(struct effects *e, const struct room_delta *d)
{
    struct occupant   *o = room_occupant(e->room, d->nick);
    struct room_notice n = { .count = d->code ? 1 : 0, .codes = { d->code }, .actor = d->actor, .reason = d->reason };

    if (!o || !str_eq(o->bare, d->jid))
        return;
    if (d->role == ROLE_NONE) {
        remove_all(e, o, STR(""), &n);
        return;
    }
    o->role = (uint8_t)d->role;
    notice_why(&touch(e, o)->n, d);
}

static void take_affiliation(struct effects *e, const struct room_delta *d)
{
    room_member_set(e->room, d->jid, d->affiliation, d->nick, d->since);
    for (struct occupant *o = room_by_bare(e->room, d->jid, NULL); o; o = room_by_bare(e->room, d->jid, o))
        notice_why(&touch(e, o)->n, d);
}

static void take_seat(struct effects *e, const struct room_delta *d)
{
    struct room *r = e->room;
    struct seat *old = room_seat(r, d->jid), *s;
    bool         here = d->node == r->talk->node, fresh = !old || !old->entered;
    bool         same = !fresh && str_eq(old->occupant->nick, d->nick) && str_is(d->text, old->occupant->inner) &&
                (d->flags & DELTA_AGAIN); /* it only asks how things stand */

    s = room_seat_take(r, d->jid, d->nick, (enum role)d->role, d->text, d->node, here ? room_session_id(r->talk, d->jid) : 0);
    if (!here)
        s->entered = true;
    else if (fresh || (d->flags & DELTA_AGAIN))
        e->comings[e->coming_count++] = (struct coming){ s, d->flags, !old };
    if (!same)
        touch(e, s->occupant);
}

static void take_presence(struct effects *e, const struct room_delta *d)
{
    struct seat *s = room_seat(e->room, d->jid);

    if (!s)
        return;
    free(s->occupant->inner);
    s->occupant->inner = str_dup(d->text);
    touch(e, s->occupant);
}

static void take_node(struct effects *e, const struct room_delta *d)
{
    struct seat *s = room_seat(e->room, d->jid);
    bool         here = d->node == e->room->talk->node;

    if (s)
        room_seat_move(e->room, s, d->node, here ? room_session_id(e->room->talk, d->jid) : 0);
}

static void take_rename(struct effects *e, const struct room_delta *d)
{
    struct occupant   *o = room_occupant(e->room, d->nick), *other = room_occupant(e->room, d->other);
    struct room_notice n = { .count = 1, .codes = { 303 }, .nick = d->other };
    struct parting    *p;

    if (!o || !str_eq(o->bare, d->jid))
        return;
    p = part_begin(e, o, STR(""), &n);
    p->whole = true;
    LIST_EACH(it, &o->seats)
        part_seat(e, p, LIST_ITEM(it, struct seat, in_occupant));
    free(o->inner);
    o->inner = str_dup(d->text);
    if (!other || other == o) {
        room_rename(e->room, o, d->other);
        p->renamed = o;
        touch(e, o);
        return;
    }
    untouch(e, o);
    while (true) { /* another device of theirs has that nick already */
        struct seat *s = LIST_ITEM(o->seats.next, struct seat, in_occupant);
        bool         last = s->in_occupant.next == &o->seats;

        room_seat_take(e->room, s->full, d->other, (enum role)other->role, d->text, s->node, s->session_id);
        if (last)
            break;
    }
    p->renamed = other;
    touch(e, other);
}

static void take_config(struct effects *e, const struct room_delta *d)
{
    if (room_config_read(d->text, &e->room->config) != OK)
        return;
    e->room->locked = false;
    e->config |= d->code;
    LIST_EACH(it, &e->room->in_order)
        occupant_text_drop(LIST_ITEM(it, struct occupant, in_room));
}

static void put_destroy(struct buf *b, const struct room_delta *d)
{
    BUF_LIT(b, "<destroy");
    if (d->other.len)
        xml_put_attr(b, "jid", d->other);
    buf_put_c(b, '>');
    room_put_reason(b, d->reason);
    if (d->text.len) {
        BUF_LIT(b, "<password>");
        xml_put_escaped(b, d->text);
        BUF_LIT(b, "</password>");
    }
    BUF_LIT(b, "</destroy>");
}

/* §10.9: one presence to each, about itself. */
static void tell_destroyed(struct room *r, struct occupant *o, const struct room_delta *d)
{
    struct buf b;

    buf_init(&b, 0);
    BUF_LIT(&b, "<presence");
    xml_put_attr(&b, "from", o->address);
    BUF_LIT(&b, " type='unavailable'><x xmlns='" NS_MUC_USER "'><item affiliation='none' role='none'/>");
    put_destroy(&b, d);
    BUF_LIT(&b, "<status code='110'/></x>");
    room_put_occupant_id(&b, o->id);
    BUF_LIT(&b, "</presence>");
    LIST_EACH(it, &o->seats)
        seat_send(r, LIST_ITEM(it, struct seat, in_occupant), buf_str(&b));
    buf_done(&b);
}

static void take_destroy(struct effects *e, const struct room_delta *d)
{
    struct room *r = e->room;
    struct str   key;
    void        *value;

    if (d->flags & DELTA_IF_EMPTY)
        return; /* somebody has come in, elsewhere */
    LIST_EACH(it, &r->in_order)
        tell_destroyed(r, LIST_ITEM(it, struct occupant, in_room), d);
    for (size_t it = 0; strmap_next(&r->seats, &it, &key, &value); it = 0)
        room_seat_drop(r, value);
    e->touched_count = e->coming_count = 0;
    e->destroyed = true;
}

static void take_avatar(struct effects *e, const struct room_delta *d)
{
    str_copy(d->other, e->room->avatar, sizeof e->room->avatar);
    e->avatar = true;
}

static void take(struct effects *e, const struct room_delta *d)
{
    static void (*const takes[DELTA_KINDS])(struct effects * e, const struct room_delta *d) = {
        [DELTA_SEAT] = take_seat, [DELTA_PRESENCE] = take_presence,       [DELTA_LEAVE] = leave,        [DELTA_RENAME] = take_rename,
        [DELTA_ROLE] = take_role, [DELTA_AFFILIATION] = take_affiliation, [DELTA_CONFIG] = take_config, [DELTA_AVATAR] = take_avatar,
        [DELTA_NODE] = take_node, [DELTA_DESTROY] = take_destroy,
    };

    if (takes[d->kind])
        takes[d->kind](e, d);
}

/* ---- showing ---- */

static void show_config(struct effects *e)
{
    const struct room_config *c = &e->room->config;
    struct room_notice        n = { 0 };

    if (e->config & CHANGED_LOGGING)
        n.codes[n.count++] = c->logging ? 170 : 171;
    if (e->config & CHANGED_WHOIS)
        n.codes[n.count++] = c->non_anonymous ? 172 : 173;
    if (e->config & CHANGED_OTHER)
        n.codes[n.count++] = 104;
    if (n.count)
        room_show_status(e->room, &n);
    if (e->avatar) {
        room_show_avatar(e->room, NULL);
        room_show_status(e->room, &(struct room_notice){ .count = 1, .codes = { 104 } });
    }
}

static const struct seat *coming_of(const struct effects *e, const struct occupant *o)
{
    for (int i = 0; i < e->coming_count; i++)
        if (e->comings[i].seat->occupant == o)
            return e->comings[i].seat;
    return NULL;
}

static void show_coming(struct effects *e, struct coming *k, struct room_change *c)
{
    const struct xml_node *x = NULL;
    struct str             id = STR_NULL;
    struct session        *s = seat_session(e->room, k->seat);
    struct stanza          st;

    if (c && c->cause && room_cause_stanza(c->cause, &st)) {
        x = xml_child(st.node, "x", NS_MUC);
        id = st.id;
    }
    if (k->seat->session_id && (!s || s->closing)) {
        room_leave_soon(e->room, k->seat->full, 0); /* it went while the change was on its way */
        k->seat->entered = true;
        return;
    }
    room_enter(e->room, k->seat, x, id, k->flags);
}

static void show(struct effects *e, struct room_change *c)
{
    struct room *r = e->room;

    for (int i = 0; i < e->parting_count; i++)
        part_tell(e, &e->partings[i]);
    if (c && c->answer)
        c->answer(r->talk, c);
    for (int i = 0; i < e->parting_count; i++)
        if (e->partings[i].whole)
            room_show_texts(r, e->partings[i].texts, e->partings[i].renamed, e->partings[i].role);
    for (int i = 0; i < e->touched_count; i++) {
        struct touched *t = &e->touched[i];
        bool            plain = t->n.count == 0 && !t->n.actor.p && !t->n.reason.p;

        room_show_occupant(r, t->o, plain ? NULL : &t->n, coming_of(e, t->o));
    }
    show_config(e);
    for (int i = 0; i < e->coming_count; i++)
        show_coming(e, &e->comings[i], c);
}

static void forget(struct room *r)
{
    struct rooms *all = r->talk->rooms;

    if (strmap_get(&all->all, r->local) == r)
        strmap_del(&all->all, r->local);
    r->gone = true;
    room_far_leave(r);
}

static int partings_at_most(const struct room_delta *d, int count)
{
    int n = 0;

    for (int i = 0; i < count; i++)
        n += d[i].kind == DELTA_LEAVE || d[i].kind == DELTA_ROLE || d[i].kind == DELTA_RENAME;
    return n;
}

void room_apply(struct room *r, const struct room_delta *d, int count, struct room_change *c)
{
    struct effects e = { .room = r };

    arena_init(&e.arena);
    room_ref(r);
    e.partings = mem_new(sizeof *e.partings * (size_t)(partings_at_most(d, count) + 1));
    e.touched = mem_new(sizeof *e.touched * (r->occupants.count + (size_t)count + 1));
    e.comings = mem_new(sizeof *e.comings * (size_t)(count + 1));
    for (int i = 0; i < count; i++)
        take(&e, &d[i]);
    show(&e, c);
    free(e.partings);
    free(e.touched);
    free(e.comings);
    arena_done(&e.arena);
    if (e.destroyed)
        forget(r);
    else if (c && e.parting_count)
        room_end_if_empty(r);
    room_unref(r);
}
