/* XEP-0385 Stateless Inline Media Sharing 0.3.1: a file with its thumbnail and sources, inside a reference (XEP-0372); kept and copied.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload media[] = { { "reference", "urn:xmpp:reference:0", PAYLOAD_KEPT | PAYLOAD_COPIED }, { NULL, "urn:xmpp:sims:1", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0385_sims = {
    .spec = "XEP-0385 0.3.1",
    .title = "Stateless Inline Media Sharing",
    .note = "passed on, stored and copied",
    .payloads = media,
};
