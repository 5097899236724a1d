/* room_absent.h: members who are not inside when something is said. They find it in the room's archive;
 * whoever wakes devices (push) can be told here. SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/rooms/room.h"

/* `member`: a bare JID with an affiliation, none of whose devices is inside. `kept`: the message as it is in
 * the archive. Called by the messenger that stored it, once, when it is durable. */
typedef void room_absent_fn(struct talk *t, const struct room *r, struct str member, struct str kept,
                            int64_t shown);
void rooms_on_absent(room_absent_fn *fn); /* at most ROOMS_ABSENT_MAX, at the start */
enum { ROOMS_ABSENT_MAX = 4 };
void room_message_for_absent(struct room *r, struct str kept, int64_t shown);
