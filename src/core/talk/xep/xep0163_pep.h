/* xep0163_pep.h: eventing on each account (XEP-0163): what its devices hear of their contacts without asking.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/session.h"

/* The device has become available, or it is known only now what it wants, or that is something else now: the
 * last item of each node that it wants is sent to it, its own account's and its contacts'. */
void pep_interested(struct session *s);
/* There are news of the node for it, also if it is not available: last items that are being read may be older. */
void pep_told(struct session *s, struct str node, bool settled /* pep_news_note */);
/* It goes away, or it is not known any more what it wants: when that is known again, all is read anew, and what was read before is told no
 * more. It could come behind news that the device is not told. */
void pep_forget(struct session *s);
/* `to` may see the presence of `of` from now on: the same, of that one account, to all devices of `to`. */
void pep_show(struct person *of, struct person *to);

/* Events of other messengers may have been lost since then: what was published is read and told again, some
 * devices each second. */
void pep_missed(struct talk *t, int64_t since_us);

/* ---- asked by another messenger ---- */
void pep_show_here(struct person *to, struct str of_bare);
/* A notification of `node` without `to`, to those devices here that want it (pubsub/notify.c). */
void pep_to_devices(struct person *p, struct str node, struct str message);
