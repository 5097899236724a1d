/* sasl.c: the mechanisms' table and their steps (RFC 6120 §6, RFC 5802,
 * RFC 7677, RFC 4616, XEP-0484). Channel bindings: tls-exporter (RFC 9266),
 * tls-server-end-point (RFC 5929).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/sasl.h"
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "id/plain.h"

enum binding { BINDING_NONE, BINDING_CLIENTS_CHOICE, BINDING_EXPORTER, BINDING_END_POINT };

struct sasl_mechanism {
    const char      *name;
    enum digest_kind kind;
    enum binding     binding;
    enum sasl_next (*feed)(struct sasl_exchange *x, const struct sasl_env *env, struct arena *a, struct str in,
                           struct sasl_answer *out);
};

/* ---- answers ---- */

void sasl_answer_fail(struct sasl_answer *out, enum sasl_failure f)
{
    *out = (struct sasl_answer){ .state = SASL_FAILURE, .failure = f };
}

static enum sasl_next fail(struct sasl_exchange *x, struct sasl_answer *out, enum sasl_failure f)
{
    x->stage = SASL_ENDED;
    sasl_answer_fail(out, f);
    return SASL_NEXT_ANSWER;
}

static enum sasl_next challenge(struct sasl_exchange *x, struct sasl_answer *out, enum sasl_stage stage, struct str data)
{
    x->stage = stage;
    *out = (struct sasl_answer){ .state = SASL_CONTINUE, .data = data };
    return SASL_NEXT_ANSWER;
}

/* The proof was right. Only now may the account's state show. */
static enum sasl_next succeed_if(struct sasl_exchange *x, bool disabled, struct sasl_answer *out, struct str data)
{
    if (disabled)
        return fail(x, out, SASL_ACCOUNT_DISABLED);
    x->stage = SASL_ENDED;
    *out = (struct sasl_answer){ .state = SASL_SUCCESS, .data = data, .user = str_of(x->user) };
    return SASL_NEXT_ANSWER;
}

/* The state is read again because it may have changed since the challenge. */
static enum sasl_next succeed(struct sasl_exchange *x, const struct sasl_env *env, struct sasl_answer *out, struct str data)
{
    bool     disabled;
    enum err e = account_state(env->conn, str_of(x->user), &disabled);

    if (e)
        return fail(x, out, e == ERR_NOT_FOUND ? SASL_NOT_AUTHORIZED : SASL_TEMPORARY_AUTH_FAILURE);
    return succeed_if(x, disabled, out, data);
}

/* ---- parts that mechanisms share ---- */

/* A name that has no normal form can have no account. */
static enum sasl_failure take_user(struct sasl_exchange *x, struct arena *a, struct str in)
{
    struct str user;

    if (account_name(a, in, &user))
        return SASL_NOT_AUTHORIZED;
    x->user = str_dup(user);
    return SASL_FINE;
}

/* No one acts for another: empty, the own name, or the own bare address (RFC 6120 §6.3.8). */
static enum sasl_failure check_authzid(const struct sasl_exchange *x, const struct sasl_env *env, struct arena *a,
                                       struct str authzid)
{
    struct str user = str_of(x->user), local;
    struct jid jid;

    if (authzid.len == 0)
        return SASL_FINE;
    if (account_name(a, authzid, &local) == OK && str_eq(local, user))
        return SASL_FINE;
    if (authzid.len > JID_BYTES_MAX || jid_parse(a, authzid, &jid) || jid.resource.len)
        return SASL_INVALID_AUTHZID;
    return str_eq(jid.local, user) && str_eq(jid.domain, env->domain) ? SASL_FINE : SASL_INVALID_AUTHZID;
}

/* The real credential, or one made up for this name. Both are always prepared, so both cost the same. */
static enum err take_credential(struct sasl_exchange *x, const struct sasl_env *env, enum digest_kind kind,
                                struct credential *out)
{
    enum err e;

    credential_fake(out, kind, env->secret, str_of(x->user), env->iterations);
    e = account_credential(env->conn, str_of(x->user), kind, out);
    x->known = e == OK;
    return e == ERR_NOT_FOUND ? OK : e;
}

/* Accounts that came from another server may have only the older one. */
static enum err take_plain_credential(struct sasl_exchange *x, const struct sasl_env *env)
{
    struct credential older;
    enum err          e = take_credential(x, env, DIGEST_SHA256, &x->plain_key);
    bool              known = x->known;

