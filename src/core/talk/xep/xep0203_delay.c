/* XEP-0203 Delayed Delivery 2.0: written by talk/message.c on what was kept for
 * somebody or comes from the archive.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const char *const delay_disco[] = { "urn:xmpp:delay", NULL };

const struct feature xep0203_delay = {
    .spec = "XEP-0203 2.0",
    .title = "Delayed Delivery",
    .disco_server = delay_disco,
};
