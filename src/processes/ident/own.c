/* own.c: see own.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "ident/own.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "id/accounts.h"

static int fail(const char *what, struct str why)
{
    fprintf(stderr, "bongsu: %s: %.*s\n", what, STR_ARG(why));
    return 1;
}

/* ---- what remains of somebody ---- */

static struct {
    const char   *table;
    struct db_sql count;
} tables[] = {
    { "account", { "SELECT count(*) FROM account WHERE name = ?1" } },
    { "credential", { "SELECT count(*) FROM credential WHERE name = ?1" } },
    { "fast_token", { "SELECT count(*) FROM fast_token WHERE name = ?1" } },
    { "deletion", { "SELECT count(*) FROM deletion WHERE name = ?1" } },
};
enum { TABLES = sizeof tables / sizeof tables[0] };

static int64_t rows_in(struct db_conn *c, int table, struct str user)
{
    struct db_stmt *s;
    int64_t         rows = -1;

    if (db_get(c, &s, &tables[table].count, "s", user) == OK)
        rows = db_i64(s, 0);
    if (s)
        db_done(s);
    return rows;
}

static int prove(struct db_conn *c, struct str user, int seconds)
{
    int64_t rows, all = 0;

    for (int i = 0; i < seconds * 10 && rows_in(c, TABLES - 1, user) > 0; i++)
        usleep(100000);
    for (int i = 0; i < TABLES; i++) {
        rows = rows_in(c, i, user);
        printf("ident.%-17s %lld\n", tables[i].table, (long long)rows);
        all += rows;
    }
    return all ? 1 : 0;
}

bool own_asked(int argc, char **argv, int *status)
{
    const char        *server = getenv("BONGSU_DB_SERVER");
    struct db_settings s = { .server = server && *server ? server : NULL, .schema = "ident", .path = argc > 3 ? argv[3] : "" };
    struct db_conn    *c = NULL;
    struct arena       a;
    struct str         why = STR_NULL, user;
    enum err           e;

    if (argc != 7 || strcmp(argv[1], "--own") != 0)
        return false;
    arena_init(&a);
    e = strcmp(argv[2], "prove") == 0 ? account_name(&a, str_of(argv[5]), &user) : ERR_UNSUPPORTED;
    if (!e)
        e = db_conn_open(&s, false, &c, &a, &why);
    *status = e ? fail(argv[5], why.len ? why : str_of(err_info(e)->sentence)) : prove(c, user, atoi(argv[6]));
    db_conn_close(&c);
    arena_done(&a);
    return true;
}
