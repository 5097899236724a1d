/* load.c: bongsu-load, a load generator for XMPP servers.
 *
 * The coordinator (this file) forks workers, waits until all sessions are
 * there, opens the measured window and closes it. It prints one JSON object
 * a line, so that whoever measures the server reads its counters at the same
 * moments: warm, ready, start, end. With --step it waits for a line on stdin
 * after warm and ready.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "load.h"

enum { PROCS_MAX = 16, FDS_PER_WORKER = 19000, CONTACTS_MAX = 20000 };

struct options opt = {
    .host = "127.0.0.1", .port = 5222, .domain = "localhost", .prefix = "u", .password = "bench-password",
    .mechanism = "SCRAM-SHA-1", .tls = TLS_STARTTLS, .pairs = 100, .clients = 1000, .warm = 0, .procs = 1,
    .login_width = 32, .talkers = 1000, .window = 1, .rate = 1000, .page = 50, .contacts = 1000, .duration_ms = 10000, .warmup_ms = 2000,
    .presence = true,
};
struct shared *shared;
struct tally  *tally;
struct client *clients;
int            client_count;

static struct tally *tallies;
static pid_t         workers[PROCS_MAX];

static const struct scenario *const scenarios[] = {
    &scenario_pairs, &scenario_open, &scenario_idle, &scenario_login, &scenario_archive, &scenario_room, &scenario_talk,
    &scenario_enter, &scenario_presence, &scenario_appear, &scenario_rename, &scenario_roster,
};

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
}

void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("bongsu-load: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    _exit(1);
}

/* ---- a worker ---- */

static _Noreturn void worker_run(const struct scenario *s, int first_account, int count)
{
    int started = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    client_count = count;
    clients = calloc((size_t)count, sizeof *clients);
    if (!clients)
        die("out of memory");
    for (int i = 0; i < count; i++)
        clients[i] = (struct client){ .fd = -1, .account = first_account + i, .index = i };
    client_setup(s);
    if (s->begin)
        s->begin();
    while (!shared->stop) {
        int target = shared->target < (uint64_t)count ? (int)shared->target : count;
        while (started < target && started - (int)tally->ready < opt.login_width)
            client_connect(&clients[started++]);
        int64_t wait = s->tick ? s->tick(now_ns()) : 5000000;
        client_round(wait < 5000000 ? wait : 5000000);
    }
    _exit(0);
}

/* ---- the coordinator ---- */

static void sleep_ns(uint64_t ns)
{
    struct timespec t = { .tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000) };
    nanosleep(&t, NULL);
}

static void stop_workers(void)
{
    shared->stop = 1;
    for (int i = 0; i < opt.procs; i++)
        if (workers[i] > 0)
            kill(workers[i], SIGKILL);  /* thousands of sessions need no farewell */
    while (wait(NULL) > 0)
        ;
}

/* A worker that ends before it is told to has said why on stderr. */
static void check_workers(void)
{
    int status;

    if (waitpid(-1, &status, WNOHANG) > 0) {
        stop_workers();
        exit(1);
    }
}

static uint64_t sum(size_t offset)
{
    uint64_t n = 0;
    for (int i = 0; i < opt.procs; i++)
        n += *(volatile uint64_t *)((char *)&tallies[i] + offset);
    return n;
}
#define SUM(field) sum(offsetof(struct tally, field))

static uint64_t workers_cpu_ns(void)
{
    uint64_t ns = 0;

    for (int i = 0; i < opt.procs; i++) {
        clockid_t clock;
        struct timespec t;
        if (clock_getcpuclockid(workers[i], &clock) == 0 && clock_gettime(clock, &t) == 0)
            ns += (uint64_t)t.tv_sec * 1000000000ULL + (uint64_t)t.tv_nsec;
    }
    return ns;
}

static void wait_until(size_t field, uint64_t wanted)
{
    while (sum(field) < wanted) {
        check_workers();
        sleep_ns(2000000);
    }
}

static void step(void)
{
    char line[16];

    if (opt.step && !fgets(line, sizeof line, stdin)) {
        stop_workers();
        exit(1);                    /* whoever asked for steps is gone */
    }
    check_workers();
}

static void say_sessions(const char *event, int sessions)
{
    printf("{\"event\":\"%s\",\"sessions\":%d}\n", event, sessions);
    fflush(stdout);
}

static void say_percentiles(const char *name, const struct histogram *h)
{
    printf(",\"%s\":{\"count\":%" PRIu64 ",\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f}", name, h->count,
           (double)histogram_at(h, 0.5) / 1e3, (double)histogram_at(h, 0.99) / 1e3, (double)histogram_at(h, 0.999) / 1e3);
}

