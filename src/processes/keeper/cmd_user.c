/* cmd_user.c: accounts: through the running server, or directly on the identity database when none runs.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "id/accounts.h"
#include "id/passkeys.h"
#include "id/settings.h"
#include "keeper/cli.h"
#include "keeper/operator.h"

enum { PASSWORD_LINE_BYTES = 4096 };

/* ---- passwords ---- */

static bool read_line(FILE *f, char *out, size_t size)
{
    if (!fgets(out, (int)size, f))
        return false;
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static bool ask_silently(const char *question, char *out, size_t size)
{
    struct termios before, silent;
    bool           ok;

    fputs(question, stderr);
    if (tcgetattr(STDIN_FILENO, &before) != 0)
        return false;
    silent = before;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    ok = read_line(stdin, out, size);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    fputc('\n', stderr);
    return ok;
}

static int password_get(const struct invocation *v, char *out, size_t size)
{
    char again[PASSWORD_LINE_BYTES];
    bool same;

    if (cli_value(v, "--password-stdin"))
        return read_line(stdin, out, size) && *out ? CLI_OK : cli_fail("there was no password on standard input");
    if (!isatty(STDIN_FILENO))
        return cli_fail("there is no terminal to ask for the password: give it with --password-stdin");
    if (!ask_silently("Password: ", out, size) || !*out)
        return cli_fail("no password, nothing changed");
    if (!ask_silently("Once more: ", again, sizeof again))
        again[0] = '\0';
    same = strcmp(out, again) == 0;
    mem_wipe(again, sizeof again);
    return same ? CLI_OK : cli_fail("the two passwords differ, nothing changed");
}

/* ---- in words ---- */

static const char *why_not(const char *error)
{
    if (strcmp(error, err_info(ERR_EXISTS)->name) == 0)
        return "there is such an account already";
    if (strcmp(error, err_info(ERR_NOT_FOUND)->name) == 0)
        return "there is no such account";
    if (strcmp(error, err_info(ERR_INVALID)->name) == 0)
        return "this name or password is not allowed (RFC 7622: no spaces, no \"@/:'<>&\" in names; passwords of 1 to 1024 bytes)";
    for (int e = 0; e < ERR_COUNT; e++)
        if (strcmp(error, err_info((enum err)e)->name) == 0)
            return err_info((enum err)e)->sentence;
    return error;
}

static int tell_failed(const json_t *answer)
{
    const json_t *pair;
    size_t        i;

    json_array_foreach(json_object_get(answer, "failed"), i, pair)
        fprintf(stderr, "bongsu: %s: %s\n", json_string_value(json_array_get(pair, 0)),
                why_not(json_string_value(json_array_get(pair, 1))));
    return CLI_FAILED;
}

/* ---- directly ---- */

struct direct {
    struct db_conn *conn;
    struct arena    arena;
    int             iterations;
};

static enum err direct_open(struct direct *d, const struct settings *s)
{
    struct str         why = STR_NULL;
    enum err           e = cli_offline(s);
    struct db_settings where;

    if (e)
        return e;
    arena_init(&d->arena);
    d->iterations = (int)settings_int(s, "ident.scram_iterations");
    where = ident_database(s, &d->arena);
    e = accounts_open(&where, &d->conn, &d->arena, &why);
    if (e) {
        cli_fail("%.*s", STR_ARG(why));
        arena_done(&d->arena);
    }
    return e;
}

static void direct_close(struct direct *d)
{
    db_conn_close(&d->conn);
    arena_done(&d->arena);
}

static enum err direct_keys(struct direct *d, const char *password, struct account_keys *out)
{
    struct str normal;
    enum err   e = account_password(&d->arena, str_of(password), &normal);

    if (!e)
        account_keys_make(out, normal, d->iterations);
    return e;
}

static enum err direct_add(struct direct *d, struct str name, const char *password)
{
    struct account_keys keys;
    enum err            e = account_exists(d->conn, name);

    if (e != ERR_NOT_FOUND)
        return e ? e : ERR_EXISTS;
    e = direct_keys(d, password, &keys);
    if (!e)
        e = account_add(d->conn, name, &keys, clock_us());
    mem_wipe(&keys, sizeof keys);
    return e;
}

static enum err direct_passwd(struct direct *d, struct str name, const char *password)
{
    struct account_keys keys;
    enum err            e = direct_keys(d, password, &keys);

    if (!e)
        e = account_passwd(d->conn, name, &keys);
    mem_wipe(&keys, sizeof keys);
    return e;
}

enum verb { VERB_ADD, VERB_PASSWD, VERB_DEL };     /* VERB_DEL only through a server: talk must forget too */

static int direct(const struct settings *s, enum verb verb, const char *user, const char *password)
{
    struct direct d = { .conn = NULL };
    struct str    name;
    enum err      e;

    if (verb == VERB_DEL)
        return cli_fail("to delete an account the server must run, so that its roster and messages go too");
    if (direct_open(&d, s))
        return CLI_FAILED;
    e = account_name(&d.arena, str_of(user), &name);
    if (!e)
        e = verb == VERB_ADD ? direct_add(&d, name, password) : direct_passwd(&d, name, password);
    direct_close(&d);
    return e ? cli_fail("%s: %s", user, why_not(err_info(e)->name)) : CLI_OK;
}

/* ---- one account ---- */

static json_t *request_for(enum verb verb, const char *user, const char *password)
{
    switch (verb) {
    case VERB_ADD:
        return json_pack("{s:s,s:[[s,s]]}", "command", "user.add", "users", user, password);
    case VERB_PASSWD:
        return json_pack("{s:s,s:s,s:s}", "command", "user.passwd", "user", user, "password", password);
    default:
        return json_pack("{s:s,s:s}", "command", "user.del", "user", user);
    }
}

static int change(const struct settings *s, enum verb verb, const char *user, const char *password)
{
    json_t  *request = request_for(verb, user, password), *answer;
    int      status = CLI_OK;
    enum err e;

    if (!request)
        return cli_fail("the name or the password is not UTF-8 text");
    e = cli_ask(s, request, &answer);
    if (e == ERR_UNAVAILABLE)
        status = direct(s, verb, user, password);
    else if (e)
        status = tell_failed(answer);
    json_decref(answer);
    return status;
}

static int with_password(struct invocation *v, enum verb verb, const char *done)
{
    char             password[PASSWORD_LINE_BYTES];
    struct settings *s;
    int              status;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    status = password_get(v, password, sizeof password);
    if (!status)
        status = change(s, verb, v->args[0], password);
    mem_wipe(password, sizeof password);
    if (!status)
        printf("%s %s@%s\n", done, v->args[0], settings_text(s, "domain"));
    settings_free(&s);
    return status;
}

int cmd_user_passwd(struct invocation *v)
{
    return with_password(v, VERB_PASSWD, "changed the password of");
}

int user_delete(const struct settings *s, const char *user)
{
    int status = change(s, VERB_DEL, user, NULL);

    if (!status)
        printf("deleted %s@%s\n", user, settings_text(s, "domain"));
    return status;
}

/* ---- many ---- */

struct bulk {
    struct settings *s;
    json_t          *users;
    struct direct    direct;      /* when no server runs */
    bool             is_direct;
    int              added, failed;
};

static void bulk_direct(struct bulk *b)
{
    const json_t *pair;
    size_t        i;

    json_array_foreach(b->users, i, pair) {
        const char *user = json_string_value(json_array_get(pair, 0));
        struct str  name;
        enum err    e = account_name(&b->direct.arena, str_of(user), &name);

        if (!e)
            e = direct_add(&b->direct, name, json_string_value(json_array_get(pair, 1)));
        if (e)
            fprintf(stderr, "bongsu: %s: %s\n", user, why_not(err_info(e)->name));
        b->added += !e;
        b->failed += e != OK;
    }
    arena_reset(&b->direct.arena);
}

static int bulk_ask(struct bulk *b)
{
    json_t  *answer;
    enum err e = cli_ask(b->s, json_pack("{s:s,s:O}", "command", "user.add", "users", b->users), &answer);
    int      failed = (int)json_array_size(json_object_get(answer, "failed"));

    if (e == ERR_UNAVAILABLE) {
        b->is_direct = direct_open(&b->direct, b->s) == OK;
        return b->is_direct ? CLI_OK : CLI_FAILED;
    }
    if (failed)
        tell_failed(answer);
    json_decref(answer);
    if (e && !failed)
        return CLI_FAILED;
    b->added += (int)json_array_size(b->users) - failed;
    b->failed += failed;
    return CLI_OK;
}

static int bulk_send(struct bulk *b)
{
    int status = CLI_OK;

    if (json_array_size(b->users) == 0)
        return CLI_OK;
    if (!b->is_direct)
        status = bulk_ask(b);
    if (!status && b->is_direct)
        bulk_direct(b);
    json_array_clear(b->users);
    return status;
}

static int bulk_line(struct bulk *b, char *line, const char *path, int number)
{
    char   *space = line + strcspn(line, " \t"), *password = space + strspn(space, " \t");
    json_t *pair;

    if (line[0] == '\0' || line[0] == '#')
        return CLI_OK;
    if (*password == '\0')
        return cli_fail("%s:%d: a line is \"name password\"", path, number);
    *space = '\0';
    pair = json_pack("[s,s]", line, password);
    if (!pair)
        return cli_fail("%s:%d: this is not UTF-8 text", path, number);
    json_array_append_new(b->users, pair);
    return json_array_size(b->users) >= OPERATOR_USERS_MAX ? bulk_send(b) : CLI_OK;
}

static int bulk_file(struct bulk *b, FILE *f, const char *path)
{
    char line[PASSWORD_LINE_BYTES];
    int  status = CLI_OK;

    for (int number = 1; !status && read_line(f, line, sizeof line); number++)
        status = bulk_line(b, line, path, number);
    mem_wipe(line, sizeof line);
    if (!status)
        status = bulk_send(b);
    printf("added %d accounts%s\n", b->added, b->failed ? ", others failed" : "");
    return status ? status : b->failed ? CLI_FAILED : CLI_OK;
}

static int add_many(struct invocation *v, const char *path)
{
    struct bulk b = { .users = json_array() };
    FILE       *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    int         status;

    if (!f)
        return cli_fail("could not open \"%s\": %s", path, strerror(errno));
    status = cli_settings(v, &b.s) ? CLI_FAILED : bulk_file(&b, f, path);
    if (b.is_direct)
        direct_close(&b.direct);
    if (f != stdin)
        fclose(f);
    json_decref(b.users);
    settings_free(&b.s);
    return status;
}

int cmd_user_add(struct invocation *v)
{
    const char *from = cli_value(v, "--from");

    if (from && v->arg_count)
        return cli_fail("give a name or --from, not both");
    if (from)
        return add_many(v, from);
    if (!v->arg_count)
        return cli_fail("whose account? `bongsu user add NAME`");
    return with_password(v, VERB_ADD, "added");
}

/* ---- list ---- */

static void print_user(const char *user, const char *domain, int64_t created_us, bool disabled)
{
    char when[CLOCK_TEXT_BYTES];

    clock_format(created_us - created_us % 1000000, when);
    printf("%s@%s\t%s%s\n", user, domain, when, disabled ? "\tdisabled" : "");
}

struct listing {
    const char *domain;
    char        last[ACCOUNT_NAME_BYTES_MAX + 1];
    int         count;
};

static void list_row(void *arg, struct str user, int64_t created_us, bool disabled)
{
    struct listing *g = arg;

    str_copy(user, g->last, sizeof g->last);
    print_user(g->last, g->domain, created_us, disabled);
    g->count++;
}

static int list_direct(const struct settings *s)
{
    struct direct  d = { .conn = NULL };
    struct listing g = { .domain = settings_text(s, "domain") };
    enum err       e = direct_open(&d, s);

    if (e)
        return CLI_FAILED;
    do {
        g.count = 0;
        e = account_list(d.conn, str_of(g.last), OPERATOR_LIST_MAX, list_row, &g);
    } while (!e && g.count == OPERATOR_LIST_MAX);
    direct_close(&d);
    return e ? cli_fail("could not read the accounts: %s", err_info(e)->sentence) : CLI_OK;
}

static int list_ask(const struct settings *s)
{
    struct listing g = { .domain = settings_text(s, "domain") };

    do {
        json_t  *answer, *user;
        size_t   i;
        enum err e = cli_ask(s, json_pack("{s:s,s:s}", "command", "user.list", "after", g.last), &answer);

        if (e)
            return e == ERR_UNAVAILABLE ? list_direct(s) : CLI_FAILED;
        g.count = 0;
        json_array_foreach(json_object_get(answer, "users"), i, user)
            list_row(&g, str_of(json_string_value(json_object_get(user, "user"))),
                     json_integer_value(json_object_get(user, "created_us")),
                     json_is_true(json_object_get(user, "disabled")));
        json_decref(answer);
    } while (g.count == OPERATOR_LIST_MAX);
    return CLI_OK;
}

int cmd_user_list(struct invocation *v)
{
    struct settings *s;
    int              status;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    status = list_ask(s);
    settings_free(&s);
    return status;
}

/* ---- passkeys ---- */

static void print_passkey(const char *label, int64_t created_us, int64_t used_us)
{
    char made[CLOCK_TEXT_BYTES], used[CLOCK_TEXT_BYTES];

    clock_format(created_us / 1000000 * 1000000, made);
    clock_format(used_us / 1000000 * 1000000, used);
    printf("%s\tmade %s\t%s%s\n", label, made, used_us ? "used " : "never used", used_us ? used : "");
}

static int passkeys_direct(const struct settings *s, const char *user, bool clear)
{
    struct direct       d = { .conn = NULL };
    struct passkey_list list = { 0 };
    struct str          name;
    enum err            e;

    if (direct_open(&d, s))
        return CLI_FAILED;
    e = account_name(&d.arena, str_of(user), &name);
    if (!e)
        e = account_exists(d.conn, name);
    if (!e)
        e = clear ? passkey_clear(d.conn, name) : passkey_list(d.conn, name, &d.arena, &list);
    for (int i = 0; i < list.count && !e; i++)
        print_passkey(list.rows[i].label.p, list.rows[i].created_us, list.rows[i].used_us);
    direct_close(&d);
    return e ? cli_fail("%s: %s", user, why_not(err_info(e)->name)) : CLI_OK;
}

static int passkeys(const struct settings *s, const char *user, bool clear)
{
    json_t  *answer, *one;
    size_t   i;
    enum err e = cli_ask(s, json_pack("{s:s,s:s}", "command", clear ? "user.passkeys_clear" : "user.passkeys", "user", user), &answer);

    if (e == ERR_UNAVAILABLE)
        return passkeys_direct(s, user, clear);
    if (!e)
        json_array_foreach(json_object_get(answer, "passkeys"), i, one)
            print_passkey(json_string_value(json_object_get(one, "name")), json_integer_value(json_object_get(one, "created_us")),
                          json_integer_value(json_object_get(one, "used_us")));
    else
        tell_failed(answer);
    json_decref(answer);
    return e ? CLI_FAILED : CLI_OK;
}

int cmd_user_passkeys(struct invocation *v)
{
    bool             clear = cli_value(v, "--clear");
    struct settings *s;
    int              status;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    status = passkeys(s, v->args[0], clear);
    if (!status && clear)
        printf("%s@%s has no passkeys any more\n", v->args[0], settings_text(s, "domain"));
    settings_free(&s);
    return status;
}
