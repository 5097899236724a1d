/* test_accounts.c: accounts on a database connection, as tools use them.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "db/test_engine.h"
#include "id/accounts.h"

struct fixture {
    int             told;
    struct arena    a;
    struct db_conn *c;
};

static bool setup(struct test *t, struct fixture *f)
{
    struct str why = STR_NULL;
    struct db_settings s;

    arena_init(&f->a);
    s = settings_at(t, arena_printf(&f->a, "%s/ident.db", test_dir(t)).p);
    if (CHECK_OK(t, accounts_open(&s, &f->c, &f->a, &why)))
        return true;
    printf("      %.*s\n", STR_ARG(why));
    return false;
}

static void teardown(struct fixture *f)
{
    db_conn_close(&f->c);
    arena_done(&f->a);
}

static struct account_keys keys(const char *password)
{
    struct account_keys k;

    account_keys_make(&k, str_of(password), SCRAM_ITERATIONS_MIN);
    return k;
}

static bool opens(struct db_conn *c, struct str user, const char *password)
{
    struct credential got, tried;

    if (account_credential(c, user, DIGEST_SHA256, &got))
        return false;
    credential_derive(&tried, DIGEST_SHA256, str_of(password), str_make((char *)got.salt, got.salt_bytes), got.iterations);
    return memcmp(tried.stored_key, got.stored_key, 32) == 0;
}

static void told(void *arg, struct str user, int64_t at_us, bool disabled)
{
    (void)disabled;
    ((struct fixture *)arg)->told += str_is(user, "alice") && at_us == 5;
}

static void an_account_is_made_changed_and_ended(struct test *t)
{
    struct account_keys one = keys("one"), two = keys("two");
    struct fixture f;
    bool disabled = true;

    if (!setup(t, &f))
        return;
    CHECK_INT(t, ERR_NOT_FOUND, account_exists(f.c, STR("alice")));
    CHECK_INT(t, ERR_NOT_FOUND, account_passwd(f.c, STR("alice"), &one));
    CHECK_INT(t, ERR_NOT_FOUND, account_delete(f.c, STR("alice"), 5));
    CHECK_INT(t, ERR_NOT_FOUND, account_disable(f.c, STR("alice"), true));
    CHECK_OK(t, account_add(f.c, STR("alice"), &one, 1));
    CHECK_INT(t, ERR_EXISTS, account_add(f.c, STR("alice"), &two, 1));
    CHECK(t, opens(f.c, STR("alice"), "one"));
    CHECK_OK(t, account_passwd(f.c, STR("alice"), &two));
    CHECK(t, opens(f.c, STR("alice"), "two") && !opens(f.c, STR("alice"), "one"));
    CHECK_OK(t, account_state(f.c, STR("alice"), &disabled));
    CHECK(t, !disabled);
    CHECK_OK(t, account_disable(f.c, STR("alice"), true));
    CHECK_OK(t, account_state(f.c, STR("alice"), &disabled));
    CHECK(t, disabled);
    CHECK_OK(t, account_delete(f.c, STR("alice"), 5));
    CHECK_INT(t, ERR_NOT_FOUND, account_exists(f.c, STR("alice")));
    CHECK(t, !opens(f.c, STR("alice"), "two"));
    f.told = 0;
    CHECK_INT(t, ERR_EXISTS, account_add(f.c, STR("alice"), &two, 6));
    CHECK_OK(t, account_deletions(f.c, 5, told, &f));
    CHECK_INT(t, 0, f.told);
    CHECK_OK(t, account_deletions(f.c, 6, told, &f));
    CHECK_INT(t, 1, f.told);
    CHECK_OK(t, account_deletion_done(f.c, STR("alice")));
    CHECK_OK(t, account_add(f.c, STR("alice"), &two, 7));
    teardown(&f);
}

static void names_and_passwords_become_normal(struct test *t)
{
    struct arena a;
    struct str out;
    char   name[1100];

    arena_init(&a);
    CHECK_OK(t, account_name(&a, STR("Alice"), &out));
    CHECK_STR(t, "alice", out);
    CHECK_OK(t, account_name(&a, STR("\xed\x95\x9c\xea\xb8\x80"), &out));
    CHECK_INT(t, ERR_INVALID, account_name(&a, STR(""), &out));
    CHECK_INT(t, ERR_INVALID, account_name(&a, STR("a b"), &out));
    CHECK_INT(t, ERR_INVALID, account_name(&a, STR("a@b"), &out));
    CHECK_INT(t, ERR_INVALID, account_name(&a, STR("a/b"), &out));
    CHECK_INT(t, ERR_INVALID, account_name(&a, STR("\xff"), &out));
    memset(name, 'x', sizeof name);
    CHECK_OK(t, account_name(&a, str_make(name, 1023), &out));
    CHECK_INT(t, ERR_INVALID, account_name(&a, str_make(name, 1024), &out));
    CHECK_OK(t, account_password(&a, str_make(name, 1024), &out));
    CHECK_INT(t, ERR_INVALID, account_password(&a, str_make(name, 1025), &out));
    CHECK_INT(t, ERR_INVALID, account_password(&a, STR(""), &out));
    CHECK_INT(t, ERR_INVALID, account_password(&a, STR("a\x07"), &out));
    CHECK_OK(t, account_password(&a, STR("I\xc2\xadX"), &out));     /* RFC 4013 §3: a soft hyphen goes */
    CHECK_STR(t, "IX", out);
    arena_done(&a);
}

