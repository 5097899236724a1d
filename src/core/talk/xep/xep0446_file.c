/* XEP-0446 File Metadata Element 0.2.0: name, type, size, hashes and thumbnail of a file; kept and copied.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload metadata[] = { { "file", "urn:xmpp:file:metadata:0", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0446_file = {
    .spec = "XEP-0446 0.2.0",
    .title = "File Metadata Element",
    .note = "passed on, stored and copied",
    .payloads = metadata,
};
