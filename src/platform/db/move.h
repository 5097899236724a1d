/* move.h: carries a database out of SQLite into an empty place in PostgreSQL, and proves that both hold the same.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "db/db.h"

/* `hash` is over all values of all rows, in any order: the same on both sides, or the move is undone. */
typedef void db_moved_fn(void *arg, struct str table, int64_t rows, uint64_t hash);

/* One transaction in PostgreSQL: everything, or nothing. Nothing is changed in SQLite, which nobody may write meanwhile.
 * `told` is called for each table when all are proven. `why` (in `a`) on failure:
 *   ERR_EXISTS     the schema has tables already
 *   ERR_INVALID    a version is not the program's, or a text cannot be there (NUL, not UTF-8)
 *   ERR_IO         what was read back differs
 *   ERR_UNCERTAIN  the answer to the COMMIT was lost: it may be there, `db check` tells */
enum err db_move(const struct db_settings *from, const struct db_settings *to, const struct db_migration *migrations,
                 db_moved_fn *told, void *arg, struct arena *a, struct str *why);
