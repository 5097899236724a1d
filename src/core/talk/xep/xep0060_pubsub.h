/* xep0060_pubsub.h: service discovery of an account's nodes (XEP-0060 §5), for xep0030_disco.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/session.h"

extern const struct host pubsub_host;       /* pubsub.DOMAIN */

/* <query node='…'/> to an account: one node. Answered later. */
enum err pubsub_account_info(struct session *s, const struct stanza *iq, struct person *p);
/* Its nodes, or the items of one. */
enum err pubsub_account_items(struct session *s, const struct stanza *iq, struct person *p);
