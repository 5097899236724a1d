/* fast.c: FAST tokens (XEP-0484 0.2) and hashed-token messages.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/fast.h"
#include "base/arena.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "id/accounts.h"

enum sasl_failure fast_parse(struct str in, struct fast_message *out)
{
    *out = (struct fast_message){ 0 };
    if (in.len > FAST_MESSAGE_BYTES_MAX)
        return SASL_MALFORMED_REQUEST;
    out->hash = in;
    out->user = str_split(&out->hash, '\0');
    if (!out->hash.p || out->hash.len != FAST_HASH_BYTES)
        return SASL_MALFORMED_REQUEST;
    if (out->user.len == 0 || !str_is_utf8(out->user))
        return SASL_MALFORMED_REQUEST;
    return SASL_FINE;
}

void fast_hash(struct str token, const char *label, struct str binding, uint8_t out[FAST_HASH_BYTES])
{
    char   in[16 + 128];
    size_t n = strlen(label);

    if (binding.len > sizeof in - n)
        binding.len = sizeof in - n;    /* bindings are bounded long before */
    memcpy(in, label, n);
    if (binding.len)
        memcpy(in + n, binding.p, binding.len);
    hmac(DIGEST_SHA256, token, str_make(in, n + binding.len), out);
}

enum err fast_load(struct db_conn *c, struct str user, struct str agent, struct fast_token slots[2], bool *disabled)
{
    static struct db_sql get = {
        "SELECT t.slot, t.mechanism, t.secret, t.expires_us, t.last_count, t.seen_us, a.disabled"
        " FROM fast_token t JOIN account a ON a.name = t.name WHERE t.name = ?1 AND t.agent = ?2" };
    struct db_stmt *s = db_prepare(c, &get);
    enum err e;

    memset(slots, 0, 2 * sizeof *slots);
    *disabled = false;
    if (!s)
        return ERR_IO;
    db_bind_str(s, 1, user);
    db_bind_str(s, 2, agent);
    while ((e = db_step(s)) == OK) {
        struct fast_token *t = &slots[db_i64(s, 0) == FAST_NEW];

        t->there = str_copy(db_text(s, 1), t->mechanism, sizeof t->mechanism) &&
                   str_copy(db_text(s, 2), t->secret, sizeof t->secret);
        t->expires_us = db_i64(s, 3);
        t->last_count = (uint64_t)db_i64(s, 4);
        t->seen_us = db_i64(s, 5);
        *disabled = db_i64(s, 6) != 0;
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- changes ---- */

/* Where the used token stands now. */
static enum err slot_of_used(struct db_conn *c, const struct fast_change *f, int64_t *slot)
{
    static struct db_sql get = {
        "SELECT slot, last_count FROM fast_token WHERE name = ?1 AND agent = ?2 AND secret = ?3" };
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &get, "sss", f->user, f->agent, f->used);

    if (e == ERR_NOT_FOUND)
        e = ERR_DENIED;
    if (!e) {
        *slot = db_i64(s, 0);
        if (f->count && f->count <= (uint64_t)db_i64(s, 1))
            e = ERR_DENIED;             /* a replay that raced with the first */
    }
    if (s)
        db_done(s);
    return e;
}

static enum err promote(struct db_conn *c, const struct fast_change *f)
{
    static struct db_sql end_old = { "DELETE FROM fast_token WHERE name = ?1 AND agent = ?2 AND slot = 0" };
    static struct db_sql move = { "UPDATE fast_token SET slot = 0 WHERE name = ?1 AND agent = ?2 AND slot = 1" };
    enum err e = db_run(c, &end_old, "ss", f->user, f->agent);

    return e ? e : db_run(c, &move, "ss", f->user, f->agent);
}

static enum err note_use(struct db_conn *c, const struct fast_change *f)
{
    static struct db_sql end_all = { "DELETE FROM fast_token WHERE name = ?1 AND agent = ?2" };
    static struct db_sql count = { "UPDATE fast_token SET last_count = ?3 WHERE name = ?1 AND agent = ?2 AND slot = 0" };
    static struct db_sql seen = { "UPDATE fast_token SET seen_us = ?3 WHERE name = ?1 AND agent = ?2" };
    int64_t  slot = FAST_CURRENT;
    enum err e = slot_of_used(c, f, &slot);

