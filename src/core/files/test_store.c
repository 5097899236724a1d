/* test_store.c: blobs in their folder, rows in their index, and what a browser is shown.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/test.h"
#include "crypto/digest.h"
#include "files/catalog.h"
#include "files/show.h"

/* ---- blobs ---- */

static bool there(struct test *t, struct blobs *b, struct arena *a)
{
    struct str why = STR_NULL;
    char       path[128];

    snprintf(path, sizeof path, "%s/files", test_dir(t));
    if (CHECK_OK(t, blobs_open(b, path, a, &why)))
        return true;
    printf("    %.*s\n", STR_ARG(why));
    return false;
}

static void put(struct test *t, const struct blobs *b, uint8_t n, struct str text, uint8_t hash[BLOB_HASH_BYTES])
{
    uint8_t id[SLOT_ID_BYTES] = { n };
    int     fd;

    digest(DIGEST_SHA256, text, hash);
    if (!CHECK_OK(t, part_open(b, id, true, (int64_t)text.len, &fd)))
        return;
    CHECK_INT(t, text.len, write(fd, text.p, text.len));
    close(fd);
    CHECK_INT(t, text.len, part_bytes(b, id));
    CHECK_OK(t, part_place(b, id, hash));
    CHECK_INT(t, -1, part_bytes(b, id));
}

static bool counts(void *arg, const uint8_t hash[BLOB_HASH_BYTES])
{
    ++*(int *)arg;
    return true;
}

static int count(const struct blobs *b)
{
    int n = 0;

    blobs_each(b, counts, &n);
    return n;
}

static void the_same_bytes_are_one_blob(struct test *t)
{
    struct blobs b;
    struct arena a;
    uint8_t      one[BLOB_HASH_BYTES], two[BLOB_HASH_BYTES], other[BLOB_HASH_BYTES], id[SLOT_ID_BYTES] = { 1 };
    char         text[8];
    int          fd;

    arena_init(&a);
    if (!there(t, &b, &a))
        return;
    put(t, &b, 1, STR("hello"), one);
    put(t, &b, 2, STR("hello"), two);
    put(t, &b, 3, STR("other"), other);
    CHECK(t, memcmp(one, two, sizeof one) == 0 && count(&b) == 2);
    CHECK_OK(t, part_place(&b, id, one));           /* again, as after a crash: the part is gone, the blob there */
    CHECK_INT(t, ERR_NOT_FOUND, part_place(&b, id, (uint8_t[BLOB_HASH_BYTES]){ 9 }));
    fd = blob_read(&b, one);
    CHECK(t, fd >= 0 && read(fd, text, sizeof text) == 5 && memcmp(text, "hello", 5) == 0);
    close(fd);
    CHECK_OK(t, blob_remove(&b, one));
    CHECK_OK(t, blob_remove(&b, one));
    CHECK(t, blob_read(&b, one) < 0 && count(&b) == 1);
    blobs_close(&b);
    arena_done(&a);
}

static void a_part_goes_on_or_starts_anew(struct test *t)
{
    struct blobs b;
    struct arena a;
    uint8_t      id[SLOT_ID_BYTES] = { 7 };
    int          fd;

    arena_init(&a);
    if (!there(t, &b, &a))
        return;
    CHECK_INT(t, ERR_NOT_FOUND, part_open(&b, id, false, 5, &fd));
    CHECK_OK(t, part_open(&b, id, true, 5, &fd));
    CHECK_INT(t, 3, write(fd, "abc", 3));
    close(fd);
    CHECK_OK(t, part_open(&b, id, false, 5, &fd));
    CHECK_INT(t, 3, part_bytes(&b, id));            /* the room that is reserved does not count */
    close(fd);
    CHECK_OK(t, part_open(&b, id, true, 5, &fd));
    CHECK_INT(t, 0, part_bytes(&b, id));
    close(fd);
    part_remove(&b, id);
    CHECK_INT(t, -1, part_bytes(&b, id));
    blobs_close(&b);
    arena_done(&a);
}

static void parts_of_another_boot_are_thrown_away(struct test *t)
{
    struct blobs b;
    struct arena a;
    char         path[160];
    struct stat  st;

    arena_init(&a);
    if (!there(t, &b, &a))
        return;
    blobs_close(&b);
    snprintf(path, sizeof path, "%s/files/parts-another-boot", test_dir(t));
    CHECK_INT(t, 0, mkdir(path, 0700));
    there(t, &b, &a);
    CHECK(t, stat(path, &st) != 0);
    blobs_close(&b);
    arena_done(&a);
}

