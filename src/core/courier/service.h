/* service.h: courier itself: owns the queue of what waits to leave, and every connection to a stranger.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "bus/bus.h"
#include "db/db.h"
#include "net/loop.h"
#include "proc/settings.h"

struct courier;

/* Accepted sockets come from these descriptors. */
struct courier_listen {
    int  fd;
    bool tls;
};

/* Every table of courier's database. */
const struct db_migration *courier_migrations(void);

/* Opens the database and serves "courier.*" on `b`. `s` is borrowed until courier_reload or courier_free. On
 * failure `why` (in `a`) says what a person can mend. */
enum err courier_new(struct loop *l, struct bus *b, const struct settings *s, const struct courier_listen *listen, int listen_count,
                     struct courier **out, struct arena *a, struct str *why);
enum err courier_reload(struct courier *c, const struct settings *s, struct arena *a, struct str *why);
/* Takes nothing new, says good-bye on every connection and calls `done`. */
void courier_stop(struct courier *c, void (*done)(void *arg), void *arg);
void courier_free(struct courier **c);
/* Whether the database can be written: OK, ERR_FULL, ERR_IO, ERR_UNAVAILABLE. */
enum err courier_health(const struct courier *c);
