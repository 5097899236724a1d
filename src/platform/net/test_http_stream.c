/* test_http_stream.c: bodies that stream, files as answers, and asking another server.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/test.h"
#include "crypto/tls.h"
#include "net/http_ask.h"

enum { LARGE = 3 * 1024 * 1024 };

static const struct conn_limits limits = { .in_bytes_max = 64 * 1024, .out_bytes_max = 64 * 1024 };

/* ---- a server that keeps what is put, and gives a file ---- */

struct place {
    struct loop          *loop;
    struct http_server    server;
    struct listener      *listener;
    struct tls_ctx       *tls;
    char                  address[128], dir[64];
    struct buf            got;
    struct http_exchange *held;
    int                   ends, breaks, refuse_after;
    enum err              why;
    bool                  hold_often, wait;
};

static void put_bytes(void *arg, struct http_exchange *x, struct str in)
{
    struct place *p = arg;

    buf_put_str(&p->got, in);
    if (p->refuse_after && p->got.len >= (size_t)p->refuse_after)
        http_answer(x, 507, STR_NULL, STR_NULL, STR("full"));
    else if (p->hold_often) {
        http_hold(x);
        p->held = x;
    }
}

static void put_end(void *arg, struct http_exchange *x)
{
    struct place *p = arg;

    p->ends++;
    p->held = NULL;
    if (p->wait)
        p->held = x;
    else
        http_answer(x, 201, STR_NULL, STR_NULL, STR("kept"));
}

static void put_broken(void *arg, enum err why)
{
    struct place *p = arg;

    p->breaks++;
    p->held = NULL;
    p->why = why;
}

static const struct http_sink sink = { put_bytes, put_end, put_broken };

static bool stream(void *arg, struct http_exchange *x, const struct http_request *r)
{
    if (str_is(r->path, "/refused"))
        http_answer(x, 403, STR_NULL, STR_NULL, STR("no"));
    else if (str_is(r->path, "/memory"))
        return false;
    else
        http_receive(x, &sink, arg);
    return true;
}

static void request(void *arg, struct http_exchange *x, const struct http_request *r)
{
    struct place *p = arg;
    char          path[128];
    int64_t       from = str_is(r->path, "/part") ? 1000 : 0, bytes = from ? 5000 : LARGE;

    snprintf(path, sizeof path, "%s/file", p->dir);
    if (str_is(r->path, "/memory"))
        http_answer(x, 200, STR_NULL, STR_NULL, r->body);
    else if (str_is(r->path, "/none"))
        http_answer(x, 404, STR_NULL, STR_NULL, STR("none"));
    else
        http_answer_file(x, from ? 206 : 200, STR("x/y"), STR("X-Own: 1\r\n"), open(path, O_RDONLY | O_CLOEXEC), from, bytes);
}

static void accepted(void *arg, int fd)
{
    http_serve(&((struct place *)arg)->server, fd);
}

static char byte_at(size_t i) { return (char)(i * 31 + i / 4096); }

static bool file_make(struct place *p)
{
    char  path[128], *bytes = mem_new(LARGE);
    FILE *f;
    bool  ok;

    snprintf(path, sizeof path, "%s/file", p->dir);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = byte_at(i);
    f = fopen(path, "w");
    ok = f && fwrite(bytes, 1, LARGE, f) == LARGE;
    if (f)
        fclose(f);
    free(bytes);
    return ok;
}

