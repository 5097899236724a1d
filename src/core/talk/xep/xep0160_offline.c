/* XEP-0160 Best Practices for Handling Offline Messages 1.0.1: kept and delivered
 * by talk/message.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"

static const char *const offline_disco[] = { "msgoffline", NULL };

const struct feature xep0160_offline = {
    .spec = "XEP-0160 1.0.1",
    .title = "Best Practices for Handling Offline Messages",
    .disco_server = offline_disco,
};
