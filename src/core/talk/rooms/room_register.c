/* room_register.c: belonging to a room by one's own wish, and a nickname kept for it (XEP-0045 §7.10;
 * jabber:iq:register). SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/forms.h"
#include "talk/rooms/room_stanza.h"

#define NS_REGISTER "jabber:iq:register"
#define REGISTER "http://jabber.org/protocol/muc#register"

static bool may_register(const struct room *r, enum affiliation a)
{
    return a >= AFF_MEMBER || (a == AFF_NONE && !r->config.members_only && !r->locked);
}

static enum err refuse(struct session *s, const struct stanza *iq)
{
    return room_refuse(s, iq, "cancel", "not-allowed", "an admin has to add you");
}

enum err room_register_get(struct session *s, const struct stanza *iq)
{
    struct room         *r = room_of(s, iq);
    const struct member *m = room_member(r, s->jid.bare);
    struct buf           b;

    if (!may_register(r, room_affiliation(r, s->jid.bare)))
        return refuse(s, iq);
    buf_init(&b, 0);
    BUF_LIT(&b, "<query xmlns='" NS_REGISTER "'>");
    if (m && m->nick) {
        BUF_LIT(&b, "<registered/><username>");
        xml_put_escaped(&b, str_of(m->nick));
        BUF_LIT(&b, "</username>");
    } else {
        BUF_LIT(&b, "<instructions>The nickname that is kept for you in this room.</instructions><username/>"
                    "<x xmlns='" NS_FORMS "' type='form'><title>Registration</title>");
        form_put_field(&b, FORM_HIDDEN, "FORM_TYPE", NULL, STR(REGISTER));
        BUF_LIT(&b, "<field type='text-single' var='muc#register_roomnick' label='Nickname'><required/></field></x>");
    }
    BUF_LIT(&b, "</query>");
    iq_result_str(s, iq, buf_str(&b));
    buf_done(&b);
    return OK;
}

/* ---- leaving for good ---- */

/* Who becomes owner when the last one goes: the admin, or else the member, who has been there longest. */
static const struct member *successor(const struct room *r, struct str leaver)
{
    const struct member *best = NULL;
    struct str           key;
    void                *value;

    for (size_t it = 0; strmap_next(&r->members, &it, &key, &value);) {
        const struct member *m = value;

        if (m->affiliation <= AFF_NONE || str_eq(key, leaver))
            continue;
        if (!best || m->affiliation > best->affiliation || (m->affiliation == best->affiliation && m->since < best->since))
            best = m;
    }
    return best;
}

static enum err give_up(struct room *r, struct session *s, const struct stanza *iq)
{
    enum affiliation     a = room_affiliation(r, s->jid.bare);
    const struct member *next = a == AFF_OWNER && room_owners(r) == 1 ? successor(r, s->jid.bare) : NULL;
    struct room_change  *c;

    if (a <= AFF_NONE)
        return room_refuse(s, iq, "auth", "registration-required", "you do not belong to this room");
    c = room_change_new(r, room_cause_new(s, iq, room_iq_tries()));
    c->answer = room_answer_done;
    if (a == AFF_OWNER && room_owners(r) == 1 && !next) {
        room_delta(c, &(struct room_delta){ .kind = DELTA_DESTROY, .reason = STR("nobody belongs to this room any more") });
    } else {
        if (next)
            room_affiliate(c, next->jid, AFF_OWNER, STR_NULL, STR_NULL, STR_NULL);
        room_affiliate(c, s->jid.bare, AFF_NONE, STR_NULL, STR_NULL, STR_NULL);
    }
    room_change_go(c);
    return OK;
}

/* ---- a nickname ---- */

static enum err reserve(struct room *r, struct session *s, const struct stanza *iq, struct str nick)
{
    const struct member   *owner;
    const struct occupant *o;
    struct room_change    *c;
    enum affiliation       a = room_affiliation(r, s->jid.bare);

    if (!str_trim(nick).len || nick.len > ROOM_NICK_BYTES_MAX || jid_prep_resource(iq->arena, nick, &nick) != OK || !nick.len)
        return room_refuse(s, iq, "modify", "not-acceptable", "that is no nickname");
    owner = room_nick_owner(r, nick);
    o = room_occupant(r, nick);
    if ((owner && !str_eq(owner->jid, s->jid.bare)) || (o && !str_eq(o->bare, s->jid.bare)))
        return room_refuse(s, iq, "cancel", "conflict", "that nickname is somebody else's");
    if (a == AFF_NONE && r->members.count >= (size_t)r->talk->limits.room_affiliations_max)
        return room_refuse(s, iq, "wait", "resource-constraint", "the lists of this room are full");
    c = room_change_new(r, room_cause_new(s, iq, room_iq_tries()));
    c->answer = room_answer_done;
    room_affiliate(c, s->jid.bare, a > AFF_MEMBER ? a : AFF_MEMBER, nick, STR_NULL, STR_NULL);
    room_change_go(c);
    return OK;
}

enum err room_register_set(struct session *s, const struct stanza *iq)
{
    struct room           *r = room_of(s, iq);
    const struct xml_node *form = form_submitted(iq->arena, iq->payload, REGISTER);
    struct str             nick =
        form ? form_node_value(iq->arena, form, "muc#register_roomnick") : xml_child_text(iq->arena, iq->payload, "username", NS_REGISTER);

    if (xml_child(iq->payload, "remove", NS_REGISTER))
        return give_up(r, s, iq);
    if (!may_register(r, room_affiliation(r, s->jid.bare)))
        return refuse(s, iq);
    if (!nick.p)
        return room_refuse(s, iq, "modify", "bad-request", "the form with a nickname");
    return reserve(r, s, iq, nick);
}
