/* room.h: a room in memory: its rules, who is in, what was said last. Every messenger that has somebody in it
 * holds all of it.
 *
 *   room(id, local, config, rules, seq, stamp, …)     rules: version of configuration and affiliations; seq:
 * of everything room_affiliation(room, jid, affiliation, nick, since) room_occupant(room, jid, node, nick,
 * role, presence, stamp)     one row for each session inside ("seat") room_vcard(room, xml)
 *
 * What is said is in the archive: a room is the owner of a log, like a person (archive.h).
 * A seat is one session (full JID) in the room; seats of one account under one nick are one occupant
 * (XEP-0045 §7.2.8). SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/list.h"
#include "talk/session.h"
#include "talk/talk.h"

#define NS_MUC "http://jabber.org/protocol/muc"
#define NS_MUC_USER NS_MUC "#user"
#define NS_MUC_ADMIN NS_MUC "#admin"
#define NS_MUC_OWNER NS_MUC "#owner"
#define NS_OCCUPANT "urn:xmpp:occupant-id:0"

enum {
    ROOM_NICK_BYTES_MAX = 255,
    ROOM_TEXT_BYTES_MAX = 4096,      /* of a reason, a description, a subject's element… */
    ROOM_PRESENCE_BYTES_MAX = 16384, /* of what an occupant's presence carries */
    ROOM_DELTAS_MAX = 20000,         /* of one change */
    ROOM_HISTORY_DEFAULT = 20,
    ROOM_HISTORY_MAX = 100,  /* kept in memory for those who come in */
    ROOM_WAITING_MAX = 1000, /* stanzas that wait until a room has been read */
    ROOM_HELD_MAX = 32,      /* changes whose turn has not come */
    ROOM_TRIES_MAX = 8,      /* how often a stanza is judged again because somebody else was first */
    ROOM_CROWD = 50,         /* inside here: from so many on, presence waits for company (session_send_patiently) */
    ROOMS_IDLE_MAX = 1000,   /* in memory without anybody here inside */
};

enum affiliation { AFF_OUTCAST = -1, AFF_NONE, AFF_MEMBER, AFF_ADMIN, AFF_OWNER };
enum role { ROLE_NONE, ROLE_VISITOR, ROLE_PARTICIPANT, ROLE_MODERATOR };
const char *room_affiliation_name(enum affiliation a);
const char *room_role_name(enum role r);
bool        room_affiliation_parse(struct str text, enum affiliation *out);
bool        room_role_parse(struct str text, enum role *out);

enum room_allow { ALLOW_ANYONE, ALLOW_PARTICIPANTS, ALLOW_MODERATORS, ALLOW_NONE };

struct room_config {
    char *name, *description, *lang, *password; /* NULL: none */
    bool public, persistent, members_only, moderated, non_anonymous, logging;
    bool    invites;          /* members of a members-only room may invite */
    bool    change_subject;   /* participants may */
    uint8_t private_messages; /* enum room_allow: who may send them */
    uint8_t broadcast;        /* bits 1 << role: whose presence is shown to others */
    int32_t occupants_max;    /* 0: only the server's bound */
};

struct member {      /* an affiliation; the key is `jid` */
    struct str jid;  /* bare; of a domain for bans */
    char      *nick; /* reserved; NULL: none */
    int64_t    since;
    uint64_t   mark; /* room_absent.c, room_load.c: seen in this round */
    int8_t     affiliation;
};

struct occupant {
    struct room *room;
    struct list  in_room;
    struct list  seats; /* seat.in_occupant; never empty */
    struct str   nick, bare;
    struct str   address; /* room@host/nick */
    char         id[33];  /* XEP-0421 */
    uint8_t      role;
    char        *inner;   /* what the presence carries, our own elements not included */
    struct str   text[2]; /* the presence as shown, without `to`: to all, and to those who see JIDs; p NULL: to be made */
};

struct seat {
    struct list      in_occupant, in_session;
    struct occupant *occupant;
    struct str       full;
    char            *to; /* " to='…'" */
    size_t           to_len;
    int64_t          node;
    uint64_t         session_id; /* 0: on another messenger, or of another domain */
    bool             entered;    /* it has been shown the room */
};

struct room_said {
    int64_t id, shown;
    size_t  len;
    char   *text;
};

