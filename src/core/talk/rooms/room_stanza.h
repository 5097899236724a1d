/* room_stanza.h: what comes to rooms.DOMAIN.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/feature.h"
#include "talk/rooms/room.h"
#include "talk/rooms/room_change.h"

void rooms_take(struct session *from, const struct stanza *st);          /* the host's */
void room_stanza(struct session *s, const struct stanza *st, int tries); /* for a room; `tries`: how often it was judged before */

/* ---- room_presence.c ---- */
void room_presence(struct room *r /* NULL: there is none */, struct session *s, const struct stanza *st, int tries);
void room_leave_soon(struct room *r, struct str full, unsigned code); /* the session is gone, or an address that does not answer */
void room_leave_last(struct room_change *c);                          /* if nobody stays in a temporary room, it goes too */
void room_end_if_empty(struct room *r);                               /* the same, when several have left at once, or were removed */
void rooms_session_left(struct session *s, struct str inner);         /* all rooms it is in: it ends, or is unavailable */
void rooms_leave_again(struct talk *t);                               /* those who have ended, if a change that nobody waits for has failed */
/* Somebody who is no longer reached (§14.7): is this error one that says so? */
bool room_error_is_final(const struct stanza *st);

/* ---- room_mediate.c ---- */
void room_private_message(struct room *r, struct session *s, const struct stanza *st);
void room_mediate(struct room *r, struct session *s, const struct stanza *st,
                  int tries); /* invitations, voice: messages that are not for all */

/* ---- the iqs of a room and of the service ---- */
extern const struct iq_handler room_iqs[], rooms_iqs[];
void room_occupant_iq(struct room *r, struct session *s, const struct stanza *iq); /* to room@host/nick, any type */
int  room_iq_tries(void);                                                          /* of the iq that a handler is looking at */

/* room_admin.c, room_owner.c, room_info.c, room_archive.c */
enum err room_admin_get(struct session *s, const struct stanza *iq);
enum err room_admin_set(struct session *s, const struct stanza *iq);
enum err room_owner_get(struct session *s, const struct stanza *iq);
enum err room_owner_set(struct session *s, const struct stanza *iq);
enum err room_info_get(struct session *s, const struct stanza *iq);
enum err room_items_get(struct session *s, const struct stanza *iq);
enum err rooms_info_get(struct session *s, const struct stanza *iq);
enum err rooms_items_get(struct session *s, const struct stanza *iq);
enum err room_register_get(struct session *s, const struct stanza *iq);
enum err room_register_set(struct session *s, const struct stanza *iq);
enum err room_vcard_get(struct session *s, const struct stanza *iq);
enum err room_vcard_set(struct session *s, const struct stanza *iq);
enum err room_archive_form(struct session *s, const struct stanza *iq);
enum err room_archive_query(struct session *s, const struct stanza *iq);
/* True: the asker may not read what was said, and has been told so. */
bool     room_archive_refused(struct room *r, struct session *s, const struct stanza *iq);
enum err room_read_get(struct session *s, const struct stanza *iq); /* room_reading.c */
enum err room_archive_metadata(struct session *s, const struct stanza *iq);
enum err room_moderate(struct session *s, const struct stanza *iq);

/* Adds what follows from an affiliation for those inside: role, or removal with `code`. False: too many, of this change or
 * of the room. */
bool room_affiliate(struct room_change *c, struct str bare, enum affiliation a, struct str nick, struct str actor, struct str reason);
int              room_owners_after(const struct room_change *c);
enum affiliation room_affiliation_after(const struct room_change *c, struct str bare);
/* The room that the handler's iq is for: in memory. */
static inline struct room *room_of(struct session *s, const struct stanza *iq)
{
    return room_get(s->talk, iq->to.local);
}
static inline enum err room_refuse(struct session *s, const struct stanza *st, const char *type, const char *condition, const char *text)
{
    session_bounce(s, st, type, condition, text);
    return OK;
}
