/* test_db.c: statements, migrations, reads off the loop, backup.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <sys/stat.h>
#include "base/buf.h"
#include "db/test_util.h"

static struct db_conn *memory(struct test *t)
{
    struct db_settings s = settings_at(t, "");
    struct db_conn *c = NULL;
    struct arena a;
    struct str why;

    arena_init(&a);
    CHECK_OK(t, db_conn_open(&s, true, &c, &a, &why));
    if (on_server())
        CHECK_OK(t, db_exec(c, arena_printf(&a, "CREATE SCHEMA %s", s.schema).p));
    arena_done(&a);
    CHECK_OK(t, db_exec(c, notes_migrations[0].sql));
    return c;
}

static void values_come_back_as_they_went_in(struct test *t)
{
    static struct db_sql get = { .text = "SELECT id, text, body FROM note WHERE id = ?1" };
    struct db_conn *c = memory(t);
    struct db_stmt *s;

    CHECK_OK(t, db_run(c, &sql_note_put, "isb", INT64_MIN, STR("한국어"), STR("\0\1\2")));
    CHECK_OK(t, db_run(c, &sql_note_put, "isb", (int64_t)2, STR(""), STR("")));
    CHECK_OK(t, db_run(c, &sql_note_put, "isn", (int64_t)3, STR_NULL));
    if (CHECK_OK(t, db_get(c, &s, &get, "i", INT64_MIN))) {
        CHECK_INT(t, INT64_MIN, db_i64(s, 0));
        CHECK_STR(t, "한국어", db_text(s, 1));
        CHECK(t, str_eq(STR("\0\1\2"), db_blob(s, 2)));
        CHECK_INT(t, ERR_NOT_FOUND, db_step(s));
    }
    db_done(s);
    if (CHECK_OK(t, db_get(c, &s, &get, "i", (int64_t)2)))
        CHECK(t, db_text(s, 1).p && db_text(s, 1).len == 0 && db_blob(s, 2).p && !db_is_null(s, 2));
    db_done(s);
    if (CHECK_OK(t, db_get(c, &s, &get, "i", (int64_t)3)))
        CHECK(t, db_is_null(s, 1) && !db_text(s, 1).p && !db_blob(s, 2).p);
    db_done(s);
    db_done(s);
    CHECK_INT(t, ERR_NOT_FOUND, db_get(c, &s, &get, "i", (int64_t)4));
    CHECK(t, s == NULL);
    db_conn_close(&c);
}

static void errors_say_what_can_be_done(struct test *t)
{
    static struct db_sql wrong = { .text = "SELECT a FROM nowhere" };
    struct db_conn *c = memory(t);

    CHECK_OK(t, db_run(c, &sql_note_put, "inn", (int64_t)1));
    CHECK_INT(t, 1, db_changes(c));
    CHECK_INT(t, ERR_EXISTS, db_run(c, &sql_note_put, "inn", (int64_t)1));
    CHECK_INT(t, ERR_BUG, db_run(c, &wrong, ""));
    CHECK(t, strstr(db_conn_error(c), "nowhere"));
    CHECK_INT(t, ERR_BUG, db_run(c, &sql_note_put, "innn", (int64_t)2));
    db_conn_close(&c);
}

static void returning_gives_rows(struct test *t)
{
    static struct db_sql add = { .text = "INSERT INTO note(id, text) VALUES ((SELECT coalesce(max(id), 0) + 1 FROM note), ?1) RETURNING id" };
    struct db_conn *c = memory(t);
    struct db_stmt *s;

    if (CHECK_OK(t, db_get(c, &s, &add, "s", STR("x"))))
        CHECK_INT(t, 1, db_i64(s, 0));
    db_done(s);
    CHECK_OK(t, db_run(c, &add, "s", STR("y")));
    CHECK_INT(t, 1, notes_with(c, 2));
    db_conn_close(&c);
}

static void migrations_run_once(struct test *t)
{
    struct loop *l = loop_new();
    struct db_settings s = settings_at(t, notes_path(t));

    for (int i = 0; i < 2; i++) {
        struct db *d = notes_open_at(t, l, &s);

        CHECK_INT(t, 1, notes_with(db_loop_conn(d), 0));
        db_close(&d);
    }
    loop_free(&l);
}

static enum err open_with(struct test *t, const char *path, const struct db_migration *m, struct buf *why_out)
{
    struct loop *l = loop_new();
    struct db_settings s = settings_at(t, path);
    struct db *d;
    struct arena a;
    struct str why;
    enum err e;

    arena_init(&a);
    e = db_open(l, &s, m, &d, &a, &why);
    buf_clear(why_out);
    buf_put_str(why_out, why);
    buf_put_c(why_out, '\0');
    db_close(&d);
    arena_done(&a);
    loop_free(&l);
    return e;
}

static void an_older_program_is_refused(struct test *t)
{
    static const struct db_migration older[] = { NOTES_FIRST, { 0 } };
    static const struct db_migration gap[] = { { 2, "notes", "" }, { 0 } };
    struct buf why;

    buf_init(&why, 0);
    CHECK_OK(t, open_with(t, notes_path(t), notes_migrations, &why));
    CHECK_INT(t, ERR_UNSUPPORTED, open_with(t, notes_path(t), older, &why));
    CHECK(t, strstr(why.p, "newer than this program") && strstr(why.p, on_server() ? test_schema(t) : "notes.db"));
    CHECK_INT(t, ERR_BUG, open_with(t, notes_path(t), gap, &why));
    if (on_server()) {
        buf_done(&why);
        return;
    }
    CHECK_INT(t, ERR_IO, open_with(t, "/nonexistent/x.db", notes_migrations, &why));
    CHECK(t, strstr(why.p, "/nonexistent/x.db"));
    buf_done(&why);
}

static void a_failed_migration_leaves_no_trace(struct test *t)
{
    static const struct db_migration broken[] = {
        NOTES_FIRST, { 2, "notes", "CREATE TABLE half(x TEXT); CREATE TABLE note(x TEXT);" }, { 0 },
    };
    struct buf why;

    buf_init(&why, 0);
    CHECK_INT(t, ERR_BUG, open_with(t, notes_path(t), broken, &why));
    CHECK(t, strstr(why.p, "already exists"));
    CHECK_OK(t, open_with(t, notes_path(t), notes_migrations, &why));
    buf_done(&why);
}

static void check_finds_a_changed_table(struct test *t)
{
    struct db_settings s = settings_at(t, notes_path(t));
    struct db_conn *c = NULL;
    struct arena a;
    struct str why;
    struct buf b;

    arena_init(&a);
    buf_init(&b, 0);
    CHECK_OK(t, open_with(t, s.path, notes_migrations, &b));
    CHECK_OK(t, db_conn_open(&s, true, &c, &a, &why));
    CHECK_OK(t, db_check(c, notes_migrations, &a, &why));
    CHECK_OK(t, db_exec(c, "DROP INDEX note_text"));
    CHECK_INT(t, ERR_INVALID, db_check(c, notes_migrations, &a, &why));
    CHECK(t, memmem(why.p, why.len, "note_text", 9));
    db_conn_close(&c);
    buf_done(&b);
    arena_done(&a);
}

static void the_file_is_its_owners_alone(struct test *t)
{
    struct buf why;
    struct stat st;

    if (on_server()) {
        test_skip(t, "a file is meant");
        return;
    }
    buf_init(&why, 0);
    CHECK_OK(t, open_with(t, notes_path(t), notes_migrations, &why));
    CHECK(t, stat(notes_path(t), &st) == 0 && (st.st_mode & 0777) == 0600);
    buf_done(&why);
}

struct count_read {
    struct db_read read;
    int64_t        id, found;
    bool           told;
    enum err       e;
};

static enum err count_work(struct db_conn *c, struct db_read *r)
{
    struct count_read *cr = LIST_ITEM(r, struct count_read, read);

    cr->found = notes_with(c, cr->id);
    return OK;
}

static void count_done(struct db_read *r, enum err e)
{
    struct count_read *cr = LIST_ITEM(r, struct count_read, read);

    cr->told = true;
    cr->e = e;
}

static void a_read_sees_what_was_told(struct test *t, const char *path)
{
    struct loop *l = loop_new();
    struct db_settings s = settings_at(t, path);
    struct db *d = notes_open_at(t, l, &s);

    for (int64_t id = 1; id <= 50; id++) {
        struct count_read cr = { .read = { .work = count_work, .done = count_done }, .id = id };
        struct put p = put_of(id);

        CHECK_OK(t, put_and_wait(d, l, &p));
        CHECK_OK(t, db_read_start(d, &cr.read));
        CHECK(t, !cr.told);
        rounds_until(l, &cr.told);
        CHECK_OK(t, cr.e);
        CHECK_INT(t, 1, cr.found);
        CHECK_INT(t, 1, notes_with(db_loop_conn(d), id));
    }
    db_close(&d);
    loop_free(&l);
}

static void reads_see_commits_in_a_file(struct test *t)
{
    a_read_sees_what_was_told(t, notes_path(t));
}

static void reads_see_commits_in_a_private_database(struct test *t)
{
    if (on_server())
        test_skip(t, "a file is meant");
    else
        a_read_sees_what_was_told(t, "");
}

static void the_read_queue_has_a_bound(struct test *t)
{
    enum { COUNT = DB_READ_QUEUE_MAX + 200 };
    struct loop *l = loop_new();
    struct db_settings s = settings_at(t, "");
    struct db *d = (s.read_workers = 1, notes_open_at(t, l, &s));
    struct count_read *reads = calloc(COUNT, sizeof *reads);
    int taken = 0, told = 0;

    for (int i = 0; i < COUNT; i++) {
        reads[i].read.work = count_work;
        reads[i].read.done = count_done;
        if (db_read_start(d, &reads[i].read) == OK)
            taken++;
        else
            reads[i].id = -1;
    }
    CHECK(t, taken >= DB_READ_QUEUE_MAX);
    db_close(&d);               /* those that were answered and those that were not: the loop has nothing left to say */
    for (int i = 0; i < COUNT; i++)
        told += reads[i].told;
    CHECK_INT(t, taken, told);       /* closing answers the rest */
    free(reads);
    loop_free(&l);
}

