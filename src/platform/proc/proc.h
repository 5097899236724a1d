/* proc.h: starting processes and giving up rights.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include "base/err.h"
#include "net/loop.h"

/* ---- a child that the keeper holds ---- */
enum { PROC_FDS_MAX = 16, PROC_BACKOFF_MS_MIN = 100, PROC_BACKOFF_MS_MAX = 10000 };

struct proc_fd { const char *name; int fd; };     /* the child finds it by name */

struct proc_child {
    const char     *role;                         /* "talk" */
    const char     *argv[16];                     /* NULL-ended */
    int             fd_count;
    struct proc_fd  fds[PROC_FDS_MAX];            /* listening sockets, kept open by the keeper */
    pid_t           pid;                          /* 0: not running */
    int64_t         started_ms;
    int             restarts;
    int             backoff_ms;                   /* doubles per quick death, back to the minimum after 10 s of life */
    struct timer    again;
    struct loop    *loop;                         /* proc_start's own */
    void           *arg;
    void          (*died)(struct proc_child *self, int status);  /* may be NULL; a restart is already planned */
    bool            stopping;
};
/* The child gets BONGSU_FDS="name=3,name=4" and dies with its parent (PDEATHSIG). */
enum err proc_start(struct loop *l, struct proc_child *c);
void     proc_stop(struct proc_child *c, int signum);     /* no restart any more */
/* Reaps the dead and plans restarts; called from SIGCHLD in the loop. */
void     proc_reap(struct loop *l, struct proc_child *const *children, int count);
/* In the child: the descriptor passed under `name`, -1 if none. */
int      proc_fd_get(const char *name);

/* ---- rights ---- */
enum proc_right {                                 /* what a role still needs; everything else is refused by seccomp */
    PROC_MAY_ACCEPT  = 1,                         /* accept, read, write, epoll, timers: always */
    PROC_MAY_FILES   = 2,                         /* open files below its directories (SQLite) */
    PROC_MAY_CONNECT = 4,                         /* connect unix sockets (the bus) */
    PROC_MAY_REACH   = 16,                        /* connect to other machines (PostgreSQL, NATS) */
    PROC_MAY_LISTEN  = 8,                         /* bind and listen (roles run without a keeper) */
};
/* Changes to `user` when root and user is not NULL (chowns nothing), sets no_new_privs, not dumpable, and loads the filter.
 * Where the kernel has no seccomp it says so once in the log and goes on. */
enum err proc_drop(const char *user, unsigned rights);
void     proc_title(const char *role);            /* "bongsu: talk" in ps */
int64_t  proc_rss_bytes(void);
int      proc_files_max(void);                    /* raises RLIMIT_NOFILE to its hard limit and returns it */
