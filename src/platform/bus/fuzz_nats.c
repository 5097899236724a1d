/* fuzz_nats.c: what a NATS server may say, and what may come inside: nothing is read outside the input, whole
 * operations only, and what reads as an envelope writes back to the same.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "bus/nats_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stay_inside(struct str s, struct str in)
{
    if (s.p && (s.p < in.p || s.p + s.len > in.p + in.len))
        abort();
}

static void read_envelope(struct str payload)
{
    struct envelope e, again;
    struct buf b;

    if (envelope_read(payload, &e) != OK)
        return;
    stay_inside(e.payload, payload);
    buf_init(&b, 0);
    envelope_put_head(&b, &e);
    if (b.len > ENVELOPE_BYTES_MAX)
        abort();
    buf_put_str(&b, e.payload);
    if (envelope_read(buf_str(&b), &again) != OK || again.kind != e.kind || again.error != e.error
        || !str_eq(again.role, e.role) || !str_eq(again.payload, e.payload))
        abort();
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    struct nats_op op;
    size_t used;

    read_envelope(in);
    while (nats_read(in, &op, &used) == OK) {
        if (used == 0 || used > in.len)
            abort();
        stay_inside(op.text, in);
        stay_inside(op.subject, in);
        stay_inside(op.reply, in);
        stay_inside(op.payload, in);
        if (op.kind == NATS_MSG)
            read_envelope(op.payload);
        in.p += used;
        in.len -= used;
    }
    return 0;
}
