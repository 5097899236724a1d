/* xep0115_guests.h: what devices of contacts at other servers can do (XEP-0115): each version of a client is looked up where our own clients'
 * are (xep0115_clients.h), and, if nobody here knows it, one device that has it is asked, from the account that it showed itself to:
 * the answer comes to the same messenger as its presence does.
 *
 *   version_join ─▶ in memory or in the database? ─▶ known
 *                        └ no: VERSION_ASK_MS for an answer ─▶ it fits the hash ─▶ kept, known to all
 *                                 └ none, or a wrong one: later, later, and then not for an hour
 *
 * Only what is proved by its hash counts: a device whose answer does not fit is one that wants nothing. A server of which a question
 * stayed without a result is asked nothing for a while, twice as long each time.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/list.h"
#include "talk/session.h"
#include "talk/stanza.h"

enum {
    VERSIONS_ASKED_MAX = 64,            /* questions under way */
    VERSIONS_ASKED_OF_DOMAIN_MAX = 4,   /* …of one server, */
    VERSIONS_OF_DOMAIN_PER_MINUTE = 30, /* and how many it is asked */
    VERSION_TRIES = 3,                  /* questions about one version; then one an hour */
    VERSION_DOMAINS_MAX = 1000,         /* servers that are counted; another one is not asked */
    VERSION_ASK_MS = 30 * 1000,
    VERSION_REST_MS = 60 * 60 * 1000,   /* the longest pause */
};

struct version;
struct guest_device;

/* The version that a presence tells of, as "sha-1 ver"; p NULL: none, or none that could be proved. `node` gets the client's name. */
struct str version_told(struct arena *a, const struct xml_node *presence, struct str *node);
bool version_is_provable(struct str version);
/* `link` is the device's. What is known of the version is version_wants' from now on; guest_device_known is called when
 * that becomes so. */
struct version *version_join(struct talk *t, struct str version, struct list *link);
void version_leave(struct version *v, struct list *link);
struct str version_key(const struct version *v);
struct str version_wants(const struct version *v); /* '\n' behind each node; p NULL: not known */
/* A device may be asked now that could not be before. */
void version_may_ask(struct version *v);
/* An answer that came from another server to an account. False: it is none of these. */
bool version_answered(struct session *s, const struct stanza *iq);

/* ---- called by xep0115_clients.c ---- */
void versions_known(struct talk *t, struct str version);
void versions_unknown(struct talk *t, struct str version); /* the database has not heard of it */

void versions_tick(struct talk *t);
void versions_done(struct talk *t);
