/* names.c: see names.h.
 *
 *   routes? ─yes─▶ there
 *      └─no─▶ SRV _xmpps-server and _xmpp-server at once ─records─▶ addresses of each host, in order of priority
 *                        └─none─▶ addresses of the domain itself, port 5269
 *
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/names.h"
#include <ares.h>
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include "crypto/digest.h"
#include "proc/settings.h"

enum { SOCKETS_MAX = 64, HOSTS_MAX = 8, TRIES = 2, TRY_MS = 2500, PORT_DEFAULT = 5269 };

struct watched {
    struct loop_fd fd; /* first */
    struct names  *names;
};

struct names {
    struct courier *courier;
    ares_channel    channel;
    struct watched  sockets[SOCKETS_MAX];
    struct timer    timer;
    struct list     queries;
};

struct host {
    char     name[256];
    uint16_t port, priority, weight;
    bool     tls;
};

struct names_query {
    struct list   in_names;
    struct names *names;
    names_fn     *fn;
    void         *arg; /* fn NULL: forgotten */
    char          domain[256];
    int           waiting; /* answers of c-ares to come */
    bool          trouble; /* one of them was no answer */
    bool          closed;  /* a record says that there is no such service */
    int           host_count, host_at;
    struct host   hosts[HOSTS_MAX];
    int           target_count;
    struct target targets[NAMES_TARGETS_MAX];
    struct timer  later;
};

/* ---- c-ares on the loop ---- */

static void arm(struct names *n);

static void on_ready(struct loop_fd *self, unsigned events)
{
    struct watched *w = (struct watched *)self;
    struct names   *n = w->names;
    int             fd = self->fd;

    ares_process_fd(n->channel, events & LOOP_READ ? fd : ARES_SOCKET_BAD, events & LOOP_WRITE ? fd : ARES_SOCKET_BAD);
    arm(n);
}

static struct watched *find(struct names *n, int fd)
{
    for (int i = 0; i < SOCKETS_MAX; i++)
        if (n->sockets[i].names && n->sockets[i].fd.fd == fd)
            return &n->sockets[i];
    return NULL;
}

static struct watched *find_free(struct names *n)
{
    for (int i = 0; i < SOCKETS_MAX; i++)
        if (!n->sockets[i].names)
            return &n->sockets[i];
    return NULL;
}

static void on_socket(void *arg, ares_socket_t fd, int readable, int writable)
{
    struct names   *n = arg;
    struct watched *w = find(n, fd);
    unsigned        events = (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0);

    if (w && !events) {
        loop_fd_remove(n->courier->loop, &w->fd);
        w->names = NULL;
    } else if (w) {
        loop_fd_set(n->courier->loop, &w->fd, events);
    } else if (events && (w = find_free(n))) { /* more at one time: they time out, and are asked again */
        w->fd = (struct loop_fd){ .fd = fd, .ready = on_ready };
        w->names = n;
        if (loop_fd_add(n->courier->loop, &w->fd, events) != OK)
            w->names = NULL;
    }
}

static void on_time(struct timer *t)
{
    struct names *n = LIST_ITEM(t, struct names, timer);

    ares_process_fd(n->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    arm(n);
}

static void arm(struct names *n)
{
    struct timeval tv, *next = ares_timeout(n->channel, NULL, &tv);

    if (next)
        timer_start(n->courier->loop, &n->timer, next->tv_sec * 1000 + next->tv_usec / 1000 + 1, on_time);
    else
        timer_stop(n->courier->loop, &n->timer);
}

/* ---- the answer ---- */

static void finish(struct names_query *q)
{
    names_fn *fn = q->fn;
    enum err  e = q->target_count ? OK : q->trouble ? ERR_UNAVAILABLE : ERR_NOT_FOUND;

    list_remove(&q->in_names);
    if (fn)
        fn(q->arg, e, q->targets, q->target_count);
    free(q);
}

static void finish_later(struct timer *t)
{
    finish(LIST_ITEM(t, struct names_query, later));
}

static void hosts_next(struct names_query *q);

static void add_target(struct names_query *q, const struct sockaddr *sa, uint16_t port, bool tls)
{
    struct target *t;
    char           text[INET6_ADDRSTRLEN];

    if (q->target_count == NAMES_TARGETS_MAX)
        return;
    t = &q->targets[q->target_count];
    if (sa->sa_family == AF_INET) {
        inet_ntop(AF_INET, &((const struct sockaddr_in *)sa)->sin_addr, text, sizeof text);
        snprintf(t->address, sizeof t->address, "%s:%u", text, port);
    } else if (sa->sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)sa)->sin6_addr, text, sizeof text);
        snprintf(t->address, sizeof t->address, "[%s]:%u", text, port);
    } else {
        return;
    }
    t->tls = tls;
    q->target_count++;
}

