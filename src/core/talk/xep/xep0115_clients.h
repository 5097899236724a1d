/* xep0115_clients.h: what clients say they can do (XEP-0115): learned from a client once for each version and kept, so that the
 * server knows which nodes each device wants to hear of (XEP-0060 §9.2, "node+notify").
 *
 *   presence with <c/> ─▶ known in memory? ─▶ in the database? ─▶ the client is asked ─▶ its answer fits the hash ─▶ kept for all
 *                                                                                    └─ it does not ─▶ this session's only
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "crypto/digest.h"
#include "talk/session.h"
#include "wire/xml.h"

enum {
    CAPS_WANTS_MAX = 128,     /* nodes that one client wants */
    CAPS_FEATURES_MAX = 1024, /* in one answer, of each kind */
    CAPS_KEPT_MAX = 20000,    /* versions kept in the database */
};

struct caps; /* one version of one client; shared by the sessions that have it */

struct caps_wants {
    int count;
    struct str nodes[CAPS_WANTS_MAX];
};

/* Reads a disco#info <query/>. `text` gets what the hash is made over (§5.1). False: ill-formed (§5.4). */
bool caps_read(struct arena *a, const struct xml_node *query, struct buf *text, struct caps_wants *out);
/* "sha-1", "sha-256", "sha-512" */
bool caps_algorithm(struct str name, enum digest_kind *out);

/* Does the device want to hear of this node? */
bool caps_wants(const struct session *s, struct str node);
bool caps_known(const struct session *s);
struct str caps_list(const struct session *s); /* '\n' behind each */
bool caps_list_has(struct str list, struct str node);
void caps_forget(struct session *s);
/* Its presence came from another messenger, or from before a restart. */
void caps_restored(struct session *s);

/* ---- for devices that are no sessions: only what is proved counts (xep0115_guests.h) ---- */
/* `version`: "sha-1 ver", of an algorithm we know. It is looked up; then versions_known or versions_unknown is called. */
struct caps *caps_take(struct talk *t, struct str version);
void caps_unref(struct caps *k);
struct str caps_wanted(const struct caps *k); /* as caps_list; p NULL: it is not known */
void caps_look_again(struct caps *k);         /* in the database: somebody else may have learned it */
/* Does the answer to a question about it fit? Then it is known from now on, to all. */
bool caps_prove(struct caps *k, const struct stanza *answer);
