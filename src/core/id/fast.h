/* fast.h: XEP-0484 FAST 0.2: tokens, and the hashed-token mechanisms that
 * use them (draft-schmaus-kitten-sasl-ht-09).
 *
 *   issued ──▶ new ──first use──▶ current ──▶ ended (expiry, a later token used, invalidated,
 *               └─ replaced by the next issue      password change)
 *
 * A client (user, user-agent id) has at most these two tokens (§6.1), so a
 * token lost on a broken line never locks the client out.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "db/db.h"
#include "id/ident.h"

enum {
    FAST_HASH_BYTES = 32,
    FAST_TOKEN_CHARS = 43,              /* 258 bits */
    FAST_AGENT_BYTES_MAX = 128,         /* XEP-0388: a UUID, 36 */
    FAST_AGENTS_MAX = IDENT_DEVICES_MAX,    /* clients of one user with a token; the one not renewed longest makes room */
    FAST_MECHANISM_BYTES_MAX = 32,
    FAST_MESSAGE_BYTES_MAX = 1023 + 1 + FAST_HASH_BYTES,
    FAST_SEEN_US = 10 * 60 * 1000000,   /* its last use is known so well: not every log-in is a write */
};

/* initiator-msg = authcid NUL initiator-hashed-token */
struct fast_message { struct str user, hash; };
enum sasl_failure fast_parse(struct str in, struct fast_message *out);
/* HMAC-SHA-256(token, label || binding); `label`: "Initiator" or "Responder". */
void fast_hash(struct str token, const char *label, struct str binding, uint8_t out[FAST_HASH_BYTES]);

enum fast_slot { FAST_CURRENT = 0, FAST_NEW = 1 };
struct fast_token {
    bool     there;
    char     mechanism[FAST_MECHANISM_BYTES_MAX];
    char     secret[FAST_TOKEN_CHARS + 1];
    int64_t  expires_us, seen_us;
    uint64_t last_count;
};
/* Fills both slots, whether or not the user exists; *disabled is the account's, if there is a token. OK, ERR_IO … */
enum err fast_load(struct db_conn *c, struct str user, struct str agent, struct fast_token slots[2], bool *disabled);

/* What a log-in does to its client's tokens, in one step on the writer. */
struct fast_change {
    struct str user, agent, software, device;
    struct str used;                    /* the token that logged in; empty: a password did */
    uint64_t   count;                   /* replay counter, 0: none was sent */
    bool       invalidate;
    bool       quiet;                   /* only which one is used now, and when: nobody waits for that */
    struct str issue;                   /* mechanism of a new token; empty: none */
    char       secret[FAST_TOKEN_CHARS + 1];    /* the new one */
    int64_t    now_us, expires_us;
};
/* ERR_DENIED: the used token has ended or the counter was used meanwhile, or the account is gone; a quiet one changes nothing then. */
enum err fast_apply(struct db_conn *c, const struct fast_change *f);

/* The clients of a user that have a token which has not expired; at most FAST_AGENTS_MAX. Texts are borrowed until `fn` returns. */
typedef void fast_device_fn(void *arg, const struct ident_device *d);
enum err fast_devices(struct db_conn *c, struct str user, int64_t now_us, fast_device_fn *fn, void *arg);
/* Ends the tokens of one, or of all others. ERR_NOT_FOUND: none was there. */
enum err fast_end(struct db_conn *c, struct str user, uint64_t id, bool others);
