/* room_admin.c: roles and affiliations (XEP-0045 §8, §9; http://jabber.org/protocol/muc#admin). A request is
 * judged as a whole: if one item may not be, none happens. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/mem.h"
#include "talk/rooms/room_invite.h"
#include "talk/rooms/room_show.h"
#include "talk/rooms/room_stanza.h"
#include <stdlib.h>

struct actor {
    struct room           *room;
    enum affiliation       affiliation;
    const struct occupant *occupant; /* NULL: not inside */
    struct str             bare, nick;
};

struct verdict_on {
    const char *type, *condition, *text;
};

static const struct verdict_on fine = { 0 };

static struct verdict_on forbidden(const char *text)
{
    return (struct verdict_on){ "auth", "forbidden", text };
}
static struct verdict_on not_allowed(const char *text)
{
    return (struct verdict_on){ "cancel", "not-allowed", text };
}
static struct verdict_on conflict(const char *text)
{
    return (struct verdict_on){ "cancel", "conflict", text };
}
static struct verdict_on bad(const char *text)
{
    return (struct verdict_on){ "modify", "bad-request", text };
}

static struct actor actor_of(struct room *r, const struct session *s)
{
    const struct seat *seat = room_seat(r, s->jid.full);

    return (struct actor){ .room = r,
                           .affiliation = room_affiliation(r, s->jid.bare),
                           .occupant = seat ? seat->occupant : NULL,
                           .bare = s->jid.bare,
                           .nick = seat ? seat->occupant->nick : STR_NULL };
}

/* ---- what follows from an affiliation ---- */

static bool is_of_domain(struct str bare, struct str domain)
{
    str_split(&bare, '@');
    return bare.p && str_eq(bare, domain);
}

static bool ban_domain(struct room_change *c, struct str domain, struct str actor, struct str reason)
{
    LIST_EACH(it, &c->room->in_order) {
        struct occupant *o = LIST_ITEM(it, struct occupant, in_room);

        if (is_of_domain(o->bare, domain) && !room_member(c->room, o->bare) &&
            !room_delta(c, &(struct room_delta){
                               .kind = DELTA_ROLE, .nick = o->nick, .jid = o->bare, .code = 301, .actor = actor, .reason = reason }))
            return false;
    }
    return true;
}

/* Whose affiliation falls below admin is a moderator no longer; otherwise nobody loses what they have. */
static enum role role_after(const struct room *r, const struct occupant *o, enum affiliation old, enum affiliation fresh)
{
    enum role usual = room_default_role(r, fresh);

    if (old >= AFF_ADMIN && fresh < AFF_ADMIN)
        return usual;
    return o->role > usual ? (enum role)o->role : usual;
}

/* What the change has said of them last; NULL: nothing yet. */
static const struct room_delta *last_of(const struct room_change *c, struct str bare)
{
    for (int i = c->count - 1; i >= 0; i--)
        if (c->deltas[i].kind == DELTA_AFFILIATION && str_eq(c->deltas[i].jid, bare))
            return &c->deltas[i];
    return NULL;
}

enum affiliation room_affiliation_after(const struct room_change *c, struct str bare)
{
    const struct room_delta *d = last_of(c, bare);

    return d ? (enum affiliation)d->affiliation : room_affiliation(c->room, bare);
}

int room_owners_after(const struct room_change *c)
{
    return room_owners(c->room) + c->owners;
}

/* Counts what becomes of the room's lists. False: they are full. */
static bool count_in(struct room_change *c, struct str bare, enum affiliation a)
{
    const struct room_delta *d = last_of(c, bare);
    const struct member     *m = room_member(c->room, bare);
    enum affiliation         listed = d ? d->affiliation : m ? m->affiliation : AFF_NONE;
    size_t                   after = c->room->members.count + (size_t)c->affiliated;

    if (listed == AFF_NONE && a != AFF_NONE && after >= (size_t)c->room->talk->limits.room_affiliations_max)
        return false;
    c->affiliated += (a != AFF_NONE) - (listed != AFF_NONE);
    c->owners += (a == AFF_OWNER) - (listed == AFF_OWNER);
    return true;
}

