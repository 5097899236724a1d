/* service.c: courier's life and its table of subjects.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/service.h"
#include <stdlib.h>
#include "base/mem.h"
#include "base/metric.h"
#include "courier/inner.h"
#include "courier/settings.h"
#include "wire/jid.h"

METRIC_GAUGE(commit_queue, "bongsu_courier_commit_queue", "Operations that wait to be durable.");

static const struct {
    const char         *subject;
    courier_handler_fn *handle;
    bool                operators_only;     /* not by those that face strangers */
} rows[] = {
    { "courier.status", courier_status, true },
    { "courier.push", push_order, false },
    { "courier.push.key", push_key, false },
};

/* talk, its further workers talk2, talk3 …, and web. */
static bool faces_strangers(struct str asker)
{
    return str_starts(asker, STR("talk")) || str_is(asker, "web");
}

static void serve(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct courier     *c = arg;
    struct codec_reader r = codec_open(payload, COURIER_PAYLOAD_VERSION);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!str_is(subject, rows[i].subject))
            continue;
        if (rows[i].operators_only && faces_strangers(bus_asker(rq)))
            bus_answer(rq, ERR_DENIED, STR_NULL);
        else
            rows[i].handle(c, rq, &r);
        return;
    }
    bus_answer(rq, ERR_UNSUPPORTED, STR_NULL);
}

/* Numbers for whoever looks: operations that wait, the disk's state. */
void courier_status(struct courier *c, struct bus_request *rq, struct codec_reader *r)
{
    struct buf out;

    (void)r;
    buf_init(&out, 0);
    codec_begin(&out, COURIER_PAYLOAD_VERSION);
    codec_put_i64(&out, (int64_t)commit_waiting(c->db));
    codec_put_str(&out, str_of(err_info(commit_health(c->db))->name));
    bus_answer(rq, OK, buf_str(&out));
    buf_done(&out);
}

/* ---- life ---- */

static void tick(struct timer *timer)
{
    struct courier *c = LIST_ITEM(timer, struct courier, tick);

    timer_start(c->loop, timer, 1000, tick);
    metric_set(&commit_queue, (int64_t)commit_waiting(c->db));
    push_tick(c);
}

static enum err domain_read(struct courier *c, struct arena *a, struct str *why)
{
    struct str domain;
    enum err   e = jid_prep_domain(a, str_of(settings_text(c->settings, "domain")), &domain);

    if (e)
        *why = arena_printf(a, "the setting domain = \"%s\" is not a domain name", settings_text(c->settings, "domain"));
    else
        c->domain = str_dup(domain);
    return e;
}

enum err courier_new(struct loop *l, struct bus *b, const struct settings *s, const struct courier_listen *listen, int listen_count,
                     struct courier **out, struct arena *a, struct str *why)
{
    struct courier    *c = NEW(struct courier);
    struct db_settings ds = courier_database(s, a);
    enum err           e;

    c->loop = l;
    c->bus = b;
    c->settings = s;
    *out = c;
    e = domain_read(c, a, why);
    if (!e)
        e = db_open(l, &ds, courier_migrations(), &c->db, a, why);
    if (!e) {
        *why = STR("could not start what asks push services");
        e = push_start(c);
    }
    if (!e)
        e = bus_serve(b, "courier.*", serve, c);
    if (!e)
        timer_start(l, &c->tick, 1000, tick);
    return e;
}

enum err courier_reload(struct courier *c, const struct settings *s, struct arena *a, struct str *why)
{
    (void)a;
    (void)why;
    c->settings = s;
    push_reload(c);
    return OK;
}

void courier_stop(struct courier *c, void (*done)(void *arg), void *arg)
{
    c->stopping = true;
    push_stop(c);
    done(arg);
}

void courier_free(struct courier **cp)
{
    struct courier *c = *cp;

    if (!c)
        return;
    *cp = NULL;
    timer_stop(c->loop, &c->tick);
    db_close(&c->db);
    push_free(c);
    free(c->domain);
    free(c);
}

enum err courier_health(const struct courier *c)
{
    return commit_health(c->db);
}
