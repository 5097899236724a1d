/* host.h: names below the domain that answer for themselves: rooms.town.example, pubsub.town.example …
 *
 * A feature that has one says so in its row (feature.h); route.c gives it every stanza that is addressed there, and the domain lists
 * it among its items. Clients and other servers see a service with an address of its own.
 *
 * What a host sends goes through host_send; a message that shall be kept for its recipient through message_post (message.h).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/feature.h"
#include "talk/person.h"
#include "talk/session.h"
#include "talk/stanza.h"

enum { HOSTS_MAX = sizeof ((struct talk *)0)->hosts / sizeof ((struct talk *)0)->hosts[0] };

struct host {
    const char *prefix;                     /* "rooms": below the domain */
    const char *category, *type, *name;     /* its identity (XEP-0030), for the domain's items */
    /* Every stanza whose `to` is of this host. `from` is a bound client or a guest (no person). Answers by itself. */
    void      (*take)(struct session *from, const struct stanza *st);
};

void hosts_init(struct talk *t);            /* from the feature tables */
void hosts_done(struct talk *t);
const struct host *host_of(const struct talk *t, struct str domain);     /* NULL: none of ours */
struct str host_domain(const struct talk *t, const struct host *h);      /* "rooms.town.example" */
bool host_is_ours(const struct talk *t, struct str domain);              /* the domain itself, or a host of it */
void host_put_items(const struct talk *t, struct buf *b);                /* <item jid='rooms.town.example' name='…'/>… */

/* An iq get or set, by a table of the host's own: calls the handler or answers as RFC 6120 §8.3.3 and §8.4 say.
 * An answer (result, error) is nobody's here and is dropped. */
void host_iq(struct session *from, const struct stanza *iq, const struct iq_handler *handlers);

/* A whole stanza, not kept, to any address: a device or (bare) the available devices of an account, wherever they are. A message
 * for a full address whose device has gone is dropped: who must know of that keeps account of presence. In a shared database
 * somebody who is not in memory is loaded first. */
void host_send(struct talk *t, const struct jid *to, struct str stanza);