static void copies_have_the_same_blobs(struct test *t)
{
    struct blobs b, copy;
    struct arena a;
    struct str   why;
    uint8_t      hash[BLOB_HASH_BYTES];
    char         path[128];

    arena_init(&a);
    if (!there(t, &b, &a))
        return;
    put(t, &b, 1, STR("hello"), hash);
    snprintf(path, sizeof path, "%s/copy", test_dir(t));
    CHECK_INT(t, ERR_NOT_FOUND, blobs_open_copy(&copy, path, false, &a, &why));
    CHECK_OK(t, blobs_open_copy(&copy, path, true, &a, &why));
    CHECK_OK(t, blob_copy(&b, &copy, hash));
    CHECK_OK(t, blob_copy(&b, &copy, hash));
    CHECK_INT(t, ERR_NOT_FOUND, blob_copy(&b, &copy, (uint8_t[BLOB_HASH_BYTES]){ 1 }));
    CHECK_OK(t, blobs_sync(&copy));
    CHECK(t, blob_is_there(&copy, hash) && count(&copy) == 1);
    blobs_close(&copy);
    blobs_close(&b);
    arena_done(&a);
}

/* ---- the index ---- */

struct kept {
    struct db_conn *c;
    struct db      *db;
    struct loop    *loop;
    struct arena    a;
};

static bool catalog_start(struct test *t, struct kept *k)
{
    char               path[128];
    struct db_settings s = { .path = path };
    struct str         why = STR_NULL;

    snprintf(path, sizeof path, "%s/web.db", test_dir(t));
    *k = (struct kept){ .loop = loop_new() };
    arena_init(&k->a);
    return CHECK_OK(t, db_open(k->loop, &s, catalog_migrations, &k->db, &k->a, &why))
           && CHECK_OK(t, db_conn_open(&s, true, &k->c, &k->a, &why));
}

static void catalog_end(struct kept *k)
{
    db_conn_close(&k->c);
    db_close(&k->db);
    loop_free(&k->loop);
    arena_done(&k->a);
}

static struct file_row row(uint8_t n, const char *owner, int64_t bytes, int64_t made_us, uint8_t hash)
{
    return (struct file_row){ .id = { n }, .owner = str_of(owner), .name = STR("a.png"), .type = STR("image/png"), .bytes = bytes,
                              .made_us = made_us, .shown = true, .hash = { hash } };
}

static void a_row_becomes_whole_once(struct test *t)
{
    struct kept     k;
    struct file_row r = row(1, "alice", 5, 100, 7), other = row(1, "alice", 5, 100, 8), got;
    bool            fresh;

    if (!catalog_start(t, &k))
        return;
    CHECK_INT(t, ERR_NOT_FOUND, catalog_complete(k.c, &r, &fresh));
    CHECK_OK(t, catalog_begin(k.c, &r));
    CHECK_OK(t, catalog_begin(k.c, &r));
    CHECK_OK(t, catalog_find(k.c, &k.a, r.id, &got));
    CHECK(t, !got.whole && got.bytes == 5);
    CHECK(t, !catalog_names(k.c, r.hash));
    CHECK_OK(t, catalog_complete(k.c, &r, &fresh));
    CHECK(t, fresh && catalog_names(k.c, r.hash));
    CHECK_OK(t, catalog_complete(k.c, &r, &fresh));
    CHECK(t, !fresh);
    CHECK_INT(t, ERR_EXISTS, catalog_complete(k.c, &other, &fresh));
    CHECK_INT(t, ERR_EXISTS, catalog_put(k.c, &other, &fresh));
    CHECK_OK(t, catalog_put(k.c, &r, &fresh));
    CHECK_OK(t, catalog_find(k.c, &k.a, r.id, &got));
    CHECK(t, got.whole && got.shown && got.hash[0] == 7 && str_is(got.owner, "alice") && str_is(got.name, "a.png"));
    CHECK_OK(t, catalog_forget_part(k.c, r.id));
    CHECK_OK(t, catalog_find(k.c, &k.a, r.id, &got));     /* a whole one stays */
    catalog_end(&k);
}

static void what_goes_dooms_its_blob(struct test *t)
{
    struct kept     k;
    struct file_row r[4] = { row(1, "alice", 5, 100, 7), row(2, "bob", 5, 200, 7), row(3, "alice", 9, 300, 8), row(4, "bob", 2, 50, 9) };
    uint8_t         doomed[8][BLOB_HASH_BYTES];
    int64_t         gone, all, since, oldest, files, bytes, blob_bytes, owed;
    bool            fresh;
    int             n;

    if (!catalog_start(t, &k))
        return;
    for (int i = 0; i < 3; i++)
        CHECK_OK(t, catalog_put(k.c, &r[i], &fresh));
    CHECK_OK(t, catalog_begin(k.c, &r[3]));
    CHECK_OK(t, catalog_used(k.c, STR("alice"), 200, 0, &all, &since, &oldest));
    CHECK(t, all == 14 && since == 9 && oldest == 300);
    CHECK_OK(t, catalog_used(k.c, STR("alice"), 200, 6, &all, &since, &oldest));
    CHECK(t, all == 15 && since == 9 && oldest == 300);
    CHECK_OK(t, catalog_total(k.c, &files, &bytes, &blob_bytes, &owed));
    CHECK(t, files == 3 && bytes == 19 && blob_bytes == 14 && owed == 0);
    CHECK_OK(t, catalog_expire(k.c, 60, 0, 10, &gone));       /* bob's unfinished one */
    CHECK_INT(t, 1, gone);
    CHECK_OK(t, catalog_expire(k.c, 60, 150, 10, &gone));     /* alice's first */
    CHECK_INT(t, 1, gone);
    CHECK_OK(t, catalog_doomed(k.c, doomed, 8, &n));
    CHECK(t, n == 1 && doomed[0][0] == 7 && catalog_names(k.c, doomed[0]));   /* bob still has it */
    CHECK_OK(t, catalog_spare(k.c, doomed[0]));
    CHECK_OK(t, catalog_forget_owner(k.c, STR("bob"), 100));
    CHECK_OK(t, catalog_doomed(k.c, doomed, 8, &n));
    CHECK_INT(t, 0, n);                                     /* it is younger */
    CHECK_OK(t, catalog_forget_owner(k.c, STR("bob"), 1000));
    CHECK_OK(t, catalog_doomed(k.c, doomed, 8, &n));
    CHECK(t, n == 1 && !catalog_names(k.c, doomed[0]));
    catalog_end(&k);
}

