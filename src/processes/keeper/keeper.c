/* keeper.c: `bongsu serve`: opens the doors, starts the roles, restarts the dead, ends in order.
 *
 *   prepare ─▶ start roles ─▶ wait for each <role>.ready ─▶ "ready" ─▶ run ─▶ SIGTERM ─▶ talk, web end ─▶ ident ends
 *                  └── a role exits with EXIT_NEEDS_MENDING before the first "ready": everything ends
 *
 *   A restart goes from role to role: SIGTERM ─▶ dead ─▶ started ─▶ ready ─▶ the next.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "keeper/announce.h"
#include "keeper/cli.h"
#include "keeper/operator.h"
#include "keeper/prepare.h"
#include "net/conn.h"
#include "role.h"

METRIC_COUNTER(restarts, "bongsu_keeper_role_deaths", "Roles that ended without being asked to.");

enum {
    ROLES_MAX = TALK_WORKERS_MAX + 3,
    TALK_FIRST = 2,                 /* after ident and courier; then its further workers, then web */
    READY_ASK_MS = 5000,
    READY_AGAIN_MS = 100,
    STOP_MS_MAX = 20000,            /* after it, what still runs is killed */
    RESTART_MS_MAX = 60000,         /* for one role to end, start and be ready */
};

struct keeper;
struct held {                       /* one role */
    struct keeper    *keeper;
    struct proc_child child;
    bool              ready;
    struct timer      again;        /* ask for readiness */
    char              name[16];
};

struct keeper {
    struct role       role;         /* the keeper's own bus, metrics and health */
    struct operator   operator;
    const char       *config;       /* as given, may be NULL */
    struct arena      arena;        /* names of doors and paths, for good */
    struct proc_fd    own_fds[PROC_FDS_MAX];
    int               role_count;
    struct held       held[ROLES_MAX];      /* in the order of starting; the end goes the other way, so that log-ins end before ident */
    struct proc_child *children[ROLES_MAX];
    bool              announced, stopping, failed, is_reloading;
    struct timer      stop_late;
    struct control_request *reloading;
    struct buf        reload_notes;
    struct held      *restarted;            /* the role whose turn it is; NULL: no restart is under way */
    bool              restart_began;        /* its old process has ended */
    struct timer      restart_late;
    struct control_request *restarting;
};

/* ---- readiness ---- */

static bool all_ready(const struct keeper *k)
{
    for (int i = 0; i < k->role_count; i++)
        if (!k->held[i].ready)
            return false;
    return true;
}

static void ask_ready(struct timer *t);

static void restart_ready(struct keeper *k);

static void ready_answered(void *arg, enum err e, struct str payload)
{
    struct held   *h = arg;
    struct keeper *k = h->keeper;

    if (k->stopping)
        return;
    h->ready = e == OK;
    if (e) {
        timer_start(k->role.loop, &h->again, READY_AGAIN_MS, ask_ready);
    } else if (!k->announced && all_ready(k)) {
        k->announced = true;
        announce_ready(k->role.settings);
    }
    if (h->ready && h == k->restarted && k->restart_began)
        restart_ready(k);
}

static void ask_ready(struct timer *t)
{
    struct held *h = LIST_ITEM(t, struct held, again);
    char         subject[BUS_SUBJECT_BYTES_MAX];

    snprintf(subject, sizeof subject, "%s.ready", h->child.role);
    if (bus_ask(h->keeper->role.bus, subject, STR_NULL, READY_ASK_MS, ready_answered, h))
        timer_start(h->keeper->role.loop, t, READY_AGAIN_MS, ask_ready);
}

/* A worker of talk that is away is no trouble while another one serves. */
static const char *trouble(struct role *r)
{
    struct keeper *k = r->own;
    bool           talk = false, others = true;

    for (int i = 0; i < k->role_count; i++) {
        if (common_worker_number(k->held[i].name))
            talk |= k->held[i].ready;
        else
            others &= k->held[i].ready;
    }
    return talk && others ? NULL : "a role is not ready; `bongsu status` tells which";
}

