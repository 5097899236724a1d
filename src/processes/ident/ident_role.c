/* ident_role.c: ident as a role: its start, its reload, its health. The work is core/id's.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "ident/ident_role.h"
#include "id/service.h"
#include "id/settings.h"

static enum err start(struct role *r, struct arena *a, struct str *why)
{
    struct ident_options o;

    ident_options_read(r->settings, a, &o);
    return ident_new(r->loop, r->bus, &o, (struct ident **)&r->own, a, why);
}

static enum err reload(struct role *r, const struct settings *fresh, struct arena *a, struct str *why)
{
    struct ident_options o;

    ident_options_read(fresh, a, &o);
    ident_reload(r->own, &o);
    return OK;
}

static const char *trouble(struct role *r)
{
    switch (ident_health(r->own)) {
    case OK:
        return NULL;
    case ERR_FULL:
        return "the disk is full: people can log in, accounts cannot be changed";
    default:
        return "the identity database cannot be written: people can log in, accounts cannot be changed";
    }
}

static void finish(struct role *r)
{
    ident_free((struct ident **)&r->own);
}

struct role ident_role = {
    .name = "ident",
    .rights = PROC_MAY_ACCEPT | PROC_MAY_FILES | PROC_MAY_CONNECT,
    .rights_clustered = PROC_MAY_REACH,
    .start = start,
    .reload = reload,
    .trouble = trouble,
    .finish = finish,
};