    if (!e)
        e = take_credential(x, env, DIGEST_SHA1, &older);
    if (!e && !known && x->known)
        x->plain_key = older;
    x->known |= known;
    return e;
}

static struct str exporter_of(const struct sasl_exchange *x)
{
    return str_make(x->exporter, x->exporter_bytes);
}

static struct str end_point_of(const struct sasl_exchange *x)
{
    return str_make(x->end_point, x->end_point_bytes);
}

/* ---- SCRAM ---- */

/* RFC 5802 §6: 'y' means "I could bind, but you did not offer it". If we did, someone
 * between us took the offer away. */
static enum sasl_failure scram_binding(const struct sasl_exchange *x, const struct scram_first *f, struct str *data)
{
    bool plus = x->mechanism->binding == BINDING_CLIENTS_CHOICE;

    *data = STR_NULL;
    if (plus != (f->flag == 'p'))
        return SASL_MALFORMED_REQUEST;
    if (f->flag == 'y' && x->binding_offered)
        return SASL_NOT_AUTHORIZED;
    if (!plus)
        return SASL_FINE;
    if (str_is(f->binding_name, "tls-exporter"))
        *data = exporter_of(x);
    else if (str_is(f->binding_name, "tls-server-end-point"))
        *data = end_point_of(x);
    return data->len ? SASL_FINE : SASL_NOT_AUTHORIZED;
}

static enum sasl_next scram_feed_first(struct sasl_exchange *x, const struct sasl_env *env, struct arena *a,
                                       struct str in, struct sasl_answer *out)
{
    struct scram_first f;
    struct credential  key;
    struct str         binding;
    char               nonce[SCRAM_SERVER_NONCE_CHARS + 1];
    enum sasl_failure  why = scram_parse_first(a, in, &f);

    if (!why)
        why = scram_binding(x, &f, &binding);
    if (!why)
        why = take_user(x, a, f.user);
    if (!why)
        why = check_authzid(x, env, a, f.authzid);
    if (!why && take_credential(x, env, x->mechanism->kind, &key))
        why = SASL_TEMPORARY_AUTH_FAILURE;
    if (why)
        return fail(x, out, why);
    random_token(nonce, SCRAM_SERVER_NONCE_CHARS);
    return challenge(x, out, SASL_AWAIT_FINAL, scram_challenge(&x->scram, &f, binding, str_of(nonce), &key));
}

static enum sasl_next scram_feed_final(struct sasl_exchange *x, const struct sasl_env *env, struct arena *a,
                                       struct str in, struct sasl_answer *out)
{
    struct scram_final f;
    struct buf         server_final;
    struct str         data;
    enum sasl_failure  why = scram_parse_final(a, in, &f);

    if (why)
        return fail(x, out, why);
    buf_init(&server_final, 256);
    if (!scram_check(&x->scram, &f, &server_final) || !x->known) {
        buf_done(&server_final);
        return fail(x, out, SASL_NOT_AUTHORIZED);
    }
    data = arena_str(a, buf_str(&server_final));
    buf_done(&server_final);
    return succeed(x, env, out, data);
}

static enum sasl_next scram_feed(struct sasl_exchange *x, const struct sasl_env *env, struct arena *a, struct str in,
                                 struct sasl_answer *out)
{
    return x->stage == SASL_AWAIT_INITIAL ? scram_feed_first(x, env, a, in, out) : scram_feed_final(x, env, a, in, out);
}

/* ---- PLAIN ---- */

static enum sasl_next plain_feed(struct sasl_exchange *x, const struct sasl_env *env, struct arena *a, struct str in,
                                 struct sasl_answer *out)
{
    struct plain      p;
    struct str        password;
    enum sasl_failure why = plain_parse(in, &p);

    if (!why)
        why = take_user(x, a, p.user);
    if (!why)
        why = check_authzid(x, env, a, p.authzid);
    if (!why && account_password(a, p.password, &password))
        why = SASL_NOT_AUTHORIZED;
    if (!why && take_plain_credential(x, env))
        why = SASL_TEMPORARY_AUTH_FAILURE;
    if (why)
        return fail(x, out, why);
    x->password = str_dup(password);
    x->stage = SASL_HASHING;
    return SASL_NEXT_HASH;
}

