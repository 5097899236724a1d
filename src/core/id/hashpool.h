/* hashpool.h: a few threads for password hashing, so that the loop never
 * waits for PBKDF2. Bounded: a full queue refuses at once.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/err.h"
#include "base/list.h"
#include "net/loop.h"

enum { HASHPOOL_QUEUE_MAX = 256, HASHPOOL_THREADS_MAX = 16 };

struct hashpool;

struct hash_job {                       /* lives inside your struct until `done` */
    void      (*work)(struct hash_job *self);       /* on a worker thread; touches only *self */
    void      (*done)(struct hash_job *self, enum err e);   /* in the loop; ERR_CLOSED: the pool ended first */
    struct list link;
};

enum err hashpool_new(struct loop *l, int threads, struct hashpool **out);
/* Waits for the jobs that run; every job's `done` has been called when it returns. */
void     hashpool_free(struct hashpool **p);
/* ERR_LIMIT: HASHPOOL_QUEUE_MAX jobs are waiting; `done` will not be called. */
enum err hashpool_add(struct hashpool *p, struct hash_job *j);
