/* sasl.h: one log-in, from its start to success or failure. Knows messages and the
 * database, but neither the bus nor threads: id/service.c drives it.
 *
 *   sasl_begin ─▶ AWAIT_INITIAL ─sasl_feed─▶ AWAIT_FINAL (SCRAM) ─sasl_feed─▶ ENDED
 *                      ├──sasl_feed (HT-*)───────────────────────────────────▶ ENDED
 *                      └──sasl_feed (PLAIN)─▶ HASHING ─sasl_hash on a worker, sasl_hashed─▶ ENDED
 *
 * Whether a name exists shows in nothing before the proof is right: every
 * path does the same reads, the same hashes and answers in the same shape.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "crypto/tls.h"
#include "id/accounts.h"
#include "id/fast.h"
#include "id/ident.h"
#include "id/scram.h"

enum {
    SASL_MESSAGE_BYTES_MAX = 8192,      /* of any mechanism */
    SASL_MECHANISM_BYTES_MAX = 32,      /* RFC 4422 says 20; ours are shorter than 32 */
    SASL_PEER_BYTES_MAX = 64,
};

struct sasl_mechanism;

struct sasl_env {
    struct db_conn *conn;               /* point reads only */
    const uint8_t  *secret;             /* IDENT_SECRET_BYTES */
    struct str      domain;             /* authzid may be user@domain */
    int             iterations;         /* of new credentials, and so of names that do not exist */
    int64_t         fast_lifetime_us;
};

enum sasl_stage { SASL_AWAIT_INITIAL, SASL_AWAIT_FINAL, SASL_HASHING, SASL_ENDED };

struct sasl_exchange {
    const struct sasl_mechanism *mechanism;
    enum sasl_stage stage;
    size_t   exporter_bytes, end_point_bytes;
    char     exporter[TLS_BINDING_BYTES_MAX], end_point[TLS_BINDING_BYTES_MAX];
    char     peer_key[SASL_PEER_BYTES_MAX + 1];
    char     agent[FAST_AGENT_BYTES_MAX + 1];
    char     software[IDENT_DEVICE_TEXT_BYTES_MAX + 1], device[IDENT_DEVICE_TEXT_BYTES_MAX + 1];
    const char *fast_request;           /* one of ident_fast_mechanisms, or NULL */
    uint64_t fast_count;
    bool     fast_invalidate, binding_offered;
    char    *user;                      /* normal form; NULL until a message named one */
    bool     known;                     /* the account was there; never shown */
    struct scram scram;
    char    *password;                  /* PLAIN, until it is hashed */
    struct credential plain_key;
    bool     plain_right;
    bool     used_new;                  /* HT: the token stood in the new slot */
    char     used[FAST_TOKEN_CHARS + 1];
    int64_t  used_expires_us, used_seen_us;
};

enum sasl_next { SASL_NEXT_ANSWER, SASL_NEXT_HASH };

/* `x` is zeroed. SASL_FINE, or why it cannot begin. */
enum sasl_failure sasl_begin(struct sasl_exchange *x, const struct sasl_start *s);
/* The client's next message. SASL_NEXT_ANSWER: `out` is filled (not `exchange`, not the token), borrowed from `x` and `a`. */
enum sasl_next sasl_feed(struct sasl_exchange *x, const struct sasl_env *env, struct arena *a, struct str in,
                         struct sasl_answer *out);
void sasl_hash(struct sasl_exchange *x);        /* on a worker; touches only plain_* and password */
void sasl_hashed(struct sasl_exchange *x, const struct sasl_env *env, struct sasl_answer *out);
/* After success: what must be written before it is told; false: nothing. `must`: without it the
 * log-in may not stand (a replay counter, an invalidation). Borrowed from `x`. */
bool sasl_change(const struct sasl_exchange *x, const struct sasl_env *env, int64_t now_us, struct fast_change *out,
                 bool *must);
void sasl_end(struct sasl_exchange *x);         /* wipes and frees what `x` holds */
void sasl_answer_fail(struct sasl_answer *out, enum sasl_failure f);
/* "SCRAM-SHA-256", for the log. */
const char *sasl_name(const struct sasl_exchange *x);
