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
    BUS_SUBSCRIPTIONS_MAX = 262144,  /* subjects of one bus, and of one peer */
    BUS_WAYS_MAX = 2,                /* connections of one NATS bus at a time */
};

struct bus_link;

struct bus_link_ops {
    /* Bytes of one frame. ERR_LIMIT: the peer is too slow; ERR_CLOSED. */
    enum err (*send)(struct bus_link *k, struct str bytes);
    /* The peer broke the rules. link_down follows, never from inside the call. */
    void     (*abort)(struct bus_link *k);
};

/* A subject that is served or subscribed here. */
struct bus_topic {
    char               *subject;     /* as given, "ident.*" included */
    int64_t             id;          /* unique in the bus */
    bus_serve_fn       *serve;       /* NULL: subscribed */
    void               *serve_arg;
    struct bus_handler *handlers;    /* chained */
    struct list         queued[BUS_WAYS_MAX];   /* NATS: to be subscribed on that connection */
    bool                known[BUS_WAYS_MAX];    /* NATS: subscribed there */
};

struct bus_transport {
    bool     (*is_silent)(const struct bus_link *k);    /* no event goes over it. May be NULL */
    /* The link for a question; NULL: unavailable at once. May be NULL: the link to the role that the first word names. */
    struct bus_link *(*route)(struct bus *b, struct str subject);
    /* A link to `role` is wanted; `keep`: for good. May be called again and again. */
    void     (*want)(struct bus *b, struct str role, bool keep);
    void     (*free)(struct bus *b);    /* all links go, without a word to anybody of this bus */
    /* The rest: NULL where everything goes over links. ask: ERR_UNAVAILABLE or ERR_LIMIT; bus_answered follows. */
    enum err (*ask)(struct bus *b, int64_t id, const char *subject, struct str payload);
    void     (*answer)(struct bus *b, struct str reply_to, enum err e, struct str payload);
    enum err (*publish)(struct bus *b, const char *subject, struct str payload);
    void     (*topic_added)(struct bus *b, struct bus_topic *t);
    void     (*topic_gone)(struct bus *b, struct bus_topic *t);
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
    struct strmap subscriptions;     /* the peer's: subject → its copy */
};

struct bus {
    struct loop *loop;
    char         role[BUS_ROLE_BYTES_MAX + 1];
    uint64_t     instance;
    const struct bus_transport *transport;
    struct list  links;
    struct strmap serves, topics;    /* subject → bus_topic: served, subscribed */
    int64_t      last_topic_id;
    struct intmap by_id;             /* NATS: id → bus_topic, of both kinds */
    struct intmap pending;           /* id → bus_pending */
    int64_t      last_id;
    struct list  waiting;            /* bus_pending: its role has no open link yet */
    size_t       waiting_bytes;
    struct list  asked;              /* bus_pending: sent, not over a link */
    struct list  requests;           /* bus_request: the asker is not, or no longer, behind a link */
    int          request_count;      /* those of them with a way to answer */
    struct bus_watch *watches;
    bool         connected, whole;   /* whole: subscriptions too are known to the other side */
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

const struct bus_topic *bus_served(const struct bus *b, struct str subject);
void bus_scratch_shrink(struct bus *b);         /* after each use of b->scratch */

/* ---- for a transport with ways of its own ---- */
void bus_event(const struct bus_topic *t, struct str subject, struct str payload);
void bus_asked(struct bus *b, const struct bus_topic *t, struct str asker, struct str reply_to, struct str subject,
               struct str payload);
void bus_answered(struct bus *b, int64_t id, enum err e, struct str payload);   /* unknown and late ones are ignored */
void bus_asked_lost(struct bus *b);                     /* whoever waits is told ERR_UNCERTAIN */
void bus_break(struct bus *b, bool whole);              /* sets it, and tells those who watch */

/* ---- inproc.c: also a role's way to itself on every transport ---- */
struct queue_link;
void queue_join(struct bus *a, struct bus *b);  /* a == b: to itself */
void queue_cut_all(struct bus *b);              /* for bus_free */
