/* cli.c: what the subcommands share: settings, the running server, the lock, roles' programs.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "keeper/cli.h"
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "courier/settings.h"
#include "files/settings.h"
#include "id/settings.h"
#include "keeper/prepare.h"
#include "proc/control.h"

int cli_fail(const char *fmt, ...)
{
    va_list ap;

    fputs("bongsu: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return CLI_FAILED;
}

enum err cli_settings(const struct invocation *v, struct settings **out)
{
    struct buf report;
    enum err   e;

    buf_init(&report, 64 * 1024);
    e = common_load(v->config, out, &report);
    if (e)
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&report)));
    buf_done(&report);
    return e;
}

/* ---- the running server ---- */

enum err cli_ask(const struct settings *s, json_t *request, json_t **answer)
{
    struct arena a;
    json_t      *got = NULL;
    enum err     e;

    arena_init(&a);
    e = control_call(common_run_path(s, &a, "control.sock").p, request, CLI_CONTROL_MS_MAX, &got);
    arena_done(&a);
    json_decref(request);
    if (answer)
        *answer = NULL;
    if (e == ERR_UNAVAILABLE)
        return e;
    if (e) {
        cli_fail("the server did not answer: %s", err_info(e)->sentence);
        return e;
    }
    if (answer)
        *answer = json_incref(got);
    if (!json_is_true(json_object_get(got, "ok"))) {
        if (!json_object_get(got, "failed") || json_array_size(json_object_get(got, "failed")) == 0)
            cli_fail("%s", json_string_value(json_object_get(got, "text")));
        e = ERR_INVALID;
    }
    json_decref(got);
    return e;
}

/* ---- without it ---- */

/* Files made by root would be closed to the roles: become whom they run as. */
static enum err become_owner(const char *dir)
{
    struct stat    st;
    struct passwd *pw;

    if (geteuid() != 0)
        return OK;
    if (stat(dir, &st) != 0)
        return err_from_errno(errno);
    pw = getpwuid(st.st_uid);
    if (st.st_uid == 0 || !pw)
        return OK;
    return initgroups(pw->pw_name, pw->pw_gid) || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid)
                   || setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid)
               ? err_from_errno(errno)
               : OK;
}

enum err cli_offline(const struct settings *s)
{
    const char *dir = settings_text(s, "data_dir");
    static int  lock = -1;
    enum err    e;

    if (lock >= 0)
        return OK;
    e = prepare_lock(dir, &lock);
    if (e == ERR_EXISTS)
        cli_fail("something works on \"%s\" but does not answer: a server that starts or ends, or another command. Try again", dir);
    else if (e)
        cli_fail("could not use the data directory \"%s\": %s", dir, err_info(e)->sentence);
    if (e)
        return e;
    e = become_owner(dir);
    if (e)
        cli_fail("could not become the owner of \"%s\": %s", dir, err_info(e)->sentence);
    return e;
}

struct str cli_database(const struct settings *s, struct arena *a, const char *role)
{
    const char *name;

    if (strcmp(role, "ident") == 0)
        return ident_database_path(s, a);
    if (strcmp(role, "courier") == 0)
        return str_of(courier_database(s, a).path);
    if (strcmp(role, "web") == 0)
        return files_index_path(s, a);
    name = settings_text(s, "talk.database");
    return name[0] == '/' ? arena_printf(a, "%s", name) : arena_printf(a, "%s/%s", settings_text(s, "data_dir"), name);
}

/* ---- roles' programs ---- */

struct str cli_folder(struct arena *a)
{
    char    path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    char   *slash;

    path[n > 0 ? n : 0] = '\0';
    slash = strrchr(path, '/');
    if (slash)
        *slash = '\0';
    return arena_printf(a, "%s", slash ? path : ".");
}

struct str cli_program(struct arena *a, const char *role)
{
    const char *folder = getenv("BONGSU_LIBEXEC");
    struct str  own = cli_folder(a), beside;

    if (folder && *folder)
        return arena_printf(a, "%s/bongsu-%s", folder, role);
    beside = arena_printf(a, "%s/bongsu-%s", own.p, role);
    if (access(beside.p, X_OK) == 0)
        return beside;
    return arena_printf(a, "%s/../libexec/bongsu/bongsu-%s", own.p, role);
}

int cli_role_words(const char *role, const char *const *words)
{
    const char  *argv[CLI_ARGS_MAX];
    struct arena a;
    struct str   program;
    int          status = -1, n = 1;
    pid_t        pid;

    arena_init(&a);
    program = cli_program(&a, role);
    argv[0] = program.p;
    for (; *words && n < CLI_ARGS_MAX - 1; words++)
        argv[n++] = *words;
    argv[n] = NULL;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        execv(program.p, (char *const *)argv);
        fprintf(stderr, "bongsu: could not run \"%s\": %s\n", program.p, strerror(errno));
        _exit(127);
    }
    if (pid > 0)
        waitpid(pid, &status, 0);
    arena_done(&a);
    return WIFEXITED(status) ? WEXITSTATUS(status) : CLI_FAILED;
}

int cli_role(const char *role, const char *option, const char *value)
{
    return cli_role_words(role, (const char *const[]){ option, value, NULL });
}

int cli_own(const struct settings *s, const char *role, const char *verb, const char *const *words)
{
    const char  *argv[CLI_ARGS_MAX] = { "--own", verb };
    const char  *dir = settings_text(s, "data_dir");
    struct arena a;
    int          n = 4, status;
    enum err     e = become_owner(dir);

    if (e)
        return cli_fail("could not become the owner of \"%s\": %s", dir, err_info(e)->sentence);
    arena_init(&a);
    setenv("BONGSU_DB_SERVER", settings_text(s, "db.server"), 1);
    argv[2] = cli_database(s, &a, role).p;
    argv[3] = settings_text(s, "domain");
    for (; *words && n < CLI_ARGS_MAX - 1; words++)
        argv[n++] = *words;
    status = cli_role_words(role, argv);
    arena_done(&a);
    return status;
}