static void a_backup_is_taken_while_others_write(struct test *t)
{
    struct loop *l = loop_new();
    struct db_settings s = { .path = notes_path(t) }, s2;     /* PostgreSQL has a backup of its own */
    struct db *d = notes_open_at(t, l, &s);
    struct db_conn *c = NULL;
    char to[300];
    struct arena a;
    struct str why = STR_NULL;

    arena_init(&a);
    snprintf(to, sizeof to, "%s/copy.db", test_dir(t));
    for (int64_t id = 1; id <= 200; id++) {
        struct put p = put_of(id);

        p.body_bytes = 20000;
        CHECK_OK(t, put_and_wait(d, l, &p));
    }
    struct put late = put_of(1000);
    CHECK_OK(t, commit_add(d, &late.op));
    loop_round(l, 0);                              /* in flight */
    CHECK_OK(t, db_backup(db_loop_conn(d), to, &a, &why));
    CHECK_INT(t, ERR_EXISTS, db_backup(db_loop_conn(d), to, &a, &why));
    rounds_until(l, &late.told);
    CHECK_OK(t, late.e);
    db_close(&d);
    s2 = (struct db_settings){ .path = to };
    CHECK_OK(t, db_conn_open(&s2, true, &c, &a, &why));
    CHECK_OK(t, db_check(c, notes_migrations, &a, &why));
    CHECK_INT(t, 1, notes_with(c, 200));
    db_conn_close(&c);
    arena_done(&a);
    loop_free(&l);
}

