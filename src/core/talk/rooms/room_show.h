/* room_show.h: what those inside are shown.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/rooms/room.h"
#include "talk/rooms/room_change.h"

enum { SHOW_SELF = 110, SHOW_CODES_MAX = 6 };

/* More than the presence itself. */
struct room_notice {
    int        count;
    unsigned   codes[SHOW_CODES_MAX];
    struct str actor, reason, nick; /* nick: the new one (303) */
};

/* `text` is a stanza of ours without `to`: it is put in. To the session here, or through the host to another
 * domain. */
void seat_send(struct room *r, struct seat *s, struct str text);
/* The same, wherever the session is. */
void room_to_seat(struct room *r, struct seat *s, struct str text);
/* The stanza `text` with `to` (" to='…'") put in; and such a one through the host. */
void room_put_copy(struct buf *b, struct str to, struct str text);
void room_to_host(struct room *r, struct str full, struct str stanza);
/* The occupant's presence, appended. `sees`: with the real JID. `gone`: unavailable, with `inner` in place of
 * its own. */
void room_put_presence(struct buf *b, struct room *r, const struct occupant *o, bool gone, struct str inner, bool sees,
                       const struct room_notice *n);
/* To everyone who has entered: `texts` for those who do not and who do see JIDs. */
void room_show_texts(struct room *r, struct str texts[2], const struct occupant *but, enum role of);
void room_show_occupant(struct room *r, struct occupant *o, const struct room_notice *n, const struct seat *but);
void room_show_status(struct room *r, const struct room_notice *n); /* a message of the room with codes */
void room_show_avatar(struct room *r, struct seat *to /* NULL: all */);
/* Everything that somebody sees who comes in (XEP-0045 §7.1), `x`: their <x/>; NULL: no wishes. */
void room_enter(struct room *r, struct seat *s, const struct xml_node *x, struct str id, unsigned flags);
void room_show_others(struct room *r, struct seat *s);
void room_put_subject(struct buf *b, const struct room *r);
void room_put_reason(struct buf *b, struct str reason); /* nothing when it is empty */
void room_put_occupant_id(struct buf *b, const char *id);
/* What a presence carries, but for what only a room may say. */
void room_put_inner(struct buf *b, struct session *s, const struct stanza *p);
/* What was passed on before, without what is not for all any more. False: it all is. */
bool room_put_inner_again(struct buf *b, struct session *s, struct str inner);
/* A stanza of a message's or presence's child that the room does not pass on. */
bool room_drops(const struct talk *t, const struct xml_node *child);
