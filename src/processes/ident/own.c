/* own.c: see own.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "ident/own.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "check.h"
#include "id/accounts.h"
#include "id/import.h"

/* ---- what remains of somebody ---- */

static struct {
    const char   *table;
    struct db_sql count;
} tables[] = {
    { "account", { "SELECT count(*) FROM account WHERE name = ?1" } },
    { "credential", { "SELECT count(*) FROM credential WHERE name = ?1" } },
    { "passkey", { "SELECT count(*) FROM passkey WHERE name = ?1" } },
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

/* ---- accounts of another server ---- */

static void print_refused(void *arg, struct str user, const char *why)
{
    (void)arg;
    printf("not taken: %.*s: %s\n", STR_ARG(user), why);
}

static int import(struct db_conn *c, const char *path, struct str domain, int iterations)
{
    struct import_accounts r;
    struct arena           a;
    struct str             why = STR_NULL;
    int                    status;
    enum err               e;

    arena_init(&a);
    e = import_accounts(c, path, domain, iterations, &r, print_refused, NULL, &a, &why);
    printf("%lld accounts made, %lld there already, %lld not taken\n", (long long)r.made, (long long)r.there, (long long)r.spoilt);
    if (r.sha1_only)
        printf("%lld of them have only SCRAM-SHA-1 credentials: set talk.sasl_sha_256 = no for a while (docs/own-data.md)\n",
               (long long)r.sha1_only);
    status = check_tell(e, path, why);
    arena_done(&a);
    return status;
}

static int run_prove(const char *path, const char *user, const char *seconds)
{
    struct db_settings s = check_database("ident", path);
    struct db_conn    *c = NULL;
    struct arena       a;
    struct str         why = STR_NULL, name;
    int                status;
    enum err           e;

    arena_init(&a);
    e = account_name(&a, str_of(user), &name);
    if (!e)
        e = db_conn_open(&s, false, &c, &a, &why);
    status = e ? check_tell(e, user, why) : prove(c, name, atoi(seconds));
    db_conn_close(&c);
    arena_done(&a);
    return status;
}

static int run_import(const char *path, const char *domain, const char *file, const char *iterations)
{
    struct db_settings s = check_database("ident", path);
    struct db_conn    *c = NULL;
    struct arena       a;
    struct str         why = STR_NULL, normal;
    int                status;
    enum err           e;

    arena_init(&a);
    e = jid_prep_domain(&a, str_of(domain), &normal);
    if (!e)
        e = accounts_open(&s, &c, &a, &why);
    status = e ? check_tell(e, file, why) : import(c, file, normal, atoi(iterations));
    db_conn_close(&c);
    arena_done(&a);
    return status;
}

bool own_asked(int argc, char **argv, int *status)
{
    if (argc != 7 || strcmp(argv[1], "--own") != 0)
        return false;
    if (strcmp(argv[2], "import") == 0)
        *status = run_import(argv[3], argv[4], argv[5], argv[6]);
    else
        *status = run_prove(argv[3], argv[5], argv[6]);
    return true;
}
