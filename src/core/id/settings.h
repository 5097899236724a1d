/* settings.h: ident's settings.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "db/db.h"
#include "id/service.h"
#include "proc/settings.h"

extern const struct setting id_settings[];      /* ended by a row with name NULL */

/* Reads the rows above and the common "domain" and "data_dir" into `out`; texts live in `a`. */
void ident_options_read(const struct settings *s, struct arena *a, struct ident_options *out);
/* Where the identity database is: for tools. */
struct str ident_database_path(const struct settings *s, struct arena *a);
/* The whole of it: a file, or a schema in PostgreSQL. Texts live as long as `s` and `a`. */
struct db_settings ident_database(const struct settings *s, struct arena *a);
/* The name that passkeys are bound to, as browsers write it. Lives as long as `s` and `a`. */
struct str ident_passkey_rp(const struct settings *s, struct arena *a);
