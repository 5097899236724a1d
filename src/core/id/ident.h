/* ident.h: asking ident, from talk and web. Each call is a bus request;
 * the answer comes to `fn` once, later. Subjects and payloads: id/service.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "bus/bus.h"

enum {
    IDENT_TIMEOUT_MS = 10000,
    IDENT_PASSWORD_BYTES_MAX = 1024,
    IDENT_EXCHANGES_MAX = 16384,     /* log-ins under way at one time */
};

/* RFC 6120 §6.5 conditions. */
enum sasl_failure {
    SASL_FINE = 0, SASL_ABORTED, SASL_ACCOUNT_DISABLED, SASL_CREDENTIALS_EXPIRED, SASL_INCORRECT_ENCODING,
    SASL_INVALID_AUTHZID, SASL_INVALID_MECHANISM, SASL_MALFORMED_REQUEST, SASL_NOT_AUTHORIZED,
    SASL_TEMPORARY_AUTH_FAILURE, SASL_FAILURE_COUNT
};
const char *sasl_failure_condition(enum sasl_failure f);

enum sasl_state { SASL_CONTINUE, SASL_SUCCESS, SASL_FAILURE };

struct sasl_answer {
    enum sasl_state   state;
    enum sasl_failure failure;
    uint64_t          exchange;     /* name it in ident_sasl_step */
    struct str        data;         /* challenge, or additional data with success; p NULL: none */
    struct str        user;         /* on success: normalised local part */
    struct str        fast_token;   /* on success, when asked for one: the new secret */
    int64_t           fast_expires_us;
};
/* e != OK: ident could not be asked (a temporary-auth-failure). The answer is borrowed. */
typedef void sasl_answer_fn(void *arg, enum err e, const struct sasl_answer *a);

struct sasl_start {
    struct str mechanism;           /* "SCRAM-SHA-256-PLUS", "PLAIN", "HT-SHA-256-EXPR", … */
    struct str initial;             /* p NULL: none was sent */
    struct str exporter;            /* tls-exporter binding, empty if the stream has none */
    struct str end_point;           /* tls-server-end-point binding */
    struct str peer_key;            /* address, for rate limits and the log */
    struct str agent_id;            /* XEP-0388 user-agent id: binds FAST tokens to a device; may be empty */
    struct str software, device;    /* what it calls itself; kept with its token */
    struct str fast_request;        /* XEP-0484: mechanism a token is wanted for; empty: none */
    uint64_t   fast_count;          /* XEP-0484 replay counter, 0 if none was sent */
    bool       fast_invalidate;
    bool       binding_offered;     /* the stream offered -PLUS mechanisms: 'y' from a client is then a downgrade */
};
enum err ident_sasl_start(struct bus *b, const struct sasl_start *s, sasl_answer_fn *fn, void *arg);
enum err ident_sasl_step(struct bus *b, uint64_t exchange, struct str response, sasl_answer_fn *fn, void *arg);
enum err ident_sasl_abort(struct bus *b, uint64_t exchange);     /* the stream went away */

/* XEP-0440: what ident can do; a constant list, strongest first, NULL-ended. */
extern const char *const ident_mechanisms[];          /* without PLAIN's TLS rule: talk applies that */
extern const char *const ident_fast_mechanisms[];

/* The reply functions get OK or the error, no payload.
 *   exists    OK, ERR_NOT_FOUND
 *   register  OK, ERR_EXISTS, ERR_INVALID (name or password), ERR_LIMIT (too many from this address), ERR_DENIED (switched off)
 *   password  OK, ERR_INVALID, ERR_NOT_FOUND
 *   delete    OK, ERR_NOT_FOUND; publishes "account.deleted" with the name */
typedef void ident_done_fn(void *arg, enum err e);
/* What an administrator may (XEP-0133); talk only.
 *   add       OK, ERR_EXISTS (also while what was kept of an earlier one is being deleted), ERR_INVALID
 *   disable   OK, ERR_NOT_FOUND; publishes "account.disabled" with the name
 *   forgotten talk has nothing of a deleted account any more */
enum err ident_user_add(struct bus *b, struct str user, struct str password, ident_done_fn *fn, void *arg);
enum err ident_user_disable(struct bus *b, struct str user, bool disabled, ident_done_fn *fn, void *arg);
enum err ident_user_forgotten(struct bus *b, struct str user, ident_done_fn *fn, void *arg);
/* e != OK: nothing else is said. */
enum { IDENT_LIST_MAX = 500 };
struct ident_user { struct str name; int64_t created_us; bool disabled; };
typedef void ident_users_fn(void *arg, enum err e, const struct ident_user *users, int count);
typedef void ident_count_fn(void *arg, enum err e, int64_t all, int64_t disabled);
enum err ident_users(struct bus *b, struct str after, int max, bool only_disabled, ident_users_fn *fn, void *arg);
enum err ident_user_count(struct bus *b, ident_count_fn *fn, void *arg);
enum err ident_user_exists(struct bus *b, struct str user, ident_done_fn *fn, void *arg);
enum err ident_user_register(struct bus *b, struct str user, struct str password, struct str peer_key, ident_done_fn *fn, void *arg);
enum err ident_user_password(struct bus *b, struct str user, struct str password, ident_done_fn *fn, void *arg);
enum err ident_user_delete(struct bus *b, struct str user, ident_done_fn *fn, void *arg);

/* The devices of an account that hold a token (FAST): what a person may see of them, and end. Not for web.
 *   device_end  of the one with that id, or with `others` of all but that one; OK; ERR_NOT_FOUND: there was none. The tokens are
 *               gone for good then; sessions are talk's. */
enum { IDENT_DEVICE_TEXT_BYTES_MAX = 100, IDENT_DEVICES_MAX = 64 };
struct ident_device { uint64_t id; struct str software, name; int64_t seen_us, expires_us; };     /* seen: to some ten minutes */
typedef void ident_devices_fn(void *arg, enum err e, const struct ident_device *devices, int count);     /* borrowed */
enum err ident_devices(struct bus *b, struct str user, ident_devices_fn *fn, void *arg);
enum err ident_device_end(struct bus *b, struct str user, uint64_t id, bool others, ident_done_fn *fn, void *arg);
/* The id of the device that calls itself so (XEP-0388 user-agent id); 0: it does not. Tells nobody what that id is. */
uint64_t ident_device_id(struct str agent_id);

/* A key of IDENT_KEY_BYTES for one purpose, the same each time and at every site, made from ident's secret, which it does not tell.
 * Purposes and who may ask: id/keys.c. ERR_DENIED: it is not for this asker. */
enum { IDENT_KEY_BYTES = 32 };
typedef void ident_key_fn(void *arg, enum err e, struct str key);      /* borrowed */
enum err ident_key(struct bus *b, const char *purpose, ident_key_fn *fn, void *arg);