/* ---- the end ---- */

static void stop_next(struct keeper *k)
{
    bool others = false;

    for (int i = 1; i < k->role_count; i++)
        others |= k->held[i].child.pid > 0;
    if (!others && k->held[0].child.pid > 0 && !k->held[0].child.stopping)
        proc_stop(&k->held[0].child, SIGTERM);
    for (int i = 0; i < k->role_count; i++)
        if (k->held[i].child.pid > 0)
            return;
    loop_stop(k->role.loop);
}

static void stop_late(struct timer *t)
{
    struct keeper *k = LIST_ITEM(t, struct keeper, stop_late);

    for (int i = 0; i < k->role_count; i++)
        if (k->held[i].child.pid > 0) {
            LOG_WARN("keeper.killed", LF_Z("role", k->held[i].child.role));
            proc_stop(&k->held[i].child, SIGKILL);
        }
}

static void restart_end(struct keeper *k, enum err e, const char *why);

static void keeper_stop(void *arg)
{
    struct keeper *k = arg;

    if (k->stopping)
        return;
    k->stopping = true;
    if (k->restarted)
        restart_end(k, ERR_CLOSED, "was not restarted, for the server ends");
    announce_stopping();
    timer_start(k->role.loop, &k->stop_late, STOP_MS_MAX, stop_late);
    for (int i = k->role_count - 1; i > 0; i--)
        proc_stop(&k->held[i].child, SIGTERM);
    stop_next(k);
}

/* ---- restart: one role after the other, so that a new program is taken up while the others serve ---- */

static void restart_end(struct keeper *k, enum err e, const char *why)
{
    char text[256];

    if (e)
        snprintf(text, sizeof text, "%s %s; those after it were left as they are", k->restarted->name, why);
    else
        snprintf(text, sizeof text, "%d roles were restarted, one after the other", k->role_count);
    if (e)
        LOG_ERROR("keeper.restart", LF_ERR(e), LF_Z("why", text));
    else
        LOG_INFO("keeper.restarted", LF_I64("roles", k->role_count));
    timer_stop(k->role.loop, &k->restart_late);
    k->restarted = NULL;
    if (k->restarting)
        control_answer(k->restarting, e, json_pack("{s:s}", "text", text));
    k->restarting = NULL;
}

static void restart_late(struct timer *t)
{
    struct keeper *k = LIST_ITEM(t, struct keeper, restart_late);
    struct held   *h = k->restarted;

    if (!k->restart_began) {
        LOG_WARN("keeper.killed", LF_Z("role", h->name));
        proc_stop(&h->child, SIGKILL);
        timer_start(k->role.loop, t, RESTART_MS_MAX, restart_late);
        return;
    }
    restart_end(k, ERR_TIMEOUT, "has not become ready");
}

static void restart_one(struct keeper *k, struct held *h)
{
    k->restarted = h;
    k->restart_began = h->child.pid <= 0;       /* dead already: it is being started again all the same */
    h->ready = h->ready && !k->restart_began;
    timer_start(k->role.loop, &k->restart_late, k->restart_began ? RESTART_MS_MAX : STOP_MS_MAX, restart_late);
    if (!k->restart_began)
        proc_stop(&h->child, SIGTERM);
}

static void restart_ready(struct keeper *k)
{
    if (k->restarted == &k->held[k->role_count - 1])
        restart_end(k, OK, NULL);
    else
        restart_one(k, k->restarted + 1);
}

static void keeper_restart(void *arg, struct control_request *rq)
{
    struct keeper *k = arg;

    if (k->restarted || k->stopping) {
        control_answer(rq, ERR_LIMIT, json_pack("{s:s}", "text", "a restart or the end is under way already"));
        return;
    }
    k->restarting = rq;
    restart_one(k, &k->held[0]);
}

