/* XEP-0401 Ad-hoc Account Invitation Generation 0.6.0: two commands. Everyone may invite a contact; administrators may invite to an
 * account with a name of their choice. What an invitation is: talk/invite.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "id/ident.h"
#include "talk/admin.h"
#include "talk/command.h"
#include "talk/feature.h"
#include "talk/owned.h"
#include "talk/invite.h"

#define NS_INVITE "urn:xmpp:invite"
#define DAY_US (86400LL * 1000000)

struct making {
    struct change       change;
    struct command_run *run;
    struct arena        arena;
    struct invite       invite;
    char                token[INVITE_TOKEN_CHARS + 1];
    enum err            refused;        /* ERR_LIMIT, ERR_EXISTS: not the database's fault */
};

static struct making *making_new(struct command_run *r, unsigned may)
{
    struct making *m = NEW(struct making);
    ptrdiff_t      at = str_find(r->by, '@');

    m->run = r;
    arena_init(&m->arena);
    invite_token_make(m->token);
    m->invite = (struct invite){ .may = may, .inviter = arena_str(&m->arena, str_make(r->by.p, (size_t)at)),
                                 .username = STR(""), .expires_us = clock_us() / 1000000 * 1000000 + INVITE_DAYS * DAY_US };
    return m;
}

static void making_free(struct making *m)
{
    mem_wipe(m->token, sizeof m->token);
    arena_done(&m->arena);
    free(m);
}

static void tell(struct making *m)
{
    char        when[CLOCK_TEXT_BYTES];
    const char *page;
    struct buf  b, uri;

    buf_init(&b, 0);
    buf_init(&uri, 0);
    invite_put_uri(&uri, &m->invite, m->run->talk->domain, str_of(m->token));
    form_open(&b, FORM_RESULT, NS_INVITE "#invitation", NULL, NULL);
    form_put(&b, FORM_RESULT, &(struct form_row){ "uri", FORM_TEXT, "The invitation, as a link" }, buf_str(&uri));
    page = settings_text(m->run->talk->settings, "talk.invite_page");
    buf_clear(&uri);
    if (*page) {
        invite_put_page(&uri, page, &m->invite, m->run->talk->domain, str_of(m->token));
        form_put(&b, FORM_RESULT, &(struct form_row){ "landing-url", FORM_TEXT, "The same, as a page" }, buf_str(&uri));
    }
    form_put(&b, FORM_RESULT, &(struct form_row){ "expire", FORM_TEXT, "Good until" }, clock_format(m->invite.expires_us, when));
    form_close(&b);
    command_done(m->run, buf_str(&b), NULL);
    buf_done(&uri);
    buf_done(&b);
}

static enum err put_apply(struct db_conn *c, struct change *ch)
{
    struct making *m = (struct making *)ch;
    enum err       e = invite_put(c, str_of(m->token), &m->invite, clock_us());

    m->refused = e == ERR_LIMIT || e == ERR_EXISTS ? e : OK;
    return m->refused ? OK : e;
}

static void put_done(struct talk *t, struct change *ch, enum err e)
{
    struct making *m = (struct making *)ch;

    (void)t;
    if (e)
        command_error(m->run, e);
    else if (m->refused == ERR_LIMIT)
        command_failed(m->run, "you have too many invitations that nobody has used yet; wait until some are used or expired");
    else if (m->refused)
        command_failed(m->run, "there is an invitation for this name already");
    else
        tell(m);
    making_free(m);
}

static void put(struct making *m)
{
    m->change.apply = put_apply;
    m->change.done = put_done;
    if (session_change(NULL, m->run->talk, &m->change) == OK)
        return;
    command_error(m->run, ERR_LIMIT);
    making_free(m);
}

/* ---- a contact ---- */

static bool may_invite_accounts(const struct command_run *r)
{
    struct session *s = session_find(r->talk, r->session_id);

    return r->talk->limits.invitations || (s && s->person && person_is_admin(s->person));
}

static void contact_step(struct command_run *r)
{
    put(making_new(r, INVITE_CONTACT | (may_invite_accounts(r) ? INVITE_ACCOUNT : 0)));
}

/* ---- an account ---- */

static const struct form_row account_rows[] = {
    { "username", FORM_TEXT, "The name that it is for; empty: the invited person chooses", .max = JID_PART_BYTES_MAX },
    { "roster-subscription", FORM_BOOL, "Become each other's contact" },
    { 0 },
};

static void account_known(void *arg, enum err e)
{
    struct making *m = arg;

    if (e == ERR_NOT_FOUND) {
        put(m);
        return;
    }
    if (e)
        command_error(m->run, e);
    else
        command_failed(m->run, "there is such an account already");
    making_free(m);
}

static void account_make(struct command_run *r)
{
    struct str     why, name = form_value(&r->form, "username");
    struct making *m;

    if (form_check(&r->arena, &r->form, account_rows, &why) != OK) {
        command_again(r, why);
        return;
    }
    m = making_new(r, INVITE_ACCOUNT | (form_bool(&r->form, "roster-subscription", false) ? INVITE_CONTACT : 0));
    if (name.len == 0) {
        put(m);
    } else if (jid_prep_local(&m->arena, name, &m->invite.username) != OK) {
        command_again(r, STR("this cannot be the name of an account"));
        making_free(m);
    } else {
        enum err e = ident_user_exists(r->talk->bus, m->invite.username, account_known, m);

        if (e)
            account_known(m, e == ERR_NOT_FOUND ? ERR_UNAVAILABLE : e);
    }
}

static void account_step(struct command_run *r)
{
    struct buf b;

    if (r->stage) {
        account_make(r);
        return;
    }
    buf_init(&b, 0);
    form_open(&b, FORM_EMPTY, NULL, "Invite somebody to an account",
              "The link that comes back makes one account. Send it to the person that it is for.");
    form_put(&b, FORM_EMPTY, &account_rows[0], STR_NULL);
    form_put_int(&b, FORM_EMPTY, &account_rows[1], 1);
    form_close(&b);
    command_ask(r, buf_str(&b), true);
    buf_done(&b);
}

static const struct command invite_commands[] = {
    { NS_INVITE "#invite", "Invite a contact", COMMAND_ON_SERVER, false, contact_step, NULL },
    { NS_INVITE "#create-account", "Invite somebody to an account", COMMAND_ON_SERVER, true, account_step, NULL },
    { 0 },
};

static void invitations_deleted(struct person *p, struct db_conn *c)
{
    static struct db_sql all = { "DELETE FROM invite WHERE inviter = ?1 OR used_by = ?1" };

    db_run(c, &all, "s", p->jid.local);
}

static const struct owned xep0401_invitations_owned[] = { { "invite", "inviter = ?2 OR used_by = ?2" }, { 0 } };

const struct feature xep0401_invitations = {
    .spec = "XEP-0401 0.6.0",
    .title = "Ad-hoc Account Invitation Generation",
    .note = "the landing page is static: what it needs is in its fragment",
    .commands = invite_commands,
    .migrations = invite_migrations,
    .tick = invite_tick,
    .owned = xep0401_invitations_owned,
    .person_deleted = invitations_deleted,
};
