/* XEP-0444 Message Reactions 0.2.1: passed on and kept.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload reactions[] = { { "reactions", "urn:xmpp:reactions:0", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0444_reactions = {
    .spec = "XEP-0444 0.2.1",
    .title = "Message Reactions",
    .note = "passed on, stored and copied",
    .payloads = reactions,
};
