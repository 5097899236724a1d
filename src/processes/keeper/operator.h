/* operator.h: what a person may ask of a running server over the control socket. The
 * keeper and `one` have one each; roles are asked over the bus.
 *
 *   command       arguments                       answer beside "ok" and "text"
 *   status        -                               roles, talk (the sum of its workers), workers
 *   metrics       -                               metrics: { role: OpenMetrics text }
 *   user.add      users: [[name, password], …]    failed: [[name, why], …]
 *   user.passwd   user, password
 *   user.del      user
 *   user.admin    user, on: true or false         failed: [[name, why]]
 *   user.list     after                           users: [{user, created_us, disabled}, …]; fewer than
 *                                                 OPERATOR_LIST_MAX: it was the end
 *   backup        dir                             -
 *   reload, restart, stop   -                     -
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <jansson.h>
#include "bus/bus.h"
#include "proc/control.h"
#include "proc/settings.h"

enum { OPERATOR_USERS_MAX = 100, OPERATOR_LIST_MAX = 500, OPERATOR_ROLES_MAX = 24 };

struct operator {
    struct loop     *loop;
    struct bus      *bus;
    struct settings **settings;                  /* the current ones */
    const char      *roles[OPERATOR_ROLES_MAX];  /* NULL-ended */
    /* Adds pid, restarts, started to the role's object. May be NULL. */
    void           (*describe)(void *arg, const char *role, json_t *out);
    /* Reloads and answers `rq`, now or later. */
    void           (*reload)(void *arg, struct control_request *rq);
    /* Restarts the roles one after the other and answers `rq` when the last is ready. NULL: it cannot. */
    void           (*restart)(void *arg, struct control_request *rq);
    void           (*stop)(void *arg);
    void            *arg;
    struct control  *control;
};

/* ERR_EXISTS: another server answers on this socket. */
enum err operator_listen(struct operator *o, const char *socket_path);
void     operator_free(struct operator *o);

/* Asks each role's <role>.`verb` in turn and calls `fn` when all have answered: OK, or the first error with
 * `text` telling which role said what. For reloads. */
typedef void operator_all_fn(void *arg, enum err e, struct str text);
void operator_ask_all(struct operator *o, const char *verb, operator_all_fn *fn, void *arg);