static void say_end(const struct scenario *s, uint64_t window_ns, uint64_t cpu_ns)
{
    static struct histogram latency, acked;

    for (int i = 0; i < opt.procs; i++) {
        histogram_merge(&latency, &tallies[i].latency);
        histogram_merge(&acked, &tallies[i].acked);
    }
    printf("{\"event\":\"end\",\"scenario\":\"%s\",\"seconds\":%.6f,\"sent\":%" PRIu64 ",\"received\":%" PRIu64
           ",\"logins\":%" PRIu64 ",\"pages\":%" PRIu64 ",\"bounced\":%" PRIu64 ",\"unsent\":%" PRIu64
           ",\"generator_busy\":%.3f", s->name, (double)window_ns / 1e9, SUM(sent), SUM(received), SUM(logins),
           SUM(pages), SUM(bounced), SUM(unsent), (double)cpu_ns / (double)window_ns);
    say_percentiles("latency", &latency);
    say_percentiles("acked", &acked);
    puts("}");
    fflush(stdout);
}

/* By time, or until every pair has sent its --count. */
static void measure(const struct scenario *s)
{
    uint64_t cpu;

    shared->running = 1;
    if (!opt.count)
        sleep_ns((uint64_t)opt.warmup_ms * 1000000ULL);
    check_workers();
    cpu = workers_cpu_ns();
    shared->end_ns = opt.count ? UINT64_MAX : now_ns() + (uint64_t)opt.duration_ms * 1000000ULL;
    shared->start_ns = now_ns();
    puts("{\"event\":\"start\"}");
    fflush(stdout);
    if (opt.count)
        wait_until(offsetof(struct tally, done), (uint64_t)opt.procs);
    else
        sleep_ns(shared->end_ns - now_ns());
    if (opt.count)
        shared->end_ns = now_ns();
    check_workers();
    say_end(s, shared->end_ns - shared->start_ns, workers_cpu_ns() - cpu);
}

static void coordinate(const struct scenario *s, int sessions)
{
    if (opt.warm) {
        int warm = (opt.warm + opt.procs - 1) / opt.procs;
        shared->target = (uint64_t)warm;
        wait_until(offsetof(struct tally, ready), (uint64_t)(warm * opt.procs));
        say_sessions("warm", warm * opt.procs);
        step();
    }
    shared->target = (uint64_t)sessions;
    wait_until(offsetof(struct tally, ready), (uint64_t)sessions);
    if (s->gathers)
        wait_until(offsetof(struct tally, done), 1);
    say_sessions("ready", sessions);
    step();
    if (s != &scenario_idle)
        measure(s);
}

static void fork_workers(const struct scenario *s, int sessions)
{
    int even = sessions / opt.procs, given = 0;

    even -= even % 2;               /* both ends of a pair in one worker */
    for (int i = 0; i < opt.procs; i++) {
        int count = i == opt.procs - 1 ? sessions - given : even;
        workers[i] = fork();
        if (workers[i] < 0)
            die("could not fork: %s", strerror(errno));
        if (workers[i] == 0) {
            tally = &tallies[i];
            worker_run(s, opt.first + given, count);
        }
        given += count;
    }
}

/* ---- options ---- */

enum option_kind { OPT_TEXT, OPT_NUMBER, OPT_SECONDS, OPT_TLS, OPT_FLAG };

static const struct option_row {
    const char      *name;
    enum option_kind kind;
    void            *value;
    const char      *help;
} option_rows[] = {
    { "host",        OPT_TEXT,    &opt.host,        "address of the server (127.0.0.1)" },
    { "host2",       OPT_TEXT,    &opt.host2,       "another one, for one end of each pair; the same port" },
    { "port",        OPT_NUMBER,  &opt.port,        "its port (5222)" },
    { "domain",      OPT_TEXT,    &opt.domain,      "domain of the accounts (localhost)" },
    { "prefix",      OPT_TEXT,    &opt.prefix,      "account names are PREFIX0, PREFIX1, … (u)" },
    { "first",       OPT_NUMBER,  &opt.first,       "number of the first account (0)" },
    { "password",    OPT_TEXT,    &opt.password,    "of every account" },
    { "mechanism",   OPT_TEXT,    &opt.mechanism,   "SCRAM-SHA-1, SCRAM-SHA-256 or PLAIN" },
    { "tls",         OPT_TLS,     &opt.tls,         "none, starttls or direct" },
    { "procs",       OPT_NUMBER,  &opt.procs,       "worker processes (1; more are started as files need)" },
    { "login-width", OPT_NUMBER,  &opt.login_width, "log-ins in progress at one time (32)" },
    { "pairs",       OPT_NUMBER,  &opt.pairs,       "pairs, open: pairs of accounts (100)" },
    { "window",      OPT_NUMBER,  &opt.window,      "pairs: messages in flight per pair (1)" },
    { "count",       OPT_NUMBER,  &opt.count,       "pairs: stop after this many messages per pair" },
    { "rate",        OPT_NUMBER,  &opt.rate,        "open, room: messages a second in all; enter: times (1000)" },
    { "clients",     OPT_NUMBER,  &opt.clients,     "all but pairs and open: sessions (1000)" },
    { "talkers",     OPT_NUMBER,  &opt.talkers,     "talk: how many of the clients talk (1000)" },
    { "warm",        OPT_NUMBER,  &opt.warm,        "log this many in first and say \"warm\"" },
    { "page",        OPT_NUMBER,  &opt.page,        "archive: messages a page (50)" },
    { "contacts",    OPT_NUMBER,  &opt.contacts,    "rename, roster: of the account (1000)" },
    { "duration",    OPT_SECONDS, &opt.duration_ms, "seconds measured (10)" },
    { "warmup",      OPT_SECONDS, &opt.warmup_ms,   "seconds before that (2)" },
    { "sm",          OPT_FLAG,    &opt.sm,          "use XEP-0198, ask for an acknowledgement per message" },
    { "step",        OPT_FLAG,    &opt.step,        "wait for a line on stdin after \"warm\" and \"ready\"" },
};
enum { OPTION_COUNT = sizeof option_rows / sizeof option_rows[0] };

