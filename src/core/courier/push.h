/* push.h: Web Push through courier (RFC 8030, 8291, 8292), as its askers see it.
 *
 *   courier.push       an order        OK: it is durable, and sent until it arrives, expires or is refused
 *                                      ERR_LIMIT: the queue is full; ERR_INVALID: it can never be sent
 *   courier.push.key   a private key   bytes, bytes: our public and our private key (VAPID); what is asked with is
 *                      or nothing      taken when there is none yet
 *   talk.push.gone     registration    courier to talk: the subscription is no more; OK: it is forgotten
 *   talk.push.known    registration    courier to talk: OK: it is; ERR_NOT_FOUND: it is disabled, or the account deleted
 *
 * A registration has one notification of each topic that waits: a newer one takes the place of an older.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/bus.h"
#include "bus/codec.h"

enum {
    PUSH_ENDPOINT_BYTES_MAX = 2048,
    PUSH_PAYLOAD_BYTES_MAX = 3072,
    PUSH_TOPIC_BYTES_MAX = 32, /* RFC 8030 §5.4; of the URL-safe alphabet */
    PUSH_TIMEOUT_MS = 10000,
};

enum push_urgency { PUSH_VERY_LOW, PUSH_LOW, PUSH_NORMAL, PUSH_HIGH }; /* RFC 8030 §5.3 */

struct push_order {
    int64_t registration; /* the asker's number for the subscription; one of another endpoint has another */
    int64_t at;           /* rises with each order for a registration */
    struct str endpoint;  /* https://… */
    struct str browser, auth; /* the subscription's p256dh and auth, decoded */
    struct str topic;
    struct str payload; /* plain; encrypted as it leaves */
    int64_t urgency;    /* enum push_urgency */
    int64_t ttl_s;
};

void push_order_write(struct buf *b, const struct push_order *o);
/* ERR_INVALID: not an order, or a bound is passed, or the endpoint is no https URL (http: `http_too`), or the
 * keys are none. */
enum err push_order_read(struct codec_reader *r, struct push_order *out, bool http_too);
/* "https://push.example:8443/x" → "https://push.example:8443", appended: the audience of RFC 8292 §2. */
enum err push_origin_put(struct buf *b, struct str endpoint, bool http_too);

/* A browser's subscription as JSON, PushSubscription.toJSON():
 * {"endpoint":"https://…","keys":{"p256dh":"…","auth":"…"}}, or its parts as text. Decoded into `a`.
 *   ERR_INVALID  it is none */
struct push_subscription {
    struct str endpoint, browser, auth;
};
enum err push_subscription_read(struct arena *a, struct str json, struct push_subscription *out);
enum err push_subscription_check(struct arena *a, struct str endpoint, struct str p256dh, struct str auth,
                                 struct push_subscription *out);

typedef void push_done_fn(void *arg, enum err e);
typedef void push_key_fn(void *arg, enum err e, struct str public_bytes, struct str private_bytes);
enum err push_send(struct bus *b, const struct push_order *o, push_done_fn *fn,
                   void *arg); /* ERR_LIMIT: fn is not called */
enum err push_key_ask(struct bus *b, struct str private_bytes /* p NULL: none known */, push_key_fn *fn, void *arg);
