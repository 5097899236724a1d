/* link.c: see link.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/link.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/metric.h"
#include "courier/lease.h"
#include "courier/s2s.h"
#include "crypto/digest.h"

METRIC_GAUGE(links_open, "bongsu_courier_links", "Pairs of domains that courier has something to do with.");
METRIC_GAUGE(items_waiting, "bongsu_courier_waiting", "Stanzas in memory that wait for other servers.");
METRIC_COUNTER(handled, "bongsu_courier_delivered", "Kept stanzas that another server said it has.");
METRIC_COUNTER(expired, "bongsu_courier_expired", "Stanzas that another server did not take in time.");
METRIC_COUNTER(attempts, "bongsu_courier_attempts", "Connections begun to other servers.");
METRIC_COUNTER(failures, "bongsu_courier_failures", "Times no address of a server worked.");

enum { LINK_IDLE_MS = 60000, EXPIRED_STEP = 100 };

/* ---- items ---- */

struct item *item_new(struct str text, int64_t id, int64_t added_us)
{
    struct item *it = mem_new(sizeof *it + text.len + 1);

    it->id = id;
    it->added_us = added_us;
    it->added_ms = clock_mono_ms();
    it->len = text.len;
    memcpy(it->text, text.p, text.len);
    return it;
}

static void item_gone(struct link *l, struct item *it)
{
    l->count--;
    l->live_count -= it->id == 0;
    l->bytes -= it->len;
    l->unacked -= it->stream != 0;
    it->stream = 0;
}

/* Out of the list, and of the database. */
static void item_end(struct link *l, struct item *it)
{
    item_gone(l, it);
    if (it->id) {
        queue_remove(l, it);
        return;
    }
    list_remove(&it->in_link);
    free(it);
}

void link_take(struct link *l, struct item *it)
{
    list_append(&l->items, &it->in_link);
    l->count++;
    l->live_count += it->id == 0;
    l->bytes += it->len;
    l->used_ms = loop_now_ms(l->courier->loop);
    if (it->id)
        intmap_put(&l->by_id, it->id, it);
}

bool link_has_room(const struct link *l, size_t bytes)
{
    return l->count < LINK_ITEMS_MAX && l->bytes + bytes <= LINK_BYTES_MAX;
}

bool link_add(struct link *l, struct item *it)
{
    enum lease_state lease;

    l->used_ms = loop_now_ms(l->courier->loop);
    if (!it->id) {
        if (l->bytes + it->len > LINK_BYTES_MAX || l->live_count >= LINK_LIVE_MAX) {
            free(it);
            return false;
        }
        link_take(l, it);
        return true;
    }
    lease = lease_of(l->courier, l->remote);
    l->rows += lease != LEASE_OTHERS; /* who sends it counts it out again; here the sweep counts */
    if (l->more || l->reading || !link_has_room(l, it->len) || lease != LEASE_OURS) {
        l->missed |= l->reading;
        l->more = true; /* behind what is there: it is read in its turn */
        free(it);
        return true;
    }
    link_take(l, it);
    return true;
}

/* ---- links ---- */

struct link *link_find(struct courier *c, struct str local, struct str remote)
{
    char text[2 * COURIER_DOMAIN_BYTES_MAX + 2];
    int  n = snprintf(text, sizeof text, "%.*s %.*s", STR_ARG(local), STR_ARG(remote));

    return n < (int)sizeof text ? strmap_get(&c->links, str_make(text, (size_t)n)) : NULL;
}

struct link *link_get(struct courier *c, struct str local, struct str remote)
{
    struct link *l = link_find(c, local, remote);
    char        *text;

    if (l || c->links.count >= COURIER_LINKS_MAX)
        return l;
    l = NEW(struct link);
    l->courier = c;
    l->key.len = local.len + 1 + remote.len;
    text = mem_new(l->key.len + 1);
    memcpy(text, local.p, local.len);
    text[local.len] = ' ';
    memcpy(text + local.len + 1, remote.p, remote.len);
    l->key.p = text;
    l->local = str_make(text, local.len);
    l->remote = str_make(text + local.len + 1, remote.len);
    l->used_ms = loop_now_ms(c->loop);
    list_init(&l->items);
    list_init(&l->verifies);
    intmap_init(&l->by_id);
    intmap_init(&l->left);
    strmap_put(&c->links, l->key, l);
    return l;
}

