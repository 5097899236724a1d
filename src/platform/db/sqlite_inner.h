/* sqlite_inner.h: what sqlite.c and backup.c share of a connection.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <sqlite3.h>
#include "db/inner.h"

struct sqlite_conn {
    struct db_conn base;
    sqlite3       *sqlite;           /* NULL after a failed reopening */
};

static inline struct sqlite_conn *sqlite_of(struct db_conn *c)
{
    return LIST_ITEM(c, struct sqlite_conn, base);
}

/* ---- backup.c ---- */
enum err sqlite_backup(struct db_conn *c, const char *to_path, struct arena *a, struct str *why);
