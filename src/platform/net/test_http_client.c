/* test_http_client.c: what a request brings back, and what is refused, with a server of our own on the same
 * loop. SPDX-License-Identifier: AGPL-3.0-or-later */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/test.h"
#include "net/address.h"
#include "net/http.h"
#include "net/http_client.h"

static const struct conn_limits limits = {.in_bytes_max = 2 << 20, .out_bytes_max = 4 << 20};

struct site {
    struct loop *loop;
    struct http_server server;
    struct listener *listener;
    struct http_client *client;
    char url[64];
    struct http_exchange *held; /* not answered before the end */
    int asked;
    char got[256]; /* one request's header of interest, and body */
};

static void answer(void *arg, struct http_exchange *x, const struct http_request *r)
{
    struct site *s = arg;
    static char long_text[1 << 20];

    s->asked++;
    snprintf(s->got, sizeof s->got, "%.*s|%.*s|%.*s", STR_ARG(r->method), STR_ARG(http_header(r, "ttl")),
             STR_ARG(r->body));
    if (str_is(r->path, "/later"))
        http_answer(x, 429, STR("text/plain"), STR("Retry-After: 77\r\n"), STR("slow down"));
    else if (str_is(r->path, "/away"))
        http_answer(x, 302, STR("text/plain"), STR("Location: /here\r\n"), STR(""));
    else if (str_is(r->path, "/long"))
        http_answer(x, 201, STR("text/plain"), STR_NULL, str_make(long_text, sizeof long_text));
    else if (str_is(r->path, "/never"))
        s->held = x;
    else
        http_answer(x, 201, STR("text/plain"), STR_NULL, STR("made"));
}

static void accepted(void *arg, int fd)
{
    http_serve(&((struct site *)arg)->server, fd);
}

static void site_open(struct test *t, struct site *s, bool private_too)
{
    struct sockaddr_in a;
    socklen_t n = sizeof a;
    int fd;

    *s = (struct site){.loop = loop_new()};
    s->server = (struct http_server){.loop = s->loop, .limits = &limits, .request = answer, .arg = s};
    CHECK_OK(t, listen_socket(STR("127.0.0.1:0"), &fd));
    getsockname(fd, (struct sockaddr *)&a, &n);
    s->listener = listener_new(s->loop, fd, accepted, s);
    snprintf(s->url, sizeof s->url, "http://127.0.0.1:%d", ntohs(a.sin_port));
    CHECK_OK(
        t, http_client_new(s->loop, &(struct http_client_settings){.private_too = private_too}, &s->client));
}

static void site_close(struct site *s)
{
    http_client_free(&s->client);
    if (s->held)
        http_answer(s->held, 503, STR("text/plain"), STR_NULL, STR(""));
    listener_free(&s->listener);
    for (int i = 0; i < 3; i++)
        loop_round(s->loop, 10);
    loop_free(&s->loop);
}

struct asked {
    struct http_call call;
    int done;
    enum err e;
};

static void done(struct http_call *call, enum err e)
{
    struct asked *a = (struct asked *)call;

    a->done++;
    a->e = e;
}

static void post(struct test *t, struct site *s, struct asked *a, const char *path, int timeout_ms)
{
    char url[128];
    int64_t end = clock_mono_ms() + 5000;

    snprintf(url, sizeof url, "%s%s", *path == '/' ? s->url : "", path);
    *a = (struct asked){.call.done = done};
    CHECK_OK(t, http_client_post(s->client, &a->call,
                                 &(struct http_post){.url = str_of(url),
                                                     .headers = {"TTL: 60"},
                                                     .body = STR("hello\0there"),
                                                     .timeout_ms = timeout_ms}));
    CHECK_INT(t, 0, a->done);
    while (!a->done && clock_mono_ms() < end)
        loop_round(s->loop, 20);
    CHECK_INT(t, 1, a->done);
    CHECK_INT(t, 0, http_client_busy(s->client));
}

static void an_answer_comes_back(struct test *t)
{
    struct site s;
    struct asked a;

    site_open(t, &s, true);
    post(t, &s, &a, "/push", 3000);
    CHECK_INT(t, OK, a.e);
    CHECK_INT(t, 201, a.call.status);
    CHECK_STR(t, "POST|60|hello", str_of(s.got));
    post(t, &s, &a, "/later", 3000);
    CHECK_INT(t, 429, a.call.status);
    CHECK_INT(t, 77, a.call.retry_after_s);
    site_close(&s);
}

static void a_redirect_is_an_answer(struct test *t)
{
    struct site s;
    struct asked a;

    site_open(t, &s, true);
    post(t, &s, &a, "/away", 3000);
    CHECK_INT(t, 302, a.call.status);
    CHECK_INT(t, 1, s.asked);
    site_close(&s);
}

