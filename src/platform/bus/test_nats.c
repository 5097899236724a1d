/* test_nats.c: what the bus promises over NATS, with real servers: pauses, kills and freezes included.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/test.h"
#include "bus/bus.h"
#include "bus/nats_wire.h"
#include "crypto/tls.h"

enum { SITES = 3 };

struct site { pid_t pid; int port, route; };

struct fixture {
    struct loop *l;
    struct arena a;
    int          site_count;
    struct site  sites[SITES];
    char         servers[SITES][128];   /* what a client of site i is told: the own one first */
    struct bus  *buses[4];
    int          bus_count;
};

/* ---- servers ---- */

static const char *program(void)
{
    static const char *const places[] = { "/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server" };

    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

static int free_port(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&at, size) != 0 || getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        abort();
    close(fd);
    return ntohs(at.sin_port);
}

static void server_start(struct test *t, struct fixture *f, int at, const char *more)
{
    char conf[128], routes[256] = "";
    FILE *out;

    for (int i = 0; i < f->site_count; i++)
        if (i != at)
            snprintf(routes + strlen(routes), sizeof routes - strlen(routes), "\"nats://127.0.0.1:%d\", ", f->sites[i].route);
    snprintf(conf, sizeof conf, "%s/nats%d.conf", test_dir(t), at);
    out = fopen(conf, "w");
    fprintf(out, "host: 127.0.0.1\nport: %d\nserver_name: s%d\n%s\n", f->sites[at].port, at, more);
    if (f->site_count > 1)
        fprintf(out, "cluster { name: c, host: 127.0.0.1, port: %d, routes: [ %s ] }\n", f->sites[at].route, routes);
    fclose(out);
    f->sites[at].pid = fork();
    if (f->sites[at].pid)
        return;
    if (!freopen("/dev/null", "w", stderr))
        _exit(1);
    execl(program(), "nats-server", "-c", conf, (char *)NULL);
    _exit(127);
}

static void server_end(struct fixture *f, int at)
{
    if (f->sites[at].pid > 0) {
        kill(f->sites[at].pid, SIGKILL);
        waitpid(f->sites[at].pid, NULL, 0);
    }
    f->sites[at].pid = 0;
}

static bool answers(int port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = connect(fd, (struct sockaddr *)&to, sizeof to) == 0;

    close(fd);
    return yes;
}

static bool opened(struct test *t, struct fixture *f, int site_count, const char *more)
{
    *f = (struct fixture){ .l = loop_new(), .site_count = site_count };
    arena_init(&f->a);
    if (!program()) {
        test_skip(t, "nats-server is not installed");
        return false;
    }
    for (int i = 0; i < site_count; i++)
        f->sites[i] = (struct site){ .port = free_port(), .route = free_port() };
    for (int i = 0; i < site_count; i++) {
        server_start(t, f, i, more);
        for (int j = 0; j < site_count; j++)
            snprintf(f->servers[i] + strlen(f->servers[i]), sizeof f->servers[i] - strlen(f->servers[i]),
                     "%snats://127.0.0.1:%d", j ? "," : "", f->sites[(i + j) % site_count].port);
    }
    for (int i = 0; i < site_count; i++)
        for (int n = 0; n < 500 && !answers(f->sites[i].port); n++)
            usleep(10000);
    if (site_count > 1)
        usleep(300000);             /* the routes between them */
    return true;
}

static void closed(struct fixture *f)
{
    for (int i = 0; i < f->bus_count; i++)
        bus_free(&f->buses[i]);
    for (int i = 0; i < f->site_count; i++) {
        if (f->sites[i].pid > 0)
            kill(f->sites[i].pid, SIGCONT);
        server_end(f, i);
    }
    loop_round(f->l, 0);
    loop_free(&f->l);
    arena_done(&f->a);
}

static void rounds_ms(struct loop *l, int ms)
{
    int64_t until = clock_mono_ms() + ms;

    do
        loop_round(l, 5);
    while (clock_mono_ms() < until);
}