    if (e)
        return e;
    /* Logging out ends the other slot too: a rotated token that never arrived is no use to anyone honest. */
    if (f->invalidate)
        return db_run(c, &end_all, "ss", f->user, f->agent);
    if (slot == FAST_NEW)
        e = promote(c, f);
    if (!e && f->count)
        e = db_run(c, &count, "ssi", f->user, f->agent, (int64_t)f->count);
    return e ? e : db_run(c, &seen, "ssi", f->user, f->agent, f->now_us);
}

/* Each statement says for itself what it is for, so that a batch of log-ins travels without waiting for answers. */
static enum err note_quietly(struct db_conn *c, const struct fast_change *f)
{
    static struct db_sql end_old = {
        "DELETE FROM fast_token WHERE name = ?1 AND agent = ?2 AND slot = 0 AND EXISTS"
        " (SELECT 1 FROM fast_token AS used WHERE used.name = ?1 AND used.agent = ?2 AND used.slot = 1 AND used.secret = ?3)" };
    static struct db_sql keep = {
        "UPDATE fast_token SET slot = 0, seen_us = ?4 WHERE name = ?1 AND agent = ?2 AND secret = ?3" };
    enum err e = db_run(c, &end_old, "sss", f->user, f->agent, f->used);

    return e ? e : db_run(c, &keep, "sssi", f->user, f->agent, f->used, f->now_us);
}

static enum err issue(struct db_conn *c, const struct fast_change *f)
{
    static struct db_sql put = {
        "INSERT INTO fast_token(name, agent, slot, mechanism, secret, created_us, expires_us, last_count, software, device, seen_us)"
        " VALUES (?1, ?2, 1, ?3, ?4, ?5, ?6, 0, ?7, ?8, ?5) ON CONFLICT (name, agent, slot) DO UPDATE SET"
        " mechanism = excluded.mechanism, secret = excluded.secret, created_us = excluded.created_us,"
        " expires_us = excluded.expires_us, last_count = 0, software = excluded.software, device = excluded.device,"
        " seen_us = excluded.seen_us" };
    static struct db_sql expire = { "DELETE FROM fast_token WHERE name = ?1 AND expires_us <= ?2" };
    static struct db_sql trim = {
        "DELETE FROM fast_token WHERE name = ?1 AND agent NOT IN"
        " (SELECT agent FROM fast_token WHERE name = ?1 GROUP BY agent ORDER BY max(created_us) DESC, agent LIMIT ?2)" };
    enum err e = db_run(c, &expire, "si", f->user, f->now_us);

    if (!e)
        e = db_run(c, &put, "ssssiiss", f->user, f->agent, f->issue, str_of(f->secret), f->now_us, f->expires_us,
                   f->software.p ? f->software : STR(""), f->device.p ? f->device : STR(""));
    return e ? e : db_run(c, &trim, "si", f->user, (int64_t)FAST_AGENTS_MAX);
}

enum err fast_apply(struct db_conn *c, const struct fast_change *f)
{
    bool     disabled;
    enum err e;

    if (f->quiet)
        return note_quietly(c, f);
    e = account_state(c, f->user, &disabled);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_DENIED : e;
    if (disabled)
        return ERR_DENIED;
    if (f->used.len)
        e = note_use(c, f);
    if (!e && f->issue.len)
        e = issue(c, f);
    return e;
}

/* ---- a person looks at the devices, and ends some ---- */

enum err fast_devices(struct db_conn *c, struct str user, int64_t now_us, fast_device_fn *fn, void *arg)
{
    static struct db_sql get = {
        "SELECT agent, max(software), max(device), max(CASE WHEN seen_us > created_us THEN seen_us ELSE created_us END), max(expires_us)"
        " FROM fast_token WHERE name = ?1 AND expires_us > ?2 GROUP BY agent ORDER BY agent LIMIT ?3" };
    struct db_stmt *s = db_prepare(c, &get);
    enum err        e;

    if (!s)
        return ERR_IO;
    db_bind_str(s, 1, user);
    db_bind_i64(s, 2, now_us);
    db_bind_i64(s, 3, FAST_AGENTS_MAX);
    while ((e = db_step(s)) == OK)
        fn(arg, &(struct ident_device){ ident_device_id(db_text(s, 0)), db_text(s, 1), db_text(s, 2), db_i64(s, 3), db_i64(s, 4) });
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err fast_end(struct db_conn *c, struct str user, uint64_t id, bool others)
{
    static struct db_sql get = { "SELECT DISTINCT agent FROM fast_token WHERE name = ?1" };
    static struct db_sql end = { "DELETE FROM fast_token WHERE name = ?1 AND agent = ?2" };
    struct db_stmt *s = db_prepare(c, &get);
    struct arena    a;
    struct str      agents[2 * FAST_AGENTS_MAX];
    int             n = 0;
    enum err        e;

    if (!s)
        return ERR_IO;
    arena_init(&a);
    db_bind_str(s, 1, user);
    while ((e = db_step(s)) == OK)
        if ((ident_device_id(db_text(s, 0)) == id) != others && n < 2 * FAST_AGENTS_MAX)
            agents[n++] = arena_str(&a, db_text(s, 0));
    db_done(s);
    e = e == ERR_NOT_FOUND ? OK : e;
    for (int i = 0; i < n && !e; i++)
        e = db_run(c, &end, "ss", user, agents[i]);
    arena_done(&a);
    return e || n ? e : ERR_NOT_FOUND;
}
