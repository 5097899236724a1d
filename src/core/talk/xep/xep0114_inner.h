/* xep0114_inner.h: what the two files of this XEP share: the streams, and where components are.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/list.h"
#include "net/conn.h"
#include "talk/components.h"
#include "talk/xep/xep0114_component.h"
#include "wire/xml.h"

enum {
    COMPONENT_STREAMS_MAX = 2 * COMPONENTS_MAX,     /* connections, logged in or not */
    COMPONENT_FLYING_MAX = 256,                     /* stanzas of one stream that are being handled; then it is not read */
    COMPONENT_PLACE_MS = 10000,                     /* a messenger that has not said for so long that it has one has none */
    COMPONENT_ASK_MS = 10000,
};

struct component_stream;

struct component {
    struct str               domain, secret;
    struct component_stream *stream;                /* logged in, here */
    int64_t                  since_us;
    int64_t                  node, node_since_us, node_heard_ms;    /* another messenger that has it; 0: none */
};

struct components {
    struct talk     *talk;
    struct list      streams;
    int              stream_count;
    int              count;
    struct component all[COMPONENTS_MAX];
};

struct component *component_find(const struct talk *t, struct str domain);      /* NULL: none of that name */
void     component_fail(struct component_stream *s, const char *condition, const char *text);
enum err component_write(struct component_stream *s, struct str text);

/* ---- xep0114_places.c ---- */
void places_init(struct talk *t);
void places_tick(struct talk *t);
void place_take(struct talk *t, struct component *c);   /* it has logged in here: it is nowhere else any more */
void place_leave(struct talk *t, struct component *c);
bool place_is_known(const struct talk *t, const struct component *c);
