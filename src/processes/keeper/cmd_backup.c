/* cmd_backup.c: backup, restore, `db check` and `db move`.
 *
 * A restore is decided before anything is touched: the copies lie checked beside the databases, then
 * the old ones move aside and the new ones take their places. Files are named by their content: those of the backup join those
 * that are there, and web throws away what its index then does not name.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "files/blobs.h"
#include "keeper/cli.h"
#include "proc/control.h"

/* What courier holds is on its way out: a copy of it would be sent twice, so backups are of the others. The index of files is of
 * this machine's disk, and stays with it, whatever db.server says. */
static const char *const roles[] = { "talk", "ident", "web", "courier" };
enum { WEB = 2, ROLES = 3, ROLES_CHECKED = 4 };

/* Where the settings name PostgreSQL, files are not the databases. */
static bool on_server(const struct settings *s)
{
    return settings_text(s, "db.server")[0] != '\0';
}

static bool server_runs(const struct settings *s)
{
    json_t *answer = NULL;
    bool    runs = cli_ask(s, json_pack("{s:s}", "command", "status"), &answer) != ERR_UNAVAILABLE;

    json_decref(answer);
    return runs;
}

static int leave(struct settings *s, int status)
{
    settings_free(&s);
    return status;
}

/* ---- backup ---- */

static bool absolute(const char *path, char out[PATH_MAX])
{
    char here[PATH_MAX];

    if (path[0] == '/')
        return str_copy(str_of(path), out, PATH_MAX);
    return getcwd(here, sizeof here) && snprintf(out, PATH_MAX, "%s/%s", here, path) < PATH_MAX;
}

int cmd_backup(struct invocation *v)
{
    struct settings *s;
    char             dir[PATH_MAX];
    enum err         e;

    if (!absolute(v->args[0], dir))
        return cli_fail("the path \"%s\" is too long", v->args[0]);
    if (cli_settings(v, &s))
        return CLI_FAILED;
    if (on_server(s))
        return leave(s, cli_fail("the databases are in PostgreSQL, which has its own backup, to a point in time: docs/sites.md"));
    e = cli_ask(s, json_pack("{s:s,s:s}", "command", "backup", "dir", dir), NULL);
    settings_free(&s);
    if (e == ERR_UNAVAILABLE)
        return cli_fail("no server runs; a stopped server's data directory can simply be copied");
    if (e)
        return CLI_FAILED;
    printf("backed up into %s; `bongsu restore %s` puts it back\n", dir, dir);
    return CLI_OK;
}

/* ---- db check ---- */

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int cmd_db_check(struct invocation *v)
{
    struct settings *s;
    struct arena     a;
    int              status = CLI_OK;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    arena_init(&a);
    setenv("BONGSU_DB_SERVER", settings_text(s, "db.server"), 1);
    for (int i = 0; i < ROLES_CHECKED; i++) {
        struct str path = cli_database(s, &a, roles[i]);

        if (on_server(s) && i != WEB)
            status = cli_role(roles[i], "--check-server", ".") != 0 ? CLI_FAILED : status;
        else if (!exists(path.p) && i > WEB)        /* courier makes it: what waited to leave is in no backup */
            printf("%s: not there yet\n", path.p);
        else if (!exists(path.p))
            status = cli_fail("there is no database \"%s\" yet", path.p);
        else if (cli_role(roles[i], "--check", path.p) != 0)
            status = CLI_FAILED;
    }
    arena_done(&a);
    settings_free(&s);
    return status;
}

/* ---- db move ---- */

