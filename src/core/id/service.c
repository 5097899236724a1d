/* service.c: ident's life and its table of subjects.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/service.h"
#include <stdlib.h>
#include "base/mem.h"
#include "id/inner.h"

/* Who may ask. talk carries out what administrators ask of it (XEP-0133), so it may what they may; web and courier, which
 * face strangers too and have no such commands, may not. The rest is for the process of the control socket. */
enum asker { ANYONE, TALK, OPERATORS };

struct ident_row {
    const char       *subject;
    ident_handler_fn *handle;
    enum asker        who;
};

static const struct ident_row rows[] = {
    { "ident.sasl.start",         logins_start,        ANYONE },
    { "ident.sasl.step",          logins_step,         ANYONE },
    { "ident.sasl.abort",         logins_abort,        ANYONE },
    { "ident.user.exists",        users_exists,        ANYONE },
    { "ident.user.register",      users_register,      ANYONE },
    { "ident.user.password",      users_password,      ANYONE },
    { "ident.user.delete",        users_delete,        ANYONE },
    { "ident.key",                ident_key_give,      ANYONE },
    { "ident.user.forgotten",     users_forgotten,     TALK },
    { "ident.user.add",           users_add,           TALK },
    { "ident.user.disable",       users_disable,       TALK },
    { "ident.user.list",          users_list,          TALK },
    { "ident.user.list_disabled", users_list_disabled, TALK },
    { "ident.user.count",         users_count,         TALK },
    { "ident.device.list",        devices_list,        TALK },
    { "ident.device.end",         devices_end,         TALK },
    { "ident.passkey.challenge",  passkeys_challenge,  ANYONE },
    { "ident.passkey.login",      passkeys_login,      ANYONE },
    { "ident.passkey.list",       passkeys_list,       ANYONE },
    { "ident.passkey.offer",      passkeys_offer,      ANYONE },
    { "ident.passkey.add",        passkeys_add,        ANYONE },
    { "ident.passkey.rename",     passkeys_rename,     ANYONE },
    { "ident.passkey.remove",     passkeys_remove,     ANYONE },
    { "ident.passkey.password_remove", passkeys_password_remove, ANYONE },
    { "ident.passkey.ticket",     passkeys_ticket,     TALK },
    { "ident.passkey.of",         passkeys_of,         OPERATORS },
    { "ident.passkey.clear",      passkeys_clear,      OPERATORS },
    { "ident.backup",             ident_backup,        OPERATORS },
};

/* talk's further workers are talk2, talk3 … */
static bool may_ask(enum asker who, struct str asker)
{
    return who == ANYONE || str_is(asker, "keeper") || (who == TALK && str_starts(asker, STR("talk")));
}

static void serve(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct ident *id = arg;
    struct codec_reader r = codec_open(payload, IDENT_PAYLOAD_VERSION);

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (!str_is(subject, rows[i].subject))
            continue;
        if (!may_ask(rows[i].who, bus_asker(rq))) {
            bus_answer(rq, ERR_DENIED, STR_NULL);
            return;
        }
        rows[i].handle(id, rq, &r, payload);
        arena_reset(&id->arena);
        return;
    }
    bus_answer(rq, ERR_UNSUPPORTED, STR_NULL);
}

static void env_init(struct ident *id)
{
    id->env = (struct sasl_env){
        .conn = db_loop_conn(id->db),
        .secret = id->secret,
        .domain = str_of(id->domain),
        .iterations = id->o.scram_iterations,
        .fast_lifetime_us = (int64_t)id->o.fast_token_days * 86400 * 1000000,
    };
}

static void party_init(struct ident *id, const struct ident_options *o)
{
    id->rp_id = str_dup(str_of(o->passkey_rp && *o->passkey_rp ? o->passkey_rp : o->domain));
    id->origins = str_dup(str_of(o->passkey_origins ? o->passkey_origins : ""));
    id->party = (struct webauthn_party){ .rp_id = str_of(id->rp_id), .origins = str_of(id->origins) };
    id->o.passkey_rp = id->o.passkey_origins = NULL;         /* borrowed; not needed again */
}

/* The loop's connection may only read, so the first start writes the secret through a connection of its own. */
static enum err secret_open(struct ident *id, const struct db_settings *s, struct arena *a, struct str *why)
{
    struct db_conn *c = NULL;
    enum err e;

    if (!*s->path && !db_is_shared(id->db)) {                       /* in memory: nobody else can see it, and nothing outlives us */
        random_bytes(id->secret, sizeof id->secret);
        return OK;
    }
    e = db_conn_open(s, true, &c, a, why);
    if (e)
        return e;
    e = ident_secret(c, id->secret);
    if (e)
        *why = arena_printf(a, "could not read the secret in the identity database: %s", db_conn_error(c));
    db_conn_close(&c);
    return e;
}

enum err ident_new(struct loop *l, struct bus *b, const struct ident_options *o, struct ident **out,
                   struct arena *a, struct str *why)
{
    struct db_settings s = { .server = o->server, .schema = o->schema, .path = o->database, .read_workers = 1 };
    struct ident *id = NEW(struct ident);
    enum err e;

    id->loop = l;
    id->bus = b;
    id->o = *o;
    id->o.server = id->o.schema = id->o.database = NULL;     /* borrowed; not needed again */
    id->o.domain = id->domain = str_dup(str_of(o->domain));
    party_init(id, o);
    arena_init(&id->arena);
    buf_init(&id->out, BUS_PAYLOAD_BYTES_MAX);
    logins_init(id);
    limits_init(&id->registrations, o->registrations_per_hour, 3600 * 1000);
    e = db_open(l, &s, id_migrations, &id->db, a, why);
    if (!e)
        e = secret_open(id, &s, a, why);
    if (!e) {
        *why = STR("could not start the password threads or serve on the bus");
        e = pool_new(l, o->hash_threads, &id->pool);
    }
    if (!e) {
        env_init(id);
        e = bus_serve(b, "ident.*", serve, id);
        users_init(id);
    }
    if (e) {
        ident_free(&id);
        return e;
    }
    *why = STR_NULL;
    *out = id;
    return OK;
}

void ident_free(struct ident **idp)
{
    struct ident *id = *idp;

    if (!id)
        return;
    *idp = NULL;
    users_done(id);
    pool_free(&id->pool);           /* first: what it finishes may still be written */
    db_close(&id->db);
    logins_done(id);
    limits_done(&id->registrations);
    buf_done(&id->out);
    arena_done(&id->arena);
    mem_wipe(id->secret, sizeof id->secret);
    free(id->rp_id);
    free(id->origins);
    free(id->domain);
    free(id);
}

static void limits_change(struct limits *l, int *burst, int fresh)
{
    int64_t refill_ms = l->refill_ms;

    if (*burst == fresh)
        return;
    *burst = fresh;
    limits_done(l);
    limits_init(l, fresh, refill_ms);
}

void ident_reload(struct ident *id, const struct ident_options *o)
{
    id->o.registration = o->registration;
    id->o.fast_token_days = o->fast_token_days;
    limits_change(&id->registrations, &id->o.registrations_per_hour, o->registrations_per_hour);
    limits_change(&id->by_address, &id->o.failures_per_address, o->failures_per_address);
    limits_change(&id->by_user, &id->o.failures_per_user, o->failures_per_user);
    env_init(id);
}

enum err ident_health(const struct ident *id)
{
    return commit_health(id->db);
}
