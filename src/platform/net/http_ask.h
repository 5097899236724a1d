/* http_ask.h: one request to another HTTP/1.1 server, on a connection of its own, and the answer as it comes.
 * An answer has a Content-Length, as those of our own server do, or none and no bytes; a chunked one is ERR_UNSUPPORTED.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "net/http.h"

struct http_ask;

struct http_ask_events {
    /* The head; `r` holds headers and content_bytes and lives until this returns. */
    void (*head)(void *arg, int status, const struct http_request *r);
    void (*bytes)(void *arg, struct str in);
    /* The last call, never from inside http_ask_new. OK: the answer is whole. */
    void (*end)(void *arg, enum err e);
};

struct http_ask_request {
    struct str      address;        /* numeric, with a port */
    struct tls_ctx *tls;            /* NULL: plain */
    struct str      tls_name;       /* whom the certificate must name */
    struct str      method, target, host;
    struct str      headers;        /* "Name: value\r\n" lines */
    int             fd;             /* the body is `bytes` of this file from `from` on; taken over. -1: no body */
    int64_t         from, bytes;
    int             ms_max;         /* silence of the other side, once all has been sent */
};

/* On failure nothing is told, and `fd` is closed. Copies. */
enum err http_ask_new(struct loop *l, const struct http_ask_request *q, const struct http_ask_events *ev, void *arg,
                       struct http_ask **out);
void     http_ask_hold(struct http_ask *c);
void     http_ask_go_on(struct http_ask *c);
void     http_ask_cancel(struct http_ask **c);       /* nothing is told any more */
