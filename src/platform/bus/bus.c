/* bus.c: questions, answers, subscriptions; the same over every transport.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "bus/inner.h"

METRIC_COUNTER(asks, "bongsu_bus_asks", "Questions asked over the bus.");
METRIC_COUNTER(asks_lost, "bongsu_bus_asks_lost", "Questions whose answer was lost with the peer.");
METRIC_COUNTER(asks_late, "bongsu_bus_asks_late", "Questions not answered in time.");
METRIC_COUNTER(events_dropped, "bongsu_bus_events_dropped", "Events not sent because a peer was too slow.");

enum { SCRATCH_BYTES_KEPT = 64 * 1024 };

struct bus_handler {
    struct bus_handler *next;
    char               *subject;     /* as given, "ident.*" included */
    bus_serve_fn       *serve;
    bus_event_fn       *event;
    void               *arg;
};

struct bus_pending {
    struct list      link;           /* in link->asked or bus->waiting */
    struct bus      *bus;
    struct bus_link *over;           /* NULL: not sent yet */
    int64_t          id;
    int64_t          due_ms;
    struct timer     timer;
    bus_reply_fn    *fn;
    void            *arg;
    char             role[BUS_ROLE_BYTES_MAX + 1];
    char            *frame;          /* kept until it is sent */
    size_t           frame_bytes;
};

struct bus_request {
    struct list      link;           /* in link->requests or bus->requests_orphaned */
    struct bus      *bus;
    struct bus_link *over;           /* NULL: the asker is gone */
    uint64_t         id;
    char             asker[BUS_ROLE_BYTES_MAX + 1];
};

static struct str first_word(struct str subject)
{
    return str_split(&subject, '.');
}

static enum err link_send(struct bus_link *k, const struct frame *f)
{
    struct buf *b = &k->bus->scratch;
    enum err e;

    buf_clear(b);
    frame_put(b, f);
    if (b->overflow) {
        b->overflow = false;
        return ERR_LIMIT;
    }
    e = k->ops->send(k, buf_str(b));
    if (b->cap > SCRATCH_BYTES_KEPT) {
        buf_done(b);                 /* one large payload must not hold its memory for good */
        buf_init(b, FRAME_BYTES_MAX);
    }
    return e;
}

/* ---- life ---- */

struct bus *bus_new(struct loop *l, const char *role, const struct bus_transport *tr, void *own)
{
    struct bus *b = NEW(struct bus);

    b->loop = l;
    str_copy(str_of(role), b->role, sizeof b->role);
    if (getrandom(&b->instance, sizeof b->instance, 0) != sizeof b->instance)
        abort();
    b->transport = tr;
    b->own = own;
    list_init(&b->links);
    list_init(&b->waiting);
    list_init(&b->requests_orphaned);
    strmap_init(&b->serves);
    intmap_init(&b->pending);
    buf_init(&b->scratch, FRAME_BYTES_MAX);
    return b;
}

static void handler_free(struct bus_handler *h)
{
    free(h->subject);
    free(h);
}

static void handlers_free(struct bus *b)
{
    struct bus_handler *next;
    size_t it = 0;
    struct str subject;
    void *h;

    while (strmap_next(&b->serves, &it, &subject, &h)) {
        strmap_del(&b->serves, subject);
        handler_free(h);
    }
    strmap_done(&b->serves);
    for (struct bus_handler *s = b->subscribed; s; s = next) {
        next = s->next;
        handler_free(s);
    }
}

static void pending_free(struct bus_pending *p)
{
    struct bus *b = p->bus;

    timer_stop(b->loop, &p->timer);
    intmap_del(&b->pending, p->id);
    list_remove(&p->link);
    if (p->frame)
        b->waiting_bytes -= p->frame_bytes;
    free(p->frame);
    free(p);
}

void bus_free(struct bus **bp)
{
    struct bus *b = *bp;

    if (!b)
        return;
    queue_cut_all(b);
    b->transport->free(b);
    while (!list_empty(&b->waiting))
        pending_free(LIST_ITEM(b->waiting.next, struct bus_pending, link));
    while (!list_empty(&b->requests_orphaned)) {
        struct bus_request *rq = LIST_ITEM(b->requests_orphaned.next, struct bus_request, link);

        list_remove(&rq->link);
        rq->bus = NULL;              /* its holder will still answer it */
    }
    intmap_done(&b->pending);
    handlers_free(b);
    buf_done(&b->scratch);
    free(b);
    *bp = NULL;
}

/* ---- links ---- */

void link_init(struct bus_link *k, struct bus *b, const struct bus_link_ops *ops)
{
    k->bus = b;
    k->ops = ops;
    list_init(&k->asked);
    list_init(&k->requests);
    list_append(&b->links, &k->link);
}