struct room {
    struct talk       *talk;
    struct str         local, bare;
    int64_t            id, rules, seq;
    struct room_config config;
    bool               locked; /* made, and not configured yet */
    bool               gone;   /* destroyed: whoever still holds it lets go */
    bool               stale;  /* another messenger knows more: to be read again */
    bool               reading;
    char              *subject; /* the <subject/> elements; NULL: never set */
    char              *subject_from;
    int64_t            subject_us;
    char               avatar[41]; /* SHA-1 of the picture, hexadecimal; "": none */
    struct strmap      members;    /* bare JID → struct member */
    struct strmap      occupants;  /* nick → struct occupant */
    struct strmap      seats;      /* full JID → struct seat */
    struct list        in_order;   /* occupants as they came */
    struct list        idle;       /* in rooms->idle while nobody here is inside */
    int                here;       /* seats of this messenger */
    int                refs;
    struct list        posting; /* messages that have their places and are not decided (room_message.c) */
    int                said_count, said_at;
    struct room_said   said[ROOM_HISTORY_MAX]; /* a ring */
    int64_t            log_last, log_want;     /* as for a person: follow.h */
    bool               following;
    int64_t            doubted_ms; /* since when is counted… */
    unsigned           doubts;     /* …how often it was read again before somebody was refused */
    int64_t            fresh_ms;   /* when it came into memory */
    struct timer       again, gap;
    struct room_held  *held[ROOM_HELD_MAX]; /* room_far.c */
};

struct rooms { /* talk->rooms */
    struct talk  *talk;
    struct str    domain; /* rooms.town.example */
    struct strmap all;    /* local part → struct room */
    struct strmap loads;
    struct intmap by_id;    /* in a shared database */
    struct intmap sessions; /* session id → struct room_visitor */
    struct list   idle;
    int           idle_count;
    bool          left_behind; /* a change of nobody's stanza has failed: somebody who has ended may be inside still */
    int64_t       looked_ms;
    size_t        look_at; /* where the look at all of them goes on; 0: none is under way */
    uint64_t      mark;
    struct buf    copy; /* a stanza with its `to` */
};

/* ---- room.c: memory ---- */
struct room         *room_get(struct talk *t, struct str local); /* in memory and whole; NULL: ask room_find */
struct room         *room_new(struct talk *t, struct str local);
void                 room_free(struct room *r);
void                 room_ref(struct room *r);
void                 room_unref(struct room *r);
enum affiliation     room_affiliation(const struct room *r, struct str bare);
struct member       *room_member(const struct room *r, struct str bare);
void                 room_member_set(struct room *r, struct str bare, enum affiliation a, struct str nick, int64_t since);
int                  room_owners(const struct room *r);
const struct member *room_nick_owner(const struct room *r, struct str nick); /* whose reserved nick it is */
struct occupant     *room_occupant(const struct room *r, struct str nick);
struct seat         *room_seat(const struct room *r, struct str full);
struct seat *room_seat_take(struct room *r, struct str full, struct str nick, enum role role, struct str inner, int64_t node,
                            uint64_t session_id);
void         room_seat_move(struct room *r, struct seat *s, int64_t node, uint64_t session_id);
void         room_seat_drop(struct room *r, struct seat *s);
void         room_rename(struct room *r, struct occupant *o, struct str nick);
void         occupant_text_drop(struct occupant *o);
void         room_occupant_id(const struct room *r, struct str bare, char out[33]);
bool         room_sees_jids(const struct room *r, enum role role);
enum role    room_default_role(const struct room *r, enum affiliation a);
/* What is said: whoever may enter now may; what guards the door is not asked again of those who belong to the room. */
bool         room_may_read(const struct room *r, struct str bare, struct str full);
struct occupant *room_by_bare(const struct room *r, struct str bare, struct occupant *after); /* the next one of the account */
void             room_said_add(struct room *r, int64_t id, int64_t shown, struct str text);
void             room_said_remove(struct room *r, int64_t shown);
/* Of a full JID: of the session, UINT64_MAX if it should be here and is not, 0 for other domains. */
uint64_t        room_session_id(struct talk *t, struct str full);
struct session *seat_session(const struct room *r, const struct seat *s); /* here and alive; NULL */
/* The seats of a session: what leaves when it does. */
struct room_visitor {
    struct list seats;
    int         count;
};
struct room_visitor       *rooms_visitor(struct talk *t, uint64_t session_id); /* NULL: it is in no room */
static inline struct room *seat_room(const struct seat *s)
{
    return s->occupant->room;
}

/* ---- room_config.c ---- */
void     room_config_default(struct room_config *c);
void     room_config_free(struct room_config *c);
void     room_config_copy(struct room_config *to, const struct room_config *from);
unsigned room_config_changes(const struct room_config *old, const struct room_config *fresh); /* bits CHANGED_… */
void     room_config_write(const struct room_config *c, struct buf *out);                     /* as kept */
enum err room_config_read(struct str kept, struct room_config *out);                          /* `out` is empty or an old one */

/* ---- room_load.c ---- */
extern const struct db_migration rooms_migrations[];
typedef void                     room_fn(struct talk *t, struct room *r /* NULL */, enum err e, void *arg);
/* Now, if it is in memory and fresh; else when it has been read. ERR_NOT_FOUND: there is none. ERR_LIMIT,
 * ERR_UNAVAILABLE. */
void room_find(struct talk *t, struct str local, room_fn *fn, void *arg);
void room_load_again(struct talk *t, struct str local); /* it is being read just now, perhaps from before a change */
void room_stale(struct room *r);                        /* reads it again, and shows the difference */
void rooms_restore(struct talk *t);                     /* SQLite: those with somebody inside, at the start */
