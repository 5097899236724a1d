/* catalog.c: see catalog.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/catalog.h"
#include "base/clock.h"

const struct db_migration catalog_migrations[] = {
    { 1, "files",
      "CREATE TABLE file ("
      "  id      BLOB   NOT NULL PRIMARY KEY,"
      "  owner   TEXT   NOT NULL,"
      "  name    TEXT   NOT NULL,"
      "  type    TEXT   NOT NULL,"
      "  bytes   BIGINT NOT NULL,"
      "  made_us BIGINT NOT NULL,"
      "  shown   BIGINT NOT NULL DEFAULT 0,"
      "  hash    BLOB"
      ");"
      "CREATE INDEX file_owner ON file(owner, made_us, bytes);"
      "CREATE INDEX file_hash ON file(hash);"
      "CREATE INDEX file_made ON file(made_us);"
      "CREATE TABLE doomed (hash BLOB NOT NULL PRIMARY KEY);"
      "CREATE TABLE owed ("
      "  peer TEXT   NOT NULL,"
      "  id   BLOB   NOT NULL,"
      "  since_us BIGINT NOT NULL,"
      "  PRIMARY KEY (peer, id)"
      ");"
      "CREATE INDEX owed_since ON owed(peer, since_us);"
      "CREATE TABLE peer (name TEXT NOT NULL PRIMARY KEY);"
      "CREATE TABLE forgotten ("
      "  id        BLOB   NOT NULL PRIMARY KEY,"
      "  owner     TEXT   NOT NULL,"
      "  before_us BIGINT NOT NULL"
      ");" },
    { 0 },
};

static struct str id_of(const uint8_t id[SLOT_ID_BYTES]) { return str_make((const char *)id, SLOT_ID_BYTES); }
static struct str hash_of(const uint8_t hash[BLOB_HASH_BYTES]) { return str_make((const char *)hash, BLOB_HASH_BYTES); }

static bool hash_copy(struct str blob, uint8_t out[BLOB_HASH_BYTES])
{
    if (blob.len != BLOB_HASH_BYTES)
        return false;
    memcpy(out, blob.p, BLOB_HASH_BYTES);
    return true;
}

/* ---- reading ---- */

enum err catalog_find(struct db_conn *c, struct arena *a, const uint8_t id[SLOT_ID_BYTES], struct file_row *out)
{
    static struct db_sql find = { "SELECT owner, name, type, bytes, made_us, shown, hash FROM file WHERE id = ?1" };
    struct db_stmt      *s;
    enum err             e = db_get(c, &s, &find, "b", id_of(id));

    if (e)
        return e;
    memcpy(out->id, id, SLOT_ID_BYTES);
    out->owner = arena_str(a, db_text(s, 0));
    out->name = arena_str(a, db_text(s, 1));
    out->type = arena_str(a, db_text(s, 2));
    out->bytes = db_i64(s, 3);
    out->made_us = db_i64(s, 4);
    out->shown = db_i64(s, 5) != 0;
    out->whole = !db_is_null(s, 6) && hash_copy(db_blob(s, 6), out->hash);
    db_done(s);
    return OK;
}

enum err catalog_each_of(struct db_conn *c, struct str owner, bool (*fn)(void *arg, const struct file_row *row, enum err *e), void *arg)
{
    static struct db_sql list = { "SELECT id, name, type, bytes, made_us, shown, hash FROM file WHERE owner = ?1 AND hash IS NOT NULL"
                                  " ORDER BY made_us, id" };
    struct db_stmt      *s = db_prepare(c, &list);
    enum err             e, stop = OK;
    bool                 more = true;

    if (!s)
        return ERR_IO;
    db_bind_str(s, 1, owner);
    while (more && (e = db_step(s)) == OK) {
        struct file_row row = { .owner = owner, .name = db_text(s, 1), .type = db_text(s, 2), .bytes = db_i64(s, 3), .made_us = db_i64(s, 4),
                                .shown = db_i64(s, 5) != 0, .whole = true };

        if (db_blob(s, 0).len == SLOT_ID_BYTES && hash_copy(db_blob(s, 6), row.hash)) {
            memcpy(row.id, db_blob(s, 0).p, SLOT_ID_BYTES);
            more = fn(arg, &row, &stop);
        }
    }
    db_done(s);
    return stop || !more || e == ERR_NOT_FOUND ? stop : e;
}

