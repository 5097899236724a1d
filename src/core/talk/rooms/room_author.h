/* room_author.h: who said something in a room, for those who may know. What is kept names the nickname; the account is kept as a
 * number.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/archive.h"

struct room_author {
    struct room_author *next;
    int64_t             number;
    struct str          bare;   /* p NULL: unknown */
};
/* `known` (begins NULL, in `a`): each author is looked up once, for on PostgreSQL that is a round trip. p NULL: unknown. */
struct str room_author_of(struct db_conn *c, struct arena *a, struct room_author **known, int64_t number);
/* The kept text with the author's address in it (XEP-0045 §7.2.14's <x/>), in `b`; as it is when nobody is known, or when the room
 * itself said it. */
struct str room_with_author(struct db_conn *c, struct arena *a, struct room_author **known, int64_t room, const struct archive_row *row,
                            struct buf *b);
