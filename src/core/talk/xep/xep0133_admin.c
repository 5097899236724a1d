/* XEP-0133 Service Administration 1.2: the commands of administrators, and their common way: form, audit log, deed, outcome.
 * Passwords cannot be read here, so "Get User Password" is none of them; the service is restarted and stopped from the machine.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0133_admin.h"
#include "base/mem.h"
#include "bus/codec.h"
#include "talk/admin.h"
#include "talk/audit.h"
#include "talk/banner.h"
#include "talk/feature.h"
#include "talk/owned.h"
#include <stdio.h>
#include <stdlib.h>

static const struct db_migration admin_migrations[] = {
    { 1, "audit",
      "CREATE TABLE audit(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL, about TEXT NOT NULL,"
      " outcome TEXT);" },
    { 1, "admin", "CREATE TABLE admin(name TEXT PRIMARY KEY, since INTEGER NOT NULL);" },
    { 0 },
};

/* ---- the forms ---- */

static const struct form_row one_account[] = { { "accountjid", FORM_JID, "The account's address", .required = true }, { 0 } };
static const struct form_row accounts[] = { { "accountjids", FORM_JID_MULTI, "The accounts' addresses", .required = true }, { 0 } };
static const struct form_row add_user_rows[] = {
    { "accountjid", FORM_JID, "The account's address", .required = true },
    { "password", FORM_PRIVATE, "Its password", .required = true, .max = 1024 },
    { "password-verify", FORM_PRIVATE, "The password once more", .required = true, .max = 1024 },
    { 0 },
};
static const struct form_row password_rows[] = {
    { "accountjid", FORM_JID, "The account's address", .required = true },
    { "password", FORM_PRIVATE, "Its new password", .required = true, .max = 1024 },
    { 0 },
};
static const struct form_option how_many[] = { { "25", "25" }, { "50", "50" }, { "100", "100" }, { "200", "200" }, { "500", "500" }, { 0 } };
static const struct form_row list_rows[] = {
    { "max_items", FORM_LIST, "How many to show", .options = how_many },
    { "after", FORM_TEXT, "Only those behind this name", .max = 1023 },
    { 0 },
};
static const struct form_row announce_rows[] = {
    { "subject", FORM_TEXT, "Subject", .max = BANNER_SUBJECT_BYTES_MAX },
    { "announcement", FORM_TEXT_MULTI, "Announcement", .required = true, .max = BANNER_TEXT_BYTES_MAX },
    { "until", FORM_TEXT, "In force until (empty: until it is taken down)", .datatype = "xs:dateTime" },
    { 0 },
};
static const struct form_row report_rows[] = { { "reports", FORM_LIST_MULTI, "Dealt with", .required = true }, { 0 } };
static const struct form_row rate_rows[] = {
    { "accountjids", FORM_JID_MULTI, "The accounts' addresses", .required = true },
    { "class", FORM_LIST, "Class", .required = true },
    { 0 },
};
static const struct form_row admin_rows[] = { { "adminjids", FORM_JID_MULTI, "The administrators" }, { 0 } };

/* ---- the table: a command and its deed in the same place of both lists ---- */

static void deed_step(struct command_run *r);
static void deed_ended(struct command_run *r);

