/* XEP-0424 Message Retraction 0.4.2: passed on and kept beside what it retracts.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload retractions[] = { { "retract", "urn:xmpp:message-retract:1", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0424_retraction = {
    .spec = "XEP-0424 0.4.2",
    .title = "Message Retraction",
    .note = "passed on, stored and copied; the retracted text stays in the archive, but is not found there by its words",
    .payloads = retractions,
};
