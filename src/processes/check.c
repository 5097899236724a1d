/* check.c: see check.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "check.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "db/move.h"

int check_tell(enum err e, const char *what, struct str why)
{
    if (e)
        fprintf(stderr, "bongsu: %s: %.*s\n", what, STR_ARG(why.len ? why : str_of(err_info(e)->sentence)));
    return e ? 1 : 0;
}

static int check(const struct db_settings *s, const char *what, const struct db_migration *migrations)
{
    bool            on_server = s->server && *s->server;
    struct db_conn *c = NULL;
    struct arena    a;
    struct str      why = STR_NULL;
    int             status;
    enum err        e;

    arena_init(&a);
    e = db_conn_open(s, on_server, &c, &a, &why);     /* a server makes the tables beside, to compare */
    if (!e)
        e = db_check(c, migrations, &a, &why);
    status = check_tell(e, what, why);
    if (!e)
        printf("%s: whole, and as this program expects\n", what);
    db_conn_close(&c);
    arena_done(&a);
    return status;
}

struct db_settings check_database(const char *schema, const char *path)
{
    const char *server = getenv("BONGSU_DB_SERVER");

    return (struct db_settings){ .server = server && *server ? server : NULL, .schema = schema, .path = path };
}

struct moved {
    const char *schema;
    int64_t     rows;
};

static void print_table(void *arg, struct str table, int64_t rows, uint64_t hash)
{
    struct moved *m = arg;

    printf("%s.%-20.*s %12" PRId64 " rows   %016" PRIx64 " on both sides\n", m->schema, STR_ARG(table), rows, hash);
    m->rows += rows;
}

static int move(const char *path, const struct db_settings *to, const struct db_migration *migrations)
{
    struct db_settings from = { .path = path };
    struct moved       m = { .schema = to->schema };
    struct arena       a;
    struct str         why = STR_NULL;
    int                status;

    arena_init(&a);
    status = check_tell(db_move(&from, to, migrations, print_table, &m, &a, &why), path, why);
    arena_done(&a);
    return status;
}

bool check_asked(int argc, char **argv, const char *schema, const struct db_migration *migrations, int *status)
{
    struct db_settings server = { .server = getenv("BONGSU_DB_SERVER"), .schema = schema };
    struct db_settings file = { .path = argc == 3 ? argv[2] : "" };
    char               what[64];

    if (argc != 3)
        return false;
    if (strcmp(argv[1], "--check") == 0) {
        *status = check(&file, file.path, migrations);
        return true;
    }
    if (strcmp(argv[1], "--check-server") != 0 && strcmp(argv[1], "--move") != 0)
        return false;
    snprintf(what, sizeof what, "schema \"%s\" in PostgreSQL", schema);
    if (!server.server || !*server.server)
        *status = check_tell(ERR_INVALID, what, STR("no server is named"));
    else if (strcmp(argv[1], "--move") == 0)
        *status = move(argv[2], &server, migrations);
    else
        *status = check(&server, what, migrations);
    return true;
}
