/* commands.c: every subcommand, in the order of the help.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "keeper/cli.h"

static const struct cli_option user_add_options[] = {
    { "--password-stdin", NULL, "read the password from standard input: one line" },
    { "--from", "FILE", "add many: one \"name password\" per line; - is standard input" },
    { 0 },
};
static const struct cli_option password_options[] = {
    { "--password-stdin", NULL, "read the password from standard input: one line" },
    { 0 },
};
static const struct cli_option user_delete_options[] = {
    { "--prove", NULL, "wait until it is through, and print what remains" },
    { 0 },
};
static const struct cli_option passkeys_options[] = {
    { "--clear", NULL, "remove them all; open sessions stay" },
    { 0 },
};
static const struct cli_option audit_options[] = {
    { "--last", "N", "how many; default: 100" },
    { 0 },
};
static const struct cli_option reports_options[] = {
    { "--last", "N", "how many; default: 20" },
    { 0 },
};
static const struct cli_option invite_options[] = {
    { "--from", "INVITER", "the account that the new one becomes a contact of" },
    { "--days", "N", "how long it is good; default: 7" },
    { 0 },
};
static const struct cli_option status_options[] = {
    { "--json", NULL, "the whole answer as JSON" },
    { 0 },
};
static const struct cli_option top_options[] = {
    { "--once", NULL, "print one screen and end" },
    { 0 },
};
static const struct cli_option cert_options[] = {
    { "--names", "A,B", "names to certify; default: the domain and localhost" },
    { 0 },
};

static const struct cli_option move_options[] = {
    { "--to", "CONNINFO", "libpq's connection string; default: db.server. A password is better kept in a passfile" },
    { 0 },
};

static const struct cli_option drill_options[] = {
    { "--short", NULL, "each fault once or twice; default: 100 cuts of the primary's site, and each other several times" },
    { "--cuts", "N", "how often the primary's site is cut off" },
    { "--times", "N", "how often each other fault is taken" },
    { "--faults", "A,B,C", "only these, in this order" },
    { "--delay", "MS", "one way between sites; default: 0.5" },
    { "--workers", "N", "talk processes a site; default: 1" },
    { "--people", "N", "who chat, on all sites together; default: 24" },
    { "--groups", "N", "rooms, whose members write into them besides; default: 0" },
    { "--group-size", "N", "people in each room, spread over the sites; default: 50" },
    { "--storm", "N", "people who come back at once in the fault storm; default: 5000" },
    { "--keep", NULL, "leave the files of the sites" },
    { "--json", "FILE", "every round, for programs" },
    { "--write", "FILE", "put the result into this document (docs/drill.md)" },
    { 0 },
};

const struct cli_option cli_common_options[] = {
    { "--config", "FILE", "settings; default: $BONGSU_CONFIG, else " COMMON_SETTINGS_PATH },
    { "--help", NULL, "this help" },
    { 0 },
};

const struct command commands[] = {
    { "serve", "", 0, 0, "run the server",
      "Starts the keeper, which starts the roles (talk, ident, web), restarts one that dies, and stays in the foreground.\n"
      "Prints \"bongsu: ready: …\" when people can connect. SIGHUP reloads, SIGTERM stops in order. The log goes to\n"
      "standard error.",
      NULL, cmd_serve },
    { "user add", "[NAME]", 0, 1, "make an account",
      "Asks for the password unless it is told otherwise. Works with and without a running server.", user_add_options,
      cmd_user_add },
    { "user passwd", "NAME", 1, 1, "change a password", "Open sessions stay; saved log-in tokens end.", password_options,
      cmd_user_passwd },
    { "user delete", "NAME", 1, 1, "delete an account and all that is kept of it",
      "Others keep their side of what was said. The server must run. With --prove it waits until that is through, and prints\n"
      "what remains in each table: nothing.",
      user_delete_options, cmd_user_delete },
    { "user del", "NAME", 1, 1, "the same", NULL, user_delete_options, cmd_user_delete },
    { "user export", "NAME DIR", 2, 2, "write everything that is kept of an account into a folder",
      "XEP-0227 for other servers, HTML for people, and a manifest with counts and SHA-256. With and without a running server.\n"
      "An export that was cut off goes on where it was when the command is given again.",
      NULL, cmd_user_export },
    { "user admin", "NAME on|off", 2, 2, "let an account administer the service from its client, or no longer",
      "Its client shows the commands under \"Commands\" of the server (XEP-0133). Works with and without a running server;\n"
      "the setting talk.admins names administrators besides.",
      NULL, cmd_user_admin },
    { "user invite", "[NAME]", 0, 1, "print a link that makes one account",
      "The link (xmpp:…;preauth=…) is for a client that knows XEP-0445, or for a QR code. With NAME it makes that account only, and\n"
      "nobody else gets the name meanwhile. It works whether talk.registration is on or off, and once.", invite_options,
      cmd_user_invite },
    { "user passkeys", "NAME", 1, 1, "list the passkeys of an account, or take them all away",
      "A passkey is a second way to log in, beside the password (docs/passkeys.md). Somebody who lost a device removes its passkey in\n"
      "the app; --clear is for whoever cannot get in. Works with and without a running server.", passkeys_options, cmd_user_passkeys },
    { "user list", "", 0, 0, "list the accounts", NULL, NULL, cmd_user_list },
    { "import", "FILE…", 1, CLI_ARGS_MAX, "bring accounts and what is kept of them from Prosody, ejabberd or another server",
      "FILE is XEP-0227, or a folder of such files. The server must be stopped. What is there already stays as it is, so the\n"
      "command can be repeated, and goes on where it was cut off. Says what was not taken. docs/own-data.md tells how to export.",
      NULL, cmd_import },
    { "reports", "", 0, 0, "print what people reported as spam or abuse, the newest first",
      "Who, about whom, why, and the messages that they chose to show.", reports_options, cmd_reports },
    { "audit", "", 0, 0, "print what administrators did: when, who, what, about whom, and what became of it", NULL, audit_options,
      cmd_audit },
    { "status", "", 0, 0, "what runs, and how it is",
      "The roles; people, disk and writes; files; what waits for other servers, for which, since when, and what waits to be pushed.\n"
      "Exit status 0 when every role is ready and, in a cluster, the loss of any one site would lose nothing that was\n"
      "acknowledged; 1 when not, with the reasons, or when no server runs.",
      status_options, cmd_status },
    { "top", "", 0, 0, "what the server does now, refreshed each second", "Ends with Ctrl-C.", top_options, cmd_top },
    { "reload", "", 0, 0, "take up changed settings and certificates", "No session is dropped. Says what needs a restart.", NULL,
      cmd_reload },
    { "restart", "", 0, 0, "restart the roles one after the other, so that a new version is taken up",
      "Each is ready again before the next one ends: with several workers of talk, somebody always serves. Clients resume\n"
      "their sessions. The keeper itself stays the old one until the next `bongsu stop` and `bongsu serve`.",
      NULL, cmd_restart },
    { "stop", "", 0, 0, "stop the running server in order", NULL, NULL, cmd_stop },
    { "backup", "DIR", 1, 1, "copy the databases while people go on chatting",
      "DIR must not exist, or be empty. Each copy is checked before it is reported good.", NULL, cmd_backup },
    { "restore", "DIR", 1, 1, "put a backup in place of the databases",
      "The server must be stopped. The backup is checked first; the old databases are kept beside, in\n"
      "before-restore-DATE of the data directory.",
      NULL, cmd_restore },
    { "config sample", "", 0, 0, "print every setting with its meaning and default", "Also: bongsu config --sample", NULL,
      cmd_config_sample },
    { "config check", "", 0, 0, "say what is wrong with the settings, in plain words", NULL, NULL, cmd_config_check },
    { "cert", "", 0, 0, "make a self-signed certificate to try with",
      "Written to tls.certificate and tls.key; nothing is overwritten. Clients will warn of it: for other people,\n"
      "get one from an authority they trust.",
      cert_options, cmd_cert },
    { "db check", "", 0, 0, "prove that the databases are whole and match this program", NULL, NULL, cmd_db_check },
    { "db reindex", "", 0, 0, "make the search index anew from the messages",
      "While people search and chat. It goes on when this command is ended, and after a restart. Not needed in ordinary life;\n"
      "after a version that folds text differently, say. Works without a running server too.",
      NULL, cmd_db_reindex },
    { "db move", "", 0, 0, "carry a stopped server's databases from SQLite into PostgreSQL",
      "Into an empty PostgreSQL, in one transaction for each database, and then proves that both sides hold the same.\n"
      "Nothing is changed in the files.",
      move_options, cmd_db_move },
    { "drill", "", 0, 0, "lose sites on purpose, on this machine, and count what people lost",
      "Builds three sites as network namespaces, lets people chat on all of them, and takes one fault after the other:\n"
      "cut-primary, kill-site, freeze-site, cut-standby, cut-link, loss-10, disk-full, wipe-etcd, kill-nats, stop-postgres,\n"
      "storm. Prints one table and \"N passed, N failed, N skipped\". A server that runs is not touched. Needs root,\n"
      "/dev/net/tun, and the packages of a site.",
      drill_options, cmd_drill },
    { "doap", "", 0, 0, "print what XMPP this server speaks (docs/xmpp.doap)", NULL, NULL, cmd_doap },
    { "version", "", 0, 0, "print the version", NULL, NULL, cmd_version },
    { "help", "[SUBCOMMAND]", 0, 2, "print this help, or a subcommand's", NULL, NULL, cmd_help },
    { 0 },
};
