/* components.h: reading the setting that names external components (XEP-0114): "irc.town.example SECRET, sms.town.example OTHER".
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { COMPONENTS_MAX = 32, COMPONENT_SECRET_BYTES_MAX = 256 };

struct component_named { struct str domain, secret; };    /* domain: normalised */

/* ERR_INVALID: `why` (in `a`) says what is wrong, and tells nothing that may be a secret. `domain`: ours, normalised. */
enum err components_read(struct arena *a, struct str domain, const char *text, struct component_named out[COMPONENTS_MAX], int *count,
                         struct str *why);
