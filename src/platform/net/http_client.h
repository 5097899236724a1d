/* http_client.h: HTTPS requests to strangers, through libcurl on our loop: HTTP/2 where they speak it,
 * connections kept, certificates checked, every answer bounded, no redirects, and never to an address that
 * only we can reach. Used by courier alone: whatever else links it links libcurl.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/err.h"
#include "base/list.h"
#include "base/str.h"
#include "net/loop.h"

enum {
    HTTP_CLIENT_CALLS_MAX = 256, /* under way */
    HTTP_CLIENT_HEADERS_MAX = 12,
    HTTP_CLIENT_ANSWER_BYTES_MAX = 64 * 1024, /* head and body, each; longer ones are cut off */
};

struct http_client;

struct http_client_settings {
    const char *ca_file;                           /* PEM; NULL or "": the system's */
    bool private_too;                              /* plain http and private addresses are fine: tests */
    int connections_per_host_max, connections_max; /* 0: 8, 64 */
};

/* ERR_BUG: libcurl could not be started. Settings are copied. */
enum err http_client_new(struct loop *l, const struct http_client_settings *s, struct http_client **out);
/* What is under way is given up; `done` is not called for it. */
void http_client_free(struct http_client **c);
int http_client_busy(const struct http_client *c); /* calls under way */

/* Lives inside your struct until `done`, or until http_client_cancel. Texts are borrowed until the call of
 * post returns. */
struct http_call {
    /* e OK: `status` is what the server answered.
     *   ERR_INVALID       the URL is none, or not https
     *   ERR_DENIED        every address of its host is private
     *   ERR_UNAUTHORIZED  its certificate is not to be trusted
     *   ERR_TIMEOUT       no whole answer in time
     *   ERR_UNAVAILABLE   no name, no connection, or it broke */
    void (*done)(struct http_call *self, enum err e);
    int status;
    int64_t retry_after_s; /* from its header, either form; 0: none */
    /* http_client.c's own: */
    void *easy, *lines;
    struct http_client *client;
    struct list link;
    size_t head_bytes, body_bytes;
    bool refused;    /* an address was refused */
    char error[256]; /* libcurl's words for a failure, without the URL */
};

struct http_post {
    struct str url;
    const char *headers[HTTP_CLIENT_HEADERS_MAX]; /* "Name: value", NULL-ended when fewer */
    struct str body;                              /* copied */
    int timeout_ms;
};
/* ERR_LIMIT: HTTP_CLIENT_CALLS_MAX are under way; `done` is not called. Never calls `done` from inside. */
enum err http_client_post(struct http_client *c, struct http_call *call, const struct http_post *p);
void http_client_cancel(struct http_call *call);
