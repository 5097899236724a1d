/* XEP-0297 Stanza Forwarding 1.0: the wrapping of carbons and of the archive
 * (message_put_forwarded).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const char *const forwarding_disco[] = { "urn:xmpp:forward:0", NULL };

const struct feature xep0297_forwarding = {
    .spec = "XEP-0297 1.0",
    .title = "Stanza Forwarding",
    .disco_server = forwarding_disco,
};