/* What is asked in a rehearsal, and then for good, with one question bound otherwise and one that is new. */
struct rehearsed_read {
    struct db_read read;
    bool           rehearsed, told;
    int64_t        twice[2], other, fresh, none, in_vain;
    enum err       e;
};

static struct db_sql one_select = { "SELECT id * 10 FROM note WHERE id = ?1" };
static struct db_sql other_select = { "SELECT id * 100 FROM note WHERE id = ?1" };
static struct db_sql fresh_select = { "SELECT id * 1000 FROM note WHERE id = ?1" };
static struct db_sql vain_select = { "SELECT id + ?1 FROM note" };

static int64_t number_with(struct db_conn *c, struct db_sql *sql, int64_t id)
{
    struct db_stmt *s;
    int64_t         n = db_get(c, &s, sql, "i", id) == OK ? db_i64(s, 0) : 0;

    db_done(s);
    return n;
}

static void ask(struct db_conn *c, struct rehearsed_read *r, int64_t other)
{
    r->twice[0] = number_with(c, &one_select, 301);
    r->twice[1] = number_with(c, &one_select, 302);
    r->other = number_with(c, &other_select, other);
    r->none = number_with(c, &one_select, 399);
}

static enum err rehearsed_work(struct db_conn *c, struct db_read *self)
{
    struct rehearsed_read *r = LIST_ITEM(self, struct rehearsed_read, read);