struct link *link_to_ask(struct courier *c, struct str local, struct str remote)
{
    return c->links.count < COURIER_LINKS_MAX / 2 ? link_get(c, local, remote) : link_find(c, local, remote);
}

static void verify_free(struct link *l, struct verify *v)
{
    list_remove(&v->in_link);
    l->verify_count--;
    free(v->id);
    free(v->key);
    free(v);
}

void link_verified(struct link *l, struct verify *v, const char *result)
{
    struct s2s *s = s2s_find(l->courier, v->stream);

    verify_free(l, v);
    if (s)
        s2s_in_verified(s, l->local, l->remote, result);
}

static void verifies_answer(struct link *l, const char *result)
{
    while (!list_empty(&l->verifies))
        link_verified(l, LIST_ITEM(l->verifies.next, struct verify, in_link), result);
}

static void link_free(struct link *l)
{
    timer_stop(l->courier->loop, &l->again);
    names_forget(&l->query);
    LIST_EACH(it, &l->verifies)
        verify_free(l, LIST_ITEM(it, struct verify, in_link));
    LIST_EACH(it, &l->items)
        free(LIST_ITEM(it, struct item, in_link));
    intmap_done(&l->by_id);
    intmap_done(&l->left);
    strmap_del(&l->courier->links, l->key);
    free((char *)l->key.p);
    free(l);
}

void links_free(struct courier *c)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&c->links, &it, &key, &value);)
        link_free(value);
    strmap_done(&c->links);
}

/* ---- connecting ---- */

static void pause_then_again(struct link *l);

static void try_target(struct link *l)
{
    while (l->target_at < l->target_count) {
        l->out = s2s_out_connect(l, &l->targets[l->target_at]);
        metric_add(&attempts, 1);
        if (l->out)
            return;
        l->target_at++;
    }
    metric_add(&failures, 1);
    verifies_answer(l, "error");
    if (!l->was_away)
        LOG_WARN("link.away", LF_STR("remote", l->remote), LF_I64("waiting", l->count));
    l->was_away = true;
    pause_then_again(l);
}

static void names_known(void *arg, enum err e, const struct target *targets, int count)
{
    struct link *l = arg;

    l->query = NULL;
    if (e == ERR_NOT_FOUND) {
        link_refused(l, e, "remote-server-not-found");
        return;
    }
    l->target_count = e ? 0 : count;
    l->target_at = 0;
    memcpy(l->targets, targets, sizeof *targets * (size_t)l->target_count);
    try_target(l);
}

static void again(struct timer *t)
{
    link_go(LIST_ITEM(t, struct link, again));
}

static void pause_then_again(struct link *l)
{
    int most = l->courier->limits.retry_ms_max;

    l->pause_ms = l->pause_ms ? l->pause_ms * 2 : LINK_RETRY_MS_MIN;
    if (l->pause_ms > most)
        l->pause_ms = most;
    /* a quarter either way, so that all who wait for one server do not come at once */
    timer_start(l->courier->loop, &l->again, l->pause_ms * 3 / 4 + (int)(random_u64() % (unsigned)(l->pause_ms / 2 + 1)), again);
}

static bool has_unsent(const struct link *l)
{
    return l->count > l->unacked;
}

static struct s2s *carrier_of(struct link *l)
{
    if (!l->carrier)
        l->carrier = l->out && l->out->ready ? l->out : l->bidi;
    return l->carrier;
}

/* Another courier sends to that domain: it reads what is kept, and is given the rest. */
static void hand_back(struct link *l)
{
    LIST_EACH(it, &l->items) {
        struct item *x = LIST_ITEM(it, struct item, in_link);

        if (!x->id) {
            if (lease_pass_on(l->courier, l->local, l->remote, str_make(x->text, x->len)))
                item_end(l, x);
            continue;
        }
        if (x->told)
            continue;
        item_gone(l, x);
        list_remove(&x->in_link);
        intmap_del(&l->by_id, x->id);
        free(x);
    }
}

