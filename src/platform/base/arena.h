/* arena.h: many small allocations, dropped at once. A stanza, a request and
 * a transaction each have one. arena_reset keeps one block for the next use.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stddef.h>
#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *block;      /* newest first */
    char               *next;
    char               *end;
    size_t              used_bytes; /* handed out since the last reset */
};

void  arena_init(struct arena *a);              /* no memory is taken until the first use */
void  arena_done(struct arena *a);
void  arena_reset(struct arena *a);             /* keeps at most one 64 KiB block */
void *arena_alloc(struct arena *a, size_t bytes);           /* aligned to 16, not zeroed */
void *arena_zalloc(struct arena *a, size_t bytes);
struct str arena_str(struct arena *a, struct str s);        /* a copy, NUL-terminated behind its length */
struct str arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define ARENA_NEW(a, type) ((type *)arena_zalloc((a), sizeof(type)))
