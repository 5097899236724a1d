/* logins.c: the log-ins under way, their limits, and the writes that some need
 * before they may be told.
 *
 *   idle (waits for the client, 30 s) ──logins_step──▶ busy (hashing, then writing) ──▶ ended
 *     ├──logins_abort, expired──▶ ended
 *
 * A busy log-in is off the idle list and ends by itself.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "id/inner.h"

METRIC_COUNTER_L(logins_right, "bongsu_ident_logins", "Log-ins that ended, by result.", "result=\"success\"");
METRIC_COUNTER_L(logins_wrong, "bongsu_ident_logins", "Log-ins that ended, by result.", "result=\"failure\"");
METRIC_COUNTER_L(logins_limited, "bongsu_ident_logins", "Log-ins that ended, by result.", "result=\"limited\"");
METRIC_COUNTER_L(logins_refused, "bongsu_ident_logins", "Log-ins that ended, by result.", "result=\"unavailable\"");
METRIC_COUNTER_L(logins_expired, "bongsu_ident_logins", "Log-ins that ended, by result.", "result=\"expired\"");
enum { TOKEN_WAIT_MS = 200 };     /* for a token to be written, over a shared database: longer is a fail-over */

METRIC_COUNTER(tokens_issued, "bongsu_ident_fast_tokens", "FAST tokens given out.");
METRIC_GAUGE(logins_open, "bongsu_ident_exchanges", "Log-ins under way.");

struct login {
    struct ident       *ident;
    uint64_t            exchange;
    struct list         link;           /* in ident->idle, unless busy */
    int64_t             deadline_ms;
    struct bus_request *rq;             /* busy: the question that waits */
    struct sasl_exchange x;
    struct sasl_answer  answer;         /* while writing */
    char               *data;           /* answer.data's bytes */
    struct pool_job     job;
    struct commit_op    op;
    struct fast_change  change;
    bool                must;
    struct timer        patience;       /* for a write that need not be waited for */
};

/* ---- one log-in's life ---- */

static void login_free(struct login *g)
{
    intmap_del(&g->ident->logins, (int64_t)g->exchange);
    metric_set(&logins_open, (int64_t)g->ident->logins.count);
    list_remove(&g->link);
    timer_stop(g->ident->loop, &g->patience);
    sasl_end(&g->x);
    mem_wipe(g->change.secret, sizeof g->change.secret);
    free(g->data);
    free(g);
}

static void expire(struct timer *t)
{
    struct ident *id = LIST_ITEM(t, struct ident, expiry);
    int64_t now = loop_now_ms(id->loop);

    while (!list_empty(&id->idle)) {
        struct login *g = LIST_ITEM(id->idle.next, struct login, link);

        if (g->deadline_ms > now) {
            timer_start(id->loop, t, g->deadline_ms - now, expire);
            return;
        }
        metric_add(&logins_expired, 1);
        login_free(g);
    }
}

static struct login *login_new(struct ident *id)
{
    struct login *g = NEW(struct login);

    g->ident = id;
    list_init(&g->link);
    do
        g->exchange = random_u64();
    while (g->exchange == 0 || intmap_get(&id->logins, (int64_t)g->exchange));
    intmap_put(&id->logins, (int64_t)g->exchange, g);
    metric_set(&logins_open, (int64_t)id->logins.count);
    return g;
}

/* Deadlines are all equally far, so appending keeps the list in order. */
static void login_wait(struct login *g)
{
    struct ident *id = g->ident;

    g->deadline_ms = loop_now_ms(id->loop) + IDENT_EXCHANGE_MS;
    list_append(&id->idle, &g->link);
    if (!timer_running(&id->expiry))
        timer_start(id->loop, &id->expiry, IDENT_EXCHANGE_MS, expire);
}

/* ---- limits ---- */

static bool is_limited(struct login *g)
{
    struct str address = str_of(g->x.peer_key);
    int64_t    now = clock_mono_ms();

    return limits_empty(&g->ident->by_address, address, STR_NULL, now) ||
           (g->x.user && limits_empty(&g->ident->by_user, address, str_of(g->x.user), now));
}

/* By address and user together: strangers cannot lock the owner out. */
static void penalise(struct login *g, enum sasl_failure f)
{
    struct str address = str_of(g->x.peer_key);
    int64_t    now = clock_mono_ms();

    if (f == SASL_ACCOUNT_DISABLED || f == SASL_CREDENTIALS_EXPIRED || f == SASL_TEMPORARY_AUTH_FAILURE)
        return;                         /* the proof was right, or not looked at */
    limits_take(&g->ident->by_address, address, STR_NULL, now);
    if (f == SASL_NOT_AUTHORIZED && g->x.user)
        limits_take(&g->ident->by_user, address, str_of(g->x.user), now);
}

