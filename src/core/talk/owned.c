/* owned.c: see owned.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/owned.h"
#include "talk/feature.h"

static const struct owned core[] = {
    { "person", "user = ?2" },
    { "forgetting", "name = ?2" },
    { "log" },
    { "offline" },
    { "device" },
    { "resend", "sender = ?1" },
    { "imported" },
    { 0 },
};

/* Of nobody: numbers of addresses, what is counted by owned_others, what the server needs for itself. */
static const char *const nobodys[] = { "jid", "message", "settled", "secret", "push_key", "log_order", "node", "audit", "banner", "search_wanted", "caps", "room", "room_vcard",
                                       "outbox" /* on its way to other servers */,
                                       "search_trash" /* numbers of segments, swept within minutes */, "db_migration", "db_probe",
                                       "db_writer", NULL };

enum err owned_number(struct db_conn *c, struct str user, struct str bare, int64_t *out)
{
    static struct db_sql person = { "SELECT id FROM person WHERE user = ?1" };
    static struct db_sql jid = { "SELECT id FROM jid WHERE bare = ?1" };
    struct db_stmt      *s;
    enum err             e = db_get(c, &s, &person, "s", user);

    if (e == ERR_NOT_FOUND) {
        if (s)
            db_done(s);
        e = db_get(c, &s, &jid, "s", bare);
    }
    *out = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* The parameters stand in the text, because each table needs others of them; `number` is ours and the texts are quoted. */
static struct str put_where(struct arena *a, const char *where, int64_t number, struct str user, struct str bare)
{
    struct buf b;
    struct str text;

    buf_init(&b, 0);
    for (const char *p = where; *p; p++) {
        struct str value = p[0] != '?' ? STR_NULL : p[1] == '2' ? user : bare;

        if (p[0] != '?') {
            buf_put_c(&b, *p);
            continue;
        }
        p++;
        if (*p == '1') {
            buf_put_i64(&b, number);
            continue;
        }
        buf_put_c(&b, '\'');
        for (size_t i = 0; i < value.len; i++) {
            if (value.p[i] == '\'')
                buf_put_c(&b, '\'');
            buf_put_c(&b, value.p[i]);
        }
        buf_put_c(&b, '\'');
    }
    text = arena_str(a, buf_str(&b));
    buf_done(&b);
    return text;
}

static enum err count(struct db_conn *c, struct arena *a, struct str text, int64_t *out)
{
    struct db_sql  *sql = ARENA_NEW(a, struct db_sql);
    struct db_stmt *s;
    enum err        e;

    sql->text = text.p;
    s = db_prepare(c, sql);
    if (!s)
        return ERR_BUG;
    e = db_step(s);
    *out = e ? 0 : db_i64(s, 0);
    db_done(s);
    return e;
}

static enum err count_all(struct db_conn *c, const struct owned *o, int64_t number, struct str user, struct str bare, owned_fn *fn, void *arg)
{
    enum err e = OK;

    for (; o && o->table && !e; o++) {
        struct arena a;
        int64_t      rows;

        arena_init(&a);
        e = count(c, &a, arena_printf(&a, "SELECT count(*) FROM %s WHERE %s", o->table,
                                      put_where(&a, o->where ? o->where : "owner = ?1", number, user, bare).p), &rows);
        if (!e)
            fn(arg, o->table, rows);
        arena_done(&a);
    }
    return e;
}

enum err owned_count(struct db_conn *c, int64_t number, struct str user, struct str bare, owned_fn *fn, void *arg)
{
    enum err e = count_all(c, core, number, user, bare, fn, arg);

    for (size_t i = 0; i < feature_count && !e; i++)
        e = count_all(c, features[i]->owned, number, user, bare, fn, arg);
    return e;
}

enum err owned_others(struct db_conn *c, int64_t number, struct str bare, struct owned_by_others *out)
{
    static struct db_sql kept = {
        "SELECT count(*), CAST(coalesce(sum(CASE WHEN keeps = 0 THEN 1 ELSE 0 END), 0) AS BIGINT) FROM message"
        " WHERE sender = ?1 OR recipient = ?1" };
    static struct db_sql listed = { "SELECT count(*) FROM roster WHERE jid = ?1" };
    struct db_stmt      *s;
    enum err             e = db_get(c, &s, &kept, "i", number);

    *out = (struct owned_by_others){ .messages = e ? 0 : db_i64(s, 0) - db_i64(s, 1), .loose = e ? 0 : db_i64(s, 1) };
    if (s)
        db_done(s);
    if (e)
        return e;
    e = db_get(c, &s, &listed, "s", bare);
    out->contacts = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

static bool is_in(const struct owned *o, struct str table)
{
    for (; o && o->table; o++)
        if (str_is(table, o->table))
            return true;
    return false;
}

bool owned_is_told(struct str table)
{
    for (const char *const *n = nobodys; *n; n++)
        if (str_is(table, *n))
            return true;
    if (is_in(core, table))
        return true;
    for (size_t i = 0; i < feature_count; i++)
        if (is_in(features[i]->owned, table))
            return true;
    return false;
}
