/* client.c: ident.h over the bus, for talk and web. Needs only payload.c of this
 * folder, so that what asks does not link what knows.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/mem.h"
#include "crypto/digest.h"
#include "id/payload.h"
#include "id/sasl.h"

const char *const ident_mechanisms[] = {
    "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", NULL };
const char *const ident_fast_mechanisms[] = { "HT-SHA-256-EXPR", "HT-SHA-256-ENDP", "HT-SHA-256-NONE", NULL };

const char *sasl_failure_condition(enum sasl_failure f)
{
    static const char *const names[SASL_FAILURE_COUNT] = {
        [SASL_FINE] = "", [SASL_ABORTED] = "aborted", [SASL_ACCOUNT_DISABLED] = "account-disabled",
        [SASL_CREDENTIALS_EXPIRED] = "credentials-expired", [SASL_INCORRECT_ENCODING] = "incorrect-encoding",
        [SASL_INVALID_AUTHZID] = "invalid-authzid", [SASL_INVALID_MECHANISM] = "invalid-mechanism",
        [SASL_MALFORMED_REQUEST] = "malformed-request", [SASL_NOT_AUTHORIZED] = "not-authorized",
        [SASL_TEMPORARY_AUTH_FAILURE] = "temporary-auth-failure",
    };

    return (unsigned)f < SASL_FAILURE_COUNT ? names[f] : names[SASL_TEMPORARY_AUTH_FAILURE];
}

/* One question under way. */
struct ask {
    sasl_answer_fn *sasl_fn;
    ident_done_fn  *done_fn;
    ident_key_fn   *key_fn;
    ident_users_fn *users_fn;
    ident_count_fn *count_fn;
    ident_devices_fn *devices_fn;
    void           *arg;
};

static void sasl_replied(void *arg, enum err e, struct str payload)
{
    struct ask q = *(struct ask *)arg;
    struct sasl_answer a = { 0 };

    free(arg);
    if (!e)
        e = sasl_answer_read(payload, &a);
    q.sasl_fn(q.arg, e, e ? NULL : &a);
}

static void done_replied(void *arg, enum err e, struct str payload)
{
    struct ask q = *(struct ask *)arg;

    free(arg);
    if (q.done_fn)
        q.done_fn(q.arg, e);
}

/* Sends and gives `payload` back, wiped: it may hold a password. */
static enum err send(struct bus *b, const char *subject, struct buf *payload, bus_reply_fn *replied, struct ask ask)
{
    struct ask *q = mem_copy(&ask, sizeof ask);
    enum err e = payload->overflow ? ERR_INVALID
                                   : bus_ask(b, subject, buf_str(payload), IDENT_TIMEOUT_MS, replied, q);

    if (payload->len)
        mem_wipe(payload->p, payload->len);
    buf_done(payload);
    if (e)
        free(q);
    return e;
}

/* ---- log-in ---- */

enum err ident_sasl_start(struct bus *b, const struct sasl_start *s, sasl_answer_fn *fn, void *arg)
{
    struct buf payload;

    buf_init(&payload, BUS_PAYLOAD_BYTES_MAX);
    sasl_start_write(&payload, s);
    return send(b, "ident.sasl.start", &payload, sasl_replied, (struct ask){ .sasl_fn = fn, .arg = arg });
}

enum err ident_sasl_step(struct bus *b, uint64_t exchange, struct str response, sasl_answer_fn *fn, void *arg)
{
    struct buf payload;

    buf_init(&payload, BUS_PAYLOAD_BYTES_MAX);
    codec_begin(&payload, IDENT_PAYLOAD_VERSION);
    codec_put_u64(&payload, exchange);
    codec_put_bytes(&payload, response);
    return send(b, "ident.sasl.step", &payload, sasl_replied, (struct ask){ .sasl_fn = fn, .arg = arg });
}

enum err ident_sasl_abort(struct bus *b, uint64_t exchange)
{
    struct buf payload;

    buf_init(&payload, 0);
    codec_begin(&payload, IDENT_PAYLOAD_VERSION);
    codec_put_u64(&payload, exchange);
    return send(b, "ident.sasl.abort", &payload, done_replied, (struct ask){ 0 });
}

