/* scram.h: SCRAM (RFC 5802; SHA-256: RFC 7677): messages and proofs, the
 * server's side, without state of its own beyond struct scram.
 *
 *   client-first ─scram_parse_first─▶ scram_challenge ─▶ server-first
 *   client-final ─scram_parse_final─▶ scram_check     ─▶ server-final
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "id/accounts.h"
#include "id/ident.h"

enum {
    SCRAM_FIRST_BYTES_MAX = 4096,
    SCRAM_FINAL_BYTES_MAX = 8192,       /* c= repeats the gs2 header and the binding, in base64 */
    SCRAM_NONCE_BYTES_MAX = 256,        /* the client's */
    SCRAM_SERVER_NONCE_CHARS = 24,      /* 144 bits */
};

/* client-first-message; borrowed from the message or in its arena. */
struct scram_first {
    char       flag;                    /* 'n', 'y' or 'p': gs2-cbind-flag */
    struct str binding_name;            /* for 'p': "tls-exporter" */
    struct str authzid;                 /* decoded; empty: none */
    struct str user;                    /* decoded, not normalised */
    struct str nonce;
    struct str gs2_header;              /* "p=tls-exporter,," */
    struct str bare;                    /* client-first-message-bare */
};
enum sasl_failure scram_parse_first(struct arena *a, struct str in, struct scram_first *out);

/* client-final-message. */
struct scram_final {
    struct str binding;                 /* decoded c=: gs2 header and binding data */
    struct str nonce;
    struct str proof;                   /* decoded p= */
    struct str without_proof;
};
enum sasl_failure scram_parse_final(struct arena *a, struct str in, struct scram_final *out);

/* What is kept between the two. */
struct scram {
    struct credential key;
    struct buf        auth;             /* AuthMessage so far: client-first-bare "," server-first */
    size_t            server_first_at;  /* where in auth */
    size_t            nonce_at, nonce_bytes;
    struct buf        binding;          /* what c= must say */
};
void scram_done(struct scram *s);       /* wipes and frees; accepts a zeroed one */
/* Returns server-first, borrowed from `s`. `s` is zeroed; `binding` is the TLS data, empty without 'p'. */
struct str scram_challenge(struct scram *s, const struct scram_first *f, struct str binding,
                           struct str server_nonce, const struct credential *key);
/* True if the client knows the password; appends server-final ("v=…") to `out` then. */
bool scram_check(struct scram *s, const struct scram_final *f, struct buf *out);
