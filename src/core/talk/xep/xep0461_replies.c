/* XEP-0461 Message Replies 0.2.1: passed on and kept.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload replies[] = { { "reply", "urn:xmpp:reply:0", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0461_replies = {
    .spec = "XEP-0461 0.2.1",
    .title = "Message Replies",
    .note = "passed on, stored and copied",
    .payloads = replies,
};