static bool finds(struct db_conn *c, struct db_sql *sql, const char *types, struct str key)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, sql, types, key);

    if (!e)
        db_done(s);
    return e != ERR_NOT_FOUND;      /* when in doubt it is there */
}

bool catalog_names(struct db_conn *c, const uint8_t hash[BLOB_HASH_BYTES])
{
    static struct db_sql any = { "SELECT 1 FROM file WHERE hash = ?1 LIMIT 1" };

    return finds(c, &any, "b", hash_of(hash));
}

enum err catalog_used(struct db_conn *c, struct str owner, int64_t since_us, int64_t file_bytes_min, int64_t *all, int64_t *since,
                      int64_t *oldest_us)
{
    static struct db_sql sum = {
        "SELECT CAST(COALESCE(SUM(MAX(bytes, ?3)), 0) AS BIGINT),"
        " CAST(COALESCE(SUM(CASE WHEN made_us >= ?2 THEN MAX(bytes, ?3) ELSE 0 END), 0) AS BIGINT),"
        " MIN(CASE WHEN made_us >= ?2 THEN made_us ELSE NULL END) FROM file WHERE owner = ?1" };
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &sum, "sii", owner, since_us, file_bytes_min);

    if (e)
        return e;
    *all = db_i64(s, 0);
    *since = db_i64(s, 1);
    *oldest_us = db_i64(s, 2);
    db_done(s);
    return OK;
}

static enum err two_numbers(struct db_conn *c, struct db_sql *sql, int64_t *first, int64_t *second)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, sql, "");

    if (e)
        return e;
    *first = db_i64(s, 0);
    *second = db_i64(s, 1);
    db_done(s);
    return OK;
}

enum err catalog_total(struct db_conn *c, int64_t *files, int64_t *bytes, int64_t *blob_bytes, int64_t *owed)
{
    static struct db_sql named = { "SELECT COUNT(*), CAST(COALESCE(SUM(bytes), 0) AS BIGINT) FROM file WHERE hash IS NOT NULL" };
    static struct db_sql kept = {
        "SELECT CAST(COALESCE(SUM(b), 0) AS BIGINT), (SELECT COUNT(*) FROM owed)"
        " FROM (SELECT MAX(bytes) AS b FROM file WHERE hash IS NOT NULL GROUP BY hash) AS blobs" };
    enum err e = two_numbers(c, &named, files, bytes);

    return e ? e : two_numbers(c, &kept, blob_bytes, owed);
}

static enum err hashes(struct db_conn *c, struct db_sql *sql, struct str after, uint8_t (*out)[BLOB_HASH_BYTES], int max, int *count)
{
    struct db_stmt *s = db_prepare(c, sql);
    enum err        e;

    *count = 0;
    db_bind_i64(s, 1, max);
    if (after.p)
        db_bind_blob(s, 2, after);
    while ((e = db_step(s)) == OK && *count < max)
        *count += hash_copy(db_blob(s, 0), out[*count]);
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err catalog_doomed(struct db_conn *c, uint8_t (*out)[BLOB_HASH_BYTES], int max, int *count)
{
    static struct db_sql some = { "SELECT hash FROM doomed LIMIT ?1" };

    return hashes(c, &some, STR_NULL, out, max, count);
}

enum err catalog_hashes(struct db_conn *c, const uint8_t after[BLOB_HASH_BYTES], uint8_t (*out)[BLOB_HASH_BYTES], int max, int *count)
{
    static struct db_sql next = { "SELECT DISTINCT hash FROM file WHERE hash > ?2 ORDER BY hash LIMIT ?1" };

    return hashes(c, &next, hash_of(after), out, max, count);
}

enum err catalog_owed(struct db_conn *c, struct str peer, uint8_t out[SLOT_ID_BYTES])
{
    static struct db_sql newest = { "SELECT id FROM owed WHERE peer = ?1 ORDER BY since_us DESC LIMIT 1" };
    struct db_stmt      *s;
    enum err             e = db_get(c, &s, &newest, "s", peer);
    struct str           id;

