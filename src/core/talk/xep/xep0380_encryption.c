/* XEP-0380 Explicit Message Encryption 0.4.0: messages whose content is
 * encrypted are kept like any text; OMEMO and OpenPGP are known by their elements too.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload encrypted[] = {
    { "encryption", "urn:xmpp:eme:0", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { "encrypted", "urn:xmpp:omemo:2", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { "encrypted", "eu.siacs.conversations.axolotl", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { "openpgp", "urn:xmpp:openpgp:0", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { 0 },
};

const struct feature xep0380_encryption = {
    .spec = "XEP-0380 0.4.0",
    .title = "Explicit Message Encryption",
    .note = "encrypted messages are stored and copied",
    .payloads = encrypted,
};
