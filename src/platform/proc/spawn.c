/* spawn.c: children that the keeper starts, reaps and starts again.
 *
 *   proc_start ──▶ running ──dies──▶ waiting (back-off) ──▶ proc_start
 *                     └── proc_stop, dies ──▶ stopped
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "proc/proc.h"

enum {
    FIRST_FD = 3,
    FDS_TEXT_BYTES_MAX = 1024,
    HEALTHY_MS = 10000,              /* lived so long: its next death is no quick one */
    EXIT_NOT_STARTED = 127,
};

static const char fds_name[] = "BONGSU_FDS=";

/* ---- in the child, between fork and exec: only calls that are safe there ---- */

static bool fds_in_place(const struct proc_child *c)
{
    int aside[PROC_FDS_MAX];

    /* First out of the way of all targets, then to its own place. */
    for (int i = 0; i < c->fd_count; i++) {
        aside[i] = fcntl(c->fds[i].fd, F_DUPFD_CLOEXEC, FIRST_FD + PROC_FDS_MAX);
        if (aside[i] < 0)
            return false;
    }
    for (int i = 0; i < c->fd_count; i++)
        if (dup2(aside[i], FIRST_FD + i) < 0)
            return false;
    return close_range((unsigned)(FIRST_FD + c->fd_count), ~0U, 0) == 0;
}

static void signals_as_new(void)
{
    sigset_t none;

    for (int signum = 1; signum < NSIG; signum++)
        signal(signum, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);     /* the keeper's loop blocks those it reads */
}

static void child_run(const struct proc_child *c, pid_t parent, char **env)
{
    int null;

    signals_as_new();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(EXIT_NOT_STARTED);     /* the parent died before the line above */
    null = open("/dev/null", O_RDWR);
    if (null >= 0)
        dup2(null, 0);
    if (fds_in_place(c))
        execve(c->argv[0], (char *const *)c->argv, env);
    _exit(EXIT_NOT_STARTED);
}

/* ---- in the parent ---- */

static bool fds_text(const struct proc_child *c, char out[FDS_TEXT_BYTES_MAX])
{
    size_t len = (size_t)snprintf(out, FDS_TEXT_BYTES_MAX, "%s", fds_name);

    for (int i = 0; i < c->fd_count && len < FDS_TEXT_BYTES_MAX; i++)
        len += (size_t)snprintf(out + len, FDS_TEXT_BYTES_MAX - len, "%s%s=%d", i ? "," : "", c->fds[i].name,
                                FIRST_FD + i);
    return len < FDS_TEXT_BYTES_MAX;
}

/* Our environment with the child's BONGSU_FDS; built before fork, where memory may be taken. */
static char **env_with(char *text)
{
    size_t count = 0, out = 0;
    char **env;

    while (environ[count])
        count++;
    env = mem_new((count + 2) * sizeof *env);
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], fds_name, sizeof fds_name - 1) != 0)
            env[out++] = environ[i];
    env[out] = text;
    return env;
}

static void start_again(struct timer *t)
{
    struct proc_child *c = LIST_ITEM(t, struct proc_child, again);

    c->restarts++;
    proc_start(c->loop, c);
}

/* Tests that kill a process hundreds of times shorten the wait. */
static int backoff_ms_max(void)
{
    const char *text = getenv("BONGSU_BACKOFF_MS_MAX");
    int         ms = text ? atoi(text) : 0;

    return ms > 0 && ms < PROC_BACKOFF_MS_MAX ? ms : PROC_BACKOFF_MS_MAX;
}

static void plan_restart(struct proc_child *c, int64_t lived_ms)
{
    if (lived_ms >= HEALTHY_MS || c->backoff_ms == 0)
        c->backoff_ms = PROC_BACKOFF_MS_MIN;
    else
        c->backoff_ms *= 2;
    if (c->backoff_ms > backoff_ms_max())
        c->backoff_ms = backoff_ms_max();
    timer_start(c->loop, &c->again, c->backoff_ms, start_again);
}

enum err proc_start(struct loop *l, struct proc_child *c)
{
    char text[FDS_TEXT_BYTES_MAX];
    pid_t parent = getpid();
    char **env;
    int why;

    assert(c->pid == 0 && c->fd_count <= PROC_FDS_MAX);
    c->loop = l;
    c->stopping = false;
    c->started_ms = clock_mono_ms();
    if (!fds_text(c, text))
        return ERR_LIMIT;
    env = env_with(text);
    c->pid = fork();
    why = errno;
    if (c->pid == 0)
        child_run(c, parent, env);
    free(env);
    if (c->pid > 0) {
        LOG_INFO("proc.started", LF_Z("role", c->role), LF_I64("pid", c->pid));
        return OK;
    }
    c->pid = 0;
    LOG_ERROR("proc.start", LF_Z("role", c->role), LF_Z("why", strerror(why)));
    plan_restart(c, 0);
    return err_from_errno(why);
}

void proc_stop(struct proc_child *c, int signum)
{
    c->stopping = true;
    if (c->loop)
        timer_stop(c->loop, &c->again);
    if (c->pid > 0)
        kill(c->pid, signum);
}

static void child_died(struct proc_child *c, int status)
{
    int64_t lived_ms = clock_mono_ms() - c->started_ms;

    c->pid = 0;
    if (c->stopping)
        LOG_INFO("proc.stopped", LF_Z("role", c->role));
    else
        LOG_WARN("proc.died", LF_Z("role", c->role), LF_I64("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0),
                 LF_I64("exit", WIFEXITED(status) ? WEXITSTATUS(status) : 0), LF_I64("lived_ms", lived_ms));
    if (!c->stopping)
        plan_restart(c, lived_ms);
    if (c->died)
        c->died(c, status);
}

void proc_reap(struct loop *l, struct proc_child *const *children, int count)
{
    for (int i = 0; i < count; i++) {
        struct proc_child *c = children[i];
        int status;

        if (c->pid > 0 && waitpid(c->pid, &status, WNOHANG) == c->pid)
            child_died(c, status);
    }
}

/* ---- the child's side ---- */

int proc_fd_get(const char *name)
{
    struct str rest = str_of(getenv("BONGSU_FDS"));

    while (rest.len) {
        struct str value = str_split(&rest, ','), key = str_split(&value, '=');
        uint64_t fd;

        if (str_is(key, name) && str_to_u64(value, &fd) && fd >= FIRST_FD && fd < FIRST_FD + PROC_FDS_MAX)
            return (int)fd;
    }
    return -1;
}
