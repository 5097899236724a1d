/* XEP-0220 Server dialback 1.1.1. A server is asked back by its name in DNS, in courier/dialback.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

const struct feature xep0220_dialback = {
    .spec = "XEP-0220 1.1.1",
    .title = "Server dialback",
};
