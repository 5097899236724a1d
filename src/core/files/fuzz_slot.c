/* fuzz_slot.c: tokens, names, types, ranges and entity tags from strangers.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "files/range.h"
#include "files/slot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct slot_key key = { "k" };
    struct str   in = str_make((const char *)data, size), name, type;
    struct arena a;
    struct slot  s;
    int64_t      from, bytes, file_bytes = size ? (int64_t)data[0] * 100 : 0;

    arena_init(&a);
    if (slot_read(&a, in, &key, SLOT_UPLOAD, &s) == OK)
        abort();        /* nobody guesses a signature */
    name = slot_name(&a, in);
    if (name.len == 0 || name.len > SLOT_NAME_BYTES_MAX || !str_is_utf8(name) || str_find(name, '/') >= 0)
        abort();
    type = slot_type(&a, in);
    if (type.p && (str_find(type, '\n') >= 0 || str_find(type, '/') <= 0))
        abort();
    if (range_read(in, file_bytes, &from, &bytes) != RANGE_NONE && (from < 0 || bytes < 0 || from + bytes > file_bytes))
        abort();
    etag_listed(in, STR("\"x\""), true);
    arena_done(&a);
    return 0;
}
