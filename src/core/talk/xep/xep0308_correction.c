/* XEP-0308 Last Message Correction 1.2.1: passed on and kept beside what it corrects.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload corrections[] = { { "replace", "urn:xmpp:message-correct:0", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0308_correction = {
    .spec = "XEP-0308 1.2.1",
    .title = "Last Message Correction",
    .note = "passed on, stored and copied",
    .payloads = corrections,
};
