/* test_files.c: a folder in memory: names, kinds, tags, bounds.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/test.h"
#include "web/files.h"

static void put(struct test *t, const char *name, const char *text)
{
    char  path[256];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", test_dir(t), name);
    f = fopen(path, "w");
    CHECK(t, f && fputs(text, f) >= 0);
    if (f)
        fclose(f);
}

static void make_dir(struct test *t, const char *name)
{
    char path[256];

    snprintf(path, sizeof path, "%s/%s", test_dir(t), name);
    CHECK_INT(t, 0, mkdir(path, 0700));
}

static void files_are_found_by_path(struct test *t)
{
    struct files       f;
    struct str         why;
    const struct file *file;

    put(t, "index.html", "<p>");
    make_dir(t, "assets");
    put(t, "assets/app.js", "1");
    put(t, ".secret", "x");
    if (CHECK_OK(t, files_read(&f, test_dir(t), &why))) {
        CHECK_INT(t, 2, f.count);
        file = files_find(&f, STR("/assets/app.js"));
        if (CHECK(t, file)) {
            CHECK_STR(t, "1", file->bytes);
            CHECK_STR(t, "text/javascript; charset=utf-8", file->content_type);
            CHECK(t, file->lasting && file->etag[0] == '"' && strlen(file->etag) == 34);
        }
        CHECK(t, files_find(&f, STR("/index.html")) && !files_find(&f, STR("/index.html"))->lasting);
        CHECK(t, !files_find(&f, STR("/.secret")));
        CHECK(t, !files_find(&f, STR("/assets")));
    }
    files_done(&f);
}

/* The order in which a folder is read does not matter. */
static void compressed_files_stand_beside(struct test *t)
{
    struct files       f;
    struct str         why;
    const struct file *file;

    put(t, "a.js.br", "b");
    put(t, "a.js", "aaaa");
    put(t, "a.js.gz", "g");
    put(t, "b.css", "bbbb");
    put(t, "lonely.br", "l");
    if (CHECK_OK(t, files_read(&f, test_dir(t), &why))) {
        file = files_find(&f, STR("/a.js"));
        if (CHECK(t, file && file->br && file->gz)) {
            CHECK_STR(t, "b", file->br->bytes);
            CHECK_STR(t, "g", file->gz->bytes);
            CHECK_STR(t, "text/javascript; charset=utf-8", file->content_type);
        }
        file = files_find(&f, STR("/b.css"));
        CHECK(t, file && !file->br && !file->gz);
        CHECK(t, !files_find(&f, STR("/a.js.br")) && !files_find(&f, STR("/lonely.br")));
    }
    files_done(&f);
}

/* A link in the folder may not show what is outside of it. */
static void links_are_left_out(struct test *t)
{
    struct files f;
    struct str   why;
    char         path[256];

    snprintf(path, sizeof path, "%s/passwd", test_dir(t));
    CHECK_INT(t, 0, symlink("/etc/passwd", path));
    CHECK_OK(t, files_read(&f, test_dir(t), &why));
    CHECK_INT(t, 0, f.count);
    files_done(&f);
}

static void a_missing_folder_is_told(struct test *t)
{
    struct files f;
    struct str   why;

    CHECK_INT(t, ERR_NOT_FOUND, files_read(&f, "/nowhere/at/all", &why));
    CHECK(t, why.len > 0);
    files_done(&f);
}

static void a_huge_file_is_refused(struct test *t)
{
    struct files f;
    struct str   why;
    char         path[256];
    int          fd;

    snprintf(path, sizeof path, "%s/huge", test_dir(t));
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    CHECK(t, fd >= 0 && ftruncate(fd, FILE_BYTES_MAX + 1) == 0);
    close(fd);
    CHECK_INT(t, ERR_LIMIT, files_read(&f, test_dir(t), &why));
    files_done(&f);
}

TEST_MAIN(TEST(files_are_found_by_path), TEST(compressed_files_stand_beside), TEST(links_are_left_out), TEST(a_missing_folder_is_told), TEST(a_huge_file_is_refused))