static void what_is_owed_is_paid(struct test *t)
{
    struct kept     k;
    struct file_row r = row(1, "alice", 5, 100, 7);
    uint8_t         id[SLOT_ID_BYTES];
    struct str      owner;
    int64_t         before_us;
    bool            fresh;

    if (!catalog_start(t, &k))
        return;
    CHECK_OK(t, catalog_put(k.c, &r, &fresh));
    CHECK(t, !catalog_knows_peer(k.c, STR("10.0.0.2:5280")));
    CHECK_OK(t, catalog_owe_all(k.c, STR("10.0.0.2:5280")));
    CHECK_OK(t, catalog_peer(k.c, STR("10.0.0.2:5280")));
    CHECK(t, catalog_knows_peer(k.c, STR("10.0.0.2:5280")));
    CHECK_OK(t, catalog_owed(k.c, STR("10.0.0.2:5280"), id));
    CHECK_INT(t, 1, id[0]);
    CHECK_OK(t, catalog_paid(k.c, STR("10.0.0.2:5280"), id));
    CHECK_INT(t, ERR_NOT_FOUND, catalog_owed(k.c, STR("10.0.0.2:5280"), id));
    id[0] = 9;
    CHECK_OK(t, catalog_note_forgotten(k.c, id, STR("alice"), 77));
    CHECK_OK(t, catalog_owe(k.c, STR("10.0.0.2:5280"), id));
    CHECK_OK(t, catalog_forgotten(k.c, &k.a, id, &owner, &before_us));
    CHECK(t, str_is(owner, "alice") && before_us == 77);
    catalog_end(&k);
}

/* ---- show.h ---- */

static void only_what_is_what_it_says_is_shown(struct test *t)
{
    static const struct { const char *type; struct str first; bool shown; const char *sent; } cases[] = {
        { "image/png", { "\x89PNG\r\n\x1a\n", 8 }, true, "image/png" },
        { "image/png", { "<html>", 6 }, false, "application/octet-stream" },
        { "image/webp", { "RIFF\0\0\0\0WEBP", 12 }, true, "image/webp" },
        { "image/webp", { "RIFF", 4 }, false, "application/octet-stream" },
        { "video/mp4", { "\0\0\0\x18" "ftypmp42", 12 }, true, "video/mp4" },
        { "text/plain", { "", 0 }, true, "text/plain; charset=utf-8" },
        { "text/html", { "<html>", 6 }, false, "application/octet-stream" },
        { "image/svg+xml", { "<svg", 4 }, false, "application/octet-stream" },
        { "image/tiff", { "II*", 3 }, false, "image/tiff" },
        { "application/pdf", { "%PDF", 4 }, false, "application/pdf" },
        { "application/vnd.oasis.opendocument.text-flat-xml", { "<", 1 }, false, "application/vnd.oasis.opendocument.text-flat-xml" },
        { "application/vnd.mozilla.xul+xml", { "<", 1 }, false, "application/octet-stream" },
        { "text/javascript", { "x", 1 }, false, "application/octet-stream" },
        { "", { "x", 1 }, false, "application/octet-stream" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool shown = show_inline(str_of(cases[i].type), cases[i].first);

        if (!CHECK_INT(t, cases[i].shown, shown) || !CHECK_STR(t, cases[i].sent, show_type(str_of(cases[i].type), shown)))
            printf("    %s\n", cases[i].type);
    }
}

TEST_MAIN(TEST(the_same_bytes_are_one_blob), TEST(a_part_goes_on_or_starts_anew), TEST(parts_of_another_boot_are_thrown_away),
          TEST(copies_have_the_same_blobs), TEST(a_row_becomes_whole_once), TEST(what_goes_dooms_its_blob), TEST(what_is_owed_is_paid),
          TEST(only_what_is_what_it_says_is_shown))
