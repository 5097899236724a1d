/* address.h: which addresses of the internet are everybody's.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <sys/socket.h>

/* False for loopback, private and link-local networks, multicast, documentation, and whatever else is not
 * routed between strangers (RFC 6890 and its registry), also when an IPv4 address hides in an IPv6 one.
 * Somebody who may name an address for us to connect to must not reach through us what only we can reach. */
bool address_is_public(const struct sockaddr *a);
