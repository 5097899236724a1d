/* db.c: opens and closes a database: its writer, its readers, the loop's own connection.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "db/inner.h"

enum { READ_WORKERS_DEFAULT = 2, READ_WORKERS_MAX = 64, PATH_BYTES_MAX = 4096 };

bool settings_name_server(const struct db_settings *s)
{
    return s->server && *s->server;
}

void thread_start(pthread_t *out, const char *name, void *(*run)(void *), void *arg)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(out, NULL, run, arg) != 0)
        abort();                       /* as with memory: the keeper starts us anew */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_setname_np(*out, name);
}

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

    e = sqlite_open(path, s, true, &o->writer, a, why);
    if (e)
        return e;
    e = db_migrate(o->writer, migrations, a, why);
    if (e)
        return e;
    e = sqlite_open(path, s, false, &o->loop, a, why);
    for (int i = 0; i < o->reader_count && !e; i++) {
        e = sqlite_open(path, s, false, &o->readers[i], a, why);
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

static enum err open_sqlite(const struct db_settings *s, const struct db_migration *migrations, struct opened *o,
                            struct arena *a, struct str *why)
{
    struct db_settings settings = *s;
    char dir[PATH_BYTES_MAX], path[PATH_BYTES_MAX + 8];
    bool lasting = !s->path[0];
    enum err e;

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
    e = open_all(path, &settings, migrations, lasting, o, a, why);
    if (lasting)
        private_unname(dir);
    return e;
}

static enum err open_server(const struct db_settings *s, const struct db_migration *migrations, struct db_shared *shared,
                            struct opened *o, struct arena *a, struct str *why)
{
    enum err e;

    e = pg_open(s, PG_WRITER, shared, &o->writer, a, why);
    if (!e)
        e = db_migrate(o->writer, migrations, a, why);
    if (!e) {
        e = pg_writer_begin(o->writer);
        if (e)
            *why = arena_printf(a, "could not read database \"%s\": %s", o->writer->path, db_conn_error(o->writer));
    }
    if (!e)
        e = pg_open(s, PG_LOOP, shared, &o->loop, a, why);
    for (int i = 0; i < o->reader_count && !e; i++)
        e = pg_open(s, PG_READER, shared, &o->readers[i], a, why);
    return e;
}

enum err db_open(struct loop *l, const struct db_settings *s, const struct db_migration *migrations, struct db **out,
                 struct arena *a, struct str *why)
{
    struct opened o = { .reader_count = reader_count(s) };
    struct db *d = NEW(struct db);
    enum err e;

    *out = NULL;
    *why = STR_NULL;
    d->loop = l;
    d->is_shared = settings_name_server(s);
    e = d->is_shared ? open_server(s, migrations, &d->shared, &o, a, why) : open_sqlite(s, migrations, &o, a, why);
    if (e) {
        close_all(&o);
        free(d);
        return e;
    }
    d->loop_conn = o.loop;
    d->writer = writer_start(d, o.writer);
    d->readers = readers_start(d, o.readers, o.reader_count);
    *out = d;
    return OK;
}

enum err db_conn_open(const struct db_settings *s, bool write, struct db_conn **out, struct arena *a, struct str *why)
{
    if (settings_name_server(s))
        return pg_open(s, write ? PG_TOOL : PG_LOOP, NULL, out, a, why);
    return sqlite_open(s->path[0] ? s->path : ":memory:", s, write, out, a, why);
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
    return d->is_shared;
}

int64_t db_position(const struct db *d)
{
    int64_t position = atomic_load(&d->shared.position), told = atomic_load(&d->shared.need);

    return told > position ? told : position;
}

void db_position_need(struct db *d, int64_t position)
{
    if (d->is_shared && position > atomic_load(&d->shared.need))
        atomic_store(&d->shared.need, position);
}
