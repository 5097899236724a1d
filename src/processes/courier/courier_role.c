/* courier_role.c: courier as a role: its doors, its reload, its end. The work is core/courier's.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/courier_role.h"
#include <stdio.h>
#include "courier/service.h"

static int doors_find(const struct role *r, struct courier_listen out[PROC_FDS_MAX])
{
    int count = 0;

    for (int tls = 0; tls < 2; tls++)
        for (int number = 0; number < PROC_FDS_MAX && count < PROC_FDS_MAX; number++) {
            char name[32];
            int  fd;

            snprintf(name, sizeof name, "%s%d", tls ? "servertls" : "server", number);
            fd = role_fd(r, name);
            if (fd >= 0)
                out[count++] = (struct courier_listen){ fd, tls };
        }
    return count;
}

static enum err start(struct role *r, struct arena *a, struct str *why)
{
    struct courier_listen doors[PROC_FDS_MAX];
    int                   count = doors_find(r, doors);

    return courier_new(r->loop, r->bus, r->settings, doors, count, (struct courier **)&r->own, a, why);
}

static enum err reload(struct role *r, const struct settings *fresh, struct arena *a, struct str *why)
{
    return courier_reload(r->own, fresh, a, why);
}

static const char *trouble(struct role *r)
{
    switch (courier_health(r->own)) {
    case OK:
        return NULL;
    case ERR_FULL:
        return "the disk is full: what is for other servers waits with the sender's messenger";
    default:
        return "courier's database cannot be written: what is for other servers waits";
    }
}

static void stopped(void *arg)
{
    role_stopped(arg);
}

static void stop(struct role *r)
{
    courier_stop(r->own, stopped, r);
}

static void finish(struct role *r)
{
    courier_free((struct courier **)&r->own);
}

struct role courier_role = {
    .name = "courier",
    .rights = PROC_MAY_ACCEPT | PROC_MAY_FILES | PROC_MAY_CONNECT | PROC_MAY_REACH,
    .start = start,
    .reload = reload,
    .trouble = trouble,
    .stop = stop,
    .finish = finish,
};
