/* inner.h: what the two transports share; nobody else includes it.
 *
 *   a link is down ──connect, accept or join──▶ greeting ──hello of the peer──▶ open
 *       ▲                                          │                             │
 *       └───────────────── link_down ◀─────────────┴─────────────────────────────┘
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/hash.h"
#include "base/list.h"
#include "bus/frame.h"

enum {
    BUS_AWAY_MS_MAX = 5000,          /* how long a question waits for its role to come up */
    BUS_SUBSCRIPTIONS_MAX = 1024,    /* of one peer */
};

struct bus_link;

struct bus_link_ops {
    /* Bytes of one frame. ERR_LIMIT: the peer is too slow; ERR_CLOSED. */
    enum err (*send)(struct bus_link *k, struct str bytes);
    /* The peer broke the rules. link_down follows, never from inside the call. */
    void     (*abort)(struct bus_link *k);
};

struct bus_transport {
    /* A link to `role` is wanted; `keep`: for good. May be called again and again. */
    void     (*want)(struct bus *b, struct str role, bool keep);
    void     (*free)(struct bus *b);    /* all links go, without a word to anybody of this bus */
};

struct bus_link {                    /* one way to a peer */
    struct list link;                /* in bus->links */
    struct bus *bus;
    const struct bus_link_ops *ops;
    char        role[BUS_ROLE_BYTES_MAX + 1];
    uint64_t    instance;            /* this start of the peer: two links to it are one subscriber */
    bool        open;
    struct list asked;               /* bus_pending: sent over it, not answered */
    struct list requests;            /* bus_request: came over it, not answered */
    int         request_count;
    char      **subscriptions;       /* the peer's */
    int         subscription_count;
};

struct bus {
    struct loop *loop;
    char         role[BUS_ROLE_BYTES_MAX + 1];
    uint64_t     instance;
    const struct bus_transport *transport;
    struct list  links;
    struct strmap serves;            /* subject → bus_handler */
    struct bus_handler *subscribed;  /* chained */
    struct intmap pending;           /* id → bus_pending */
    int64_t      last_id;
    struct list  waiting;            /* bus_pending: its role has no open link yet */
    size_t       waiting_bytes;
    struct list  requests_orphaned;  /* bus_request: the asker is gone */
    struct buf   scratch;
    void        *own;                /* the transport's */
};

struct bus *bus_new(struct loop *l, const char *role, const struct bus_transport *tr, void *own);
void link_init(struct bus_link *k, struct bus *b, const struct bus_link_ops *ops);
void link_greet(struct bus_link *k);            /* sends hello and our subscriptions */
/* A frame came over `k`. False: the peer broke the rules, and the link is being aborted. */
bool link_frame(struct bus_link *k, const struct frame *f);
void link_down(struct bus_link *k);             /* whoever waits is told; `k` may be freed after it */
void link_forget(struct bus_link *k);           /* the same, without telling: its bus is being freed */
bool bus_wants(const struct bus *b, struct str role);   /* a question waits for a link to it */

/* ---- inproc.c: also a role's way to itself on every transport ---- */
struct queue_link;
void queue_join(struct bus *a, struct bus *b);  /* a == b: to itself */
void queue_cut_all(struct bus *b);              /* for bus_free */