/* The old process has ended as it was told: the new one starts at once. */
static void restart_begin(struct keeper *k, struct held *h)
{
    k->restart_began = true;
    h->child.backoff_ms = 0;
    proc_start(k->role.loop, &h->child);
    timer_start(k->role.loop, &k->restart_late, RESTART_MS_MAX, restart_late);
    timer_start(k->role.loop, &h->again, READY_AGAIN_MS, ask_ready);
}

/* ---- deaths ---- */

/* A fault that was ordered for one start is not ordered again. */
static void forget_faults(const char *role)
{
    const char *only = getenv("BONGSU_FAULT_ROLE");

    if (!getenv("BONGSU_FAULT_ONCE") || (only && *only && strcmp(only, role) != 0))
        return;
    unsetenv("BONGSU_FAULT");
    unsetenv("BONGSU_POWERCUT");
}

static bool needs_mending(int status)
{
    return WIFEXITED(status) && (WEXITSTATUS(status) == EXIT_NEEDS_MENDING || WEXITSTATUS(status) == 127);
}

static void child_died(struct proc_child *c, int status)
{
    struct held   *h = c->arg;
    struct keeper *k = h->keeper;

    h->ready = false;
    if (k->stopping) {
        stop_next(k);
        return;
    }
    if (h == k->restarted && c->stopping) {
        restart_begin(k, h);
        return;
    }
    metric_add(&restarts, 1);
    forget_faults(c->role);
    if (h == k->restarted && needs_mending(status))
        restart_end(k, ERR_INVALID, "did not start again, and the log says why");
    if (!k->announced && needs_mending(status)) {
        if (WEXITSTATUS(status) == 127)
            fprintf(stderr, "bongsu: could not run \"%s\"\n", c->argv[0]);
        k->failed = true;
        keeper_stop(k);
        return;
    }
    timer_start(k->role.loop, &h->again, READY_AGAIN_MS, ask_ready);
}

static void on_child(void *arg, int signum)
{
    struct keeper *k = arg;

    proc_reap(k->role.loop, k->children, k->role_count);
}

/* ---- reload ---- */

static void reload_end(struct keeper *k, enum err e)
{
    struct str text = str_trim(buf_str(&k->reload_notes));

    if (e)
        LOG_ERROR("keeper.reload", LF_ERR(e), LF_STR("why", text));
    else
        LOG_INFO("keeper.reloaded", LF_STR("notes", text));
    if (k->reloading)
        control_answer(k->reloading, e, json_pack("{s:s%}", "text", text.p ? text.p : "", text.len));
    k->reloading = NULL;
    k->is_reloading = false;
    buf_done(&k->reload_notes);
}

static void roles_reloaded(void *arg, enum err e, struct str text)
{
    struct keeper *k = arg;

    buf_put_str(&k->reload_notes, text);
    reload_end(k, e);
}

static void keeper_reload(void *arg, struct control_request *rq)
{
    struct keeper *k = arg;
    enum err       e;

    if (k->is_reloading) {
        if (rq)
            control_answer(rq, ERR_LIMIT, json_pack("{s:s}", "text", "a reload is under way already"));
        return;
    }
    k->is_reloading = true;
    k->reloading = rq;
    buf_init(&k->reload_notes, 64 * 1024);
    e = prepare_reload(k->config, &k->role.settings, &k->arena, &k->reload_notes);
    if (e) {
        reload_end(k, e);
        return;
    }
    common_log_setup("keeper", k->role.settings);
    operator_ask_all(&k->operator, "reload", roles_reloaded, k);
}

static void on_reload(void *arg, int signum)
{
    keeper_reload(arg, NULL);
}

static void on_stop(void *arg, int signum)
{
    keeper_stop(arg);
}

/* ---- start ---- */

static void describe(void *arg, const char *role, json_t *out)
{
    struct keeper *k = arg;

    for (int i = 0; i < k->role_count; i++)
        if (strcmp(role, k->held[i].child.role) == 0) {
            json_object_set_new(out, "pid", json_integer(k->held[i].child.pid));
            json_object_set_new(out, "restarts", json_integer(k->held[i].child.restarts));
            json_object_set_new(out, "up_ms", json_integer(clock_mono_ms() - k->held[i].child.started_ms));
        }
}

