/* fuzz_codec.c: the first byte of each step names a field to read; nothing may be read outside the payload.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "bus/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stay_inside(struct str s, const uint8_t *data, size_t size)
{
    if (s.p && (s.p < (const char *)data || s.p + s.len > (const char *)data + size))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t steps = size ? data[0] % 16u : 0;
    struct codec_reader r;

    if (size < steps + 1)
        return 0;
    r = codec_open(str_make((const char *)data + steps + 1, size - steps - 1), 1);
    for (size_t i = 1; i <= steps; i++) {
        switch (data[i] % 4) {
        case 0:
            codec_u64(&r);
            break;
        case 1:
            codec_i64(&r);
            break;
        case 2:
            stay_inside(codec_str(&r, data[i]), data, size);
            break;
        case 3:
            stay_inside(codec_bytes(&r, data[i]), data, size);
            break;
        }
    }
    if (codec_ok(&r) && r.rest.len)
        abort();
    return 0;
}
