/* pg_check.c: compares a schema with one that the same migrations make, in a transaction that is rolled back.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include "base/buf.h"
#include "db/pg_inner.h"

/* Columns with type, order of bytes, NOT NULL and default; indexes; constraints. ?1 is the schema. */
static struct db_sql sql_describe = {
    "SELECT 'column ' || c.relname || '.' || a.attname || ': ' || format_type(a.atttypid, a.atttypmod)"
    "  || coalesce(' ' || k.collname, '') || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END"
    "  || coalesce(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') AS line"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid"
    " LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum LEFT JOIN pg_collation k ON k.oid = a.attcollation"
    " WHERE n.nspname = ?1 AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"
    " UNION ALL SELECT 'index ' || replace(indexdef, ' ' || schemaname || '.', ' ') FROM pg_indexes WHERE schemaname = ?1"
    " UNION ALL SELECT 'constraint ' || r.relname || ' ' || s.conname || ': ' || pg_get_constraintdef(s.oid)"
    " FROM pg_constraint s JOIN pg_class r ON r.oid = s.conrelid JOIN pg_namespace n ON n.oid = s.connamespace"
    " WHERE n.nspname = ?1 ORDER BY 1" };

static enum err describe(struct db_conn *c, const char *schema, struct buf *out)
{
    struct db_stmt *s = db_prepare(c, &sql_describe);
    enum err e;

    db_bind_str(s, 1, str_of(schema));
    while ((e = db_step(s)) == OK)
        buf_printf(out, "%.*s\n", STR_ARG(db_text(s, 0)));
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err make_beside(struct db_conn *c, const char *beside, const struct db_migration *migrations)
{
    char text[256];
    enum err e;

    snprintf(text, sizeof text, "CREATE SCHEMA %s; SET LOCAL search_path = %s", beside, beside);
    e = db_exec(c, text);
    return e ? e : migrate_within(c, migrations, false);
}

enum err pg_check_schemas(struct db_conn *c, const struct db_migration *migrations, struct buf *have, struct buf *want,
                          struct arena *a, struct str *why)
{
    const char *schema = pg_hosts_schema(pg_of(c)->hosts);
    char beside[96];
    enum err e;

    snprintf(beside, sizeof beside, "%s_as_it_should_be", schema);
    e = conn_begin(c, true);
    if (e)
        return e;
    e = make_beside(c, beside, migrations);
    if (!e)
        e = describe(c, beside, want);
    if (!e)
        e = describe(c, schema, have);
    conn_rollback(c);
    return e;
}