/* The keeper holds every role's bus socket, so a question to a role that is being restarted waits instead of failing. */
static enum err bus_socket(struct keeper *k, const char *role, int *fd, struct buf *report)
{
    char       name[64];
    struct str path, address;
    mode_t     before;
    enum err   e;

    snprintf(name, sizeof name, "%s.bus", role);
    path = common_run_path(k->role.settings, &k->arena, name);
    address = arena_printf(&k->arena, "unix:%.*s", STR_ARG(path));
    unlink(path.p);                 /* left by one that was killed; the lock says that nobody uses it */
    before = umask(0177);
    e = listen_socket(address, fd);
    umask(before);
    if (!e)
        e = prepare_give(k->role.settings, path.p);
    if (e)
        buf_printf(report, "could not open the socket \"%s\": %s\n", path.p, err_info(e)->sentence);
    return e;
}

/* Workers accept from the same sockets: what one does not take, because it ends, the others do. */
static enum err share_doors(const struct proc_child *from, struct proc_child *to)
{
    for (int i = 0; i < from->fd_count; i++) {
        const struct proc_fd *fd = &from->fds[i];

        if (strcmp(fd->name, "bus") == 0 || str_starts(str_of(fd->name), STR("metrics")) || door_is_alone(fd->name))
            continue;
        to->fds[to->fd_count].name = fd->name;
        to->fds[to->fd_count].fd = fcntl(fd->fd, F_DUPFD_CLOEXEC, 0);
        if (to->fds[to->fd_count].fd < 0)
            return err_from_errno(errno);
        to->fd_count++;
    }
    return OK;
}

static enum err hold(struct keeper *k, int at, const char *settings_path, struct buf *report)
{
    struct held       *h = &k->held[at];
    struct proc_child *c = &h->child;
    enum err           e;

    *c = (struct proc_child){ .role = h->name, .arg = h, .died = child_died };
    c->argv[0] = cli_program(&k->arena, common_worker_number(h->name) ? "talk" : h->name).p;
    c->argv[1] = "--settings";
    c->argv[2] = settings_path;
    c->argv[3] = "--name";
    c->argv[4] = h->name;
    c->fds[0].name = "bus";
    e = bus_socket(k, c->role, &c->fds[0].fd, report);
    c->fd_count = 1;
    k->children[at] = c;
    if (!e && common_worker_number(h->name) > 1)
        e = share_doors(&k->held[TALK_FIRST].child, c);
    return e ? e : doors_open(k->role.settings, c->role, c->fds, PROC_FDS_MAX, &c->fd_count, &k->arena, report);
}

static enum err open_all(struct keeper *k, struct buf *report)
{
    struct str path;
    int        bus;
    enum err   e = prepare_settings_file(k->role.settings, &k->arena, &path, report);

    for (int i = 0; i < k->role_count && !e; i++)
        e = hold(k, i, path.p, report);
    if (!e)
        e = doors_open(k->role.settings, "keeper", k->own_fds, PROC_FDS_MAX, &k->role.fd_count, &k->arena, report);
    if (!e)
        e = bus_socket(k, "keeper", &bus, report);
    if (!e)
        e = bus_new_local(k->role.loop, "keeper", settings_text(k->role.settings, "run_dir"), bus, &k->role.bus);
    if (e)
        return e;
    e = operator_listen(&k->operator, common_run_path(k->role.settings, &k->arena, "control.sock").p);
    if (e)
        buf_printf(report, "could not open the control socket in \"%s\": %s\n", settings_text(k->role.settings, "run_dir"),
                   err_info(e)->sentence);
    return e;
}

static enum err start(struct role *r, struct arena *a, struct str *why)
{
    struct keeper *k = r->own;

