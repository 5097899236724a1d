/* push.c: what waits to be pushed: durable, one row for each registration and topic, sent by whichever
 * courier holds its lease.
 *
 *   order ──commit──▶ waiting ──lease──▶ flying ──2xx, refused, expired──▶ (deleted)
 *                       ▲                  ├──429, 5xx, no answer──▶ waiting, later and later
 *                       └── lease runs out ┘└──404, 410──▶ gone ──talk has forgotten it──▶ (deleted)
 *
 * What has waited is sent only while talk knows its registration: otherwise the account may be deleted, and
 * nothing of it may stay here.
 *
 * An order takes the lease with its own insert when it can leave at once, so it costs one commit before it is
 * sent and one after. SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "courier/push_inner.h"
#include "crypto/digest.h"
#include "proc/settings.h"

METRIC_GAUGE(waiting_gauge, "bongsu_courier_push_waiting", "Notifications that wait to be pushed.");
METRIC_COUNTER(orders, "bongsu_courier_push_orders", "Notifications that were ordered.");
METRIC_COUNTER(orders_full, "bongsu_courier_push_full", "Orders refused because too many wait.");

enum { COUNT_EVERY_S = 10, LOOK_ROWS = 64, KEY_AGAIN_S = 2, SPACING_S = 1 };

const struct db_migration push_migrations[] = {
    {1, "push",
     "CREATE TABLE push("
     "  registration BIGINT NOT NULL,"
     "  topic      TEXT   NOT NULL,"
     "  at         BIGINT NOT NULL,"
     "  endpoint   TEXT   NOT NULL,"
     "  browser    BLOB   NOT NULL,"
     "  auth       BLOB   NOT NULL,"
     "  payload    TEXT   NOT NULL,"
     "  urgency    BIGINT NOT NULL,"
     "  expires_us BIGINT NOT NULL,"
     "  next_us    BIGINT NOT NULL,"
     "  lease_us   BIGINT NOT NULL,"
     "  holder     BIGINT NOT NULL,"
     "  tries      BIGINT NOT NULL,"
     "  gone       BIGINT NOT NULL,"
     "  PRIMARY KEY(registration, topic)"
     ");"
     "CREATE INDEX push_next ON push(next_us);"
     "CREATE TABLE push_key(id BIGINT NOT NULL PRIMARY KEY, private BLOB NOT NULL);"},
    {0},
};

/* ---- orders ---- */

/* A newer notification takes the older one's place, and its time: who was told to wait still waits. */
static struct db_sql order_write = {
    "INSERT INTO push(registration, topic, at, endpoint, browser, auth, payload, urgency, expires_us, "
    "next_us, lease_us, holder,"
    " tries, gone) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, 0)"
    " ON CONFLICT(registration, topic) DO UPDATE SET at = excluded.at, endpoint = excluded.endpoint, browser "
    "= excluded.browser,"
    " auth = excluded.auth, payload = excluded.payload, urgency = excluded.urgency, expires_us = "
    "excluded.expires_us,"
    " holder = CASE WHEN push.lease_us < ?10 AND push.next_us <= ?10 THEN excluded.holder ELSE push.holder "
    "END,"
    " lease_us = CASE WHEN push.lease_us < ?10 AND push.next_us <= ?10 THEN excluded.lease_us ELSE "
    "push.lease_us END"
    " RETURNING lease_us, holder, tries, gone"};

struct order_op {
    struct commit_op op;
    struct push *push;
    struct bus_request *rq;
    struct push_row row;
    int64_t now_us, out[4], rows;
    char text[];
};

static enum err order_apply(struct db_conn *c, struct commit_op *op)
{
    struct order_op *o = (struct order_op *)op;
    struct push_row *r = &o->row;

    return db_run_later(c, &order_write, o->out, 4, &o->rows, "isisbbsiiiii", r->registration, r->topic,
                        r->at, r->endpoint, r->browser, r->auth, r->payload, r->urgency, r->expires_us,
                        o->now_us, r->lease_us, o->push->holder);
}

static void order_done(struct commit_op *op, enum err e)
{
    struct order_op *o = (struct order_op *)op;
    struct push *p = o->push;

    bus_answer(o->rq, e, STR_NULL);
    if (!e) {
        metric_add(&orders, 1);
        p->waiting++;
        o->row.tries = o->out[2];
        o->row.gone = o->out[3] != 0;
        if (o->row.lease_us && o->out[0] == o->row.lease_us && o->out[1] == p->holder)
            push_fly(p, &o->row);
        else if (!o->row.lease_us)
            push_look(p);
    }
    free(o);
}

