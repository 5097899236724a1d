/* message.h: the life of a message between two local people: judged, kept, delivered.
 *
 *   message_route ─hooks, RFC 6121 §8.5─▶ targets chosen, places taken (session_expect)
 *        ├─ kept ──▶ commit batch ──durable──▶ delivered to every target, acknowledged
 *        │                        └─failed───▶ the sender gets the error
 *        └─ not kept ──behind what the sender has in the batch──▶ delivered
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/route.h"

void message_route(struct session *s, const struct stanza *st, struct person *to);
/* To somebody of another server: kept in the sender's archive, copied to their devices, and handed to courier (federate.h). */
void message_leaves(struct session *s, const struct stanza *st);
/* The same from a host or the server itself (`st->from`; `st` is read by stanza_read): judged by the recipient's hooks, kept in their archive if
 * it is worth that, delivered or put aside for later. `posted` (may be NULL) is called once, perhaps before this returns: OK it is durable
 * or needed not to be kept; ERR_DENIED they do not want it; ERR_LIMIT too much waits; ERR_UNAVAILABLE nobody takes it, or the store is full. */
typedef void message_posted_fn(struct talk *t, void *arg, enum err e);
void message_post(struct person *to, const struct stanza *st, message_posted_fn *posted, void *arg);
void message_share_init(struct talk *t);            /* in a cluster: the places in the log, and going ahead */
/* What went ahead to `p` from here and is not decided, in order: to the other workers, or to the devices that are here. */
void message_tell_pending(struct person *p, bool far);
/* Devices of other workers are there again, or their workers are heard again: what stayed here as nobody seemed to be there goes ahead, before
 * what is written from now on. */
void message_tell_found(struct talk *t);
/* The person's preferences (XEP-0441): is what they exchange with `peer` kept in their archive? */
bool archive_keeps(struct person *p, struct str peer_bare);
/* XEP-0313's rule for what is worth keeping (xep0313_mam.c). */
bool archive_wanted(const struct stanza *m);