static void password_drop(struct sasl_exchange *x)
{
    if (x->password)
        mem_wipe(x->password, strlen(x->password));
    free(x->password);
    x->password = NULL;
}

void sasl_hash(struct sasl_exchange *x)
{
    struct credential tried, *key = &x->plain_key;
    size_t n = digest_bytes(key->kind);

    credential_derive(&tried, key->kind, str_of(x->password), str_make((char *)key->salt, key->salt_bytes),
                      key->iterations);
    x->plain_right = str_eq_secret(str_make((char *)tried.stored_key, n), str_make((char *)key->stored_key, n));
    mem_wipe(&tried, sizeof tried);
    password_drop(x);
}

void sasl_hashed(struct sasl_exchange *x, const struct sasl_env *env, struct sasl_answer *out)
{
    if (x->plain_right && x->known)
        succeed(x, env, out, STR_NULL);
    else
        fail(x, out, SASL_NOT_AUTHORIZED);
}

/* ---- hashed tokens ---- */

static bool token_opens(const struct sasl_exchange *x, const struct fast_token *t, struct str hash, struct str binding)
{
    uint8_t want[FAST_HASH_BYTES];

    fast_hash(t->there ? str_of(t->secret) : STR("no token"), "Initiator", binding, want);
    return str_eq_secret(str_make((char *)want, sizeof want), hash) & t->there &
           (strcmp(t->mechanism, x->mechanism->name) == 0);
}

static enum sasl_failure token_check(struct sasl_exchange *x, const struct fast_token *t, bool is_new)
{
    if (t->expires_us <= clock_us())
        return SASL_CREDENTIALS_EXPIRED;
    if (x->fast_count && x->fast_count <= t->last_count)
        return SASL_NOT_AUTHORIZED;
    x->used_new = is_new;
    x->used_expires_us = t->expires_us;
    x->used_seen_us = t->seen_us;
    memcpy(x->used, t->secret, sizeof x->used);
    return SASL_FINE;
}

static enum sasl_next fast_feed(struct sasl_exchange *x, const struct sasl_env *env, struct arena *a, struct str in,
                                struct sasl_answer *out)
{
    enum binding        binding = x->mechanism->binding;
    struct str          data = binding == BINDING_EXPORTER    ? exporter_of(x)
                               : binding == BINDING_END_POINT ? end_point_of(x)
                                                              : STR_NULL;
    struct fast_message m;
    struct fast_token   slots[2];
    enum sasl_failure   why = fast_parse(in, &m);
    uint8_t             reply[FAST_HASH_BYTES];
    bool                opens_new, opens_current, disabled = false;

    if (!why)
        why = take_user(x, a, m.user);
    if (!why && ((binding != BINDING_NONE && !data.len) || !x->agent[0]))
        why = SASL_NOT_AUTHORIZED;
    if (!why && fast_load(env->conn, str_of(x->user), str_of(x->agent), slots, &disabled))
        why = SASL_TEMPORARY_AUTH_FAILURE;
    if (why)
        return fail(x, out, why);
    opens_new = token_opens(x, &slots[FAST_NEW], m.hash, data);
    opens_current = token_opens(x, &slots[FAST_CURRENT], m.hash, data);
    if (!opens_new && !opens_current)
        return fail(x, out, SASL_NOT_AUTHORIZED);
    why = token_check(x, &slots[opens_new ? FAST_NEW : FAST_CURRENT], opens_new);
    if (why)
        return fail(x, out, why);
    fast_hash(str_of(x->used), "Responder", data, reply);
    return succeed_if(x, disabled, out, arena_str(a, str_make((char *)reply, sizeof reply)));
}

