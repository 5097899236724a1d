/* xep0114_component.h: programs beside the server that answer for a domain below ours: gateways, bots.
 *
 *   a component's stream ─stanza─▶ a guest (guest.h) ─▶ our people, hosts, other servers
 *   whoever writes to its domain ─▶ federate.c, as to another server ─▶ component_send
 *
 * Several messengers: one of them has the connection and tells the others each second (component.place); what they have for the
 * component they ask it to pass on (node.<id>.component).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/bus.h"
#include "talk/talk.h"

/* From the setting. `why`: in `a`. */
enum err components_init(struct talk *t, struct arena *a, struct str *why);
void     components_stop(struct talk *t);           /* their streams end with system-shutdown */
void     components_done(struct talk *t);

void component_accept(struct talk *t, int fd);
bool components_are_set(const struct talk *t);                  /* there is at least one */
bool component_is(const struct talk *t, struct str domain);     /* one of the setting, there or not */
void components_put_items(const struct talk *t, struct buf *b); /* <item jid='irc.town.example'/>… of those that are connected */

/* A stanza for an address at that domain. `fn` hears what became of it, perhaps before this returns:
 *   OK               it is in the connection's output
 *   ERR_UNAVAILABLE  the component is not connected
 *   ERR_LIMIT        it does not read fast enough
 *   others           of the bus: nobody knows */
void component_send(struct talk *t, struct str domain, struct str text, bus_reply_fn *fn, void *arg);