bool room_affiliate(struct room_change *c, struct str bare, enum affiliation a, struct str nick, struct str actor, struct str reason)
{
    struct room     *r = c->room;
    enum affiliation old = room_affiliation(r, bare);
    unsigned         code = a == AFF_OUTCAST ? 301 : a == AFF_NONE && r->config.members_only ? 321 : 0;

    if (!count_in(c, bare, a))
        return false;
    if (!room_delta(c, &(struct room_delta){ .kind = DELTA_AFFILIATION,
                                             .jid = bare,
                                             .affiliation = (int8_t)a,
                                             .nick = nick,
                                             .since = clock_us(),
                                             .actor = actor,
                                             .reason = reason }))
        return false;
    if (a == AFF_OUTCAST && str_find(bare, '@') < 0)
        return ban_domain(c, bare, actor, reason);
    for (struct occupant *o = room_by_bare(r, bare, NULL); o; o = room_by_bare(r, bare, o)) {
        enum role role = code ? ROLE_NONE : role_after(r, o, old, a);

        if ((code || role != o->role) && !room_delta(c, &(struct room_delta){ .kind = DELTA_ROLE,
                                                                              .nick = o->nick,
                                                                              .jid = bare,
                                                                              .role = (int8_t)role,
                                                                              .code = code,
                                                                              .actor = actor,
                                                                              .reason = reason }))
            return false;
    }
    return true;
}

/* ---- get ---- */

static void put_occupant(struct buf *b, struct room *r, const struct occupant *o)
{
    BUF_LIT(b, "<item");
    xml_put_attr(b, "affiliation", str_of(room_affiliation_name(room_affiliation(r, o->bare))));
    xml_put_attr(b, "role", str_of(room_role_name(o->role)));
    xml_put_attr(b, "nick", o->nick);
    xml_put_attr(b, "jid", LIST_ITEM(o->seats.prev, struct seat, in_occupant)->full);
    BUF_LIT(b, "/>");
}

static void put_member(struct buf *b, const struct member *m)
{
    BUF_LIT(b, "<item");
    xml_put_attr(b, "affiliation", str_of(room_affiliation_name(m->affiliation)));
    xml_put_attr(b, "jid", m->jid);
    if (m->nick)
        xml_put_attr(b, "nick", str_of(m->nick));
    BUF_LIT(b, "/>");
}

/* §9.5, §10.5, §10.8: in a non-anonymous room those who belong to it see who does. */
static struct verdict_on may_list(const struct actor *k, enum affiliation a)
{
    bool open = k->room->config.non_anonymous && k->affiliation >= AFF_MEMBER;

    if (a >= AFF_ADMIN)
        return k->affiliation == AFF_OWNER || open ? fine : forbidden("only owners see that list");
    if (a == AFF_MEMBER)
        return k->affiliation >= AFF_ADMIN || open ? fine : forbidden("only admins see that list");
    return k->affiliation >= AFF_ADMIN ? fine : forbidden("only admins see that list");
}

static void put_affiliated(struct buf *b, struct room *r, enum affiliation a)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&r->members, &it, &key, &value);)
        if (((struct member *)value)->affiliation == a)
            put_member(b, value);
}

static void put_with_role(struct buf *b, struct room *r, enum role role)
{
    LIST_EACH(it, &r->in_order) {
        struct occupant *o = LIST_ITEM(it, struct occupant, in_room);

        if (o->role == role)
            put_occupant(b, r, o);
    }
}

static struct verdict_on may_list_role(const struct actor *k, enum role role)
{
    if (role == ROLE_NONE)
        return bad("nobody inside has no role");
    if (role == ROLE_MODERATOR && k->affiliation < AFF_ADMIN)
        return forbidden("only admins see that list");
    return k->occupant && k->occupant->role == ROLE_MODERATOR ? fine : forbidden("only moderators see that list");
}

static enum err answer(struct session *s, const struct stanza *iq, struct verdict_on v)
{
    return room_refuse(s, iq, v.type, v.condition, v.text);
}

enum err room_admin_get(struct session *s, const struct stanza *iq)
{
    struct actor           k = actor_of(room_of(s, iq), s);
    const struct xml_node *item = xml_child(iq->payload, "item", NS_MUC_ADMIN);
    struct str             affiliation = item ? xml_attr(item, "affiliation") : STR_NULL, role = item ? xml_attr(item, "role") : STR_NULL;
    enum affiliation       a = AFF_NONE;
    enum role              ro = ROLE_NONE;
    struct verdict_on      v = bad("one item with a role or an affiliation");
    struct buf             b;

