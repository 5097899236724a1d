/* talk.c: the messenger's birth, second hand, and end.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/talk.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "bus/codec.h"
#include "crypto/digest.h"
#include "net/http.h"
#include "talk/admission.h"
#include "talk/archive.h"
#include "talk/archive_id.h"
#include "talk/banner.h"
#include "talk/command.h"
#include "talk/deliver.h"
#include "talk/feature.h"
#include "talk/forget.h"
#include "talk/federate.h"
#include "talk/host.h"
#include "talk/jids.h"
#include "talk/message.h"
#include "talk/nodes.h"
#include "talk/rooms/room.h"
#include "talk/rooms/room_leave.h"
#include "talk/search.h"
#include "talk/settings.h"
#include "talk/stream.h"
#include "talk/xep/xep0114_component.h"
#include "talk/xep/xep0124_bosh.h"
#include "talk/xep/xep0163_guests.h"
#include "talk/xep/xep0198_sm.h"
#include "talk/xep/xep0227_export.h"
#include "talk/xep/xep0357_push.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

METRIC_GAUGE(persons_loaded, "bongsu_talk_accounts_loaded", "Accounts in memory.");
METRIC_GAUGE(commit_queue, "bongsu_talk_commit_queue", "Operations that wait to be durable.");
METRIC_GAUGE(disk_trouble, "bongsu_talk_disk_trouble", "1 while the database refuses writes.");

int64_t talk_log_id(struct talk *t)
{
    int64_t now = clock_us();

    t->last_log_id = now > t->last_log_id ? now : t->last_log_id + 1;
    return t->last_log_id;
}

struct buf *talk_scratch(struct talk *t)
{
    if (t->scratch.cap > 256 * 1024)
        buf_done(&t->scratch);
    buf_clear(&t->scratch);
    return &t->scratch;
}

/* ---- time ---- */

static void tick(struct timer *timer)
{
    struct talk *t = LIST_ITEM(timer, struct talk, tick);
    int64_t      now = loop_now_ms(t->loop);

    timer_start(t->loop, &t->tick, 1000, tick);
    LIST_EACH(it, &t->sessions_all)
        stream_tick(LIST_ITEM(it, struct session, in_talk), now);
    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->tick)
            features[i]->tick(t);
    archive_tick(t);
    metric_set(&persons_loaded, (int64_t)t->persons.count);
    metric_set(&commit_queue, (int64_t)commit_waiting(t->db));
    metric_set(&disk_trouble, commit_health(t->db) != OK);
}

/* ---- accepting ---- */

struct talk_door {
    struct talk        *talk;
    enum talk_transport transport;
};

static void accept_one(void *arg, int fd)
{
    struct talk_door *d = arg;
    int               rest_ms;

    if (admission_gave_up(d->talk, fd)) {
        close(fd);
        return;
    }
    rest_ms = admission_rest_ms(d->talk);
    if (rest_ms)
        listener_pause(d->talk->listeners[d - d->talk->doors], rest_ms);
    if (d->transport == TALK_WEBSOCKET || d->transport == TALK_WEBSOCKET_LOCAL)
        websocket_accept(d->talk, fd, d->transport);
    else if (d->transport == TALK_BOSH)
        bosh_accept(d->talk, fd);
    else if (d->transport == TALK_COMPONENT)
        component_accept(d->talk, fd);
    else
        stream_accept(d->talk, fd, d->transport);
}

static enum err doors_open(struct talk *t, const struct talk_listen *listen, int count)
{
    for (int i = 0; i < count && t->listener_count < (int)(sizeof t->listeners / sizeof t->listeners[0]); i++) {
        struct talk_door *d = &t->doors[t->listener_count];

        *d = (struct talk_door){ t, listen[i].transport };
        t->listeners[t->listener_count] = listener_new(t->loop, listen[i].fd, accept_one, d);
        if (!t->listeners[t->listener_count])
            return ERR_IO;
        if (settings_int(t->settings, "talk.workers") > 1)
            listener_share(t->listeners[t->listener_count]);
        t->listener_count++;
    }
    return OK;
}

/* ---- birth ---- */

static enum err tls_read(const struct settings *s, struct tls_ctx **out, struct arena *a, struct str *why)
{
    struct tls_settings ts = {
        .certificate_file = settings_text(s, "tls.certificate"),
        .key_file = settings_text(s, "tls.key"),
        .alpn = "xmpp-client,http/1.1",
    };

    tls_slim_set(settings_bool(s, "tls.slim"));
    if (ts.certificate_file[0] == '\0') {
        *out = NULL;
        return OK;
    }
    return tls_ctx_new(&ts, out, a, why);
}