static void list_row(void *arg, struct str user, int64_t created_us, bool disabled)
{
    buf_printf(arg, "%.*s%s ", STR_ARG(user), disabled ? "!" : "");
}

static void the_list_is_paged_in_order(struct test *t)
{
    struct account_keys k = keys("pw");
    struct buf out = { 0 };
    struct fixture f;

    if (!setup(t, &f))
        return;
    CHECK_OK(t, account_add(f.c, STR("carol"), &k, 1));
    CHECK_OK(t, account_add(f.c, STR("alice"), &k, 1));
    CHECK_OK(t, account_add(f.c, STR("bob"), &k, 1));
    CHECK_OK(t, account_disable(f.c, STR("bob"), true));
    CHECK_OK(t, account_list(f.c, STR_NULL, 2, list_row, &out));
    CHECK_STR(t, "alice bob! ", buf_str(&out));
    buf_clear(&out);
    CHECK_OK(t, account_list(f.c, STR("bob"), 0, list_row, &out));
    CHECK_STR(t, "carol ", buf_str(&out));
    buf_done(&out);
    teardown(&f);
}

static void the_secret_is_made_once(struct test *t)
{
    uint8_t one[IDENT_SECRET_BYTES], two[IDENT_SECRET_BYTES];
    struct fixture f;

    if (!setup(t, &f))
        return;
    CHECK_OK(t, ident_secret(f.c, one));
    CHECK_OK(t, ident_secret(f.c, two));
    CHECK(t, memcmp(one, two, sizeof one) == 0);
    teardown(&f);
}

/* The password is nowhere in the file. */
static void no_password_is_stored(struct test *t)
{
    struct account_keys k = keys("correct horse battery");
    struct str why = STR_NULL;
    struct fixture f;
    char  *path, bytes[65536];
    size_t n;
    FILE  *file;

    if (on_server()) {
        test_skip(t, "a file is meant");
        return;
    }
    if (!setup(t, &f))
        return;
    CHECK_OK(t, account_add(f.c, STR("alice"), &k, 1));
    path = (char *)arena_printf(&f.a, "%s/copy.db", test_dir(t)).p;
    CHECK_OK(t, db_backup(f.c, path, &f.a, &why));
    file = fopen(path, "rb");
    if (CHECK(t, file != NULL)) {
        n = fread(bytes, 1, sizeof bytes, file);
        CHECK(t, memmem(bytes, n, "alice", 5) != NULL);
        CHECK(t, memmem(bytes, n, "correct horse", 13) == NULL);
        fclose(file);
    }
    teardown(&f);
}

DB_TEST_MAIN(TEST(an_account_is_made_changed_and_ended), TEST(names_and_passwords_become_normal),
          TEST(the_list_is_paged_in_order), TEST(the_secret_is_made_once), TEST(no_password_is_stored))
