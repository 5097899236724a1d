/* inner.h: what the files of courier share. Not for other folders.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/codec.h"
#include "courier/service.h"
#include "db/commit.h"

enum { COURIER_PAYLOAD_VERSION = 1 };

struct courier {
    struct loop           *loop;
    struct bus            *bus;
    struct db             *db;
    const struct settings *settings;
    char                  *domain;      /* normalised */
    struct timer           tick;        /* one a second */
    bool                   stopping;
};

/* One subject's handler: "courier.send". `r` is open behind the version byte. Answers `rq` now or later. */
typedef void courier_handler_fn(struct courier *c, struct bus_request *rq, struct codec_reader *r);

courier_handler_fn courier_status;