#define OURS(node, name) { "urn:bongsu:admin:0#" node, name, COMMAND_ON_SERVER, true, deed_step, deed_ended }
#define DEED(node, name) { NS_ADMIN "#" node, name, COMMAND_ON_SERVER, true, deed_step, deed_ended }
static const struct command admin_commands[] = {
    DEED("add-user", "Add User"),
    DEED("delete-user", "Delete User"),
    DEED("disable-user", "Disable User"),
    DEED("reenable-user", "Re-Enable User"),
    DEED("end-user-session", "End User Session"),
    DEED("change-user-password", "Change User Password"),
    DEED("get-user-roster", "Get User Roster"),
    DEED("get-user-lastlogin", "Get User Last Login Time"),
    DEED("user-stats", "Get User Statistics"),
    DEED("get-registered-users-num", "Get Number of Registered Users"),
    DEED("get-disabled-users-num", "Get Number of Disabled Users"),
    DEED("get-online-users-num", "Get Number of Online Users"),
    DEED("get-registered-users-list", "Get List of Registered Users"),
    DEED("get-disabled-users-list", "Get List of Disabled Users"),
    DEED("get-online-users-list", "Get List of Online Users"),
    DEED("announce", "Send Announcement"),
    DEED("delete-motd", "Take Down Announcements"),
    DEED("edit-admin", "Edit Admin List"),
    OURS("reports", "Show Reports"),
    OURS("resolve-reports", "Resolve Reports"),
    OURS("rate-class", "Set Rate Class"),
    { 0 },
};
static const struct deed_kind kinds[] = {
    { "add-user", "Add User", "A new account.", add_user_rows, .act = deed_add_user },
    { "delete-user", "Delete User", "The accounts and all that is kept of them go, for good. Others keep their side of what was said.",
      accounts, .act = deed_delete_users },
    { "disable-user", "Disable User", "The accounts stay, but nobody can use them; their sessions end.", accounts, .act = deed_disable_users },
    { "reenable-user", "Re-Enable User", "The accounts can be used again.", accounts, .act = deed_enable_users },
    { "end-user-session", "End User Session", "With a resource only that session ends, else all of the account.", accounts,
      .act = deed_end_sessions },
    { "change-user-password", "Change User Password", "Whoever has the old one cannot log in with it any more.", password_rows,
      .act = deed_change_password },
    { "get-user-roster", "Get User Roster", "The contacts of an account.", accounts, .act = deed_roster },
    { "get-user-lastlogin", "Get User Last Login Time", "When it was last there.", accounts, .act = deed_last_login },
    { "user-stats", "Get User Statistics", "What an account is using now.", one_account, .act = deed_stats },
    { "get-registered-users-num", .act = deed_count_registered },
    { "get-disabled-users-num", .act = deed_count_disabled },
    { "get-online-users-num", .act = deed_count_online },
    { "get-registered-users-list", "Get List of Registered Users", "In the order of their names.", list_rows, .act = deed_list_registered },
    { "get-disabled-users-list", "Get List of Disabled Users", "In the order of their names.", list_rows, .act = deed_list_disabled },
    { "get-online-users-list", "Get List of Online Users", "In the order of their names.", list_rows, .act = deed_list_online },
    { "announce", "Send Announcement", "Shown now to everybody who is there, and to the others when they log in.", announce_rows,
      .act = deed_announce },
    { "take-down-announcements", .act = deed_take_down },
    { "edit-admin", "Edit Admin List", "Those that the settings name are administrators besides.", admin_rows, .fill = deed_fill_admins,
      .act = deed_edit_admins },
    { "show-reports", .act = deed_reports },
    { "resolve-reports", "Resolve Reports", "Those that have been dealt with go.", report_rows, .fill = deed_fill_reports,
      .act = deed_resolve_reports },
    { "rate-class", "Set Rate Class", "What clients of the accounts may send in a second; the classes are in the settings.", rate_rows,
      .fill = deed_fill_rates, .act = deed_set_rates },
};

/* ---- the way of a deed ---- */

const char *deed_sentence(enum err e)
{
    switch (e) {
    case ERR_NOT_FOUND:
        return "there is no such account";
    case ERR_EXISTS:
        return "there is such an account already";
    case ERR_INVALID:
        return "this name or password is not allowed";
    default:
        return err_info(e)->sentence;
    }
}

static void deed_ended(struct command_run *r)
{
    struct deed *d = r->own;

    if (!d)
        return;
    buf_done(&d->payload);
    buf_done(&d->says);
}

static void told(struct talk *t, int64_t id, enum err e, void *arg)
{
    struct deed *d = arg;

    (void)t;
    (void)id;
    if (e)
        command_error(d->run, e);
    else if (d->good)
        command_done(d->run, buf_str(&d->payload), d->says.len ? d->says.p : NULL);
    else
        command_failed(d->run, d->says.p);
}

static void end(struct deed *d, bool good, const char *text, struct str outcome)
{
    d->good = good;
    buf_clear(&d->says);
    buf_put_z(&d->says, text ? text : "");
    if (d->says.len)
        buf_put_c(&d->says, 0);
    audit_end(d->talk, d->audit, outcome, told, d);
}

void deed_done(struct deed *d, const char *note)
{
    end(d, true, note, STR("done"));
}

void deed_failed_why(struct deed *d, const char *why)
{
    end(d, false, why, str_of(why));
}

void deed_failed(struct deed *d, enum err e)
{
    deed_failed_why(d, deed_sentence(e));
}

