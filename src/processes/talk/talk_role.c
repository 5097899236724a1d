/* talk_role.c: the messenger as a role: its doors, its reload, its end. The work is core/talk's.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/talk_role.h"
#include <stdio.h>
#include "base/log.h"
#include "db/commit.h"
#include "talk/talk.h"

/* Each door of common_doors, and what is spoken behind it. */
static const struct {
    const char         *name;
    enum talk_transport transport;
} transports[] = {
    { "starttls", TALK_STARTTLS }, { "tls", TALK_DIRECT_TLS }, { "websocket", TALK_WEBSOCKET },
    { "websocket_local", TALK_WEBSOCKET_LOCAL }, { "bosh", TALK_BOSH }, { "component", TALK_COMPONENT },
};

static int doors_find(const struct role *r, struct talk_listen out[PROC_FDS_MAX])
{
    int count = 0;

    for (size_t i = 0; i < sizeof transports / sizeof *transports; i++)
        for (int number = 0; number < PROC_FDS_MAX && count < PROC_FDS_MAX; number++) {
            char name[32];
            int  fd;

            snprintf(name, sizeof name, "%s%d", transports[i].name, number);
            fd = role_fd(r, name);
            if (fd >= 0)
                out[count++] = (struct talk_listen){ fd, transports[i].transport };
        }
    return count;
}

static enum err start(struct role *r, struct arena *a, struct str *why)
{
    struct talk_listen doors[PROC_FDS_MAX];
    int                count = doors_find(r, doors);

    return talk_new(r->loop, r->bus, r->settings, doors, count, (struct talk **)&r->own, a, why);
}

static enum err reload(struct role *r, const struct settings *fresh, struct arena *a, struct str *why)
{
    return talk_reload(r->own, fresh, a, why);
}

static const char *trouble(struct role *r)
{
    switch (commit_health(((struct talk *)r->own)->db)) {
    case OK:
        return NULL;
    case ERR_FULL:
        return "the disk is full: senders are told to wait, nothing is lost";
    default:
        return "the message database cannot be written: senders are told to wait";
    }
}

static void stopped(void *arg)
{
    role_stopped(arg);
}

static void stop(struct role *r)
{
    talk_stop(r->own, stopped, r);
}

static void finish(struct role *r)
{
    talk_free((struct talk **)&r->own);
}

struct role talk_role = {
    .name = "talk",
    .rights = PROC_MAY_ACCEPT | PROC_MAY_FILES | PROC_MAY_CONNECT,
    .rights_clustered = PROC_MAY_REACH,
    .start = start,
    .reload = reload,
    .trouble = trouble,
    .stop = stop,
    .finish = finish,
};