static bool place_open(struct test *t, struct place *p, bool with_tls)
{
    int fd;

    snprintf(p->dir, sizeof p->dir, "%s", test_dir(t));
    snprintf(p->address, sizeof p->address, "unix:%s/s", p->dir);
    p->loop = loop_new();
    buf_init(&p->got, 0);
    if (with_tls) {
        char                certificate[128], key[128];
        struct tls_settings s = { .certificate_file = certificate, .key_file = key };

        snprintf(certificate, sizeof certificate, "%s/c.pem", p->dir);
        snprintf(key, sizeof key, "%s/k.pem", p->dir);
        if (!CHECK_OK(t, tls_self_signed("h", certificate, key)) || !CHECK_OK(t, tls_ctx_new(&s, &p->tls, NULL, NULL)))
            return false;
    }
    p->server = (struct http_server){ .loop = p->loop, .limits = &limits, .request = request, .stream = stream, .arg = p,
                                      .tls = with_tls ? &p->tls : NULL };
    if (!CHECK(t, file_make(p)) || !CHECK_OK(t, listen_socket(str_of(p->address), &fd)))
        return false;
    p->listener = listener_new(p->loop, fd, accepted, p);
    return true;
}

static void place_close(struct place *p)
{
    listener_free(&p->listener);
    for (int i = 0; i < 20; i++)
        loop_round(p->loop, 1);
    loop_free(&p->loop);
    if (p->tls)
        tls_ctx_unref(&p->tls);
    buf_done(&p->got);
}

/* ---- who asks ---- */

struct asked {
    int        status, heads;
    struct buf body;
    bool       own_header, ended, hold_often;
    enum err   e;
    struct http_ask *call;
};

static void head_came(void *arg, int status, const struct http_request *r)
{
    struct asked *k = arg;

    k->heads++;
    k->status = status;
    k->own_header = str_is(http_header(r, "X-Own"), "1");
}

static void bytes_came(void *arg, struct str in)
{
    struct asked *k = arg;

    buf_put_str(&k->body, in);
    if (k->hold_often)
        http_ask_hold(k->call);
}

static void call_ended(void *arg, enum err e)
{
    struct asked *k = arg;

    k->ended = true;
    k->e = e;
}

static const struct http_ask_events events = { head_came, bytes_came, call_ended };

static void ask_start(struct place *p, struct asked *k, const char *method, const char *target, int64_t body_bytes)
{
    struct tls_settings      s = { .verify = false };
    struct tls_ctx          *tls = NULL;
    char                     path[128];
    struct http_ask_request q = { .address = str_of(p->address), .tls_name = STR("h"), .method = str_of(method), .target = str_of(target),
                                   .host = STR("h"), .fd = -1, .bytes = body_bytes, .ms_max = 5000 };

    snprintf(path, sizeof path, "%s/file", p->dir);
    if (p->tls)
        tls_ctx_new(&s, &tls, NULL, NULL);
    q.tls = tls;
    if (body_bytes >= 0)
        q.fd = open(path, O_RDONLY | O_CLOEXEC);
    buf_init(&k->body, 0);
    k->e = http_ask_new(p->loop, &q, &events, k, &k->call);
    k->ended = k->e != OK;
    if (tls)
        tls_ctx_unref(&tls);
}

static void ask(struct place *p, struct asked *k, const char *method, const char *target, int64_t body_bytes)
{
    ask_start(p, k, method, target, body_bytes);
    for (int i = 0; i < 20000 && !k->ended; i++) {
        loop_round(p->loop, 1);
        if (k->hold_often && !k->ended)
            http_ask_go_on(k->call);
        if (p->hold_often && p->held)
            http_go_on(p->held);
    }
}