/* ---- accounts ---- */

/* Up to three text fields; those with p NULL are left out. */
static enum err ask_user(struct bus *b, const char *subject, struct str user, struct str password, struct str peer_key,
                         ident_done_fn *fn, void *arg)
{
    struct buf payload;

    buf_init(&payload, BUS_PAYLOAD_BYTES_MAX);
    codec_begin(&payload, IDENT_PAYLOAD_VERSION);
    codec_put_str(&payload, user.p ? user : STR(""));
    if (password.p)
        codec_put_str(&payload, password);
    if (peer_key.p)
        codec_put_str(&payload, peer_key);
    return send(b, subject, &payload, done_replied, (struct ask){ .done_fn = fn, .arg = arg });
}

static struct str some(struct str s)
{
    return s.p ? s : STR("");
}

enum err ident_user_exists(struct bus *b, struct str user, ident_done_fn *fn, void *arg)
{
    return ask_user(b, "ident.user.exists", user, STR_NULL, STR_NULL, fn, arg);
}

enum err ident_user_register(struct bus *b, struct str user, struct str password, struct str peer_key,
                             ident_done_fn *fn, void *arg)
{
    return ask_user(b, "ident.user.register", user, some(password), some(peer_key), fn, arg);
}

enum err ident_user_password(struct bus *b, struct str user, struct str password, ident_done_fn *fn, void *arg)
{
    return ask_user(b, "ident.user.password", user, some(password), STR_NULL, fn, arg);
}

enum err ident_user_delete(struct bus *b, struct str user, ident_done_fn *fn, void *arg)
{
    return ask_user(b, "ident.user.delete", user, STR_NULL, STR_NULL, fn, arg);
}

enum err ident_user_add(struct bus *b, struct str user, struct str password, ident_done_fn *fn, void *arg)
{
    return ask_user(b, "ident.user.add", user, some(password), STR_NULL, fn, arg);
}

enum err ident_user_forgotten(struct bus *b, struct str user, ident_done_fn *fn, void *arg)
{
    return ask_user(b, "ident.user.forgotten", user, STR_NULL, STR_NULL, fn, arg);
}

/* ---- for administrators ---- */

static enum err ask_number(struct bus *b, const char *subject, struct str user, uint64_t number, bus_reply_fn *replied, struct ask ask)
{
    struct buf payload;

    buf_init(&payload, BUS_PAYLOAD_BYTES_MAX);
    codec_begin(&payload, IDENT_PAYLOAD_VERSION);
    codec_put_str(&payload, some(user));
    codec_put_u64(&payload, number);
    return send(b, subject, &payload, replied, ask);
}

enum err ident_user_disable(struct bus *b, struct str user, bool disabled, ident_done_fn *fn, void *arg)
{
    return ask_number(b, "ident.user.disable", user, disabled, done_replied, (struct ask){ .done_fn = fn, .arg = arg });
}

static void users_replied(void *arg, enum err e, struct str payload)
{
    struct ask          q = *(struct ask *)arg;
    struct codec_reader r = codec_open(payload, IDENT_PAYLOAD_VERSION);
    uint64_t            count = e ? 0 : codec_u64(&r);
    struct ident_user  *users = mem_new(sizeof *users * (IDENT_LIST_MAX + 1));

    free(arg);
    if (count > IDENT_LIST_MAX)
        e = ERR_INVALID;
    for (uint64_t i = 0; i < count && !e; i++) {
        users[i].name = codec_str(&r, IDENT_USER_BYTES_MAX);
        users[i].created_us = codec_i64(&r);
        users[i].disabled = codec_u64(&r) != 0;
    }
    if (!e && !codec_ok(&r))
        e = ERR_INVALID;
    q.users_fn(q.arg, e, users, e ? 0 : (int)count);
    free(users);
}

enum err ident_users(struct bus *b, struct str after, int max, bool only_disabled, ident_users_fn *fn, void *arg)
{
    return ask_number(b, only_disabled ? "ident.user.list_disabled" : "ident.user.list", after, (uint64_t)max, users_replied,
                      (struct ask){ .users_fn = fn, .arg = arg });
}

