/* xep0115_caps.h: the verification string of the server's own capabilities.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/str.h"

struct talk;

#define DISCO_IDENTITY "server/im//Bongsu"      /* category/type/lang/name */
#define CAPS_NODE      "xmpp:bongsu"

/* XEP-0115 §5.1, sha-1: `identities` as the text before the features ("a<b" for two);
 * `vars` sorted. `ver` gets the base64 text, NUL-terminated. */
void caps_hash(const char *identities, const char *const *vars, int count, char ver[32]);
/* Is it CAPS_NODE "#" our verification string? */
bool caps_node_is_ours(const struct talk *t, struct str node);
