/* XEP-0133: how many accounts there are, who is there, and what is known of one; see xep0133_admin.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "id/ident.h"
#include "talk/devices.h"
#include "talk/feature.h"
#include "talk/roster.h"
#include "talk/xep/xep0133_admin.h"
#include <stdlib.h>

enum { LIST_MAX = 500, LIST_DEFAULT = 100 };

static void results_open(struct deed *d)
{
    buf_clear(&d->payload);
    form_open(&d->payload, FORM_RESULT, NS_ADMIN, NULL, NULL);
}

static void results_done(struct deed *d, const char *note)
{
    form_close(&d->payload);
    deed_done(d, note);
}

/* ---- numbers ---- */

static void put_number(struct deed *d, const char *var, const char *label, int64_t value)
{
    const struct form_row row = { var, FORM_TEXT, label };

    results_open(d);
    form_put_int(&d->payload, FORM_RESULT, &row, value);
    results_done(d, NULL);
}

static void registered_counted(void *arg, enum err e, int64_t all, int64_t disabled)
{
    (void)disabled;
    if (e)
        deed_failed(arg, e);
    else
        put_number(arg, "registeredusersnum", "The number of registered users", all);
}

void deed_count_registered(struct deed *d)
{
    enum err e = ident_user_count(d->talk->bus, registered_counted, d);

    if (e)
        deed_failed(d, e);
}

static void disabled_counted(void *arg, enum err e, int64_t all, int64_t disabled)
{
    (void)all;
    if (e)
        deed_failed(arg, e);
    else
        put_number(arg, "disabledusersnum", "The number of disabled users", disabled);
}

void deed_count_disabled(struct deed *d)
{
    enum err e = ident_user_count(d->talk->bus, disabled_counted, d);

    if (e)
        deed_failed(d, e);
}

/* ---- who is there: in memory, or where several messengers write it, in the table of devices ---- */

static struct db_sql online_count = { "SELECT count(DISTINCT owner) FROM device" };
static struct db_sql online_page = {
    "SELECT p.user FROM person p WHERE p.user > ?1 AND EXISTS (SELECT 1 FROM device d WHERE d.owner = p.id) ORDER BY p.user LIMIT ?2" };

struct online {
    struct db_read read;
    struct deed   *deed;
    struct str     after;
    int            max, count;
    int64_t        number;
    struct str     names[LIST_MAX];
};

static int by_name(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void online_here(struct online *g)
{
    struct talk *t = g->deed->talk;
    struct str   key;
    void        *value;
    struct str  *all = malloc(sizeof *all * (t->persons.count + 1));
    size_t       n = 0;

    for (size_t it = 0; strmap_next(&t->persons, &it, &key, &value);)
        if (((struct person *)value)->session_count > 0)
            all[n++] = key;
    g->number = (int64_t)n;
    qsort(all, n, sizeof *all, by_name);
    for (size_t i = 0; i < n && g->count < g->max; i++)
        if (str_cmp(all[i], g->after) > 0)
            g->names[g->count++] = arena_str(g->deed->arena, all[i]);
    free(all);
}

static enum err online_work(struct db_conn *c, struct db_read *self)
{
    struct online  *g = (struct online *)self;
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &online_count, "");

    g->number = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    if (e || g->max == 0)
        return e;
    s = db_prepare(c, &online_page);
    if (!s)
        return ERR_BUG;
    db_bind_str(s, 1, g->after);
    db_bind_i64(s, 2, g->max);
    while ((e = db_step(s)) == OK && g->count < g->max)
        g->names[g->count++] = arena_str(g->deed->arena, db_text(s, 0));
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void put_jids(struct deed *d, const char *var, const char *label, const struct str *names, int count)
{
    const struct form_row row = { var, FORM_JID_MULTI, label };
    struct str            jids[LIST_MAX];

    for (int i = 0; i < count; i++)
        jids[i] = arena_printf(d->arena, "%.*s@%.*s", STR_ARG(names[i]), STR_ARG(d->talk->domain));
    results_open(d);
    form_put_all(&d->payload, FORM_RESULT, &row, jids, count);
    results_done(d, NULL);
}

static void online_read(struct db_read *self, enum err e)
{
    struct online *g = (struct online *)self;

    if (e)
        deed_failed(g->deed, e);
    else if (g->max == 0)
        put_number(g->deed, "onlineusersnum", "The number of online users", g->number);
    else
        put_jids(g->deed, "onlineuserjids", "The online users", g->names, g->count);
}

static void online_start(struct deed *d, struct str after, int max)
{
    struct online *g = ARENA_NEW(d->arena, struct online);
    enum err       e = OK;

    g->read = (struct db_read){ .work = online_work, .done = online_read };
    g->deed = d;
    g->after = after.p ? after : STR("");
    g->max = max;
    if (d->talk->shared) {
        e = db_read_start(d->talk->db, &g->read);
        if (!e)
            return;
    } else {
        online_here(g);
    }
    online_read(&g->read, e);
}

void deed_count_online(struct deed *d)
{
    online_start(d, STR_NULL, 0);
}

static int how_many(struct deed *d)
{
    return (int)form_int(&d->run->form, "max_items", LIST_DEFAULT);
}

void deed_list_online(struct deed *d)
{
    online_start(d, form_value(&d->run->form, "after"), how_many(d));
}

/* ---- accounts, from ident ---- */

static void tell_users(struct deed *d, const char *var, const char *label, enum err e, const struct ident_user *users, int count)
{
    struct str names[LIST_MAX];

    if (e) {
        deed_failed(d, e);
        return;
    }
    for (int i = 0; i < count && i < LIST_MAX; i++)
        names[i] = users[i].name;
    put_jids(d, var, label, names, count < LIST_MAX ? count : LIST_MAX);
}

static void registered_listed(void *arg, enum err e, const struct ident_user *users, int count)
{
    tell_users(arg, "registereduserjids", "The registered users", e, users, count);
}

static void disabled_listed(void *arg, enum err e, const struct ident_user *users, int count)
{
    tell_users(arg, "disableduserjids", "The disabled users", e, users, count);
}

static void list_accounts(struct deed *d, bool only_disabled)
{
    enum err e = ident_users(d->talk->bus, form_value(&d->run->form, "after"), how_many(d), only_disabled,
                             only_disabled ? disabled_listed : registered_listed, d);

    if (e)
        deed_failed(d, e);
}

void deed_list_registered(struct deed *d) { list_accounts(d, false); }
void deed_list_disabled(struct deed *d) { list_accounts(d, true); }

/* ---- one account ---- */

static void roster_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct deed *d = arg;

    (void)t;
    if (e) {
        deed_next(d, e);
        return;
    }
    form_put_value(&d->payload, "accountjids", p->jid.bare);
    BUF_LIT(&d->payload, "<query xmlns='jabber:iq:roster'>");
    for (int i = 0; i < p->item_count; i++)
        if (p->items[i].listed)
            roster_put_item(&d->payload, &p->items[i]);
    BUF_LIT(&d->payload, "</query>");
    if (d->next + 1 == d->count)
        form_close(&d->payload);
    deed_next(d, OK);
}