#define ROUNDS_UNTIL(f, condition, ms) do { \
        int64_t until_ = clock_mono_ms() + (ms); \
        while (!(condition) && clock_mono_ms() < until_) \
            loop_round((f)->l, 5); \
    } while (0)

/* ---- a role, with what it was told about its connection ---- */

struct told { int lost, whole; };

static void broke(void *arg, bool connected)
{
    struct told *told = arg;

    *(connected ? &told->whole : &told->lost) += 1;
}

static struct bus *join_with(struct test *t, struct fixture *f, const char *role, struct bus_nats *s, struct told *told)
{
    struct bus *b = NULL;
    struct str why;

    CHECK_OK(t, bus_new_nats(f->l, role, s, &b, &f->a, &why));
    bus_on_break(b, broke, told);
    f->buses[f->bus_count++] = b;
    return b;
}

static struct bus *join(struct test *t, struct fixture *f, const char *role, int site, struct told *told)
{
    struct bus *b = join_with(t, f, role, &(struct bus_nats){ .servers = f->servers[site] }, told);

    ROUNDS_UNTIL(f, told->whole, 5000);
    CHECK_INT(t, 1, told->whole);
    CHECK(t, bus_connected(b));
    return b;
}

struct heard { int count; char texts[512]; };

static void hear(void *arg, struct str subject, struct str payload)
{
    struct heard *h = arg;

    h->count++;
    if (strlen(h->texts) + payload.len + 2 < sizeof h->texts) {
        strncat(h->texts, payload.p, payload.len);
        strcat(h->texts, " ");
    }
}

struct answer { int told; enum err e; size_t bytes; char text[64]; };

static void keep(void *arg, enum err e, struct str payload)
{
    struct answer *a = arg;

    a->told++;
    a->e = e;
    a->bytes = payload.len;
    str_copy(payload.len < 64 ? payload : STR_NULL, a->text, sizeof a->text);
}

static struct answer ask(struct test *t, struct fixture *f, struct bus *b, const char *subject, struct str payload, int ms)
{
    struct answer a = { 0 };

    if (CHECK_OK(t, bus_ask(b, subject, payload, ms, keep, &a))) {
        CHECK_INT(t, 0, a.told);
        ROUNDS_UNTIL(f, a.told, ms + 1000);
        CHECK_INT(t, 1, a.told);
    }
    return a;
}

static void echo(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    if (arg)
        ++*(int *)arg;
    bus_answer(rq, OK, payload);
}

static void refuse(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    bus_answer(rq, ERR_DENIED, bus_asker(rq));
}

static void stay_silent(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    *(struct bus_request **)arg = rq;
}

/* ---- promises ---- */

static void events_reach_who_subscribed(struct test *t)
{
    struct fixture f;
    struct told at = { 0 }, bt = { 0 };
    struct heard exact = { 0 }, wild = { 0 }, own = { 0 };
    struct bus *a, *b;

    if (!opened(t, &f, 1, ""))
        return;
    a = join(t, &f, "talk", 0, &at);
    b = join(t, &f, "talk", 0, &bt);
    CHECK_OK(t, bus_subscribe(b, "room.one", hear, &exact));
    CHECK_OK(t, bus_subscribe(b, "room.*", hear, &wild));
    CHECK_OK(t, bus_subscribe(a, "room.*", hear, &own));
    rounds_ms(f.l, 50);
    CHECK_OK(t, bus_publish(a, "room.one", STR("1")));
    CHECK_OK(t, bus_publish(a, "room.two.deep", STR("2")));
    CHECK_OK(t, bus_publish(a, "house.one", STR("3")));
    CHECK_INT(t, 0, wild.count);
    ROUNDS_UNTIL(&f, wild.count == 2, 1000);
    rounds_ms(f.l, 50);
    CHECK_STR(t, "1 ", str_of(exact.texts));
    CHECK_STR(t, "1 2 ", str_of(wild.texts));
    CHECK_INT(t, 0, own.count);                      /* nobody hears itself */

    bus_unsubscribe(b, "room.*", hear, &wild);
    bus_publish(a, "room.two", STR("4"));
    bus_publish(a, "room.one", STR("5"));
    ROUNDS_UNTIL(&f, exact.count == 2, 1000);
    rounds_ms(f.l, 50);
    CHECK_STR(t, "1 5 ", str_of(exact.texts));
    CHECK_INT(t, 2, wild.count);
    CHECK_OK(t, bus_subscribe(b, "room.*", hear, &wild));
    rounds_ms(f.l, 50);
    bus_publish(a, "room.two", STR("6"));
    ROUNDS_UNTIL(&f, wild.count == 3, 1000);
    CHECK_INT(t, 3, wild.count);
    CHECK(t, at.lost == 0 && bt.lost == 0);
    closed(&f);
}

