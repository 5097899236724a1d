/* usage.c: see usage.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/usage.h"
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"

void usage_init(struct store *st) { strmap_init(&st->usage); }

static void drop(struct usage *u)
{
    if (!u)
        return;
    free(u->owner);
    free(u);
}

void usage_clear(struct store *st)
{
    struct str owner;
    void      *value;

    for (size_t it = 0; strmap_next(&st->usage, &it, &owner, &value);)
        drop(value);
    strmap_done(&st->usage);
    usage_init(st);
}

void usage_forget(struct store *st, struct str owner) { drop(strmap_del(&st->usage, owner)); }

enum err usage_find(struct store *st, struct str owner, const struct usage **out)
{
    struct usage *u = strmap_get(&st->usage, owner), fresh = { .read_us = clock_us() };
    enum err      e;

    if (u && fresh.read_us - u->read_us < (int64_t)USAGE_S_MAX * 1000000) {
        *out = u;
        return OK;
    }
    e = catalog_used(db_loop_conn(st->db), owner, fresh.read_us - (int64_t)USAGE_DAY_S * 1000000, USAGE_FILE_BYTES_MIN, &fresh.all,
                     &fresh.today, &fresh.oldest_us);
    if (e)
        return e;
    usage_forget(st, owner);
    if (st->usage.count >= USAGE_MAX)
        usage_clear(st);
    u = NEW(struct usage);
    *u = fresh;
    u->owner = str_dup(owner);
    strmap_put(&st->usage, str_of(u->owner), u);
    *out = u;
    return OK;
}

void usage_add(struct store *st, struct str owner, int64_t bytes)
{
    struct usage *u = strmap_get(&st->usage, owner);

    if (!u)
        return;
    if (bytes < USAGE_FILE_BYTES_MIN)
        bytes = USAGE_FILE_BYTES_MIN;
    u->all += bytes;
    u->today += bytes;
    u->oldest_us = u->oldest_us ? u->oldest_us : clock_us();
}
