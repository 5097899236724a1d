/* test_loop.c: what a round promises: timers by a clock that the test sets, posts from threads,
 * descriptors that come and go, signals, and the end of the round.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/test.h"
#include "net/loop.h"

/* ---- timers ---- */

enum { START_US = 1000000000, TIMERS = 2000, RESOLUTION_MS = 16 };

struct alarm {
    struct timer timer;
    struct loop *loop;
    int64_t      want_ms;
    int          fired, early, late;
    struct alarm *stops;        /* stopped when this one fires */
};

static int64_t last_round_ms;   /* a timer may not wait longer than to the first round in which it is due */

static void ring(struct timer *t)
{
    struct alarm *a = LIST_ITEM(t, struct alarm, timer);

    a->fired++;
    a->early += loop_now_ms(a->loop) < a->want_ms;
    a->late += last_round_ms >= a->want_ms + RESOLUTION_MS;
    if (a->stops)
        timer_stop(a->loop, &a->stops->timer);
}

static void start(struct loop *l, struct alarm *a, int64_t in_ms)
{
    a->loop = l;
    a->want_ms = loop_now_ms(l) + in_ms;
    timer_start(l, &a->timer, in_ms, ring);
}

static void round_at(struct loop *l, int64_t ms)
{
    last_round_ms = loop_now_ms(l);
    clock_set_us(START_US + ms * 1000);
    loop_round(l, 0);
}

/* Distances over all levels of the wheel, and steps of the clock that are small, odd and huge. */
static void timers_are_never_early_nor_forgotten(struct test *t)
{
    static const int64_t steps_ms[] = { 1, 15, 17, 1000, 40, 7 * 60000, 16, 3600000, 64 * 16, 5 };
    struct alarm        *alarms = mem_new(TIMERS * sizeof *alarms);
    struct loop         *l;
    int64_t              now_ms = 0;
    unsigned             seed = 1;

    clock_set_us(START_US);
    l = loop_new();
    for (int i = 0; i < TIMERS; i++)
        start(l, &alarms[i], (int64_t)(((uint64_t)rand_r(&seed) << 8) >> (rand_r(&seed) % 36)));
    for (int i = 0; i < TIMERS; i += 3)
        timer_stop(l, &alarms[i].timer);
    for (int i = 0; i < TIMERS; i += 6)
        start(l, &alarms[i], i);
    for (int i = 0; now_ms < (int64_t)1 << 40; i++) {
        now_ms += steps_ms[i % 10] << (i / 200);
        round_at(l, now_ms);
    }
    for (int i = 0; i < TIMERS; i++) {
        CHECK_INT(t, i % 6 == 3 ? 0 : 1, alarms[i].fired);
        CHECK_INT(t, 0, alarms[i].early + alarms[i].late);
        CHECK(t, !timer_running(&alarms[i].timer));
    }
    loop_free(&l);
    clock_set_us(0);
    free(alarms);
}

static void a_timer_may_stop_its_neighbour(struct test *t)
{
    struct alarm a = { 0 }, b = { 0 };
    struct loop *l;

    clock_set_us(START_US);
    l = loop_new();
    start(l, &a, 100);
    start(l, &b, 100);
    a.stops = &b;
    round_at(l, 200);
    CHECK_INT(t, 1, a.fired);
    CHECK_INT(t, 0, b.fired);
    loop_free(&l);
    clock_set_us(0);
}

struct beat {
    struct timer timer;
    struct loop *loop;
    int          count;
};

static void beat(struct timer *t)
{
    struct beat *b = LIST_ITEM(t, struct beat, timer);

    b->count++;
    timer_start(b->loop, t, 0, beat);
}

static void a_timer_that_starts_itself_does_not_hold_the_round(struct test *t)
{
    struct loop *l = loop_new();
    struct beat  b = { .loop = l };

    timer_start(l, &b.timer, 0, beat);
    while (b.count < 3)
        loop_round(l, -1);
    timer_stop(l, &b.timer);
    loop_free(&l);
    CHECK_INT(t, 3, b.count);
}

/* ---- descriptors ---- */

struct twin {
    struct loop_fd fd;
    struct loop   *loop;
    struct twin   *other;
    int            count;
};

static void removes_the_other(struct loop_fd *self, unsigned events)
{
    struct twin *w = LIST_ITEM(self, struct twin, fd);

    (void)events;
    w->count++;
    loop_fd_remove(w->loop, &w->other->fd);
}

