/* cmd_own.c: what is kept of people, and what was done about it: administrators, audit log. The role's
 * program does the work on its database (processes/talk/own.h).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "keeper/cli.h"

static int leave(struct settings *s, int status)
{
    settings_free(&s);
    return status;
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

/* ---- audit ---- */

int cmd_audit(struct invocation *v)
{
    const char      *last = cli_value(v, "--last");
    struct settings *s;

    if (last && atoi(last) < 1)
        return cli_fail("--last is a number above 0");
    if (cli_settings(v, &s))
        return CLI_FAILED;
    return leave(s, cli_own(s, "talk", "audit", (const char *const[]){ last ? last : "100", NULL }));
}

/* ---- reports ---- */

int cmd_reports(struct invocation *v)
{
    const char      *last = cli_value(v, "--last");
    struct settings *s;

    if (last && atoi(last) < 1)
        return cli_fail("--last is a number above 0");
    if (cli_settings(v, &s))
        return CLI_FAILED;
    return leave(s, cli_own(s, "talk", "reports", (const char *const[]){ last ? last : "20", NULL }));
}

/* ---- invitations ---- */

static enum err server_runs(const struct settings *s, bool *runs)
{
    enum err e = cli_ask(s, json_pack("{s:s}", "command", "status"), NULL);

    *runs = !e;
    return e == ERR_UNAVAILABLE ? OK : e;
}

int cmd_user_invite(struct invocation *v)
{
    const char      *name = v->arg_count ? v->args[0] : "-", *from = cli_value(v, "--from"), *days = cli_value(v, "--days");
    struct settings *s;
    bool             runs;

    if (days && (atoi(days) < 1 || atoi(days) > 90))
        return cli_fail("--days is a number from 1 to 90");
    if (cli_settings(v, &s))
        return CLI_FAILED;
    if (server_runs(s, &runs) || (!runs && cli_offline(s)))
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
    if (server_runs(s, &runs) || (!runs && cli_offline(s)))
        return leave(s, CLI_FAILED);
    return leave(s, cli_own(s, "talk", "reindex", (const char *const[]){ runs ? "server" : "here", NULL }));
}
