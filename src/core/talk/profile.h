/* profile.h: who sees which profile. The one place that decides it.
 *
 * An account has a basic profile (its vCard, avatar and nick) and up to three others: name, photo, status line and background, each
 * for an audience of contacts. A contact sees one of them. If it is not certain which, it sees the minimal one: the account's own name
 * part, no photo, no status. Never another audience's.
 *
 *   door                                         goes through
 *   vcard-temp, asked by another                 xep/xep0054_vcard.c
 *   items of a profile node, and their ids       pubsub/items.c, xep/xep0060_pubsub.c (disco)
 *   news of them, to contacts and subscribers    pubsub/publish.c: profile_except
 *   the last items, for a device that comes      xep/xep0163_last.c: here and at other servers
 *   the last item, for who subscribes            pubsub/subscribe.c: item_last_for
 *   the hash of the photo in presence            xep/xep0153_photo.c
 *   <profile xmlns='urn:bongsu:profiles:0'/>     xep/xep0292_profiles.c
 *
 * What is certain. The audience is read in the same work as what is shown, before it; after it the version of the audiences is read
 * again (profile_still): had anything changed meanwhile, what was read is thrown away. It is read where the newest is: in a database of our
 * own anywhere, in a shared one only within a commit batch, whose success proves that the server was the primary. A read that fails,
 * or that does not come in time, is no answer: minimal.
 *
 *   profile_head(owner, version)                 counts changes of audiences; no row: never had any
 *   profile(owner, number, …)                    1 to 3; 0: status and background of the basic one
 *   profile_viewer(owner, jid, number)           who does not see the basic one
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "db/db.h"
#include "talk/person.h"
#include "wire/xml.h"

enum {
    PROFILES_MAX = 3,           /* besides the basic one */
    PROFILE_VIEWERS_MAX = 5000, /* of one account */
    PROFILE_NAME_BYTES_MAX = 256,
    PROFILE_STATUS_BYTES_MAX = 1024,
    PROFILE_IMAGE_BYTES_MAX = 96 * 1024, /* of a picture, in base64 */
    PROFILE_PATIENCE_MS = 2000,          /* then the answer is the minimal one */
};

#define NS_PROFILES "urn:bongsu:profiles:0"
#define NODE_AVATAR_DATA "urn:xmpp:avatar:data"
#define NODE_AVATAR_METADATA "urn:xmpp:avatar:metadata"
#define NODE_NICK "http://jabber.org/protocol/nick"
#define NODE_VCARD4 "urn:xmpp:vcard4"

enum profile_kind { PROFILE_OWN, PROFILE_BASIC, PROFILE_OTHER, PROFILE_MINIMAL };

struct profile_view {
    enum profile_kind kind;
    int number;      /* OTHER */
    int64_t version; /* of the audiences, when this was decided */
    int64_t owner;
    struct str bare, local; /* of the owner; local is a part of bare */
};

/* `newest`: the connection sees what is newest (see above). Never fails: what is not certain is MINIMAL. */
struct profile_view profile_for(struct db_conn *c, bool newest, int64_t owner, struct str owner_bare,
                                struct str viewer_bare);
/* Does that still hold? Asked when everything has been read. */
bool profile_still(struct db_conn *c, const struct profile_view *v);

struct profile {
    struct str name, status, photo_type, photo, photo_id, background_type,
        background; /* pictures in base64; p NULL: none */
    int64_t photo_bytes;
};

/* What the view shows, if it is OTHER or MINIMAL. Never fails; turns the view into MINIMAL if what it needs
 * cannot be read. */
void profile_read(struct db_conn *c, struct arena *a, struct profile_view *v, struct profile *out);
/* The name of the minimal one: all that it shows. */
static inline struct str profile_local(struct str owner_bare)
{
    return str_split(&owner_bare, '@');
}
void profile_minimal(struct profile_view *v, struct profile *out);
/* ERR_NOT_FOUND: there is no such profile. */
enum err profile_load(struct db_conn *c, struct arena *a, int64_t owner, int number, struct profile *out);

/* ---- in the forms of the doors ---- */
extern const char *const profile_news[]; /* the nodes by which news of one are told; NULL ends them */
bool profile_is_node(struct str node); /* is it one of those that show a profile? */
void profile_put_vcard(struct buf *b, const struct profile *p);
/* The one item of a profile node; false: there is none. */
bool profile_put_item(struct arena *a, const struct profile *p, struct str node, struct str *id,
                      struct str *xml);

/* ---- who sees another one than the basic ---- */
struct profile_viewer {
    struct str jid;
    int number;
};
enum err profile_viewers(struct db_conn *c, struct arena *a, int64_t owner, int *count,
                         struct profile_viewer **out);
/* In an apply: changes of audiences and news of the basic profile come one after the other, from whichever
 * messenger. */
enum err profile_lock(struct db_conn *c, int64_t owner);

/* Counts changes of audiences; 0: there was none. */
enum err profile_version(struct db_conn *c, int64_t owner, int64_t *out);

/* ---- the photo's hash in presence: xep/xep0153_photo.h ---- */
struct profile_photos;
/* `fresh` was read again; true: it is something else than before. */
bool profile_photos_take(struct person *p, struct person *fresh);
/* May this child of a presence be shown to all, whoever they are (in a room)? Not if it tells of the photo or
 * name and somebody sees another profile than the basic one, or might. */
bool profile_child_for_all(struct person *owner, const struct xml_node *child);
void profile_photos_free(struct person *p);
/* Something of the profile has changed: memory follows, and presence is shown again when the photo is another
 * one. */
void profile_changed(struct person *p);