    for (int i = 0; i < k->role_count; i++) {
        proc_start(r->loop, &k->held[i].child);
        timer_start(r->loop, &k->held[i].again, 1, ask_ready);
    }
    return OK;
}

static void roles_name(struct keeper *k, int workers)
{
    static const char *const first[TALK_FIRST] = { "ident", "courier" };

    k->role_count = TALK_FIRST + workers + 1;
    for (int i = 0; i < k->role_count; i++) {
        struct held *h = &k->held[i];

        h->keeper = k;
        if (i < TALK_FIRST || i == k->role_count - 1)
            snprintf(h->name, sizeof h->name, "%s", i < TALK_FIRST ? first[i] : "web");
        else if (i == TALK_FIRST)
            snprintf(h->name, sizeof h->name, "talk");
        else
            snprintf(h->name, sizeof h->name, "talk%d", i - TALK_FIRST + 1);
    }
}

static void keeper_init(struct keeper *k, struct settings *s, const char *config)
{
    *k = (struct keeper){ .config = config };
    roles_name(k, common_talk_workers(s));
    arena_init(&k->arena);
    k->role = (struct role){ .name = "keeper", .start = start, .trouble = trouble, .loop = loop_new(), .settings = s,
                             .fds = k->own_fds, .own = k };
    k->operator = (struct operator){ .loop = k->role.loop, .settings = &k->role.settings,
                                     .describe = describe, .reload = keeper_reload, .restart = keeper_restart,
                                     .stop = keeper_stop, .arg = k };
    for (int i = 0; i < k->role_count; i++)
        k->operator.roles[i] = k->held[i].name;
}

static void keeper_done(struct keeper *k)
{
    operator_free(&k->operator);
    role_finish(&k->role);
    bus_free(&k->role.bus);
    for (int i = 0; i < k->role_count; i++)
        for (int f = 0; f < k->held[i].child.fd_count; f++)
            close(k->held[i].child.fds[f].fd);
    loop_round(k->role.loop, 0);        /* what was aborted frees itself at the end of a round */
    loop_free(&k->role.loop);
    settings_free(&k->role.settings);
    arena_done(&k->arena);
}

static void signals(struct keeper *k)
{
    signal(SIGPIPE, SIG_IGN);
    loop_signal(k->role.loop, SIGCHLD, on_child, k);
    loop_signal(k->role.loop, SIGTERM, on_stop, k);
    loop_signal(k->role.loop, SIGINT, on_stop, k);
    loop_signal(k->role.loop, SIGHUP, on_reload, k);
}

static int serve(struct settings *s, const char *config)
{
    struct keeper *k = NEW(struct keeper);
    struct buf     report;
    struct str     why;
    enum err       e;
    int            status;

    buf_init(&report, 64 * 1024);
    keeper_init(k, s, config);
    signals(k);
    e = open_all(k, &report);
    k->operator.bus = k->role.bus;
    fprintf(stderr, "%.*s", STR_ARG(buf_str(&report)));        /* an optional door that stayed shut is told too */
    if (!e)
        e = role_start(&k->role, &k->arena, &why);
    if (!e)
        loop_run(k->role.loop);
    status = e || k->failed ? CLI_FAILED : CLI_OK;
    if (status)
        fprintf(stderr, "bongsu: the server did not start; the lines above say why\n");
    buf_done(&report);
    keeper_done(k);
    free(k);
    return status;
}

int cmd_serve(struct invocation *v)
{
    struct settings *s;
    struct buf       report;
    enum err         e;

    if (cli_settings(v, &s))
        return CLI_FAILED;
    common_log_setup("keeper", s);
    buf_init(&report, 64 * 1024);
    e = prepare_all(s, &report);
    if (e) {
        fprintf(stderr, "bongsu: could not start: %.*s", STR_ARG(buf_str(&report)));
        buf_done(&report);
        settings_free(&s);
        return CLI_FAILED;
    }
    buf_done(&report);
    proc_title("keeper");
    proc_files_max();
    return serve(s, v->config);
}
