/* XEP-0449 Stickers 0.1.1: the pack lives on the device, the message names pack and sticker; kept and copied.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload stickers[] = { { "sticker", "urn:xmpp:stickers:0", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0449_stickers = {
    .spec = "XEP-0449 0.1.1",
    .title = "Stickers",
    .note = "passed on, stored and copied",
    .payloads = stickers,
};