static void unsubscribing_inside_a_callback_is_safe_hear(void *arg, struct str subject, struct str payload)
{
    struct { struct bus *b; int count; } *x = arg;

    x->count++;
    bus_unsubscribe(x->b, "room.one", unsubscribing_inside_a_callback_is_safe_hear, arg);
}

static void unsubscribing_inside_a_callback_is_safe(struct test *t)
{
    struct fixture f;
    struct told at = { 0 }, bt = { 0 };
    struct heard other = { 0 };
    struct { struct bus *b; int count; } x = { 0 };
    struct bus *a;

    if (!opened(t, &f, 1, ""))
        return;
    a = join(t, &f, "talk", 0, &at);
    x.b = join(t, &f, "talk", 0, &bt);
    bus_subscribe(x.b, "room.one", unsubscribing_inside_a_callback_is_safe_hear, &x);
    bus_subscribe(x.b, "room.one", hear, &other);
    rounds_ms(f.l, 50);
    for (int i = 0; i < 3; i++)
        bus_publish(a, "room.one", STR("x"));
    ROUNDS_UNTIL(&f, other.count == 3, 1000);
    CHECK_INT(t, 1, x.count);
    CHECK_INT(t, 3, other.count);
    closed(&f);
}

static void one_of_those_who_serve_answers(struct test *t)
{
    struct fixture f;
    struct told told[3] = { 0 };
    struct bus *asker, *s1, *s2;
    struct answer a;
    int count1 = 0, count2 = 0;

    if (!opened(t, &f, 1, ""))
        return;
    asker = join(t, &f, "talk", 0, &told[0]);
    s1 = join(t, &f, "ident", 0, &told[1]);
    s2 = join(t, &f, "ident2", 0, &told[2]);
    CHECK_INT(t, ERR_UNAVAILABLE, ask(t, &f, asker, "ident.echo", STR("x"), 3000).e);
    CHECK_OK(t, bus_serve(s1, "ident.echo", echo, &count1));
    CHECK_OK(t, bus_serve(s2, "ident.echo", echo, &count2));
    CHECK_OK(t, bus_serve(s1, "any.*", refuse, NULL));
    CHECK_INT(t, ERR_EXISTS, bus_serve(s1, "ident.echo", echo, NULL));
    rounds_ms(f.l, 50);
    for (int i = 0; i < 40; i++) {
        a = ask(t, &f, asker, "ident.echo", STR("hello"), 3000);
        CHECK_OK(t, a.e);
        CHECK_STR(t, "hello", str_of(a.text));
    }
    CHECK_INT(t, 40, count1 + count2);
    CHECK(t, count1 > 0 && count2 > 0);
    a = ask(t, &f, asker, "any.thing.else", STR(""), 3000);
    CHECK_INT(t, ERR_DENIED, a.e);
    CHECK_STR(t, "talk", str_of(a.text));
    CHECK_OK(t, ask(t, &f, s1, "ident.echo", STR("myself"), 3000).e);
    closed(&f);
}