void deed_ask(struct deed *d, struct str form)
{
    command_ask(d->run, form, true);
}

static void ask_empty(struct deed *d)
{
    struct buf b;

    buf_init(&b, 0);
    form_open(&b, FORM_EMPTY, NS_ADMIN, d->kind->title, d->kind->instructions);
    for (const struct form_row *row = d->kind->rows; row->var; row++)
        form_put(&b, FORM_EMPTY, row, STR_NULL);
    form_close(&b);
    deed_ask(d, buf_str(&b));
    buf_done(&b);
}

/* ---- accounts, one after the other ---- */

struct each {
    deed_one_fn *one;
    const char  *note;
};

static void go_on(struct deed *d)
{
    struct each *each = d->own;
    struct str   outcome;
    char        *says;

    if (d->next < d->count) {
        each->one(d, &d->about[d->next]);
        return;
    }
    if (!d->failed) {
        deed_done(d, each->note);
        return;
    }
    outcome = arena_printf(d->arena, "%d of %d failed", d->failed, d->count);
    says = str_dup(buf_str(&d->says));
    end(d, false, says, d->count == 1 ? str_of(says) : outcome);
    free(says);
}

void deed_next(struct deed *d, enum err e)
{
    if (e) {
        d->failed++;
        buf_printf(&d->says, "%s%.*s: %s", d->says.len ? "\n" : "", STR_ARG(d->about[d->next].full), deed_sentence(e));
    }
    d->next++;
    go_on(d);
}

void deed_each(struct deed *d, deed_one_fn *one, const char *note)
{
    struct each *each = ARENA_NEW(d->arena, struct each);

    *each = (struct each){ one, note };
    d->own = each;
    go_on(d);
}

/* ---- judging ---- */

/* false: it has been said why. */
static bool accounts_are_ours(struct deed *d, const struct form_field *f)
{
    if (!f)
        return true;
    if (f->value_count > DEED_ACCOUNTS_MAX) {
        command_again(d->run, STR("too many accounts in one form"));
        return false;
    }
    d->about = arena_alloc(d->arena, sizeof *d->about * (size_t)(f->value_count + 1));
    for (int i = 0; i < f->value_count; i++) {
        struct jid *j = &d->about[d->count];

        if (f->values[i].len == 0)
            continue;
        if (jid_parse(d->arena, f->values[i], j) != OK || !str_eq(j->domain, d->talk->domain) || j->local.len == 0) {
            command_again(d->run, arena_printf(d->arena, "%.*s is no account of this server", STR_ARG(f->values[i])));
            return false;
        }
        d->count++;
    }
    return true;
}

static bool is_good(struct deed *d)
{
    struct form *f = &d->run->form;
    struct str   why = STR_NULL;

    d->count = d->next = d->failed = 0;
    buf_clear(&d->says);
    if (form_check(d->arena, f, d->kind->rows, &why) != OK) {
        command_again(d->run, why);
        return false;
    }
    if (d->kind->rows == admin_rows)
        return accounts_are_ours(d, form_field(f, "adminjids"));
    return accounts_are_ours(d, form_field(f, "accountjid")) && accounts_are_ours(d, form_field(f, "accountjids"));
}

static struct str about_text(struct deed *d)
{
    struct buf b;
    struct str text;

    buf_init(&b, AUDIT_ABOUT_BYTES_MAX);
    for (int i = 0; i < d->count; i++) {
        if (i)
            buf_put_c(&b, ' ');
        buf_put_str(&b, d->about[i].full);
    }
    text = b.overflow ? arena_printf(d->arena, "%d accounts", d->count) : arena_str(d->arena, buf_str(&b));
    buf_done(&b);
    return text;
}

static void written(struct talk *t, int64_t id, enum err e, void *arg)
{
    struct deed *d = arg;

    (void)t;
    d->audit = id;
    if (e)
        command_error(d->run, e);       /* what cannot be written down is not done */
    else
        d->kind->act(d);
}

static void begin(struct deed *d)
{
    enum err e = audit_begin(d->talk, d->run->by, d->kind->word, about_text(d), written, d);

    if (e)
        command_error(d->run, e);
}

