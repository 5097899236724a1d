/* role.h: the life of a role, the same for all: settings, log, bus, rights,
 * metrics and health over HTTP, reload, an orderly stop.
 *
 *   started ──start──▶ ready ──SIGTERM──▶ stopping ──role_stopped──▶ finish, exit
 *      └── start fails: says why, exits with EXIT_NEEDS_MENDING
 *
 * A role is one static struct. Its process is `return role_main(&talk_role, argc, argv)`, which `--name talk2` gives
 * another name than its own: for its bus, its log, its sockets. The
 * process `one` runs the same structs side by side.
 *
 * On the bus every role answers (version 1 of codec.h):
 *   <role>.ready     -             OK, or an error and text: what is the matter
 *   <role>.reload    -             OK, or an error and text: why the old settings stay
 *   <role>.metrics   -             bytes: OpenMetrics text
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "bus/bus.h"
#include "common.h"
#include "net/loop.h"
#include "proc/proc.h"

struct role_http;

struct role {
    const char *name;
    unsigned    rights;      /* enum proc_right, kept after start-up */
    unsigned    rights_clustered;   /* those besides, when the database or the bus is on other machines too */
    /* With user and rights given up already. On failure `why` (in `a`) says what a person can mend. */
    enum err  (*start)(struct role *r, struct arena *a, struct str *why);
    /* `fresh` replaces r->settings when this returns OK, else the old ones stay. May be NULL. */
    enum err  (*reload)(struct role *r, const struct settings *fresh, struct arena *a, struct str *why);
    /* NULL while all is well, else what is the matter, for people. May be NULL. */
    const char *(*trouble)(struct role *r);
    /* Ends in order and then calls role_stopped, now or later. NULL: nothing to do. */
    void      (*stop)(struct role *r);
    void      (*finish)(struct role *r);      /* frees; the loop does not run again. Also after a failed start */

    /* Set by role_main or by `one`: */
    struct loop           *loop;
    struct bus            *bus;
    struct settings       *settings;
    const char            *settings_path;
    const struct proc_fd  *fds;               /* NULL: from the keeper (proc_fd_get) */
    int                    fd_count;
    void                 (*stopped)(struct role *r);
    void                  *own;               /* the role's */

    /* role.c's own: */
    struct role_http      *http;
    bool                   stopping;
};

int  role_main(struct role *r, int argc, char **argv);
void role_stopped(struct role *r);
/* The listening socket of that name ("starttls0"), -1 if none. */
int  role_fd(const struct role *r, const char *name);

/* For `one`: what role_main does around r->start. Needs loop, bus, settings and settings_path. */
enum err role_start(struct role *r, struct arena *a, struct str *why);
void     role_stop(struct role *r);
void     role_finish(struct role *r);
/* Reads settings_path again and hands it to r->reload. On failure `report` says why. */
enum err role_reload(struct role *r, struct buf *report);
