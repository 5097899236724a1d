/* accounts.c: accounts and credentials on a database connection.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/accounts.h"
#include "base/mem.h"
#include "id/ident.h"
#include "net/loop.h"

/* ---- names, passwords, keys ---- */

enum err account_name(struct arena *a, struct str in, struct str *out)
{
    enum err e;

    if (in.len == 0 || in.len > ACCOUNT_NAME_BYTES_MAX)
        return ERR_INVALID;
    e = jid_prep_local(a, in, out);
    if (e)
        return e;
    return out->len ? OK : ERR_INVALID;
}

enum err account_password(struct arena *a, struct str in, struct str *out)
{
    enum err e;

    if (in.len == 0 || in.len > IDENT_PASSWORD_BYTES_MAX)
        return ERR_INVALID;
    e = jid_prep_sasl(a, in, out);
    if (e)
        return e;
    return out->len && out->len <= IDENT_PASSWORD_BYTES_MAX ? OK : ERR_INVALID;
}

/* RFC 5802 §3: SaltedPassword := Hi(password, salt, i), and the two keys that
 * can be checked without it. */
void credential_derive(struct credential *out, enum digest_kind kind, struct str password, struct str salt, int iterations)
{
    uint8_t salted[DIGEST_BYTES_MAX], client_key[DIGEST_BYTES_MAX];
    size_t  n = digest_bytes(kind);

    *out = (struct credential){ .kind = kind, .iterations = iterations, .salt_bytes = salt.len };
    memcpy(out->salt, salt.p, salt.len);
    pbkdf2(kind, password, salt, iterations, salted);
    hmac(kind, str_make((char *)salted, n), STR("Client Key"), client_key);
    digest(kind, str_make((char *)client_key, n), out->stored_key);
    hmac(kind, str_make((char *)salted, n), STR("Server Key"), out->server_key);
    mem_wipe(salted, sizeof salted);
    mem_wipe(client_key, sizeof client_key);
}

static void credential_new(struct credential *out, enum digest_kind kind, struct str password, int iterations)
{
    char salt[CREDENTIAL_SALT_BYTES];

    random_bytes(salt, sizeof salt);
    credential_derive(out, kind, password, str_make(salt, sizeof salt), iterations);
}

void account_keys_make(struct account_keys *out, struct str password, int iterations)
{
    credential_new(&out->sha1, DIGEST_SHA1, password, iterations);
    credential_new(&out->sha256, DIGEST_SHA256, password, iterations);
}

void credential_fake(struct credential *out, enum digest_kind kind, const uint8_t secret[IDENT_SECRET_BYTES],
                     struct str user, int iterations)
{
    struct str key = str_make((const char *)secret, IDENT_SECRET_BYTES);
    uint8_t    tag[DIGEST_BYTES_MAX], seed[DIGEST_BYTES_MAX];

    *out = (struct credential){ .kind = kind, .iterations = iterations, .salt_bytes = CREDENTIAL_SALT_BYTES };
    hmac(DIGEST_SHA256, key, kind == DIGEST_SHA1 ? STR("salt SCRAM-SHA-1") : STR("salt SCRAM-SHA-256"), tag);
    hmac(DIGEST_SHA256, str_make((char *)tag, 32), user, seed);
    memcpy(out->salt, seed, CREDENTIAL_SALT_BYTES);
    /* Keys that no password opens; they only give the proof check equal work. */
    memcpy(out->stored_key, tag, sizeof out->stored_key);
    memcpy(out->server_key, tag, sizeof out->server_key);
}

/* ---- the database ---- */

enum err accounts_open(const struct db_settings *s, struct db_conn **out, struct arena *a, struct str *why)
{
    struct loop *l = loop_new();
    struct db *d = NULL;
    enum err e;

    e = db_open(l, s, id_migrations, &d, a, why);
    if (!e) {
        db_close(&d);
        e = db_conn_open(s, true, out, a, why);
    }
    loop_free(&l);
    return e;
}

static int64_t kind_number(enum digest_kind kind)
{
    return kind == DIGEST_SHA1 ? 1 : 2;
}

static enum err credential_put(struct db_conn *c, struct str user, const struct credential *k)
{
    static struct db_sql put = {
        "INSERT INTO credential(name, kind, salt, iterations, stored_key, server_key) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        " ON CONFLICT (name, kind) DO UPDATE SET salt = excluded.salt, iterations = excluded.iterations,"
        " stored_key = excluded.stored_key, server_key = excluded.server_key" };
    size_t n = digest_bytes(k->kind);

    return db_run(c, &put, "sibibb", user, kind_number(k->kind), str_make((const char *)k->salt, k->salt_bytes),
                  (int64_t)k->iterations, str_make((const char *)k->stored_key, n),
                  str_make((const char *)k->server_key, n));
}

static enum err keys_put(struct db_conn *c, struct str user, const struct account_keys *k)
{
    enum err e = credential_put(c, user, &k->sha1);

