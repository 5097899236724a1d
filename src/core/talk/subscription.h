/* subscription.h: who may see whose presence (RFC 6121 §3): the state tables of
 * Appendix A, and the stanzas that move them.
 *
 *        None ──we subscribe──▶ None + Pending Out ──they answer subscribed──▶ To
 *        None ──they subscribe─▶ None + Pending In ──we answer subscribed────▶ From      To + From: Both
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/roster.h"

/* A contact's state as bits; Both is TO | FROM. */
enum {
    STATE_TO = SUB_TO,          /* we see them */
    STATE_FROM = SUB_FROM,      /* they see us */
    STATE_OUT = 4,              /* we asked */
    STATE_IN = 8,               /* they asked */
    STATE_APPROVED = 16,        /* we said yes before they asked (§3.4) */
};

struct subscription_step {
    uint8_t state;      /* the new one */
    bool    pass;       /* outbound: the stanza goes to the contact; inbound: the user is shown it */
    bool    reply;      /* inbound subscribe: "subscribed" is answered without asking the user */
};
struct subscription_step subscription_outbound(uint8_t state, enum stanza_type t);  /* Appendix A.2 */
struct subscription_step subscription_inbound(uint8_t state, enum stanza_type t);   /* Appendix A.3 */

/* subscribe, subscribed, unsubscribe or unsubscribed of a client, to a bare or full JID. */
void subscription_from_client(struct session *s, const struct stanza *p);
struct person *subscription_target(struct talk *t, const struct jid *j);    /* an account here; NULL: none */
/* Takes a contact off the roster: §2.5.2. The item is listed. */
void subscription_remove(struct roster_work *w, struct person *p, struct roster_item *item);
/* XEP-0379: `guest` asks to see `inviter` with a token of theirs, and is answered yes; `inviter` asks back. `sure`: guest has said yes
 * to that, too (XEP-0401). `s` and `cause`: the guest's session and its stanza; NULL: the server does it.
 * False: a contact list is full. */
bool subscription_befriend(struct talk *t, struct session *s, struct person *inviter, struct person *guest, bool sure,
                           const struct stanza *cause);
