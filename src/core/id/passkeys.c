/* passkeys.c: see passkeys.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/passkeys.h"
#include "id/accounts.h"

enum err passkey_get(struct db_conn *c, struct str id, struct arena *a, struct passkey *out)
{
    static struct db_sql get = { "SELECT name, label, algorithm, key, counter, created_us, used_us FROM passkey WHERE id = ?1" };
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &get, "b", id);

    if (!e)
        *out = (struct passkey){
            .user = arena_str(a, db_text(s, 0)), .label = arena_str(a, db_text(s, 1)), .created_us = db_i64(s, 5), .used_us = db_i64(s, 6),
            .key = { .credential = id, .algorithm = (int)db_i64(s, 2), .key = arena_str(a, db_blob(s, 3)), .counter = (uint32_t)db_i64(s, 4) } };
    if (s)
        db_done(s);
    return e;
}

static enum err rows_read(struct db_conn *c, struct str user, struct arena *a, struct passkey_list *out)
{
    static struct db_sql list = { "SELECT id, label, created_us, used_us FROM passkey WHERE name = ?1 ORDER BY created_us, id LIMIT ?2" };
    struct db_stmt *s = db_prepare(c, &list);
    enum err e;

    if (!s)
        return ERR_IO;
    db_bind_str(s, 1, user);
    db_bind_i64(s, 2, PASSKEYS_MAX);
    while ((e = db_step(s)) == OK && out->count < PASSKEYS_MAX)
        out->rows[out->count++] = (struct passkey_row){ .id = arena_str(a, db_blob(s, 0)), .label = arena_str(a, db_text(s, 1)),
                                                        .created_us = db_i64(s, 2), .used_us = db_i64(s, 3) };
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* One number of an account. */
static enum err number(struct db_conn *c, struct db_sql *sql, struct str user, int64_t *out)
{
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, sql, "s", user);

    *out = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

static enum err passwords(struct db_conn *c, struct str user, int64_t *out)
{
    static struct db_sql count = { "SELECT count(*) FROM credential WHERE name = ?1" };

    return number(c, &count, user, out);
}

static enum err passkeys(struct db_conn *c, struct str user, int64_t *out)
{
    static struct db_sql count = { "SELECT count(*) FROM passkey WHERE name = ?1" };

    return number(c, &count, user, out);
}

enum err passkey_list(struct db_conn *c, struct str user, struct arena *a, struct passkey_list *out)
{
    int64_t  password = 0;
    enum err e;

    *out = (struct passkey_list){ 0 };
    e = passwords(c, user, &password);
    out->password = password > 0;
    return e ? e : rows_read(c, user, a, out);
}

static enum err add(struct db_conn *c, const struct passkey *k)
{
    static struct db_sql put = {
        "INSERT INTO passkey(id, name, label, algorithm, key, counter, created_us, used_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0)"
        " ON CONFLICT (id) DO NOTHING" };
    int64_t  born, count;
    enum err e = account_born(c, k->user, &born);

    if (!e)
        e = passkeys(c, k->user, &count);
    if (!e && count >= PASSKEYS_MAX)
        e = ERR_LIMIT;
    if (!e)
        e = db_run(c, &put, "bssibii", k->key.credential, k->user, k->label, (int64_t)k->key.algorithm, k->key.key, (int64_t)k->key.counter,
                   k->created_us);
    return e ? e : db_changes(c) ? OK : ERR_EXISTS;
}

enum err passkey_add(struct db_conn *c, const struct passkey *k)
{
    enum err e = db_atomic_begin(c);

    return e ? e : db_atomic_end(c, add(c, k));
}

enum err passkey_rename(struct db_conn *c, struct str user, struct str id, struct str label)
{
    static struct db_sql set = { "UPDATE passkey SET label = ?3 WHERE id = ?1 AND name = ?2" };
    enum err e = db_run(c, &set, "bss", id, user, label);

    return e ? e : db_changes(c) ? OK : ERR_NOT_FOUND;
}

/* Until the commit nobody else takes a way into this account: two sites that each take what the other leaves would leave none. */
static enum err hold(struct db_conn *c, struct str user)
{
    static struct db_sql touch = { "UPDATE account SET disabled = disabled WHERE name = ?1" };
    enum err e = db_run(c, &touch, "s", user);

    return e ? e : db_changes(c) ? OK : ERR_NOT_FOUND;
}

static enum err some_way_in(struct db_conn *c, struct str user)
{
    int64_t  keys, password;
    enum err e = passkeys(c, user, &keys);

    if (!e)
        e = passwords(c, user, &password);
    return e ? e : keys || password ? OK : ERR_DENIED;
}

static enum err remove_one(struct db_conn *c, struct str user, struct str id)
{
    static struct db_sql del = { "DELETE FROM passkey WHERE id = ?1 AND name = ?2" };
    enum err e = hold(c, user);

    if (!e)
        e = db_run(c, &del, "bs", id, user);
    if (!e && db_changes(c) == 0)
        return ERR_NOT_FOUND;
    return e ? e : some_way_in(c, user);
}

enum err passkey_remove(struct db_conn *c, struct str user, struct str id)
{
    enum err e = db_atomic_begin(c);

    return e ? e : db_atomic_end(c, remove_one(c, user, id));
}

static enum err remove_password(struct db_conn *c, struct str user)
{
    static struct db_sql del = { "DELETE FROM credential WHERE name = ?1" };
    enum err e = hold(c, user);

    if (!e)
        e = db_run(c, &del, "s", user);
    return e ? e : some_way_in(c, user);
}

enum err passkey_password_remove(struct db_conn *c, struct str user)
{
    enum err e = db_atomic_begin(c);

    return e ? e : db_atomic_end(c, remove_password(c, user));
}

enum err passkey_clear(struct db_conn *c, struct str user)
{
    static struct db_sql del = { "DELETE FROM passkey WHERE name = ?1" };
    enum err e = account_exists(c, user);

    return e ? e : db_run(c, &del, "s", user);
}

enum err passkey_note(struct db_conn *c, struct str id, uint32_t counter, int64_t now_us)
{
    static struct db_sql set = {
        "UPDATE passkey SET counter = ?2, used_us = ?3 WHERE id = ?1 AND (counter < ?2 OR (counter = 0 AND ?2 = 0))" };
    enum err e = db_run(c, &set, "bii", id, (int64_t)counter, now_us);

    return e ? e : db_changes(c) ? OK : ERR_DENIED;
}

enum err passkey_challenge_use(struct db_conn *c, struct str nonce, int64_t expires_us, int64_t now_us)
{
    static struct db_sql forget = { "DELETE FROM passkey_challenge WHERE expires_us <= ?1" };
    static struct db_sql put = { "INSERT INTO passkey_challenge(nonce, expires_us) VALUES (?1, ?2) ON CONFLICT (nonce) DO NOTHING" };
    enum err e = db_run(c, &forget, "i", now_us);

    if (!e)
        e = db_run(c, &put, "bi", nonce, expires_us);
    return e ? e : db_changes(c) ? OK : ERR_DENIED;
}
