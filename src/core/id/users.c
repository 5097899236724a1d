/* users.c: changes of accounts, and what operators ask.
 *
 *   asked ──(with a password: hashed on a worker)──▶ change_commit ──▶ change_done: answered
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "id/inner.h"

METRIC_COUNTER(users_made, "bongsu_ident_accounts_made", "Accounts made.");
METRIC_COUNTER(users_ended, "bongsu_ident_accounts_deleted", "Accounts deleted.");
METRIC_COUNTER(registrations_limited, "bongsu_ident_registrations_limited", "Registrations refused because an address made too many.");

enum verb { VERB_ADD, VERB_PASSWORD, VERB_DISABLE, VERB_ENABLE, VERB_DELETE, VERB_FORGOTTEN };
static const char *const verb_events[] = {
    [VERB_ADD] = "account.added", [VERB_PASSWORD] = "account.password_changed", [VERB_DISABLE] = "account.disabled",
    [VERB_ENABLE] = "account.enabled", [VERB_DELETE] = "account.deleted",
    [VERB_FORGOTTEN] = "account.forgotten",
};

struct change {
    struct ident       *ident;
    struct bus_request *rq;
    enum verb           verb;
    char               *user, *password;
    int                 iterations;
    int64_t             now_us;
    struct account_keys keys;
    struct pool_job     job;
    struct commit_op    op;
};

static void change_free(struct change *g)
{
    g->ident->change_count--;
    if (g->password)
        mem_wipe(g->password, strlen(g->password));
    free(g->password);
    free(g->user);
    mem_wipe(&g->keys, sizeof g->keys);
    free(g);
}

static void change_end(struct change *g, enum err e)
{
    bus_answer(g->rq, e, STR_NULL);
    change_free(g);
}

static enum err change_apply(struct db_conn *c, struct commit_op *self)
{
    struct change *g = LIST_ITEM(self, struct change, op);
    struct str     user = str_of(g->user);

    switch (g->verb) {
    case VERB_ADD:
        return account_add(c, user, &g->keys, g->now_us);
    case VERB_PASSWORD:
        return account_passwd(c, user, &g->keys);
    case VERB_DISABLE:
    case VERB_ENABLE:
        return account_disable(c, user, g->verb == VERB_DISABLE);
    case VERB_DELETE:
        return account_delete(c, user, g->now_us);
    case VERB_FORGOTTEN:
        return account_deletion_done(c, user);
    }
    return ERR_BUG;
}

/* Told to whoever holds something of that user: sessions, archive, roster. */
static void publish(struct ident *id, enum verb verb, struct str user)
{
    struct buf *out = &id->out;

    buf_clear(out);
    codec_begin(out, IDENT_PAYLOAD_VERSION);
    codec_put_str(out, user);
    bus_publish(id->bus, verb_events[verb], buf_str(out));
}

static void change_done(struct commit_op *self, enum err e)
{
    struct change *g = LIST_ITEM(self, struct change, op);

    if (!e) {
        LOG_INFO(verb_events[g->verb], LF_Z("user", g->user));
        if (g->verb == VERB_ADD)
            metric_add(&users_made, 1);
        if (g->verb == VERB_DELETE)
            metric_add(&users_ended, 1);
    }
    /* the asker hears it first: it may be a session of that very user, which the event ends */
    bus_answer(g->rq, e, STR_NULL);
    if (!e && (g->verb == VERB_DELETE || g->verb == VERB_DISABLE))
        publish(g->ident, g->verb, str_of(g->user));
    change_free(g);
}

static void change_commit(struct change *g)
{
    enum err e;

    g->op.apply = change_apply;
    g->op.done = change_done;
    e = commit_add(g->ident->db, &g->op);
    if (e)
        change_end(g, e);
}

static void hash_work(struct pool_job *self)
{
    struct change *g = LIST_ITEM(self, struct change, job);

    account_keys_make(&g->keys, str_of(g->password), g->iterations);
}

static void hash_done(struct pool_job *self, enum err e)
{
    struct change *g = LIST_ITEM(self, struct change, job);

    if (e)
        change_end(g, ERR_UNAVAILABLE);
    else
        change_commit(g);
}

