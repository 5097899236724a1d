/* inproc.c: links within one process: two queues of frames, emptied at the end of
 * the round. Also a role's link to itself, whatever its transport.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include <stdlib.h>
#include "base/mem.h"
#include "bus/inner.h"

struct queue_link {
    struct bus_link    base;
    struct queue_link *other;        /* itself on a link to itself; NULL: the other end is gone */
    struct buf         in;
    struct loop_task   deliver;
    bool               aborted;
};

struct bus_hub {
    int         count;
    struct list members;
};

struct hub_member {
    struct list     link;
    struct bus     *bus;
    struct bus_hub *hub;
};

static struct queue_link *queue_of(struct bus_link *k)
{
    return LIST_ITEM(k, struct queue_link, base);
}

static void queue_schedule(struct queue_link *q)
{
    loop_at_end(q->base.bus->loop, &q->deliver);
}

static enum err queue_send(struct bus_link *k, struct str bytes)
{
    struct queue_link *to = queue_of(k)->other;

    if (!to)
        return ERR_CLOSED;
    buf_put_str(&to->in, bytes);
    if (to->in.overflow) {
        to->in.overflow = false;
        return ERR_LIMIT;
    }
    queue_schedule(to);
    return OK;
}

static void queue_abort(struct bus_link *k)
{
    queue_of(k)->aborted = true;
    queue_schedule(queue_of(k));
}

static const struct bus_link_ops queue_ops = { .send = queue_send, .abort = queue_abort };

static void queue_free(struct queue_link *q)
{
    loop_task_cancel(q->base.bus->loop, &q->deliver);
    buf_done(&q->in);
    free(q);
}

/* This end goes; the other one hears of it after the frames that came before. */
static void queue_part(struct queue_link *q)
{
    if (q->other && q->other != q) {
        q->other->other = NULL;
        queue_schedule(q->other);
    }
    q->other = NULL;
}

static void queue_frames(struct queue_link *q, struct str in)
{
    while (in.len && !q->aborted) {
        struct frame f;
        size_t used = 0;

        if (frame_read(in, &f, &used) != OK)
            assert(!"a role writes whole frames to itself");
        link_frame(&q->base, &f);
        in.p += used;
        in.len -= used;
    }
}

static void queue_deliver(struct loop_task *task)
{
    struct queue_link *q = LIST_ITEM(task, struct queue_link, deliver);
    struct buf in = q->in;

    /* What is sent meanwhile gathers for the next time. */
    buf_init(&q->in, BUS_OUT_BYTES_MAX);
    queue_frames(q, buf_str(&in));
    buf_done(&in);
    if (!q->aborted && q->other)
        return;
    queue_part(q);
    link_down(&q->base);
    queue_free(q);
}

static struct queue_link *queue_new(struct bus *b)
{
    struct queue_link *q = NEW(struct queue_link);

    link_init(&q->base, b, &queue_ops);
    buf_init(&q->in, BUS_OUT_BYTES_MAX);
    q->deliver.run = queue_deliver;
    return q;
}

void queue_join(struct bus *a, struct bus *b)
{
    struct queue_link *qa = queue_new(a), *qb = a == b ? qa : queue_new(b);

    qa->other = qb;
    qb->other = qa;
    link_greet(&qa->base);
    if (qa != qb)
        link_greet(&qb->base);
}

void queue_cut_all(struct bus *b)
{
    LIST_EACH(it, &b->links) {
        struct bus_link *k = LIST_ITEM(it, struct bus_link, link);

        if (k->ops != &queue_ops)
            continue;
        queue_part(queue_of(k));
        link_forget(k);
        queue_free(queue_of(k));
    }
}

/* ---- the hub ---- */

/* Everybody is joined with everybody at once; a role that is not there may still come. */
static void hub_want(struct bus *b, struct str role, bool keep)
{
}

static void hub_leave(struct bus *b)
{
    struct hub_member *m = b->own;

    list_remove(&m->link);
    if (list_empty(&m->hub->members))
        free(m->hub);
    free(m);
}

static const struct bus_transport hub_transport = { .want = hub_want, .free = hub_leave };

static enum err hub_join(struct loop *l, const char *role, const struct bus_transport *tr, struct bus_hub **hub, struct bus **out)
{
    struct hub_member *m;

    if (!role_is_valid(str_of(role)))
        return ERR_INVALID;
    if (!*hub) {
        *hub = NEW(struct bus_hub);
        list_init(&(*hub)->members);
    }
    LIST_EACH(it, &(*hub)->members)
        if (strcmp(LIST_ITEM(it, struct hub_member, link)->bus->role, role) == 0)
            return ERR_EXISTS;
    m = NEW(struct hub_member);
    m->hub = *hub;
    m->bus = bus_new(l, role, tr, m);
    list_append(&(*hub)->members, &m->link);
    LIST_EACH(it, &(*hub)->members)
        queue_join(m->bus, LIST_ITEM(it, struct hub_member, link)->bus);
    *out = m->bus;
    return OK;
}

enum err bus_new_inproc(struct loop *l, const char *role, struct bus_hub **hub, struct bus **out)
{
    return hub_join(l, role, &hub_transport, hub, out);
}

/* ---- a hub that behaves like NATS ---- */

static const struct bus *peer_of(const struct bus_link *k)
{
    const struct queue_link *q = LIST_ITEM(k, const struct queue_link, base);

    return q->other ? q->other->base.bus : NULL;
}

/* Nobody hears itself, and nothing reaches who is cut off. */
static bool standin_is_silent(const struct bus_link *k)
{
    const struct bus *peer = peer_of(k);

    return !peer || peer == k->bus || !peer->connected;
}

static struct bus_link *standin_route(struct bus *b, struct str subject)
{
    bool ours = bus_served(b, subject) != NULL;

    LIST_EACH(it, &b->links) {
        struct bus_link *k = LIST_ITEM(it, struct bus_link, link);
        const struct bus *peer = peer_of(k);

        if (k->open && peer && (ours ? peer == b : b->connected && peer->connected && bus_served(peer, subject)))
            return k;
    }
    return NULL;
}

static const struct bus_transport standin_transport = { .is_silent = standin_is_silent, .route = standin_route, .free = hub_leave };

enum err bus_new_standin(struct loop *l, const char *role, struct bus_hub **hub, struct bus **out)
{
    return hub_join(l, role, &standin_transport, hub, out);
}

void bus_standin_break(struct bus *b, bool connected)
{
    b->connected = connected;
    bus_break(b, connected);
}
