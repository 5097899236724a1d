/* frame.h: what travels between two roles: a length in 4 bytes, big-endian, then
 * the fields of codec.h. Both transports use it, so `one` runs the code of the real thing.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/bus.h"

enum {
    FRAME_VERSION = 1,
    FRAME_HEAD_BYTES = 4,
    FRAME_BYTES_MAX = BUS_PAYLOAD_BYTES_MAX + 1024,   /* length and all */
    BUS_ROLE_BYTES_MAX = 32,
};

enum frame_kind {
    FRAME_HELLO = 1,     /* name: role, id: this start of it */
    FRAME_ASK,           /* id, name: subject, payload */
    FRAME_ANSWER,        /* id, error, payload */
    FRAME_SUBSCRIBE,     /* name: subject */
    FRAME_EVENT,         /* name: subject, payload */
    FRAME_UNSUBSCRIBE,   /* name: subject */
    FRAME_KINDS
};

struct frame {
    enum frame_kind kind;
    uint64_t        id;
    enum err        error;
    struct str      name;
    struct str      payload;
};

void     frame_put(struct buf *out, const struct frame *f);
/* Takes one frame from the front of `in`; its text is borrowed from there.
 *   ERR_AGAIN        more bytes are needed
 *   ERR_UNSUPPORTED  another version of the protocol
 *   ERR_INVALID      not a frame */
enum err frame_read(struct str in, struct frame *out, size_t *used);
/* A role: a-z, 0-9, "-" and "_". A subject: words of these, parted by dots; `wild` allows a last "*". */
bool     role_is_valid(struct str role);
bool     subject_is_valid(struct str subject, bool wild);
