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
/* Nothing is known here of contacts at other servers who see us and let us see them: their servers are asked for this device. */
void presence_probe_guests(struct session *s);
/* What presence shows besides what the client said is another thing now: it is broadcast again. */
void presence_again(struct person *p);
/* The same to somebody of another server. */
void presence_show_guest(struct person *of, struct str to_bare, bool show);
/* A text for each viewer (bare); p NULL: nothing for that one. To `viewer` (full or bare), if it may see the session's presence; empty: to
 * everybody who may. */
typedef struct str presence_text_fn(void *arg, const struct session *s, struct str viewer_bare);
void presence_tell(struct session *s, struct str viewer, presence_text_fn *fn, void *arg);
/* A person in memory who has sessions, by bare JID; NULL: nobody to send to. */
struct person *presence_person(struct talk *t, struct str bare);

/* ---- asked by another worker ---- */
/* A presence text without `to`, to the devices of `p` that are here. */
void presence_to_devices(struct person *p, struct str resource, struct str text);
/* What the devices of `p` that are here are like, to who asks and may know. */
void presence_answer_far(struct person *p, struct str asker_full);
void presence_show_far(struct person *p, struct str to_bare, bool show);
/* A contact with no device here has been blocked, or is no longer: `show` or hide ours from them, and ask for theirs. */
void presence_far_changed(struct person *me, struct str bare, bool ask, bool tell, bool show);
