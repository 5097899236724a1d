/* cli.h: the subcommands of `bongsu`. One table (commands.c) holds them all; help, parsing and
 * the suggestion for a misspelt name are read from it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <jansson.h>
#include "common.h"
#include "db/db.h"

enum { CLI_ARGS_MAX = 64, CLI_OPTIONS_MAX = 16, CLI_CONTROL_MS_MAX = 3600 * 1000 };

enum {                          /* exit statuses */
    CLI_OK = 0,
    CLI_FAILED = 1,             /* it was tried and did not work */
    CLI_USAGE = 2,              /* it was not understood */
};

struct cli_option {
    const char *name;           /* "--from" */
    const char *value;          /* "FILE"; NULL: a switch */
    const char *help;
};

struct invocation;
struct command {
    const char              *name;      /* "user add" */
    const char              *args;      /* "NAME…", for people */
    int                      args_min, args_max;
    const char              *summary;   /* one line */
    const char              *help;      /* more, may be NULL */
    const struct cli_option *options;   /* ended by name NULL; may be NULL */
    int                    (*run)(struct invocation *v);
};

struct invocation {
    const struct command *command;
    const char           *config;                   /* --config, may be NULL */
    const char           *args[CLI_ARGS_MAX];
    int                   arg_count;
    const char           *values[CLI_OPTIONS_MAX];  /* in the order of the command's options; "" for a switch */
};

extern const struct command commands[];     /* ended by name NULL */
extern const struct cli_option cli_common_options[];

const char *cli_value(const struct invocation *v, const char *option);    /* NULL if it was not given */

/* ---- what the commands share ---- */

/* Says "bongsu: …" on standard error and returns CLI_FAILED. */
int  cli_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The settings; on failure their mistakes have been printed. */
enum err cli_settings(const struct invocation *v, struct settings **out);
/* Asks the running server; `request` is stolen. OK: *answer has "ok": true.
 * ERR_UNAVAILABLE, silently: no server runs. Anything else has been printed. `answer` may be NULL. */
enum err cli_ask(const struct settings *s, json_t *request, json_t **answer);
/* Work on the databases without a server: takes the data directory's lock and becomes its owner.
 * On failure it has been printed. The lock lasts until the process ends. */
enum err cli_offline(const struct settings *s);
struct str cli_database(const struct settings *s, struct arena *a, const char *role);   /* "talk", "ident" or "courier" */
/* Runs a role's program with these words, ended by NULL, and returns its exit status. */
int  cli_role_words(const char *role, const char *const *words);
int  cli_role(const char *role, const char *option, const char *value);     /* with two */
/* The same with work on the role's database (processes/own.h): the words behind its place and the domain. As whoever owns
 * the data directory. */
int  cli_own(const struct settings *s, const char *role, const char *verb, const char *const *words);
/* The folder that this program lies in. */
struct str cli_folder(struct arena *a);
/* Where the role's program is: $BONGSU_LIBEXEC, beside this one, or ../libexec/bongsu. */
struct str cli_program(struct arena *a, const char *role);

/* ---- the commands; keeper.c, cmd_*.c ---- */
int cmd_serve(struct invocation *v);
int cmd_user_add(struct invocation *v);
int cmd_user_passwd(struct invocation *v);
int user_delete(const struct settings *s, const char *user);    /* tells how it went */
int cmd_user_delete(struct invocation *v);
int cmd_user_export(struct invocation *v);
int cmd_user_list(struct invocation *v);
int cmd_user_passkeys(struct invocation *v);
int cmd_user_admin(struct invocation *v);
int cmd_user_invite(struct invocation *v);
int cmd_reports(struct invocation *v);
int cmd_audit(struct invocation *v);
int cmd_import(struct invocation *v);
int cmd_status(struct invocation *v);
int cmd_top(struct invocation *v);
int cmd_reload(struct invocation *v);
int cmd_restart(struct invocation *v);
int cmd_stop(struct invocation *v);
int cmd_backup(struct invocation *v);
int cmd_restore(struct invocation *v);
int cmd_db_check(struct invocation *v);
int cmd_db_reindex(struct invocation *v);
int cmd_db_move(struct invocation *v);
int cmd_config_sample(struct invocation *v);
int cmd_config_check(struct invocation *v);
int cmd_cert(struct invocation *v);
int cmd_drill(struct invocation *v);
int cmd_doap(struct invocation *v);
int cmd_version(struct invocation *v);
int cmd_help(struct invocation *v);