static void a_late_or_large_answer_has_its_error(struct test *t)
{
    struct fixture f;
    struct told told[2] = { 0 };
    struct bus_request *held = NULL;
    struct bus *asker, *server;
    char *big = mem_new(BUS_PAYLOAD_BYTES_MAX + 1);
    struct answer a;

    if (!opened(t, &f, 1, ""))
        goto skipped;
    asker = join(t, &f, "talk", 0, &told[0]);
    server = join(t, &f, "ident", 0, &told[1]);
    bus_serve(server, "ident.hold", stay_silent, &held);
    bus_serve(server, "ident.echo", echo, NULL);
    rounds_ms(f.l, 50);
    CHECK_INT(t, ERR_TIMEOUT, ask(t, &f, asker, "ident.hold", STR("x"), 100).e);
    CHECK(t, held != NULL);
    bus_answer(held, OK, STR("too late"));
    a = ask(t, &f, asker, "ident.echo", str_make(big, BUS_PAYLOAD_BYTES_MAX - ENVELOPE_BYTES_MAX), 5000);
    CHECK(t, a.e == OK && a.bytes == BUS_PAYLOAD_BYTES_MAX - ENVELOPE_BYTES_MAX);
    CHECK_INT(t, ERR_LIMIT, bus_ask(asker, "ident.echo", str_make(big, BUS_PAYLOAD_BYTES_MAX), 1000, keep, &a));
    CHECK_INT(t, ERR_LIMIT, bus_publish(asker, "ident.echo", str_make(big, BUS_PAYLOAD_BYTES_MAX)));
    CHECK(t, told[0].lost == 0 && told[1].lost == 0);
    closed(&f);
skipped:
    free(big);
}

static void too_many_questions_are_refused(struct test *t)
{
    struct fixture f;
    struct told told[2] = { 0 };
    struct bus *asker, *server;
    struct answer a = { 0 };
    int taken = 0;

    if (!opened(t, &f, 1, ""))
        return;
    asker = join(t, &f, "talk", 0, &told[0]);
    server = join(t, &f, "ident", 0, &told[1]);
    bus_serve(server, "ident.echo", echo, NULL);
    rounds_ms(f.l, 50);
    while (taken < BUS_PENDING_MAX + 1 && bus_ask(asker, "ident.echo", STR("x"), 5000, keep, &a) == OK)
        taken++;
    CHECK_INT(t, BUS_PENDING_MAX, taken);
    ROUNDS_UNTIL(&f, a.told == taken, 6000);
    CHECK_INT(t, taken, a.told);
    CHECK_OK(t, a.e);
    closed(&f);
}

struct order { int next, wrong; };

static void in_order(void *arg, struct str subject, struct str payload)
{
    struct order *o = arg;
    uint64_t n = 0;

    if (!str_to_u64(payload, &n) || (int)n != o->next)
        o->wrong++;
    o->next++;
}

static void order_is_kept(struct test *t)
{
    enum { EVENTS = 50000, SUBJECTS = 10 };
    struct fixture f;
    struct told told[2] = { 0 };
    struct order orders[SUBJECTS] = { 0 };
    char subject[32], text[16];
    struct bus *a, *b;

    if (!opened(t, &f, 2, ""))
        return;
    a = join(t, &f, "talk", 0, &told[0]);
    b = join(t, &f, "talk2", 1, &told[1]);
    for (int i = 0; i < SUBJECTS; i++) {
        snprintf(subject, sizeof subject, "order.n%d", i);
        bus_subscribe(b, subject, in_order, &orders[i]);
    }
    rounds_ms(f.l, 100);
    for (int i = 0; i < EVENTS; i++) {
        snprintf(subject, sizeof subject, "order.n%d", i % SUBJECTS);
        snprintf(text, sizeof text, "%d", i / SUBJECTS);
        CHECK_OK(t, bus_publish(a, subject, str_of(text)));
        if (i % 500 == 0)
            loop_round(f.l, 0);
    }
    ROUNDS_UNTIL(&f, orders[SUBJECTS - 1].next == EVENTS / SUBJECTS, 10000);
    for (int i = 0; i < SUBJECTS; i++) {
        CHECK_INT(t, EVENTS / SUBJECTS, orders[i].next);
        CHECK_INT(t, 0, orders[i].wrong);
    }
    closed(&f);
}

