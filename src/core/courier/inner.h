/* inner.h: what the files of courier share. Not for other folders.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/codec.h"
#include "courier/service.h"
#include "db/commit.h"

enum { COURIER_PAYLOAD_VERSION = 1 };

struct push;                /* push_inner.h */

struct courier {
    struct loop           *loop;
    struct bus            *bus;
    struct db             *db;
    const struct settings *settings;
    char                  *domain;      /* normalised */
    struct timer           tick;        /* one a second */
    struct push           *push;
    bool                   stopping;
};


/* One subject's handler: "courier.send". `r` is open behind the version byte. Answers `rq` now or later. */
typedef void courier_handler_fn(struct courier *c, struct bus_request *rq, struct codec_reader *r);

courier_handler_fn courier_status;

/* ---- Web Push (push.h): its part of courier's life ---- */
extern const struct db_migration push_migrations[];
courier_handler_fn push_order, push_key;
enum err push_start(struct courier *c);     /* the database is open */
void     push_reload(struct courier *c);
void     push_tick(struct courier *c);
void     push_stop(struct courier *c);
void     push_free(struct courier *c);      /* the database is closed */
