/* XEP-0359 Unique and Stable Stanza IDs 0.7.0: ids are assigned by talk/message.c and
 * forged ones removed by talk/stanza.c; an origin-id makes sending again safe (talk/archive.c).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const char *const ids_disco[] = { "urn:xmpp:sid:0", NULL };

const struct feature xep0359_stanza_ids = {
    .spec = "XEP-0359 0.7.0",
    .title = "Unique and Stable Stanza IDs",
    .note = "a message sent again with its origin-id is kept once",
    .disco_server = ids_disco,
    .disco_account = ids_disco,
};
