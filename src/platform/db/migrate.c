/* migrate.c: brings a database to the program's version, forward only, and
 * proves that it matches. One transaction per migration, noted in db_migration.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <inttypes.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "db/inner.h"

static const char own_tables[] =
    "CREATE TABLE IF NOT EXISTS db_migration("
    " feature TEXT NOT NULL, number INTEGER NOT NULL, text_hash INTEGER NOT NULL, applied_us INTEGER NOT NULL,"
    " PRIMARY KEY(feature, number)) WITHOUT ROWID;"
    /* written and emptied by the health probe of commit.c */
    "CREATE TABLE IF NOT EXISTS db_probe(id INTEGER PRIMARY KEY, filler BLOB NOT NULL);";

static struct db_sql sql_known = { .text = "SELECT text_hash FROM db_migration WHERE feature = ?1 AND number = ?2" };
static struct db_sql sql_note = { .text = "INSERT INTO db_migration(feature, number, text_hash, applied_us) VALUES (?1, ?2, ?3, ?4)" };
static struct db_sql sql_newest = { .text = "SELECT feature, max(number) FROM db_migration GROUP BY feature" };

static int64_t text_hash(const struct db_migration *m)
{
    static const uint8_t key[16] = "bongsu migration";

    return (int64_t)hash_bytes_keyed(key, m->sql, strlen(m->sql));
}

static int64_t newest_known(const struct db_migration *migrations, struct str feature)
{
    int64_t newest = 0;

    for (const struct db_migration *m = migrations; m->number; m++)
        if (str_is(feature, m->feature) && m->number > newest)
            newest = m->number;
    return newest;
}

/* 1, 2, 3 … per feature, in the order of the list: our own mistake otherwise. */
static enum err list_is_whole(const struct db_migration *migrations, struct arena *a, struct str *why)
{
    for (const struct db_migration *m = migrations; m->number; m++) {
        int before = 0;

        for (const struct db_migration *p = migrations; p < m; p++)
            if (strcmp(p->feature, m->feature) == 0)
                before = p->number;
        if (m->number != before + 1) {
            *why = arena_printf(a, "the program's migrations of \"%s\" go from %d to %d", m->feature, before, m->number);
            return ERR_BUG;
        }
    }
    return OK;
}

static enum err refuse_newer(struct db_conn *c, const struct db_migration *migrations, struct arena *a, struct str *why)
{
    struct db_stmt *s = db_prepare(c, &sql_newest);
    enum err e;

