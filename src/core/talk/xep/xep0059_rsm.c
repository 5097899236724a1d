/* XEP-0059 Result Set Management 1.0: pages, as the archive gives them (xep0313_mam.c).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const char *const rsm_disco[] = { "http://jabber.org/protocol/rsm", NULL };

const struct feature xep0059_rsm = {
    .spec = "XEP-0059 1.0",
    .title = "Result Set Management",
    .note = "in the message archive",
    .disco_server = rsm_disco,
    .disco_account = rsm_disco,
};