static _Noreturn void usage(FILE *f, int code)
{
    fputs("usage: bongsu-load SCENARIO [--option VALUE]…\n\nscenarios:\n", f);
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++)
        fprintf(f, "  %-12s %s\n", scenarios[i]->name, scenarios[i]->help);
    fputs("\noptions:\n", f);
    for (int i = 0; i < OPTION_COUNT; i++)
        fprintf(f, "  --%-12s %s\n", option_rows[i].name, option_rows[i].help);
    exit(code);
}

static void option_set(const struct option_row *row, const char *value)
{
    static const char *const tls_names[] = { "none", "starttls", "direct" };
    char *end = NULL;

    switch (row->kind) {
    case OPT_FLAG:    *(bool *)row->value = true; return;
    case OPT_TEXT:    *(const char **)row->value = value; return;
    case OPT_SECONDS: *(int64_t *)row->value = (int64_t)(strtod(value, &end) * 1000); break;
    case OPT_NUMBER:  *(int *)row->value = (int)strtol(value, &end, 10); break;
    case OPT_TLS:
        for (int i = 0; i < 3; i++)
            if (strcmp(value, tls_names[i]) == 0) {
                *(enum tls_kind *)row->value = (enum tls_kind)i;
                return;
            }
    }
    if (!end || end == value || *end)
        die("--%s does not understand \"%s\"", row->name, value);
}

static const struct scenario *options_read(int argc, char **argv)
{
    struct option longs[OPTION_COUNT + 2] = { 0 };
    int c, at = 0;

    for (int i = 0; i < OPTION_COUNT; i++)
        longs[i] = (struct option){ option_rows[i].name, option_rows[i].kind == OPT_FLAG ? 0 : 1, NULL, 0 };
    longs[OPTION_COUNT] = (struct option){ "help", 0, NULL, 'h' };
    while ((c = getopt_long(argc, argv, "h", longs, &at)) != -1) {
        if (c != 0)
            usage(c == 'h' ? stdout : stderr, c == 'h' ? 0 : 2);
        option_set(&option_rows[at], optarg);
    }
    for (size_t i = 0; optind < argc && i < sizeof scenarios / sizeof scenarios[0]; i++)
        if (strcmp(argv[optind], scenarios[i]->name) == 0)
            return scenarios[i];
    usage(stderr, 2);
}

static void options_check(const struct scenario *s, int sessions)
{
    /* Files a process may open bound a worker's sessions. */
    while (sessions / opt.procs > FDS_PER_WORKER)
        opt.procs++;
    if (opt.procs < 1 || opt.procs > PROCS_MAX || opt.procs * 2 > sessions + 1)
        die("--procs must be 1 to %d and leave every worker two sessions", PROCS_MAX);
    if (sessions < 1 || opt.rate < 1 || opt.window < 1 || opt.talkers < 1 || opt.window > ACK_RING / 2 || opt.page < 1 || opt.login_width < 1)
        die("a number is out of range");
    if (opt.contacts < 1 || opt.contacts > CONTACTS_MAX)
        die("--contacts must be 1 to %d", CONTACTS_MAX);
    if (s->gathers && opt.procs > 1)
        die("\"%s\" runs in one worker: --procs 1 and %d sessions at most", s->name, FDS_PER_WORKER);
    if (opt.count && opt.count < opt.window)
        die("--count must not be below --window");
    if (s == &scenario_archive || s == &scenario_login || s->gathers)
        opt.presence = false;
}

int main(int argc, char **argv)
{
    const struct scenario *s = options_read(argc, argv);
    bool paired = s == &scenario_pairs || s == &scenario_open;
    int sessions = paired ? opt.pairs * 2 : opt.clients;
    struct rlimit files;

    options_check(s, sessions);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    tallies = mmap(NULL, sizeof *tallies * PROCS_MAX, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || tallies == MAP_FAILED)
        die("out of memory");
    fork_workers(s, sessions);
    coordinate(s, sessions);
    stop_workers();
    return 0;
}
