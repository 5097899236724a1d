/* peers.c: a copy at each site. What became whole here is owed to every peer, in rows, and pushed in the background, one file at
 * a time for each; a site that was away gets its share when it is back, and a new one gets all. A file that is asked
 * for before it came is fetched from whoever has it, and kept. Text waits for none of this.
 *
 *   push: PUT /files/<id>/<name>, Authorization: Bongsu-Peer <signed slot>          201
 *   fetch: GET /files/<id>/<name>, Authorization: Bongsu-Peer <signed question>     200 and Bongsu-Slot: <signed slot>, or 404
 *   forget: DELETE /files/<id>/-, Authorization: Bongsu-Peer <signed owner>         204
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/peers.h"
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "files/receive.h"
#include "net/http_ask.h"
#include "wire/uri.h"

METRIC_COUNTER(pushed, "bongsu_files_pushed", "Files given to other sites.");
METRIC_COUNTER(push_failed, "bongsu_files_push_failed", "Tries to give a file to another site that failed; they are repeated.");
METRIC_COUNTER(fetched, "bongsu_files_fetched", "Files that were asked for here and fetched from another site.");

enum { BACKOFF_MS_MIN = 500, BACKOFF_MS_MAX = 60000, SILENCE_MS = 15000, PULLS_MAX = 32, WAITERS_MAX = 64 };

struct peer {
    struct store     *store;
    char             *address;
    struct http_ask *call;
    uint8_t           id[SLOT_ID_BYTES];        /* on its way */
    int               status, backoff_ms;
    struct timer      again;
    struct commit_op  op;
    bool              paying;
};

static void push(struct peer *p);

/* ---- what both directions say ---- */

static void put_target(struct buf *b, const uint8_t id[SLOT_ID_BYTES], struct str name)
{
    BUF_LIT(b, STORE_PATH);
    slot_id_put(b, id);
    buf_put_c(b, '/');
    uri_put_segment(b, name);
}

static void put_token(struct buf *b, const struct store *st, const struct slot *s)
{
    BUF_LIT(b, "Authorization: Bongsu-Peer ");
    slot_sign(b, &st->key, s);
    BUF_LIT(b, "\r\n");
}

static enum err call(struct peer *p, const char *method, const struct slot *s, int fd, const struct http_ask_events *ev, void *arg,
                     struct http_ask **out)
{
    struct store            *st = p->store;
    struct buf               target, headers;
    struct http_ask_request q = { .address = str_of(p->address), .tls = st->peer_tls, .tls_name = str_of(st->domain),
                                   .method = str_of(method), .host = str_of(st->domain), .fd = fd, .bytes = fd < 0 ? 0 : s->bytes,
                                   .ms_max = SILENCE_MS };
    enum err                 e;

    buf_init(&target, 0);
    buf_init(&headers, 0);
    put_target(&target, s->id, s->name);
    put_token(&headers, st, s);
    q.target = buf_str(&target);
    q.headers = buf_str(&headers);
    e = http_ask_new(st->loop, &q, ev, arg, out);
    buf_done(&target);
    buf_done(&headers);
    return e;
}

/* ---- push ---- */

static void again(struct timer *t)
{
    push(LIST_ITEM(t, struct peer, again));
}

static void try_later(struct peer *p)
{
    metric_add(&push_failed, 1);
    p->backoff_ms = p->backoff_ms ? p->backoff_ms * 2 : BACKOFF_MS_MIN;
    if (p->backoff_ms > BACKOFF_MS_MAX)
        p->backoff_ms = BACKOFF_MS_MAX;
    timer_start(p->store->loop, &p->again, p->backoff_ms, again);
}

static enum err paid_apply(struct db_conn *c, struct commit_op *self)
{
    struct peer *p = LIST_ITEM(self, struct peer, op);

    return catalog_paid(c, str_of(p->address), p->id);
}

static void paid(struct commit_op *self, enum err e)
{
    struct peer *p = LIST_ITEM(self, struct peer, op);

    p->paying = false;
    if (e)
        try_later(p);
    else
        push(p);
}