static struct bus_link *link_to(const struct bus *b, struct str role)
{
    for (struct list *it = b->links.next; it != &b->links; it = it->next) {
        struct bus_link *k = LIST_ITEM(it, struct bus_link, link);

        if (k->open && str_is(role, k->role))
            return k;
    }
    return NULL;
}

void link_greet(struct bus_link *k)
{
    link_send(k, &(struct frame){ .kind = FRAME_HELLO, .id = k->bus->instance, .name = str_of(k->bus->role) });
    for (const struct bus_handler *h = k->bus->subscribed; h; h = h->next)
        link_send(k, &(struct frame){ .kind = FRAME_SUBSCRIBE, .name = str_of(h->subject) });
}

/* Requests lose their asker, who will not hear the answer. */
static void requests_orphan(struct bus_link *k)
{
    while (!list_empty(&k->requests)) {
        struct bus_request *rq = LIST_ITEM(k->requests.next, struct bus_request, link);

        list_remove(&rq->link);
        list_append(&k->bus->requests_orphaned, &rq->link);
        rq->over = NULL;
    }
}

static void link_undo(struct bus_link *k)
{
    k->open = false;
    list_remove(&k->link);
    requests_orphan(k);
    for (int i = 0; i < k->subscription_count; i++)
        free(k->subscriptions[i]);
    free(k->subscriptions);
    k->subscriptions = NULL;
    k->subscription_count = 0;
}

static void pending_tell(struct bus_pending *p, enum err e, struct str payload)
{
    bus_reply_fn *fn = p->fn;
    void *arg = p->arg;

    pending_free(p);
    fn(arg, e, payload);
}

/* What was sent may have been done: only the asker can find out. */
void link_down(struct bus_link *k)
{
    link_undo(k);
    while (!list_empty(&k->asked)) {
        metric_add(&asks_lost, 1);
        pending_tell(LIST_ITEM(k->asked.next, struct bus_pending, link), ERR_UNCERTAIN, STR_NULL);
    }
}

void link_forget(struct bus_link *k)
{
    link_undo(k);
    while (!list_empty(&k->asked))
        pending_free(LIST_ITEM(k->asked.next, struct bus_pending, link));
}

/* ---- asking ---- */

static void pending_over(struct bus_pending *p, struct bus_link *k)
{
    list_remove(&p->link);
    list_append(&k->asked, &p->link);
    p->over = k;
    if (p->frame)
        p->bus->waiting_bytes -= p->frame_bytes;
    free(p->frame);
    p->frame = NULL;
}

static void pending_late(struct timer *t)
{
    struct bus_pending *p = LIST_ITEM(t, struct bus_pending, timer);

    metric_add(&asks_late, 1);
    pending_tell(p, p->over ? ERR_TIMEOUT : ERR_UNAVAILABLE, STR_NULL);
}

/* The link has just come up: what waited for its role goes out, in order. */
static void waiting_go(struct bus_link *k)
{
    struct bus *b = k->bus;

    LIST_EACH(it, &b->waiting) {
        struct bus_pending *p = LIST_ITEM(it, struct bus_pending, link);
        int64_t left_ms = p->due_ms - loop_now_ms(b->loop);

        if (strcmp(p->role, k->role) != 0)
            continue;
        if (k->ops->send(k, str_make(p->frame, p->frame_bytes)) != OK)
            return;
        pending_over(p, k);
        timer_start(b->loop, &p->timer, left_ms > 0 ? left_ms : 0, pending_late);
    }
}

bool bus_wants(const struct bus *b, struct str role)
{
    for (const struct list *it = b->waiting.next; it != &b->waiting; it = it->next)
        if (str_is(role, LIST_ITEM(it, const struct bus_pending, link)->role))
            return true;
    return false;
}

static struct bus_pending *pending_new(struct bus *b, struct str role, int timeout_ms, bus_reply_fn *fn, void *arg)
{
    struct bus_pending *p = NEW(struct bus_pending);

    p->bus = b;
    p->id = ++b->last_id;
    p->due_ms = loop_now_ms(b->loop) + timeout_ms;
    p->fn = fn;
    p->arg = arg;
    str_copy(role, p->role, sizeof p->role);
    list_init(&p->link);
    intmap_put(&b->pending, p->id, p);
    return p;
}

static enum err ask_later(struct bus *b, struct bus_pending *p, const struct frame *f)
{
    struct buf bytes;

