/* accounts.h: accounts and their SCRAM credentials, directly on a database
 * connection: inside ident's commit operations, and in tools when no server
 * runs. Every call is all or nothing (a savepoint) and safe to repeat.
 * Passwords are never stored: only the keys of RFC 5802 §3.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "crypto/digest.h"
#include "db/db.h"
#include "wire/jid.h"

enum {
    ACCOUNT_NAME_BYTES_MAX = JID_PART_BYTES_MAX,
    ACCOUNT_LIST_MAX = 500,                 /* names in one answer */
    CREDENTIAL_SALT_BYTES = 16,             /* of a new credential */
    CREDENTIAL_SALT_BYTES_MAX = 64,         /* of one that was read */
    CREDENTIAL_KEY_BYTES_MAX = 32,
    SCRAM_ITERATIONS_MIN = 4096,            /* RFC 7677 §4 */
    SCRAM_ITERATIONS_MAX = 600000,
    IDENT_SECRET_BYTES = 32,
};

/* What a server keeps of a password. A stolen copy allows guessing, and to play the
 * server, but not to log in. */
struct credential {
    enum digest_kind kind;                  /* DIGEST_SHA1 or DIGEST_SHA256 */
    int              iterations;
    size_t           salt_bytes;
    uint8_t          salt[CREDENTIAL_SALT_BYTES_MAX];
    uint8_t          stored_key[CREDENTIAL_KEY_BYTES_MAX];
    uint8_t          server_key[CREDENTIAL_KEY_BYTES_MAX];
};
struct account_keys { struct credential sha1, sha256; };

extern const struct db_migration id_migrations[];     /* ended by number 0 */

/* For tools: opens the identity database for writing, made and migrated when needed. */
enum err accounts_open(const struct db_settings *s, struct db_conn **out, struct arena *a, struct str *why);

/* The normal form of a name (nodeprep), or ERR_INVALID. */
enum err account_name(struct arena *a, struct str in, struct str *out);
/* The normal form of a password (SASLprep), or ERR_INVALID: empty, over 1,024 bytes, or forbidden characters. */
enum err account_password(struct arena *a, struct str in, struct str *out);
/* Slow on purpose (PBKDF2, milliseconds): never in the loop. `password` is in normal form. */
void     credential_derive(struct credential *out, enum digest_kind kind, struct str password, struct str salt,
                           int iterations);
void     account_keys_make(struct account_keys *out, struct str password, int iterations);

typedef void account_fn(void *arg, struct str user, int64_t at_us, bool disabled);

/* Names are in normal form from here on. */
enum err account_exists(struct db_conn *c, struct str user);                        /* OK, ERR_NOT_FOUND */
enum err account_add(struct db_conn *c, struct str user, const struct account_keys *k, int64_t now_us); /* ERR_EXISTS */
/* From another server: with the credentials that it had; one of them may be NULL. */
enum err account_import(struct db_conn *c, struct str user, const struct credential *sha1, const struct credential *sha256, int64_t now_us);
enum err account_passwd(struct db_conn *c, struct str user, const struct account_keys *k); /* ERR_NOT_FOUND; FAST tokens end */
enum err account_disable(struct db_conn *c, struct str user, bool disabled);        /* ERR_NOT_FOUND; FAST tokens end */
/* ERR_NOT_FOUND. The name is not free before account_deletion_done: what the messenger keeps of it must go first. */
enum err account_delete(struct db_conn *c, struct str user, int64_t now_us);
enum err account_deletion_done(struct db_conn *c, struct str user);
/* Up to ACCOUNT_LIST_MAX deletions that are not done, asked before `before_us`; the oldest first. */
enum err account_deletions(struct db_conn *c, int64_t before_us, account_fn *fn, void *arg);
enum err account_state(struct db_conn *c, struct str user, bool *disabled);         /* ERR_NOT_FOUND */
/* When it was made: tells it from an earlier one of the same name. ERR_NOT_FOUND; ERR_DENIED: it is disabled. */
enum err account_born(struct db_conn *c, struct str user, int64_t *created_us);
/* One point read, the same for a name that exists and one that does not (ERR_NOT_FOUND, `out` untouched). */
enum err account_credential(struct db_conn *c, struct str user, enum digest_kind kind, struct credential *out);
/* Up to `max` (ACCOUNT_LIST_MAX) names behind `after`, in byte order. `fn` may not touch the connection. */
enum err account_list(struct db_conn *c, struct str after, int max, account_fn *fn, void *arg);
enum err account_list_disabled(struct db_conn *c, struct str after, int max, account_fn *fn, void *arg);
enum err account_count(struct db_conn *c, int64_t *all, int64_t *disabled);

/* The server-wide random secret behind the salts of names that do not exist. Made at its first use. */
enum err ident_secret(struct db_conn *c, uint8_t out[IDENT_SECRET_BYTES]);
/* A credential for a name that does not exist: the same each time, and shaped like any other. */
void     credential_fake(struct credential *out, enum digest_kind kind, const uint8_t secret[IDENT_SECRET_BYTES],
                         struct str user, int iterations);