void link_go(struct link *l)
{
    enum lease_state lease;
    bool             work;

    if (l->courier->stopping)
        return;
    lease = l->count || l->more ? lease_of(l->courier, l->remote) : LEASE_UNKNOWN;
    if (lease == LEASE_OTHERS && l->more) {
        lease_poke(l->courier, l->local, l->remote);
        l->more = false;
    }
    if (lease == LEASE_OTHERS && l->count)
        hand_back(l);
    if (lease == LEASE_OURS && l->more && l->count < LINK_ITEMS_MAX / 2 && l->bytes < LINK_BYTES_MAX / 2)
        queue_read(l);
    work = lease == LEASE_OURS && has_unsent(l);
    if (work && carrier_of(l)) {
        s2s_carry(l->carrier, l);
        work = false;
    }
    if (l->verify_count && l->out)
        s2s_out_verify(l->out);
    if ((work || l->verify_count) && !l->out && !l->query && !timer_running(&l->again))
        l->query = names_find(l->courier->names, l->remote, names_known, l);
}

void link_wake(struct link *l)
{
    if (!timer_running(&l->again))
        return;
    timer_stop(l->courier->loop, &l->again);
    l->pause_ms = 0;
    link_go(l);
}

void link_verify(struct link *l, uint64_t stream, struct str id, struct str key)
{
    struct verify *v;
    struct s2s    *s = s2s_find(l->courier, stream);

    if (l->verify_count >= LINK_VERIFIES_MAX || !s) {
        if (s)
            s2s_in_verified(s, l->local, l->remote, "error");
        return;
    }
    v = NEW(struct verify);
    l->used_ms = loop_now_ms(l->courier->loop);
    *v = (struct verify){ .stream = stream, .made_ms = l->used_ms, .id = str_dup(id), .key = str_dup(key) };
    list_append(&l->verifies, &v->in_link);
    l->verify_count++;
    timer_stop(l->courier->loop, &l->again); /* who connects to us is there again */
    link_go(l);
}

/* ---- from the stream ---- */

void link_ready(struct link *l, struct s2s *s)
{
    s->ready = true;
    s->carries = l;
    if (l->was_away)
        LOG_INFO("link.back", LF_STR("remote", l->remote), LF_I64("waiting", l->count));
    l->was_away = false;
    if (s != l->out && !l->bidi)
        l->bidi = s;
    timer_stop(l->courier->loop, &l->again);
    link_go(l);
}

/* A live one is done with that. */
void link_sent(struct link *l, struct item *x, uint64_t stream)
{
    if (!x->id) {
        item_end(l, x);
        return;
    }
    x->stream = stream;
    l->unacked++;
}

void link_handled(struct link *l, struct s2s *s, uint32_t number)
{
    LIST_EACH(it, &l->items) {
        struct item *x = LIST_ITEM(it, struct item, in_link);

        if (x->stream != s->id)
            continue;
        if ((int32_t)(number - x->number) < 0)
            break;
        metric_add(&handled, 1);
        l->pause_ms = 0;
        item_end(l, x);
    }
    l->used_ms = loop_now_ms(l->courier->loop);
    link_go(l);
}

static void unsend(struct link *l, const struct s2s *s)
{
    LIST_EACH(it, &l->items) {
        struct item *x = LIST_ITEM(it, struct item, in_link);

        if (x->stream != s->id)
            continue;
        x->stream = 0;
        l->unacked--;
    }
}

void link_lost(struct link *l, struct s2s *s, enum err e)
{
    bool was_out = l->out == s;

    unsend(l, s);
    if (l->carrier == s)
        l->carrier = NULL;
    if (l->bidi == s)
        l->bidi = NULL;
    if (was_out)
        l->out = NULL;
    if (l->courier->stopping)
        return;
    LIST_EACH(it, &l->verifies)
        if (was_out)
            LIST_ITEM(it, struct verify, in_link)->asked = false;
    if (was_out && e) { /* it never worked: the next address, or later */
        if (!has_unsent(l) && !l->verify_count)
            return;
        l->target_at++;
        try_target(l);
    } else if (has_unsent(l) || l->verify_count) {
        pause_then_again(l); /* it worked and is gone: not at once again, for what breaks it may do so each time */
    }
}

