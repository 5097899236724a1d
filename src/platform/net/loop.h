/* loop.h: one epoll loop per process thread: descriptors, timers, work handed
 * in by other threads, and work for the end of the round.
 *
 *   a round: wait → descriptors → posted work → timers → end-of-round work
 *
 * End-of-round work is where output is flushed and the commit batch leaves,
 * so everything that arrived together shares one write and one commit.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/list.h"
#include "base/err.h"

struct loop;

struct loop *loop_new(void);
void         loop_free(struct loop **l);
void         loop_run(struct loop *l);        /* until loop_stop */
void         loop_stop(struct loop *l);       /* from any thread or a signal handler */
void         loop_round(struct loop *l, int wait_ms_max); /* one round, never from inside a callback; tests and `one` */
int64_t      loop_now_ms(const struct loop *l);           /* monotonic, taken once per round */

/* ---- descriptors ---- */
enum { LOOP_READ = 1, LOOP_WRITE = 2,
       LOOP_ONE_WAKES = 4 };                   /* with loop_fd_add: of the processes that wait for it, one wakes; never loop_fd_set it */
struct loop_fd {                               /* lives inside your struct; 16 bytes */
    int      fd;
    uint32_t events;
    void   (*ready)(struct loop_fd *self, unsigned events); /* LOOP_READ on hang-up and errors too: read to learn which */
};
enum err loop_fd_add(struct loop *l, struct loop_fd *f, unsigned events);
void     loop_fd_set(struct loop *l, struct loop_fd *f, unsigned events);
/* After this returns, `ready` is not called again, not even for events of this round. */
void     loop_fd_remove(struct loop *l, struct loop_fd *f);

/* ---- timers: a wheel, O(1), resolution 16 ms ---- */
struct timer {                                 /* zeroed before first use */
    struct list link;
    int64_t     due_ms;
    void      (*fire)(struct timer *self);
};
void timer_start(struct loop *l, struct timer *t, int64_t in_ms, void (*fire)(struct timer *)); /* restarts a running one */
void timer_stop(struct loop *l, struct timer *t);
static inline bool timer_running(const struct timer *t) { return t->link.next && t->link.next != &t->link; }

/* ---- end of this round; each call once, in order. What this work queues runs in the same round too ---- */
struct loop_task {                             /* lives inside your struct; zeroed before first use */
    struct list link;
    void      (*run)(struct loop_task *self);
};
void loop_at_end(struct loop *l, struct loop_task *t);   /* does nothing if it is queued already */
void loop_task_cancel(struct loop *l, struct loop_task *t);
/* free(p) after this round: for an object with an event that may still be pending. */
void loop_free_later(struct loop *l, void *p);

/* ---- from other threads ---- */
struct loop_post {                             /* lives inside your struct */
    struct loop_post *next;
    void            (*run)(struct loop_post *self);
};
void loop_post(struct loop *l, struct loop_post *p);      /* thread-safe; wakes the loop */
void loop_post_cancel(struct loop *l, struct loop_post *p); /* in the loop: it does not run any more; nothing if it ran, or was never posted */
/* Calls `fn` in the loop when signal `signum` arrives (signalfd). */
enum err loop_signal(struct loop *l, int signum, void (*fn)(void *arg, int signum), void *arg);
