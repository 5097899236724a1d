/* nats_wire.h: what travels between us and a NATS server: the server's operations (NATS client protocol 1,
 * https://docs.nats.io/reference/reference-protocols/nats-protocol), and our envelope inside its payloads.
 * Both are read like a stranger's.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/frame.h"

enum {
    NATS_LINE_BYTES_MAX = 64 * 1024,    /* INFO names every server of the cluster */
    NATS_HEADERS_BYTES_MAX = 4096,
    NATS_REPLY_BYTES_MAX = 128,
    ENVELOPE_VERSION = 1,
    ENVELOPE_BYTES_MAX = 64,            /* what it adds to a payload at most */
};

enum nats_kind { NATS_INFO = 1, NATS_MSG, NATS_PING, NATS_PONG, NATS_OK, NATS_ERR };

struct nats_op {                        /* all text is borrowed from the input */
    enum nats_kind kind;
    struct str     text;                /* INFO: JSON; ERR: the sentence, without its quotes */
    struct str     subject, reply;      /* MSG; reply p NULL: none */
    uint64_t       sid;
    int            status;              /* MSG with headers: 503 says that nobody serves the subject; else 0 */
    struct str     payload;
};

/* Takes one operation from the front of `in`.
 *   ERR_AGAIN    more bytes are needed
 *   ERR_INVALID  not an operation, or one beyond the bounds */
enum err nats_read(struct str in, struct nats_op *out, size_t *used);

struct envelope {
    enum frame_kind kind;               /* FRAME_ASK, FRAME_ANSWER or FRAME_EVENT */
    enum err        error;              /* of an answer */
    struct str      role;               /* the sender's */
    struct str      payload;
};

/* Appends the head; the payload follows it as it is. */
void     envelope_put_head(struct buf *out, const struct envelope *e);
/*   ERR_UNSUPPORTED  another version
 *   ERR_INVALID      not an envelope */
enum err envelope_read(struct str in, struct envelope *out);