    if (affiliation.p && !role.p && room_affiliation_parse(affiliation, &a) && a != AFF_NONE)
        v = may_list(&k, a);
    else if (role.p && !affiliation.p && room_role_parse(role, &ro))
        v = may_list_role(&k, ro);
    if (v.condition)
        return answer(s, iq, v);
    buf_init(&b, 0);
    BUF_LIT(&b, "<query xmlns='" NS_MUC_ADMIN "'>");
    if (affiliation.p)
        put_affiliated(&b, k.room, a);
    else
        put_with_role(&b, k.room, ro);
    BUF_LIT(&b, "</query>");
    iq_result_str(s, iq, buf_str(&b));
    buf_done(&b);
    return OK;
}

/* ---- set: roles ---- */

static struct verdict_on may_set_role(const struct actor *k, const struct occupant *o, enum role role)
{
    enum affiliation theirs = room_affiliation(k->room, o->bare);

    if (!k->occupant || k->occupant->role != ROLE_MODERATOR)
        return forbidden("only moderators do that");
    if (role == ROLE_MODERATOR)
        return k->affiliation >= AFF_ADMIN ? fine : forbidden("only admins make moderators");
    if (role == ROLE_NONE && o == k->occupant)
        return conflict("you cannot remove yourself");
    if (role == ROLE_NONE)
        return theirs > k->affiliation ? not_allowed("they stand above you") : fine;
    if (theirs >= AFF_ADMIN)
        return not_allowed("admins and owners are moderators");
    if (o->role == ROLE_MODERATOR && k->affiliation < AFF_ADMIN)
        return forbidden("only admins unmake moderators");
    /* §8.4 speaks of "at or above"; where neither has an affiliation, a moderator without one could do
     * nothing at all */
    if (role == ROLE_VISITOR && (theirs > k->affiliation || (theirs == k->affiliation && theirs > AFF_NONE)))
        return not_allowed("they stand where you stand");
    return fine;
}

static struct verdict_on take_role(struct room_change *c, const struct actor *k, struct str nick, struct str role_text, struct str reason)
{
    struct occupant  *o = room_occupant(k->room, nick);
    enum role         role;
    struct verdict_on v;

    if (!nick.len || !room_role_parse(role_text, &role))
        return bad("a role is given to a nick");
    if (!k->occupant || k->occupant->role != ROLE_MODERATOR)
        return forbidden("only moderators do that");
    if (!o)
        return (struct verdict_on){ "cancel", "item-not-found", "nobody here has that nickname" };
    v = may_set_role(k, o, role);
    if (!v.condition && !room_delta(c, &(struct room_delta){ .kind = DELTA_ROLE,
                                                             .nick = o->nick,
                                                             .jid = o->bare,
                                                             .role = (int8_t)role,
                                                             .code = role == ROLE_NONE ? 307 : 0,
                                                             .actor = k->nick,
                                                             .reason = reason }))
        return (struct verdict_on){ "wait", "resource-constraint", "too many at once" };
    return v;
}

/* ---- set: affiliations ---- */

static struct verdict_on may_affiliate(const struct actor *k, struct str bare, enum affiliation a)
{
    enum affiliation old = room_affiliation(k->room, bare);

    if (k->affiliation < AFF_ADMIN)
        return forbidden("only admins do that");
    if (a == AFF_OUTCAST && str_eq(bare, k->bare))
        return conflict("you cannot ban yourself");
    if (a >= AFF_ADMIN && k->affiliation != AFF_OWNER)
        return forbidden("only owners make admins and owners");
    if (old >= AFF_ADMIN && k->affiliation != AFF_OWNER && old != a)
        return a == AFF_OUTCAST ? not_allowed("they stand above you") : forbidden("only owners change that list");
    if (a > AFF_NONE && str_find(bare, '@') < 0)
        return (struct verdict_on){ "modify", "jid-malformed", "a domain can only be banned" };
    return fine;
}

static struct verdict_on may_reserve(const struct room *r, struct str bare, struct str nick)
{
    const struct member   *m = nick.len ? room_nick_owner(r, nick) : NULL;
    const struct occupant *o = nick.len ? room_occupant(r, nick) : NULL;

    if (nick.len > ROOM_NICK_BYTES_MAX)
        return (struct verdict_on){ "modify", "policy-violation", "the nickname is too long" };
    if ((m && !str_eq(m->jid, bare)) || (o && !str_eq(o->bare, bare)))
        return conflict("that nickname is somebody else's");
    return fine;
}

