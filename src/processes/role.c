/* role.c: see role.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "role.h"
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "bus/codec.h"
#include "net/http.h"

enum { CODEC_VERSION = 1, METRICS_BYTES_MAX = 512 * 1024 };

METRIC_GAUGE(resident, "bongsu_process_resident_bytes", "Memory of this process.");
METRIC_COUNTER(reloads, "bongsu_reloads", "Settings taken up while running.");

int role_fd(const struct role *r, const char *name)
{
    if (!r->fds)
        return proc_fd_get(name);
    for (int i = 0; i < r->fd_count; i++)
        if (strcmp(r->fds[i].name, name) == 0)
            return r->fds[i].fd;
    return -1;
}

static const char *trouble_of(struct role *r)
{
    if (r->stopping)
        return "it is stopping";
    return r->trouble ? r->trouble(r) : NULL;
}

/* ---- metrics and health over HTTP ---- */

struct role_http {
    struct role       *role;
    struct http_server server;
    struct conn_limits limits;
    struct listener   *listener;
};

static void metrics_write(struct buf *out)
{
    buf_init(out, METRICS_BYTES_MAX);
    metric_set(&resident, proc_rss_bytes());
    metric_write(out);
}

static void answer_text(struct http_exchange *x, int status, const char *text)
{
    http_answer(x, status, STR("text/plain; charset=utf-8"), STR("Cache-Control: no-store\r\n"), str_of(text));
}

static void http_asked(void *arg, struct http_exchange *x, const struct http_request *rq)
{
    struct role_http *h = arg;
    const char       *trouble;
    struct buf        text;

    if (!str_is(rq->method, "GET") && !str_is(rq->method, "HEAD")) {
        answer_text(x, 405, "only GET is answered here\n");
    } else if (str_is(rq->path, "/metrics")) {
        metrics_write(&text);
        http_answer(x, 200, STR("application/openmetrics-text; version=1.0.0; charset=utf-8"), STR_NULL, buf_str(&text));
        buf_done(&text);
    } else if (str_is(rq->path, "/health/live")) {
        answer_text(x, 200, "live\n");
    } else if (str_is(rq->path, "/health/ready")) {
        trouble = trouble_of(h->role);
        answer_text(x, trouble ? 503 : 200, trouble ? trouble : "ready\n");
    } else {
        answer_text(x, 404, "try /metrics, /health/live or /health/ready\n");
    }
}

static void http_accepted(void *arg, int fd)
{
    http_serve(&((struct role_http *)arg)->server, fd);
}

static void http_start(struct role *r)
{
    int               fd = role_fd(r, "metrics0");
    struct role_http *h;

    if (fd < 0)
        return;
    h = NEW(struct role_http);
    h->role = r;
    h->limits = (struct conn_limits){ .in_bytes_max = 64 * 1024, .out_bytes_max = 2 * METRICS_BYTES_MAX, .stall_ms_max = 10000 };
    h->server = (struct http_server){ .loop = r->loop, .limits = &h->limits, .request = http_asked, .arg = h };
    h->listener = listener_new(r->loop, fd, http_accepted, h);
    r->http = h;
}

/* ---- what every role answers on the bus ---- */

static void answer_sentence(struct bus_request *rq, enum err e, struct str text)
{
    struct buf out;

    buf_init(&out, 64 * 1024);
    codec_begin(&out, CODEC_VERSION);
    codec_put_str(&out, text);
    bus_answer(rq, e, buf_str(&out));
    buf_done(&out);
}

static void asked_ready(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    const char *trouble = trouble_of(arg);

    answer_sentence(rq, trouble ? ERR_UNAVAILABLE : OK, trouble ? str_of(trouble) : STR("ready"));
}

static void asked_metrics(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct buf text, out;

    metrics_write(&text);
    buf_init(&out, BUS_PAYLOAD_BYTES_MAX);
    codec_begin(&out, CODEC_VERSION);
    codec_put_bytes(&out, buf_str(&text));
    bus_answer(rq, OK, buf_str(&out));
    buf_done(&text);
    buf_done(&out);
}

static void asked_reload(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct buf report;
    enum err   e;

    buf_init(&report, 64 * 1024);
    e = role_reload(arg, &report);
    answer_sentence(rq, e, buf_str(&report));
    buf_done(&report);
}

static void serve(struct role *r, const char *verb, bus_serve_fn *fn)
{
    char subject[BUS_SUBJECT_BYTES_MAX];

    snprintf(subject, sizeof subject, "%s.%s", r->name, verb);
    bus_serve(r->bus, subject, fn, r);
}

/* ---- life ---- */

enum err role_start(struct role *r, struct arena *a, struct str *why)
{
    enum err e;

    *why = STR_NULL;
    r->stopping = false;
    e = r->start(r, a, why);
    if (e) {
        if (!why->len)
            *why = str_of(err_info(e)->sentence);
        return e;
    }
    serve(r, "ready", asked_ready);
    serve(r, "reload", asked_reload);
    serve(r, "metrics", asked_metrics);
    http_start(r);
    LOG_INFO("role.ready", LF_Z("role", r->name));
    return OK;
}

enum err role_reload(struct role *r, struct buf *report)
{
    struct settings *fresh;
    struct arena     a;
    struct str       why = STR_NULL;
    enum err         e = common_load_decided(r->settings_path, &fresh, report);

