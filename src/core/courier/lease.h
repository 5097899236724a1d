/* lease.h: which of several couriers over one database sends to a domain. One claims it for a while and says
 * so again; when it falls silent another claims it, and sends what is in the queue.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "courier/inner.h"

enum { LEASE_MS = 12000, LEASE_AGAIN_MS = 4000, LEASE_MARGIN_MS = 2000 };

enum lease_state {
    LEASE_OURS,
    LEASE_OTHERS,
    LEASE_UNKNOWN /* being asked for; link_go is called when it is known */
};

void             leases_init(struct courier *c);
void             leases_leave(struct courier *c); /* says so, and that it holds nothing more */
void             leases_free(struct courier *c);
void             leases_tick(struct courier *c);
enum lease_state lease_of(struct courier *c, struct str remote);
/* To whoever has it: something for `remote` is in the queue… */
void lease_poke(struct courier *c, struct str local, struct str remote);
/* …or goes to it as it is; false: it cannot be told. */
bool lease_pass_on(struct courier *c, struct str local, struct str remote, struct str text);
