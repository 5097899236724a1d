/* room_mediate.c: messages that are not for all: private ones (XEP-0045 §7.5), invitations and their refusal
 * (§7.8.2), and asking for voice (§7.13, §8.6). SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "talk/forms.h"
#include "talk/host.h"
#include "talk/message.h"
#include "talk/person.h"
#include "talk/rooms/room_invite.h"
#include "talk/rooms/room_show.h"
#include "talk/rooms/room_stanza.h"
#include <stdlib.h>

#define REQUEST "http://jabber.org/protocol/muc#request"

enum { INVITATIONS_MAX = 50 }; /* in one message */

/* ---- to one occupant ---- */

struct whisper {
    struct room *room;
    char        *nick;
    struct buf   text;
};

static void whisper_now(struct talk *t, void *arg)
{
    struct whisper  *w = arg;
    struct occupant *o = w->room->gone ? NULL : room_occupant(w->room, str_of(w->nick));

    (void)t;
    if (o)
        LIST_EACH(it, &o->seats)
            room_to_seat(w->room, LIST_ITEM(it, struct seat, in_occupant), buf_str(&w->text));
    buf_done(&w->text);
    free(w->nick);
    room_unref(w->room);
    free(w);
}

static bool may_whisper(const struct room *r, const struct occupant *o)
{
    switch (r->config.private_messages) {
    case ALLOW_ANYONE:
        return true;
    case ALLOW_PARTICIPANTS:
        return o->role >= ROLE_PARTICIPANT;
    case ALLOW_MODERATORS:
        return o->role == ROLE_MODERATOR;
    default:
        return false;
    }
}

static void whisper(struct room *r, struct session *s, const struct stanza *st, const struct occupant *from, const struct occupant *to)
{
    struct whisper *w = NEW(struct whisper);

    w->room = r;
    w->nick = str_dup(to->nick);
    room_ref(r);
    buf_init(&w->text, 0);
    stanza_open(&w->text, "message", from->address, STR_NULL, st->id, stanza_type_text(st->type), st->lang);
    for (const struct xml_node *c = xml_first(st->node); c; c = xml_next(c))
        if (!room_drops(r->talk, c))
            xml_put_node(&w->text, c, STR(NS_CLIENT));
    BUF_LIT(&w->text, "<x xmlns='" NS_MUC_USER "'/>");
    room_put_occupant_id(&w->text, from->id);
    BUF_LIT(&w->text, "</message>");
    session_after_commits(s, whisper_now, w);
}

void room_private_message(struct room *r, struct session *s, const struct stanza *st)
{
    struct seat     *from = room_seat(r, s->jid.full);
    struct occupant *to = room_occupant(r, st->to.resource);

    if (st->type == TYPE_GROUPCHAT)
        session_bounce(s, st, "modify", "bad-request", "a message for one person is no message for the room");
    else if (!from)
        session_bounce(s, st, "modify", "not-acceptable", "only those inside may speak here");
    else if (!to)
        session_bounce(s, st, "cancel", "item-not-found", "nobody here has that nickname");
    else if (!may_whisper(r, from->occupant))
        session_bounce(s, st, "auth", "forbidden", "private messages are not allowed here");
    else
        whisper(r, s, st, from->occupant, to);
}

/* ---- to somebody outside ---- */

struct letter {
    struct talk *talk;
    struct arena arena;
    char        *xml;
    struct jid   from;
};

static void letter_free(struct letter *l)
{
    arena_done(&l->arena);
    free(l->xml);
    free(l);
}

static void post_letter(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct letter   *l = arg;
    struct xml_node *n;
    struct stanza    st;
    const char      *condition;

    (void)t;
    (void)e; /* nobody of that name: whoever asked has been told, if they asked in time */
    if (p && xml_parse(&l->arena, str_of(l->xml), NULL, &n) == XML_FINE && stanza_read(&l->arena, n, &l->from, &st, &condition) == OK)
        message_post(p, &st, NULL, NULL);
    letter_free(l);
}

void room_write_to(struct room *r, const struct jid *to, struct str payload)
{
    struct letter *l = NEW(struct letter);
    struct buf     b;

    arena_init(&l->arena);
    l->talk = r->talk;
    buf_init(&b, 0);
    BUF_LIT(&b, "<message xmlns='" NS_CLIENT "'");
    xml_put_attr(&b, "from", r->bare);
    xml_put_attr(&b, "to", to->full);
    buf_put_c(&b, '>');
    buf_put_str(&b, payload);
    BUF_LIT(&b, "</message>");
    l->xml = str_dup(buf_str(&b));
    buf_done(&b);
    if (jid_parse(&l->arena, arena_str(&l->arena, r->bare), &l->from) == OK && str_eq(to->domain, r->talk->domain)) {
        person_find(r->talk, to->local, post_letter, l);
        return;
    }
    buf_init(&b, 0);
    BUF_LIT(&b, "<message");
    buf_put_z(&b, l->xml + sizeof "<message xmlns='" NS_CLIENT "'" - 1);
    host_send(r->talk, to, buf_str(&b));
    buf_done(&b);
    letter_free(l);
}

