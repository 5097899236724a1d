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

struct bus_handler {                 /* one subscriber of a topic */
    struct bus_handler *next;
    bus_event_fn       *event;       /* NULL: unsubscribed, freed after the round */
    void               *arg;
};

struct bus_watch {
    struct bus_watch *next;
    struct bus       *bus;
    bus_break_fn     *fn;
    void             *arg;
    struct loop_task  first;         /* tells of a bus that was whole before */
};

struct bus_pending {
    struct list      link;           /* in link->asked, bus->asked or bus->waiting */
    struct bus      *bus;
    struct bus_link *over;           /* NULL: not over a link */
    bool             sent;
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
    struct list      link;           /* in link->requests or bus->requests */
    struct bus      *bus;
    struct bus_link *over;           /* NULL: the asker is gone, or not behind a link */
    char            *reply_to;       /* how the transport finds an asker that is not behind a link */
    uint64_t         id;
    char             asker[BUS_ROLE_BYTES_MAX + 1];
};

static struct str first_word(struct str subject)
{
    return str_split(&subject, '.');
}

/* One large payload must not hold its memory for good. */
void bus_scratch_shrink(struct bus *b)
{
    if (b->scratch.cap <= SCRATCH_BYTES_KEPT)
        return;
    buf_done(&b->scratch);
    buf_init(&b->scratch, FRAME_BYTES_MAX);
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
    bus_scratch_shrink(k->bus);
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
    list_init(&b->asked);
    list_init(&b->requests);
    strmap_init(&b->serves);
    strmap_init(&b->topics);
    intmap_init(&b->pending);
    b->connected = b->whole = true;
    buf_init(&b->scratch, FRAME_BYTES_MAX);
    return b;
}

static void topic_free(struct bus_topic *t)
{
    struct bus_handler *next;

    for (struct bus_handler *h = t->handlers; h; h = next) {
        next = h->next;
        free(h);
    }
    free(t->subject);
    free(t);
}

static void topics_free(struct strmap *m)
{
    struct str subject;
    size_t it = 0;
    void *t;

    while (strmap_next(m, &it, &subject, &t)) {
        strmap_del(m, subject);
        topic_free(t);
    }
    strmap_done(m);
}

