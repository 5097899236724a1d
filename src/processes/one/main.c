/* main.c: bongsu-one: every role in one process, joined by the in-process bus. For tests, simulation and tiny
 * boards: what the roles may do is no longer kept apart.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "courier/courier_role.h"
#include "ident/ident_role.h"
#include "keeper/announce.h"
#include "keeper/operator.h"
#include "keeper/prepare.h"
#include "talk/talk_role.h"
#include "web/web_role.h"

static struct role *const roles[] = { &ident_role, &courier_role, &talk_role, &web_role };   /* in the order of starting */
enum { ROLES = sizeof roles / sizeof *roles };

struct one {
    struct role      keeper;         /* for the control socket's questions, metrics and health */
    struct operator  operator;
    struct bus_hub  *hub;
    const char      *config;
    struct settings *settings;
    struct arena     arena;
    struct str       settings_path;
    struct proc_fd   fds[ROLES + 1][PROC_FDS_MAX];
    int64_t          started_ms;
    int              running;
    bool             stopping;
};

static struct one the_one;           /* the process */

/* ---- stop: talk and web first, so that log-ins end before ident does ---- */

static void role_ended(struct role *r)
{
    if (--the_one.running == 1)
        role_stop(roles[0]);
    if (the_one.running == 0)
        loop_stop(the_one.keeper.loop);
}

static void stop(void *arg)
{
    struct one *o = arg;

    if (o->stopping)
        return;
    o->stopping = true;
    announce_stopping();
    for (int i = ROLES - 1; i > 0; i--)
        role_stop(roles[i]);
}

static void on_stop(void *arg, int signum)
{
    stop(arg);
}

/* ---- reload ---- */

static void reload(void *arg, struct control_request *rq)
{
    struct one *o = arg;
    struct buf  notes;
    struct str  text;
    enum err    e;

    buf_init(&notes, 64 * 1024);
    e = prepare_reload(o->config, &o->settings, &o->arena, &notes);
    for (int i = 0; i < ROLES && !e; i++)
        e = role_reload(roles[i], &notes);
    text = str_trim(buf_str(&notes));
    if (rq)
        control_answer(rq, e, json_pack("{s:s%}", "text", text.p ? text.p : "", text.len));
    buf_done(&notes);
}

static void on_reload(void *arg, int signum)
{
    reload(arg, NULL);
}

/* ---- start ---- */

static void describe(void *arg, const char *role, json_t *out)
{
    struct one *o = arg;

    json_object_set_new(out, "pid", json_integer(getpid()));
    json_object_set_new(out, "restarts", json_integer(0));
    json_object_set_new(out, "up_ms", json_integer(clock_mono_ms() - o->started_ms));
}

static enum err keeper_start(struct role *r, struct arena *a, struct str *why)
{
    return OK;
}

static enum err role_prepare(struct one *o, struct role *r, struct proc_fd *fds, struct buf *report)
{
    r->loop = o->keeper.loop;
    r->fds = fds;
    r->settings_path = o->settings_path.p;
    r->stopped = role_ended;
    if (doors_open(o->settings, r->name, fds, PROC_FDS_MAX, &r->fd_count, &o->arena, report))
        return ERR_UNAVAILABLE;
    if (common_load_decided(r->settings_path, &r->settings, report))
        return ERR_INVALID;
    return bus_new_inproc(r->loop, r->name, &o->hub, &r->bus);
}

static enum err open_all(struct one *o, struct buf *report)
{
    enum err e = prepare_all(o->settings, report);

    if (!e)
        e = prepare_settings_file(o->settings, &o->arena, &o->settings_path, report);
    for (int i = 0; i < ROLES && !e; i++)
        e = role_prepare(o, roles[i], o->fds[i], report);
    if (!e)
        e = role_prepare(o, &o->keeper, o->fds[ROLES], report);
    if (e)
        return e;
    o->operator.bus = o->keeper.bus;
    e = operator_listen(&o->operator, common_run_path(o->settings, &o->arena, "control.sock").p);
    if (!e)
        e = prepare_give(o->settings, common_run_path(o->settings, &o->arena, "control.sock").p);
    if (e)
        buf_printf(report, "could not open the control socket: %s\n", err_info(e)->sentence);
    return e;
}

static enum err start_all(struct one *o, struct buf *report)
{
    const char *user = settings_text(o->settings, "user");
    struct str  why = STR_NULL;
    unsigned    rights = PROC_MAY_ACCEPT | PROC_MAY_FILES | PROC_MAY_CONNECT | PROC_MAY_REACH;
    enum err    e = proc_drop(*user ? user : NULL, rights);

    for (int i = 0; i < ROLES && !e; i++) {
        e = role_start(roles[i], &o->arena, &why);
        o->running += !e;
        if (e)
            buf_printf(report, "%s could not start: %.*s\n", roles[i]->name, STR_ARG(why));
    }
    return e ? e : role_start(&o->keeper, &o->arena, &why);
}

static void init(struct one *o, const char *config)
{
    o->config = config;
    o->started_ms = clock_mono_ms();
    arena_init(&o->arena);
    o->keeper = (struct role){ .name = "keeper", .start = keeper_start, .loop = loop_new() };
    o->operator = (struct operator){ .loop = o->keeper.loop, .settings = &o->settings, .roles = { "ident", "courier", "talk", "web" },
                                     .describe = describe, .reload = reload, .stop = stop, .arg = o };
    signal(SIGPIPE, SIG_IGN);
    loop_signal(o->keeper.loop, SIGTERM, on_stop, o);
    loop_signal(o->keeper.loop, SIGINT, on_stop, o);
    loop_signal(o->keeper.loop, SIGHUP, on_reload, o);
}

static void done(struct one *o)
{
    operator_free(&o->operator);
    role_finish(&o->keeper);
    for (int i = ROLES - 1; i >= 0; i--)
        role_finish(roles[i]);
    for (int i = ROLES - 1; i >= 0; i--) {
        bus_free(&roles[i]->bus);
        settings_free(&roles[i]->settings);
    }
    bus_free(&o->keeper.bus);
    settings_free(&o->keeper.settings);
    loop_round(o->keeper.loop, 0);      /* connections that were aborted free themselves at the end of a round */
    loop_free(&o->keeper.loop);
    settings_free(&o->settings);
    arena_done(&o->arena);
}

static int run(struct one *o)
{
    struct buf report;
    enum err   e;

    buf_init(&report, 64 * 1024);
    e = open_all(o, &report);
    if (!e)
        e = start_all(o, &report);
    fprintf(stderr, "%.*s", STR_ARG(buf_str(&report)));
    buf_done(&report);
    if (!e) {
        announce_ready(o->settings);
        loop_run(o->keeper.loop);
    }
    return e ? 1 : 0;
}

int main(int argc, char **argv)
{
    const char *config = argc == 3 && strcmp(argv[1], "--config") == 0 ? argv[2] : NULL;
    const char *faults = getenv("BONGSU_FAULT");
    struct buf  report;
    int         status;

    if (argc != 1 && !config) {
        fprintf(stderr, "usage: bongsu-one [--config FILE]\nEvery role in one process; `bongsu serve` keeps them apart.\n");
        return 2;
    }
    buf_init(&report, 64 * 1024);
    if (common_load(config, &the_one.settings, &report) || (faults && *faults && fault_arm_text(faults))) {
        fprintf(stderr, "%.*s", STR_ARG(buf_str(&report)));
        return 1;
    }
    buf_done(&report);
    common_log_setup("one", the_one.settings);
    init(&the_one, config);
    status = run(&the_one);
    done(&the_one);
    return status;
}