static bool is_certain(int status)
{
    return status == ARES_ENOTFOUND || status == ARES_ENODATA;
}

static void on_addresses(void *arg, int status, int timeouts, struct ares_addrinfo *found)
{
    struct names_query *q = arg;
    const struct host  *h = &q->hosts[q->host_at++];

    (void)timeouts;
    if (status == ARES_SUCCESS)
        for (const struct ares_addrinfo_node *a = found->nodes; a; a = a->ai_next)
            add_target(q, a->ai_addr, h->port, h->tls);
    else if (!is_certain(status))
        q->trouble = true;
    if (found)
        ares_freeaddrinfo(found);
    hosts_next(q);
}

/* One host after the other, so that the order of the targets is theirs. */
static void hosts_next(struct names_query *q)
{
    static const struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };

    if (!q->fn || q->host_at == q->host_count || q->target_count == NAMES_TARGETS_MAX) {
        finish(q);
        return;
    }
    ares_getaddrinfo(q->names->channel, q->hosts[q->host_at].name, NULL, &hints, on_addresses, q);
}

/* RFC 2782: by priority; among equals the heavier one is likely, not certain, to be first. */
static void hosts_order(struct names_query *q)
{
    for (int i = 0; i < q->host_count; i++) {
        int      best = i;
        uint64_t total = 0, at;

        for (int k = i; k < q->host_count; k++)
            if (q->hosts[k].priority < q->hosts[best].priority)
                best = k;
        for (int k = i; k < q->host_count; k++)
            if (q->hosts[k].priority == q->hosts[best].priority)
                total += q->hosts[k].weight + 1u;
        at = random_u64() % total;
        for (int k = i; k < q->host_count; k++) {
            if (q->hosts[k].priority != q->hosts[best].priority)
                continue;
            if (at <= q->hosts[k].weight) {
                struct host h = q->hosts[k];

                q->hosts[k] = q->hosts[i];
                q->hosts[i] = h;
                break;
            }
            at -= q->hosts[k].weight + 1u;
        }
    }
}

static void domain_itself(struct names_query *q)
{
    struct host *h = &q->hosts[q->host_count++];

    *h = (struct host){ .port = PORT_DEFAULT };
    snprintf(h->name, sizeof h->name, "%s", q->domain);
}

static void services_known(struct names_query *q)
{
    if (q->host_count == 0 && !q->closed) /* RFC 6120 §3.2.2: also when there was no answer */
        domain_itself(q);
    hosts_order(q);
    hosts_next(q);
}

static void on_service(struct names_query *q, int status, const unsigned char *reply, int bytes, bool tls)
{
    struct ares_srv_reply *records = NULL;

    if (status == ARES_SUCCESS)
        status = ares_parse_srv_reply(reply, bytes, &records);
    if (status != ARES_SUCCESS && !is_certain(status))
        q->trouble = true;
    for (struct ares_srv_reply *r = records; r && q->host_count < HOSTS_MAX; r = r->next) {
        struct host *h = &q->hosts[q->host_count];

        if (r->host[0] == '\0' || strcmp(r->host, ".") == 0) {
            q->closed |= !tls;
            continue;
        }
        if (!str_copy(str_of(r->host), h->name, sizeof h->name))
            continue;
        h->port = r->port;
        h->priority = r->priority;
        h->weight = r->weight;
        h->tls = tls;
        q->host_count++;
    }
    if (records)
        ares_free_data(records);
    if (--q->waiting == 0)
        services_known(q);
}

static void on_tls_service(void *arg, int status, int timeouts, unsigned char *reply, int bytes)
{
    (void)timeouts;
    on_service(arg, status, reply, bytes, true);
}