/* ---- invitations ---- */

/* Where addresses are hidden, so is the inviter's. */
static struct str shown_as(const struct room *r, struct str nick)
{
    const struct occupant *o = nick.len ? room_occupant(r, nick) : NULL;

    if (o)
        return r->config.non_anonymous ? o->bare : o->address;
    return r->bare;
}

static void put_invitation(struct buf *b, const struct room *r, struct str from, struct str reason, const struct xml_node *invite)
{
    const struct xml_node *go_on = invite ? xml_child(invite, "continue", NS_MUC_USER) : NULL;

    BUF_LIT(b, "<x xmlns='" NS_MUC_USER "'><invite");
    xml_put_attr(b, "from", from);
    buf_put_c(b, '>');
    room_put_reason(b, reason);
    if (go_on) {
        BUF_LIT(b, "<continue");
        xml_put_attr(b, "thread", xml_attr(go_on, "thread"));
        BUF_LIT(b, "/>");
    }
    BUF_LIT(b, "</invite>");
    if (r->config.password) {
        BUF_LIT(b, "<password>");
        xml_put_escaped(b, str_of(r->config.password));
        BUF_LIT(b, "</password>");
    }
    BUF_LIT(b, "</x>");
}

void room_invite_send(struct room *r, struct str nick, struct str to, struct str reason)
{
    struct arena a;
    struct jid   j;
    struct buf   b;

    arena_init(&a);
    buf_init(&b, 0);
    put_invitation(&b, r, shown_as(r, nick), reason, NULL);
    if (jid_parse(&a, to, &j) == OK)
        room_write_to(r, &j, buf_str(&b));
    buf_done(&b);
    arena_done(&a);
}

struct inviting {
    struct room_cause *cause;
    struct room       *room;
    char              *nick, *from; /* the inviter: inside, or by address */
    int                at;          /* which <invite/> of the stanza */
};

static void invite_next(struct inviting *k);

static const struct xml_node *nth_invite(const struct stanza *st, int at)
{
    const struct xml_node *x = xml_child(st->node, "x", NS_MUC_USER);

    for (const struct xml_node *n = x ? xml_first(x) : NULL; n; n = xml_next(n))
        if (xml_is(n, "invite", NS_MUC_USER) && at-- == 0)
            return n;
    return NULL;
}

static void invite_end(struct inviting *k)
{
    room_cause_done(k->cause);
    room_unref(k->room);
    free(k->nick);
    free(k->from);
    free(k);
}

static void fail(struct inviting *k, const char *type, const char *condition, const char *text)
{
    room_cause_bounce(k->cause, type, condition, text);
    invite_end(k);
}

static void send_it(struct inviting *k)
{
    struct stanza          st;
    struct session        *s = room_cause_stanza(k->cause, &st);
    const struct xml_node *invite = s ? nth_invite(&st, k->at) : NULL;
    struct jid             to;

    if (!invite || k->room->gone) {
        invite_end(k);
        return;
    }
    if (jid_parse(st.arena, xml_attr(invite, "to"), &to) == OK) {
        struct buf b;

        buf_init(&b, 0);
        put_invitation(&b, k->room,
                       k->nick                         ? shown_as(k->room, str_of(k->nick))
                       : k->room->config.non_anonymous ? str_of(k->from)
                                                       : k->room->bare,
                       xml_child_text(st.arena, invite, "reason", NS_MUC_USER), invite);
        room_write_to(k->room, &to, buf_str(&b));
        buf_done(&b);
    }
    k->at++;
    invite_next(k);
}

static void became_member(struct talk *t, struct room_change *c)
{
    struct inviting *k = c->arg;

    (void)t;
    c->arg = NULL;
    k->cause = c->cause;
    c->cause = NULL;
    send_it(k);
}

/* The change did not come about; its cause has been answered. */
static void abandon(void *arg)
{
    struct inviting *k = arg;

    k->cause = NULL;
    invite_end(k);
}

