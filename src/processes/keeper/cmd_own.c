/* cmd_own.c: what is kept of people, and what was done about it: export, deletion and its proof, administrators, audit log.
 * The role's program does the work on its database (processes/talk/own.h).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "files/settings.h"
#include "keeper/cli.h"
#include "keeper/prepare.h"

static int leave(struct settings *s, int status)
{
    settings_free(&s);
    return status;
}

static enum err server_runs(const struct settings *s, bool *runs)
{
    enum err e = cli_ask(s, json_pack("{s:s}", "command", "status"), NULL);

    *runs = !e;
    return e == ERR_UNAVAILABLE ? OK : e;
}

/* With it or without: then the lock is ours. */
static enum err server_or_lock(const struct settings *s, bool *runs)
{
    enum err e = server_runs(s, runs);

    return e || *runs ? e : cli_offline(s);
}

/* ---- administrators ---- */

static int admin_without_server(const struct settings *s, const char *user, const char *on)
{
    return cli_offline(s) ? CLI_FAILED : cli_own(s, "talk", "admin", (const char *const[]){ user, on, NULL });
}

int cmd_user_admin(struct invocation *v)
{
    const char      *user = v->args[0], *on = v->args[1];
    struct settings *s;
    int              status;
    enum err         e;

    if (strcmp(on, "on") != 0 && strcmp(on, "off") != 0)
        return cli_fail("`bongsu user admin NAME on` or `bongsu user admin NAME off`");
    if (cli_settings(v, &s))
        return CLI_FAILED;
    e = cli_ask(s, json_pack("{s:s,s:s,s:b}", "command", "user.admin", "user", user, "on", strcmp(on, "on") == 0), NULL);
    status = e == ERR_UNAVAILABLE ? admin_without_server(s, user, on) : e ? CLI_FAILED : CLI_OK;
    if (!status)
        printf("%s@%s %s\n", user, settings_text(s, "domain"), strcmp(on, "on") == 0 ? "is an administrator" : "is no administrator");
    return leave(s, status);
}

/* ---- what there is to read ---- */

static int print_last(struct invocation *v, const char *verb, const char *otherwise)
{
    const char      *last = cli_value(v, "--last");
    struct settings *s;

    if (last && atoi(last) < 1)
        return cli_fail("--last is a number above 0");
    if (cli_settings(v, &s))
        return CLI_FAILED;
    return leave(s, cli_own(s, "talk", verb, (const char *const[]){ last ? last : otherwise, NULL }));
}

int cmd_audit(struct invocation *v)
{
    return print_last(v, "audit", "100");
}

int cmd_reports(struct invocation *v)
{
    return print_last(v, "reports", "20");
}

/* ---- export ---- */

static int folder_make(const struct settings *s, const char *dir)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return cli_fail("could not make the folder \"%s\": %s", dir, strerror(errno));
    if (prepare_give(s, dir))
        return cli_fail("could not give the folder \"%s\" to whom the server runs as", dir);
    return CLI_OK;
}

static int export_files(const struct settings *s, const char *user, const char *dir)
{
    char         files[PATH_MAX];
    struct arena a;
    int          status;

    if (snprintf(files, sizeof files, "%s/files", dir) >= (int)sizeof files)
        return cli_fail("the name of the folder \"%s\" is too long", dir);
    status = folder_make(s, files);
    if (status)
        return status;
    arena_init(&a);
    status = cli_own(s, "web", "export", (const char *const[]){ user, settings_text(s, "files.folder"), files_url(s, &a).p, files, NULL });
    arena_done(&a);
    return status;
}

/* Files first: what stands there when the messages are through is in the manifest. But nothing is mixed with what is there already. */
int cmd_user_export(struct invocation *v)
{
    const char      *dir = v->args[1];
    struct settings *s;
    int              status;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    status = folder_make(s, dir);
    if (!status)
        status = cli_own(s, "talk", "export-begin", (const char *const[]){ v->args[0], dir, NULL });
    if (!status)
        status = export_files(s, v->args[0], dir);
    if (!status)
        status = cli_own(s, "talk", "export", (const char *const[]){ v->args[0], dir, NULL });
    if (!status)
        printf("exported %s@%s into %s; `sha256sum -c SHA256SUMS` there proves the files\n", v->args[0], settings_text(s, "domain"), dir);
    return leave(s, status);
}

/* ---- deletion, and what remains ---- */

static int prove(const struct settings *s, const char *user)
{
    int talk = cli_own(s, "talk", "prove", (const char *const[]){ user, "60", NULL });
    int ident = cli_own(s, "ident", "prove", (const char *const[]){ user, "10", NULL });

    if (talk || ident)
        return cli_fail("something remains of %s@%s", user, settings_text(s, "domain"));
    printf("nothing remains of %s@%s\n", user, settings_text(s, "domain"));
    return CLI_OK;
}

int cmd_user_delete(struct invocation *v)
{
    struct settings *s;
    int              status;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    status = user_delete(s, v->args[0]);
    if (!cli_value(v, "--prove"))
        return leave(s, status);
    if (status)
        printf("looking what remains all the same\n");
    return leave(s, prove(s, v->args[0]) ? CLI_FAILED : status);
}

/* ---- from another server ---- */

/* Accounts first: whoever is in the messages exists. */
static int import_all(const struct settings *s, const char *path)
{
    char iterations[32];
    int  status;

    snprintf(iterations, sizeof iterations, "%lld", (long long)settings_int(s, "ident.scram_iterations"));
    status = cli_own(s, "ident", "import", (const char *const[]){ path, iterations, NULL });
    return status ? status : cli_own(s, "talk", "import", (const char *const[]){ path, NULL });
}

int cmd_import(struct invocation *v)
{
    struct settings *s;
    int              status;
    bool             runs;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    if (server_runs(s, &runs) || runs)
        return leave(s, cli_fail("the server runs: stop it first (`bongsu stop`), on every machine that uses its databases"));
    status = cli_offline(s) ? CLI_FAILED : CLI_OK;
    for (int i = 0; i < v->arg_count && !status; i++)
        status = import_all(s, v->args[i]);
    return leave(s, status);
}

/* ---- invitations ---- */

int cmd_user_invite(struct invocation *v)
{
    const char      *name = v->arg_count ? v->args[0] : "-", *from = cli_value(v, "--from"), *days = cli_value(v, "--days");
    struct settings *s;
    bool             runs;

    if (days && (atoi(days) < 1 || atoi(days) > 90))
        return cli_fail("--days is a number from 1 to 90");
    if (cli_settings(v, &s))
        return CLI_FAILED;
    if (server_or_lock(s, &runs))
        return leave(s, CLI_FAILED);
    return leave(s, cli_own(s, "talk", "invite", (const char *const[]){ name, from ? from : "-", days ? days : "7",
                                                                        settings_text(s, "talk.invite_page"), NULL }));
}

/* ---- the search index ---- */

int cmd_db_reindex(struct invocation *v)
{
    struct settings *s;
    bool             runs;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    if (server_or_lock(s, &runs))
        return leave(s, CLI_FAILED);
    return leave(s, cli_own(s, "talk", "reindex", (const char *const[]){ runs ? "server" : "here", NULL }));
}
