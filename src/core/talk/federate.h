/* federate.h: other servers, through courier (courier/courier.h).
 *
 *   to another server:    a stanza that must arrive is a row of `outbox` in the change that causes it
 *                         ─durable─▶ courier has it in its own database ─▶ the row goes
 *   from another server:  a guest (guest.h) sends it; courier hears OK when what follows from it is durable
 *
 *   to a component:       the same, but for courier: the row goes once the component's connection has the stanza, and when it has none,
 *                         the sender hears so at once
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

/* A domain that is neither ours nor below ours, and federation is on; or that of a component (xep0114_component.h). */
bool federate_reaches(const struct talk *t, struct str domain);
/* Not kept: a question, an answer, a presence. Behind what was handed over before. */
void federate_send(struct talk *t, struct str text);
/* The same behind what the sender has in the batch (RFC 6120 §10.1). */
void federate_send_after(struct session *from, struct str text);
/* A guest's stanza that is for another guest: between a component and another server, or two components. What must arrive is kept. */
void federate_pass(struct session *guest, const struct stanza *st);

/* A stanza that must arrive. `origin`: what makes it the same when it is sent again; 0: nothing does. */
struct outbound;
struct outbound *outbound_new(struct talk *t, struct str text, int64_t origin);
enum err         outbound_write(struct db_conn *c, struct outbound *o);              /* in an apply */
void             outbound_decided(struct talk *t, struct outbound *o, bool durable); /* takes it */
void             outbound_known(struct talk *t, struct outbound *o);                 /* the same: it is a second one, and its row is written */
bool             federate_is_full(const struct talk *t);                             /* so many wait for courier that no more may come */

void federate_init(struct talk *t);
void federate_done(struct talk *t);
