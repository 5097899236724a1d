/* own_data.c: export, the proof of a deletion, import; see own.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "talk/archive_id.h"
#include "talk/export.h"
#include "talk/import.h"
#include "talk/own_inner.h"
#include "talk/owned.h"

/* ---- export ---- */

static void print_counts(const struct export *x)
{
    const char *key;
    json_t     *value;

    json_object_foreach(json_object_get(x->manifest, "counts"), key, value)
        printf("%s: %lld\n", key, (long long)json_integer_value(value));
}

static int export_all(struct own *o, struct export *x)
{
    bool     done = false, shows = isatty(STDERR_FILENO);
    enum err e = OK;

    while (!done && !e) {
        e = export_step(x, &done);
        if (shows)
            fprintf(stderr, "\r%lld messages", (long long)export_messages(x));
    }
    if (shows)
        fputc('\n', stderr);
    if (e)
        return own_fail("the export was cut off: %s; the same command goes on with it", err_info(e)->sentence);
    print_counts(x);
    return 0;
}

static int export_nothing(struct own *o, struct export *x)
{
    return 0;
}

static int export_with(struct own *o, int (*then)(struct own *o, struct export *x))
{
    struct export x;
    struct str    name, why = STR_NULL;
    uint8_t       key[16];
    int           status;
    enum err      e = jid_prep_local(&o->arena, str_of(o->args[0]), &name);

    if (!e)
        e = own_secret(o, key);
    if (e)
        return own_fail("%s: %s", o->args[0], err_info(e)->sentence);
    archive_id_setup(key);
    e = export_open(&x, o->conn, o->args[1], name, o->domain, &o->arena, &why);
    status = e ? own_fail("%.*s", STR_ARG(why.len ? why : str_of(err_info(e)->sentence))) : then(o, &x);
    export_close(&x);
    return status;
}

int own_export_begin(struct own *o)
{
    return export_with(o, export_nothing);
}

int own_export(struct own *o)
{
    return export_with(o, export_all);
}

/* ---- what remains of somebody ---- */

static void print_owned(void *arg, const char *table, int64_t rows)
{
    *(int64_t *)arg += rows;
    printf("talk.%-18s %lld\n", table, (long long)rows);
}

/* ERR_AGAIN: it is not through yet. */
static enum err is_through(struct own *o, struct str user)
{
    static struct db_sql left = {
        "SELECT (SELECT count(*) FROM person WHERE user = ?1) + (SELECT count(*) FROM forgetting WHERE name = ?1)" };
    struct db_stmt *s;
    enum err        e = db_get(o->conn, &s, &left, "s", user);

    if (!e && db_i64(s, 0) > 0)
        e = ERR_AGAIN;
    if (s)
        db_done(s);
    return e;
}

static int prove(struct own *o, struct str user)
{
    struct str             bare = arena_printf(&o->arena, "%.*s@%.*s", STR_ARG(user), STR_ARG(o->domain));
    struct owned_by_others others;
    int64_t                number, rows = 0;
    enum err               e = owned_number(o->conn, user, bare, &number);

    if (!e)
        e = owned_count(o->conn, number, user, bare, print_owned, &rows);
    if (!e)
        e = owned_others(o->conn, number, bare, &others);
    if (e)
        return own_fail("could not look: %s (%s)", err_info(e)->sentence, db_conn_error(o->conn));
    printf("others keep, as theirs: %lld messages of conversations, %lld entries in contact lists\n", (long long)others.messages,
           (long long)others.contacts);
    if (others.loose)
        printf("on their way to others, gone within two days: %lld messages\n", (long long)others.loose);
    return rows ? 1 : 0;
}

int own_prove(struct own *o)
{
    struct str name;
    int        seconds = atoi(o->args[1]);
    enum err   e = jid_prep_local(&o->arena, str_of(o->args[0]), &name);

    if (e)
        return own_fail("%s: %s", o->args[0], err_info(e)->sentence);
    for (int i = 0; i < seconds * 10 && (e = is_through(o, name)) == ERR_AGAIN; i++)
        usleep(100000);
    return prove(o, name);
}

/* ---- import ---- */

static void print_lines(const struct import *x)
{
    printf("%-44s %10s %10s %10s\n", "", "taken", "there", "not taken");
    for (int i = 0; i < x->name_count; i++) {
        const struct import_line *l = &x->lines[i];

        printf("%-44s %10lld %10lld %10lld%s%s\n", l->name, (long long)l->taken, (long long)l->there, (long long)l->refused,
               l->refused ? "  " : "", l->why);
    }
}

int own_import(struct own *o)
{
    struct import *x = NEW(struct import);
    struct str     why = STR_NULL;
    int            status = 0;
    enum err       e = import_run(x, o->conn, o->args[0], o->domain, o->shared, &o->arena, &why);

    print_lines(x);
    if (e)
        status = own_fail("%.*s; what stands above is in, and the same command goes on", STR_ARG(why.len ? why : str_of(err_info(e)->sentence)));
    import_done(x);
    free(x);
    return status;
}
