/* XEP-0133: what administrators say to everybody (banner.h), and what people reported to them (XEP-0377); see xep0133_admin.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/mem.h"
#include "talk/banner.h"
#include "talk/rates.h"
#include "talk/xep/xep0133_admin.h"
#include "talk/xep/xep0377_reporting.h"
#include <stdlib.h>

/* ---- announcements ---- */

static void put_up(struct talk *t, enum err e, void *arg)
{
    struct deed *d = arg;

    (void)t;
    if (e == ERR_LIMIT)
        deed_failed_why(d, "too many announcements are in force: take some down");
    else if (e)
        deed_failed(d, e);
    else
        deed_done(d, NULL);
}

void deed_announce(struct deed *d)
{
    const struct form *f = &d->run->form;
    struct str         subject = form_value(f, "subject"), text = form_text(d->arena, f, "announcement"), until = form_value(f, "until");
    int64_t            until_us = 0;

    if (until.len && (!clock_parse(until, &until_us) || until_us < clock_us()))
        deed_failed_why(d, "that time has passed");
    else if (text.len > BANNER_TEXT_BYTES_MAX)
        deed_failed_why(d, "the text is too long");
    else
        banner_put(d->talk, d->run->by, subject.p ? subject : STR(""), text, until_us, put_up, d);
}

void deed_take_down(struct deed *d)
{
    banner_clear(d->talk, put_up, d);
}

/* ---- reports ---- */

enum { SHOWN_MAX = 50 };

struct reports {
    struct db_read     read;
    struct deed       *deed;
    struct report_row *rows;
    int                count;
};

static enum err reports_work(struct db_conn *c, struct db_read *self)
{
    struct reports *g = (struct reports *)self;

    return reports_read(c, g->deed->arena, 0, SHOWN_MAX, &g->rows, &g->count);
}

static const struct form_row columns[] = {
    { "id", FORM_TEXT, "Number" }, { "at", FORM_TEXT, "When" }, { "reporter", FORM_JID, "Who" }, { "about", FORM_JID, "About whom" },
    { "reason", FORM_TEXT, "Why" }, { "text", FORM_TEXT, "In their words" }, { "message", FORM_TEXT_MULTI, "Messages" }, { 0 },
};

static void put_row(struct deed *d, const struct report_row *r)
{
    struct buf *b = &d->payload;
    char        when[CLOCK_TEXT_BYTES];

    BUF_LIT(b, "<item>");
    form_put_value(b, "id", arena_printf(d->arena, "%lld", (long long)r->id));
    form_put_value(b, "at", clock_format(r->at_us - r->at_us % 1000000, when));
    form_put_value(b, "reporter", r->reporter);
    form_put_value(b, "about", r->about);
    form_put_value(b, "reason", r->reason);
    form_put_value(b, "text", r->text);
    form_put_all(b, FORM_SUBMIT, &columns[6], r->messages, r->message_count);   /* the column says its type */
    BUF_LIT(b, "</item>");
}

static void reports_list(struct db_read *self, enum err e)
{
    struct reports *g = (struct reports *)self;
    struct deed    *d = g->deed;

    if (e) {
        deed_failed(d, e);
        return;
    }
    form_open(&d->payload, FORM_RESULT, NS_ADMIN, "Reports", NULL);
    form_put_reported(&d->payload, columns);
    for (int i = 0; i < g->count; i++)
        put_row(d, &g->rows[i]);
    form_close(&d->payload);
    deed_done(d, g->count ? NULL : "There are no reports.");
}

static void reports_start(struct deed *d, void (*done)(struct db_read *self, enum err e))
{
    struct reports *g = ARENA_NEW(d->arena, struct reports);
    enum err        e;

    g->read = (struct db_read){ .work = reports_work, .done = done };
    g->deed = d;
    e = db_read_start(d->talk->db, &g->read);
    if (e)
        done(&g->read, e);
}

void deed_reports(struct deed *d)
{
    reports_start(d, reports_list);
}

/* ---- a report is dealt with ---- */

