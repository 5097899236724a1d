/* XEP-0249 Direct MUC Invitations 1.2: passed on, kept and copied.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload invitations[] = { { "x", "jabber:x:conference", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0249_invitation = {
    .spec = "XEP-0249 1.2",
    .title = "Direct MUC Invitations",
    .note = "passed on, stored and copied",
    .payloads = invitations,
};
