/* audit.h: what administrators did: who, when, what, about whom, and what became of it.
 *
 *   audit_begin ─durable─▶ the deed ─▶ audit_end ─durable─▶ told
 *
 * The row is there before the deed begins, so none goes unrecorded; one without an outcome was under way when the server
 * ended. No secret and no text of a message is in it. `bongsu audit` prints it; nothing deletes from it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/talk.h"

enum { AUDIT_ABOUT_BYTES_MAX = 3071, AUDIT_PAGE_MAX = 200 };

/* `id`: of the row. */
typedef void audit_fn(struct talk *t, int64_t id, enum err e, void *arg);
/* `what` is a constant word: "delete-user". ERR_LIMIT: nothing was queued, `fn` is not called. */
enum err audit_begin(struct talk *t, struct str who, const char *what, struct str about, audit_fn *fn, void *arg);
/* `outcome`: "done", or why not, in a few words. `fn` may be NULL. */
void audit_end(struct talk *t, int64_t id, struct str outcome, audit_fn *fn, void *arg);

struct audit_row {
    int64_t    id, at_us;
    struct str who, what, about, outcome;       /* outcome p NULL: not known */
};
/* On any connection: up to `max` rows before `before_id` (0: from the newest), newest first; in `a`. */
enum err audit_read(struct db_conn *c, struct arena *a, int64_t before_id, int max, struct audit_row **rows, int *count);
