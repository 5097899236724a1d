/* xep0133_admin.h: one administrative deed: a form, a row in the audit log, the work, the outcome.
 *
 *   form ─judged─▶ audit_begin ─durable─▶ act ─▶ deed_done / deed_failed ─▶ audit_end ─durable─▶ the administrator is told
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/command.h"

#define NS_ADMIN "http://jabber.org/protocol/admin"

enum { DEED_ACCOUNTS_MAX = 100 };       /* in one form */

struct deed;
struct deed_kind {
    const char            *word;                        /* for the audit log */
    const char            *title, *instructions;
    const struct form_row *rows;                        /* NULL: nothing is asked */
    void                 (*fill)(struct deed *d);       /* asks with values that must be read first: ends with deed_ask; NULL: an empty form */
    void                 (*act)(struct deed *d);        /* ends with deed_done or deed_failed, now or later */
};

struct deed {
    struct command_run     *run;
    const struct deed_kind *kind;
    struct talk            *talk;
    struct arena           *arena;          /* of the run */
    int64_t                 audit;
    int                     count, next;    /* of `about`: the fields accountjid, accountjids */
    int                     failed;
    struct jid             *about;
    struct buf              payload;        /* a form of results, to be sent with the outcome */
    struct buf              says;           /* one line for each that failed */
    bool                    good;
    void                   *own;            /* of act, in the arena */
};

void deed_ask(struct deed *d, struct str form);
/* `note` is copied; d->payload goes with it. */
void deed_done(struct deed *d, const char *note);
void deed_failed(struct deed *d, enum err e);
void deed_failed_why(struct deed *d, const char *why);
/* For each account of the form, one after the other: `one` ends with deed_next. Then deed_done(note), or what failed is told. */
typedef void deed_one_fn(struct deed *d, const struct jid *account);
void deed_each(struct deed *d, deed_one_fn *one, const char *note);
void deed_next(struct deed *d, enum err e);
const char *deed_sentence(enum err e);

/* the kinds' work */
void deed_add_user(struct deed *d), deed_delete_users(struct deed *d), deed_disable_users(struct deed *d), deed_enable_users(struct deed *d),
    deed_change_password(struct deed *d), deed_end_sessions(struct deed *d), deed_roster(struct deed *d), deed_last_login(struct deed *d),
    deed_stats(struct deed *d), deed_count_registered(struct deed *d), deed_count_disabled(struct deed *d),
    deed_count_online(struct deed *d), deed_list_registered(struct deed *d), deed_list_disabled(struct deed *d),
    deed_announce(struct deed *d), deed_take_down(struct deed *d), deed_reports(struct deed *d), deed_fill_reports(struct deed *d),
    deed_resolve_reports(struct deed *d), deed_fill_rates(struct deed *d), deed_set_rates(struct deed *d), deed_list_online(struct deed *d), deed_fill_admins(struct deed *d), deed_edit_admins(struct deed *d);