/* ---- answers ---- */

static void reply(struct ident *id, struct bus_request *rq, const struct sasl_answer *a)
{
    buf_clear(&id->out);
    sasl_answer_write(&id->out, a);
    bus_answer(rq, OK, buf_str(&id->out));
    mem_wipe(id->out.p, id->out.len);   /* it may hold a token */
}

static void reply_failure(struct ident *id, struct bus_request *rq, enum sasl_failure f)
{
    struct sasl_answer a;

    sasl_answer_fail(&a, f);
    reply(id, rq, &a);
}

/* A name that has no account is not logged: people type passwords into the wrong field. */
static void note_failure(struct login *g, enum sasl_failure f)
{
    metric_add(f == SASL_TEMPORARY_AUTH_FAILURE ? &logins_refused : &logins_wrong, 1);
    LOG_INFO("login.failed", LF_Z("reason", sasl_failure_condition(f)), LF_Z("mechanism", sasl_name(&g->x)),
             LF_Z("peer", g->x.peer_key), LF_Z("user", g->x.known && g->x.user ? g->x.user : ""));
}

static void login_fail(struct login *g, struct bus_request *rq, enum sasl_failure f)
{
    penalise(g, f);
    note_failure(g, f);
    reply_failure(g->ident, rq, f);
    login_free(g);
}

static void login_limited(struct login *g, struct bus_request *rq)
{
    metric_add(&logins_limited, 1);
    reply_failure(g->ident, rq, SASL_TEMPORARY_AUTH_FAILURE);
    login_free(g);
}

static void tell_success(struct login *g, struct bus_request *rq, const struct sasl_answer *a)
{
    metric_add(&logins_right, 1);
    LOG_DEBUG("login.succeeded", LF_Z("user", g->x.user), LF_Z("mechanism", sasl_name(&g->x)),
              LF_Z("peer", g->x.peer_key));
    reply(g->ident, rq, a);
}

static void login_succeed(struct login *g, struct bus_request *rq, const struct sasl_answer *a)
{
    tell_success(g, rq, a);
    login_free(g);
}

/* ---- tokens are written before they are told ---- */

static enum err change_apply(struct db_conn *c, struct commit_op *self)
{
    return fast_apply(c, &LIST_ITEM(self, struct login, op)->change);
}

/* A full disk must not keep people out: only what protects against replay needs its write. */
static void change_done(struct commit_op *self, enum err e)
{
    struct login *g = LIST_ITEM(self, struct login, op);
    struct bus_request *rq = g->rq;

    if (!rq) {                  /* the client is in already */
        login_free(g);
        return;
    }
    if (e == ERR_DENIED) {
        login_fail(g, rq, SASL_NOT_AUTHORIZED);
        return;
    }
    if (e && g->must) {
        login_fail(g, rq, SASL_TEMPORARY_AUTH_FAILURE);
        return;
    }
    if (e) {
        LOG_WARN("login.token_not_written", LF_Z("user", g->x.user), LF_ERR(e));
    } else if (g->change.issue.len) {
        metric_add(&tokens_issued, 1);
        g->answer.fast_token = str_of(g->change.secret);
        g->answer.fast_expires_us = g->change.expires_us;
    }
    login_succeed(g, rq, &g->answer);
}

/* While no primary takes commits nobody waits for a new token: the next log-in brings one, and the old one goes on. */
static void out_of_patience(struct timer *timer)
{
    struct login *g = LIST_ITEM(timer, struct login, patience);
    struct bus_request *rq = g->rq;

    g->rq = NULL;
    tell_success(g, rq, &g->answer);
}

static void login_write(struct login *g, struct bus_request *rq, const struct sasl_answer *a)
{
    enum err e;

    g->rq = rq;
    g->answer = *a;
    if (a->data.p) {
        g->data = str_dup(a->data);
        g->answer.data.p = g->data;
    }
    g->op.apply = change_apply;
    g->op.done = change_done;
    if (g->change.quiet) {
        g->rq = NULL;
        tell_success(g, rq, &g->answer);
    }
    e = commit_add(g->ident->db, &g->op);
    if (e)
        change_done(&g->op, e);
    else if (!g->must && !g->change.quiet && db_is_shared(g->ident->db))
        timer_start(g->ident->loop, &g->patience, TOKEN_WAIT_MS, out_of_patience);
}

