/* loop.c: see loop.h. Timers hang in a hierarchical wheel: seven levels of 64
 * slots, level 0 counting ticks of 16 ms. A timer sits at the level of the highest digit
 * (base 64) in which its tick differs from the wheel's, and moves down when the wheel
 * gets there, so starting, stopping and finding the next one never look at the others.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "net/loop.h"
#include "base/clock.h"
#include "base/mem.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { EVENTS_MAX = 512, SIGNALS_MAX = 8, TASK_PASSES_MAX = 16 };
enum { TICK_MS = 16, LEVELS = 7, LEVEL_BITS = 6, SLOTS = 1 << LEVEL_BITS };

/* Seven digits reach 2^42 ticks, more than two thousand years. */
static const int64_t TICK_MAX = ((int64_t)1 << (LEVELS * LEVEL_BITS)) - 1;

struct signal_watch {
    struct loop_fd fd;
    int            signum;
    void         (*fn)(void *arg, int signum);
    void          *arg;
};

struct loop {
    int                 epoll;
    struct loop_fd      wake;           /* eventfd */
    bool                stop;
    int64_t             now_ms;
    struct epoll_event  events[EVENTS_MAX];
    int                 event_at, event_count;
    struct list         slots[LEVELS][SLOTS];
    uint64_t            used[LEVELS];   /* bit per slot; may stay set when the last timer was stopped */
    int64_t             tick;           /* everything due up to here has fired */
    int64_t             next_tick;      /* nothing happens on the wheel before; may be too early */
    struct list         tasks;
    void              **garbage;
    size_t              garbage_count, garbage_cap;
    pthread_mutex_t     post_lock;
    struct loop_post   *posts, **posts_end;
    struct loop_post   *taken;          /* those that this round runs */
    struct signal_watch signals[SIGNALS_MAX];
    int                 signal_count;
};

/* ---- posted work ---- */

static void woken(struct loop_fd *self, unsigned events)
{
    uint64_t n;

    (void)events;
    if (read(self->fd, &n, sizeof n) < 0)
        return;     /* somebody read it before: the work is taken below all the same */
}

void loop_post(struct loop *l, struct loop_post *p)
{
    uint64_t one = 1;
    bool     first;

    p->next = NULL;
    pthread_mutex_lock(&l->post_lock);
    first = l->posts == NULL;
    *l->posts_end = p;
    l->posts_end = &p->next;
    pthread_mutex_unlock(&l->post_lock);
    if (first && write(l->wake.fd, &one, sizeof one) < 0)
        assert(errno == EAGAIN);
}

/* Where the chain points at `p`, or its end. */
static struct loop_post **post_find(struct loop_post **chain, const struct loop_post *p)
{
    while (*chain && *chain != p)
        chain = &(*chain)->next;
    return chain;
}

void loop_post_cancel(struct loop *l, struct loop_post *p)
{
    struct loop_post **at = post_find(&l->taken, p);

    if (*at) {
        *at = p->next;
        return;
    }
    pthread_mutex_lock(&l->post_lock);
    at = post_find(&l->posts, p);
    if (*at)
        *at = p->next;
    if (l->posts_end == &p->next)
        l->posts_end = at;
    pthread_mutex_unlock(&l->post_lock);
}

static void run_posts(struct loop *l)
{
    pthread_mutex_lock(&l->post_lock);
    *post_find(&l->taken, NULL) = l->posts;
    l->posts = NULL;
    l->posts_end = &l->posts;
    pthread_mutex_unlock(&l->post_lock);
    while (l->taken) {
        struct loop_post *p = l->taken;

        l->taken = p->next;
        p->run(p);
    }
}

/* ---- birth and death ---- */

struct loop *loop_new(void)
{
    struct loop *l = NEW(struct loop);

    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    l->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    l->wake.ready = woken;
    if (l->epoll < 0 || l->wake.fd < 0)
        abort();
    for (int i = 0; i < LEVELS * SLOTS; i++)
        list_init(&l->slots[i / SLOTS][i % SLOTS]);
    list_init(&l->tasks);
    pthread_mutex_init(&l->post_lock, NULL);
    l->posts_end = &l->posts;
    l->now_ms = clock_mono_ms();
    l->tick = l->now_ms / TICK_MS;
    l->next_tick = INT64_MAX;
    loop_fd_add(l, &l->wake, LOOP_READ);
    return l;
}

static void collect(struct loop *l)
{
    for (size_t i = 0; i < l->garbage_count; i++)
        free(l->garbage[i]);
    l->garbage_count = 0;
}

