/* tls.h: TLS 1.2 and 1.3 (RFC 7590, RFC 9325) over OpenSSL with memory BIOs:
 * bytes in, bytes out, no sockets here. Tuned for many idle connections
 * (no read-ahead, buffers released, no tickets).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct tls_ctx;   /* certificate, key, policy; counted, so that a reload leaves old connections alone */
struct tls;       /* one connection */

struct tls_settings {
    const char *certificate_file;   /* PEM chain; a client that shows none: NULL */
    const char *key_file;
    const char *ca_file;            /* client: whom to trust; NULL: the system's */
    bool        verify;             /* client: check the server's certificate and name */
    bool        look;               /* both sides: ask for the peer's certificate, judge it, and go on whatever it is: tls_peer_proves.
                                       Such a connection is never slim */
    bool        tls13_only;
    const char *alpn;               /* server: accepted; client: offered; e.g. "xmpp-client", "http/1.1"; comma-separated; NULL: none */
};

/* `why` (may be NULL, in `a`): "could not read certificate "/x/cert.pem": no such file". */
enum err tls_ctx_new(const struct tls_settings *s, struct tls_ctx **out, struct arena *a, struct str *why);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void     tls_ctx_unref(struct tls_ctx **c);
int64_t  tls_ctx_expires_us(const struct tls_ctx *c);   /* end of the certificate's validity */

/* Off at the start, unless the environment says BONGSU_TLS_SLIM=1. On: a TLS 1.3 connection made from
 * now on gives OpenSSL's state back after its handshake and keeps our own record layer
 * (record13.h), some 500 bytes where it was 15 KiB. */
void     tls_slim_set(bool on);

/* A client that verifies needs `server_name`: a name or an address. */
struct tls *tls_new(struct tls_ctx *ctx, bool server, struct str server_name);
void     tls_free(struct tls **t);

/* Bytes from the network. Plain text is appended to `plain`, bytes for the
 * network to `wire`. OK; ERR_CLOSED after close_notify; ERR_INVALID: the peer
 * broke the protocol (the alert is in `wire`); ERR_UNAUTHORIZED: certificate refused. */
enum err tls_feed(struct tls *t, struct str in, struct buf *plain, struct buf *wire);
/* Client: the first call starts the handshake. */
enum err tls_start(struct tls *t, struct buf *wire);
bool     tls_ready(const struct tls *t);                 /* handshake done */
enum err tls_write(struct tls *t, struct str plain, struct buf *wire);
void     tls_close(struct tls *t, struct buf *wire);      /* close_notify */

/* Channel bindings, once ready. */
enum { TLS_BINDING_BYTES_MAX = 64 };
enum err tls_exporter(const struct tls *t, uint8_t out[32]);                    /* RFC 9266; TLS 1.3, or 1.2 with extended master secret */
/* RFC 5929 §4: hash of the certificate with its own signature's hash (at least SHA-256). */
enum err tls_server_end_point(const struct tls *t, uint8_t out[TLS_BINDING_BYTES_MAX], size_t *bytes);
const char *tls_version(const struct tls *t);   /* "TLSv1.3" */
const char *tls_cipher(const struct tls *t);
struct str  tls_alpn(const struct tls *t);
struct str  tls_sni(const struct tls *t);       /* server: the name the client asked for */

/* With `look`, once ready: the peer's certificate is trusted, and is one for this domain (RFC 6125, RFC 6120 §13.7.1.2): a
 * DNS name, wildcards included, an SRV name of `service` ("xmpp-server"), or an XmppAddr. `domain` as in DNS (A-labels);
 * `domain_text` the same as people write it. */
bool        tls_peer_proves(const struct tls *t, struct str domain, struct str domain_text, const char *service);

/* Makes a self-signed P-256 certificate for the names (comma-separated), valid ten years;
 * files are created 0600 and never overwritten (ERR_EXISTS). */
enum err tls_self_signed(const char *names, const char *certificate_file, const char *key_file);
