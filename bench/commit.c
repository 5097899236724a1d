/* commit.c: bongsu-commit: what a row costs through the commit batch, on SQLite in a directory and on PostgreSQL.
 *
 *   tools/with-postgres build/bench/bongsu-commit [DIRECTORY]       BONGSU_TEST_FSYNC=on for an honest disk
 *
 * Each round adds a batch of small inserts and waits until all are told. CPU is this process's and, where the server's
 * sessions can be seen in /proc, theirs.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "base/log.h"
#include "db/commit.h"

enum { SECONDS = 2, BATCH_MAX = 1000 };

static const struct db_migration migrations[] = {
    { 1, "bench", "CREATE TABLE bench(id INTEGER PRIMARY KEY, owner INTEGER NOT NULL, text TEXT NOT NULL);" },
    { 0 },
};
static struct db_sql sql_put = { "INSERT INTO bench(id, owner, text) VALUES (?1, ?2, ?3)" };
static struct db_sql sql_pids = { "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()" };

struct row {
    struct commit_op op;
    int64_t          id;
};

static int told, failed;

static enum err row_apply(struct db_conn *c, struct commit_op *op)
{
    static const char text[] =
        "a message of some two hundred bytes, as people write them when they have something to say to each other and not "
        "much time to say it in, which is most of the day, and the rest of the evening too";

    return db_run(c, &sql_put, "iis", LIST_ITEM(op, struct row, op)->id, (int64_t)7, STR(text));
}

static void row_done(struct commit_op *op, enum err e)
{
    told++;
    failed += e != OK;
}

static double now_s(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double own_cpu_s(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
}

static double process_cpu_s(int64_t pid)
{
    char path[64], line[1024];
    unsigned long user = 0, kernel = 0;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    f = fopen(path, "re");
    if (f && fgets(line, sizeof line, f) && strrchr(line, ')'))
        sscanf(strrchr(line, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel);
    if (f)
        fclose(f);
    return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

static double server_cpu_s(struct db *d)
{
    struct db_stmt *s;
    double sum = 0;

    if (!db_is_shared(d))
        return 0;
    s = db_prepare(db_loop_conn(d), &sql_pids);
    while (db_step(s) == OK)
        sum += process_cpu_s(db_i64(s, 0));
    db_done(s);
    return sum;
}

static void batch_run(struct loop *l, struct db *d, struct row *rows, int batch, int64_t *id)
{
    told = 0;
    for (int i = 0; i < batch; i++) {
        rows[i] = (struct row){ .op = { .apply = row_apply, .done = row_done }, .id = ++*id };
        if (commit_add(d, &rows[i].op))
            exit(1);
    }
    while (told < batch)
        loop_round(l, 100);
}

static void measure(struct loop *l, struct db *d, const char *name, int batch, int64_t *id)
{
    static struct row rows[BATCH_MAX];
    double start_s, cpu_s, server_s, took_s;
    int64_t first;

    batch_run(l, d, rows, batch, id);
    first = *id;
    server_s = server_cpu_s(d);
    cpu_s = own_cpu_s();
    start_s = now_s();
    while (now_s() - start_s < SECONDS)
        batch_run(l, d, rows, batch, id);
    took_s = now_s() - start_s;
    cpu_s = own_cpu_s() - cpu_s;
    server_s = server_cpu_s(d) - server_s;
    printf("%-12s %6d %12.0f %12.3f %14.1f %14.1f\n", name, batch, (double)(*id - first) / took_s,
           took_s * 1000 * batch / (double)(*id - first), cpu_s * 1e6 / (double)(*id - first), server_s * 1e6 / (double)(*id - first));
}

static void run(const char *name, const struct db_settings *s)
{
    static const int batches[] = { 1, 10, 100, 1000 };
    struct loop *l = loop_new();
    struct arena a;
    struct str why;
    struct db *d;
    int64_t id = 0;

    arena_init(&a);
    if (db_open(l, s, migrations, &d, &a, &why) != OK) {
        fprintf(stderr, "bongsu-commit: %.*s\n", STR_ARG(why));
        exit(1);
    }
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++)
        measure(l, d, name, batches[i], &id);
    db_close(&d);
    loop_free(&l);
    arena_done(&a);
}

int main(int argc, char **argv)
{
    char path[4096], schema[64];
    struct db_settings file = { .path = path }, server = { .server = getenv("BONGSU_TEST_POSTGRESQL"), .schema = schema };

    log_setup("bench", LOG_LEVEL_WARN, false);
    snprintf(path, sizeof path, "%s/bongsu-commit-%d.db", argc > 1 ? argv[1] : "/tmp", (int)getpid());
    snprintf(schema, sizeof schema, "bench_%d", (int)getpid());
    printf("%-12s %6s %12s %12s %14s %14s\n", "engine", "batch", "rows/s", "ms/batch", "own us/row", "server us/row");
    run("sqlite", &file);
    unlink(path);
    if (server.server)
        run("postgresql", &server);
    return failed != 0;
}