    buf_init(&bytes, FRAME_BYTES_MAX);
    frame_put(&bytes, f);
    if (bytes.overflow || b->waiting_bytes + bytes.len > BUS_OUT_BYTES_MAX) {
        buf_done(&bytes);
        return ERR_LIMIT;
    }
    p->frame = bytes.p;
    p->frame_bytes = bytes.len;
    b->waiting_bytes += bytes.len;
    list_append(&b->waiting, &p->link);
    return OK;
}

enum err bus_ask(struct bus *b, const char *subject, struct str payload, int timeout_ms, bus_reply_fn *fn, void *arg)
{
    struct str role = first_word(str_of(subject));
    struct bus_pending *p;
    struct bus_link *k;
    struct frame f;
    enum err e;

    assert(subject_is_valid(str_of(subject), false) && role_is_valid(role) && timeout_ms > 0);
    if (payload.len > BUS_PAYLOAD_BYTES_MAX || b->pending.count >= BUS_PENDING_MAX)
        return ERR_LIMIT;
    metric_add(&asks, 1);
    p = pending_new(b, role, timeout_ms, fn, arg);
    f = (struct frame){ .kind = FRAME_ASK, .id = (uint64_t)p->id, .name = str_of(subject), .payload = payload };
    k = link_to(b, role);
    e = k ? link_send(k, &f) : ask_later(b, p, &f);
    if (e) {
        pending_free(p);
        return ERR_LIMIT;
    }
    if (k) {
        pending_over(p, k);
    } else {
        if (timeout_ms > BUS_AWAY_MS_MAX)
            timeout_ms = BUS_AWAY_MS_MAX;
        b->transport->want(b, role, false);
    }
    timer_start(b->loop, &p->timer, timeout_ms, pending_late);
    return OK;
}

static void frame_answer(struct bus_link *k, const struct frame *f)
{
    struct bus_pending *p = f->id <= INT64_MAX ? intmap_get(&k->bus->pending, (int64_t)f->id) : NULL;

    /* Unknown: it came too late. Another link's: a peer may answer only what it was asked. */
    if (p && p->over == k)
        pending_tell(p, f->error, f->payload);
}

/* ---- answering ---- */

enum err bus_serve(struct bus *b, const char *subject, bus_serve_fn *fn, void *arg)
{
    struct bus_handler *h;

    assert(subject_is_valid(str_of(subject), true));
    if (strmap_get(&b->serves, str_of(subject)))
        return ERR_EXISTS;
    h = NEW(struct bus_handler);
    h->subject = str_dup(str_of(subject));
    h->serve = fn;
    h->arg = arg;
    strmap_put(&b->serves, str_of(h->subject), h);
    return OK;
}

/* "a.b.c" is looked up as itself, then as "a.b.*", then as "a.*". */
static const struct bus_handler *serve_find(const struct bus *b, struct str subject)
{
    char wild[BUS_SUBJECT_BYTES_MAX + 2];
    const struct bus_handler *h = strmap_get(&b->serves, subject);

    for (size_t i = subject.len; i > 0 && !h; i--) {
        if (subject.p[i - 1] != '.')
            continue;
        memcpy(wild, subject.p, i);
        wild[i] = '*';
        h = strmap_get(&b->serves, str_make(wild, i + 1));
    }
    return h;
}

static bool frame_ask(struct bus_link *k, const struct frame *f)
{
    const struct bus_handler *h = serve_find(k->bus, f->name);
    enum err refusal = !h ? ERR_UNSUPPORTED : k->request_count >= BUS_PENDING_MAX ? ERR_LIMIT : OK;
    struct bus_request *rq;

    if (refusal)
        return link_send(k, &(struct frame){ .kind = FRAME_ANSWER, .id = f->id, .error = refusal }) == OK;
    rq = NEW(struct bus_request);
    rq->bus = k->bus;
    rq->over = k;
    rq->id = f->id;
    memcpy(rq->asker, k->role, sizeof rq->asker);
    list_append(&k->requests, &rq->link);
    k->request_count++;
    h->serve(h->arg, rq, f->name, f->payload);
    return true;
}

void bus_answer(struct bus_request *rq, enum err e, struct str payload)
{
    struct bus_link *k = rq->over;

    if (payload.len > BUS_PAYLOAD_BYTES_MAX) {
        e = ERR_BUG;
        payload = STR_NULL;
    }
    if (rq->bus)
        list_remove(&rq->link);
    if (k) {
        k->request_count--;
        /* An asker that does not read its answers is as good as dead, and must not wait for this one. */
        if (link_send(k, &(struct frame){ .kind = FRAME_ANSWER, .id = rq->id, .error = e, .payload = payload }) == ERR_LIMIT)
            k->ops->abort(k);
    }
    free(rq);
}

