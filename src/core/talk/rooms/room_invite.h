/* room_invite.h: invitations that go through the room (XEP-0045 §7.8.2).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/rooms/room.h"

/* From the room to `to`, kept for them if they are away. `nick`: who invites, inside; p NULL: nobody in particular. */
void room_invite_send(struct room *r, struct str nick, struct str to, struct str reason);
/* A message of the room itself to somebody outside, kept if they are away: `payload` is its content. */
void room_write_to(struct room *r, const struct jid *to, struct str payload);
