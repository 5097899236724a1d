/* passkeys.h: the passkeys of accounts, directly on a database connection: inside ident's commit operations, and in tools when no
 * server runs. What they prove is judged in webauthn.h. Every call is all or nothing and safe to repeat.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "db/db.h"
#include "id/passkey.h"
#include "id/webauthn.h"

struct passkey {
    struct str          user;
    struct webauthn_key key;
    struct str          label;              /* what its owner calls it */
    int64_t             created_us, used_us;    /* used_us 0: not yet */
};

/* Whose it is, and what proves it. ERR_NOT_FOUND. Texts in `a`. */
enum err passkey_get(struct db_conn *c, struct str id, struct arena *a, struct passkey *out);
/* Oldest first, at most PASSKEYS_MAX; and whether there is a password beside them. */
enum err passkey_list(struct db_conn *c, struct str user, struct arena *a, struct passkey_list *out);
/* ERR_NOT_FOUND: no such account; ERR_EXISTS: this credential is known, whoever's it is; ERR_LIMIT: there are PASSKEYS_MAX. */
enum err passkey_add(struct db_conn *c, const struct passkey *k);
/* ERR_NOT_FOUND: no such passkey of that account. */
enum err passkey_rename(struct db_conn *c, struct str user, struct str id, struct str label);
/* ERR_NOT_FOUND; ERR_DENIED: it is the last way in: no password, no other passkey. */
enum err passkey_remove(struct db_conn *c, struct str user, struct str id);
/* From here on passkeys are the only ways in. OK too where there is no password; ERR_NOT_FOUND: no such account; ERR_DENIED: there is no
 * passkey. Tokens of devices (FAST) stay: no password opened them anew. */
enum err passkey_password_remove(struct db_conn *c, struct str user);
/* All of them, for operators, who can set a password. ERR_NOT_FOUND: no such account. */
enum err passkey_clear(struct db_conn *c, struct str user);
/* Notes a log-in. ERR_DENIED: its counter did not rise (WebAuthn §6.1.1), or the passkey is gone. */
enum err passkey_note(struct db_conn *c, struct str id, uint32_t counter, int64_t now_us);
/* ERR_DENIED: it was used before. What has expired is forgotten. */
enum err passkey_challenge_use(struct db_conn *c, struct str nonce, int64_t expires_us, int64_t now_us);
