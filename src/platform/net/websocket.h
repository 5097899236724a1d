/* websocket.h: RFC 6455 framing, server side, and the client side's masking for
 * tests and the load generator. No extensions.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "net/http.h"

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

struct ws_reader {              /* zeroed at start; one per connection, 24 bytes while idle */
    struct buf message;         /* fragments so far */
    uint8_t    opcode;          /* of the fragmented message, 0 none */
    uint32_t   message_bytes_max;
    bool       expect_mask;     /* true on a server */
};

struct ws_event {
    enum ws_opcode opcode;      /* a complete message or control frame */
    struct str     payload;     /* valid until the next call; unmasked; TEXT is UTF-8 */
    int            close_code;  /* WS_CLOSE: 1005 if none came */
};

/* Takes one frame from the front of `in` (which it unmasks in place). OK: an
 * event is in *out and *used bytes are spent; ERR_AGAIN: *used bytes are spent (maybe 0), no event
 * yet; ERR_INVALID / ERR_LIMIT: close with `out->close_code` (1002, 1007, 1009). */
enum err ws_read(struct ws_reader *r, char *in, size_t bytes, struct ws_event *out, size_t *used);
void     ws_reader_done(struct ws_reader *r);
void     ws_put_frame(struct buf *out, enum ws_opcode opcode, struct str payload, bool mask);
void     ws_put_close(struct buf *out, int code, struct str reason, bool mask);

/* Checks an upgrade request (§4.2.1) and writes the answer, 101 or an error:
 *   OK               101 is in `out`, the stream is a WebSocket from here
 *   ERR_INVALID      400 is in `out`
 *   ERR_UNSUPPORTED  426 with Sec-WebSocket-Version: 13
 * `protocol` must be among those offered ("xmpp"), and is echoed. */
enum err ws_accept(const struct http_request *r, const char *protocol, struct buf *out);
