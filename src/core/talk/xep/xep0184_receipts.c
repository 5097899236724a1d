/* XEP-0184 Message Delivery Receipts 1.4.0: a receipt reaches also those who were
 * away, so it is kept.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload receipts[] = {
    { "received", "urn:xmpp:receipts", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { "request", "urn:xmpp:receipts", PAYLOAD_COPIED },
    { 0 },
};

const struct feature xep0184_receipts = {
    .spec = "XEP-0184 1.4.0",
    .title = "Message Delivery Receipts",
    .note = "passed on, stored and copied",
    .payloads = receipts,
};
