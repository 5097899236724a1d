/* follow.h: keeping up with the log of a person whose devices are here, when others write it too.
 *
 *   LOGGED comes ─names what we have as the one before it─▶ delivered
 *        │ names another: something is missing, or it came out of order
 *        └─▶ the log is read from where we stand; what comes meanwhile only says how far
 *
 * So each device sees every message once and in the log's order, whatever the events do.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"

struct logged {                 /* one message as it was kept */
    int64_t    id, shown;       /* place in the log; what clients know it by */
    bool       carbons;
    bool       offline;         /* it was put aside: nobody was there when it was stored */
    int64_t    wake_after;      /* of another worker: push registrations newer than this it knew nothing of, or took for ours; 0: none */
    struct str stanza;
};

/* `before`: the one before it in this person's log; -1: it is there already, somebody sent it again. */
void follow_logged(struct person *p, int64_t before, const struct logged *m);
/* It is shown before it is stored, behind what is missing here: events may be lost, so it names what its sender's worker knows before it. */
struct ahead_of {
    int64_t logged;             /* the log goes at least so far */
    int64_t ahead;              /* the one that went ahead last, by its name, and was not decided then; 0: none */
};
void follow_ahead(struct person *p, const struct logged *m, const struct ahead_of *after);
/* An answer to follow_ask_pending: before what came since. */
void follow_ahead_again(struct person *p, const struct logged *m, const struct ahead_of *after);
int64_t follow_end(const struct person *p);                             /* how far the log goes, as far as is known here */
/* To one device, behind the messages that are being read for it (RFC 6120 §10.1). */
void follow_send(struct session *s, struct str stanza);
/* A device has come while messages may be ahead of their storing: those that went before are asked for, and what goes now is
 * held until they can have come. */
void follow_ask_pending(struct person *p);
void follow_done(struct person *p);     /* frees what waits */
/* The log goes at least so far: read what is missing. */
void follow_to(struct person *p, int64_t id);
void follow_go(struct person *p);       /* what was held up (offline.c) has ended */