static int move_all(const struct settings *s, struct arena *a)
{
    for (int i = 0; i < WEB; i++)
        if (!exists(cli_database(s, a, roles[i]).p))
            return cli_fail("there is no database \"%s\" to move", cli_database(s, a, roles[i]).p);
    for (int i = 0; i < ROLES_CHECKED; i++)
        if (i != WEB && (i < WEB || exists(cli_database(s, a, roles[i]).p)) && cli_role(roles[i], "--move", cli_database(s, a, roles[i]).p) != 0)
            return i == 0 ? CLI_FAILED
                          : cli_fail("%s has been moved, %s has not: when that is mended, `DROP SCHEMA %s CASCADE` in PostgreSQL and"
                                     " move again", roles[0], roles[i], roles[0]);
    return CLI_OK;
}

int cmd_db_move(struct invocation *v)
{
    const char      *to = cli_value(v, "--to");
    struct settings *s;
    struct arena     a;
    int              status;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    if (!to)
        to = settings_text(s, "db.server");
    if (!*to)
        return leave(s, cli_fail("where to? Name the server with --to, or set db.server"));
    if (server_runs(s))
        return leave(s, cli_fail("the server runs: stop it first (`bongsu stop`), so that nothing is acknowledged that is not moved"));
    setenv("BONGSU_DB_SERVER", to, 1);
    arena_init(&a);
    status = cli_offline(s) ? CLI_FAILED : move_all(s, &a);
    if (!status)
        printf("moved; the files in %s are as they were%s\n", settings_text(s, "data_dir"),
               on_server(s) ? "" : ". Set db.server before the next start");
    arena_done(&a);
    return leave(s, status);
}

/* ---- restore ---- */

static int copy_bytes(int from, int to)
{
    char    chunk[65536];
    ssize_t n;

    while ((n = read(from, chunk, sizeof chunk)) > 0)
        for (ssize_t done = 0; done < n;) {
            ssize_t w = write(to, chunk + done, (size_t)(n - done));

            if (w < 0)
                return -1;
            done += w;
        }
    return n < 0 ? -1 : fsync(to);
}

static int copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out, status;

    if (in < 0)
        return cli_fail("could not read \"%s\": %s", from, strerror(errno));
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    status = out >= 0 && copy_bytes(in, out) == 0 ? CLI_OK : cli_fail("could not write \"%s\": %s", to, strerror(errno));
    close(in);
    if (out >= 0)
        close(out);
    return status;
}

