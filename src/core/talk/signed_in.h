/* signed_in.h: the devices that an account is logged in on, as its owner sees and ends them (docs/devices.md). A device is a client
 * with an id of its own (XEP-0388 user-agent): ident has its token, sessions say by `agent` that they are its.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/nodes.h"
#include "talk/person.h"

/* Which sessions: the one with that resource, if it belongs to no device, else those of a device, or all that are not of it (`agent` 0: all). */
struct sign_out {
    struct str resource;
    int64_t    agent;
    bool       others;
};

void signed_in_event(struct person *p, const struct event *e);      /* another worker's EVENT_SIGN_OUT */
