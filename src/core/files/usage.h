/* usage.h: how much of their room people use, remembered for a minute, so that an upload does not add up all earlier ones. Not for
 * other folders.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "files/inner.h"

enum {
    USAGE_MAX = 8192, USAGE_S_MAX = 60, USAGE_DAY_S = 24 * 3600,
    USAGE_FILE_BYTES_MIN = 4096,    /* a file counts as a block and its row at least, so there is an end to empty ones too */
};

struct usage {
    char   *owner;
    int64_t read_us;
    int64_t all, today;             /* bytes; uploads under way included */
    int64_t oldest_us;              /* of today's; 0: there is none */
};

void     usage_init(struct store *st);
void     usage_clear(struct store *st);         /* something was forgotten; also at the end */
/* Borrowed until the next call. ERR_…: the index cannot be read. */
enum err usage_find(struct store *st, struct str owner, const struct usage **out);
void     usage_add(struct store *st, struct str owner, int64_t bytes);      /* an upload begins */
void     usage_forget(struct store *st, struct str owner);                  /* one failed: add up again */