static void login_answer(struct login *g, struct bus_request *rq, struct sasl_answer *a)
{
    if (a->state == SASL_CONTINUE) {
        a->exchange = g->exchange;
        reply(g->ident, rq, a);
        login_wait(g);
    } else if (a->state == SASL_FAILURE) {
        login_fail(g, rq, a->failure);
    } else if (sasl_change(&g->x, &g->ident->env, clock_us(), &g->change, &g->must)) {
        login_write(g, rq, a);
    } else {
        login_succeed(g, rq, a);
    }
}

/* ---- steps ---- */

static void hash_work(struct pool_job *self)
{
    sasl_hash(&LIST_ITEM(self, struct login, job)->x);
}

/* Many may have been queued before the first was found wrong, so the limit is looked at again. */
static void hash_done(struct pool_job *self, enum err e)
{
    struct login *g = LIST_ITEM(self, struct login, job);
    struct sasl_answer a;

    if (e) {
        login_fail(g, g->rq, SASL_TEMPORARY_AUTH_FAILURE);
        return;
    }
    if (is_limited(g)) {
        login_limited(g, g->rq);
        return;
    }
    sasl_hashed(&g->x, &g->ident->env, &a);
    login_answer(g, g->rq, &a);
}

static void login_feed(struct login *g, struct bus_request *rq, struct str in)
{
    struct ident *id = g->ident;
    struct sasl_answer a;
    enum sasl_next next = sasl_feed(&g->x, &id->env, &id->arena, in, &a);

    /* Looked at after the step, because only the step names the user; what it found is not told. */
    if (is_limited(g)) {
        login_limited(g, rq);
        return;
    }
    if (next == SASL_NEXT_ANSWER) {
        login_answer(g, rq, &a);
        return;
    }
    g->rq = rq;
    g->job.work = hash_work;
    g->job.done = hash_done;
    if (pool_add(id->pool, &g->job))
        login_fail(g, rq, SASL_TEMPORARY_AUTH_FAILURE);
}

void logins_start(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct sasl_start  s;
    struct sasl_answer a = { .state = SASL_CONTINUE, .data = STR("") };
    enum sasl_failure  why;
    struct login      *g;

    if (sasl_start_read(payload, &s)) {
        bus_answer(rq, ERR_INVALID, STR_NULL);
        return;
    }
    if (id->logins.count >= IDENT_EXCHANGES_MAX) {
        metric_add(&logins_refused, 1);
        reply_failure(id, rq, SASL_TEMPORARY_AUTH_FAILURE);
        return;
    }
    g = login_new(id);
    why = sasl_begin(&g->x, &s);
    if (why)
        login_fail(g, rq, why);
    else if (is_limited(g))
        login_limited(g, rq);
    else if (s.initial.p)
        login_feed(g, rq, s.initial);
    else
        login_answer(g, rq, &a);        /* every mechanism here lets the client speak first (RFC 4422 §5) */
}

/* An exchange we do not know has expired, or ident has been restarted: the client may simply begin again. */
void logins_step(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    uint64_t      exchange = codec_u64(r);
    struct str    response = codec_bytes(r, SASL_MESSAGE_BYTES_MAX);
    struct login *g;

    if (!codec_ok(r)) {
        bus_answer(rq, ERR_INVALID, STR_NULL);
        return;
    }
    g = intmap_get(&id->logins, (int64_t)exchange);
    if (!g) {
        reply_failure(id, rq, SASL_TEMPORARY_AUTH_FAILURE);
    } else if (!list_linked(&g->link)) {
        reply_failure(id, rq, SASL_MALFORMED_REQUEST);      /* spoke before its turn */
    } else {
        list_remove(&g->link);
        login_feed(g, rq, response);
    }
}

void logins_abort(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    uint64_t      exchange = codec_u64(r);
    struct login *g;

    if (!codec_ok(r)) {
        bus_answer(rq, ERR_INVALID, STR_NULL);
        return;
    }
    g = intmap_get(&id->logins, (int64_t)exchange);
    if (g && list_linked(&g->link))
        login_free(g);
    bus_answer(rq, OK, STR_NULL);
}

void logins_init(struct ident *id)
{
    intmap_init(&id->logins);
    list_init(&id->idle);
    limits_init(&id->by_address, id->o.failures_per_address, IDENT_FAILURES_WINDOW_MS);
    limits_init(&id->by_user, id->o.failures_per_user, IDENT_FAILURES_WINDOW_MS);
}

void logins_done(struct ident *id)
{
    timer_stop(id->loop, &id->expiry);
    while (!list_empty(&id->idle))
        login_free(LIST_ITEM(id->idle.next, struct login, link));
    intmap_done(&id->logins);
    limits_done(&id->by_address);
    limits_done(&id->by_user);
}
