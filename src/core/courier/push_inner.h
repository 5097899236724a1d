/* push_inner.h: what push.c (what waits) and push_send.c (one notification on its way) share.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "courier/inner.h"
#include "courier/push.h"
#include "crypto/webpush.h"
#include "net/http_client.h"

enum {
    PUSH_KEY_ASKERS_MAX = 16,
    PUSH_FLIGHTS_MAX = 128,       /* notifications on their way at once */
    PUSH_LEASE_US = 60 * 1000000, /* longer than any request lasts: whose lease ran out is dead */
    PUSH_REQUEST_MS_MAX = 20000,
    PUSH_RETRY_S_MAX = 3600,
    PUSH_RETRY_AFTER_S_MAX = 86400,
    PUSH_PAD_BYTES = 512,
};

/* A row of the table, in memory: one notification that waits or is on its way. */
struct push_row {
    int64_t registration, at, lease_us, urgency, expires_us, tries;
    bool gone; /* the subscription is no more; talk has to know */
    struct str endpoint, browser, auth, topic, payload;
};

struct push {
    struct courier *courier;
    struct http_client *http;
    struct webpush_key *key; /* NULL until it is read or made */
    char *contact;
    struct webpush_key *key_given; /* what a messenger has kept of an earlier courier's; NULL: nothing */
    bool key_wanted;
    struct bus_request *key_askers[PUSH_KEY_ASKERS_MAX]; /* who want it */
    int key_asker_count;
    int64_t holder; /* this process, in leases */
    int64_t retry_ms, queue_max;
    bool private_too;
    int64_t waiting; /* rows, about */
    int count_in_s, key_in_s;
    bool looking, look_again, counting, keying, stopping;
    int flights;
    struct list flying;
    struct timer look; /* when the next row is due */
};

/* push_send.c: sends what is leased to us, and says with push_ended what came of it. Copies `row`. */
void push_fly(struct push *p, const struct push_row *row);
void push_flights_end(struct push *p);

enum push_outcome {
    PUSH_SENT,      /* or refused for good, or expired: the row goes */
    PUSH_LATER,     /* tried again after retry_s */
    PUSH_GONE,      /* the subscription is no more */
    PUSH_FORGOTTEN, /* talk knows: every row of the registration goes */
};
void push_ended(struct push *p, const struct push_row *row, enum push_outcome o, int64_t retry_s);

/* push.c: several reasons to look for what is due, in one round, are one look. */
void push_look(struct push *p);

/* push_key.c */
void push_key_read(struct push *p);
void push_key_askers_answer(
    struct push *p); /* whoever asked before it was there; without one, they ask again */
