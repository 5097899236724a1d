/* room_stanza.c: see room_stanza.h: whose room, and what kind of stanza.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_stanza.h"
#include "talk/host.h"
#include "talk/rooms/room_message.h"

/* ---- the room is read first; the client's next stanza waits ---- */

static void judge(struct room *r, struct session *s, const struct stanza *st, int tries);

/* If the connection went meanwhile, the client was not told that we have it and sends it again
 * (session_lost). */
static bool is_still_ours(const struct session *s, const struct room_cause *c)
{
    return s && s->state == SESSION_BOUND && s->received == c->received && (s->unhandled || !s->person);
}

static void go_on(struct room *r, struct session *s, struct room_cause *c, enum err e)
{
    struct stanza st;

    s->unhandled = false;
    session_continue(s); /* what it does now may hold it again */
    if (!room_cause_stanza(c, &st))
        return;
    if (e && e != ERR_NOT_FOUND)
        session_bounce(s, &st, "wait", "internal-server-error", "the room could not be read");
    else
        judge(r, s, &st, c->tries);
}

static void found(struct talk *t, struct room *r, enum err e, void *arg)
{
    struct room_cause *c = arg;
    struct session    *s = session_find(t, c->session_id);

    if (is_still_ours(s, c))
        go_on(r, s, c, e);
    room_cause_free(c);
}

static void wait_for_room(struct session *s, const struct stanza *st, int tries)
{
    s->unhandled = s->person != NULL; /* a guest's server is told when it is over */
    room_find(s->talk, st->to.local, found, room_cause_new(s, st, tries));
}

/* ---- judged ---- */

static int iq_tries;

int room_iq_tries(void)
{
    return iq_tries;
}

static void message(struct room *r, struct session *s, const struct stanza *st, int tries)
{
    if (st->type == TYPE_ERROR) {
        if (r && room_seat(r, s->jid.full) && room_error_is_final(st))
            room_leave_soon(r, s->jid.full, 333);
    } else if (!r || r->locked) {
        session_bounce(s, st, "cancel", "item-not-found", r ? "the room is not configured yet" : "there is no such room");
    } else if (st->to.resource.len) {
        room_private_message(r, s, st);
    } else if (st->type == TYPE_GROUPCHAT) {
        room_message(r, s, st);
    } else {
        room_mediate(r, s, st, tries);
    }
}

static void iq(struct room *r, struct session *s, const struct stanza *st, int tries)
{
    bool asks = st->type == TYPE_GET || st->type == TYPE_SET;

    if (!r && asks) {
        session_bounce(s, st, "cancel", "item-not-found", "there is no such room");
    } else if (r && st->to.resource.len) {
        room_occupant_iq(r, s, st);
    } else if (asks) {
        iq_tries = tries;
        host_iq(s, st, room_iqs);
        iq_tries = 0;
    }
}

static void judge(struct room *r, struct session *s, const struct stanza *st, int tries)
{
    if (r)
        room_ref(r);
    if (st->kind == STANZA_PRESENCE)
        room_presence(r, s, st, tries);
    else if (st->kind == STANZA_MESSAGE)
        message(r, s, st, tries);
    else
        iq(r, s, st, tries);
    if (r)
        room_unref(r);
}

void room_stanza(struct session *s, const struct stanza *st, int tries)
{
    struct room *r = room_get(s->talk, st->to.local);

    if (r)
        judge(r, s, st, tries);
    else
        wait_for_room(s, st, tries);
}

void rooms_take(struct session *s, const struct stanza *st)
{
    if (st->to.local.len)
        room_stanza(s, st, 0);
    else if (st->kind == STANZA_IQ && !st->to.resource.len)
        host_iq(s, st, rooms_iqs);
    else if (st->kind != STANZA_PRESENCE)
        session_bounce(s, st, "cancel", "service-unavailable", NULL);
}
