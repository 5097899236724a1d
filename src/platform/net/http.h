/* http.h: a strict HTTP/1.1 server (RFC 9110, 9112) on the loop. Refuses
 * Content-Length with Transfer-Encoding, obs-fold, bare LF, and what has
 * more than one meaning.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/arena.h"
#include "base/buf.h"
#include "net/conn.h"

enum {
    HTTP_HEAD_BYTES_MAX = 16 * 1024,
    HTTP_HEADERS_MAX = 64,
    HTTP_BODY_BYTES_MAX = 1024 * 1024,   /* requests held in memory */
};

struct http_header { struct str name, value; };

struct http_request {
    struct str         method;      /* "GET" */
    struct str         target;      /* as sent */
    struct str         path, query; /* undecoded */
    int                minor;       /* 0 or 1, for later ones too; -1: not HTTP/1 */
    int                header_count;
    struct http_header headers[HTTP_HEADERS_MAX];
    struct str         body;
    bool               keep_alive;
    int64_t            content_bytes; /* -1 chunked */
};

/* Parses a head: OK sets *used to its length; ERR_AGAIN: more bytes needed;
 * ERR_INVALID: answer 400; ERR_LIMIT: 431; ERR_UNSUPPORTED: 505 when minor is -1, else 501. Points into `in`.
 * An absolute target's host stands in place of the Host header's value (RFC 9112 §3.2.2). */
enum err http_parse_head(struct str in, struct http_request *out, size_t *used);
struct str http_header(const struct http_request *r, const char *name);  /* case-insensitive; p NULL if absent */
bool     http_header_has_token(const struct http_request *r, const char *name, const char *token); /* comma list, no case */

/* The head of an answer, in the same way: headers, minor and content_bytes of `out` are set (0: nothing was said of a length). */
enum err http_parse_answer(struct str in, struct http_request *out, int *status, size_t *used);

/* ---- server ---- */
struct http_exchange;    /* one request being answered */

/* The whole request has come; `r` lives until this call returns. Answer now or later with http_answer, once. */
typedef void http_fn(void *arg, struct http_exchange *x, const struct http_request *r);

/* A body that is not held in memory, as it comes. */
struct http_sink {
    /* Bytes in order. After http_hold no more come until http_go_on. An answer now ends the connection behind it. */
    void (*bytes)(void *arg, struct http_exchange *x, struct str in);
    /* All have come: answer, now or later. */
    void (*end)(void *arg, struct http_exchange *x);
    /* They will not all come: ERR_CLOSED, ERR_TIMEOUT (below HTTP_PACE_BYTES in pace_ms_max). `x` is gone. */
    void (*broken)(void *arg, enum err why);
};
enum { HTTP_PACE_BYTES = 4096 };

struct http_server {
    struct loop             *loop;
    const struct conn_limits *limits;
    http_fn                 *request;
    /* Requests with "Connection: Upgrade" come here first, unless NULL. Returns true when it answered or took
     * the conn over (http_take_over), false to leave the request to `request`. */
    bool                   (*upgrade)(void *arg, struct http_exchange *x, const struct http_request *r);
    /* Every request but GET and HEAD comes here before its body is read, unless NULL. True: it has called http_receive, or
     * has answered, and what it left of the body unread ends the connection. `r` lives until this returns. */
    bool                   (*stream)(void *arg, struct http_exchange *x, const struct http_request *r);
    void                    *arg;
    uint32_t                 body_bytes_max;   /* of a request held in memory; default HTTP_BODY_BYTES_MAX, which it cannot pass */
    int                      idle_ms_max;      /* keep-alive; default 60,000 */
    int                      request_ms_max;   /* a whole request must come in this; default 15,000 */
    int                      pace_ms_max;      /* HTTP_PACE_BYTES of a streamed body must come in this; default 30,000 */
    struct tls_ctx         **tls;              /* pointer to the current context, so a reload is seen; NULL: plain */
};
/* Serves one accepted descriptor. */
void http_serve(struct http_server *s, int fd);
/* `headers`: extra "Name: value\r\n" lines. Adds Content-Length, Date and Connection. HEAD sends no body. */
void http_answer(struct http_exchange *x, int status, struct str content_type, struct str headers, struct str body);
/* The body is `bytes` of the file `fd` from `from` on; `fd` is taken over. */
void http_answer_file(struct http_exchange *x, int status, struct str content_type, struct str headers,
                      int fd, int64_t from, int64_t bytes);
/* From `stream` only, for a request whose content_bytes are not below 0. */
void http_receive(struct http_exchange *x, const struct http_sink *sink, void *arg);
void http_hold(struct http_exchange *x);
void http_go_on(struct http_exchange *x);
struct conn *http_conn(struct http_exchange *x);
/* The conn leaves the server's hands, handlers unset; the exchange is gone after this. Used by WebSocket. */
struct conn *http_take_over(struct http_exchange *x);
const char *http_reason(int status);