static struct verdict_on take_affiliation(struct room_change *c, const struct actor *k, const struct stanza *iq,
                                          const struct xml_node *item, struct str reason)
{
    struct str        jid = xml_attr(item, "jid"), nick = xml_attr(item, "nick");
    struct occupant  *o = !jid.p && nick.len ? room_occupant(k->room, nick) : NULL;
    enum affiliation  a;
    struct jid        j = { .bare = o ? o->bare : STR_NULL };
    struct verdict_on v;

    if (!room_affiliation_parse(xml_attr(item, "affiliation"), &a) || (!jid.p && !nick.len))
        return bad("an affiliation is given to an address");
    if (!jid.p && !o)
        return (struct verdict_on){ "cancel", "item-not-found", "nobody here has that nickname" };
    if (jid.p && jid_parse(iq->arena, jid, &j) != OK)
        return (struct verdict_on){ "modify", "jid-malformed", NULL };
    if (o)
        nick = STR_NULL; /* it only said who is meant */
    if (nick.len && jid_prep_resource(iq->arena, nick, &nick) != OK)
        return bad("that is no nickname");
    v = may_affiliate(k, j.bare, a);
    if (!v.condition)
        v = may_reserve(k->room, j.bare, nick);
    if (v.condition)
        return v;
    if (!room_affiliate(c, j.bare, a, nick, k->nick, reason))
        return (struct verdict_on){ "wait", "resource-constraint", "too many at once, or the lists of this room are full" };
    return room_owners_after(c) == 0 ? conflict("a room has an owner") : fine;
}

/* ---- set ---- */

static struct verdict_on take_item(struct room_change *c, const struct actor *k, const struct stanza *iq, const struct xml_node *item)
{
    bool       role = xml_attr(item, "role").p != NULL, affiliation = xml_attr(item, "affiliation").p != NULL;
    struct str reason = xml_child_text(iq->arena, item, "reason", NS_MUC_ADMIN), nick = xml_attr(item, "nick");

    if (role == affiliation)
        return bad("an item has a role or an affiliation");
    if (reason.len > ROOM_TEXT_BYTES_MAX)
        return (struct verdict_on){ "modify", "policy-violation", "the reason is too long" };
    if (!role)
        return take_affiliation(c, k, iq, item, reason);
    if (nick.len && jid_prep_resource(iq->arena, nick, &nick) != OK)
        return bad("that is no nickname");
    return take_role(c, k, nick, xml_attr(item, "role"), reason);
}

/* §9.5: who was not affiliated, and is now, hears of it by an invitation. */
static void invite_new(struct room_change *c)
{
    if (!c->room->config.members_only)
        return;
    for (int i = 0; i < c->count; i++) {
        const struct room_delta *d = &c->deltas[i];

        if (d->kind == DELTA_AFFILIATION && d->affiliation == AFF_MEMBER && (d->flags & DELTA_CREATED) &&
            !room_by_bare(c->room, d->jid, NULL))
            room_invite_send(c->room, d->actor, d->jid, d->reason);
    }
}

static void happened(struct talk *t, struct room_change *c)
{
    room_answer_done(t, c);
    invite_new(c);
}

static void mark_new(struct room_change *c)
{
    for (int i = 0; i < c->count; i++)
        if (c->deltas[i].kind == DELTA_AFFILIATION && room_affiliation(c->room, c->deltas[i].jid) == AFF_NONE)
            c->deltas[i].flags |= DELTA_CREATED;
}

enum err room_admin_set(struct session *s, const struct stanza *iq)
{
    struct actor        k = actor_of(room_of(s, iq), s);
    struct room_change *c = room_change_new(k.room, NULL);
    struct verdict_on   v = fine;
    int                 items = 0;

    for (const struct xml_node *n = xml_first(iq->payload); n && !v.condition; n = xml_next(n)) {
        if (!xml_is(n, "item", NS_MUC_ADMIN))
            continue;
        items++;
        v = take_item(c, &k, iq, n);
    }
    if (!items)
        v = bad("there is no item");
    if (v.condition || c->count == 0) {
        room_change_drop(c);
        return answer(s, iq, v);
    }
    mark_new(c);
    c->cause = room_cause_new(s, iq, room_iq_tries());
    c->answer = happened;
    room_change_go(c);
    return OK;
}
