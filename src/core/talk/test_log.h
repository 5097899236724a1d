/* test_log.h: a messenger's database for tests of what stands in its log, on either engine.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "db/test_engine.h"
#include "talk/archive.h"
#include "talk/feature.h"

enum { ALICE = 1, BOB = 2, CAROL = 3 };

/* The place of message number `n`. */
static inline int64_t place(int n) { return 1700000000000000 + n * 1000LL; }

static inline struct db_conn *log_open(struct test *t, struct arena *a)
{
    struct loop       *l = loop_new();
    struct db         *made = NULL;
    struct db_conn    *c = NULL;
    struct str         why = STR_NULL, path = arena_printf(a, "%s/talk.db", test_dir(t));
    struct db_settings s = settings_at(t, path.p);

    s.sync_off = true;      /* thousands of small writes; what a sync keeps is others' test */
    if (!CHECK_OK(t, db_open(l, &s, features_migrations(), &made, a, &why)))
        printf("%.*s\n", STR_ARG(why));
    db_close(&made);
    loop_free(&l);
    CHECK_OK(t, db_conn_open(&s, true, &c, a, &why));
    return c;
}
