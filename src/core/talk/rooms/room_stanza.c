/* room_stanza.c: see room_stanza.h: whose room, and what kind of stanza.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_stanza.h"
#include "base/mem.h"
#include "talk/host.h"
#include "talk/rooms/room_message.h"
#include <stdlib.h>

/* ---- the room is read first; the client's next stanza waits ---- */

struct waiting {
    struct arena arena;
    uint64_t session_id;
    uint32_t received;
    int tries;
    char *xml;
};

static void judge(struct room *r, struct session *s, const struct stanza *st, int tries);

/* If the connection went meanwhile, the client was not told that we have it and sends it again
 * (session_lost). */
static bool is_still_ours(const struct session *s, const struct waiting *w)
{
    return s && s->state == SESSION_BOUND && s->received == w->received && (s->unhandled || !s->person);
}

static void go_on(struct room *r, struct session *s, struct waiting *w, enum err e)
{
    struct xml_node *n;
    struct stanza st;
    const char *condition;

    s->unhandled = false;
    session_continue(s); /* what it does now may hold it again */
    if (xml_parse(&w->arena, str_of(w->xml), NULL, &n) != XML_FINE ||
        stanza_read(&w->arena, n, &s->jid, &st, &condition) != OK)
        return;
    if (st.lang.len == 0 && s->lang)
        st.lang = str_of(s->lang);
    if (e && e != ERR_NOT_FOUND)
        session_bounce(s, &st, "wait", "internal-server-error", "the room could not be read");
    else
        judge(r, s, &st, w->tries);
}

static void found(struct talk *t, struct room *r, enum err e, void *arg)
{
    struct waiting *w = arg;
    struct session *s = session_find(t, w->session_id);

    if (is_still_ours(s, w))
        go_on(r, s, w, e);
    arena_done(&w->arena);
    free(w->xml);
    free(w);
}

static void wait_for_room(struct session *s, const struct stanza *st, int tries)
{
    struct waiting *w = NEW(struct waiting);
    struct buf b;

    buf_init(&b, 0);
    xml_put_node(&b, st->node, STR_NULL);
    *w = (struct waiting){
        .session_id = s->id, .received = s->received, .tries = tries, .xml = str_dup(buf_str(&b))};
    buf_done(&b);
    arena_init(&w->arena);
    s->unhandled = s->person != NULL; /* a guest's server is told when it is over */
    session_hold(s);
    room_find(s->talk, st->to.local, found, w);
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
        session_bounce(s, st, "cancel", "item-not-found",
                       r ? "the room is not configured yet" : "there is no such room");
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