struct str bus_asker(const struct bus_request *rq)
{
    return str_of(rq->asker);
}

/* ---- publish, subscribe ---- */

static bool subject_matches(struct str pattern, struct str subject)
{
    if (pattern.len && pattern.p[pattern.len - 1] == '*')
        return str_starts(subject, str_make(pattern.p, pattern.len - 1));
    return str_eq(pattern, subject);
}

enum err bus_subscribe(struct bus *b, const char *subject, bus_event_fn *fn, void *arg)
{
    struct bus_handler *h, **last = &b->subscribed;
    struct str role = first_word(str_of(subject));
    int count = 0;

    assert(subject_is_valid(str_of(subject), true));
    for (; *last; last = &(*last)->next)
        count++;
    if (count >= BUS_SUBSCRIPTIONS_MAX)
        return ERR_LIMIT;
    h = NEW(struct bus_handler);
    h->subject = str_dup(str_of(subject));
    h->event = fn;
    h->arg = arg;
    *last = h;
    LIST_EACH(it, &b->links)
        link_send(LIST_ITEM(it, struct bus_link, link), &(struct frame){ .kind = FRAME_SUBSCRIBE, .name = str_of(subject) });
    if (!str_is(role, b->role))
        b->transport->want(b, role, true);
    return OK;
}

static bool frame_subscribe(struct bus_link *k, const struct frame *f)
{
    for (int i = 0; i < k->subscription_count; i++)
        if (str_is(f->name, k->subscriptions[i]))
            return true;
    if (k->subscription_count >= BUS_SUBSCRIPTIONS_MAX)
        return false;
    k->subscriptions = mem_resize(k->subscriptions, (size_t)(k->subscription_count + 1) * sizeof *k->subscriptions);
    k->subscriptions[k->subscription_count++] = str_dup(f->name);
    return true;
}

static bool link_wants_event(const struct bus_link *k, struct str subject)
{
    for (int i = 0; i < k->subscription_count && k->open; i++)
        if (subject_matches(str_of(k->subscriptions[i]), subject))
            return true;
    return false;
}

/* Both sides may have connected at once: an earlier open link to the same start of the peer has served it. */
static bool is_second_link(const struct bus_link *k, struct str subject)
{
    for (const struct list *it = k->bus->links.next; it != &k->link; it = it->next) {
        const struct bus_link *other = LIST_ITEM(it, const struct bus_link, link);

        if (other->instance == k->instance && link_wants_event(other, subject))
            return true;
    }
    return false;
}

enum err bus_publish(struct bus *b, const char *subject, struct str payload)
{
    struct frame f = { .kind = FRAME_EVENT, .name = str_of(subject), .payload = payload };
    enum err worst = OK;

    assert(subject_is_valid(f.name, false));
    if (payload.len > BUS_PAYLOAD_BYTES_MAX)
        return ERR_LIMIT;
    LIST_EACH(it, &b->links) {
        struct bus_link *k = LIST_ITEM(it, struct bus_link, link);

        if (!link_wants_event(k, f.name) || is_second_link(k, f.name))
            continue;
        if (link_send(k, &f) == OK)
            continue;
        metric_add(&events_dropped, 1);
        worst = ERR_LIMIT;
    }
    return worst;
}

static void frame_event(struct bus_link *k, const struct frame *f)
{
    struct bus *b = k->bus;

    for (const struct bus_handler *h = b->subscribed; h; h = h->next)
        if (subject_matches(str_of(h->subject), f->name))
            h->event(h->arg, f->name, f->payload);
}

/* ---- frames ---- */

static bool frame_hello(struct bus_link *k, const struct frame *f)
{
    /* Whoever connected knows whom it meant. */
    if (k->open || (k->role[0] && !str_is(f->name, k->role)))
        return false;
    str_copy(f->name, k->role, sizeof k->role);
    k->instance = f->id;
    k->open = true;
    waiting_go(k);
    return true;
}

bool link_frame(struct bus_link *k, const struct frame *f)
{
    bool good = true;

    if (!k->open && f->kind != FRAME_HELLO)
        good = false;
    else if (f->kind == FRAME_HELLO)
        good = frame_hello(k, f);
    else if (f->kind == FRAME_ASK)
        good = frame_ask(k, f);
    else if (f->kind == FRAME_ANSWER)
        frame_answer(k, f);
    else if (f->kind == FRAME_SUBSCRIBE)
        good = frame_subscribe(k, f);
    else
        frame_event(k, f);
    if (!good) {
        LOG_WARN("bus.refused", LF_Z("peer", k->role), LF_I64("frame", f->kind));
        k->ops->abort(k);
    }
    return good;
}