static void on_plain_service(void *arg, int status, int timeouts, unsigned char *reply, int bytes)
{
    (void)timeouts;
    on_service(arg, status, reply, bytes, false);
}

/* ---- the question ---- */

/* "a.example=10.1.2.3:5269, b.example=tls:10.1.2.4:5270" */
static bool route_find(const struct courier *c, struct str domain, struct names_query *q)
{
    struct str rest = str_of(settings_text(c->settings, "federation.routes"));

    while (rest.len) {
        struct str     one = str_trim(str_split(&rest, ','));
        struct str     to = one, name = str_trim(str_split(&to, '='));
        struct target *t = &q->targets[q->target_count];

        to = str_trim(to);
        if ((!str_eq_nocase(name, domain) && !str_eq_nocase(name, str_of(q->domain))) || q->target_count == NAMES_TARGETS_MAX)
            continue;
        t->tls = str_starts(to, STR("tls:"));
        if (t->tls)
            to = str_make(to.p + 4, to.len - 4);
        if (conn_address_is_valid(to) && !str_starts(to, STR("unix:")) && str_copy(to, t->address, sizeof t->address))
            q->target_count++;
    }
    return q->target_count > 0;
}

static void query_start(struct timer *t)
{
    struct names_query *q = LIST_ITEM(t, struct names_query, later);
    struct names       *n = q->names;
    char                name[300];

    if (!q->fn) {
        finish(q);
        return;
    }
    q->waiting = 2;
    snprintf(name, sizeof name, "_xmpps-server._tcp.%s", q->domain);
    ares_query(n->channel, name, 1 /* IN */, 33 /* SRV */, on_tls_service, q);
    snprintf(name, sizeof name, "_xmpp-server._tcp.%s", q->domain);
    ares_query(n->channel, name, 1, 33, on_plain_service, q);
    arm(n);
}

struct names_query *names_find(struct names *n, struct str domain, names_fn *fn, void *arg)
{
    struct names_query *q = NEW(struct names_query);
    bool                known = courier_ascii(domain, q->domain);

    list_append(&n->queries, &q->in_names);
    q->names = n;
    q->fn = fn;
    q->arg = arg;
    if (route_find(n->courier, domain, q) || !known)
        timer_start(n->courier->loop, &q->later, 0, finish_later);
    else
        timer_start(n->courier->loop, &q->later, 0, query_start);
    return q;
}

void names_forget(struct names_query **q)
{
    if (*q)
        (*q)->fn = NULL;
    *q = NULL;
}

/* ---- life ---- */

enum err names_new(struct courier *c, struct names **out, struct arena *a, struct str *why)
{
    struct names       *n = NEW(struct names);
    const char         *servers = settings_text(c->settings, "federation.resolver");
    struct ares_options o = { .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_STAYOPEN,
                              .timeout = TRY_MS,
                              .tries = TRIES,
                              .sock_state_cb = on_socket,
                              .sock_state_cb_data = n };
    int                 rc = ares_library_init(ARES_LIB_INIT_ALL);

    n->courier = c;
    list_init(&n->queries);
    if (rc == ARES_SUCCESS)
        rc = ares_init_options(&n->channel, &o, ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (rc == ARES_SUCCESS && *servers) {
        rc = ares_set_servers_ports_csv(n->channel, servers);
        if (rc != ARES_SUCCESS)
            ares_destroy(n->channel);
    }
    if (rc != ARES_SUCCESS) {
        *why = arena_printf(a, "could not set up the DNS resolver (federation.resolver = \"%s\"): %s", servers, ares_strerror(rc));
        free(n);
        return ERR_INVALID;
    }
    *out = n;
    return OK;
}

void names_free(struct names **np)
{
    struct names *n = *np;

    if (!n)
        return;
    *np = NULL;
    timer_stop(n->courier->loop, &n->timer);
    ares_destroy(n->channel); /* tells each query that it is over */
    for (int i = 0; i < SOCKETS_MAX; i++)
        if (n->sockets[i].names)
            loop_fd_remove(n->courier->loop, &n->sockets[i].fd);
    ares_library_cleanup();
    LIST_EACH(it, &n->queries) {
        struct names_query *q = LIST_ITEM(it, struct names_query, in_names);

        timer_stop(n->courier->loop, &q->later);
        free(q);
    }
    free(n);
}