static void pay(struct peer *p)
{
    p->op = (struct commit_op){ .apply = paid_apply, .done = paid };
    p->paying = true;
    p->backoff_ms = 0;
    if (commit_add(p->store->db, &p->op)) {
        p->paying = false;
        try_later(p);
    }
}

static void push_head(void *arg, int status, const struct http_request *r) { ((struct peer *)arg)->status = status; }
static void push_bytes(void *arg, struct str in) { }

static void push_end(void *arg, enum err e)
{
    struct peer *p = arg;

    p->call = NULL;
    if (p->status == 409)
        LOG_ERROR("files.peer_differs", LF_Z("peer", p->address));
    if (p->status == 201 || p->status == 204 || p->status == 409 || p->status == 410) {
        metric_add(&pushed, p->status == 201);
        receive_copied(p->store, p->id);
        pay(p);
        return;
    }
    LOG_DEBUG("files.push", LF_Z("peer", p->address), LF_I64("status", p->status), LF_ERR(e));
    try_later(p);
}

static const struct http_ask_events push_events = { push_head, push_bytes, push_end };

static enum err push_file(struct peer *p, const struct file_row *row)
{
    struct slot s = { .kind = SLOT_PEER, .owner = row->owner, .name = row->name, .type = row->type, .bytes = row->bytes,
                      .made_us = row->made_us };
    int         fd = row->whole ? blob_read(&p->store->blobs, row->hash) : -1;

    if (fd < 0)
        return ERR_NOT_FOUND;
    memcpy(s.id, p->id, sizeof s.id);
    return call(p, "PUT", &s, fd, &push_events, p, &p->call);
}

static enum err push_forget(struct peer *p, struct arena *a)
{
    struct slot s = { .kind = SLOT_FORGET, .name = STR("-") };
    enum err    e = catalog_forgotten(db_loop_conn(p->store->db), a, p->id, &s.owner, &s.made_us);

    memcpy(s.id, p->id, sizeof s.id);
    return e ? e : call(p, "DELETE", &s, -1, &push_events, p, &p->call);
}

static void push(struct peer *p)
{
    struct store   *st = p->store;
    struct file_row row;
    struct arena    a;
    enum err        e;

    if (p->call || p->paying || timer_running(&p->again) || !st->has_key || st->closing)
        return;
    if (catalog_owed(db_loop_conn(st->db), str_of(p->address), p->id))
        return;
    arena_init(&a);
    p->status = 0;
    e = catalog_find(db_loop_conn(st->db), &a, p->id, &row);
    e = e == ERR_NOT_FOUND ? push_forget(p, &a) : e ? e : push_file(p, &row);
    arena_done(&a);
    if (e == ERR_NOT_FOUND)
        pay(p);             /* it is gone, or not readable: nothing to give */
    else if (e)
        try_later(p);
}

bool peers_reachable(const struct store *st)
{
    for (int i = 0; i < st->peer_count; i++)
        if (!st->peers[i]->backoff_ms)
            return true;
    return false;
}

void peers_wake(struct store *st)
{
    for (int i = 0; i < st->peer_count; i++)
        push(st->peers[i]);
}

enum err peers_owe(struct store *st, struct db_conn *c, const uint8_t id[SLOT_ID_BYTES])
{
    enum err e = OK;

    for (int i = 0; i < st->peer_count && !e; i++)
        e = catalog_owe(c, str_of(st->peers[i]->address), id);
    return e;
}

/* ---- fetch ---- */

struct waiter {
    struct list           link;
    struct http_exchange *x;
    bool                  head;
    char                 *range, *none_match, *match, *if_range;
};

struct pull {
    struct list       link;
    struct store     *store;
    uint8_t           id[SLOT_ID_BYTES];
    char             *name;
    struct list       waiters;
    int               waiter_count, next;       /* the peer to ask next */
    bool              unsure;                   /* one could not be asked */
    struct http_ask *call;
    struct receipt   *receipt;
};

static void ask_next(struct pull *l);

static void waiter_free(struct waiter *w)
{
    list_remove(&w->link);
    free(w->range);
    free(w->none_match);
    free(w->match);
    free(w->if_range);
    free(w);
}