static enum err database_open(struct talk *t, struct arena *a, struct str *why)
{
    const char        *name = settings_text(t->settings, "talk.database");
    const char        *dir = settings_text(t->settings, "data_dir");
    struct db_settings ds = {
        .server = settings_text(t->settings, "db.server"),
        .schema = "talk",
        .path = name[0] == '/' ? name : arena_printf(a, "%s/%s", dir, name).p,
        .read_workers = (int)settings_int(t->settings, "talk.read_workers"),
        .bytes_max = getenv("BONGSU_DATABASE_BYTES_MAX") ? atoll(getenv("BONGSU_DATABASE_BYTES_MAX")) : 0,
    };

    return db_open(t->loop, &ds, features_migrations(), &t->db, a, why);
}

static struct db_sql secret_select = { "SELECT value FROM secret WHERE name = 'origin'" };
static struct db_sql secret_insert = { "INSERT INTO secret(name, value) VALUES ('origin', ?1) ON CONFLICT DO NOTHING" };
static struct db_sql last_id = { "SELECT coalesce(max(id), 0) FROM message" };

static enum err read_shared(struct talk *t, struct db_conn *c)
{
    struct db_stmt *s = NULL;
    enum err        e = db_get(c, &s, &secret_select, "");

    if (!e && db_blob(s, 0).len != sizeof t->origin_key)
        e = ERR_IO;
    if (!e)
        memcpy(t->origin_key, db_blob(s, 0).p, sizeof t->origin_key);
    if (s)
        db_done(s);
    if (e)
        return e;
    archive_id_setup(t->origin_key);
    e = db_get(c, &s, &last_id, "");
    if (!e)
        t->last_log_id = db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

static enum err bus_open(struct talk *t, const char *role, struct arena *a, struct str *why)
{
    const struct settings *s = t->settings;
    struct bus_nats        n = {
        .servers = settings_text(s, "bus.servers"), .user = settings_text(s, "bus.user"), .password = settings_text(s, "bus.password"),
        .ca = settings_text(s, "bus.ca"), .certificate = settings_text(s, "bus.certificate"), .key = settings_text(s, "bus.key"),
    };

    if (!*n.servers)
        return OK;
    if (!t->shared) {
        *why = STR("bus.servers is set, but db.server is not: several machines need one database (docs/sites.md)");
        return ERR_INVALID;
    }
    return bus_new_nats(t->loop, role, &n, &t->wide, a, why);
}

struct secret_op {
    struct change change;
    uint8_t       key[16];
};

static enum err secret_apply(struct db_conn *c, struct change *ch)
{
    return db_run(c, &secret_insert, "b", str_make((char *)((struct secret_op *)ch)->key, 16));
}

static void secret_done(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    (void)e;
    free(ch);
}

/* All messengers of a database must have the same: whoever comes first writes it. */
static enum err share_state(struct talk *t, struct arena *a, struct str *why)
{
    struct db_settings s = { .server = settings_text(t->settings, "db.server"), .schema = "talk" };
    struct db_conn    *c = NULL;
    uint8_t            key[16];
    enum err           e = db_conn_open(&s, true, &c, a, why);

    if (e)
        return e;
    random_bytes(key, sizeof key);
    e = db_atomic_begin(c);
    if (!e)
        e = db_run(c, &secret_insert, "b", str_make((char *)key, sizeof key));
    if (!e)
        e = archive_share(c);
    e = db_atomic_end(c, e);
    if (!e)
        e = read_shared(t, c);
    if (e)
        *why = arena_printf(a, "could not prepare the message database: %s (%s)", err_info(e)->sentence, db_conn_error(c));
    db_conn_close(&c);
    return e;
}

/* Origin-ids are kept as keyed hashes, and archive ids are shown shuffled; the key lives as long as the database. */
static void read_state(struct talk *t)
{
    struct db_conn   *c = db_loop_conn(t->db);
    struct db_stmt   *s;
    struct secret_op *o;

    if (db_get(c, &s, &secret_select, "") == OK && db_blob(s, 0).len == sizeof t->origin_key) {
        memcpy(t->origin_key, db_blob(s, 0).p, sizeof t->origin_key);
        db_done(s);
    } else {
        if (s)
            db_done(s);
        random_bytes(t->origin_key, sizeof t->origin_key);
        o = NEW(struct secret_op);
        memcpy(o->key, t->origin_key, sizeof o->key);
        o->change.apply = secret_apply;
        o->change.done = secret_done;
        if (session_change(NULL, t, &o->change) != OK)
            free(o);
    }
    archive_id_setup(t->origin_key);
    if (db_get(c, &s, &last_id, "") == OK)
        t->last_log_id = db_i64(s, 0);      /* a clock that went back does not go before what is kept */
    if (s)
        db_done(s);
}

static void account_deleted(void *arg, struct str subject, struct str payload)
{
    struct talk        *t = arg;
    struct codec_reader r = codec_open(payload, 1);
    struct str          user = codec_str(&r, JID_PART_BYTES_MAX);

    (void)subject;
    if (!codec_ok(&r))
        return;
    exports_forget(t, user);
    person_delete(t, user);
}

struct backup_read {
    struct db_read      read;
    struct bus_request *request;
    struct arena        arena;
    struct str          path, why;
};

static enum err backup_work(struct db_conn *c, struct db_read *self)
{
    struct backup_read *b = (struct backup_read *)self;

