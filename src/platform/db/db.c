/* db.c: opens and closes a database: its writer, its readers, the loop's own connection.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "db/inner.h"

enum { READ_WORKERS_DEFAULT = 2, READ_WORKERS_MAX = 64, PATH_BYTES_MAX = 4096 };

/* A private database is a real one on a RAM disk whose names are removed once every
 * connection is open, so it behaves like any other and leaves nothing behind. */
static enum err private_dir(char *out, size_t size, struct arena *a, struct str *why)
{
    static const char *const places[] = { "/dev/shm", NULL, "/tmp" };

    for (int i = 0; i < 3; i++) {
        const char *place = places[i] ? places[i] : getenv("TMPDIR");

        if (place && snprintf(out, size, "%s/bongsu-db-XXXXXX", place) < (int)size && mkdtemp(out))
            return OK;
    }
    *why = arena_printf(a, "could not make a directory for a private database: %s", strerror(errno));
    return ERR_IO;
}

static void private_unname(const char *dir)
{
    static const char *const names[] = { "/db", "/db-wal", "/db-shm", "" };
    char path[PATH_BYTES_MAX];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s%s", dir, names[i]);
        if (names[i][0])
            unlink(path);
        else
            rmdir(path);
    }
}

/* A connection opens its log at the first read: a private one must do so while names exist. */
static enum err touch(struct db_conn *c)
{
    static struct db_sql sql = { .text = "SELECT count(*) FROM db_migration" };

    return db_run(c, &sql, "");
}

struct opened {
    struct db_conn *writer, *loop, *readers[READ_WORKERS_MAX];
    int             reader_count;
};

static enum err open_all(const char *path, const struct db_settings *s, const struct db_migration *migrations,
                         bool lasting, struct opened *o, struct arena *a, struct str *why)
{
    enum err e;

    e = conn_open(path, s, true, &o->writer, a, why);
    if (e)
        return e;
    e = db_migrate(o->writer, migrations, a, why);
    if (e)
        return e;
    e = conn_open(path, s, false, &o->loop, a, why);
    for (int i = 0; i < o->reader_count && !e; i++) {
        e = conn_open(path, s, false, &o->readers[i], a, why);
        if (!e)
            e = touch(o->readers[i]);
    }
    if (!e)
        e = touch(o->loop);
    if (e && !why->p)
        *why = arena_printf(a, "could not read database \"%s\"", path);
    o->writer->lasting = lasting;
    if (o->loop)
        o->loop->lasting = lasting;
    for (int i = 0; i < o->reader_count && o->readers[i]; i++)
        o->readers[i]->lasting = lasting;
    return e;
}

static void close_all(struct opened *o)
{
    for (int i = 0; i < o->reader_count; i++)
        db_conn_close(&o->readers[i]);
    db_conn_close(&o->loop);
    db_conn_close(&o->writer);
}

static int reader_count(const struct db_settings *s)
{
    if (s->read_workers <= 0)
        return READ_WORKERS_DEFAULT;
    return s->read_workers < READ_WORKERS_MAX ? s->read_workers : READ_WORKERS_MAX;
}

enum err db_open(struct loop *l, const struct db_settings *s, const struct db_migration *migrations, struct db **out,
                 struct arena *a, struct str *why)
{
    struct opened o = { .reader_count = reader_count(s) };
    struct db_settings settings = *s;
    char dir[PATH_BYTES_MAX], path[PATH_BYTES_MAX + 8];
    bool lasting = !s->path[0];
    enum err e;

    *out = NULL;
    *why = STR_NULL;
    if (lasting) {
        e = private_dir(dir, sizeof dir, a, why);
        if (e)
            return e;
        snprintf(path, sizeof path, "%s/db", dir);
        settings.sync_off = true;
    } else if (!str_copy(str_of(s->path), path, sizeof path)) {
        *why = STR("could not open the database: its path is too long");
        return ERR_INVALID;
    }
    e = open_all(path, &settings, migrations, lasting, &o, a, why);
    if (lasting)
        private_unname(dir);
    if (e) {
        close_all(&o);
        return e;
    }
    *out = NEW(struct db);
    (*out)->loop = l;
    (*out)->loop_conn = o.loop;
    (*out)->writer = writer_start(*out, o.writer);
    (*out)->readers = readers_start(*out, o.readers, o.reader_count);
    return OK;
}

void db_close(struct db **dp)
{
    struct db *d = *dp;

    if (!d)
        return;
    writer_drain(d->writer);
    readers_stop(&d->readers);
    db_conn_close(&d->loop_conn);
    writer_stop(&d->writer);         /* last, so that it checkpoints and removes the log */
    free(d);
    *dp = NULL;
}

struct db_conn *db_loop_conn(struct db *d)
{
    return d->loop_conn;
}

bool db_is_shared(const struct db *d)
{
    return false;
}

int64_t db_position(const struct db *d)
{
    return 0;
}

void db_position_need(struct db *d, int64_t position)
{
}
