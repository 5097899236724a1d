/* guest.h: somebody of another domain, or at a component of ours, as a sender: a session without person and connection, whose `jid` is
 * the address they wrote from. What is sent to it goes there. It stands for nothing: no presence,
 * no memory; the least recently heard of are forgotten, and an answer to them that comes later still goes, if
 * it names whom it is for.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"

enum { GUESTS_MAX = 20000, GUEST_WAITING_MAX = 1000 };

/* A stanza that came. `fn` (may be NULL) is called when what follows from it is durable, perhaps at once, and in order for each
 * guest: ERR_INVALID  it will never be taken;  ERR_LIMIT  too much of this guest waits */
typedef void guest_taken_fn(void *arg, enum err e);
void guest_take(struct talk *t, const struct jid *from, struct str text, guest_taken_fn *fn, void *arg);
void guest_send(struct session *s, struct str stanza); /* session_send of a guest */
void guest_continue(struct session *s);                /* session_continue of a guest */
void guests_init(struct talk *t);
void guests_done(struct talk *t);