enum { SUBJECTS = 100000, SUBJECTS_STEP = 1000 };

/* One server's word of a subscription reaches the other when it can; until then what is published there is for nobody. */
static bool some_are_heard(struct fixture *f, struct bus *from, struct heard *h)
{
    char subject[32];

    for (int tries = 0; tries < 20; tries++) {
        h->count = 0;
        for (int i = 0; i < SUBJECTS; i += SUBJECTS_STEP) {
            snprintf(subject, sizeof subject, "person.n%d", i);
            bus_publish(from, subject, STR("x"));
        }
        ROUNDS_UNTIL(f, h->count >= SUBJECTS / SUBJECTS_STEP, 2000);
        if (h->count == SUBJECTS / SUBJECTS_STEP)
            return true;
        rounds_ms(f->l, 200);
    }
    return false;
}

static void many_subscriptions_come_and_go(struct test *t)
{
    struct fixture f;
    struct told told[2] = { 0 };
    struct heard h = { 0 }, last = { 0 };
    char subject[32];
    int64_t before;
    struct bus *a, *b;

    if (!opened(t, &f, 2, ""))
        return;
    a = join(t, &f, "talk", 0, &told[0]);
    b = join(t, &f, "talk2", 1, &told[1]);
    before = clock_mono_ms();
    for (int i = 0; i < SUBJECTS; i++) {
        snprintf(subject, sizeof subject, "person.n%d", i);
        CHECK_OK(t, bus_subscribe(b, subject, hear, &h));
    }
    CHECK(t, clock_mono_ms() - before < 2000);
    CHECK_OK(t, bus_subscribe(b, "person.last", hear, &last));
    for (int i = 0; i < 300 && !last.count; i++) {
        bus_publish(a, "person.last", STR("x"));
        rounds_ms(f.l, 20);
    }
    printf("        100,000 subscriptions known at the other site after %lld ms\n", (long long)(clock_mono_ms() - before));
    CHECK(t, last.count > 0);
    CHECK(t, some_are_heard(&f, a, &h));

    /* All of them are there again after a break. */
    server_end(&f, 1);
    ROUNDS_UNTIL(&f, told[1].whole == 2, 20000);
    CHECK_INT(t, 2, told[1].whole);
    CHECK_INT(t, 1, told[1].lost);
    CHECK(t, some_are_heard(&f, a, &h));
    for (int i = 0; i < SUBJECTS; i++) {
        snprintf(subject, sizeof subject, "person.n%d", i);
        bus_unsubscribe(b, subject, hear, &h);
    }
    rounds_ms(f.l, 1000);
    CHECK_INT(t, 0, told[0].lost);
    CHECK_INT(t, 1, told[1].lost);
    closed(&f);
}

/* ---- breaks ---- */

/* A subscription travels to the publisher's server by itself; what is published before it is there is for nobody. */
static void await_interest(struct fixture *f, struct bus *from, const char *subject, struct heard *h)
{
    for (int i = 0; i < 100 && h->count == 0; i++) {
        bus_publish(from, subject, STR("probe"));
        ROUNDS_UNTIL(f, h->count, 20);
    }
    rounds_ms(f->l, 50);
    *h = (struct heard){ 0 };
}

