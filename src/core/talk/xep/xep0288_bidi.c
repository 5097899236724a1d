/* XEP-0288 Bidirectional server-to-server connections 1.0.1. One connection between two servers carries both
 * ways, in courier/s2s.c. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

const struct feature xep0288_bidi = {
    .spec = "XEP-0288 1.0.1",
    .title = "Bidirectional server-to-server connections",
};
