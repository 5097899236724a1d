/* settings.h: courier's settings.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "db/db.h"
#include "proc/settings.h"

extern const struct setting courier_settings[]; /* ended by a row with name NULL */

/* Where the queue is: a file, or a schema in PostgreSQL. Texts live as long as `s` and `a`. */
struct db_settings courier_database(const struct settings *s, struct arena *a);