static void bounds_hold(struct test *t)
{
    struct site s;
    struct asked a;

    site_open(t, &s, true);
    post(t, &s, &a, "/long", 3000);
    CHECK_INT(t, OK, a.e);
    CHECK_INT(t, 201, a.call.status);
    CHECK(t, a.call.body_bytes < 256 * 1024);
    post(t, &s, &a, "/never", 300);
    CHECK_INT(t, ERR_TIMEOUT, a.e);
    site_close(&s);
}

static void strangers_do_not_reach_inside(struct test *t)
{
    struct site s;
    struct asked a;

    site_open(t, &s, false);
    post(t, &s, &a, "/push", 3000);
    CHECK_INT(t, ERR_INVALID, a.e); /* not https */
    snprintf(s.url, sizeof s.url, "https://127.0.0.1:%d", 9);
    post(t, &s, &a, "/push", 3000);
    CHECK_INT(t, ERR_DENIED, a.e);
    post(t, &s, &a, "https://localhost:9/x", 3000); /* by its name too */
    CHECK_INT(t, ERR_DENIED, a.e);
    post(t, &s, &a, "https://[::ffff:10.1.2.3]/x", 3000);
    CHECK_INT(t, ERR_DENIED, a.e);
    post(t, &s, &a, "file:///etc/passwd", 3000);
    CHECK_INT(t, ERR_INVALID, a.e);
    post(t, &s, &a, "nonsense", 3000);
    CHECK(t, a.e != OK);
    CHECK_INT(t, 0, s.asked);
    site_close(&s);
}

static void nobody_there(struct test *t)
{
    struct site s;
    struct asked a;

    site_open(t, &s, true);
    post(t, &s, &a, "http://127.0.0.1:1/", 3000);
    CHECK_INT(t, ERR_UNAVAILABLE, a.e);
    post(t, &s, &a, "http://nowhere.invalid/", 3000);
    CHECK(t, a.e == ERR_UNAVAILABLE || a.e == ERR_TIMEOUT);
    a = (struct asked){.call.done = done};
    CHECK_OK(t, http_client_post(s.client, &a.call,
                                 &(struct http_post){.url = str_of(s.url), .timeout_ms = 3000}));
    http_client_cancel(&a.call);
    loop_round(s.loop, 20);
    CHECK_INT(t, 0, a.done);
    site_close(&s);
}

static bool is_public(const char *text)
{
    struct sockaddr_in a4 = {.sin_family = AF_INET};
    struct sockaddr_in6 a6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &a4.sin_addr) == 1)
        return address_is_public((struct sockaddr *)&a4);
    inet_pton(AF_INET6, text, &a6.sin6_addr);
    return address_is_public((struct sockaddr *)&a6);
}

static void addresses_are_judged(struct test *t)
{
    static const char *const fine[] = {"8.8.8.8",         "1.1.1.1",      "172.15.255.255",
                                       "172.32.0.1",      "192.169.0.1",  "100.128.0.1",
                                       "2606:4700::1111", "2a00:1450::1", "64:ff9b::808:808",
                                       "2002:808:808::1", "2001:4860::1"};
    static const char *const not [] = {"0.0.0.0",
                                       "10.1.2.3",
                                       "100.64.0.1",
                                       "127.0.0.1",
                                       "127.255.255.255",
                                       "169.254.169.254",
                                       "172.16.0.1",
                                       "172.31.255.255",
                                       "192.0.0.1",
                                       "192.0.2.1",
                                       "192.168.1.1",
                                       "198.18.0.1",
                                       "198.51.100.7",
                                       "203.0.113.9",
                                       "224.0.0.1",
                                       "255.255.255.255",
                                       "::",
                                       "::1",
                                       "::ffff:127.0.0.1",
                                       "::ffff:10.0.0.1",
                                       "::7f00:1",
                                       "64:ff9b::7f00:1",
                                       "fc00::1",
                                       "fd12::1",
                                       "fe80::1",
                                       "ff02::1",
                                       "2001:db8::1",
                                       "2001::1",
                                       "2002:a00:1::",
                                       "2002:7f00:1::",
                                       "3fff::1"};

    for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
        if (!CHECK(t, is_public(fine[i])))
            printf("  %s\n", fine[i]);
    for (size_t i = 0; i < sizeof not / sizeof not [0]; i++)
        if (!CHECK(t, !is_public(not [i])))
            printf("  %s\n", not [i]);
}

TEST_MAIN(TEST(an_answer_comes_back), TEST(a_redirect_is_an_answer), TEST(bounds_hold),
          TEST(strangers_do_not_reach_inside), TEST(nobody_there), TEST(addresses_are_judged))
