/* backup.c: a copy of a database in use. One read transaction holds the snapshot, so that
 * writers go on and the copy does not begin anew with each of their commits.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <unistd.h>
#include "db/sqlite_inner.h"

enum { STEP_PAGES = 256, SYNC_EVERY_STEPS = 16 };

static enum err sync_path(const char *path, int flags)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    int failed;

    if (fd < 0)
        return err_from_errno(errno);
    failed = fsync(fd) != 0 ? errno : 0;
    close(fd);
    return failed ? err_from_errno(failed) : OK;
}

static enum err sync_file_and_dir(const char *path)
{
    char *copy = str_dup(str_of(path));
    enum err e;

    e = sync_path(path, 0);
    if (!e)
        e = sync_path(dirname(copy), O_DIRECTORY);
    free(copy);
    return e;
}

/* Syncing in between keeps one huge flush at the end from holding up the writer's own. */
static int copy_pages(struct db_conn *c, sqlite3 *to, const char *to_path)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", sqlite_of(c)->sqlite, "main");
    int code, steps = 0;

    if (!b)
        return sqlite3_errcode(to);
    do {
        code = sqlite3_backup_step(b, STEP_PAGES);
        if (++steps % SYNC_EVERY_STEPS == 0)
            sync_path(to_path, 0);
    } while (code == SQLITE_OK);
    sqlite3_backup_finish(b);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static bool is_whole(sqlite3 *h)
{
    sqlite3_stmt *s = NULL;
    bool whole = false;

    if (sqlite3_prepare_v2(h, "PRAGMA integrity_check(1)", -1, &s, NULL) == SQLITE_OK
        && sqlite3_step(s) == SQLITE_ROW)
        whole = strcmp((const char *)sqlite3_column_text(s, 0), "ok") == 0;
    sqlite3_finalize(s);
    return whole;
}

/* The copy bears the WAL mark of its source; as a plain file it is one file and can be moved. */
static enum err copy_whole(struct db_conn *c, const char *to_path, struct arena *a, struct str *why)
{
    sqlite3 *to = NULL;
    enum err e = OK;
    int code;

    code = sqlite3_open_v2(to_path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(to, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = copy_pages(c, to, to_path);
    if (code == SQLITE_OK)
        code = sqlite3_exec(to, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        *why = arena_printf(a, "could not copy database \"%s\" to \"%s\": %s", c->path, to_path, sqlite3_errstr(code));
        e = (code & 0xff) == SQLITE_FULL ? ERR_FULL : ERR_IO;
    } else if (!is_whole(to)) {
        *why = arena_printf(a, "the copy \"%s\" is not whole", to_path);
        e = ERR_IO;
    }
    sqlite3_close(to);
    return e;
}

enum err sqlite_backup(struct db_conn *c, const char *to_path, struct arena *a, struct str *why)
{
    static struct db_sql sql_touch = { .text = "SELECT count(*) FROM sqlite_schema" };
    bool within = !sqlite3_get_autocommit(sqlite_of(c)->sqlite);   /* a db_read's transaction: its snapshot will do */
    int fd;
    enum err e;

    fd = open(to_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        *why = arena_printf(a, "could not make backup \"%s\": %s", to_path, strerror(errno));
        return err_from_errno(errno);
    }
    close(fd);
    e = within ? OK : conn_begin(c, false);
    if (!e)
        e = db_run(c, &sql_touch, "");     /* takes the snapshot */
    if (e)
        *why = arena_printf(a, "could not read database \"%s\": %s", c->path, db_conn_error(c));
    else
        e = copy_whole(c, to_path, a, why);
    if (!within)
        conn_rollback(c);
    if (!e) {
        e = sync_file_and_dir(to_path);
        if (e)
            *why = arena_printf(a, "could not write backup \"%s\" to the disk: %s", to_path, err_info(e)->sentence);
    }
    if (e)
        unlink(to_path);
    return e;
}
