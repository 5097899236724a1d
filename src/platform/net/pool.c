/* pool.c: see pool.h. `waiting` and `finished` are under
 * the lock; jobs come back through one posted event that empties `finished`.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "net/pool.h"
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include "base/mem.h"

/* On the heap by itself: the loop may still hold it when the pool is gone. */
struct pool_event {
    struct loop_post post;
    struct pool *pool;              /* NULL: the pool is gone */
    bool             pending;           /* under the pool's lock while there is a pool */
};

struct pool {
    struct loop       *loop;
    pthread_mutex_t    lock;
    pthread_cond_t     work;
    struct list        waiting, finished;
    int                waiting_count;
    bool               ending;
    struct pool_event *event;
    int                thread_count;
    pthread_t          threads[POOL_THREADS_MAX];
};

static struct pool_job *pop(struct list *l)
{
    struct list *n = l->next;

    if (list_empty(l))
        return NULL;
    list_remove(n);
    return LIST_ITEM(n, struct pool_job, link);
}

static struct pool_job *finished_pop(struct pool *p)
{
    struct pool_job *j;

    pthread_mutex_lock(&p->lock);
    j = pop(&p->finished);
    pthread_mutex_unlock(&p->lock);
    return j;
}

static void deliver(struct loop_post *post)
{
    struct pool_event *ev = (struct pool_event *)((char *)post - offsetof(struct pool_event, post));
    struct pool   *p = ev->pool;
    struct pool_job   *j;

    if (!p) {
        free(ev);
        return;
    }
    pthread_mutex_lock(&p->lock);
    ev->pending = false;
    pthread_mutex_unlock(&p->lock);
    while ((j = finished_pop(p)))
        j->done(j, OK);
}

/* With the lock held. */
static void finish(struct pool *p, struct pool_job *j)
{
    list_append(&p->finished, &j->link);
    if (p->event->pending)
        return;
    p->event->pending = true;
    loop_post(p->loop, &p->event->post);
}

static void *worker(void *arg)
{
    struct pool *p = arg;

    pthread_mutex_lock(&p->lock);
    while (!p->ending) {
        struct pool_job *j = pop(&p->waiting);

        if (!j) {
            pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        p->waiting_count--;
        pthread_mutex_unlock(&p->lock);
        j->work(j);
        pthread_mutex_lock(&p->lock);
        finish(p, j);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* Signals belong to the loop thread. */
static bool start_thread(struct pool *p)
{
    sigset_t all, old;
    int      rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(&p->threads[p->thread_count], NULL, worker, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return false;
    p->thread_count++;
    return true;
}

enum err pool_new(struct loop *l, int threads, struct pool **out)
{
    struct pool *p = NEW(struct pool);

    p->loop = l;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    list_init(&p->waiting);
    list_init(&p->finished);
    p->event = NEW(struct pool_event);
    p->event->post.run = deliver;
    p->event->pool = p;
    if (threads < 1)
        threads = 1;
    if (threads > POOL_THREADS_MAX)
        threads = POOL_THREADS_MAX;
    while (p->thread_count < threads) {
        if (!start_thread(p)) {
            pool_free(&p);
            return ERR_LIMIT;
        }
    }
    *out = p;
    return OK;
}

void pool_free(struct pool **pp)
{
    struct pool *p = *pp;
    struct pool_job *j;

    if (!p)
        return;
    *pp = NULL;
    pthread_mutex_lock(&p->lock);
    p->ending = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    while ((j = pop(&p->finished)) || (j = pop(&p->waiting)))
        j->done(j, ERR_CLOSED);
    if (p->event->pending)
        p->event->pool = NULL;          /* deliver frees it */
    else
        free(p->event);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    free(p);
}

enum err pool_add(struct pool *p, struct pool_job *j)
{
    enum err e = OK;

    pthread_mutex_lock(&p->lock);
    if (p->ending || p->waiting_count >= POOL_QUEUE_MAX) {
        e = p->ending ? ERR_CLOSED : ERR_LIMIT;
    } else {
        list_append(&p->waiting, &j->link);
        p->waiting_count++;
        pthread_cond_signal(&p->work);
    }
    pthread_mutex_unlock(&p->lock);
    return e;
}
