/* roster.h: contact lists (RFC 6121 §2) and one durable change of them.
 *
 * A change may touch the rosters of several people (a subscription touches two). Memory changes at
 * once; rows are written in one operation; what others see of it (pushes, stanzas,
 * presence) is kept as effects and happens in order when the rows are durable. If they
 * could not be written, the people are loaded again and the client is told.
 *
 *   roster_begin ─▶ roster_touch, roster_forget, roster_then … ─▶ roster_commit ─durable─▶ effects
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/session.h"

enum {
    ROSTER_NAME_BYTES_MAX = 1023,       /* of a name or a group */
    ROSTER_GROUPS_MAX = 64,             /* of one contact */
    ROSTER_REQUESTS_MAX = 200,          /* unanswered requests of strangers, for one person */
    ROSTER_REQUEST_BYTES_MAX = 8192,    /* a larger request is kept without its content */
    ROSTER_SESSIONS_MAX = 1000,         /* talk.sessions_per_account_max goes no higher */
};

struct roster_work;

enum roster_effect {
    EFFECT_PUSH,        /* text: the roster <query/>, to interested sessions of `a` */
    EFFECT_REQUEST,     /* text: a subscribe stanza, to available sessions of `a`; `b` asks (NULL: a guest) */
    EFFECT_ANSWER,      /* text: another subscription stanza, to interested sessions of `a`; from `b` */
    EFFECT_SHOW,        /* current presence of `a` to `b` */
    EFFECT_HIDE,        /* `a` is unavailable for `b` */
    /* For somebody of another server (`b` NULL): */
    EFFECT_LEAVES,      /* text: a subscription stanza of `a` to them; durable with the change */
    EFFECT_SHOW_FAR,    /* text: their bare address; current presence of `a` to them */
    EFFECT_HIDE_FAR,
};

/* `s`: who causes it; NULL: the server. */
struct roster_work *roster_begin(struct talk *t, struct session *s);
/* What is decided rests on p's list as it is here, even if that list is not changed: in a shared database the work fails like any other, and is
 * done again, if another worker has changed it meanwhile. */
void roster_depend(struct roster_work *w, struct person *p);
/* Only what the owner's roster does not show was changed (a waiting request): writes the row. */
void roster_write(struct roster_work *w, struct person *p, struct roster_item *item);
/* The item was changed in memory: gives it a new version, writes its row, pushes it if it is listed. */
void roster_touch(struct roster_work *w, struct person *p, struct roster_item *item);
/* Removes the item from memory, deletes its row, pushes the removal if it was listed. */
void roster_forget(struct roster_work *w, struct person *p, struct roster_item *item);
void roster_then(struct roster_work *w, enum roster_effect what, struct person *a, struct person *b, struct str text);
/* Sends it on its way and answers `cause` (an iq or a presence; NULL: nothing) when it is decided. Takes `w`. */
void roster_commit(struct roster_work *w, const struct stanza *cause);

/* An operation that changes what memory knows of `p` is under way / decided. A failure loads
 * the person again, then and after each operation that was under way at that time. */
void roster_enter(struct person *p);
void roster_leave(struct person *p, enum err e);

/* A roster <query/> to the interested sessions of `p` on this worker. */
void roster_push_here(struct person *p, struct str query);

/* Ids of a person's sessions: sending to one may end others, so a list must not be walked meanwhile. */
int roster_sessions(struct person *p, uint64_t ids[ROSTER_SESSIONS_MAX]);
/* <item/> as the owner sees it (§2.1). */
void roster_put_item(struct buf *b, const struct roster_item *item);
/* The account goes: everyone's subscription to it, and its to others, ends. */
void roster_clear(struct person *p);
