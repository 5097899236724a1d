/* XEP-0185 Dialback key generation and validation 1.0. Keys of dialback, in courier/dialback.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

const struct feature xep0185_dialback_keys = {
    .spec = "XEP-0185 1.0",
    .title = "Dialback key generation and validation",
};
