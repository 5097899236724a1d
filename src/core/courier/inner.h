/* inner.h: what the files of courier share. Not for other folders.
 *
 *   courier.send ─▶ queue (durable) ─▶ link, one for each pair of domains ─▶ stream ─▶ the other server
 *   talk.federate ◀─ inward ◀─ stream ◀─ the other server
 *
 * A stream carries stanzas of a pair once the other side has proven its name for it. Where several couriers
 * share one database, one of them sends to a domain at a time (lease.h).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "courier/courier.h"
#include "courier/service.h"
#include "db/commit.h"
#include "net/conn.h"
#include "wire/jid.h"
#include "wire/xml.h"

enum {
    COURIER_SECRET_BYTES = 32,
    COURIER_LINKS_MAX = 20000,
};

struct names;
struct leases;
struct lane;

struct courier_limits { /* from the settings */
    int      login_ms_max, idle_ms_max, live_ms_max, retry_ms_max;
    int64_t  queue_us_max;
    int      queue_max;
    int      connections_max, per_address_max;
    int      stanzas_per_second_max, bytes_per_second_max;
    uint32_t stanza_bytes_max;
    bool     tls_required, certificates_required;
};

struct push;                /* push_inner.h */

struct courier {
    struct loop           *loop;
    struct bus            *bus, *wide; /* wide: to the couriers of other machines; NULL: there are none */
    struct db             *db;
    const struct settings *settings;
    struct courier_limits  limits;
    struct conn_limits     conn_limits;
    struct str             domain;                               /* ours, normalised; what is below it is ours too */
    bool                   on;                                   /* federation */
    char                  *allowed, *blocked;                    /* from the settings, their names normalised */
    struct tls_ctx        *tls_server;                           /* NULL: we have no certificate */
    struct tls_ctx        *tls_client, *tls_direct;              /* the last: with ALPN */
    uint8_t                secret[COURIER_SECRET_BYTES];         /* of dialback keys, the same for all couriers of a database */
    int64_t                holder;                               /* this process, in leases */
    struct names          *names;
    struct leases         *leases; /* NULL: nobody else sends */
    struct arena           round;  /* dropped after each piece of input */
    struct strmap          links;  /* "local remote" → struct link */
    struct list            streams;
    struct intmap          streams_by_id;
    uint64_t               last_stream_id;
    int                    stream_count; /* incoming */
    struct strmap          addresses;    /* connections per address */
    int64_t                last_id;      /* of the queue */
    int                    purge_in_s, sweep_in_s;
    bool                   sweeping;
    struct listener       *listeners[16];
    struct courier_door   *doors;
    int                    listener_count;
    struct lane           *lanes; /* inward.c: one for each worker of talk */
    int                    lane_count;
    struct push           *push; /* push_inner.h */
    struct timer           tick; /* one a second */
    struct timer           stop_timer;
    bool                   stopping;
    void (*stop_done)(void *arg);
    void *stop_arg;
};

/* One subject's handler: "courier.send". `r` is open behind the version byte. Answers `rq` now or later. */
typedef void courier_handler_fn(struct courier *c, struct bus_request *rq, struct codec_reader *r);

courier_handler_fn courier_status, queue_send;

static inline struct str courier_secret(const struct courier *c)
{
    return str_make((const char *)c->secret, sizeof c->secret);
}
/* Our domain, or a name below it. */
bool courier_is_ours(const struct courier *c, struct str domain);
/* The operator lets us speak with it. */
bool courier_may_speak(const struct courier *c, struct str domain);
/* As DNS and certificates write it (A-labels); false: no such name is possible. */
bool courier_ascii(struct str domain, char out[256]);

/* ---- Web Push (push.h): its part of courier's life ---- */
extern const struct db_migration push_migrations[];
courier_handler_fn push_order, push_key;
enum err push_start(struct courier *c); /* the database is open */
void push_reload(struct courier *c);
void push_tick(struct courier *c);
void push_stop(struct courier *c);
void push_free(struct courier *c); /* the database is closed */