    return db_backup(c, b->path.p, &b->arena, &b->why);
}

static void backup_done(struct db_read *self, enum err e)
{
    struct backup_read *b = (struct backup_read *)self;

    bus_answer(b->request, e, b->why);
    arena_done(&b->arena);
    free(b);
}

static void backup_request(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct talk        *t = arg;
    struct codec_reader r = codec_open(payload, 1);
    struct str          path = codec_str(&r, 4096);
    struct backup_read *b;

    (void)subject;
    if (!codec_ok(&r) || path.len == 0) {
        bus_answer(rq, ERR_INVALID, STR_NULL);
        return;
    }
    b = NEW(struct backup_read);
    b->read = (struct db_read){ .work = backup_work, .done = backup_done };
    b->request = rq;
    arena_init(&b->arena);
    b->path = arena_str(&b->arena, path);
    if (db_read_start(t->db, &b->read) != OK)
        backup_done(&b->read, ERR_LIMIT);
}

/* Numbers for `bongsu status`: sessions, accounts loaded, waiting operations, disk state. */
static void status_request(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct talk        *t = arg;
    struct commit_stats cs = commit_stats(t->db);
    struct buf          b;

    (void)subject;
    (void)payload;
    buf_init(&b, 0);
    codec_begin(&b, 1);
    codec_put_i64(&b, t->session_count);
    codec_put_i64(&b, (int64_t)t->persons.count);
    codec_put_i64(&b, (int64_t)commit_waiting(t->db));
    codec_put_str(&b, str_of(err_info(commit_health(t->db))->name));
    codec_put_i64(&b, cs.batches);
    codec_put_i64(&b, cs.ops);
    codec_put_i64(&b, cs.sync_us_total);
    codec_put_i64(&b, t->started_us);
    codec_put_str(&b, str_of(settings_text(t->settings, "site")));
    codec_put_u64(&b, t->shared);
    codec_put_u64(&b, t->wide && bus_connected(t->wide));
    codec_put_i64(&b, commit_stalled_ms(t->db));
    codec_put_i64(&b, nodes_count(t));
    bus_answer(rq, OK, buf_str(&b));
    buf_done(&b);
}

/* Under the worker's own name: "talk2.status". */
static void serve(struct talk *t, const char *verb, bus_serve_fn *fn)
{
    struct str role = bus_role(t->bus);
    char       subject[BUS_SUBJECT_BYTES_MAX];

    snprintf(subject, sizeof subject, "%.*s.%s", STR_ARG(role), verb);
    bus_serve(t->bus, subject, fn, t);
}

enum err talk_new(struct loop *l, struct bus *b, const struct settings *s,
                  const struct talk_listen *listen, int listen_count,
                  struct talk **out, struct arena *a, struct str *why)
{
    struct talk *t = NEW(struct talk);
    enum err     e;

    t->loop = l;
    t->bus = b;
    t->settings = s;
    t->started_us = clock_us();
    t->doors = mem_new(sizeof *t->doors * (sizeof t->listeners / sizeof t->listeners[0]));
    talk_limits_read(s, &t->limits);
    t->conn_limits = (struct conn_limits){
        .in_bytes_max = t->limits.stanza_bytes_max + 65536, .out_bytes_max = (size_t)settings_int(s, "talk.out_bytes_max"),
        .drain_ms_max = 5000, .stall_ms_max = t->limits.dead_ms_max, .handshake_ms_max = 10000,
    };
    arena_init(&t->round);
    buf_init(&t->scratch, 0);
    list_init(&t->sessions_all);
    list_init(&t->persons_idle);
    list_init(&t->streams_dirty);
    list_init(&t->forgetting);
    *out = t;
    e = jid_prep_domain(a, str_of(settings_text(s, "domain")), &t->domain);
    if (e) {
        *why = arena_printf(a, "the setting domain = \"%s\" is not a domain name", settings_text(s, "domain"));
        return e;
    }
    t->domain = str_of(str_dup(t->domain));
    t->server = (struct jid){ .full = t->domain, .bare = t->domain, .domain = t->domain };
    e = tls_read(s, &t->tls, a, why);
    if (e)
        return e;
    e = database_open(t, a, why);
    if (e)
        return e;
    t->shared = db_is_shared(t->db);
    e = t->shared ? share_state(t, a, why) : OK;
    if (!e)
        e = bus_open(t, "talk", a, why);
    if (e)
        return e;
    jids_init(t);
    if (!t->shared)
        read_state(t);
    archive_init(t);
    message_share_init(t);
    nodes_init(t);
    hosts_init(t);
    e = components_init(t, a, why);
    if (e)
        return e;
    features_init(t);
    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->init)
            features[i]->init(t);
    federate_init(t);
    sm_restore(t);
    rooms_restore(t);
    websocket_init(t);
    bosh_init(t);
    bus_subscribe(b, "ident.link", account_deleted, t);     /* never published: it keeps the link to ident, which tells of account.* */
    bus_subscribe(b, "account.deleted", account_deleted, t);
    serve(t, "backup", backup_request);
    serve(t, "status", status_request);
    timer_start(l, &t->tick, 1000, tick);
    e = doors_open(t, listen, listen_count);
    if (e)
        *why = STR("could not listen");
    return e;
}

