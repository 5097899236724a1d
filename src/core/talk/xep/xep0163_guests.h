/* xep0163_guests.h: devices of contacts at other servers, as an account here knows them by their presence, and what they hear of its nodes
 * without asking (XEP-0163 §4.3, XEP-0060 §9.2).
 *
 *   their presence, for alice ─▶ alice's list, here and (EVENT_GUESTS) at each messenger that has her in memory
 *        │ it came from courier to this one, and is new        │
 *        ▼                                                     ▼
 *   the last items of her nodes, in turn              alice publishes: the messenger that wrote it tells those in its list
 *
 * Kept: full address and version (xep0115_guests.h) of each available device whose presence tells of a provable version, as long as the
 * account is in memory and the device has not left; the oldest are forgotten beyond the bounds. In memory only: a messenger that loads
 * an account asks the others (EVENT_WHO), one that has been started anew asks the contacts' servers (presence_probe_guests). What is lost
 * costs a notification; the device's next presence mends it.
 *
 * Whether a contact may hear is judged anew each time: they see our presence, and are not blocked; for profiles, profile.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/stanza.h"

enum {
    GUEST_DEVICES_MAX = 100000,       /* of all accounts in memory */
    GUEST_DEVICES_OF_CONTACT_MAX = 16,
    GUEST_LASTS_AT_ONCE = 8,          /* devices whose last items are being read */
    GUEST_LASTS_PER_SECOND = 100,     /* …and how many are begun; the others wait, the oldest is next */
};

struct guest_contacts; /* person.guests; NULL: nothing was heard since the account is in memory */

/* A presence of another server that was let through to `to`, as it came from courier. */
void guest_device_presence(struct person *to, const struct stanza *p);
/* The contact may see the account from now on, or again. */
void guest_devices_show(struct person *me, struct str bare);
/* Addresses of those that want the node and may hear of it; valid until the next call about `me`. Returns how many. */
int guest_devices_wanting(struct person *me, struct str bare, struct str node, const struct jid *out[GUEST_DEVICES_OF_CONTACT_MAX]);
/* Somebody was told of the node: last items that are being read may be older than that. */
void guest_devices_told(struct person *me, struct str node);
void guest_contacts_free(struct person *p);

/* ---- to and from other messengers ---- */
void guest_devices_tell(struct person *p); /* our list, to who asks */
void guest_devices_take(struct person *p, struct str list, bool again /* an answer */);

/* ---- for xep0115_guests.c; `link`: of version_join ---- */
struct guest_question {
    struct str from; /* the account's bare address */
    const struct jid *to;
    struct str node; /* of the client */
};
bool guest_device_may_ask(struct list *link, struct guest_question *q);
void guest_device_known(struct list *link);

void guest_devices_tick(struct talk *t);
void guest_devices_done(struct talk *t); /* no account is in memory any more */