    return e ? e : credential_put(c, user, &k->sha256);
}

static enum err tokens_delete(struct db_conn *c, struct str user)
{
    static struct db_sql del = { "DELETE FROM fast_token WHERE name = ?1" };

    return db_run(c, &del, "s", user);
}

enum err account_state(struct db_conn *c, struct str user, bool *disabled)
{
    static struct db_sql get = { "SELECT disabled FROM account WHERE name = ?1" };
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &get, "s", user);

    if (!e)
        *disabled = db_i64(s, 0) != 0;
    if (s)
        db_done(s);
    return e;
}

enum err account_exists(struct db_conn *c, struct str user)
{
    bool disabled;

    return account_state(c, user, &disabled);
}

enum err account_born(struct db_conn *c, struct str user, int64_t *created_us)
{
    static struct db_sql get = { "SELECT created_us, disabled FROM account WHERE name = ?1" };
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &get, "s", user);

    if (!e)
        *created_us = db_i64(s, 0);
    if (!e && db_i64(s, 1))
        e = ERR_DENIED;
    if (s)
        db_done(s);
    return e;
}

/* ERR_EXISTS is found by counting rows, not by a failed statement, which would
 * roll the whole commit batch back. */
static enum err add_rows(struct db_conn *c, struct str user, const struct credential *sha1, const struct credential *sha256, int64_t now_us)
{
    static struct db_sql add = {
        "INSERT INTO account(name, created_us, disabled) SELECT ?1, ?2, 0"
        " WHERE NOT EXISTS (SELECT 1 FROM deletion WHERE name = ?1) ON CONFLICT (name) DO NOTHING" };
    enum err e = db_run(c, &add, "si", user, now_us);

    if (e)
        return e;
    if (db_changes(c) == 0)
        return ERR_EXISTS;
    e = sha1 ? credential_put(c, user, sha1) : OK;
    if (!e && sha256)
        e = credential_put(c, user, sha256);
    return e;
}

enum err account_add(struct db_conn *c, struct str user, const struct account_keys *k, int64_t now_us)
{
    enum err e = db_atomic_begin(c);

    return e ? e : db_atomic_end(c, add_rows(c, user, &k->sha1, &k->sha256, now_us));
}

enum err account_import(struct db_conn *c, struct str user, const struct credential *sha1, const struct credential *sha256, int64_t now_us)
{
    enum err e = db_atomic_begin(c);

    return e ? e : db_atomic_end(c, add_rows(c, user, sha1, sha256, now_us));
}

enum err account_passwd(struct db_conn *c, struct str user, const struct account_keys *k)
{
    enum err e = account_exists(c, user);

    if (e)
        return e;
    e = db_atomic_begin(c);
    if (e)
        return e;
    e = keys_put(c, user, k);
    if (!e)
        e = tokens_delete(c, user);
    return db_atomic_end(c, e);
}

enum err account_disable(struct db_conn *c, struct str user, bool disabled)
{
    static struct db_sql set = { "UPDATE account SET disabled = ?2 WHERE name = ?1" };
    enum err e = db_atomic_begin(c);

    if (e)
        return e;
    e = db_run(c, &set, "si", user, (int64_t)disabled);
    if (!e && db_changes(c) == 0)
        e = ERR_NOT_FOUND;
    if (!e)
        e = tokens_delete(c, user);
    return db_atomic_end(c, e);
}

static enum err delete_rows(struct db_conn *c, struct str user, int64_t now_us)
{
    static struct db_sql note = {
        "INSERT INTO deletion(name, at_us) SELECT name, ?2 FROM account WHERE name = ?1 ON CONFLICT (name) DO NOTHING" };
    static struct db_sql del_account = { "DELETE FROM account WHERE name = ?1" };
    static struct db_sql del_credential = { "DELETE FROM credential WHERE name = ?1" };
    static struct db_sql del_passkeys = { "DELETE FROM passkey WHERE name = ?1" };
    enum err e = db_run(c, &note, "si", user, now_us);

    if (!e)
        e = db_run(c, &del_account, "s", user);
    if (e)
        return e;
    if (db_changes(c) == 0)
        return ERR_NOT_FOUND;
    e = db_run(c, &del_credential, "s", user);
    if (!e)
        e = db_run(c, &del_passkeys, "s", user);
    return e ? e : tokens_delete(c, user);
}

enum err account_delete(struct db_conn *c, struct str user, int64_t now_us)
{
    enum err e = db_atomic_begin(c);

    return e ? e : db_atomic_end(c, delete_rows(c, user, now_us));
}

enum err account_deletion_done(struct db_conn *c, struct str user)
{
    static struct db_sql done = { "DELETE FROM deletion WHERE name = ?1" };

    return db_run(c, &done, "s", user);
}

/* Bytes from the disk are checked like a stranger's. */
static enum err key_get(struct db_stmt *s, int column, size_t bytes, uint8_t *out)
{
    struct str v = db_blob(s, column);

