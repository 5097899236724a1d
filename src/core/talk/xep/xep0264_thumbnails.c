/* XEP-0264 Jingle Content Thumbnails 0.4.2: a small picture that travels in the message.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const struct payload thumbnails[] = { { "thumbnail", "urn:xmpp:thumbs:1", PAYLOAD_KEPT | PAYLOAD_COPIED }, { 0 } };

const struct feature xep0264_thumbnails = {
    .spec = "XEP-0264 0.4.2",
    .title = "Jingle Content Thumbnails",
    .note = "passed on, stored and copied",
    .payloads = thumbnails,
};