static void sync_dir(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static bool has_suffix_file(const char *path, const char *suffix, char out[PATH_MAX])
{
    return snprintf(out, PATH_MAX, "%s%s", path, suffix) < PATH_MAX && exists(out);
}

struct restore {
    struct settings *s;
    struct arena     arena;
    struct str       place[ROLES], fresh[ROLES];
    char             aside[PATH_MAX];
};

/* Copies lie beside their places, so that the last step is a rename. */
static int bring(struct restore *r, const char *dir)
{
    for (int i = 0; i < ROLES; i++) {
        struct str from = arena_printf(&r->arena, "%s/%s.db", dir, roles[i]);

        if (i == WEB && !exists(from.p))
            continue;           /* a backup of before there were files */
        r->place[i] = cli_database(r->s, &r->arena, roles[i]);
        r->fresh[i] = arena_printf(&r->arena, "%s.restoring", r->place[i].p);
        if (copy_file(from.p, r->fresh[i].p) != CLI_OK)
            return CLI_FAILED;
        if (cli_role(roles[i], "--check", r->fresh[i].p) != 0)
            return cli_fail("\"%s\" is not a whole backup; nothing was changed", from.p);
    }
    return CLI_OK;
}

static int move_aside(struct restore *r, const char *path)
{
    static const char *const suffixes[] = { "", "-wal", "-shm" };
    const char              *name = strrchr(path, '/') + 1;

    for (int i = 0; i < 3; i++) {
        char from[PATH_MAX], to[PATH_MAX + 300];

        if (!has_suffix_file(path, suffixes[i], from))
            continue;
        snprintf(to, sizeof to, "%s/%s%s", r->aside, name, suffixes[i]);
        if (rename(from, to) != 0)
            return cli_fail("could not move \"%s\" aside to \"%s\": %s", from, to, strerror(errno));
    }
    return CLI_OK;
}

/* Named by the second; a second restore within the same one gets the next number. */
static int make_aside(struct restore *r)
{
    time_t    now = time(NULL);
    struct tm tm;
    char      when[32], number[16] = "";

    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y%m%d-%H%M%S", &tm);
    for (int i = 2; i < 100; i++) {
        int n = snprintf(r->aside, sizeof r->aside, "%s/before-restore-%s%s", settings_text(r->s, "data_dir"), when, number);

        if (n < PATH_MAX && mkdir(r->aside, 0700) == 0)
            return CLI_OK;
        if (n >= PATH_MAX || errno != EEXIST)
            break;
        snprintf(number, sizeof number, "-%d", i);
    }
    return cli_fail("could not make the folder \"%s\": %s", r->aside, strerror(errno));
}

static int swap(struct restore *r)
{
    int status = make_aside(r);

    for (int i = 0; i < ROLES && !status; i++)
        if (r->place[i].p)
            status = move_aside(r, r->place[i].p);
    for (int i = 0; i < ROLES && !status; i++)
        if (r->place[i].p && rename(r->fresh[i].p, r->place[i].p) != 0)
            status = cli_fail("could not put \"%s\" in place: %s; the old databases are in \"%s\"", r->fresh[i].p,
                              strerror(errno), r->aside);
    sync_dir(r->aside);
    sync_dir(settings_text(r->s, "data_dir"));
    return status;
}

/* ---- files ---- */

struct blobs_bring {
    struct blobs from, to;
    enum err     e;
};

static bool bring_blob(void *arg, const uint8_t hash[BLOB_HASH_BYTES])
{
    struct blobs_bring *k = arg;

    k->e = blob_copy(&k->from, &k->to, hash);
    return !k->e;
}

/* Before the databases change places: what the new index names is there then. */
static int bring_files(struct restore *r, const char *dir)
{
    struct blobs_bring k = { .from = { -1, -1 }, .to = { -1, -1 } };
    struct str         from = arena_printf(&r->arena, "%s/files", dir), why = STR_NULL;

    if (!exists(from.p))
        return CLI_OK;
    k.e = blobs_open_copy(&k.from, from.p, false, &r->arena, &why);
    if (!k.e)
        k.e = blobs_open_copy(&k.to, settings_text(r->s, "files.folder"), true, &r->arena, &why);
    if (!k.e)
        blobs_each(&k.from, bring_blob, &k);
    if (!k.e)
        k.e = blobs_sync(&k.to);
    blobs_close(&k.from);
    blobs_close(&k.to);
    return k.e ? cli_fail("could not bring the uploaded files back: %.*s", STR_ARG(why.len ? why : str_of(err_info(k.e)->sentence)))
               : CLI_OK;
}

int cmd_restore(struct invocation *v)
{
    struct restore r = { .s = NULL };
    int            status;

    if (cli_settings(v, &r.s))
        return CLI_FAILED;
    if (on_server(r.s))
        return leave(r.s, cli_fail("the databases are in PostgreSQL, which is restored with its own means: docs/sites.md"));
    if (server_runs(r.s))
        return leave(r.s, cli_fail("the server runs: stop it first (`bongsu stop`), so that nothing is acknowledged that the restore"
                                   " takes away"));
    arena_init(&r.arena);
    status = cli_offline(r.s) ? CLI_FAILED : bring(&r, v->args[0]);
    if (!status)
        status = bring_files(&r, v->args[0]);
    if (!status)
        status = swap(&r);
    for (int i = 0; i < ROLES && status && r.fresh[i].p; i++)
        unlink(r.fresh[i].p);
    if (!status)
        printf("restored from %s; the old databases are in %s\n", v->args[0], r.aside);
    arena_done(&r.arena);
    settings_free(&r.s);
    return status;
}
