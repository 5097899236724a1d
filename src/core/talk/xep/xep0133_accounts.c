/* XEP-0133: deeds on accounts: made, deleted, disabled, given another password. Ident does them; see xep0133_admin.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/ident.h"
#include "talk/admin.h"
#include "talk/xep/xep0133_admin.h"

/* ---- one account, with a password ---- */

static void answered(void *arg, enum err e)
{
    struct deed *d = arg;

    if (e)
        deed_failed(d, e);
    else
        deed_done(d, NULL);
}

static void sent(enum err e, struct deed *d)
{
    if (e)
        deed_failed(d, e);
}

void deed_add_user(struct deed *d)
{
    struct str password = form_value(&d->run->form, "password");

    if (!str_eq(password, form_value(&d->run->form, "password-verify")))
        deed_failed_why(d, "the two passwords differ");
    else
        sent(ident_user_add(d->talk->bus, d->about[0].local, password, answered, d), d);
}

void deed_change_password(struct deed *d)
{
    sent(ident_user_password(d->talk->bus, d->about[0].local, form_value(&d->run->form, "password"), answered, d), d);
}

/* ---- several ---- */

static void next_answered(void *arg, enum err e)
{
    deed_next(arg, e);
}

static void next_sent(enum err e, struct deed *d)
{
    if (e)
        deed_next(d, e);
}

static void delete_one(struct deed *d, const struct jid *account)
{
    next_sent(ident_user_delete(d->talk->bus, account->local, next_answered, d), d);
}

void deed_delete_users(struct deed *d)
{
    deed_each(d, delete_one, NULL);
}

static void disable_one(struct deed *d, const struct jid *account)
{
    next_sent(ident_user_disable(d->talk->bus, account->local, true, next_answered, d), d);
}

void deed_disable_users(struct deed *d)
{
    deed_each(d, disable_one, NULL);
}

static void enable_one(struct deed *d, const struct jid *account)
{
    next_sent(ident_user_disable(d->talk->bus, account->local, false, next_answered, d), d);
}

void deed_enable_users(struct deed *d)
{
    deed_each(d, enable_one, NULL);
}

/* ---- sessions ---- */

static void end_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct deed *d = arg;

    (void)t;
    if (!e)
        person_end_sessions(p, d->about[d->next].resource, "policy-violation", "an administrator has ended the session");
    deed_next(d, e);
}

static void end_one(struct deed *d, const struct jid *account)
{
    person_find(d->talk, account->local, end_found, d);
}

void deed_end_sessions(struct deed *d)
{
    deed_each(d, end_one, NULL);
}

/* ---- administrators: what is not in the new list goes, what is new comes ---- */

struct admins {
    struct db_read read;
    struct deed   *deed;
    struct str     names[ADMINS_MAX];
    int            count;
    int            at;          /* next to be set: first the old ones, then those of the form */
};

static enum err admins_work(struct db_conn *c, struct db_read *self)
{
    struct admins *g = (struct admins *)self;

    return admins_read(c, g->deed->arena, g->names, &g->count);
}

static void fill_read(struct db_read *self, enum err e)
{
    struct admins              *g = (struct admins *)self;
    struct deed                *d = g->deed;
    static const struct form_row *row;
    struct str                  jids[ADMINS_MAX];
    struct buf                  b;

    if (e) {
        command_error(d->run, e);
        return;
    }
    row = d->kind->rows;
    for (int i = 0; i < g->count; i++)
        jids[i] = arena_printf(d->arena, "%.*s@%.*s", STR_ARG(g->names[i]), STR_ARG(d->talk->domain));
    buf_init(&b, 0);
    form_open(&b, FORM_EMPTY, NS_ADMIN, d->kind->title, d->kind->instructions);
    form_put_all(&b, FORM_EMPTY, row, jids, g->count);
    form_close(&b);
    deed_ask(d, buf_str(&b));
    buf_done(&b);
}

static void admins_start(struct deed *d, void (*done)(struct db_read *self, enum err e))
{
    struct admins *g = ARENA_NEW(d->arena, struct admins);
    enum err       e;

    g->read = (struct db_read){ .work = admins_work, .done = done };
    g->deed = d;
    e = db_read_start(d->talk->db, &g->read);
    if (e)
        done(&g->read, e);
}

void deed_fill_admins(struct deed *d)
{
    admins_start(d, fill_read);
}

static bool stays(const struct deed *d, struct str name)
{
    for (int i = 0; i < d->count; i++)
        if (str_eq(d->about[i].local, name))
            return true;
    return false;
}

static void set_next(struct admins *g);

static void was_set(struct talk *t, enum err e, void *arg)
{
    struct admins *g = arg;

    (void)t;
    if (e)
        deed_failed(g->deed, e);
    else
        set_next(g);
}

static void set_next(struct admins *g)
{
    struct deed *d = g->deed;
    int          at;

    while (g->at < g->count && stays(d, g->names[g->at]))
        g->at++;
    at = g->at++;
    if (at < g->count)
        admin_set(d->talk, g->names[at], false, was_set, g);
    else if (at - g->count < d->count)
        admin_set(d->talk, d->about[at - g->count].local, true, was_set, g);
    else
        deed_done(d, NULL);
}

static void edit_read(struct db_read *self, enum err e)
{
    struct admins *g = (struct admins *)self;

    if (e)
        deed_failed(g->deed, e);
    else
        set_next(g);
}

void deed_edit_admins(struct deed *d)
{
    admins_start(d, edit_read);
}
