/* own_inner.h: what the files of `--own` share.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "db/db.h"

struct own {
    struct db_conn *conn;
    struct arena    arena;
    struct str      domain;
    bool            shared;         /* the database is a server's */
    char          **args;           /* behind the domain */
    int             arg_count;
};

/* What archive ids are shown with (archive_id.h). */
enum err own_secret(struct own *o, uint8_t key[16]);
int own_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));      /* says it; gives 1 */

int own_export_begin(struct own *o), own_export(struct own *o), own_prove(struct own *o), own_import(struct own *o);