    while ((e = db_step(s)) == OK) {
        struct str feature = db_text(s, 0);

        if (db_i64(s, 1) <= newest_known(migrations, feature))
            continue;
        *why = arena_printf(a, "database \"%s\" is newer than this program: it has \"%.*s\" in version %" PRId64
                               ", the program knows version %" PRId64,
                            c->path, STR_ARG(feature), db_i64(s, 1), newest_known(migrations, feature));
        e = ERR_UNSUPPORTED;
        break;
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* OK: applied, *same tells whether its text was the same. ERR_NOT_FOUND: not yet. */
static enum err applied(struct db_conn *c, const struct db_migration *m, bool *same)
{
    struct db_stmt *s;
    enum err e;

    e = db_get(c, &s, &sql_known, "si", str_of(m->feature), (int64_t)m->number);
    if (e)
        return e;
    *same = db_i64(s, 0) == text_hash(m);
    db_done(s);
    return OK;
}

static enum err note(struct db_conn *c, const struct db_migration *m)
{
    return db_run(c, &sql_note, "siii", str_of(m->feature), (int64_t)m->number, text_hash(m), clock_us());
}

static enum err own_tables_make(struct db_conn *c)
{
    enum err e = db_exec(c, own_tables);

    return e ? e : db_exec(c, c->engine->own_tables);
}

static enum err apply(struct db_conn *c, const struct db_migration *m)
{
    enum err e;

    e = conn_begin(c, true);
    if (e)
        return e;
    e = db_exec(c, m->sql);
    if (!e)
        e = note(c, m);
    if (!e)
        e = conn_commit(c);
    if (e)
        conn_rollback(c);
    else if (c->path[0] != ':')
        LOG_INFO("db.migrated", LF_Z("file", c->path), LF_Z("feature", m->feature), LF_I64("number", m->number));
    return e;
}

static enum err migrate_all(struct db_conn *c, const struct db_migration *migrations, struct arena *a, struct str *why)
{
    bool same;
    enum err e;

    e = own_tables_make(c);
    if (e)
        goto explain;
    *why = STR_NULL;
    e = refuse_newer(c, migrations, a, why);
    if (e)
        goto explain;
    for (const struct db_migration *m = migrations; m->number; m++) {
        e = applied(c, m, &same);
        if (e == ERR_NOT_FOUND)
            e = apply(c, m);
        if (e) {
            *why = arena_printf(a, "could not bring database \"%s\" to \"%s\" version %d: %s", c->path, m->feature,
                                m->number, db_conn_error(c));
            return e;
        }
    }
    return OK;

explain:
    if (!why->p)
        *why = arena_printf(a, "could not read the versions of database \"%s\": %s", c->path, db_conn_error(c));
    return e;
}

enum err db_migrate(struct db_conn *c, const struct db_migration *migrations, struct arena *a, struct str *why)
{
    enum err e;

    e = list_is_whole(migrations, a, why);
    if (e)
        return e;
    *why = STR_NULL;
    e = c->engine->migrate_lock(c);
    if (e) {
        *why = arena_printf(a, "could not prepare database \"%s\": %s", c->path, db_conn_error(c));
        return e;
    }
    e = migrate_all(c, migrations, a, why);
    c->engine->migrate_unlock(c);
    return e;
}

enum err migrate_within(struct db_conn *c, const struct db_migration *migrations, bool noted)
{
    enum err e = own_tables_make(c);

    for (const struct db_migration *m = migrations; m->number && !e; m++) {
        e = db_exec(c, m->sql);
        if (!e && noted)
            e = note(c, m);
    }
    return e;
}

/* ---- db_check ---- */

enum err migrate_versions(struct db_conn *c, const struct db_migration *migrations, struct arena *a, struct str *why)
{
    enum err e;

    *why = STR_NULL;
    e = refuse_newer(c, migrations, a, why);
    if (e) {
        if (!why->p)
            *why = arena_printf(a, "\"%s\" is not a database of this program: %s", c->path, db_conn_error(c));
        return e;
    }
    for (const struct db_migration *m = migrations; m->number; m++) {
        bool same = false;

        e = applied(c, m, &same);
        if (e == OK && same)
            continue;
        *why = arena_printf(a, "database \"%s\": \"%s\" version %d %s", c->path, m->feature, m->number,
                            e == ERR_NOT_FOUND ? "has not been applied" : e ? "could not be read"
                                                                            : "was applied with another text");
        return e == OK || e == ERR_NOT_FOUND ? ERR_INVALID : e;
    }
    return OK;
}

static struct str first_difference(struct str have, struct str want)
{
    while (have.len || want.len) {
        struct str h = str_split(&have, '\n'), w = str_split(&want, '\n');

        if (!str_eq(h, w))
            return str_empty(w) || (!str_empty(h) && str_cmp(h, w) < 0) ? h : w;
    }
    return STR_NULL;
}

/* The same migrations in an empty place must give the same tables. */
static enum err check_tables(struct db_conn *c, const struct db_migration *migrations, struct arena *a, struct str *why)
{
    struct buf have, want;
    enum err e;

    buf_init(&have, 0);
    buf_init(&want, 0);
    *why = STR_NULL;
    e = c->engine->check_schemas(c, migrations, &have, &want, a, why);
    if (e && !why->p)
        *why = arena_printf(a, "could not read the tables of database \"%s\": %s", c->path, db_conn_error(c));
    if (!e && !str_eq(buf_str(&have), buf_str(&want))) {
        *why = arena_printf(a, "database \"%s\" differs from the program's tables at: %.*s", c->path,
                            STR_ARG(first_difference(buf_str(&have), buf_str(&want))));
        e = ERR_INVALID;
    }
    buf_done(&have);
    buf_done(&want);
    return e;
}

enum err db_check(struct db_conn *c, const struct db_migration *migrations, struct arena *a, struct str *why)
{
    enum err e;

    e = list_is_whole(migrations, a, why);
    if (!e)
        e = c->engine->check_whole(c, a, why);
    if (!e)
        e = migrate_versions(c, migrations, a, why);
    if (!e)
        e = check_tables(c, migrations, a, why);
    return e;
}