static void deed_step(struct command_run *r)
{
    struct deed *d = r->own;

    if (!d) {
        r->own = d = ARENA_NEW(&r->arena, struct deed);
        *d = (struct deed){ .run = r, .kind = &kinds[r->command - admin_commands], .talk = r->talk, .arena = &r->arena };
    }
    _Static_assert(sizeof kinds / sizeof kinds[0] + 1 == sizeof admin_commands / sizeof admin_commands[0], "each command has its deed");
    if (r->stage == 0 && d->kind->fill)
        d->kind->fill(d);
    else if (r->stage == 0 && d->kind->rows)
        ask_empty(d);
    else if (r->stage == 0 || is_good(d))
        begin(d);
}

/* ---- who is one ---- */

static struct db_sql admin_select = { "SELECT 1 FROM admin WHERE name = ?1" };
static struct db_sql admin_forget = { "DELETE FROM admin WHERE name = (SELECT user FROM person WHERE id = ?1)" };

static void admin_loaded(struct person *p, struct db_conn *c)
{
    struct db_stmt *s;

    p->admin = db_get(c, &s, &admin_select, "s", p->jid.local) == OK;
    if (s)
        db_done(s);
}

static void admin_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &admin_forget, "i", p->id);
}

/* `bongsu user admin`, through whatever worker the operator's process asks. */
struct admin_asked {
    struct bus_request *rq;
    int64_t             audit;
    char               *user;
    bool                on;
};

static void asked_done(struct talk *t, enum err e, void *arg)
{
    struct admin_asked *g = arg;

    audit_end(t, g->audit, str_of(e ? err_info(e)->sentence : "done"), NULL, NULL);
    bus_answer(g->rq, e, STR_NULL);
    free(g->user);
    free(g);
}

static void asked_written(struct talk *t, int64_t id, enum err e, void *arg)
{
    struct admin_asked *g = arg;

    g->audit = id;
    if (!e) {
        admin_set(t, str_of(g->user), g->on, asked_done, g);
        return;
    }
    bus_answer(g->rq, e, STR_NULL);
    free(g->user);
    free(g);
}

static void admin_asked(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct talk        *t = arg;
    struct codec_reader r = codec_open(payload, 1);
    struct str          user = codec_str(&r, JID_PART_BYTES_MAX), normal;
    bool                on = codec_u64(&r) != 0;
    struct arena        a;
    struct admin_asked *g;

    (void)subject;
    if (!codec_ok(&r) || !str_is(bus_asker(rq), "keeper")) {
        bus_answer(rq, codec_ok(&r) ? ERR_DENIED : ERR_INVALID, STR_NULL);
        return;
    }
    arena_init(&a);
    if (jid_prep_local(&a, user, &normal) != OK || normal.len == 0) {
        bus_answer(rq, ERR_INVALID, STR_NULL);
    } else {
        g = NEW(struct admin_asked);
        *g = (struct admin_asked){ .rq = rq, .user = str_dup(normal), .on = on };
        if (audit_begin(t, STR("operator"), on ? "admin-on" : "admin-off", normal, asked_written, g) != OK)
            asked_written(t, 0, ERR_LIMIT, g);
    }
    arena_done(&a);
}

/* ---- accounts that ident has disabled ---- */

static void end_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    (void)t;
    (void)arg;
    if (p && !e)
        person_end_sessions(p, STR_NULL, "policy-violation", "the account was disabled");
}

static void account_disabled(void *arg, struct str subject, struct str payload)
{
    struct codec_reader r = codec_open(payload, 1);
    struct str          user = codec_str(&r, JID_PART_BYTES_MAX);

    (void)subject;
    if (codec_ok(&r))
        person_find(arg, user, end_found, NULL);
}

static void admin_init(struct talk *t)
{
    struct str role = bus_role(t->bus);
    char       subject[BUS_SUBJECT_BYTES_MAX];

    bus_subscribe(t->bus, "account.disabled", account_disabled, t);
    snprintf(subject, sizeof subject, "%.*s.admin", STR_ARG(role));
    bus_serve(t->bus, subject, admin_asked, t);
}

static const struct owned xep0133_admin_owned[] = { { "admin", "name = ?2" }, { 0 } };

const struct feature xep0133_admin = {
    .spec = "XEP-0133 1.2",
    .title = "Service Administration",
    .note = "no reading of passwords; restart and shut-down are commands of the machine",
    .migrations = admin_migrations,
    .commands = admin_commands,
    .person_loaded = admin_loaded,
    .person_deleted = admin_deleted,
    .init = admin_init,
    .owned = xep0133_admin_owned,
};
