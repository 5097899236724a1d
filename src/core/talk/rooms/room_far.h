/* room_far.h: several messengers with one database: what they tell each other about a room.
 *
 *   room.<hash>    to every messenger that has the room in memory
 *
 * A change bears the room's `seq`; whoever misses one reads the room again and shows the difference
 * (room_load.c). A message bears its link in the room's log; whoever misses one reads the log
 * (room_message.c). So events make it quick, the database makes it true.
 *
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/rooms/room.h"
#include "talk/rooms/room_change.h"

enum { ROOM_DELTAS_FAR_MAX = 4096 };

enum room_event_kind { ROOM_CHANGED = 1, ROOM_SAID, ROOM_PASSED, ROOM_OUTDATED, ROOM_EVENT_KINDS };

struct room_event {
    enum room_event_kind kind;
    int64_t seq, rules;        /* CHANGED: after it */
    int64_t id, before, shown; /* SAID */
    struct str local, text;    /* text: the deltas, or the message */
};

void room_far_enter(struct talk *t, struct str local); /* before it is read */
void room_far_leave(struct room *r);
void room_far_leave_name(struct talk *t, struct str local);
void room_far_forget(struct room *r);  /* what was held */
void room_far_advance(struct room *r); /* it has been read: what was held and is next */
void room_far_send(struct talk *t, const struct room_event *e);
void room_far_won(struct room_change *c); /* a change of ours: applied, and told */
void room_event_write(struct buf *b, const struct room_event *e, int64_t position);
enum err room_event_read(struct str payload, struct room_event *out, int64_t *position);
/* A messenger is gone for good: those it had inside are not. */
void rooms_node_buried(struct talk *t, int64_t node);
/* Rooms whose events may have been lost are compared with the database. */
void rooms_look(struct talk *t);