static void answer_waiter(struct pull *l, struct waiter *w, const struct file_row *row)
{
    if (row && str_is(row->name, l->name))
        http_give(l->store, w->x, row, str_of(w->range), str_of(w->none_match), str_of(w->match), str_of(w->if_range), w->head);
    else if (!row && l->unsure)
        http_refuse(w->x, 503, "Retry-After: 10\r\n", "the file may be at another site, which cannot be asked now\n");
    else
        http_refuse(w->x, 404, "", "there is no such file\n");
}

static void pull_end(struct pull *l)
{
    struct store   *st = l->store;
    struct file_row row;
    struct arena    a;
    bool            here;

    arena_init(&a);
    here = st->db && catalog_find(db_loop_conn(st->db), &a, l->id, &row) == OK && row.whole;
    LIST_EACH(it, &l->waiters) {
        struct waiter *w = LIST_ITEM(it, struct waiter, link);

        answer_waiter(l, w, here ? &row : NULL);
        waiter_free(w);
    }
    arena_done(&a);
    list_remove(&l->link);
    st->pull_count--;
    free(l->name);
    loop_free_later(st->loop, l);
}

static void kept(void *arg, enum err e, int64_t at)
{
    struct pull *l = arg;

    l->receipt = NULL;
    http_ask_cancel(&l->call);
    metric_add(&fetched, !e);
    if (e)
        l->unsure = true;
    if (e && e != ERR_FULL)
        ask_next(l);
    else
        pull_end(l);
}

static void fetch_hold(void *arg) { if (((struct pull *)arg)->call) http_ask_hold(((struct pull *)arg)->call); }
static void fetch_go_on(void *arg) { if (((struct pull *)arg)->call) http_ask_go_on(((struct pull *)arg)->call); }
static const struct receive_events fetch_keeps = { fetch_hold, fetch_go_on, kept };

static void fetch_head(void *arg, int status, const struct http_request *r)
{
    struct pull *l = arg;
    struct arena a;
    struct slot  s;

    if (status != 200) {
        l->unsure = l->unsure || status != 404;
        return;
    }
    arena_init(&a);
    if (slot_read(&a, http_header(r, "Bongsu-Slot"), &l->store->key, SLOT_PEER, &s) != OK || memcmp(s.id, l->id, SLOT_ID_BYTES) != 0
        || r->content_bytes != s.bytes || receive_new(l->store, &s, -1, s.bytes, true, &fetch_keeps, l, &l->receipt) != OK)
        l->unsure = true;
    arena_done(&a);
}

static void fetch_bytes(void *arg, struct str in)
{
    struct pull *l = arg;

    if (l->receipt)
        receive_bytes(l->receipt, in);
}

static void fetch_end(void *arg, enum err e)
{
    struct pull *l = arg;

    l->call = NULL;
    l->unsure = l->unsure || e;
    if (l->receipt && !e) {
        receive_end(l->receipt);
        return;
    }
    if (l->receipt)
        receive_abandon(l->receipt);
    l->receipt = NULL;
    ask_next(l);
}

static const struct http_ask_events fetch_events = { fetch_head, fetch_bytes, fetch_end };

static void ask_next(struct pull *l)
{
    struct store *st = l->store;
    struct slot   s = { .kind = SLOT_ASK, .name = str_of(l->name), .made_us = clock_us() };

    memcpy(s.id, l->id, sizeof s.id);
    while (l->next < st->peer_count) {
        if (call(st->peers[l->next++], "GET", &s, -1, &fetch_events, l, &l->call) == OK)
            return;
        l->unsure = true;
    }
    pull_end(l);
}

static struct pull *pull_of(struct store *st, const uint8_t id[SLOT_ID_BYTES])
{
    LIST_EACH(it, &st->pulls) {
        struct pull *l = LIST_ITEM(it, struct pull, link);

        if (memcmp(l->id, id, SLOT_ID_BYTES) == 0)
            return l;
    }
    return NULL;
}

static struct pull *pull_new(struct store *st, const uint8_t id[SLOT_ID_BYTES], struct str name)
{
    struct pull *l = NEW(struct pull);

    l->store = st;
    memcpy(l->id, id, SLOT_ID_BYTES);
    l->name = str_dup(name);
    list_init(&l->waiters);
    list_append(&st->pulls, &l->link);
    st->pull_count++;
    return l;
}