/* Site 0's server goes by `how`; who was there moves to another, and events flow again. */
static void a_lost_server_is_left(struct test *t, int signum)
{
    struct fixture f;
    struct told told[2] = { 0 };
    struct heard h = { 0 };
    struct answer pending = { 0 };
    struct bus_request *held = NULL;
    struct bus *a, *b;
    int64_t lost_ms, before;

    if (!opened(t, &f, 3, ""))
        return;
    a = join(t, &f, "talk", 0, &told[0]);
    b = join(t, &f, "talk2", 1, &told[1]);
    bus_subscribe(a, "person.ann", hear, &h);
    bus_serve(b, "ident.hold", stay_silent, &held);
    await_interest(&f, b, "person.ann", &h);
    bus_publish(b, "person.ann", STR("before"));
    ROUNDS_UNTIL(&f, h.count == 1, 1000);
    CHECK_INT(t, 1, h.count);
    CHECK_OK(t, bus_ask(a, "ident.hold", STR("x"), 10000, keep, &pending));
    ROUNDS_UNTIL(&f, held, 1000);

    before = clock_mono_ms();
    kill(f.sites[0].pid, signum);
    ROUNDS_UNTIL(&f, told[0].lost, 3000);
    lost_ms = clock_mono_ms() - before;
    CHECK_INT(t, 1, told[0].lost);
    CHECK_INT(t, ERR_UNCERTAIN, pending.e);
    ROUNDS_UNTIL(&f, told[0].whole == 2, 3000);
    CHECK_INT(t, 2, told[0].whole);
    printf("        noticed after %lld ms, whole again after %lld ms\n", (long long)lost_ms, (long long)(clock_mono_ms() - before));
    CHECK(t, lost_ms < 3000);       /* two pings and what a busy machine adds */
    bus_publish(b, "person.ann", STR("after"));
    ROUNDS_UNTIL(&f, h.count == 2, 1000);
    CHECK_STR(t, "before after ", str_of(h.texts));
    CHECK_INT(t, 0, told[1].lost);
    if (held)
        bus_answer(held, OK, STR("nobody waits"));

    /* The nearest server is back: the way leads home after a while. */
    if (signum == SIGSTOP) {
        kill(f.sites[0].pid, SIGCONT);
    } else {
        server_end(&f, 0);
        server_start(t, &f, 0, "");
    }
    ROUNDS_UNTIL(&f, told[0].whole == 3, 12000);
    CHECK_INT(t, 3, told[0].whole);
    bus_publish(b, "person.ann", STR("home"));
    ROUNDS_UNTIL(&f, h.count == 3, 2000);
    rounds_ms(f.l, 1200);
    CHECK_STR(t, "before after home ", str_of(h.texts));
    for (int i = 1; i < SITES; i++)
        server_end(&f, i);
    rounds_ms(f.l, 500);
    CHECK_INT(t, 3, told[0].whole);
    CHECK_INT(t, 2, told[0].lost);   /* the two that it does not use made no difference */
    closed(&f);
}

static void a_killed_server_is_left(struct test *t)
{
    a_lost_server_is_left(t, SIGKILL);
}

static void a_frozen_server_is_left(struct test *t)
{
    a_lost_server_is_left(t, SIGSTOP);
}

static void a_machine_starts_alone(struct test *t)
{
    struct fixture f;
    struct told told = { 0 };
    struct heard h = { 0 };
    struct bus *a;

    if (!opened(t, &f, 1, ""))
        return;
    server_end(&f, 0);
    a = join_with(t, &f, "talk", &(struct bus_nats){ .servers = f.servers[0] }, &told);
    CHECK_OK(t, bus_subscribe(a, "person.ann", hear, &h));
    rounds_ms(f.l, 300);
    CHECK(t, !bus_connected(a) && told.whole == 0 && told.lost == 0);
    CHECK_INT(t, ERR_UNAVAILABLE, bus_publish(a, "person.bob", STR("lost")));
    CHECK_INT(t, ERR_UNAVAILABLE, ask(t, &f, a, "ident.echo", STR("x"), 3000).e);
    server_start(t, &f, 0, "");
    ROUNDS_UNTIL(&f, told.whole, 5000);
    CHECK(t, bus_connected(a) && told.whole == 1 && told.lost == 0);
    CHECK_OK(t, bus_publish(a, "person.bob", STR("there")));
    closed(&f);
}

