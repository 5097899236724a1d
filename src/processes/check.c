/* check.c: see check.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "check.h"
#include <stdio.h>

int check_database(const char *path, const struct db_migration *migrations)
{
    struct db_settings s = { .path = path };
    struct db_conn    *c = NULL;
    struct arena       a;
    struct str         why = STR_NULL;
    enum err           e;

    arena_init(&a);
    e = db_conn_open(&s, false, &c, &a, &why);
    if (!e)
        e = db_check(c, migrations, &a, &why);
    if (e)
        fprintf(stderr, "bongsu: \"%s\": %.*s\n", path, STR_ARG(why.len ? why : str_of(err_info(e)->sentence)));
    else
        printf("%s: whole, and as this program expects\n", path);
    if (c)
        db_conn_close(&c);
    arena_done(&a);
    return e ? 1 : 0;
}
