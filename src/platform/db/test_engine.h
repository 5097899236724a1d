/* test_engine.h: the engine of a test. BONGSU_TEST_ENGINE=postgresql runs it on the server that BONGSU_TEST_POSTGRESQL
 * names (tools/with-postgres), or skips it when there is none; else it is SQLite's.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/test.h"
#include "db/db.h"

static inline bool on_server(void)
{
    const char *engine = getenv("BONGSU_TEST_ENGINE");

    return engine && strcmp(engine, "postgresql") == 0;
}

/* A place of its own for each test, the same for all calls of one. */
static inline const char *test_schema(struct test *t)
{
    static char schema[64];
    static const struct test *of;
    static const char *name;
    static int number;

    if (of != t || name != t->name)
        snprintf(schema, sizeof schema, "test_%d_%d", (int)getpid(), ++number);
    of = t;
    name = t->name;
    return schema;
}

static inline struct db_settings settings_at(struct test *t, const char *path)
{
    struct db_settings s = { .path = path };

    if (on_server()) {
        s.server = getenv("BONGSU_TEST_POSTGRESQL");
        s.schema = test_schema(t);
    }
    return s;
}

static inline void skip_without_server(struct test *t)
{
    test_skip(t, "no server: BONGSU_TEST_POSTGRESQL is not set (tools/with-postgres)");
}

static inline int db_test_run(const struct test_case *cases, int count, int argc, char **argv)
{
    struct test_case *all = calloc((size_t)count, sizeof *all);
    int status;

    for (int i = 0; i < count; i++) {
        all[i] = cases[i];
        if (on_server() && !getenv("BONGSU_TEST_POSTGRESQL"))
            all[i].run = skip_without_server;
    }
    status = test_run(all, count, argc, argv);
    free(all);
    return status;
}

#define DB_TEST_MAIN(...) \
    int main(int argc, char **argv) { \
        static const struct test_case cases_[] = { __VA_ARGS__ }; \
        return db_test_run(cases_, (int)(sizeof cases_ / sizeof cases_[0]), argc, argv); \
    }
