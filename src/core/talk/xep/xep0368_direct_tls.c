/* XEP-0368 SRV records for XMPP over TLS 1.1.0. TLS from the first byte, for clients (talk.c) and servers
 * (courier/names.c finds them by SRV). SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

const struct feature xep0368_direct_tls = {
    .spec = "XEP-0368 1.1.0",
    .title = "SRV records for XMPP over TLS",
};
