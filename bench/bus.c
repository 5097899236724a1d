/* bus.c: bongsu-bus: what an event costs on the bus between machines: CPU to publish and to receive, and its delay.
 *
 *   bongsu-bus nats://127.0.0.1:4222 [RATE [COUNT [BYTES]]]       10000 a second, 30000 of 200 bytes
 *   bongsu-bus nats://10.0.1.1:4222 10000 30000 200 nats://10.0.2.1:4222    published at one site, received at another
 *
 * Two processes, as talk workers are; the publisher wakes each millisecond. Prints a JSON object for each.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "bus/bus.h"

enum { CONNECT_MS_MAX = 10000, QUIET_MS_MAX = 5000, BYTES_MIN = 8 };

struct side {
    struct loop  *loop;
    struct bus   *bus;
    struct loop_fd wake;
    int           rate, count, bytes, done;
    int64_t       started_ns;
    int64_t      *delays_ns;
    char         *payload;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static double cpu_us(void)
{
    struct rusage r;

    getrusage(RUSAGE_SELF, &r);
    return (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1e6 + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}

static void side_open(struct side *s, const char *role, const char *server)
{
    struct arena a;
    struct str   why;

    arena_init(&a);
    s->loop = loop_new();
    if (bus_new_nats(s->loop, role, &(struct bus_nats){ .servers = server }, &s->bus, &a, &why) != OK) {
        fprintf(stderr, "bongsu-bus: %.*s\n", STR_ARG(why));
        exit(1);
    }
    for (int i = 0; i < CONNECT_MS_MAX / 10 && !bus_connected(s->bus); i++)
        loop_round(s->loop, 10);
    if (!bus_connected(s->bus)) {
        fprintf(stderr, "bongsu-bus: no NATS server answers at \"%s\"\n", server);
        exit(1);
    }
}

static void heard(void *arg, struct str subject, struct str payload)
{
    struct side *s = arg;
    int64_t      sent_ns;

    memcpy(&sent_ns, payload.p, sizeof sent_ns);
    s->delays_ns[s->done++] = now_ns() - sent_ns;
    if (s->done == s->count)
        loop_stop(s->loop);
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

static double at_ms(const struct side *s, double share)
{
    return (double)s->delays_ns[(int)((s->done - 1) * share)] / 1e6;
}

static int receive(struct side *s, const char *server, int ready)
{
    double before;

    side_open(s, "talk2", server);
    s->delays_ns = mem_new((size_t)s->count * sizeof *s->delays_ns);
    bus_subscribe(s->bus, "bench.bus", heard, s);
    for (int i = 0; i < 20; i++)
        loop_round(s->loop, 10);
    before = cpu_us();
    alarm((unsigned)(s->count / s->rate) + QUIET_MS_MAX / 1000);    /* an event that never comes ends it, without a result */
    if (write(ready, "x", 1) != 1)
        return 1;
    loop_run(s->loop);
    before = cpu_us() - before;
    qsort(s->delays_ns, (size_t)s->done, sizeof *s->delays_ns, by_size);
    printf("{\"received\": %d, \"receive_us\": %.2f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n", s->done,
           before / s->done, at_ms(s, 0.5), at_ms(s, 0.99), at_ms(s, 1));
    return fflush(stdout);
}

static void publish_due(struct loop_fd *wake, unsigned events)
{
    struct side *s = LIST_ITEM(wake, struct side, wake);
    uint64_t     ticks;
    int64_t      due;

    if (read(wake->fd, &ticks, sizeof ticks) != sizeof ticks)
        return;
    due = (now_ns() - s->started_ns) * s->rate / 1000000000LL;
    for (; s->done < due && s->done < s->count; s->done++) {
        int64_t sent_ns = now_ns();

        memcpy(s->payload, &sent_ns, sizeof sent_ns);
        if (bus_publish(s->bus, "bench.bus", str_make(s->payload, (size_t)s->bytes)) != OK)
            break;
    }
    if (s->done == s->count)
        loop_stop(s->loop);
}

static void publish(struct side *s)
{
    struct itimerspec each_ms = { { 0, 1000000 }, { 0, 1000000 } };
    double            before;

    s->payload = mem_new((size_t)s->bytes);
    s->wake.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    s->wake.ready = publish_due;
    timerfd_settime(s->wake.fd, 0, &each_ms, NULL);
    loop_fd_add(s->loop, &s->wake, LOOP_READ);
    s->started_ns = now_ns();
    before = cpu_us();
    loop_run(s->loop);
    before = cpu_us() - before;
    printf("{\"rate\": %d, \"bytes\": %d, \"published\": %d, \"publish_us\": %.2f}\n", s->rate, s->bytes, s->done, before / s->done);
    fflush(stdout);
    loop_fd_remove(s->loop, &s->wake);
}

static int number(int argc, char **argv, int at, int usual)
{
    int n = argc > at ? atoi(argv[at]) : usual;

    return n > 0 ? n : usual;
}

int main(int argc, char **argv)
{
    struct side s = { .rate = number(argc, argv, 2, 10000), .count = number(argc, argv, 3, 30000), .bytes = number(argc, argv, 4, 200) };
    int         ready[2], status = 1;
    char        c;
    pid_t       receiver;

    if (argc < 2 || s.bytes < BYTES_MIN) {
        fprintf(stderr, "usage: bongsu-bus SERVER [RATE [COUNT [BYTES [SERVER-OF-THE-RECEIVER]]]]\n");
        return 2;
    }
    log_setup("bus", LOG_LEVEL_ERROR, false);
    if (pipe(ready) != 0)
        return 1;
    receiver = fork();
    if (receiver == 0)
        _exit(receive(&s, argc > 5 ? argv[5] : argv[1], ready[1]));
    close(ready[1]);
    side_open(&s, "talk", argv[1]);
    if (read(ready[0], &c, 1) != 1)
        return 1;
    publish(&s);
    while (waitpid(receiver, &status, WNOHANG) == 0)
        loop_round(s.loop, 10);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
