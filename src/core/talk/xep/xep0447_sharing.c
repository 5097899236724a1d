/* XEP-0447 Stateless File Sharing 0.3.0: a file and where it is, also sources that are told later; kept and copied without a body.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload shared[] = { { NULL, "urn:xmpp:sfs:0", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0447_sharing = {
    .spec = "XEP-0447 0.3.0",
    .title = "Stateless File Sharing",
    .note = "passed on, stored and copied",
    .payloads = shared,
};
