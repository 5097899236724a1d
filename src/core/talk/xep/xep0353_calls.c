/* XEP-0353 Jingle Message Initiation 0.7.0: what says that somebody calls, and what became of it, is kept for
 * devices that are away and copied to those that are here, whether or not the client asks for it (§3: it MUST
 * carry <store/>). Jingle itself (XEP-0166, 0167, 0176, 0294, 0320) passes from device to device as any iq
 * does. A propose wakes devices at once (xep0357_notify.c). SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload call_payloads[] = {
    {NULL, "urn:xmpp:jingle-message:0", PAYLOAD_KEPT | PAYLOAD_COPIED},
    {0},
};

const struct feature xep0353_calls = {
    .spec = "XEP-0353 0.7.0",
    .title = "Jingle Message Initiation",
    .note = "kept and copied; calls wake devices",
    .payloads = call_payloads,
};
