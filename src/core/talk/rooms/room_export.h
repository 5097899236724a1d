/* room_export.h: an account's rooms, for its export: where it belongs, is inside, or has a bookmark, and what it may read there.
 * On any connection; memory of the messengers is not asked.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/rooms/room.h"

struct room_kept {
    int64_t          id, since;     /* since: of the affiliation; 0: there is none */
    struct str       jid, name, nick;
    enum affiliation affiliation;
    bool             inside;
    bool             reads;         /* may read what was said (room.h, room_may_read); otherwise what it said itself */
    bool             sees;          /* …and who is behind a nickname */
};
typedef enum err room_kept_fn(void *arg, const struct room_kept *r);      /* anything but OK ends it */

/* In order of their addresses. Everything is in `a`. `bare`: the account. */
enum err rooms_of(struct db_conn *c, struct arena *a, struct str bare, room_kept_fn *fn, void *arg);
/* The one of that address. ERR_NOT_FOUND: there is none any more, or the account has nothing to do with it any more. */
enum err rooms_of_one(struct db_conn *c, struct arena *a, struct str bare, struct str room, struct room_kept *out);
