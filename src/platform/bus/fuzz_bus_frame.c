/* fuzz_bus_frame.c: whatever reads as a frame writes back to the same fields.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "bus/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    struct frame f, again;
    size_t used;

    while (frame_read(in, &f, &used) == OK) {
        struct buf b;
        size_t used_again;

        buf_init(&b, FRAME_BYTES_MAX);
        frame_put(&b, &f);
        if (frame_read(buf_str(&b), &again, &used_again) != OK || used_again != used || !str_eq(f.payload, again.payload)
            || !str_eq(f.name, again.name) || f.id != again.id || f.error != again.error)
            abort();
        buf_done(&b);
        in.p += used;
        in.len -= used;
    }
    return 0;
}
