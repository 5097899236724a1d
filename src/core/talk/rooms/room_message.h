/* room_message.h: what is said in a room: judged, kept in the room's log, and shown to everyone inside in the
 * order of that log.
 *
 *   message ─has voice─▶ commit batch ─durable─▶ reflected to all with the sender's id, acknowledged
 *                             └─failed─▶ the sender gets the error
 *
 * On a database of our own its place in every stream is taken when it joins the batch, as for any message
 * (session_expect). In a shared one each messenger follows the log of the rooms it has (room_follow), and
 * reads what it has missed. SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/rooms/room.h"
#include "talk/rooms/room_change.h"

void room_message(struct room *r, struct session *s, const struct stanza *st); /* type groupchat, to the room */
/* Of the room itself (a moderation): kept and shown; `apply` runs in the same transaction, before it. */
typedef enum err room_post_fn(struct db_conn *c, void *arg);
void room_post(struct room *r, struct room_cause *cause, struct str kept, room_post_fn *apply, void *arg /* freed */, int64_t sender);
/* Who has just come in hears what is on its way, so it has its place in their stream. */
void room_expect(struct room *r, struct seat *s);
/* A message with its place in the log; `before`: the one before it in this room, -1: it is there already. */
void room_follow(struct room *r, int64_t before, const struct room_said *m);
void room_follow_to(struct talk *t, int64_t room_id, int64_t id);              /* the log of that room goes at least so far */
void room_deliver(struct room *r, struct str kept, int64_t id, int64_t shown); /* to those here; id 0: it is not kept */
bool room_is_subject(struct str kept);                                         /* a change of the subject, as we write it */
/* As one device gets it: `to`, the room's stanza-id, and the delay when it is late. */
void room_put_delivery(struct buf *b, struct str kept, struct str to_full, int64_t shown, int64_t delay_us);
