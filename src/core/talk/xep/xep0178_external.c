/* XEP-0178 SASL EXTERNAL with certificates 1.2. Best practices for SASL EXTERNAL with certificates: between
 * servers, in courier/s2s_in.c and s2s_out.c. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

const struct feature xep0178_external = {
    .spec = "XEP-0178 1.2",
    .title = "SASL EXTERNAL with certificates",
    .note = "between servers",
};