static void roster_one(struct deed *d, const struct jid *account)
{
    person_find(d->talk, account->local, roster_found, d);
}

void deed_roster(struct deed *d)
{
    if (d->count != 1) {
        deed_failed_why(d, "one account at a time");
        return;
    }
    results_open(d);
    deed_each(d, roster_one, NULL);
}

struct last {
    struct db_read read;
    struct deed   *deed;
    int64_t        owner, at_us;
};

static enum err last_work(struct db_conn *c, struct db_read *self)
{
    static struct db_sql select = { "SELECT at FROM last WHERE owner = ?1" };
    struct last         *g = (struct last *)self;
    struct db_stmt      *s;
    enum err             e = db_get(c, &s, &select, "i", g->owner);

    g->at_us = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void last_tell(struct deed *d, struct str when)
{
    form_put_value(&d->payload, "accountjids", d->about[d->next].bare);
    form_put_value(&d->payload, "lastlogin", when);
    form_close(&d->payload);
    deed_next(d, OK);
}

static void last_read(struct db_read *self, enum err e)
{
    struct last *g = (struct last *)self;
    char         text[CLOCK_TEXT_BYTES];

    if (e)
        deed_next(g->deed, e);
    else
        last_tell(g->deed, g->at_us ? clock_format(g->at_us - g->at_us % 1000000, text) : STR("never"));
}

static void last_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct deed *d = arg;
    struct last *g;

    if (e) {
        deed_next(d, e);
        return;
    }
    if (p->session_count || p->device_count) {
        last_tell(d, STR("Online"));
        return;
    }
    g = ARENA_NEW(d->arena, struct last);
    g->read = (struct db_read){ .work = last_work, .done = last_read };
    g->deed = d;
    g->owner = p->id;
    e = db_read_start(t->db, &g->read);
    if (e)
        deed_next(d, e);
}

static void last_one(struct deed *d, const struct jid *account)
{
    person_find(d->talk, account->local, last_found, d);
}

void deed_last_login(struct deed *d)
{
    if (d->count != 1) {
        deed_failed_why(d, "one account at a time");
        return;
    }
    results_open(d);
    deed_each(d, last_one, NULL);
}

static void put_many(struct deed *d, const char *var, const char *label, const struct str *values, int count)
{
    const struct form_row row = { var, FORM_TEXT_MULTI, label };

    form_put_all(&d->payload, FORM_RESULT, &row, values, count);
}

static void stats_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct deed *d = arg;
    struct str   resources[ROSTER_SESSIONS_MAX], addresses[ROSTER_SESSIONS_MAX];
    int          n = 0, known = 0, listed = 0;

    (void)t;
    if (e) {
        deed_next(d, e);
        return;
    }
    LIST_EACH(it, &p->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);
        char            peer[64];

        if (n == ROSTER_SESSIONS_MAX)
            break;
        resources[n++] = s->jid.resource;
        if (s->conn)
            addresses[known++] = arena_str(d->arena, conn_peer_key(s->conn, peer));
    }
    for (int i = 0; i < p->device_count && n < ROSTER_SESSIONS_MAX; i++)
        resources[n++] = str_of(p->devices[i].resource);
    for (int i = 0; i < p->item_count; i++)
        listed += p->items[i].listed;
    put_many(d, "ipaddresses", "Addresses, of devices at this worker", addresses, known);
    form_put_int(&d->payload, FORM_RESULT, &(const struct form_row){ "rostersize", FORM_TEXT, "Contacts" }, listed);
    put_many(d, "onlineresources", "Devices", resources, n);
    form_put_int(&d->payload, FORM_RESULT, &(const struct form_row){ "offlinemessages", FORM_TEXT, "Messages that wait" }, p->offline_count);
    form_close(&d->payload);
    deed_next(d, OK);
}

static void stats_one(struct deed *d, const struct jid *account)
{
    person_find(d->talk, account->local, stats_found, d);
}

void deed_stats(struct deed *d)
{
    results_open(d);
    deed_each(d, stats_one, NULL);
}
