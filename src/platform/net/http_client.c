/* http_client.c: see http_client.h. libcurl tells us which descriptors and what time it waits for; the loop
 * tells it when. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "net/http_client.h"
#include <curl/curl.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/mem.h"
#include "net/address.h"

enum { CONNECT_MS_MAX = 10000, CONNECTIONS_PER_HOST_MAX = 8, CONNECTIONS_MAX = 64 };

struct http_client {
    struct loop *loop;
    CURLM *multi;
    struct timer timer;
    struct loop_task look; /* finished calls are told at the end of the round */
    struct list calls;
    int busy;
    bool private_too;
    char *ca_file;
};

struct watched {
    struct loop_fd fd;
    struct http_client *client;
};

/* ---- calls end ---- */

static void call_release(struct http_call *call)
{
    struct http_client *c = call->client;

    curl_multi_remove_handle(c->multi, call->easy);
    curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->lines);
    call->easy = call->lines = NULL;
    list_remove(&call->link);
    c->busy--;
}

static enum err err_of(const struct http_call *call, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return OK;
    case CURLE_WRITE_ERROR: /* we cut it off; what it said before that holds */
        return call->status ? OK : ERR_UNAVAILABLE;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return ERR_INVALID;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return ERR_UNAUTHORIZED;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_COULDNT_CONNECT:
        return call->refused ? ERR_DENIED : ERR_UNAVAILABLE;
    default:
        return ERR_UNAVAILABLE;
    }
}

static void call_done(struct http_call *call, CURLcode code)
{
    long status = 0;
    curl_off_t after = 0;
    enum err e;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &after);
    call->status = (int)status;
    call->retry_after_s = after > 0 ? (int64_t)after : 0;
    e = err_of(call, code);
    call_release(call);
    call->done(call, e);
}

static void look(struct loop_task *task)
{
    struct http_client *c = LIST_ITEM(task, struct http_client, look);
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(c->multi, &left))) {
        struct http_call *call = NULL;

        if (m->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
        call_done(call, m->data.result);
    }
}

/* ---- waiting, as libcurl asks for it ---- */

static void act(struct http_client *c, curl_socket_t fd, int mask)
{
    int running;

    curl_multi_socket_action(c->multi, fd, mask, &running);
    loop_at_end(c->loop, &c->look);
}

static void ready(struct loop_fd *fd, unsigned events)
{
    struct watched *w = LIST_ITEM(fd, struct watched, fd);

    act(w->client, fd->fd,
        (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct http_client *c = arg;
    struct watched *w = socket_arg;
    unsigned events = (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            loop_fd_remove(c->loop, &w->fd);
            loop_free_later(c->loop, w);
        }
        curl_multi_assign(c->multi, fd, NULL);
    } else if (w) {
        loop_fd_set(c->loop, &w->fd, events);
    } else {
        w = NEW(struct watched);
        w->client = c;
        w->fd = (struct loop_fd){.fd = fd, .ready = ready};
        if (loop_fd_add(c->loop, &w->fd, events) != OK) {
            free(w);
            return -1;
        }
        curl_multi_assign(c->multi, fd, w);
    }
    return 0;
}

static void timer_due(struct timer *timer)
{
    act(LIST_ITEM(timer, struct http_client, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct http_client *c = arg;

    (void)multi;
    if (ms < 0)
        timer_stop(c->loop, &c->timer);
    else
        timer_start(c->loop, &c->timer, ms, timer_due);
    return 0;
}

/* ---- one call ---- */

/* Judged here, where the address is known that will be used: what the name gave a moment ago may be another
 * one now. */
static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct http_call *call = arg;

    (void)purpose;
    if (!call->client->private_too && !address_is_public(&a->addr)) {
        call->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t count(size_t *sum, size_t bytes)
{
    *sum += bytes;
    return *sum <= HTTP_CLIENT_ANSWER_BYTES_MAX ? bytes : 0;
}

static size_t on_head(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    return count(&((struct http_call *)arg)->head_bytes, size * n);
}

/* Nobody reads what a push service says besides its status. */
static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    return count(&((struct http_call *)arg)->body_bytes, size * n);
}

static void set_bounds(CURL *e, struct http_call *call, const struct http_post *p)
{
    const struct http_client *c = call->client;

    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, c->private_too ? "https,http" : "https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)p->timeout_ms);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                     (long)(p->timeout_ms < CONNECT_MS_MAX ? p->timeout_ms : CONNECT_MS_MAX));
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, call);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L); /* rather one connection more used than one more made */
    curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (c->ca_file)
        curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
}

enum err http_client_post(struct http_client *c, struct http_call *call, const struct http_post *p)
{
    CURL *e;
    struct curl_slist *lines = NULL;
    char *url;

    if (c->busy >= HTTP_CLIENT_CALLS_MAX)
        return ERR_LIMIT;
    e = curl_easy_init();
    if (!e)
        return ERR_LIMIT;
    for (int i = 0; i < HTTP_CLIENT_HEADERS_MAX && p->headers[i]; i++)
        lines = curl_slist_append(lines, p->headers[i]);
    lines = curl_slist_append(lines, "Expect:");
    call->client = c;
    call->easy = e;
    call->lines = lines;
    call->status = 0;
    call->retry_after_s = 0;
    call->head_bytes = call->body_bytes = 0;
    call->refused = false;
    url = str_dup(p->url);
    curl_easy_setopt(e, CURLOPT_URL, url);
    free(url);
    set_bounds(e, call, p);
    curl_easy_setopt(e, CURLOPT_PRIVATE, call);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, lines);
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)p->body.len);
    curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, p->body.p ? p->body.p : "");
    list_append(&c->calls, &call->link);
    c->busy++;
    curl_multi_add_handle(c->multi, e); /* sets the timer; the work begins there */
    return OK;
}

void http_client_cancel(struct http_call *call)
{
    if (call->easy)
        call_release(call);
}

/* ---- life ---- */

int http_client_busy(const struct http_client *c)
{
    return c->busy;
}

enum err http_client_new(struct loop *l, const struct http_client_settings *s, struct http_client **out)
{
    struct http_client *c;
    CURLM *m;

    *out = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
        return ERR_BUG;
    m = curl_multi_init();
    if (!m)
        return ERR_BUG;
    c = NEW(struct http_client);
    c->loop = l;
    c->multi = m;
    c->look.run = look;
    c->private_too = s->private_too;
    c->ca_file = s->ca_file && *s->ca_file ? str_dup(str_of(s->ca_file)) : NULL;
    list_init(&c->calls);
    curl_multi_setopt(m, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(m, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(m, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(m, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(
        m, CURLMOPT_MAX_HOST_CONNECTIONS,
        (long)(s->connections_per_host_max ? s->connections_per_host_max : CONNECTIONS_PER_HOST_MAX));
    curl_multi_setopt(m, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                      (long)(s->connections_max ? s->connections_max : CONNECTIONS_MAX));
    *out = c;
    return OK;
}

void http_client_free(struct http_client **cp)
{
    struct http_client *c = *cp;

    if (!c)
        return;
    *cp = NULL;
    while (!list_empty(&c->calls))
        call_release(LIST_ITEM(c->calls.next, struct http_call, link));
    curl_multi_cleanup(c->multi);
    timer_stop(c->loop, &c->timer);
    loop_task_cancel(c->loop, &c->look);
    free(c->ca_file);
    free(c);
}