static void count_replied(void *arg, enum err e, struct str payload)
{
    struct ask          q = *(struct ask *)arg;
    struct codec_reader r = codec_open(payload, IDENT_PAYLOAD_VERSION);
    int64_t             all = codec_i64(&r), disabled = codec_i64(&r);

    free(arg);
    if (!e && !codec_ok(&r))
        e = ERR_INVALID;
    q.count_fn(q.arg, e, e ? 0 : all, e ? 0 : disabled);
}

enum err ident_user_count(struct bus *b, ident_count_fn *fn, void *arg)
{
    struct buf payload;

    buf_init(&payload, 0);
    codec_begin(&payload, IDENT_PAYLOAD_VERSION);
    return send(b, "ident.user.count", &payload, count_replied, (struct ask){ .count_fn = fn, .arg = arg });
}

/* ---- devices ---- */

uint64_t ident_device_id(struct str agent_id)
{
    uint8_t  hash[32];
    uint64_t id = 0;

    if (!agent_id.len)
        return 0;
    digest(DIGEST_SHA256, agent_id, hash);
    for (int i = 0; i < 8; i++)
        id = id << 8 | hash[i];
    return id ? id : 1;
}

static void devices_replied(void *arg, enum err e, struct str payload)
{
    struct ask          q = *(struct ask *)arg;
    struct codec_reader r = codec_open(payload, IDENT_PAYLOAD_VERSION);
    uint64_t            count = e ? 0 : codec_u64(&r);
    struct ident_device devices[IDENT_DEVICES_MAX];

    free(arg);
    if (count > IDENT_DEVICES_MAX)
        e = ERR_INVALID;
    for (uint64_t i = 0; i < count && !e; i++) {
        devices[i].id = codec_u64(&r);
        devices[i].software = codec_str(&r, IDENT_DEVICE_TEXT_BYTES_MAX);
        devices[i].name = codec_str(&r, IDENT_DEVICE_TEXT_BYTES_MAX);
        devices[i].seen_us = codec_i64(&r);
        devices[i].expires_us = codec_i64(&r);
    }
    if (!e && !codec_ok(&r))
        e = ERR_INVALID;
    q.devices_fn(q.arg, e, devices, e ? 0 : (int)count);
}

enum err ident_devices(struct bus *b, struct str user, ident_devices_fn *fn, void *arg)
{
    struct buf payload;

    buf_init(&payload, BUS_PAYLOAD_BYTES_MAX);
    codec_begin(&payload, IDENT_PAYLOAD_VERSION);
    codec_put_str(&payload, user);
    return send(b, "ident.device.list", &payload, devices_replied, (struct ask){ .devices_fn = fn, .arg = arg });
}

enum err ident_device_end(struct bus *b, struct str user, uint64_t id, bool others, ident_done_fn *fn, void *arg)
{
    struct buf payload;

    buf_init(&payload, BUS_PAYLOAD_BYTES_MAX);
    codec_begin(&payload, IDENT_PAYLOAD_VERSION);
    codec_put_str(&payload, user);
    codec_put_u64(&payload, id);
    codec_put_u64(&payload, others);
    return send(b, "ident.device.end", &payload, done_replied, (struct ask){ .done_fn = fn, .arg = arg });
}

/* ---- keys ---- */

static void key_replied(void *arg, enum err e, struct str payload)
{
    struct ask          q = *(struct ask *)arg;
    struct codec_reader r = codec_open(payload, IDENT_PAYLOAD_VERSION);
    struct str          key = codec_bytes(&r, IDENT_KEY_BYTES);

    free(arg);
    if (!e && (!codec_ok(&r) || key.len != IDENT_KEY_BYTES))
        e = ERR_INVALID;
    q.key_fn(q.arg, e, e ? STR_NULL : key);
}

enum err ident_key(struct bus *b, const char *purpose, ident_key_fn *fn, void *arg)
{
    struct buf payload;

    buf_init(&payload, 0);
    codec_begin(&payload, IDENT_PAYLOAD_VERSION);
    codec_put_str(&payload, str_of(purpose));
    return send(b, "ident.key", &payload, key_replied, (struct ask){ .key_fn = fn, .arg = arg });
}
