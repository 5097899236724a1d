/* XEP-0333 Displayed Markers 1.0.0: kept, so that every device knows what has been read.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload markers[] = {
    { "displayed", "urn:xmpp:chat-markers:0", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { "received", "urn:xmpp:chat-markers:0", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { "acknowledged", "urn:xmpp:chat-markers:0", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { "markable", "urn:xmpp:chat-markers:0", PAYLOAD_COPIED },
    { 0 },
};

const struct feature xep0333_markers = {
    .spec = "XEP-0333 1.0.0",
    .title = "Displayed Markers",
    .note = "passed on, stored and copied",
    .payloads = markers,
};