void loop_free(struct loop **lp)
{
    struct loop *l = *lp;

    if (!l)
        return;
    collect(l);
    free(l->garbage);
    for (int i = 0; i < l->signal_count; i++)
        close(l->signals[i].fd.fd);
    close(l->wake.fd);
    close(l->epoll);
    pthread_mutex_destroy(&l->post_lock);
    free(l);
    *lp = NULL;
}

int64_t loop_now_ms(const struct loop *l) { return l->now_ms; }

/* ---- descriptors ---- */

static uint32_t epoll_bits(unsigned events)
{
    if (events & LOOP_ONE_WAKES)
        return EPOLLIN | EPOLLEXCLUSIVE;        /* nothing else goes with it (epoll_ctl(2)) */
    return (events & LOOP_READ ? EPOLLIN | EPOLLRDHUP : 0u) | (events & LOOP_WRITE ? (uint32_t)EPOLLOUT : 0u);
}

enum err loop_fd_add(struct loop *l, struct loop_fd *f, unsigned events)
{
    struct epoll_event ev = { .events = epoll_bits(events), .data.ptr = f };

    f->events = events;
    return epoll_ctl(l->epoll, EPOLL_CTL_ADD, f->fd, &ev) == 0 ? OK : err_from_errno(errno);
}

void loop_fd_set(struct loop *l, struct loop_fd *f, unsigned events)
{
    struct epoll_event ev = { .events = epoll_bits(events), .data.ptr = f };

    if (f->events == events)
        return;
    f->events = events;
    epoll_ctl(l->epoll, EPOLL_CTL_MOD, f->fd, &ev);
}

void loop_fd_remove(struct loop *l, struct loop_fd *f)
{
    epoll_ctl(l->epoll, EPOLL_CTL_DEL, f->fd, NULL);
    for (int i = l->event_at; i < l->event_count; i++)
        if (l->events[i].data.ptr == f)
            l->events[i].data.ptr = NULL;
}