static bool is_file(struct str s, size_t from, size_t bytes)
{
    if (s.len != bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        if (s.p[i] != byte_at(from + i))
            return false;
    return true;
}

/* ---- the tests ---- */

static void both_ways(struct test *t, bool with_tls)
{
    for (int hold = 0; hold < 2; hold++) {
        struct place p = { .hold_often = hold };
        struct asked k = { .hold_often = hold };

        if (!place_open(t, &p, with_tls && !hold))
            return;
        ask(&p, &k, "GET", "/file", -1);
        CHECK_OK(t, k.e);
        CHECK(t, k.status == 200 && k.own_header && is_file(buf_str(&k.body), 0, LARGE));
        buf_done(&k.body);
        k = (struct asked){ .hold_often = hold };
        ask(&p, &k, "GET", "/part", -1);
        CHECK(t, k.status == 206 && is_file(buf_str(&k.body), 1000, 5000));
        buf_done(&k.body);
        k = (struct asked){ .hold_often = hold };
        ask(&p, &k, "HEAD", "/file", -1);
        CHECK(t, k.status == 200 && k.body.len == 0 && !k.e);
        buf_done(&k.body);
        k = (struct asked){ .hold_often = hold };
        ask(&p, &k, "PUT", "/x", LARGE);
        CHECK(t, k.status == 201 && p.ends == 1 && is_file(buf_str(&p.got), 0, LARGE));
        CHECK_STR(t, "kept", buf_str(&k.body));
        buf_done(&k.body);
        place_close(&p);
        remove(p.address + 5);
    }
}

static void a_large_body_and_a_large_file_go_through(struct test *t) { both_ways(t, false); }
static void through_tls_too(struct test *t) { both_ways(t, true); }

static void an_empty_body_ends_at_once(struct test *t)
{
    struct place p = { 0 };
    struct asked k = { 0 };

    if (!place_open(t, &p, false))
        return;
    ask(&p, &k, "PUT", "/x", 0);
    CHECK(t, k.status == 201 && p.ends == 1 && p.got.len == 0);
    buf_done(&k.body);
    place_close(&p);
}

static void what_is_not_streamed_is_held_in_memory(struct test *t)
{
    struct place p = { 0 };
    struct asked k = { 0 };

    if (!place_open(t, &p, false))
        return;
    ask(&p, &k, "POST", "/memory", 30000);
    CHECK(t, k.status == 200 && is_file(buf_str(&k.body), 0, 30000));
    buf_done(&k.body);
    k = (struct asked){ 0 };
    ask(&p, &k, "POST", "/memory", HTTP_BODY_BYTES_MAX + 1);
    CHECK_INT(t, 413, k.status);
    buf_done(&k.body);
    place_close(&p);
}

static void who_is_refused_early_reads_why(struct test *t)
{
    struct place p = { .refuse_after = 200000 };
    struct asked k = { 0 };

    if (!place_open(t, &p, false))
        return;
    ask(&p, &k, "PUT", "/refused", LARGE);
    CHECK(t, k.status == 403 && p.got.len == 0);
    buf_done(&k.body);
    k = (struct asked){ 0 };
    ask(&p, &k, "PUT", "/x", LARGE);
    CHECK(t, k.status == 507 && p.ends == 0 && p.breaks == 0);
    buf_done(&k.body);
    place_close(&p);
}

static void a_broken_body_is_told_once(struct test *t)
{
    struct place p = { 0 };
    struct asked k = { 0 };

    if (!place_open(t, &p, false))
        return;
    ask_start(&p, &k, "PUT", "/x", LARGE);
    for (int i = 0; i < 1000 && p.got.len < 100000; i++)
        loop_round(p.loop, 1);
    http_ask_cancel(&k.call);
    for (int i = 0; i < 100 && !p.breaks; i++)
        loop_round(p.loop, 1);
    CHECK(t, p.breaks == 1 && p.ends == 0 && p.why == ERR_CLOSED && !k.ended);
    buf_done(&k.body);
    place_close(&p);
}

/* Below the pace a body gets 408; one that is held by us does not count as slow. */
static void a_body_that_drips_gets_408(struct test *t)
{
    static const char text[] = "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nabc";
    struct place p = { 0 };
    char         answer[64];
    int          fds[2];

    if (!place_open(t, &p, false) || !CHECK_INT(t, 0, socketpair(AF_UNIX, SOCK_STREAM, 0, fds)))
        return;
    p.server.pace_ms_max = 50;
    http_serve(&p.server, fds[0]);
    CHECK_INT(t, sizeof text - 1, write(fds[1], text, sizeof text - 1));
    for (int i = 0; i < 1000 && !p.breaks; i++)
        loop_round(p.loop, 10);
    CHECK(t, p.breaks == 1 && p.why == ERR_TIMEOUT);
    for (int i = 0; i < 5; i++)
        loop_round(p.loop, 1);
    CHECK(t, read(fds[1], answer, sizeof answer) > 12 && memcmp(answer, "HTTP/1.1 408", 12) == 0);
    close(fds[1]);
    place_close(&p);
}

static void an_answer_after_the_peer_left_is_dropped(struct test *t)
{
    struct place p = { .wait = true };
    struct asked k = { 0 };

    if (!place_open(t, &p, false))
        return;
    ask_start(&p, &k, "PUT", "/x", 100000);
    for (int i = 0; i < 1000 && !p.held; i++)
        loop_round(p.loop, 1);
    http_ask_cancel(&k.call);
    for (int i = 0; i < 20; i++)
        loop_round(p.loop, 1);
    if (CHECK(t, p.held && p.breaks == 0))
        http_answer(p.held, 201, STR_NULL, STR_NULL, STR_NULL);
    buf_done(&k.body);
    place_close(&p);
}

/* Files are given back, whoever ends first. */
static void who_leaves_in_the_middle_of_a_file_costs_no_descriptor(struct test *t)
{
    struct place p = { 0 };
    int          before;

    if (!place_open(t, &p, false))
        return;
    before = dup(0);
    for (int n = 0; n < 20; n++) {
        struct asked k = { .hold_often = true };

        ask_start(&p, &k, "GET", "/file", -1);
        for (int i = 0; i < 1000 && !k.body.len; i++)
            loop_round(p.loop, 1);
        http_ask_cancel(&k.call);
        for (int i = 0; i < 10; i++)
            loop_round(p.loop, 1);
        buf_done(&k.body);
    }
    close(before);
    CHECK_INT(t, before, dup(0));
    place_close(&p);
}

static void answers_are_taken_apart(struct test *t)
{
    static const struct { const char *text; enum err want; int status; int64_t bytes; } cases[] = {
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", OK, 200, 5 },
        { "HTTP/1.1 204\r\n\r\n", OK, 204, 0 },
        { "HTTP/1.0 404 Not Found\r\nX: y\r\n\r\n", OK, 404, 0 },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", OK, 200, -1 },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", ERR_AGAIN, 0, 0 },
        { "HTTP/1.1 99 X\r\n\r\n", ERR_INVALID, 0, 0 },
        { "HTTP/1.1 abc X\r\n\r\n", ERR_INVALID, 0, 0 },
        { "HTTP/2 200 OK\r\n\r\n", ERR_INVALID, 0, 0 },
        { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", ERR_INVALID, 0, 0 },
        { "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", ERR_INVALID, 0, 0 },
        { "SSH-2.0-x\r\n", ERR_INVALID, 0, 0 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct http_request r;
        int                 status = 0;
        size_t              used;

        if (!CHECK_INT(t, cases[i].want, http_parse_answer(str_of(cases[i].text), &r, &status, &used)))
            printf("    in: %s\n", cases[i].text);
        else if (!cases[i].want)
            CHECK(t, status == cases[i].status && r.content_bytes == cases[i].bytes);
    }
}

static void nobody_there_is_an_end(struct test *t)
{
    struct place p = { .loop = loop_new() };
    struct asked k = { 0 };

    snprintf(p.address, sizeof p.address, "127.0.0.1:1");
    ask(&p, &k, "GET", "/", -1);
    CHECK(t, k.ended && k.e == ERR_UNAVAILABLE && k.heads == 0);
    buf_done(&k.body);
    loop_free(&p.loop);
}

TEST_MAIN(TEST(a_large_body_and_a_large_file_go_through), TEST(through_tls_too), TEST(an_empty_body_ends_at_once),
          TEST(what_is_not_streamed_is_held_in_memory), TEST(who_is_refused_early_reads_why), TEST(a_broken_body_is_told_once), TEST(a_body_that_drips_gets_408),
          TEST(an_answer_after_the_peer_left_is_dropped), TEST(who_leaves_in_the_middle_of_a_file_costs_no_descriptor),
          TEST(answers_are_taken_apart), TEST(nobody_there_is_an_end))
