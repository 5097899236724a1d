/* webauthn.h: judges what authenticators say: Web Authentication level 3 (W3C), §7.1 and §7.2, as far as it can be judged without
 * a database. libfido2 reads keys and checks signatures. What it does not look at is looked at here: client data (type, origin,
 * cross-origin), the outer attestation object, flags, and lengths. Challenge, counter, owner and user handle: passkey_service.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum {
    WEBAUTHN_CLIENT_DATA_BYTES_MAX = 4096,
    WEBAUTHN_ATTESTATION_BYTES_MAX = 16 * 1024,
    WEBAUTHN_AUTH_DATA_BYTES_MAX = 8 * 1024,
    WEBAUTHN_SIGNATURE_BYTES_MAX = 1024,
    WEBAUTHN_CREDENTIAL_BYTES_MIN = 16, WEBAUTHN_CREDENTIAL_BYTES_MAX = 1023,      /* its id */
    WEBAUTHN_HANDLE_BYTES_MAX = 64,                                                /* user.id */
    WEBAUTHN_KEY_BYTES_MAX = 259,                                                  /* RS256: 2048 bits and an exponent */
};

/* Ours: whom we believe. */
struct webauthn_party {
    struct str rp_id;           /* "town.example", A-labels, a NUL behind it */
    struct str origins;         /* "https://chat.town.example, …"; empty: https at rp_id, any port; http too when that is localhost */
};

struct webauthn_key {
    struct str credential;      /* its id */
    int        algorithm;
    struct str key;             /* as libfido2 writes it: x||y, an Ed25519 key, or n||e */
    uint32_t   counter;
};

/* Every call: OK; ERR_INVALID: malformed; ERR_DENIED: it is not for us, or not proven; ERR_UNSUPPORTED: an algorithm, or a kind of
 * attestation, that we did not ask for. On failure *why says which in a few words, for the log and for developers. */

/* `type`: "webauthn.create" or "webauthn.get". *challenge: its bytes, in `a`; whether it is ours the caller judges. */
enum err webauthn_client_data(struct arena *a, const struct webauthn_party *us, struct str json, const char *type, struct str *challenge,
                              const char **why);
/* A new credential. Statements "none" and "packed" by the key itself; we ask for none. `out` is in `a`. */
enum err webauthn_attestation(struct arena *a, const struct webauthn_party *us, struct str client_data, struct str attestation,
                              struct webauthn_key *out, const char **why);
/* The proof that somebody holds `key`, just now, and was verified by their device. *counter: theirs. */
enum err webauthn_assertion(const struct webauthn_party *us, struct str client_data, struct str auth_data, struct str signature,
                            const struct webauthn_key *key, uint32_t *counter, const char **why);
