/* mem.h: memory or the end. Running out ends the process (its keeper
 * restarts it), so callers never test for NULL.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stddef.h>

void *mem_new(size_t bytes);                    /* zeroed */
void *mem_resize(void *p, size_t bytes);        /* realloc */
void *mem_copy(const void *p, size_t bytes);
void  mem_wipe(void *p, size_t bytes);          /* for secrets; never optimised away */
#define NEW(type) ((type *)mem_new(sizeof(type)))
