/* room_leave.h: an account is deleted: what becomes of its rooms (README.md: ownership, removal); or it tells less of itself.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "db/db.h"
#include "talk/person.h"

void     rooms_person_deleted(struct person *p, struct db_conn *c); /* on the writer thread */
void     rooms_person_gone(struct talk *t, struct str bare);        /* and in the loop, when that is durable */
enum err room_gone_apply(struct db_conn *c, int64_t room);          /* what a room that has no row any more leaves behind */
/* Something that its presences told all is not for all any more (profile_child_for_all): nobody who comes in is shown it. */
void     rooms_person_tells_less(struct person *p); /* room_presence.c */
void     rooms_done(struct talk *t);