static void a_removed_descriptor_is_silent_in_the_same_round(struct test *t)
{
    struct loop *l = loop_new();
    struct twin  a = { .loop = l, .other = NULL }, b = { .loop = l, .other = &a };
    int          fds[2];

    a.other = &b;
    CHECK_INT(t, 0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
    a.fd = (struct loop_fd){ .fd = fds[0], .ready = removes_the_other };
    b.fd = (struct loop_fd){ .fd = fds[1], .ready = removes_the_other };
    CHECK_OK(t, loop_fd_add(l, &a.fd, LOOP_WRITE));
    CHECK_OK(t, loop_fd_add(l, &b.fd, LOOP_WRITE));
    loop_round(l, 1000);
    CHECK_INT(t, 1, a.count + b.count);
    close(fds[0]);
    close(fds[1]);
    loop_free(&l);
}

/* ---- posts ---- */

enum { THREADS = 4, POSTS = 5000 };

struct note {
    struct loop_post post;
    struct loop     *loop;
    int              thread, number;
};

static int last_of[THREADS], notes_read, out_of_order;

static void note_read(struct loop_post *p)
{
    struct note *n = (struct note *)p;

    out_of_order += n->number != last_of[n->thread] + 1;
    last_of[n->thread] = n->number;
    if (++notes_read == THREADS * POSTS)
        loop_stop(n->loop);
    free(n);
}

struct writer {
    pthread_t    thread;
    struct loop *loop;
    int          index;
};

static void *write_notes(void *arg)
{
    struct writer *w = arg;

    for (int i = 1; i <= POSTS; i++) {
        struct note *n = NEW(struct note);

        n->post.run = note_read;
        n->loop = w->loop;
        n->thread = w->index;
        n->number = i;
        loop_post(w->loop, &n->post);
    }
    return NULL;
}

static void posts_of_a_thread_run_all_and_in_order(struct test *t)
{
    struct loop  *l = loop_new();
    struct writer w[THREADS];

    for (int i = 0; i < THREADS; i++) {
        w[i] = (struct writer){ .loop = l, .index = i };
        pthread_create(&w[i].thread, NULL, write_notes, &w[i]);
    }
    loop_run(l);
    for (int i = 0; i < THREADS; i++)
        pthread_join(w[i].thread, NULL);
    CHECK_INT(t, THREADS * POSTS, notes_read);
    CHECK_INT(t, 0, out_of_order);
    loop_free(&l);
}

/* Cancels its neighbours, one of which is taken for this round and one posted for the next. */
struct canceller {
    struct loop_post  post;
    struct loop      *loop;
    struct canceller *same, *next;
    int               runs;
};

static void cancel_run(struct loop_post *p)
{
    struct canceller *c = (struct canceller *)p;

    c->runs++;
    if (!c->same)
        return;
    loop_post(c->loop, &c->next->post);
    loop_post_cancel(c->loop, &c->same->post);
    loop_post_cancel(c->loop, &c->next->post);
    loop_post_cancel(c->loop, &c->next->post);      /* not there: nothing */
}

static void a_cancelled_post_does_not_run_and_others_do(struct test *t)
{
    struct loop     *l = loop_new();
    struct canceller c[4] = { 0 };

    for (int i = 0; i < 4; i++)
        c[i].post.run = cancel_run;
    c[0].loop = l;
    c[0].same = &c[1];
    c[0].next = &c[2];
    loop_post(l, &c[0].post);
    loop_post(l, &c[1].post);
    loop_post(l, &c[3].post);
    loop_round(l, 0);
    CHECK_INT(t, 1, c[0].runs);
    CHECK_INT(t, 0, c[1].runs);
    CHECK_INT(t, 1, c[3].runs);
    loop_post(l, &c[1].post);       /* the chain has its end again */
    loop_round(l, 0);
    CHECK_INT(t, 1, c[1].runs);
    CHECK_INT(t, 0, c[2].runs);
    loop_free(&l);
}

/* ---- the end of the round ---- */

struct step {
    struct loop_task task;
    struct loop     *loop;
    struct step     *then;
    int              runs;
};

static void step_run(struct loop_task *task)
{
    struct step *s = LIST_ITEM(task, struct step, task);

    s->runs++;
    if (s->then)
        loop_at_end(s->loop, &s->then->task);
}

static void work_of_the_end_runs_once_and_calls_more(struct test *t)
{
    struct loop *l = loop_new();
    struct step  last = { .task.run = step_run, .loop = l }, first = { .task.run = step_run, .loop = l, .then = &last };
    struct step  dropped = { .task.run = step_run, .loop = l };

    loop_at_end(l, &first.task);
    loop_at_end(l, &first.task);
    loop_at_end(l, &dropped.task);
    loop_task_cancel(l, &dropped.task);
    loop_free_later(l, mem_new(1));
    loop_round(l, -1);
    CHECK_INT(t, 1, first.runs);
    CHECK_INT(t, 1, last.runs);
    CHECK_INT(t, 0, dropped.runs);
    last.then = &last;      /* for ever: but the round ends */
    loop_at_end(l, &last.task);
    loop_round(l, -1);
    CHECK(t, last.runs > 1);
    loop_task_cancel(l, &last.task);
    loop_free(&l);
}

/* ---- signals ---- */

static void heard(void *arg, int signum) { *(int *)arg += signum; }

static void a_signal_becomes_a_call(struct test *t)
{
    struct loop *l = loop_new();
    int          sum = 0;

    CHECK_OK(t, loop_signal(l, SIGUSR1, heard, &sum));
    CHECK_OK(t, loop_signal(l, SIGUSR2, heard, &sum));
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR2);
    loop_round(l, 1000);
    CHECK_INT(t, SIGUSR1 + SIGUSR2, sum);
    loop_free(&l);
}

TEST_MAIN(TEST(timers_are_never_early_nor_forgotten), TEST(a_timer_may_stop_its_neighbour),
          TEST(a_timer_that_starts_itself_does_not_hold_the_round),
          TEST(a_removed_descriptor_is_silent_in_the_same_round), TEST(posts_of_a_thread_run_all_and_in_order),
          TEST(a_cancelled_post_does_not_run_and_others_do),
          TEST(work_of_the_end_runs_once_and_calls_more), TEST(a_signal_becomes_a_call))