static char *copy(struct str s) { return s.p ? str_dup(s) : NULL; }

static void wait(struct pull *l, struct http_exchange *x, const struct http_request *r)
{
    struct waiter *w = NEW(struct waiter);

    *w = (struct waiter){ .x = x, .head = str_is(r->method, "HEAD"), .range = copy(http_header(r, "Range")),
                          .none_match = copy(http_header(r, "If-None-Match")), .match = copy(http_header(r, "If-Match")),
                          .if_range = copy(http_header(r, "If-Range")) };
    list_append(&l->waiters, &w->link);
    l->waiter_count++;
}

bool peers_fetch(struct store *st, const uint8_t id[SLOT_ID_BYTES], struct http_exchange *x, const struct http_request *r, struct str name)
{
    struct pull *l = pull_of(st, id);
    bool         is_new = !l;

    if (!st->peer_count || (l && !str_is(name, l->name)))
        return false;
    if ((is_new && st->pull_count >= PULLS_MAX) || (l && l->waiter_count >= WAITERS_MAX)) {
        http_refuse(x, 503, "Retry-After: 2\r\n", "too many files are being fetched from other sites now\n");
        return true;
    }
    if (is_new)
        l = pull_new(st, id, name);
    wait(l, x, r);
    if (is_new)
        ask_next(l);
    return true;
}

/* ---- life ---- */

static enum err peer_known_apply(struct db_conn *c, struct commit_op *self)
{
    struct peer *p = LIST_ITEM(self, struct peer, op);
    enum err     e = catalog_owe_all(c, str_of(p->address));

    return e ? e : catalog_peer(c, str_of(p->address));
}

static struct peer *peer_new(struct store *st, struct str address)
{
    struct peer *p = NEW(struct peer);

    p->store = st;
    p->address = str_dup(address);
    return p;
}

/* One that was never named before gets everything. */
static void peer_start(struct peer *p)
{
    if (catalog_knows_peer(db_loop_conn(p->store->db), str_of(p->address)))
        return;
    p->op = (struct commit_op){ .apply = peer_known_apply, .done = paid };
    p->paying = commit_add(p->store->db, &p->op) == OK;
}

static enum err tls_open(struct store *st, const struct settings *s, struct arena *a, struct str *why)
{
    const char         *ca = settings_text(s, "files.peers_ca");
    struct tls_settings ts = { .ca_file = *ca ? ca : NULL, .verify = true, .alpn = "http/1.1" };

    return *settings_text(s, "tls.certificate") ? tls_ctx_new(&ts, &st->peer_tls, a, why) : OK;
}

enum err peers_init(struct store *st, const struct settings *s, struct arena *a, struct str *why)
{
    struct str rest = str_of(settings_text(s, "files.peers"));
    enum err   e = rest.len ? tls_open(st, s, a, why) : OK;

    list_init(&st->pulls);
    while (!e && rest.len) {
        struct str address = str_trim(str_split(&rest, ','));

        if (!conn_address_is_valid(address) || st->peer_count == FILES_PEERS_MAX) {
            *why = arena_printf(a, "files.peers: \"%.*s\" is no numeric address with a port, or one too many", STR_ARG(address));
            return ERR_INVALID;
        }
        st->peers[st->peer_count++] = peer_new(st, address);
    }
    for (int i = 0; i < st->peer_count; i++)
        peer_start(st->peers[i]);
    return e;
}

void peers_stop(struct store *st)
{
    for (int i = 0; i < st->peer_count; i++) {
        http_ask_cancel(&st->peers[i]->call);
        timer_stop(st->loop, &st->peers[i]->again);
    }
    LIST_EACH(it, &st->pulls) {
        struct pull *l = LIST_ITEM(it, struct pull, link);

        l->unsure = true;
        l->next = st->peer_count;
        http_ask_cancel(&l->call);
        if (!l->receipt)
            pull_end(l);
    }
}

void peers_free(struct store *st)
{
    for (int i = 0; i < st->peer_count; i++) {
        free(st->peers[i]->address);
        free(st->peers[i]);
    }
    st->peer_count = 0;
    tls_ctx_unref(&st->peer_tls);
}
