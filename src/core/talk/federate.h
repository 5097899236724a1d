/* federate.h: other servers, through courier (courier/courier.h).
 *
 *   to another server:    a stanza that must arrive is a row of `outbox` in the change that causes it
 *                         ─durable─▶ courier has it in its own database ─▶ the row goes
 *   from another server:  a guest (guest.h) sends it; courier hears OK when what follows from it is durable
 *
 * Texts tell whom they are from and for: their attributes `from` and `to`, as stanza_open writes them.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "db/db.h"
#include "talk/session.h"
#include "talk/talk.h"

extern const struct db_migration federate_migrations[];

enum {
    FEDERATE_QUEUE_MAX = 20000, /* for courier, in memory */
    FEDERATE_WINDOW = 64,       /* asked of courier at one time */
    FEDERATE_LIVE_MS = 10000,   /* how long what is not kept waits for courier */
};

/* A domain that is neither ours nor below ours, and federation is on. */
bool federate_reaches(const struct talk *t, struct str domain);
/* Not kept: a question, an answer, a presence. Behind what was handed over before. */
void federate_send(struct talk *t, struct str text);
/* The same behind what the sender has in the batch (RFC 6120 §10.1). */
void federate_send_after(struct session *from, struct str text);

/* A stanza that must arrive. `origin`: what makes it the same when it is sent again; 0: nothing does. */
struct outbound;
struct outbound *outbound_new(struct talk *t, struct str text, int64_t origin);
enum err         outbound_write(struct db_conn *c, struct outbound *o);              /* in an apply */
void             outbound_decided(struct talk *t, struct outbound *o, bool durable); /* takes it */
bool             federate_is_full(const struct talk *t);                             /* so many wait for courier that no more may come */

void federate_init(struct talk *t);
void federate_done(struct talk *t);