enum err talk_reload(struct talk *t, const struct settings *s, struct arena *a, struct str *why)
{
    struct tls_ctx *fresh = NULL;
    enum err        e = tls_read(s, &fresh, a, why);

    if (e)
        return e;
    if (fresh) {
        tls_ctx_unref(&t->tls);
        t->tls = fresh;
    }
    t->settings = s;
    talk_limits_read(s, &t->limits);
    LOG_INFO("talk.reloaded", LF_I64("sessions", t->session_count));
    return OK;
}

/* ---- the end ---- */

static void stopped(struct timer *timer)
{
    struct talk *t = LIST_ITEM(timer, struct talk, tick);

    if (commit_waiting(t->db) > 0) {
        timer_start(t->loop, &t->tick, 20, stopped);
        return;
    }
    nodes_leave(t);
    t->stop_done(t->stop_arg);
}

/* Resumable streams are only told and closed: their rows stay, and the next process resumes them. */
static void stop_one(struct session *s)
{
    struct conn *c = s->conn;

    if (!c || !s->sm || !s->sm->resumable || s->state != SESSION_BOUND) {
        session_fail(s, "system-shutdown", NULL);
        return;
    }
    stream_write_error(s, "system-shutdown", NULL);
    stream_write_close(s);
    stream_release(c);
    conn_close(c);
    session_lost(s, ERR_CLOSED);
}

void talk_stop(struct talk *t, void (*done)(void *arg), void *arg)
{
    t->stopping = true;
    t->stop_done = done;
    t->stop_arg = arg;
    for (int i = 0; i < t->listener_count; i++)
        listener_free(&t->listeners[i]);
    t->listener_count = 0;
    components_stop(t);
    LIST_EACH(it, &t->sessions_all) {
        struct session *s = LIST_ITEM(it, struct session, in_talk);

        if (s->conn)
            stop_one(s);
    }
    timer_start(t->loop, &t->tick, 200, stopped);
}

static void addresses_done(struct talk *t)
{
    struct str key;
    void      *count;

    for (size_t it = 0; strmap_next(&t->addresses, &it, &key, &count);) {
        strmap_del(&t->addresses, key);
        free(count);
    }
    strmap_done(&t->addresses);
}

void talk_free(struct talk **tp)
{
    struct talk *t = *tp;

    if (!t)
        return;
    *tp = NULL;
    timer_stop(t->loop, &t->tick);
    timer_stop(t->loop, &t->ahead_look);
    timer_stop(t->loop, &t->admission_look);
    for (int i = 0; i < t->listener_count; i++)
        listener_free(&t->listeners[i]);
    if (t->db)
        db_close(&t->db);
    t->stopping_hard = true;
    bosh_done(t);
    LIST_EACH(it, &t->sessions_all) {
        struct session *s = LIST_ITEM(it, struct session, in_talk);

        if (s->conn) {
            stream_release(s->conn);
            conn_abort(s->conn, ERR_CLOSED);
            s->conn = NULL;
        }
        session_free(s);
    }
    rooms_done(t);
    search_done(t);
    commands_done(t);
    forget_done(t);
    banners_done(t);
    federate_done(t);
    components_done(t);
    archive_done(t);
    jids_done(t);
    push_done(t);
    persons_done(t);
    guest_devices_done(t);
    nodes_done(t);
    deliver_done(t);
    bus_free(&t->wide);
    strmap_done(&t->streams);
    strmap_done(&t->caps);
    addresses_done(t);
    intmap_done(&t->sessions);
    buf_done(&t->scratch);
    buf_done(&t->disco_server);
    buf_done(&t->disco_account);
    arena_done(&t->round);
    tls_ctx_unref(&t->tls);
    free(t->websocket);
    free(t->websocket_local);
    free(t->doors);
    hosts_done(t);
    free((char *)t->domain.p);
    free(t);
}
