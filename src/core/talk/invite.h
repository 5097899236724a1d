/* invite.h: invitations: to make an account here, to become somebody's contact, or both.
 *
 *   open ─claim─▶ claimed (60 s) ─used─▶ gone, or "friends": two accounts that shall see each other, until they do
 *     ▲              └─release or time─┘
 *     └─ expires; the row stays a day longer for those who began in time (XEP-0445 §5)
 *
 * Only a hash of the token is kept. A token is good once. A name that an invitation holds is taken for all others.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/talk.h"

#define NS_PARS "urn:xmpp:pars:0"

enum {
    INVITE_TOKEN_CHARS = 26,        /* base 32: 128 bits and two */
    INVITE_DAYS = 7,                /* unless it is said otherwise */
    INVITE_DAYS_MAX = 90,
    INVITES_PER_PERSON_MAX = 50,    /* open ones, of one inviter */
};

enum { INVITE_ACCOUNT = 1, INVITE_CONTACT = 2 };       /* what it is good for */

struct invite {
    unsigned   may;                 /* INVITE_…, or-ed */
    struct str inviter;             /* local part; empty: the operator */
    struct str username;            /* local part that it is for; empty: any */
    int64_t    expires_us;
};

extern const struct db_migration invite_migrations[];

void invite_token_make(char out[INVITE_TOKEN_CHARS + 1]);

/* On a connection. A token is text that came from somewhere: anything may stand there. */
/* ERR_LIMIT: the inviter has too many open; ERR_EXISTS: the name is held by another invitation. */
enum err invite_put(struct db_conn *c, struct str token, const struct invite *i, int64_t now_us);
/* ERR_NOT_FOUND: unknown, used, or expired. */
enum err invite_get(struct db_conn *c, struct arena *a, struct str token, int64_t now_us, struct invite *out);
bool     invite_holds(struct db_conn *c, struct str username, struct str but_token, int64_t now_us);

/* In an apply; ERR_NOT_FOUND: somebody else was first. Expiry is not looked at. */
enum err invite_claim(struct db_conn *c, struct str token, struct str by, int64_t now_us);
enum err invite_release(struct db_conn *c, struct str token);
/* The account `by` is there. With INVITE_CONTACT it and the inviter become friends, in time. */
enum err invite_used(struct db_conn *c, struct str token, struct str by);
/* ERR_NOT_FOUND: it is no invitation to be a contact of `inviter`, or used by somebody else. Repeatable by the same. */
enum err invite_contact(struct db_conn *c, struct str token, struct str inviter, struct str by, int64_t now_us);

/* "xmpp:alice@town.example?roster;preauth=TOKEN;ibr=y" and its like (XEP-0401 §5). `domain` is the server's. */
void invite_put_uri(struct buf *b, const struct invite *i, struct str domain, struct str token);

/* The same behind the address of a page, which need not ask the server: "https://town.example/invite.html#alice@…?roster;…". */
void invite_put_page(struct buf *b, const char *page, const struct invite *i, struct str domain, struct str token);

void invite_tick(struct talk *t);           /* makes friends, forgets what is over */
void invite_look(struct talk *t);           /* an invitation has been used: do not wait */
