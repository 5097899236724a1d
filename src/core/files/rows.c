/* rows.c: see rows.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/rows.h"

void rows_init(struct store *st)
{
    strmap_init(&st->rows);
    arena_init(&st->rows_arena);
}

void rows_clear(struct store *st)
{
    strmap_done(&st->rows);
    arena_done(&st->rows_arena);
    rows_init(st);
}

static void keep(struct store *st, const struct file_row *row)
{
    struct file_row *kept;

    if (st->rows.count >= ROWS_MAX)
        rows_clear(st);
    kept = arena_alloc(&st->rows_arena, sizeof *kept);
    *kept = *row;
    kept->owner = arena_str(&st->rows_arena, row->owner);
    kept->name = arena_str(&st->rows_arena, row->name);
    kept->type = arena_str(&st->rows_arena, row->type);
    strmap_put(&st->rows, str_make((const char *)kept->id, sizeof kept->id), kept);
}

enum err rows_find(struct store *st, struct arena *a, const uint8_t id[SLOT_ID_BYTES], struct file_row *out)
{
    const struct file_row *kept = strmap_get(&st->rows, str_make((const char *)id, SLOT_ID_BYTES));
    enum err               e = OK;

    if (kept) {
        *out = *kept;
        return OK;
    }
    e = catalog_find(db_loop_conn(st->db), a, id, out);
    if (!e && out->whole)
        keep(st, out);
    return e;
}
