/* settings.h: the settings of uploaded files.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "proc/settings.h"

extern const struct setting files_settings[];      /* ended by a row with name NULL */

enum { FILES_PEERS_MAX = 8 };

/* Where the index is: for tools. */
struct str files_index_path(const struct settings *s, struct arena *a);
/* What links to files begin with: "https://town.example:5281". */
struct str files_url(const struct settings *s, struct arena *a);