    if (e)
        return e;
    id = db_blob(s, 0);
    if (id.len == SLOT_ID_BYTES)
        memcpy(out, id.p, SLOT_ID_BYTES);
    db_done(s);
    return OK;
}

bool catalog_knows_peer(struct db_conn *c, struct str peer)
{
    static struct db_sql known = { "SELECT 1 FROM peer WHERE name = ?1" };

    return finds(c, &known, "s", peer);
}

/* ---- writing ---- */

/* A slot that was given before its owner's account was deleted is worth nothing after it. */
#define UNLESS_FORGOTTEN " WHERE NOT EXISTS (SELECT 1 FROM forgotten WHERE owner = ?2 AND before_us >= ?6) ON CONFLICT (id) DO NOTHING"

enum err catalog_begin(struct db_conn *c, const struct file_row *r)
{
    static struct db_sql put = { "INSERT INTO file(id, owner, name, type, bytes, made_us) SELECT ?1, ?2, ?3, ?4, ?5, ?6"
                                 UNLESS_FORGOTTEN };

    return db_run(c, &put, "bsssii", id_of(r->id), r->owner, r->name, r->type, r->bytes, r->made_us);
}

static enum err same_hash(struct db_conn *c, const struct file_row *r)
{
    static struct db_sql get = { "SELECT hash FROM file WHERE id = ?1" };
    struct db_stmt      *s;
    enum err             e = db_get(c, &s, &get, "b", id_of(r->id));

    if (e)
        return e;
    e = str_eq(db_blob(s, 0), hash_of(r->hash)) ? OK : ERR_EXISTS;
    db_done(s);
    return e;
}

enum err catalog_complete(struct db_conn *c, const struct file_row *r, bool *fresh)
{
    static struct db_sql set = { "UPDATE file SET hash = ?2, type = ?3, shown = ?4 WHERE id = ?1 AND hash IS NULL" };
    enum err             e = db_run(c, &set, "bbsi", id_of(r->id), hash_of(r->hash), r->type, (int64_t)r->shown);

    *fresh = !e && db_changes(c) > 0;
    return e || *fresh ? e : same_hash(c, r);
}

enum err catalog_put(struct db_conn *c, const struct file_row *r, bool *fresh)
{
    static struct db_sql put = { "INSERT INTO file(id, owner, name, type, bytes, made_us, shown, hash)"
                                 " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8" UNLESS_FORGOTTEN };
    enum err             e = db_run(c, &put, "bsssiiib", id_of(r->id), r->owner, r->name, r->type, r->bytes, r->made_us, (int64_t)r->shown,
                                    hash_of(r->hash));

    *fresh = !e && db_changes(c) > 0;
    return e || *fresh ? e : catalog_complete(c, r, fresh);
}

enum err catalog_doom(struct db_conn *c, const uint8_t hash[BLOB_HASH_BYTES])
{
    static struct db_sql put = { "INSERT INTO doomed(hash) VALUES (?1) ON CONFLICT (hash) DO NOTHING" };

    return db_run(c, &put, "b", hash_of(hash));
}

enum err catalog_spare(struct db_conn *c, const uint8_t hash[BLOB_HASH_BYTES])
{
    static struct db_sql del = { "DELETE FROM doomed WHERE hash = ?1" };

    return db_run(c, &del, "b", hash_of(hash));
}

enum err catalog_forget(struct db_conn *c, const uint8_t id[SLOT_ID_BYTES])
{
    static struct db_sql doom = { "INSERT INTO doomed(hash) SELECT hash FROM file WHERE id = ?1 AND hash IS NOT NULL"
                                  " ON CONFLICT (hash) DO NOTHING" };
    static struct db_sql owed = { "DELETE FROM owed WHERE id = ?1" };
    static struct db_sql del = { "DELETE FROM file WHERE id = ?1" };
    enum err             e = db_run(c, &doom, "b", id_of(id));

    if (!e)
        e = db_run(c, &owed, "b", id_of(id));
    return e ? e : db_run(c, &del, "b", id_of(id));
}

enum err catalog_forget_part(struct db_conn *c, const uint8_t id[SLOT_ID_BYTES])
{
    static struct db_sql del = { "DELETE FROM file WHERE id = ?1 AND hash IS NULL" };