static void a_reader_that_is_too_slow_learns_of_it(struct test *t)
{
    struct fixture f;
    struct told told[2] = { 0 };
    struct heard h = { 0 };
    char *big = mem_new(100000);
    struct loop *other;
    struct bus *slow = NULL, *a;
    struct str why;

    if (!opened(t, &f, 1, "max_pending: 1048576\nwrite_deadline: \"200ms\"\n"))
        goto skipped;
    a = join(t, &f, "talk", 0, &told[0]);
    other = loop_new();             /* a process that is held up */
    CHECK_OK(t, bus_new_nats(other, "talk2", &(struct bus_nats){ .servers = f.servers[0] }, &slow, &f.a, &why));
    bus_on_break(slow, broke, &told[1]);
    bus_subscribe(slow, "flood", hear, &h);
    for (int i = 0; i < 500 && !told[1].whole; i++)
        loop_round(other, 5);
    rounds_ms(f.l, 50);
    for (int i = 0; i < 300; i++) {
        bus_publish(a, "flood", str_make(big, 100000));
        loop_round(f.l, 0);
    }
    rounds_ms(f.l, 1500);           /* the server hangs up on it */
    for (int i = 0; i < 1000 && told[1].whole < 2; i++)
        loop_round(other, 5);
    CHECK(t, told[1].lost >= 1 && told[1].whole >= 2);
    CHECK(t, h.count < 300);
    bus_free(&slow);
    loop_round(other, 0);
    loop_free(&other);
    closed(&f);
skipped:
    free(big);
}

/* ---- who may come in ---- */

static void tls_and_password_are_asked_for(struct test *t)
{
    struct fixture f;
    struct told told[4] = { 0 };
    char more[512], certificate[128], key[128], other[128], other_key[128];
    struct bus_nats good, s;
    struct heard h = { 0 };
    struct bus *a, *b;

    snprintf(certificate, sizeof certificate, "%s/cert.pem", test_dir(t));
    snprintf(key, sizeof key, "%s/key.pem", test_dir(t));
    snprintf(other, sizeof other, "%s/other.pem", test_dir(t));
    snprintf(other_key, sizeof other_key, "%s/otherkey.pem", test_dir(t));
    CHECK_OK(t, tls_self_signed("127.0.0.1,localhost", certificate, key));
    CHECK_OK(t, tls_self_signed("127.0.0.1", other, other_key));
    snprintf(more, sizeof more, "tls { cert_file: \"%s\", key_file: \"%s\", ca_file: \"%s\", verify: true }\n"
             "authorization { user: bongsu, password: \"se\\\"cret\" }\n", certificate, key, certificate);
    if (!opened(t, &f, 1, more))
        return;
    good = (struct bus_nats){ .servers = f.servers[0], .user = "bongsu", .password = "se\"cret", .ca = certificate,
                              .certificate = certificate, .key = key };
    a = join_with(t, &f, "talk", &good, &told[0]);
    ROUNDS_UNTIL(&f, told[0].whole, 5000);
    CHECK_INT(t, 1, told[0].whole);
    b = join_with(t, &f, "talk2", &good, &told[1]);
    ROUNDS_UNTIL(&f, told[1].whole, 5000);
    bus_subscribe(b, "person.ann", hear, &h);
    rounds_ms(f.l, 50);
    for (int i = 0; i < 100; i++)
        bus_publish(a, "person.ann", STR("x"));
    ROUNDS_UNTIL(&f, h.count == 100, 2000);
    CHECK_INT(t, 100, h.count);

    s = good;
    s.password = "wrong";
    join_with(t, &f, "talk3", &s, &told[2]);
    s = good;
    s.ca = other;
    join_with(t, &f, "talk4", &s, &told[3]);
    rounds_ms(f.l, 500);
    CHECK(t, told[2].whole == 0 && told[3].whole == 0);
    closed(&f);
}