    if (e)
        return e;
    arena_init(&a);
    if (r->reload)
        e = r->reload(r, fresh, &a, &why);
    if (e) {
        buf_put_str(report, why.len ? why : str_of(err_info(e)->sentence));
        LOG_ERROR("role.reload", LF_Z("role", r->name), LF_ERR(e), LF_STR("why", why));
        settings_free(&fresh);
    } else {
        settings_free(&r->settings);
        r->settings = fresh;
        common_log_setup(r->name, fresh);
        metric_add(&reloads, 1);
        LOG_INFO("role.reloaded", LF_Z("role", r->name));
    }
    arena_done(&a);
    return e;
}

void role_stop(struct role *r)
{
    if (r->stopping)
        return;
    r->stopping = true;
    if (r->stop)
        r->stop(r);
    else
        role_stopped(r);
}

void role_stopped(struct role *r)
{
    r->stopped(r);
}

void role_finish(struct role *r)
{
    if (r->http) {
        listener_free(&r->http->listener);
        free(r->http);
        r->http = NULL;
    }
    if (r->finish)
        r->finish(r);
}

/* ---- its own process ---- */

static void on_stop(void *arg, int signum)
{
    role_stop(arg);
}

static void on_reload(void *arg, int signum)
{
    struct buf report;

    buf_init(&report, 64 * 1024);
    role_reload(arg, &report);
    buf_done(&report);
}

static void process_stopped(struct role *r)
{
    loop_stop(r->loop);
}

static bool arm_faults(const char *name)
{
    const char *text = getenv("BONGSU_FAULT"), *only = getenv("BONGSU_FAULT_ROLE");

    if (!text || !*text || (only && *only && strcmp(only, name) != 0))
        return true;
    if (fault_arm_text(text) == OK)
        return true;
    fprintf(stderr, "bongsu-%s: BONGSU_FAULT=\"%s\" is not understood; see base/fault.h\n", name, text);
    return false;
}

/* Another role's fault is none of ours; what reads this variable is the database layer. */
static void hide_powercut(const char *name)
{
    const char *only = getenv("BONGSU_FAULT_ROLE");

    if (only && *only && strcmp(only, name) != 0)
        unsetenv("BONGSU_POWERCUT");
}

static const char *user_of(const struct settings *s)
{
    const char *user = settings_text(s, "user");

    return *user ? user : NULL;
}

static unsigned role_rights(const struct role *r)
{
    return r->rights | (common_is_reaching_out(r->settings) ? r->rights_clustered : 0);
}

static enum err process_prepare(struct role *r, struct arena *a, struct str *why)
{
    enum err e = bus_new_local(r->loop, r->name, settings_text(r->settings, "run_dir"), role_fd(r, "bus"), &r->bus);

    if (e) {
        *why = arena_printf(a, "could not open its bus in \"%s\": %s", settings_text(r->settings, "run_dir"),
                            err_info(e)->sentence);
        return e;
    }
    loop_signal(r->loop, SIGTERM, on_stop, r);
    loop_signal(r->loop, SIGINT, on_stop, r);
    loop_signal(r->loop, SIGHUP, on_reload, r);
    proc_files_max();
    proc_title(r->name);
    e = proc_drop(user_of(r->settings), role_rights(r));
    if (e)
        *why = arena_printf(a, "could not become the user \"%s\": %s", settings_text(r->settings, "user"),
                            err_info(e)->sentence);
    return e;
}

static enum err process_run(struct role *r, struct arena *a, struct str *why)
{
    enum err e = process_prepare(r, a, why);

    if (!e)
        e = role_start(r, a, why);
    if (!e)
        loop_run(r->loop);
    return e;
}

static int usage(const char *name)
{
    fprintf(stderr, "bongsu-%s is a part of the server: `bongsu serve` starts it.\n", name);
    return 2;
}

/* What another machine keeps from starting, time mends: the keeper tries again. */
static int exit_status(enum err e, bool on_server)
{
    if (!e)
        return 0;
    return e == ERR_UNAVAILABLE && on_server ? EXIT_FAILURE : EXIT_NEEDS_MENDING;
}

int role_main(struct role *r, int argc, char **argv)
{
    struct arena a;
    struct buf   report;
    struct str   why = STR_NULL;
    bool         on_server;
    enum err     e;

    if ((argc != 3 && argc != 5) || strcmp(argv[1], "--settings") != 0 || (argc == 5 && strcmp(argv[3], "--name") != 0))
        return usage(r->name);
    if (argc == 5)
        r->name = argv[4];
    hide_powercut(r->name);
    if (!arm_faults(r->name))
        return EXIT_NEEDS_MENDING;
    arena_init(&a);
    buf_init(&report, 64 * 1024);
    r->settings_path = argv[2];
    e = common_load_decided(r->settings_path, &r->settings, &report);
    if (e) {
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&report)));
        buf_done(&report);
        return EXIT_NEEDS_MENDING;
    }
    buf_done(&report);
    common_log_setup(r->name, r->settings);
    signal(SIGPIPE, SIG_IGN);
    r->loop = loop_new();
    r->stopped = process_stopped;
    on_server = *settings_text(r->settings, "db.server");
    e = process_run(r, &a, &why);
    if (e)
        fprintf(stderr, "bongsu: %s could not start: %.*s\n", r->name, STR_ARG(why));
    role_finish(r);
    bus_free(&r->bus);
    loop_round(r->loop, 0);         /* connections that were aborted free themselves at the end of a round */
    loop_free(&r->loop);
    settings_free(&r->settings);
    arena_done(&a);
    return exit_status(e, on_server);
}
