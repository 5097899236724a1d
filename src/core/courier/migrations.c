/* migrations.c: courier's database: each file that keeps something names its tables beside its code; here
 * they are joined.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/inner.h"

static const struct db_migration queue_migrations[] = {
    /* In the order of ids for each pair of domains. `name` is the sender's own for it, so that what is handed
       over twice is kept once. */
    { 1, "queue",
      "CREATE TABLE queue("
      "  id         BIGINT NOT NULL PRIMARY KEY,"
      "  name       TEXT   NOT NULL UNIQUE,"
      "  local      TEXT   NOT NULL,"
      "  remote     TEXT   NOT NULL,"
      "  added_us   BIGINT NOT NULL,"
      "  stanza     TEXT   NOT NULL"
      ");"
      "CREATE INDEX queue_pair ON queue(remote, local, id);"
      /* Who sends to a domain: one courier of several over one database, as long as it says so again
        (lease.c). */
      "CREATE TABLE lease("
      "  remote     TEXT   NOT NULL PRIMARY KEY,"
      "  holder     BIGINT NOT NULL,"
      "  until_us   BIGINT NOT NULL"
      ");"
      "CREATE TABLE secret("
      "  name       TEXT   NOT NULL PRIMARY KEY,"
      "  value      BLOB   NOT NULL"
      ");" },
    { 0 },
};

/* NULL-ended. */
static const struct db_migration *const tables[] = { queue_migrations, push_migrations, NULL };

enum { MIGRATIONS_MAX = 64 };

const struct db_migration *courier_migrations(void)
{
    static struct db_migration all[MIGRATIONS_MAX + 1];
    int                        n = 0;

    for (int i = 0; tables[i]; i++)
        for (const struct db_migration *m = tables[i]; m->number && n < MIGRATIONS_MAX; m++)
            all[n++] = *m;
    all[n] = (struct db_migration){ 0 };
    return all;
}