static void servers_are_numeric_addresses(struct test *t)
{
    static const char *const wrong[] = { "", "nats://", "nats://nats.example:4222", "10.0.0.1", "nats://10.0.0.1:4222,,", "nats://1:2:3" };
    struct loop *l = loop_new();
    struct arena a;
    struct bus *b = NULL;
    struct str why;

    arena_init(&a);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_INT(t, ERR_INVALID, bus_new_nats(l, "talk", &(struct bus_nats){ .servers = wrong[i] }, &b, &a, &why));
        CHECK(t, why.len > 0);
    }
    CHECK_OK(t, bus_new_nats(l, "talk", &(struct bus_nats){ .servers = " nats://[::1]:4222 , 127.0.0.1:1" }, &b, &a, &why));
    bus_free(&b);
    arena_done(&a);
    loop_round(l, 0);
    loop_free(&l);
}

/* ---- the wire ---- */

static void operations_are_read(struct test *t)
{
    struct nats_op op;
    size_t used = 0;

    CHECK_OK(t, nats_read(STR("INFO {\"a\":1} \r\nPING\r\n"), &op, &used));
    CHECK(t, op.kind == NATS_INFO && used == 15);
    CHECK_STR(t, "{\"a\":1}", op.text);
    CHECK_OK(t, nats_read(STR("MSG a.b 7 5\r\nhello\r\n"), &op, &used));
    CHECK(t, op.kind == NATS_MSG && op.sid == 7 && !op.reply.p && op.status == 0);
    CHECK_STR(t, "hello", op.payload);
    CHECK_OK(t, nats_read(STR("MSG a.b 7 _INBOX.x 0\r\n\r\n"), &op, &used));
    CHECK_STR(t, "_INBOX.x", op.reply);
    CHECK_OK(t, nats_read(STR("HMSG a 1 16 16\r\nNATS/1.0 503\r\n\r\n\r\n"), &op, &used));
    CHECK_INT(t, 503, op.status);
    CHECK_OK(t, nats_read(STR("-ERR 'Authorization Violation'\r\n"), &op, &used));
    CHECK_STR(t, "Authorization Violation", op.text);
    CHECK_INT(t, ERR_AGAIN, nats_read(STR("MSG a.b 7 5\r\nhell"), &op, &used));
    CHECK_INT(t, ERR_AGAIN, nats_read(STR("PIN"), &op, &used));
    CHECK_INT(t, ERR_INVALID, nats_read(STR("MSG a.b 7 5\r\nhello!!"), &op, &used));
    CHECK_INT(t, ERR_INVALID, nats_read(STR("MSG a.b 7 99999999\r\n"), &op, &used));
    CHECK_INT(t, ERR_INVALID, nats_read(STR("MSG a.b -1 5\r\nhello\r\n"), &op, &used));
    CHECK_INT(t, ERR_INVALID, nats_read(STR("HMSG a.b 1 6 5\r\nhello\r\n"), &op, &used));
    CHECK_INT(t, ERR_INVALID, nats_read(STR("HELLO\r\n"), &op, &used));
}

TEST_MAIN(TEST(events_reach_who_subscribed), TEST(unsubscribing_inside_a_callback_is_safe), TEST(one_of_those_who_serve_answers),
          TEST(a_late_or_large_answer_has_its_error), TEST(too_many_questions_are_refused), TEST(order_is_kept),
          TEST(many_subscriptions_come_and_go), TEST(a_killed_server_is_left), TEST(a_frozen_server_is_left),
          TEST(a_machine_starts_alone), TEST(a_reader_that_is_too_slow_learns_of_it), TEST(tls_and_password_are_asked_for),
          TEST(servers_are_numeric_addresses), TEST(operations_are_read))