static void reports_ask(struct db_read *self, enum err e)
{
    struct reports    *g = (struct reports *)self;
    struct deed       *d = g->deed;
    struct form_option options[SHOWN_MAX + 1] = { { 0 } };
    struct form_row    row = d->kind->rows[0];
    struct buf         b;

    if (e) {
        command_error(d->run, e);
        return;
    }
    for (int i = 0; i < g->count; i++)
        options[i] = (struct form_option){ arena_printf(d->arena, "%lld", (long long)g->rows[i].id).p,
                                           arena_printf(d->arena, "%.*s about %.*s", STR_ARG(g->rows[i].reporter), STR_ARG(g->rows[i].about)).p };
    row.options = options;
    buf_init(&b, 0);
    form_open(&b, FORM_EMPTY, NS_ADMIN, d->kind->title, d->kind->instructions);
    form_put(&b, FORM_EMPTY, &row, STR_NULL);
    form_close(&b);
    deed_ask(d, buf_str(&b));
    buf_done(&b);
}

void deed_fill_reports(struct deed *d)
{
    reports_start(d, reports_ask);
}

struct resolve {
    struct change change;
    struct deed  *deed;
    int           count;
    int64_t       ids[];
};

static enum err resolve_apply(struct db_conn *c, struct change *ch)
{
    struct resolve *r = (struct resolve *)ch;
    enum err        e = OK;

    for (int i = 0; i < r->count && !e; i++)
        e = report_delete(c, r->ids[i]);
    return e;
}

static void resolved(struct talk *t, struct change *ch, enum err e)
{
    struct resolve *r = (struct resolve *)ch;
    struct deed    *d = r->deed;

    (void)t;
    free(r);
    if (e)
        deed_failed(d, e);
    else
        deed_done(d, NULL);
}

void deed_resolve_reports(struct deed *d)
{
    const struct form_field *f = form_field(&d->run->form, "reports");
    struct resolve          *r = mem_new(sizeof *r + sizeof r->ids[0] * (size_t)(f ? f->value_count : 0));
    enum err                 e;

    *r = (struct resolve){ .deed = d };
    for (int i = 0; f && i < f->value_count; i++)
        if (str_to_i64(f->values[i], &r->ids[r->count]))
            r->count++;
    r->change.apply = resolve_apply;
    r->change.done = resolved;
    e = session_change(NULL, d->talk, &r->change);
    if (e)
        resolved(d->talk, &r->change, e);
}

/* ---- rate classes ---- */

void deed_fill_rates(struct deed *d)
{
    struct rate_class  all[RATE_CLASSES_MAX];
    struct form_option options[RATE_CLASSES_MAX + 2] = { { "default", "as everybody" } };
    struct form_row    row = d->kind->rows[1];
    int                n = rates_read(settings_text(d->talk->settings, "talk.rate_classes"), all);
    struct buf         b;

    for (int i = 0; i < n; i++)
        options[i + 1] = (struct form_option){ all[i].name, arena_printf(d->arena, "%s: %d stanzas, %d bytes a second", all[i].name,
                                                                         all[i].stanzas, all[i].bytes).p };
    row.options = options;
    buf_init(&b, 0);
    form_open(&b, FORM_EMPTY, NS_ADMIN, d->kind->title, d->kind->instructions);
    form_put(&b, FORM_EMPTY, &d->kind->rows[0], STR_NULL);
    form_put(&b, FORM_EMPTY, &row, STR("default"));
    form_close(&b);
    deed_ask(d, buf_str(&b));
    buf_done(&b);
}

static void rate_was_set(struct talk *t, enum err e, void *arg)
{
    (void)t;
    deed_next(arg, e);
}

static void set_one(struct deed *d, const struct jid *account)
{
    struct str class = form_value(&d->run->form, "class");

    rates_set(d->talk, account->local, str_is(class, "default") ? STR("") : class, rate_was_set, d);
}

void deed_set_rates(struct deed *d)
{
    struct rate_class all[RATE_CLASSES_MAX];
    struct str        class = form_value(&d->run->form, "class");
    int               n = rates_read(settings_text(d->talk->settings, "talk.rate_classes"), all);
    bool              known = str_is(class, "default");

    for (int i = 0; i < n; i++)
        known |= str_is(class, all[i].name);
    if (known)
        deed_each(d, set_one, NULL);
    else
        deed_failed_why(d, "there is no such class in talk.rate_classes");
}
