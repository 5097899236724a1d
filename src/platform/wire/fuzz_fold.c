/* fuzz_fold.c: folding takes any bytes, gives UTF-8 for UTF-8, and reads to the end.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "wire/fold.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    struct buf b;

    buf_init(&b, 0);
    fold_put(&b, in);
    if (str_is_utf8(in) && !str_is_utf8(buf_str(&b)))
        abort();
    for (size_t at = 0; at < b.len;) {
        size_t before = at;

        fold_next(buf_str(&b), &at);
        if (at <= before || at > b.len)
            abort();
    }
    buf_done(&b);
    return 0;
}