bool sasl_change(const struct sasl_exchange *x, const struct sasl_env *env, int64_t now_us, struct fast_change *out,
                 bool *must)
{
    bool token = x->used[0] != 0;
    bool due = token && !x->fast_invalidate && x->used_expires_us - now_us < env->fast_lifetime_us / 2;

    *out = (struct fast_change){ .user = str_of(x->user), .agent = str_of(x->agent), .software = str_of(x->software),
                                 .device = str_of(x->device), .now_us = now_us,
                                 .expires_us = now_us + env->fast_lifetime_us };
    if (!x->agent[0])
        return false;                   /* tokens belong to a client that has a name (XEP-0484 §5.1) */
    if (token) {
        out->used = str_of(x->used);
        out->count = x->fast_count;
        out->invalidate = x->fast_invalidate;
    }
    if (x->fast_request)
        out->issue = str_of(x->fast_request);
    else if (due)
        out->issue = str_of(x->mechanism->name);
    if (out->issue.len)
        random_token(out->secret, FAST_TOKEN_CHARS);
    *must = out->count > 0 || out->invalidate;
    out->quiet = token && !*must && !out->issue.len;
    if (!out->quiet)
        return *must || out->issue.len;
    return x->used_new || now_us - x->used_seen_us > FAST_SEEN_US;
}

/* ---- the table ---- */

static const struct sasl_mechanism mechanisms[] = {
    { "SCRAM-SHA-256-PLUS", DIGEST_SHA256, BINDING_CLIENTS_CHOICE, scram_feed },
    { "SCRAM-SHA-1-PLUS",   DIGEST_SHA1,   BINDING_CLIENTS_CHOICE, scram_feed },
    { "SCRAM-SHA-256",      DIGEST_SHA256, BINDING_NONE,           scram_feed },
    { "SCRAM-SHA-1",        DIGEST_SHA1,   BINDING_NONE,           scram_feed },
    { "PLAIN",              DIGEST_SHA256, BINDING_NONE,           plain_feed },
    { "HT-SHA-256-EXPR",    DIGEST_SHA256, BINDING_EXPORTER,       fast_feed },
    { "HT-SHA-256-ENDP",    DIGEST_SHA256, BINDING_END_POINT,      fast_feed },
    { "HT-SHA-256-NONE",    DIGEST_SHA256, BINDING_NONE,           fast_feed },
};

static const struct sasl_mechanism *mechanism_find(struct str name)
{
    for (size_t i = 0; i < sizeof mechanisms / sizeof *mechanisms; i++)
        if (str_is(name, mechanisms[i].name))
            return &mechanisms[i];
    return NULL;
}

const char *sasl_name(const struct sasl_exchange *x)
{
    return x->mechanism ? x->mechanism->name : "none";
}

enum sasl_failure sasl_begin(struct sasl_exchange *x, const struct sasl_start *s)
{
    const struct sasl_mechanism *wanted = mechanism_find(s->fast_request);

    x->stage = SASL_ENDED;
    x->mechanism = mechanism_find(s->mechanism);
    if (!x->mechanism)
        return SASL_INVALID_MECHANISM;
    if (s->exporter.len > sizeof x->exporter || s->end_point.len > sizeof x->end_point ||
        s->fast_count > INT64_MAX || !str_copy(s->peer_key, x->peer_key, sizeof x->peer_key) ||
        !str_copy(s->agent_id, x->agent, sizeof x->agent) || !str_copy(s->software, x->software, sizeof x->software) ||
        !str_copy(s->device, x->device, sizeof x->device))
        return SASL_MALFORMED_REQUEST;
    if (s->exporter.len)
        memcpy(x->exporter, s->exporter.p, x->exporter_bytes = s->exporter.len);
    if (s->end_point.len)
        memcpy(x->end_point, s->end_point.p, x->end_point_bytes = s->end_point.len);
    /* A token for a mechanism we do not have is not given; the log-in goes on without. */
    if (wanted && wanted->feed == fast_feed)
        x->fast_request = wanted->name;
    x->fast_count = s->fast_count;
    x->fast_invalidate = s->fast_invalidate;
    x->binding_offered = s->binding_offered;
    x->stage = SASL_AWAIT_INITIAL;
    return SASL_FINE;
}

enum sasl_next sasl_feed(struct sasl_exchange *x, const struct sasl_env *env, struct arena *a, struct str in,
                         struct sasl_answer *out)
{
    if (in.len > SASL_MESSAGE_BYTES_MAX || (x->stage != SASL_AWAIT_INITIAL && x->stage != SASL_AWAIT_FINAL))
        return fail(x, out, SASL_MALFORMED_REQUEST);
    return x->mechanism->feed(x, env, a, in, out);
}

void sasl_end(struct sasl_exchange *x)
{
    password_drop(x);
    scram_done(&x->scram);
    free(x->user);
    mem_wipe(x, sizeof *x);
}