struct refusal {
    struct courier *courier;
    char           *local, *remote;
    int64_t         id;
};

static void refused_told(void *arg, enum err e)
{
    struct refusal *r = arg;
    struct link    *l = link_find(r->courier, str_of(r->local), str_of(r->remote));
    struct item    *it = l ? intmap_get(&l->by_id, r->id) : NULL;

    if (it && !it->done && e != ERR_CLOSED) /* told, or nobody is to be told; else the next start tells */
        item_end(l, it);
    free(r->local);
    free(r->remote);
    free(r);
}

/* It is not to be sent any more. */
static void set_told(struct link *l, struct item *x)
{
    x->told = true;
    l->unacked += x->stream == 0;
    x->stream = UINT64_MAX;
}

/* Its sender is told; the row goes when talk has that, so it is told in any case. */
static void give_back(struct link *l, struct item *it, const char *type, const char *condition, const char *why)
{
    struct refusal *r = NEW(struct refusal);
    struct str      text = str_make(it->text, it->len);
    bool            live = it->id == 0;

    *r = (struct refusal){ l->courier, str_dup(l->local), str_dup(l->remote), it->id };
    inward_bounce(l->courier, l->remote, text, type, condition, why, refused_told, r);
    if (live) /* else `it` may be gone */
        item_end(l, it);
}

void link_refused(struct link *l, enum err e, const char *condition)
{
    LOG_WARN("link.refused", LF_STR("remote", l->remote), LF_Z("condition", condition), LF_ERR(e));
    verifies_answer(l, "error");
    LIST_EACH(it, &l->items) {
        struct item *x = LIST_ITEM(it, struct item, in_link);

        if (!x->told) {
            set_told(l, x);
            give_back(l, x, "cancel", condition, "there is no such server");
        }
    }
    if (l->more && l->count == 0)
        link_go(l);
}

/* ---- time ---- */

static void expire(struct link *l)
{
    int64_t now_us = clock_us(), now_ms = clock_mono_ms();
    int     step = 0;

    LIST_EACH(it, &l->items) {
        struct item *x = LIST_ITEM(it, struct item, in_link);
        bool late = x->id ? now_us - x->added_us > l->courier->limits.queue_us_max : now_ms - x->added_ms > l->courier->limits.live_ms_max;

        if (!late || x->told || step++ >= EXPIRED_STEP)
            continue;
        metric_add(&expired, 1);
        set_told(l, x);
        give_back(l, x, "wait", "remote-server-timeout", "the other server could not be reached");
    }
}

/* Who is asked may never answer, and who waits may have gone: a connection is not held open for that. */
static void verifies_expire(struct link *l)
{
    int64_t before_ms = loop_now_ms(l->courier->loop) - l->courier->limits.login_ms_max;

    LIST_EACH(it, &l->verifies) {
        struct verify *v = LIST_ITEM(it, struct verify, in_link);

        if (v->made_ms < before_ms || !s2s_find(l->courier, v->stream))
            link_verified(l, v, "error");
    }
}

static bool is_idle(const struct link *l)
{
    return !l->count && !l->more && !l->reading && !l->committing && !l->verify_count && !l->out && !l->bidi && !l->query &&
           l->by_id.count == 0 && loop_now_ms(l->courier->loop) - l->used_ms > LINK_IDLE_MS;
}

void links_tick(struct courier *c)
{
    struct str key;
    void      *value;
    int64_t    waiting = 0;

    for (size_t it = 0; strmap_next(&c->links, &it, &key, &value);) {
        struct link *l = value;

        waiting += l->count;
        expire(l);
        verifies_expire(l);
        if (is_idle(l))
            link_free(l);
        else if (l->count || l->more || l->verify_count)
            link_go(l);
    }
    metric_set(&links_open, (int64_t)c->links.count);
    metric_set(&items_waiting, waiting);
}