static void run_events(struct loop *l)
{
    for (l->event_at = 0; l->event_at < l->event_count;) {
        struct epoll_event *ev = &l->events[l->event_at++];
        struct loop_fd     *f = ev->data.ptr;
        unsigned            bits = 0;

        if (!f)
            continue;
        if (ev->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            bits |= LOOP_READ;
        if (ev->events & EPOLLOUT)
            bits |= LOOP_WRITE;
        f->ready(f, bits);
    }
    l->event_count = l->event_at = 0;
}

/* ---- timers ---- */

static int64_t tick_of(const struct timer *t)   /* rounded up: a timer is never early */
{
    int64_t tick = (t->due_ms + TICK_MS - 1) / TICK_MS;

    return tick < TICK_MAX ? tick : TICK_MAX;
}

/* Hangs `t`, due after the wheel's tick, where it belongs. */
static void hang(struct loop *l, struct timer *t)
{
    int64_t tick = tick_of(t);
    int     level = (63 - __builtin_clzll((uint64_t)(tick ^ l->tick))) / LEVEL_BITS;
    int     slot = (int)((tick >> (level * LEVEL_BITS)) % SLOTS);

    list_append(&l->slots[level][slot], &t->link);
    l->used[level] |= (uint64_t)1 << slot;
}

void timer_start(struct loop *l, struct timer *t, int64_t in_ms, void (*fire)(struct timer *))
{
    timer_stop(l, t);
    t->fire = fire;
    t->due_ms = l->now_ms + (in_ms > 0 ? in_ms : 0);
    if (tick_of(t) <= l->tick)      /* this tick has been looked at */
        t->due_ms = (l->tick + 1) * TICK_MS;
    hang(l, t);
    if (tick_of(t) < l->next_tick)
        l->next_tick = tick_of(t);
}

void timer_stop(struct loop *l, struct timer *t)
{
    (void)l;
    if (timer_running(t))
        list_remove(&t->link);
}

/* The next tick at which a slot must be emptied, and the slot: fired at level 0, moved
 * down from others. Lower levels come first in time, and within a level every used slot lies
 * ahead of the wheel's own digit. INT64_MAX without timers. */
static int64_t next_slot(struct loop *l, int *level, int *slot)
{
    for (*level = 0; *level < LEVELS; ++*level) {
        int      shift = *level * LEVEL_BITS;
        int      at = (int)((l->tick >> shift) % SLOTS);
        uint64_t ahead = l->used[*level] & ~(((uint64_t)2 << at) - 1);

        for (; ahead; ahead &= ahead - 1) {
            *slot = __builtin_ctzll(ahead);
            if (!list_empty(&l->slots[*level][*slot]))
                return ((l->tick >> shift) - at + *slot) << shift;
            l->used[*level] &= ~((uint64_t)1 << *slot);
        }
    }
    return INT64_MAX;
}

static void empty_slot(struct loop *l, struct list *slot)
{
    struct list due;

    list_init(&due);
    LIST_EACH(it, slot) {
        struct timer *t = LIST_ITEM(it, struct timer, link);

        list_remove(it);
        if (tick_of(t) <= l->tick)
            list_append(&due, it);
        else
            hang(l, t);
    }
    while (!list_empty(&due)) {     /* a timer that fires may stop the next one */
        struct timer *t = LIST_ITEM(due.next, struct timer, link);

        list_remove(&t->link);
        t->fire(t);
    }
}

static void run_timers(struct loop *l)
{
    int64_t now = l->now_ms / TICK_MS;
    int     level, slot;

    if (now < l->next_tick)
        return;
    while ((l->next_tick = next_slot(l, &level, &slot)) <= now) {
        l->tick = l->next_tick;
        l->used[level] &= ~((uint64_t)1 << slot);
        empty_slot(l, &l->slots[level][slot]);
    }
    if (l->tick < now)
        l->tick = now;
}

/* ---- the end of the round ---- */

void loop_at_end(struct loop *l, struct loop_task *t)
{
    if (!list_linked(&t->link))
        list_append(&l->tasks, &t->link);
}

void loop_task_cancel(struct loop *l, struct loop_task *t)
{
    (void)l;
    list_remove(&t->link);
}

/* Work queued by this work runs in the same round too; what queues itself again
 * and again is left for the next round, so that descriptors get their turn. */
static void run_tasks(struct loop *l)
{
    for (int pass = 0; pass < TASK_PASSES_MAX && !list_empty(&l->tasks); pass++) {
        struct list batch = l->tasks;

        batch.next->prev = batch.prev->next = &batch;
        list_init(&l->tasks);
        while (!list_empty(&batch)) {
            struct loop_task *t = LIST_ITEM(batch.next, struct loop_task, link);

            list_remove(&t->link);
            t->run(t);
        }
    }
}

void loop_free_later(struct loop *l, void *p)
{
    if (l->garbage_count == l->garbage_cap) {
        l->garbage_cap = l->garbage_cap ? l->garbage_cap * 2 : 64;
        l->garbage = mem_resize(l->garbage, l->garbage_cap * sizeof *l->garbage);
    }
    l->garbage[l->garbage_count++] = p;
}

/* ---- rounds ---- */

static int wait_ms(struct loop *l, int max)
{
    int64_t due;

    if (!list_empty(&l->tasks))
        return 0;
    if (l->next_tick == INT64_MAX)
        return max;
    due = l->next_tick * TICK_MS - clock_mono_ms();
    due = due < 0 ? 0 : due > INT_MAX ? INT_MAX : due;
    return max >= 0 && due > max ? max : (int)due;
}

void loop_round(struct loop *l, int wait_ms_max)
{
    int n = epoll_wait(l->epoll, l->events, EVENTS_MAX, wait_ms(l, wait_ms_max));

    l->now_ms = clock_mono_ms();
    l->event_count = n > 0 ? n : 0;
    run_events(l);
    run_posts(l);
    run_timers(l);
    run_tasks(l);
    collect(l);
}

void loop_run(struct loop *l)
{
    while (!__atomic_load_n(&l->stop, __ATOMIC_ACQUIRE))
        loop_round(l, -1);
    l->stop = false;
}

void loop_stop(struct loop *l)
{
    uint64_t one = 1;

    __atomic_store_n(&l->stop, true, __ATOMIC_RELEASE);
    if (write(l->wake.fd, &one, sizeof one) < 0)
        return;     /* it is awake already */
}

/* ---- signals ---- */

static void signalled(struct loop_fd *self, unsigned events)
{
    struct signal_watch    *w = LIST_ITEM(self, struct signal_watch, fd);
    struct signalfd_siginfo info;

    (void)events;
    while (read(self->fd, &info, sizeof info) == sizeof info)
        w->fn(w->arg, w->signum);
}

enum err loop_signal(struct loop *l, int signum, void (*fn)(void *arg, int signum), void *arg)
{
    struct signal_watch *w;
    sigset_t             set;

    if (l->signal_count == SIGNALS_MAX)
        return ERR_LIMIT;
    w = &l->signals[l->signal_count];
    sigemptyset(&set);
    sigaddset(&set, signum);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    *w = (struct signal_watch){ .signum = signum, .fn = fn, .arg = arg };
    w->fd.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    w->fd.ready = signalled;
    if (w->fd.fd < 0)
        return err_from_errno(errno);
    l->signal_count++;
    return loop_fd_add(l, &w->fd, LOOP_READ);
}
