/* room_change.h: how anything in a room changes: a list of deltas, one transaction, and then memory, people
 * and other messengers.
 *
 *   room_change_new ─▶ room_delta … ─▶ room_change_go ─durable, won─▶ room_apply: memory, those who left,
 * `answer`, those inside, others ├─somebody was first─▶ the room is read again, the stanza judged again
 *                                             └─failed─▶ the stanza is answered with the error
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/rooms/room.h"
#include "talk/session.h"

enum delta_kind {
    DELTA_CREATE = 1,  /* text: configuration, jid: the creator */
    DELTA_SEAT,        /* jid: full, node, nick, role, text: inner presence; claims the nick */
    DELTA_PRESENCE,    /* jid: full, text */
    DELTA_LEAVE,       /* jid: full, node, text: inner, code */
    DELTA_RENAME,      /* jid: bare, nick, other: the new one, text */
    DELTA_ROLE,        /* nick, jid: bare, role, code, actor, reason; `none` removes */
    DELTA_AFFILIATION, /* jid: bare, affiliation, nick (p NULL: as it was), since, actor, reason */
    DELTA_CONFIG,      /* text: configuration; code: bits CHANGED_… */
    DELTA_AVATAR,      /* text: the card, other: the hash */
    DELTA_NODE,        /* jid: full, node: the session goes on there */
    DELTA_DESTROY,     /* other: another room, text: its password, reason; IF_EMPTY */
    DELTA_KINDS
};
enum { DELTA_IF_EMPTY = 1, DELTA_CREATED = 2, DELTA_AGAIN = 8 };
/* What a configuration says anew (XEP-0045 §10.2.1). */
enum { CHANGED_LOGGING = 1, CHANGED_WHOIS = 2, CHANGED_OTHER = 4, CHANGED_UNLOCKED = 8 };

struct room_delta {
    enum delta_kind kind;
    unsigned        flags, code;
    int8_t          affiliation, role;
    int64_t         node, since;
    struct str      jid, nick, text, other, actor, reason;
};

/* The stanza that causes a change, as long as it may have to be judged again. The client's next one waits
 * (session_hold). */
struct room_cause {
    struct talk *talk;
    uint64_t     session_id;
    uint32_t     received;
    char        *xml;
    int          tries;
    struct arena arena; /* of the stanza while it is looked at */
};

struct room_change;
typedef void   room_answer_fn(struct talk *t, struct room_change *c); /* it has happened; c->arg */
room_answer_fn room_answer_done;                                       /* the cause's iq gets an empty result */

struct room_change {
    struct change      change;
    struct room       *room;
    struct room_cause *cause;   /* NULL: nobody's stanza */
    room_answer_fn    *answer;  /* may be NULL */
    void              *arg;     /* the answer's */
    void (*abandon)(void *arg); /* it did not happen; NULL: `arg` is freed */
    int64_t            stamp, id;
    int64_t            expected; /* the rules it was judged by; -1: it holds under any */
    bool               bump;     /* it changes them */
    int                claims;   /* deltas that must have found or made their row; one at most goes to the database */
    int                owners, affiliated; /* how many more there will be (room_affiliate) */
    int64_t            results[4], rows, left, left_rows;
    struct arena       arena;
    int                count, cap;
    struct room_delta *deltas;
};

/* What is on its way takes a reference of the room. */
struct room_change *room_change_new(struct room *r, struct room_cause *cause);
/* Texts are copied. False: too many. */
bool room_delta(struct room_change *c, const struct room_delta *d);
void room_change_go(struct room_change *c);   /* takes it */
void room_change_drop(struct room_change *c); /* nothing happens after all; the cause is not answered, but over */

struct room_cause *room_cause_new(struct session *s, const struct stanza *st, int tries);
void               room_cause_bounce(struct room_cause *c, const char *type, const char *condition, const char *text); /* answers */
void               room_cause_result(struct room_cause *c, struct str payload);                                        /* of an iq */
/* The stanza once more, in the cause's arena. NULL: the client has gone. */
struct session *room_cause_stanza(struct room_cause *c, struct stanza *st);
void            room_cause_done(struct room_cause *c); /* the client goes on; frees */
void            room_cause_free(struct room_cause *c); /* the client has gone on already */

void room_deltas_write(struct buf *b, const struct room_delta *d, int count);
/* In `a`; -1: not ours. */
int room_deltas_read(struct str text, struct room_delta *out, int max);

/* ---- room_apply.c ---- */
/* Memory is changed and shown. `c` NULL: another messenger did it. */
void room_apply(struct room *r, const struct room_delta *d, int count, struct room_change *c);