/* `user` and `password` are in normal form; password.p NULL: none is needed. */
static void change_start(struct ident *id, struct bus_request *rq, enum verb verb, struct str user, struct str password)
{
    struct change *g;

    if (id->change_count >= IDENT_CHANGES_MAX) {
        bus_answer(rq, ERR_LIMIT, STR_NULL);
        return;
    }
    id->change_count++;
    g = NEW(struct change);
    *g = (struct change){ .ident = id, .rq = rq, .verb = verb, .user = str_dup(user),
                          .iterations = id->o.scram_iterations, .now_us = clock_us() };
    if (!password.p) {
        change_commit(g);
        return;
    }
    g->password = str_dup(password);
    g->job.work = hash_work;
    g->job.done = hash_done;
    if (pool_add(id->pool, &g->job))
        change_end(g, ERR_LIMIT);
}

/* ---- the subjects ---- */

static struct str read_user(struct codec_reader *r)
{
    return codec_str(r, IDENT_USER_BYTES_MAX);
}

static struct str read_password(struct codec_reader *r)
{
    return codec_str(r, IDENT_PASSWORD_BYTES_MAX);
}

/* The reader is at its end; name and password become normal. */
static enum err prepare(struct ident *id, const struct codec_reader *r, struct str *user, struct str *password)
{
    enum err e;

    if (!codec_ok(r))
        return ERR_INVALID;
    e = account_name(&id->arena, *user, user);
    if (e || !password)
        return e;
    return account_password(&id->arena, *password, password);
}

void users_exists(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str user = read_user(r);
    enum err   e = prepare(id, r, &user, NULL);

    bus_answer(rq, e ? e : account_exists(id->env.conn, user), STR_NULL);
}

/* Looked at before the slow hash; the write looks again. */
static enum err may_be_made(struct ident *id, struct str user)
{
    enum err e = account_exists(id->env.conn, user);

    return e == OK ? ERR_EXISTS : e == ERR_NOT_FOUND ? OK : e;
}

static enum err may_register(struct ident *id, struct str peer_key)
{
    if (limits_take(&id->registrations, peer_key, STR_NULL, clock_mono_ms()))
        return OK;
    metric_add(&registrations_limited, 1);
    return ERR_LIMIT;
}

void users_register(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str user = read_user(r), password = read_password(r), peer_key = codec_str(r, SASL_PEER_BYTES_MAX);
    enum err   e = id->o.registration ? prepare(id, r, &user, &password) : ERR_DENIED;

    if (!e)
        e = may_be_made(id, user);
    if (!e)
        e = may_register(id, peer_key);
    if (e)
        bus_answer(rq, e, STR_NULL);
    else
        change_start(id, rq, VERB_ADD, user, password);
}

void users_add(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str user = read_user(r), password = read_password(r);
    enum err   e = prepare(id, r, &user, &password);

    if (!e)
        e = may_be_made(id, user);
    if (e)
        bus_answer(rq, e, STR_NULL);
    else
        change_start(id, rq, VERB_ADD, user, password);
}

void users_password(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str user = read_user(r), password = read_password(r);
    enum err   e = prepare(id, r, &user, &password);

    if (!e)
        e = account_exists(id->env.conn, user);
    if (e)
        bus_answer(rq, e, STR_NULL);
    else
        change_start(id, rq, VERB_PASSWORD, user, password);
}

void users_delete(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str user = read_user(r);
    enum err   e = prepare(id, r, &user, NULL);

    if (e)
        bus_answer(rq, e, STR_NULL);
    else
        change_start(id, rq, VERB_DELETE, user, STR_NULL);
}

void users_forgotten(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str user = read_user(r);
    enum err   e = prepare(id, r, &user, NULL);

    if (e)
        bus_answer(rq, e, STR_NULL);
    else
        change_start(id, rq, VERB_FORGOTTEN, user, STR_NULL);
}

/* ---- deletions that nobody has confirmed: an event may be lost, and whom it was for may have been away ---- */

enum { DELETIONS_AGAIN_MS = 30000, DELETIONS_REST_US = 10 * 1000000 };

struct telling {
    struct ident *id;
    struct buf    names;
};

static void deletion_row(void *arg, struct str user, int64_t at_us, bool disabled)
{
    codec_put_str(&((struct telling *)arg)->names, user);
}

static void deletions_tell(struct timer *timer)
{
    struct ident       *id = LIST_ITEM(timer, struct ident, deletions);
    struct telling      g = { .id = id };
    struct codec_reader r;

    timer_start(id->loop, &id->deletions, DELETIONS_AGAIN_MS, deletions_tell);
    codec_begin(&g.names, IDENT_PAYLOAD_VERSION);
    account_deletions(id->env.conn, clock_us() - id->deletions_rest_us, deletion_row, &g);
    id->deletions_rest_us = DELETIONS_REST_US;      /* at the start: all */
    r = codec_open(buf_str(&g.names), IDENT_PAYLOAD_VERSION);
    while (!r.failed && r.rest.len)
        publish(id, VERB_DELETE, codec_str(&r, ACCOUNT_NAME_BYTES_MAX));
    buf_done(&g.names);
}

