/* test_pg_text.c: the common SQL in PostgreSQL's words.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "db/pg_text.h"

static void becomes(struct test *t, const char *common, const char *want)
{
    struct str rest = str_of(common);
    struct buf b;

    buf_init(&b, 0);
    CHECK_OK(t, pg_text_next(&rest, &b));
    CHECK_STR(t, want, buf_str(&b));
    CHECK(t, rest.len == 0);
    buf_done(&b);
}

static void refused(struct test *t, const char *common)
{
    struct str rest = str_of(common);
    struct buf b;

    buf_init(&b, 0);
    CHECK_INT(t, ERR_INVALID, pg_text_next(&rest, &b));
    buf_done(&b);
}

static void tables_are_made(struct test *t)
{
    becomes(t, "CREATE TABLE log(owner INTEGER NOT NULL, id BIGINT, PRIMARY KEY(owner, id)) WITHOUT ROWID;",
            "CREATE TABLE log(owner bigint NOT NULL, id bigint, PRIMARY KEY(owner, id)) ");
    becomes(t, "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL, body BLOB DEFAULT x'00Ff')",
            "CREATE TABLE note(id bigint PRIMARY KEY, text text COLLATE \"C\" NOT NULL, body bytea DEFAULT '\\x00Ff'::bytea)");
    becomes(t, "ALTER TABLE note ADD COLUMN more TEXT", "ALTER TABLE note ADD COLUMN more text COLLATE \"C\"");
}

static void statements_are_turned(struct test *t)
{
    becomes(t, "SELECT id FROM log WHERE owner = ?1 AND id > ?12 LIMIT ?3", "SELECT id FROM log WHERE owner = $1 AND id > $12 LIMIT $3");
    becomes(t, "SELECT CAST(x AS TEXT), CAST(y AS INTEGER)", "SELECT CAST(x AS text), CAST(y AS bigint)");
    becomes(t, "SELECT id, user FROM person WHERE user = ?1", "SELECT id, \"user\" FROM person WHERE \"user\" = $1");
    becomes(t, "INSERT INTO x(b) VALUES (zeroblob((2 + 3) * ?1), f(1))",
            "INSERT INTO x(b) VALUES (decode(repeat('00', (2 + 3) * $1), 'hex'), f(1))");
}

static void joins_keep_their_condition(struct test *t)
{
    becomes(t, "SELECT 1 FROM log l CROSS JOIN message m ON m.id = l.id", "SELECT 1 FROM log l  JOIN message m ON m.id = l.id");
    becomes(t, "SELECT 1 FROM log CROSS JOIN message AS m ON m.id = 1", "SELECT 1 FROM log  JOIN message AS m ON m.id = 1");
    becomes(t, "SELECT 1 FROM log CROSS JOIN message ON TRUE", "SELECT 1 FROM log  JOIN message ON TRUE");
    becomes(t, "SELECT 1 FROM a CROSS JOIN b WHERE x", "SELECT 1 FROM a CROSS JOIN b WHERE x");
}

static void quotes_and_comments_are_left_alone(struct test *t)
{
    becomes(t, "SELECT '?1 TEXT; it''s', \"user\"\"?\" /* ? ; */ -- ?\n, 2", "SELECT '?1 TEXT; it''s', \"user\"\"?\"    , 2");
    becomes(t, "  -- nothing\n ", "");
}

static void one_statement_after_the_other(struct test *t)
{
    struct str rest = STR("CREATE TABLE a(x TEXT); INSERT INTO a VALUES ('b;'); ");
    static const char *const want[] = { "CREATE TABLE a(x text COLLATE \"C\")", "INSERT INTO a VALUES ('b;')", "" };
    struct buf b;

    buf_init(&b, 0);
    for (int i = 0; i < 3; i++) {
        CHECK_OK(t, pg_text_next(&rest, &b));
        CHECK_STR(t, want[i], buf_str(&b));
    }
    CHECK(t, rest.len == 0);
    buf_done(&b);
}

static void what_has_no_end_is_refused(struct test *t)
{
    static const char *const wrong[] = { "SELECT 'a", "SELECT \"a", "SELECT 1 /* x", "SELECT x'00", "SELECT ?", "SELECT ?0", "SELECT ?33",
                                         "SELECT zeroblob(1" };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        refused(t, wrong[i]);
}

static void writes_are_known(struct test *t)
{
    CHECK(t, pg_text_writes("INSERT INTO a") && pg_text_writes(" UPDATE a") && pg_text_writes("DELETE FROM a"));
    CHECK(t, !pg_text_writes("SELECT 1") && !pg_text_writes("BEGIN") && !pg_text_writes(""));
}

TEST_MAIN(TEST(tables_are_made), TEST(statements_are_turned), TEST(joins_keep_their_condition),
          TEST(quotes_and_comments_are_left_alone), TEST(one_statement_after_the_other), TEST(what_has_no_end_is_refused),
          TEST(writes_are_known))
