/* pool.h: a few threads for work that blocks (password hashes, files), so that
 * the loop never waits for it. Bounded: a full queue refuses at once.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/err.h"
#include "base/list.h"
#include "net/loop.h"

enum { POOL_QUEUE_MAX = 256, POOL_THREADS_MAX = 16 };

struct pool;

struct pool_job {                       /* lives inside your struct until `done` */
    void      (*work)(struct pool_job *self);       /* on a worker thread; touches only *self */
    void      (*done)(struct pool_job *self, enum err e);   /* in the loop; ERR_CLOSED: the pool ended first */
    struct list link;
};

enum err pool_new(struct loop *l, int threads, struct pool **out);
/* Waits for the jobs that run; every job's `done` has been called when it returns. */
void     pool_free(struct pool **p);
/* ERR_LIMIT: POOL_QUEUE_MAX jobs are waiting; `done` will not be called. */
enum err pool_add(struct pool *p, struct pool_job *j);