static void watches_free(struct bus *b)
{
    struct bus_watch *next;

    for (struct bus_watch *w = b->watches; w; w = next) {
        next = w->next;
        loop_task_cancel(b->loop, &w->first);
        free(w);
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
    while (!list_empty(&b->asked))
        pending_free(LIST_ITEM(b->asked.next, struct bus_pending, link));
    while (!list_empty(&b->requests)) {
        struct bus_request *rq = LIST_ITEM(b->requests.next, struct bus_request, link);

        list_remove(&rq->link);
        rq->bus = NULL;              /* its holder will still answer it */
    }
    intmap_done(&b->pending);
    topics_free(&b->serves);
    topics_free(&b->topics);
    watches_free(b);
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
    strmap_init(&k->subscriptions);
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
    struct str subject;
    size_t it = 0;
    void *topic;

    link_send(k, &(struct frame){ .kind = FRAME_HELLO, .id = k->bus->instance, .name = str_of(k->bus->role) });
    while (strmap_next(&k->bus->topics, &it, &subject, &topic))
        link_send(k, &(struct frame){ .kind = FRAME_SUBSCRIBE, .name = subject });
}

/* Requests lose their asker, who will not hear the answer. */
static void requests_orphan(struct bus_link *k)
{
    while (!list_empty(&k->requests)) {
        struct bus_request *rq = LIST_ITEM(k->requests.next, struct bus_request, link);

        list_remove(&rq->link);
        list_append(&k->bus->requests, &rq->link);
        rq->over = NULL;
    }
}

static void link_undo(struct bus_link *k)
{
    struct str subject;
    size_t it = 0;
    void *copy;

    k->open = false;
    list_remove(&k->link);
    requests_orphan(k);
    while (strmap_next(&k->subscriptions, &it, &subject, &copy)) {
        strmap_del(&k->subscriptions, subject);
        free(copy);
    }
    strmap_done(&k->subscriptions);
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
    p->sent = true;
    if (p->frame)
        p->bus->waiting_bytes -= p->frame_bytes;
    free(p->frame);
    p->frame = NULL;
}

static void pending_late(struct timer *t)
{
    struct bus_pending *p = LIST_ITEM(t, struct bus_pending, timer);

    if (p->sent)
        metric_add(&asks_late, 1);
    pending_tell(p, p->sent ? ERR_TIMEOUT : ERR_UNAVAILABLE, STR_NULL);
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

/* Over the transport's own way: what nobody can take is told "unavailable" a moment later. */
static enum err ask_directly(struct bus *b, struct bus_pending *p, const char *subject, struct str payload, int timeout_ms)
{
    enum err e = b->transport->ask ? b->transport->ask(b, p->id, subject, payload) : ERR_UNAVAILABLE;

    if (e && e != ERR_UNAVAILABLE) {
        pending_free(p);
        return ERR_LIMIT;
    }
    p->sent = e == OK;
    list_append(p->sent ? &b->asked : &b->waiting, &p->link);
    timer_start(b->loop, &p->timer, p->sent ? timeout_ms : 1, pending_late);
    return OK;
}

static enum err ask_over_links(struct bus *b, struct bus_pending *p, struct bus_link *k, const struct frame *f, int timeout_ms)
{
    enum err e = k ? link_send(k, f) : ERR_CLOSED;

    if (e == ERR_CLOSED) {          /* no link, or one that has died and has not been told of yet */
        k = NULL;
        e = ask_later(b, p, f);
    }
    if (e) {
        pending_free(p);
        return ERR_LIMIT;
    }
    if (k) {
        pending_over(p, k);
    } else {
        if (timeout_ms > BUS_AWAY_MS_MAX)
            timeout_ms = BUS_AWAY_MS_MAX;
        b->transport->want(b, str_of(p->role), false);
    }
    timer_start(b->loop, &p->timer, timeout_ms, pending_late);
    return OK;
}

enum err bus_ask(struct bus *b, const char *subject, struct str payload, int timeout_ms, bus_reply_fn *fn, void *arg)
{
    struct str role = first_word(str_of(subject));
    struct bus_pending *p;
    struct bus_link *k;

    assert(subject_is_valid(str_of(subject), false) && role_is_valid(role) && timeout_ms > 0);
    if (payload.len > BUS_PAYLOAD_BYTES_MAX || b->pending.count >= BUS_PENDING_MAX)
        return ERR_LIMIT;
    metric_add(&asks, 1);
    p = pending_new(b, role, timeout_ms, fn, arg);
    if (b->transport->ask)          /* what we serve ourselves needs no way out */
        k = bus_served(b, str_of(subject)) ? link_to(b, str_of(b->role)) : NULL;
    else
        k = b->transport->route ? b->transport->route(b, str_of(subject)) : link_to(b, role);
    if (!k && (b->transport->ask || b->transport->route))
        return ask_directly(b, p, subject, payload, timeout_ms);
    return ask_over_links(b, p, k, &(struct frame){ .kind = FRAME_ASK, .id = (uint64_t)p->id, .name = str_of(subject),
                                                    .payload = payload }, timeout_ms);
}

void bus_answered(struct bus *b, int64_t id, enum err e, struct str payload)
{
    struct bus_pending *p = intmap_get(&b->pending, id);

    if (p && p->sent && !p->over)
        pending_tell(p, e, payload);
}

void bus_asked_lost(struct bus *b)
{
    while (!list_empty(&b->asked)) {
        metric_add(&asks_lost, 1);
        pending_tell(LIST_ITEM(b->asked.next, struct bus_pending, link), ERR_UNCERTAIN, STR_NULL);
    }
}

static void frame_answer(struct bus_link *k, const struct frame *f)
{
    struct bus_pending *p = f->id <= INT64_MAX ? intmap_get(&k->bus->pending, (int64_t)f->id) : NULL;

    /* Unknown: it came too late. Another link's: a peer may answer only what it was asked. */
    if (p && p->over == k)
        pending_tell(p, f->error, f->payload);
}

/* ---- answering ---- */

static struct bus_topic *topic_new(struct bus *b, struct strmap *m, const char *subject)
{
    struct bus_topic *t = NEW(struct bus_topic);

    t->subject = str_dup(str_of(subject));
    t->id = ++b->last_topic_id;
    strmap_put(m, str_of(t->subject), t);
    return t;
}

enum err bus_serve(struct bus *b, const char *subject, bus_serve_fn *fn, void *arg)
{
    struct bus_topic *t;

    assert(subject_is_valid(str_of(subject), true));
    if (strmap_get(&b->serves, str_of(subject)))
        return ERR_EXISTS;
    t = topic_new(b, &b->serves, subject);
    t->serve = fn;
    t->serve_arg = arg;
    if (b->transport->topic_added)
        b->transport->topic_added(b, t);
    return OK;
}

/* "a.b.c" is looked up as itself, then as "a.b.*", then as "a.*". Starts with *at == subject.len + 1, and
 * *at == 0 is the end. */
static void *map_match(const struct strmap *m, struct str subject, size_t *at)
{
    char wild[BUS_SUBJECT_BYTES_MAX + 2];
    void *found;

    if (*at == subject.len + 1) {
        --*at;
        found = strmap_get(m, subject);
        if (found)
            return found;
    }
    while (*at > 0) {
        size_t i = (*at)--;

        if (subject.p[i - 1] != '.')
            continue;
        memcpy(wild, subject.p, i);
        wild[i] = '*';
        found = strmap_get(m, str_make(wild, i + 1));
        if (found)
            return found;
    }
    return NULL;
}

const struct bus_topic *bus_served(const struct bus *b, struct str subject)
{
    size_t at = subject.len + 1;

    return map_match(&b->serves, subject, &at);
}

static struct bus_request *request_new(struct bus *b, struct str asker)
{
    struct bus_request *rq = NEW(struct bus_request);

    rq->bus = b;
    str_copy(asker, rq->asker, sizeof rq->asker);
    return rq;
}

static bool frame_ask(struct bus_link *k, const struct frame *f)
{
    const struct bus_topic *t = bus_served(k->bus, f->name);
    enum err refusal = !t ? ERR_UNSUPPORTED : k->request_count >= BUS_PENDING_MAX ? ERR_LIMIT : OK;
    struct bus_request *rq;

    if (refusal)
        return link_send(k, &(struct frame){ .kind = FRAME_ANSWER, .id = f->id, .error = refusal }) == OK;
    rq = request_new(k->bus, str_of(k->role));
    rq->over = k;
    rq->id = f->id;
    list_append(&k->requests, &rq->link);
    k->request_count++;
    t->serve(t->serve_arg, rq, f->name, f->payload);
    return true;
}

void bus_asked(struct bus *b, const struct bus_topic *t, struct str asker, struct str reply_to, struct str subject, struct str payload)
{
    struct bus_request *rq;

    if (b->request_count >= BUS_PENDING_MAX) {
        b->transport->answer(b, reply_to, ERR_LIMIT, STR_NULL);
        return;
    }
    rq = request_new(b, asker);
    rq->reply_to = str_dup(reply_to);
    list_append(&b->requests, &rq->link);
    b->request_count++;
    t->serve(t->serve_arg, rq, subject, payload);
}

/* An asker that does not read its answers is as good as dead, and must not wait for this one. */
static void answer_link(struct bus_link *k, uint64_t id, enum err e, struct str payload)
{
    k->request_count--;
    if (link_send(k, &(struct frame){ .kind = FRAME_ANSWER, .id = id, .error = e, .payload = payload }) == ERR_LIMIT)
        k->ops->abort(k);
}

void bus_answer(struct bus_request *rq, enum err e, struct str payload)
{
    struct bus *b = rq->bus;

    if (payload.len > BUS_PAYLOAD_BYTES_MAX) {
        e = ERR_BUG;
        payload = STR_NULL;
    }
    if (b)
        list_remove(&rq->link);
    if (rq->over)
        answer_link(rq->over, rq->id, e, payload);
    if (b && rq->reply_to) {
        b->request_count--;
        b->transport->answer(b, str_of(rq->reply_to), e, payload);
    }
    free(rq->reply_to);
    free(rq);
}

struct str bus_role(const struct bus *b)
{
    return str_of(b->role);
}

struct str bus_asker(const struct bus_request *rq)
{
    return str_of(rq->asker);
}

/* ---- publish, subscribe ---- */

static void tell_links(struct bus *b, enum frame_kind kind, struct str subject)
{
    LIST_EACH(it, &b->links)
        link_send(LIST_ITEM(it, struct bus_link, link), &(struct frame){ .kind = kind, .name = subject });
}

static void handler_add(struct bus_topic *t, bus_event_fn *fn, void *arg)
{
    struct bus_handler **last = &t->handlers;

    while (*last)
        last = &(*last)->next;
    *last = NEW(struct bus_handler);
    (*last)->event = fn;
    (*last)->arg = arg;
}

enum err bus_subscribe(struct bus *b, const char *subject, bus_event_fn *fn, void *arg)
{
    struct bus_topic *t = strmap_get(&b->topics, str_of(subject));
    struct str role = first_word(str_of(subject));

    assert(subject_is_valid(str_of(subject), true));
    if (!t && b->topics.count >= BUS_SUBSCRIPTIONS_MAX)
        return ERR_LIMIT;
    if (t) {
        handler_add(t, fn, arg);
        return OK;
    }
    t = topic_new(b, &b->topics, subject);
    handler_add(t, fn, arg);
    if (b->transport->topic_added)
        b->transport->topic_added(b, t);
    else
        tell_links(b, FRAME_SUBSCRIBE, str_of(subject));
    if (b->transport->want && !str_is(role, b->role))
        b->transport->want(b, role, true);
    return OK;
}

/* An event may be on its way through the handlers: what goes is freed after the round. */
void bus_unsubscribe(struct bus *b, const char *subject, bus_event_fn *fn, void *arg)
{
    struct bus_topic *t = strmap_get(&b->topics, str_of(subject));

    for (struct bus_handler **at = t ? &t->handlers : NULL, *h; at && *at; at = &(*at)->next) {
        h = *at;
        if (h->event != fn || h->arg != arg)
            continue;
        *at = h->next;
        h->event = NULL;
        loop_free_later(b->loop, h);
        break;
    }
    if (!t || t->handlers)
        return;
    strmap_del(&b->topics, str_of(subject));
    if (b->transport->topic_gone)
        b->transport->topic_gone(b, t);
    else
        tell_links(b, FRAME_UNSUBSCRIBE, str_of(subject));
    free(t->subject);
    loop_free_later(b->loop, t);
}

void bus_event(const struct bus_topic *t, struct str subject, struct str payload)
{
    for (const struct bus_handler *h = t->handlers, *next; h; h = next) {
        if (h->event)
            h->event(h->arg, subject, payload);
        next = h->next;
    }
}

static bool frame_subscribe(struct bus_link *k, const struct frame *f)
{
    char *copy;

    if (strmap_get(&k->subscriptions, f->name))
        return true;
    if (k->subscriptions.count >= BUS_SUBSCRIPTIONS_MAX)
        return false;
    copy = str_dup(f->name);
    strmap_put(&k->subscriptions, str_of(copy), copy);
    return true;
}

static void frame_unsubscribe(struct bus_link *k, const struct frame *f)
{
    free(strmap_del(&k->subscriptions, f->name));
}

static bool link_wants_event(const struct bus_link *k, struct str subject)
{
    size_t at = subject.len + 1;

    return k->open && map_match(&k->subscriptions, subject, &at);
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
    if (b->transport->publish)
        return b->transport->publish(b, subject, payload);
    if (!b->connected)
        return ERR_UNAVAILABLE;
    LIST_EACH(it, &b->links) {
        struct bus_link *k = LIST_ITEM(it, struct bus_link, link);

        if (!link_wants_event(k, f.name) || is_second_link(k, f.name))
            continue;
        if (b->transport->is_silent && b->transport->is_silent(k))
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
    size_t at = f->name.len + 1;
    const struct bus_topic *t;

    while ((t = map_match(&k->bus->topics, f->name, &at)))
        bus_event(t, f->name, f->payload);
}

/* ---- breaks ---- */

static void watch_first(struct loop_task *task)
{
    struct bus_watch *w = LIST_ITEM(task, struct bus_watch, first);

    if (w->bus->whole)
        w->fn(w->arg, true);
}

void bus_on_break(struct bus *b, bus_break_fn *fn, void *arg)
{
    struct bus_watch *w = NEW(struct bus_watch);

    *w = (struct bus_watch){ .next = b->watches, .bus = b, .fn = fn, .arg = arg, .first = { .run = watch_first } };
    b->watches = w;
    if (b->whole)
        loop_at_end(b->loop, &w->first);
}

bool bus_connected(const struct bus *b)
{
    return b->connected;
}

void bus_break(struct bus *b, bool whole)
{
    b->whole = whole;
    for (struct bus_watch *w = b->watches; w; w = w->next) {
        loop_task_cancel(b->loop, &w->first);
        w->fn(w->arg, whole);
    }
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
    else if (f->kind == FRAME_UNSUBSCRIBE)
        frame_unsubscribe(k, f);
    else
        frame_event(k, f);
    if (!good) {
        LOG_WARN("bus.refused", LF_Z("peer", k->role), LF_I64("frame", f->kind));
        k->ops->abort(k);
    }
    return good;
}
