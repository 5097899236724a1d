/* conn.h: one buffered byte stream: TCP or unix socket, with TLS under it when
 * asked for. An idle connection owns no buffers.
 *
 *   open ──conn_close──▶ draining (output leaves, close_notify, FIN) ──▶ closed
 *     └────── peer closes, error, conn_abort ──────────────────────────▶ closed
 *
 * `closed` is called exactly once, last of all, and never from inside a conn_*
 * call; the conn frees itself after it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <sys/socket.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "crypto/tls.h"
#include "net/loop.h"

struct conn;

struct conn_handlers {
    /* Bytes have come (after TLS). Returns how many were used; the rest is
     * kept (up to in_bytes_max, beyond which the connection is aborted with ERR_LIMIT) and shown again,
     * longer, with the next arrival. */
    size_t (*data)(void *arg, struct conn *c, struct str in);
    /* TLS is up (server or client side). May be NULL. */
    void   (*tls_ready)(void *arg, struct conn *c);
    /* Output fell below half of out_bytes_max after conn_write had refused. May be NULL. */
    void   (*writable)(void *arg, struct conn *c);
    /* The file of conn_send_file has left. May be NULL. */
    void   (*sent)(void *arg, struct conn *c);
    /* The end. OK: the peer closed in order, or our conn_close has drained. conn_peer, conn_peer_key and
     * conn_tls still answer. */
    void   (*closed)(void *arg, struct conn *c, enum err why);
};

struct conn_limits {
    size_t in_bytes_max;      /* unconsumed input */
    size_t out_bytes_max;     /* unsent output; conn_write refuses beyond it */
    int    drain_ms_max;      /* how long conn_close waits for a slow reader; default 5,000 */
    int    stall_ms_max;      /* output pending without progress for so long aborts with ERR_TIMEOUT; 0: never */
    int    handshake_ms_max;  /* TLS handshake, and connecting; default 10,000 */
};

/* Takes the descriptor over (made non-blocking, TCP_NODELAY). `limits` is
 * borrowed for the conn's life: make it static or part of the settings. */
struct conn *conn_new(struct loop *l, int fd, const struct conn_limits *limits,
                      const struct conn_handlers *h, void *arg);
/* Connects to a numeric address or unix path ("127.0.0.1:5222", "[::1]:80", "unix:/run/x.sock").
 * `closed` tells of a failure. Data may be written at once. */
enum err conn_connect(struct loop *l, struct str address, const struct conn_limits *limits,
                      const struct conn_handlers *h, void *arg, struct conn **out);
bool     conn_address_is_valid(struct str address);      /* a form that conn_connect takes */
/* Bytes that the old owner did not use are shown to the new one at the end of the round. */
void     conn_set_handlers(struct conn *c, const struct conn_handlers *h, void *arg);

/* Starts TLS now; bytes already received and not consumed are discarded (RFC
 * 6120 §5.4.3.3: no data may precede the handshake). Output written before goes out in clear first. */
enum err conn_start_tls(struct conn *c, struct tls_ctx *ctx, bool server, struct str server_name);
struct tls *conn_tls(const struct conn *c);   /* NULL without TLS; for channel binding */

/* Appends to the output, which leaves at the end of the round.
 *   ERR_LIMIT   out_bytes_max would be passed; nothing was appended
 *   ERR_CLOSED  closing or closed */
enum err conn_write(struct conn *c, struct str bytes);
/* What was written since conn_is_leaving said no need not leave at the end of the round: it waits for company, which is what is written
 * without this. It leaves with that, as soon as it fills a record of TLS, or after `ms`. */
bool     conn_is_leaving(const struct conn *c);      /* the end of this round has something to do for it */
void     conn_put_off(struct conn *c, int ms);
size_t   conn_pending_bytes(const struct conn *c);   /* written and not yet taken by the kernel, what is left of a file included */
/* Behind what has been written sends `bytes` of the file `fd` from `from` on, as fast as the peer reads: by sendfile, or
 * through TLS in large writes. Takes `fd` over. Nothing may be written until `sent` has been called; conn_close drops what is left. */
void     conn_send_file(struct conn *c, int fd, int64_t from, int64_t bytes);
void     conn_pause(struct conn *c);                 /* stop reading: back-pressure; the peer's end waits too */
void     conn_resume(struct conn *c);                /* shows kept input again too */
void     conn_close(struct conn *c);                 /* in order; what still arrives is dropped, and `data` not called */
void     conn_abort(struct conn *c, enum err why);   /* at once; `closed` still follows, at the end of the round */
bool     conn_is_closing(const struct conn *c);
bool     conn_peer_left(const struct conn *c);     /* it has hung up, though we may not have read so far (paused) */
struct str conn_peer(const struct conn *c, char out[64]);   /* "127.0.0.1:4711", "unix" */
/* The address without its port, as a key for per-address limits (IPv6: the /64). */
struct str conn_peer_key(const struct conn *c, char out[64]);
/* From here on its peer is `other`'s: it carries what comes from there. */
void     conn_speak_for(struct conn *c, const struct conn *other);
struct loop *conn_loop(const struct conn *c);

/* ---- listening ---- */
struct listener;
/* Called per accepted descriptor, which is then the callee's. */
typedef void listener_fn(void *arg, int fd);
/* `address`: "0.0.0.0:5222", "[::]:5222" (both families), "unix:/path".
 *   ERR_EXISTS  the address is in use */
enum err listen_socket(struct str address, int *fd_out);    /* bind and listen; for the keeper to pass on */
struct listener *listener_new(struct loop *l, int fd, listener_fn *fn, void *arg);
/* Several processes accept from this socket: take turns. */
void     listener_share(struct listener *ls);
void     listener_pause(struct listener *ls, int ms);       /* out of descriptors or over the accept rate */
void     listener_free(struct listener **ls);
