/* courier.h: asking courier, from talk. Payloads are written with codec.h.
 *
 *   courier.send    flags, name, local, remote, text    a stanza from one of our domains to another server
 *   courier.status  nothing                             struct courier_figures; not for talk and web
 *
 * and what courier asks of talk ("talk.federate", or that of a further worker):
 *
 *   remote, text    a stanza that came from the domain `remote`, which has proven that it is that
 *
 * Texts are stanzas as talk writes them: in the namespace jabber:client, which the stanza's own element does
 * not name. Both are answered OK when the stanza is durable or needs not be; who asks then forgets it. Any
 * other answer: ask again, with the same name.
 *   ERR_LIMIT    courier.send: too much waits for that domain
 *   ERR_DENIED   courier.send: the operator has closed that domain
 *   ERR_INVALID  it will never be taken
 * What cannot be delivered comes back through talk.federate as a stanza error from the address it was for.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/bus.h"
#include "bus/codec.h"

enum {
    COURIER_PAYLOAD_VERSION = 1,
    COURIER_STANZA_BYTES_MAX = 900 * 1024,
    COURIER_NAME_BYTES_MAX = 80,
    COURIER_DOMAIN_BYTES_MAX = 1023,
    COURIER_ASK_MS = 20000,
    COURIER_DOMAINS_TOLD_MAX = 20,
};

enum { COURIER_KEEP = 1 }; /* durable, and sent until it has arrived; else sent if it can be soon */

struct courier_stanza {
    unsigned   flags;
    struct str name;          /* with COURIER_KEEP: the sender's own for it; the same twice is sent once */
    struct str local, remote; /* domains */
    struct str text;
};

void     courier_send_write(struct buf *b, const struct courier_stanza *s);
enum err courier_send_read(struct codec_reader *r, struct courier_stanza *out);
void     courier_came_write(struct buf *b, struct str remote, struct str text);
enum err courier_came_read(struct str payload, struct str *remote, struct str *text);

struct courier_domain {
    struct str name;
    int64_t    waiting, oldest_us; /* what waits for it; since when the first does */
    bool       away;               /* it could not be reached */
};

struct courier_figures {
    bool                  on; /* federation */
    int64_t               commits_waiting, now_us;
    enum err              disk;
    int64_t               out_count, in_count;                 /* connections with other servers */
    int64_t               waiting, domains_waiting, oldest_us; /* what is kept for other servers; 0: nothing is */
    int64_t               push_waiting;                        /* notifications */
    int                   domain_count;
    struct courier_domain domains[COURIER_DOMAINS_TOLD_MAX]; /* who are waited for longest */
};

void     courier_figures_write(struct buf *b, const struct courier_figures *f);
enum err courier_figures_read(struct str payload, struct courier_figures *out); /* borrows from the payload */

/* A list of domains, "a.example, *.b.example": is `domain` in it? "*.b.example" is everything below
 * b.example. */
bool courier_domain_in(struct str list, struct str domain);
