/* arena.c: see arena.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/arena.h"
#include "base/mem.h"
#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_BYTES = 64 * 1024 };

struct arena_block {
    struct arena_block *older;
    size_t              bytes;
    char                data[] __attribute__((aligned(16)));
};

void arena_init(struct arena *a) { *a = (struct arena){ 0 }; }

static void drop_down_to(struct arena *a, struct arena_block *keep)
{
    while (a->block && a->block != keep) {
        struct arena_block *b = a->block;

        a->block = b->older;
        free(b);
    }
}

void arena_done(struct arena *a)
{
    drop_down_to(a, NULL);
    *a = (struct arena){ 0 };
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = a->block;

    a->used_bytes = 0;
    if (!keep)
        return;
    while (keep->older)
        keep = keep->older;
    drop_down_to(a, keep->bytes <= BLOCK_BYTES ? keep : NULL);
    a->next = a->block ? a->block->data : NULL;
    a->end = a->block ? a->block->data + a->block->bytes : NULL;
}

static void block_add(struct arena *a, size_t bytes)
{
    size_t              room = bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES;
    struct arena_block *b = mem_resize(NULL, sizeof *b + room);

    b->older = a->block;
    b->bytes = room;
    a->block = b;
    a->next = b->data;
    a->end = b->data + room;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t rounded = (bytes + 15) & ~(size_t)15;
    void  *p;

    assert(rounded >= bytes);
    if (rounded == 0)
        rounded = 16;
    if ((size_t)(a->end - a->next) < rounded)
        block_add(a, rounded);
    p = a->next;
    a->next += rounded;
    a->used_bytes += rounded;
    return p;
}

void *arena_zalloc(struct arena *a, size_t bytes) { return memset(arena_alloc(a, bytes), 0, bytes); }

struct str arena_str(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.len + 1);

    if (s.len)
        memcpy(p, s.p, s.len);
    p[s.len] = '\0';
    return str_make(p, s.len);
}

struct str arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list    args;
    struct str copy;
    char      *text;
    int        n;

    va_start(args, fmt);
    n = vasprintf(&text, fmt, args);
    va_end(args);
    if (n < 0)
        abort();
    copy = arena_str(a, str_make(text, (size_t)n));
    free(text);
    return copy;
}