void push_order(struct courier *c, struct bus_request *rq, struct codec_reader *r)
{
    struct push *p = c->push;
    struct push_order in;
    struct order_op *o;
    char *at;
    enum err e = push_order_read(r, &in, p->private_too);

    if (!e && (p->waiting >= p->queue_max || p->stopping)) {
        metric_add(&orders_full, 1);
        e = p->stopping ? ERR_UNAVAILABLE : ERR_LIMIT;
    }
    if (e) {
        bus_answer(rq, e, STR_NULL);
        return;
    }
    o = mem_new(sizeof *o + in.endpoint.len + in.browser.len + in.auth.len + in.topic.len + in.payload.len);
    at = o->text;
    o->op.apply = order_apply;
    o->op.done = order_done;
    o->push = p;
    o->rq = rq;
    o->now_us = clock_us();
    o->row = (struct push_row){
        .registration = in.registration,
        .at = in.at,
        .urgency = in.urgency,
        .expires_us = o->now_us + in.ttl_s * 1000000,
        .lease_us = p->flights < PUSH_FLIGHTS_MAX && p->key ? o->now_us + PUSH_LEASE_US : 0,
        .endpoint = str_pack(&at, in.endpoint),
        .browser = str_pack(&at, in.browser),
        .auth = str_pack(&at, in.auth),
        .topic = str_pack(&at, in.topic),
        .payload = str_pack(&at, in.payload),
    };
    e = commit_add(c->db, &o->op);
    if (e) {
        bus_answer(rq, e, STR_NULL);
        free(o);
    }
}

/* ---- what came of one ---- */

/* What was ordered meanwhile stays, and is due now. */
static struct db_sql sent_delete = {
    "DELETE FROM push WHERE registration = ?1 AND topic = ?2 AND at <= ?3 AND holder = ?4"};
static struct db_sql sent_release = {"UPDATE push SET lease_us = 0, tries = 0, next_us = ?4 WHERE "
                                     "registration = ?1 AND topic = ?2 AND holder = ?3 AND lease_us = ?5"};
static struct db_sql later_write = {"UPDATE push SET lease_us = 0, tries = ?4, next_us = ?5, gone = ?6 WHERE "
                                    "registration = ?1 AND topic = ?2 AND holder = ?3"
                                    " AND lease_us = ?7"};
static struct db_sql forgotten_delete = {"DELETE FROM push WHERE registration = ?1"};

struct ended_op {
    struct commit_op op;
    struct push *push;
    enum push_outcome outcome;
    int64_t registration, at, lease_us, tries, next_us;
    bool gone;
    char topic[PUSH_TOPIC_BYTES_MAX + 1];
};

static enum err ended_apply(struct db_conn *c, struct commit_op *op)
{
    struct ended_op *o = (struct ended_op *)op;
    struct str topic = str_of(o->topic);
    enum err e;

    switch (o->outcome) {
    case PUSH_SENT:
        e = db_run(c, &sent_delete, "isii", o->registration, topic, o->at, o->push->holder);
        return e ? e
                 : db_run(c, &sent_release, "isiii", o->registration, topic, o->push->holder, o->next_us,
                          o->lease_us);
    case PUSH_FORGOTTEN:
        return db_run(c, &forgotten_delete, "i", o->registration);
    default:
        return db_run(c, &later_write, "isiiiii", o->registration, topic, o->push->holder, o->tries,
                      o->next_us, (int64_t)o->gone, o->lease_us);
    }
}

static void ended_done(struct commit_op *op, enum err e)
{
    struct ended_op *o = (struct ended_op *)op;

    if (e) /* its lease runs out, and it is sent once more */
        LOG_WARN("push.ended", LF_I64("registration", o->registration), LF_ERR(e));
    else if (o->outcome == PUSH_SENT || o->outcome == PUSH_FORGOTTEN)
        o->push->waiting -= o->push->waiting > 0;
    if (o->push->waiting > o->push->flights)
        push_look(o->push);
    free(o);
}

void push_ended(struct push *p, const struct push_row *row, enum push_outcome outcome, int64_t retry_s)
{
    struct ended_op *o = NEW(struct ended_op);

    o->op.apply = ended_apply;
    o->op.done = ended_done;
    o->push = p;
    o->outcome = outcome;
    o->registration = row->registration;
    o->at = row->at;
    o->lease_us = row->lease_us;
    o->tries = row->tries + (outcome == PUSH_LATER);
    o->gone = row->gone || outcome == PUSH_GONE;
    if (outcome == PUSH_SENT && row->urgency != PUSH_HIGH)
        retry_s = SPACING_S; /* what came while it was on its way is told together */
    o->next_us = clock_us() + retry_s * 1000000;
    str_copy(row->topic, o->topic, sizeof o->topic);
    if (commit_add(p->courier->db, &o->op) != OK)
        free(o);
}

