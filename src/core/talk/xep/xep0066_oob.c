/* XEP-0066 Out of Band Data 1.5: a link to a file; kept and copied like a body.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload links[] = { { "x", "jabber:x:oob", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0066_oob = {
    .spec = "XEP-0066 1.5",
    .title = "Out of Band Data",
    .note = "passed on, stored and copied",
    .payloads = links,
};
