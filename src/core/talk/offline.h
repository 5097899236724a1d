/* offline.h: what waits for a person who is away (XEP-0160; table offline, see archive.h), and its delivery when they come.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/session.h"

/* What waits for a person who has become reachable, oldest first, until nothing does. What
 * arrives meanwhile joins the end, so order is kept. */
void offline_deliver(struct session *s);
void offline_resume(struct person *p);      /* the log has been followed as far as it goes (follow.c) */
void offline_settled(struct person *p);     /* an operation that might have stored something here is decided */
void offline_stored(struct person *p);      /* another operation may have stored something */
/* What waits stays in the archive only (XEP-0386 §4). */
void offline_drop(struct person *p);