/* ---- what is due ---- */

static struct db_sql due_select = {
    "SELECT registration, topic, at, endpoint, browser, auth, payload, urgency, expires_us, lease_us, tries, "
    "gone FROM push"
    " WHERE next_us <= ?1 AND lease_us < ?1 ORDER BY urgency DESC, next_us LIMIT ?2"};
static struct db_sql claim = {"UPDATE push SET lease_us = ?4, holder = ?5 WHERE registration = ?1 AND topic "
                              "= ?2 AND lease_us = ?3 AND at = ?6 RETURNING at"};

struct look_op {
    struct db_read read;
    struct commit_op op;
    struct push *push;
    struct arena arena;
    int64_t now_us, lease_us;
    int count, max;
    struct push_row rows[LOOK_ROWS];
    int64_t out[LOOK_ROWS], claimed[LOOK_ROWS];
};

static enum err look_work(struct db_conn *c, struct db_read *self)
{
    struct look_op *o = (struct look_op *)self;
    struct db_stmt *s = db_prepare(c, &due_select);
    enum err e;

    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, o->now_us);
    db_bind_i64(s, 2, o->max);
    while ((e = db_step(s)) == OK && o->count < o->max)
        o->rows[o->count++] = (struct push_row){
            .registration = db_i64(s, 0),
            .topic = arena_str(&o->arena, db_text(s, 1)),
            .at = db_i64(s, 2),
            .endpoint = arena_str(&o->arena, db_text(s, 3)),
            .browser = arena_str(&o->arena, db_blob(s, 4)),
            .auth = arena_str(&o->arena, db_blob(s, 5)),
            .payload = arena_str(&o->arena, db_text(s, 6)),
            .urgency = db_i64(s, 7),
            .expires_us = db_i64(s, 8),
            .lease_us = db_i64(s, 9),
            .tries = db_i64(s, 10),
            .gone = db_i64(s, 11) != 0,
        };
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err look_apply(struct db_conn *c, struct commit_op *op)
{
    struct look_op *o = LIST_ITEM(op, struct look_op, op);
    enum err e = OK;

    for (int i = 0; i < o->count && !e; i++)
        e = db_run_later(c, &claim, &o->out[i], 1, &o->claimed[i], "isiiii", o->rows[i].registration,
                         o->rows[i].topic, o->rows[i].lease_us, o->lease_us, o->push->holder, o->rows[i].at);
    return e;
}

static void look_end(struct look_op *o, bool more)
{
    struct push *p = o->push;

    arena_done(&o->arena);
    free(o);
    p->looking = false;
    if (more || p->look_again)
        push_look(p);
}

static void look_claimed(struct commit_op *op, enum err e)
{
    struct look_op *o = LIST_ITEM(op, struct look_op, op);

    for (int i = 0; i < o->count && !e; i++) {
        o->rows[i].lease_us = o->lease_us;
        if (o->claimed[i])
            push_fly(o->push, &o->rows[i]);
    }
    look_end(o, !e && o->count == o->max);
}

static void look_read(struct db_read *self, enum err e)
{
    struct look_op *o = (struct look_op *)self;

    if (e || o->count == 0 || o->push->stopping) {
        look_end(o, false);
        return;
    }
    o->op.apply = look_apply;
    o->op.done = look_claimed;
    if (commit_add(o->push->courier->db, &o->op) != OK)
        look_end(o, false);
}

static void look_now(struct push *p)
{
    int room = PUSH_FLIGHTS_MAX - p->flights;
    struct look_op *o;

    p->look_again = false;
    if (p->looking || room <= 0 || !p->key || p->stopping)
        return;
    o = NEW(struct look_op);
    o->read = (struct db_read){.work = look_work, .done = look_read};
    o->push = p;
    o->now_us = clock_us();
    o->lease_us = o->now_us + PUSH_LEASE_US;
    o->max = room < LOOK_ROWS ? room : LOOK_ROWS;
    arena_init(&o->arena);
    p->looking = true;
    if (db_read_start(p->courier->db, &o->read) != OK)
        look_end(o, false);
}

static void look_due(struct timer *timer)
{
    struct push *p = LIST_ITEM(timer, struct push, look);

    look_now(p);
}

/* Several reasons in one round are one look. */
void push_look(struct push *p)
{
    if (p->stopping)
        return;
    if (p->looking)
        p->look_again = true;
    else if (!timer_running(&p->look))
        timer_start(p->courier->loop, &p->look, 1, look_due);
}

/* ---- how many wait ---- */

static struct db_sql count_select = {"SELECT count(*) FROM push"};

struct count_op {
    struct db_read read;
    struct push *push;
    int64_t count;
};

