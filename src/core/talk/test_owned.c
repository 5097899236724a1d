/* test_owned.c: every table of the message database has said whose rows are in it, so that a deletion can be proved.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/feature.h"
#include "talk/owned.h"

static void every_table_has_said_whose_rows_it_holds(struct test *t)
{
    static struct db_sql tables = { "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name" };
    struct db_settings   s = { 0 };
    struct loop         *l = loop_new();
    struct db           *d = NULL;
    struct db_conn      *c = NULL;
    struct db_stmt      *row;
    struct arena         a;
    struct str           why;
    int                  n = 0;

    arena_init(&a);
    s.path = arena_printf(&a, "%s/talk.db", test_dir(t)).p;
    CHECK_OK(t, db_open(l, &s, features_migrations(), &d, &a, &why));
    CHECK_OK(t, db_conn_open(&s, false, &c, &a, &why));
    row = db_prepare(c, &tables);
    for (; db_step(row) == OK; n++)
        if (!CHECK(t, owned_is_told(db_text(row, 0))))
            printf("    table %.*s: name it in the feature's .owned, or in owned.c if it holds nothing of anybody\n", STR_ARG(db_text(row, 0)));
    db_done(row);
    CHECK(t, n > 15);
    db_conn_close(&c);
    db_close(&d);
    loop_free(&l);
    arena_done(&a);
}

static void counted(void *arg, const char *table, int64_t rows)
{
    (void)table;
    (void)rows;
    ++*(int *)arg;
}

/* An address with every character that could be mistaken for SQL. */
static void each_table_can_be_counted(struct test *t)
{
    struct db_settings s = { 0 };
    struct loop       *l = loop_new();
    struct db         *d = NULL;
    struct db_conn    *c = NULL;
    struct arena       a;
    struct str         why, user = STR("a'b?1;--"), bare = STR("a'b?1;--@town.example");
    int64_t            number;
    int                tables = 0;

    arena_init(&a);
    s.path = arena_printf(&a, "%s/talk.db", test_dir(t)).p;
    CHECK_OK(t, db_open(l, &s, features_migrations(), &d, &a, &why));
    CHECK_OK(t, db_conn_open(&s, false, &c, &a, &why));
    CHECK_OK(t, owned_number(c, user, bare, &number));
    CHECK_INT(t, 0, number);
    CHECK_OK(t, owned_count(c, 7, user, bare, counted, &tables));
    CHECK(t, tables >= 14);
    db_conn_close(&c);
    db_close(&d);
    loop_free(&l);
    arena_done(&a);
}

TEST_MAIN(TEST(every_table_has_said_whose_rows_it_holds), TEST(each_table_can_be_counted))
