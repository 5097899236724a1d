/* mem.c: see mem.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *have(void *p, size_t bytes)
{
    if (p || bytes == 0)
        return p;
    fprintf(stderr, "out of memory: %zu bytes were wanted; the process ends and will be started again\n", bytes);
    abort();
}

void *mem_new(size_t bytes) { return have(calloc(1, bytes ? bytes : 1), bytes); }

void *mem_resize(void *p, size_t bytes) { return have(realloc(p, bytes ? bytes : 1), bytes); }

void *mem_copy(const void *p, size_t bytes)
{
    void *copy = have(malloc(bytes ? bytes : 1), bytes);

    if (bytes)
        memcpy(copy, p, bytes);
    return copy;
}

void mem_wipe(void *p, size_t bytes) { explicit_bzero(p, bytes); }