static enum err count_work(struct db_conn *c, struct db_read *self)
{
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &count_select, "");

    if (!e)
        ((struct count_op *)self)->count = db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

static void counted(struct db_read *self, enum err e)
{
    struct count_op *o = (struct count_op *)self;

    o->push->counting = false;
    if (!e)
        o->push->waiting = o->count;
    free(o);
}

static void count_rows(struct push *p)
{
    struct count_op *o;

    if (p->counting)
        return;
    o = NEW(struct count_op);
    o->read = (struct db_read){.work = count_work, .done = counted};
    o->push = p;
    p->counting = true;
    if (db_read_start(p->courier->db, &o->read) != OK) {
        p->counting = false;
        free(o);
    }
}

/* ---- life ---- */

static struct db_sql leases_end = {
    "UPDATE push SET lease_us = 0 WHERE lease_us > 0 AND (holder = ?1 OR ?2 = 1)"};

struct release_op {
    struct commit_op op;
    int64_t holder, all;
};

static enum err release_apply(struct db_conn *c, struct commit_op *op)
{
    struct release_op *o = (struct release_op *)op;

    return db_run(c, &leases_end, "ii", o->holder, o->all);
}

static void released(struct commit_op *op, enum err e)
{
    (void)e; /* then they run out */
    free(op);
}

static void release(struct push *p, bool all)
{
    struct release_op *o = NEW(struct release_op);

    o->op.apply = release_apply;
    o->op.done = released;
    o->holder = p->holder;
    o->all = all;
    if (commit_add(p->courier->db, &o->op) != OK)
        free(o);
}

static void settings_read(struct push *p)
{
    const struct settings *s = p->courier->settings;
    const char *contact = settings_text(s, "courier.push_contact");

    p->retry_ms = settings_int(s, "courier.push_retry_time");
    p->queue_max = settings_int(s, "courier.push_queue_max");
    p->private_too = settings_bool(s, "courier.push_private");
    free(p->contact);
    if (*contact) {
        p->contact = str_dup(str_of(contact));
    } else {
        struct buf b;

        buf_init(&b, 0);
        buf_printf(&b, "mailto:postmaster@%.*s", STR_ARG(p->courier->domain));
        p->contact = str_dup(buf_str(&b));
        buf_done(&b);
    }
}

/* The same at each start of the courier of this machine, so that a new one goes on at once with what the last
 * one had. */
static int64_t holder_of(const struct courier *c)
{
    uint8_t hash[DIGEST_BYTES_MAX];
    char host[256] = "";
    int64_t out;
    struct buf b;

    gethostname(host, sizeof host - 1);
    buf_init(&b, 0);
    buf_printf(&b, "%s %s %s", host, settings_text(c->settings, "site"),
               settings_text(c->settings, "data_dir"));
    digest(DIGEST_SHA256, buf_str(&b), hash);
    buf_done(&b);
    memcpy(&out, hash, sizeof out);
    return (out & INT64_MAX) | 1;
}

enum err push_start(struct courier *c)
{
    struct push *p = NEW(struct push);
    struct http_client_settings hs;

    c->push = p;
    p->courier = c;
    p->holder = holder_of(c);
    list_init(&p->flying);
    settings_read(p);
    hs = (struct http_client_settings){.ca_file = settings_text(c->settings, "courier.push_ca"),
                                       .private_too = p->private_too};
    if (http_client_new(c->loop, &hs, &p->http) != OK)
        return ERR_BUG;
    release(p, !db_is_shared(c->db)); /* those of the process before us */
    push_key_read(p);
    count_rows(p);
    push_look(p);
    return OK;
}

void push_reload(struct courier *c)
{
    settings_read(c->push);
}

void push_tick(struct courier *c)
{
    struct push *p = c->push;

    if (!p->key && ++p->key_in_s % KEY_AGAIN_S == 0) {
        push_key_askers_answer(p);
        push_key_read(p);
    }
    if (++p->count_in_s % COUNT_EVERY_S == 0)
        count_rows(p);
    push_look(p);
    metric_set(&waiting_gauge, p->waiting);
}

/* What is on its way is given up and sent again by the next process, rather than waited for. */
void push_stop(struct courier *c)
{
    struct push *p = c->push;

    p->stopping = true;
    timer_stop(c->loop, &p->look);
    push_key_askers_answer(p);
    push_flights_end(p);
    release(p, false);
}

/* Behind db_close: its `done`s have run. */
void push_free(struct courier *c)
{
    struct push *p = c->push;

    if (!p)
        return;
    c->push = NULL;
    timer_stop(c->loop, &p->look);
    http_client_free(&p->http);
    webpush_key_free(&p->key);
    webpush_key_free(&p->key_given);
    free(p->contact);
    free(p);
}