    r->rehearsed = db_rehearse(c);
    if (r->rehearsed) {
        ask(c, r, 301);
        r->in_vain = r->twice[0] + r->twice[1] + r->other + number_with(c, &vain_select, 1);
        db_perform(c);
    }
    ask(c, r, 302);
    r->fresh = number_with(c, &fresh_select, 301);
    return db_conn_state(c);
}

static void rehearsed_done(struct db_read *self, enum err e)
{
    struct rehearsed_read *r = LIST_ITEM(self, struct rehearsed_read, read);

    r->told = true;
    r->e = e;
}

static void a_rehearsed_read_gives_the_same(struct test *t)
{
    struct loop       *l = loop_new();
    struct db_settings s = settings_at(t, notes_path(t));
    struct db         *d = notes_open_at(t, l, &s);
    struct put         first = put_of(301), second = put_of(302);

    CHECK_OK(t, put_and_wait(d, l, &first));
    CHECK_OK(t, put_and_wait(d, l, &second));
    for (int again = 0; again < 3; again++) {       /* the first one prepares its statements, too */
        struct rehearsed_read r = { .read = { .work = rehearsed_work, .done = rehearsed_done } };

        CHECK_OK(t, db_read_start(d, &r.read));
        rounds_until(l, &r.told);
        CHECK_OK(t, r.e);
        CHECK(t, r.rehearsed == on_server());
        CHECK_INT(t, 0, r.in_vain);
        CHECK_INT(t, 3010, r.twice[0]);
        CHECK_INT(t, 3020, r.twice[1]);
        CHECK_INT(t, 30200, r.other);
        CHECK_INT(t, 0, r.none);
        CHECK_INT(t, 301000, r.fresh);
    }
    db_close(&d);
    loop_free(&l);
}

DB_TEST_MAIN(TEST(values_come_back_as_they_went_in), TEST(errors_say_what_can_be_done), TEST(returning_gives_rows),
          TEST(migrations_run_once), TEST(an_older_program_is_refused), TEST(a_failed_migration_leaves_no_trace),
          TEST(check_finds_a_changed_table), TEST(the_file_is_its_owners_alone), TEST(reads_see_commits_in_a_file),
          TEST(reads_see_commits_in_a_private_database), TEST(the_read_queue_has_a_bound),
          TEST(a_rehearsed_read_gives_the_same), TEST(a_backup_is_taken_while_others_write))