void users_init(struct ident *id)
{
    timer_start(id->loop, &id->deletions, DELETIONS_AGAIN_MS / 10, deletions_tell);
}

void users_done(struct ident *id)
{
    timer_stop(id->loop, &id->deletions);
}

void users_disable(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str user = read_user(r);
    uint64_t   disabled = codec_u64(r);
    enum err   e = prepare(id, r, &user, NULL);

    if (e)
        bus_answer(rq, e, STR_NULL);
    else
        change_start(id, rq, disabled ? VERB_DISABLE : VERB_ENABLE, user, STR_NULL);
}

struct listing {
    struct buf rows;
    uint64_t   count;
};

static void list_row(void *arg, struct str user, int64_t created_us, bool disabled)
{
    struct listing *g = arg;

    codec_put_str(&g->rows, user);
    codec_put_i64(&g->rows, created_us);
    codec_put_u64(&g->rows, disabled);
    g->count++;
}

typedef enum err lister(struct db_conn *c, struct str after, int max, account_fn *fn, void *arg);

static void list(struct ident *id, struct bus_request *rq, struct codec_reader *r, lister *read)
{
    struct str     after = read_user(r);
    uint64_t       max = codec_u64(r);
    struct listing g = { 0 };
    enum err       e = codec_ok(r) ? OK : ERR_INVALID;

    buf_init(&g.rows, BUS_PAYLOAD_BYTES_MAX - 64);
    if (!e)
        e = read(id->env.conn, after, max > ACCOUNT_LIST_MAX ? ACCOUNT_LIST_MAX : (int)max, list_row, &g);
    buf_clear(&id->out);
    codec_begin(&id->out, IDENT_PAYLOAD_VERSION);
    codec_put_u64(&id->out, g.count);
    buf_put_str(&id->out, buf_str(&g.rows));
    bus_answer(rq, e, e ? STR_NULL : buf_str(&id->out));
    buf_done(&g.rows);
}

void users_list(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    list(id, rq, r, account_list);
}

void users_list_disabled(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    list(id, rq, r, account_list_disabled);
}

void users_count(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    int64_t  all, disabled;
    enum err e = account_count(id->env.conn, &all, &disabled);

    buf_clear(&id->out);
    codec_begin(&id->out, IDENT_PAYLOAD_VERSION);
    codec_put_i64(&id->out, all);
    codec_put_i64(&id->out, disabled);
    bus_answer(rq, e, e ? STR_NULL : buf_str(&id->out));
}

/* ---- backup: touches nothing of ident's, which may end before it does ---- */

struct backup {
    struct db_read      read;
    struct bus_request *rq;
    char               *path;
    struct arena        arena;
    struct str          why;
};

static enum err backup_work(struct db_conn *c, struct db_read *self)
{
    struct backup *g = LIST_ITEM(self, struct backup, read);

    return db_backup(c, g->path, &g->arena, &g->why);
}

static void backup_end(struct backup *g, enum err e)
{
    struct buf out = { 0 };

    codec_begin(&out, IDENT_PAYLOAD_VERSION);
    codec_put_str(&out, g->why.p ? g->why : STR(""));
    bus_answer(g->rq, e, e ? buf_str(&out) : STR_NULL);
    buf_done(&out);
    arena_done(&g->arena);
    free(g->path);
    free(g);
}

static void backup_done(struct db_read *self, enum err e)
{
    backup_end(LIST_ITEM(self, struct backup, read), e);
}

void ident_backup(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str     path = codec_str(r, IDENT_PATH_BYTES_MAX);
    struct backup *g;
    enum err       e;

    if (!codec_ok(r) || path.len == 0 || memchr(path.p, 0, path.len)) {
        bus_answer(rq, ERR_INVALID, STR_NULL);
        return;
    }
    g = NEW(struct backup);
    *g = (struct backup){ .read = { .work = backup_work, .done = backup_done }, .rq = rq,
                          .path = str_dup(path) };
    arena_init(&g->arena);
    e = db_read_start(id->db, &g->read);
    if (e)
        backup_end(g, e);
}