    if (v.len != bytes)
        return ERR_IO;
    memcpy(out, v.p, bytes);
    return OK;
}

static enum err credential_read(struct db_stmt *s, struct credential *out)
{
    size_t     n = digest_bytes(out->kind);
    struct str salt = db_blob(s, 0);
    int64_t    iterations = db_i64(s, 1);
    enum err   e;

    if (salt.len == 0 || salt.len > sizeof out->salt || iterations < 1 || iterations > INT32_MAX)
        return ERR_IO;
    memcpy(out->salt, salt.p, salt.len);
    out->salt_bytes = salt.len;
    out->iterations = (int)iterations;
    e = key_get(s, 2, n, out->stored_key);
    return e ? e : key_get(s, 3, n, out->server_key);
}

/* Asks for the first name not below `user`, so that a name that does not exist reads
 * a row too, and its absence cannot be timed. */
enum err account_credential(struct db_conn *c, struct str user, enum digest_kind kind, struct credential *out)
{
    static struct db_sql get = {
        "SELECT salt, iterations, stored_key, server_key, name FROM credential"
        " WHERE name >= ?1 AND kind = ?2 ORDER BY name LIMIT 1" };
    struct credential found = { .kind = kind };
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &get, "si", user, kind_number(kind));

    if (!e)
        e = credential_read(s, &found);
    if (!e && !str_eq(db_text(s, 4), user))
        e = ERR_NOT_FOUND;
    if (!e)
        *out = found;
    if (s)
        db_done(s);
    return e;
}

/* Rows of name, time and a truth. */
static enum err rows_tell(struct db_stmt *s, account_fn *fn, void *arg)
{
    enum err e;

    while ((e = db_step(s)) == OK)
        fn(arg, db_text(s, 0), db_i64(s, 1), db_i64(s, 2) != 0);
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err list_by(struct db_conn *c, struct db_sql *sql, struct str after, int max, account_fn *fn, void *arg)
{
    struct db_stmt *s = db_prepare(c, sql);

    if (!s)
        return ERR_IO;
    if (max < 1 || max > ACCOUNT_LIST_MAX)
        max = ACCOUNT_LIST_MAX;
    db_bind_str(s, 1, after.p ? after : STR(""));
    db_bind_i64(s, 2, max);
    return rows_tell(s, fn, arg);
}

enum err account_list(struct db_conn *c, struct str after, int max, account_fn *fn, void *arg)
{
    static struct db_sql list = {
        "SELECT name, created_us, disabled FROM account WHERE name > ?1 ORDER BY name LIMIT ?2" };

    return list_by(c, &list, after, max, fn, arg);
}

enum err account_list_disabled(struct db_conn *c, struct str after, int max, account_fn *fn, void *arg)
{
    static struct db_sql list = {
        "SELECT name, created_us, disabled FROM account WHERE name > ?1 AND disabled <> 0 ORDER BY name LIMIT ?2" };

    return list_by(c, &list, after, max, fn, arg);
}

enum err account_count(struct db_conn *c, int64_t *all, int64_t *disabled)
{
    static struct db_sql count = { "SELECT count(*), CAST(coalesce(sum(disabled), 0) AS BIGINT) FROM account" };
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &count, "");

    *all = e ? 0 : db_i64(s, 0);
    *disabled = e ? 0 : db_i64(s, 1);
    if (s)
        db_done(s);
    return e;
}

enum err account_deletions(struct db_conn *c, int64_t before_us, account_fn *fn, void *arg)
{
    static struct db_sql list = { "SELECT name, at_us, 0 FROM deletion WHERE at_us < ?1 ORDER BY at_us LIMIT ?2" };
    struct db_stmt *s = db_prepare(c, &list);

    if (!s)
        return ERR_IO;
    db_bind_i64(s, 1, before_us);
    db_bind_i64(s, 2, ACCOUNT_LIST_MAX);
    return rows_tell(s, fn, arg);
}

static enum err secret_get(struct db_conn *c, uint8_t out[IDENT_SECRET_BYTES])
{
    static struct db_sql get = { "SELECT value FROM secret WHERE name = 'salt'" };
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &get, "");

    if (!e)
        e = key_get(s, 0, IDENT_SECRET_BYTES, out);
    if (s)
        db_done(s);
    return e;
}

enum err ident_secret(struct db_conn *c, uint8_t out[IDENT_SECRET_BYTES])
{
    static struct db_sql put = { "INSERT INTO secret(name, value) VALUES ('salt', ?1) ON CONFLICT (name) DO NOTHING" };
    uint8_t  fresh[IDENT_SECRET_BYTES];
    enum err e = secret_get(c, out);

    if (e != ERR_NOT_FOUND)
        return e;
    random_bytes(fresh, sizeof fresh);
    e = db_run(c, &put, "b", str_make((char *)fresh, sizeof fresh));
    return e ? e : secret_get(c, out);      /* whoever was first */
}