/* They exist, as far as can be known. In a members-only room whoever is invited becomes a member (§9.5). */
static void admit(struct inviting *k, struct str bare)
{
    struct room        *r = k->room;
    struct room_change *c;

    if (room_affiliation(r, bare) == AFF_OUTCAST) {
        fail(k, "cancel", "not-allowed", "they are banned from this room");
        return;
    }
    if (!r->config.members_only || room_affiliation(r, bare) >= AFF_MEMBER) {
        send_it(k);
        return;
    }
    if (r->members.count >= (size_t)r->talk->limits.room_affiliations_max) {
        fail(k, "wait", "resource-constraint", "the lists of this room are full");
        return;
    }
    c = room_change_new(r, k->cause);
    k->cause = NULL;
    c->arg = k;
    c->answer = became_member;
    c->abandon = abandon;
    room_affiliate(c, bare, AFF_MEMBER, STR_NULL, k->nick ? str_of(k->nick) : STR_NULL, STR_NULL);
    room_change_go(c);
}

static void invitee_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct inviting *k = arg;

    (void)t;
    if (p)
        admit(k, p->jid.bare);
    else if (e == ERR_NOT_FOUND)
        fail(k, "cancel", "item-not-found", "there is nobody of that address");
    else
        fail(k, "wait", "internal-server-error", "the account service is away");
}

static void invite_next(struct inviting *k)
{
    struct stanza          st;
    struct session        *s = room_cause_stanza(k->cause, &st);
    const struct xml_node *invite = s && k->at < INVITATIONS_MAX ? nth_invite(&st, k->at) : NULL;
    struct jid             to;

    if (!invite || k->room->gone)
        invite_end(k);
    else if (!xml_attr(invite, "to").p || jid_parse(st.arena, xml_attr(invite, "to"), &to) != OK || !to.local.len)
        fail(k, "modify", "jid-malformed", "whom?");
    else if (str_eq(to.domain, k->room->talk->domain))
        person_find(k->room->talk, to.local, invitee_found, k);
    else
        admit(k, to.bare);
}

static bool may_invite(const struct room *r, const struct session *s, const struct seat *seat)
{
    enum affiliation a = room_affiliation(r, s->jid.bare);

    if (r->config.members_only)
        return a >= AFF_ADMIN || (a == AFF_MEMBER && r->config.invites);
    return seat || a >= AFF_MEMBER;
}

static void invite(struct room *r, struct session *s, const struct stanza *st, int tries)
{
    struct seat     *seat = room_seat(r, s->jid.full);
    struct inviting *k;

    if (!seat && room_affiliation(r, s->jid.bare) < AFF_MEMBER) {
        session_bounce(s, st, "modify", "not-acceptable", "only those inside may invite");
        return;
    }
    if (!may_invite(r, s, seat)) {
        session_bounce(s, st, "auth", "forbidden", "only admins may invite");
        return;
    }
    k = NEW(struct inviting);
    k->cause = room_cause_new(s, st, tries);
    k->room = r;
    k->nick = seat ? str_dup(seat->occupant->nick) : NULL;
    k->from = str_dup(s->jid.bare);
    room_ref(r);
    invite_next(k);
}

/* ---- refused invitations ---- */

static void put_decline(struct buf *b, struct str from, struct str reason)
{
    BUF_LIT(b, "<x xmlns='" NS_MUC_USER "'><decline");
    xml_put_attr(b, "from", from);
    buf_put_c(b, '>');
    room_put_reason(b, reason);
    BUF_LIT(b, "</decline></x>");
}

/* Only to somebody who could have invited: the room is no way to write to strangers. */
static void decline(struct room *r, struct session *s, const struct stanza *st, const struct xml_node *d)
{
    struct occupant *o;
    struct jid       to;
    struct buf       b;

    if (jid_parse(st->arena, xml_attr(d, "to"), &to) != OK) {
        session_bounce(s, st, "modify", "jid-malformed", "whose invitation?");
        return;
    }
    if (room_affiliation(r, s->jid.bare) == AFF_OUTCAST) {
        session_bounce(s, st, "auth", "forbidden", "you are banned from this room");
        return;
    }
    o = str_eq(to.bare, r->bare) ? room_occupant(r, to.resource) : room_by_bare(r, to.bare, NULL);
    if (!o && room_affiliation(r, to.bare) < AFF_MEMBER)
        return; /* an answer would tell who is in the room to whoever is not */
    buf_init(&b, 0);
    put_decline(&b, s->jid.bare, xml_child_text(st->arena, d, "reason", NS_MUC_USER));
    if (o && jid_parse(st->arena, arena_str(st->arena, o->bare), &to) != OK)
        to.full = STR_NULL;
    if (to.full.len)
        room_write_to(r, &(struct jid){ .full = to.bare, .bare = to.bare, .local = to.local, .domain = to.domain }, buf_str(&b));
    buf_done(&b);
}

