/* xep0191_blocking.h: whom an account does not want to hear.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/stanza.h"

enum { BLOCKED_MAX = 1000 };        /* JIDs of one account */

/* Has `p` blocked `other`? Matching as §5: full JID, bare JID, domain/resource, domain; never oneself. */
bool blocking_has(const struct person *p, const struct jid *other);
bool blocking_between(const struct person *a, const struct person *b);      /* one of them, the other */
/* The error for what is sent to somebody one has blocked (§3.3). */
void blocking_refuse(struct session *s, const struct stanza *st);
/* <block/> or <unblock/> to those of the person's devices on this worker that asked for the list. */
void blocking_push_here(struct person *p, struct str payload);