    return db_run(c, &del, "b", id_of(id));
}

enum err catalog_forget_owner(struct db_conn *c, struct str owner, int64_t before_us)
{
    static struct db_sql doom = { "INSERT INTO doomed(hash) SELECT DISTINCT hash FROM file WHERE owner = ?1 AND made_us <= ?2"
                                  " AND hash IS NOT NULL ON CONFLICT (hash) DO NOTHING" };
    static struct db_sql owed = { "DELETE FROM owed WHERE id IN (SELECT id FROM file WHERE owner = ?1 AND made_us <= ?2)" };
    static struct db_sql del = { "DELETE FROM file WHERE owner = ?1 AND made_us <= ?2" };
    enum err             e = db_run(c, &doom, "si", owner, before_us);

    if (!e)
        e = db_run(c, &owed, "si", owner, before_us);
    return e ? e : db_run(c, &del, "si", owner, before_us);
}

enum err catalog_note_forgotten(struct db_conn *c, const uint8_t id[SLOT_ID_BYTES], struct str owner, int64_t before_us)
{
    static struct db_sql put = { "INSERT INTO forgotten(id, owner, before_us) VALUES (?1, ?2, ?3)" };

    return db_run(c, &put, "bsi", id_of(id), owner, before_us);
}

enum err catalog_forgotten(struct db_conn *c, struct arena *a, const uint8_t id[SLOT_ID_BYTES], struct str *owner, int64_t *before_us)
{
    static struct db_sql get = { "SELECT owner, before_us FROM forgotten WHERE id = ?1" };
    struct db_stmt      *s;
    enum err             e = db_get(c, &s, &get, "b", id_of(id));

    if (e)
        return e;
    *owner = arena_str(a, db_text(s, 0));
    *before_us = db_i64(s, 1);
    db_done(s);
    return OK;
}

enum err catalog_expire(struct db_conn *c, int64_t parts_us, int64_t files_us, int max, int64_t *gone)
{
    static struct db_sql notes = { "DELETE FROM forgotten WHERE before_us < ?1 AND id NOT IN (SELECT id FROM owed)" };
    static struct db_sql old = { "SELECT id FROM file WHERE made_us < ?2 OR (made_us < ?1 AND hash IS NULL) LIMIT 1" };
    enum err             e = db_run(c, &notes, "i", parts_us);

    for (*gone = 0; *gone < max && !e; ++*gone) {
        struct db_stmt *s;
        uint8_t         id[SLOT_ID_BYTES];

        e = db_get(c, &s, &old, "ii", parts_us, files_us);
        if (e)
            return e == ERR_NOT_FOUND ? OK : e;
        memcpy(id, db_blob(s, 0).p, SLOT_ID_BYTES);
        db_done(s);
        e = catalog_forget(c, id);
    }
    return e;
}

enum err catalog_owe(struct db_conn *c, struct str peer, const uint8_t id[SLOT_ID_BYTES])
{
    static struct db_sql put = { "INSERT INTO owed(peer, id, since_us) VALUES (?1, ?2, ?3) ON CONFLICT (peer, id) DO NOTHING" };

    return db_run(c, &put, "sbi", peer, id_of(id), clock_us());
}

enum err catalog_paid(struct db_conn *c, struct str peer, const uint8_t id[SLOT_ID_BYTES])
{
    static struct db_sql del = { "DELETE FROM owed WHERE peer = ?1 AND id = ?2" };

    return db_run(c, &del, "sb", peer, id_of(id));
}

enum err catalog_owe_all(struct db_conn *c, struct str peer)
{
    static struct db_sql put = { "INSERT INTO owed(peer, id, since_us) SELECT ?1, id, made_us FROM file WHERE hash IS NOT NULL"
                                 " ON CONFLICT (peer, id) DO NOTHING" };

    return db_run(c, &put, "s", peer);
}

enum err catalog_peer(struct db_conn *c, struct str peer)
{
    static struct db_sql put = { "INSERT INTO peer(name) VALUES (?1) ON CONFLICT (name) DO NOTHING" };

    return db_run(c, &put, "s", peer);
}