/* ---- voice ---- */

static void put_voice_form(struct buf *b, const struct room *r, const struct occupant *o)
{
    BUF_LIT(b, "<message");
    xml_put_attr(b, "from", r->bare);
    BUF_LIT(b, "><x xmlns='" NS_FORMS "' type='form'><title>Voice request</title>"
               "<instructions>To let them speak here, answer with yes.</instructions>");
    form_put_field(b, FORM_HIDDEN, "FORM_TYPE", NULL, STR(REQUEST));
    BUF_LIT(b, "<field type='list-single' var='muc#role' label='Role'><value>participant</value>"
               "<option label='Participant'><value>participant</value></option></field>");
    form_put_field(b, FORM_JID, "muc#jid", "Address", LIST_ITEM(o->seats.prev, struct seat, in_occupant)->full);
    form_put_field(b, FORM_TEXT, "muc#roomnick", "Nickname", o->nick);
    form_put_bool(b, "muc#request_allow", "Give this person voice?", false);
    BUF_LIT(b, "</x></message>");
}

static void ask_for_voice(struct room *r, struct session *s, const struct stanza *st, const struct occupant *from)
{
    struct buf b;

    if (from->role != ROLE_VISITOR) {
        session_bounce(s, st, "modify", "bad-request", "you have voice");
        return;
    }
    buf_init(&b, 0);
    put_voice_form(&b, r, from);
    LIST_EACH(it, &r->in_order) {
        struct occupant *o = LIST_ITEM(it, struct occupant, in_room);

        if (o->role == ROLE_MODERATOR)
            LIST_EACH(at, &o->seats)
                room_to_seat(r, LIST_ITEM(at, struct seat, in_occupant), buf_str(&b));
    }
    buf_done(&b);
}

static void give_voice(struct room *r, struct session *s, const struct stanza *st, const struct xml_node *form, const struct occupant *from,
                       int tries)
{
    struct str          nick = form_node_value(st->arena, form, "muc#roomnick");
    struct occupant    *o = nick.len ? room_occupant(r, nick) : NULL;
    struct room_change *c;
    bool                yes;

    if (!form_read_bool(str_trim(form_node_value(st->arena, form, "muc#request_allow")), &yes)) {
        session_bounce(s, st, "modify", "bad-request", "yes or no?");
    } else if (yes && !o) {
        session_bounce(s, st, "cancel", "item-not-found", "nobody here has that nickname");
    } else if (yes && o->role == ROLE_VISITOR) {
        c = room_change_new(r, room_cause_new(s, st, tries));
        room_delta(
            c, &(struct room_delta){ .kind = DELTA_ROLE, .nick = o->nick, .jid = o->bare, .role = ROLE_PARTICIPANT, .actor = from->nick });
        room_change_go(c);
    }
}

static void voice(struct room *r, struct session *s, const struct stanza *st, const struct xml_node *form, int tries)
{
    struct seat *from = room_seat(r, s->jid.full);

    if (!from)
        session_bounce(s, st, "modify", "not-acceptable", "only those inside may ask for voice");
    else if (!form_node(form, "muc#request_allow"))
        ask_for_voice(r, s, st, from->occupant);
    else if (from->occupant->role != ROLE_MODERATOR)
        session_bounce(s, st, "auth", "forbidden", "only moderators give voice");
    else
        give_voice(r, s, st, form, from->occupant, tries);
}

/* ---- which of these ---- */

void room_mediate(struct room *r, struct session *s, const struct stanza *st, int tries)
{
    const struct xml_node *x = xml_child(st->node, "x", NS_MUC_USER), *d = x ? xml_child(x, "decline", NS_MUC_USER) : NULL;
    const struct xml_node *form = form_submitted(st->arena, st->node, REQUEST);

    if (x && xml_child(x, "invite", NS_MUC_USER))
        invite(r, s, st, tries);
    else if (d)
        decline(r, s, st, d);
    else if (form && str_is(form_node_value(st->arena, form, "FORM_TYPE"), REQUEST))
        voice(r, s, st, form, tries);
    else if (!room_seat(r, s->jid.full))
        session_bounce(s, st, "modify", "not-acceptable", "only those inside may speak here");
    else
        session_bounce(s, st, "modify", "bad-request", "a message to a room has the type groupchat");
}
