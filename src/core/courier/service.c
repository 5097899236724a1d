/* service.c: courier's life and its table of subjects.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/service.h"
#include <idn-free.h>
#include <idna.h>
#include <stdlib.h>
#include "base/mem.h"
#include "base/metric.h"
#include "courier/inner.h"
#include "courier/lease.h"
#include "courier/names.h"
#include "courier/s2s.h"
#include "courier/settings.h"
#include "crypto/digest.h"

METRIC_GAUGE(commit_queue, "bongsu_courier_commit_queue", "Operations that wait to be durable.");

enum { STOP_MS = 300, SWEEP_ALONE_S = 60, SWEEP_SHARED_S = 5 };

static const struct {
    const char         *subject;
    courier_handler_fn *handle;
    bool                operators_only; /* not by those that face strangers */
} rows[] = {
    { "courier.push", push_order, false },
    { "courier.push.key", push_key, false },
    { "courier.send", queue_send, false },
    { "courier.status", courier_status, true },
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

/* ---- names ---- */

bool courier_is_ours(const struct courier *c, struct str domain)
{
    return jid_domain_is_within(domain, c->domain);
}

bool courier_may_speak(const struct courier *c, struct str domain)
{
    if (*c->allowed && !courier_domain_in(str_of(c->allowed), domain))
        return false;
    return !courier_domain_in(str_of(c->blocked), domain);
}

bool courier_ascii(struct str domain, char out[256])
{
    char text[COURIER_DOMAIN_BYTES_MAX + 1], *ascii = NULL;
    bool fine = domain.len && str_copy(domain, text, sizeof text) && idna_to_ascii_8z(text, &ascii, IDNA_ALLOW_UNASSIGNED) == IDNA_SUCCESS;

    fine = fine && str_copy(str_of(ascii), out, 256);
    idn_free(ascii);
    return fine;
}

/* ---- time ---- */

static void tick(struct timer *timer)
{
    struct courier *c = LIST_ITEM(timer, struct courier, tick);

    timer_start(c->loop, timer, 1000, tick);
    LIST_EACH(it, &c->streams)
        s2s_tick(LIST_ITEM(it, struct s2s, in_courier));
    links_tick(c);
    leases_tick(c);
    queue_tick(c);
    if (--c->sweep_in_s <= 0) {
        c->sweep_in_s = c->leases ? SWEEP_SHARED_S : SWEEP_ALONE_S;
        link_sweep(c);
    }
    metric_set(&commit_queue, (int64_t)commit_waiting(c->db));
    push_tick(c);
}

/* ---- birth ---- */

/* Names as people write them, or DNS does, become what addresses have. */
static char *list_read(struct str list)
{
    struct arena a;
    struct buf   b;
    char        *out;

    arena_init(&a);
    buf_init(&b, 0);
    while (list.len) {
        struct str one = str_trim(str_split(&list, ',')), name;

        if (str_starts(one, STR("*."))) {
            BUF_LIT(&b, "*.");
            one = str_make(one.p + 2, one.len - 2);
        }
        buf_put_str(&b, jid_prep_domain(&a, one, &name) == OK ? name : one);
        buf_put_c(&b, ',');
    }
    out = str_dup(buf_str(&b));
    buf_done(&b);
    arena_done(&a);
    return out;
}

static void lists_read(struct courier *c)
{
    free(c->allowed);
    free(c->blocked);
    c->allowed = list_read(str_of(settings_text(c->settings, "federation.allowed")));
    c->blocked = list_read(str_of(settings_text(c->settings, "federation.blocked")));
}

static void limits_read(struct courier *c)
{
    const struct settings *s = c->settings;

    c->limits = (struct courier_limits){
        .login_ms_max = (int)settings_int(s, "federation.login_time_max"),
        .idle_ms_max = (int)settings_int(s, "federation.idle_time_max"),
        .live_ms_max = (int)settings_int(s, "federation.live_time_max"),
        .retry_ms_max = (int)settings_int(s, "federation.retry_time_max"),
        .queue_us_max = settings_int(s, "federation.queue_time_max") * 1000,
        .queue_max = (int)settings_int(s, "federation.queue_stanzas_max"),
        .connections_max = (int)settings_int(s, "federation.connections_max"),
        .per_address_max = (int)settings_int(s, "federation.connections_per_address_max"),
        .stanzas_per_second_max = (int)settings_int(s, "federation.stanzas_per_second_max"),
        .bytes_per_second_max = (int)settings_int(s, "federation.bytes_per_second_max"),
        .stanza_bytes_max = (uint32_t)settings_int(s, "federation.stanza_bytes_max"),
        .tls_required = settings_bool(s, "federation.tls_required"),
        .certificates_required = settings_bool(s, "federation.certificates_required"),
    };
    c->conn_limits = (struct conn_limits){
        .in_bytes_max = c->limits.stanza_bytes_max + 65536,
        .out_bytes_max = 4 * 1024 * 1024,
        .drain_ms_max = 2000,
        .stall_ms_max = 60000,
        .handshake_ms_max = 15000,
    };
}

static enum err domain_read(struct courier *c, struct arena *a, struct str *why)
{
    struct str domain;
    enum err   e = jid_prep_domain(a, str_of(settings_text(c->settings, "domain")), &domain);

    if (e)
        *why = arena_printf(a, "the setting domain = \"%s\" is not a domain name", settings_text(c->settings, "domain"));
    else
        c->domain = str_of(str_dup(domain));
    return e;
}

static bool has_certificate(const struct settings *s)
{
    return *settings_text(s, "tls.certificate") != '\0';
}

/* With the domain's certificate, whoever connects: it proves our name in both directions (XEP-0178). */
static enum err tls_make(const struct settings *s, const char *alpn, struct tls_ctx **out, struct arena *a, struct str *why)
{
    const char         *ca = settings_text(s, "federation.ca");
    struct tls_settings ts = {
        .certificate_file = has_certificate(s) ? settings_text(s, "tls.certificate") : NULL,
        .key_file = settings_text(s, "tls.key"),
        .ca_file = *ca ? ca : NULL,
        .look = true,
        .alpn = alpn,
    };

    return tls_ctx_new(&ts, out, a, why);
}

static enum err tls_read(struct courier *c, const struct settings *s, struct arena *a, struct str *why)
{
    struct tls_ctx *fresh[3] = { NULL, NULL, NULL };
    enum err        e = has_certificate(s) ? tls_make(s, "xmpp-server", &fresh[0], a, why) : OK;

    if (!e)
        e = tls_make(s, NULL, &fresh[1], a, why);
    if (!e)
        e = tls_make(s, "xmpp-server", &fresh[2], a, why);
    if (e) {
        for (int i = 0; i < 3; i++)
            tls_ctx_unref(&fresh[i]);
        return e;
    }
    tls_ctx_unref(&c->tls_server);
    tls_ctx_unref(&c->tls_client);
    tls_ctx_unref(&c->tls_direct);
    c->tls_server = fresh[0];
    c->tls_client = fresh[1];
    c->tls_direct = fresh[2];
    return OK;
}

static enum err wide_open(struct courier *c, struct arena *a, struct str *why)
{
    const struct settings *s = c->settings;
    struct bus_nats        n = {
               .servers = settings_text(s, "bus.servers"),
               .user = settings_text(s, "bus.user"),
               .password = settings_text(s, "bus.password"),
               .ca = settings_text(s, "bus.ca"),
               .certificate = settings_text(s, "bus.certificate"),
               .key = settings_text(s, "bus.key"),
    };

    if (!*n.servers || !db_is_shared(c->db))
        return OK;
    return bus_new_nats(c->loop, "courier", &n, &c->wide, a, why);
}

struct courier_door {
    struct courier *courier;
    bool            tls;
};

static void accept_one(void *arg, int fd)
{
    struct courier_door *d = arg;

    s2s_in_accept(d->courier, fd, d->tls);
}

static enum err doors_open(struct courier *c, const struct courier_listen *listen, int count)
{
    int most = (int)(sizeof c->listeners / sizeof *c->listeners);

    c->doors = mem_new(sizeof *c->doors * (size_t)most);
    for (int i = 0; i < count && i < most; i++) {
        c->doors[i] = (struct courier_door){ c, listen[i].tls };
        c->listeners[i] = listener_new(c->loop, listen[i].fd, accept_one, &c->doors[i]);
        if (!c->listeners[i])
            return ERR_IO;
        c->listener_count++;
    }
    return OK;
}

static void init(struct courier *c, struct loop *l, struct bus *b, const struct settings *s)
{
    c->loop = l;
    c->bus = b;
    c->settings = s;
    c->on = settings_bool(s, "federation.on");
    c->holder = (int64_t)(random_u64() >> 1) | 1;
    arena_init(&c->round);
    strmap_init(&c->links);
    strmap_init(&c->addresses);
    intmap_init(&c->streams_by_id);
    list_init(&c->streams);
    limits_read(c);
    lists_read(c);
}

enum err courier_new(struct loop *l, struct bus *b, const struct settings *s, const struct courier_listen *listen, int listen_count,
                     struct courier **out, struct arena *a, struct str *why)
{
    struct courier    *c = NEW(struct courier);
    struct db_settings ds = courier_database(s, a);
    enum err           e;

    init(c, l, b, s);
    *out = c;
    e = domain_read(c, a, why);
    if (!e)
        e = tls_read(c, s, a, why);
    if (!e)
        e = db_open(l, &ds, courier_migrations(), &c->db, a, why);
    if (!e) {
        *why = STR("could not start what asks push services");
        e = push_start(c);
    }
    if (!e)
        e = queue_init(c, &ds, a, why);
    if (!e)
        e = wide_open(c, a, why);
    if (!e)
        e = names_new(c, &c->names, a, why);
    if (e)
        return e;
    leases_init(c);
    e = bus_serve(b, "courier.*", serve, c);
    if (!e)
        e = doors_open(c, listen, c->on ? listen_count : 0);
    timer_start(l, &c->tick, 1000, tick);
    link_sweep(c);
    return e;
}

enum err courier_reload(struct courier *c, const struct settings *s, struct arena *a, struct str *why)
{
    enum err e = tls_read(c, s, a, why);

    if (e)
        return e;
    c->settings = s;
    limits_read(c);
    lists_read(c);
    push_reload(c);
    return OK;
}

/* ---- the end ---- */

static void stopped(struct timer *timer)
{
    struct courier *c = LIST_ITEM(timer, struct courier, stop_timer);

    if (commit_waiting(c->db) > 0)
        timer_start(c->loop, timer, 20, stopped);
    else
        c->stop_done(c->stop_arg);
}

void courier_stop(struct courier *c, void (*done)(void *arg), void *arg)
{
    c->stopping = true;
    push_stop(c);
    c->stop_done = done;
    c->stop_arg = arg;
    for (int i = 0; i < c->listener_count; i++)
        listener_free(&c->listeners[i]);
    c->listener_count = 0;
    LIST_EACH(it, &c->streams)
        s2s_end(LIST_ITEM(it, struct s2s, in_courier));
    leases_leave(c);
    timer_start(c->loop, &c->stop_timer, STOP_MS, stopped);
}

static void addresses_free(struct courier *c)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&c->addresses, &it, &key, &value);)
        free(value);
    strmap_done(&c->addresses);
}

void courier_free(struct courier **cp)
{
    struct courier *c = *cp;

    if (!c)
        return;
    *cp = NULL;
    c->stopping = true;
    timer_stop(c->loop, &c->tick);
    timer_stop(c->loop, &c->stop_timer);
    for (int i = 0; i < c->listener_count; i++)
        listener_free(&c->listeners[i]);
    if (c->db)
        db_close(&c->db);
    push_free(c);
    inward_done(c);
    s2s_free_all(c);
    links_free(c);
    leases_free(c);
    names_free(&c->names);
    bus_free(&c->wide);
    intmap_done(&c->streams_by_id);
    addresses_free(c);
    tls_ctx_unref(&c->tls_server);
    tls_ctx_unref(&c->tls_client);
    tls_ctx_unref(&c->tls_direct);
    arena_done(&c->round);
    free(c->doors);
    free((char *)c->domain.p);
    free(c->allowed);
    free(c->blocked);
    free(c);
}

enum err courier_health(const struct courier *c)
{
    return commit_health(c->db);
}
