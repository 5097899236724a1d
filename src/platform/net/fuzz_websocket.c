/* fuzz_websocket.c: any bytes as frames, at once and split: the same events come out.
 * The first byte chooses where to split.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/hash.h"
#include "base/mem.h"
#include "net/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Feeds bytes as they would arrive in two pieces; a sum of all events tells the runs apart. */
static uint64_t run(const uint8_t *data, size_t size, size_t first)
{
    struct ws_reader r = { .message_bytes_max = 4096, .expect_mask = true };
    char            *copy = mem_copy(data, size);
    uint64_t         sum = 0;
    size_t           at = 0;

    for (size_t have = first; ; have = size) {
        while (at < have) {
            struct ws_event ev;
            size_t          used;
            enum err        e = ws_read(&r, copy + at, have - at, &ev, &used);

            if (used > have - at)
                abort();
            at += used;
            if (e == ERR_AGAIN && used == 0)
                break;
            if (e == ERR_AGAIN)
                continue;
            if (e) {
                sum = sum * 31 + (uint64_t)ev.close_code;
                goto out;
            }
            if (ev.opcode == WS_TEXT && !str_is_utf8(ev.payload))
                abort();
            sum = sum * 31 + hash_bytes(ev.payload.p, ev.payload.len) + ev.opcode;
        }
        if (have == size)
            break;
    }
out:
    ws_reader_done(&r);
    free(copy);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t split;

    if (size < 2)
        return 0;
    split = data[0] % size;
    data++;
    size--;
    if (run(data, size, size) != run(data, size, split < size ? split : size))
        abort();
    return 0;
}
