/* presence.h: who is there (RFC 6121 §4). Subscription stanzas go on to subscription.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/session.h"

enum { PRESENCE_DIRECTED_MAX = 1000 };  /* addresses one session has shown itself to */

/* Every presence stanza of a bound client. What the client sent before it and is not durable yet
 * comes first (RFC 6120 §10.1). */
void presence_from_client(struct session *s, const struct stanza *p);
/* The session ends: unavailable to everyone who saw it. */
void presence_session_gone(struct session *s);
void presence_directed_free(struct session *s);
/* The presence of every available session of `of`, to the available sessions of `to`. */
void presence_show(struct person *of, struct person *to);
void presence_hide(struct person *of, struct person *to);
/* A person in memory who has sessions, by bare JID; NULL: nobody to send to. */
struct person *presence_person(struct talk *t, struct str bare);
