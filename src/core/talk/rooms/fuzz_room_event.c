/* fuzz_room_event.c: what another messenger may say about a room, and a kept configuration.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "talk/rooms/room_change.h"
#include "talk/rooms/room_far.h"
#include "talk/rooms/room_message.h"
#include "talk/rooms/room_show.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_config(struct str in)
{
    struct room_config c = {0}, again = {0};
    struct buf b;

    if (room_config_read(in, &c) != OK)
        return;
    buf_init(&b, 0);
    room_config_write(&c, &b);
    if (room_config_read(buf_str(&b), &again) != OK || room_config_changes(&c, &again) != 0)
        abort();
    buf_done(&b);
    room_config_free(&c);
    room_config_free(&again);
}

static void try_deltas(struct str in)
{
    enum { MAX = 64 };
    struct room_delta *d = mem_new(sizeof *d * MAX), *again = mem_new(sizeof *d * MAX);
    int n = room_deltas_read(in, d, MAX);
    struct buf b;

    buf_init(&b, 0);
    if (n >= 0) {
        room_deltas_write(&b, d, n);
        if (room_deltas_read(buf_str(&b), again, MAX) != n)
            abort();
        for (int i = 0; i < n; i++)
            if (again[i].kind != d[i].kind || !str_eq(again[i].jid, d[i].jid) || again[i].node != d[i].node)
                abort();
    }
    buf_done(&b);
    free(d);
    free(again);
}

static void try_message(struct str kept)
{
    struct buf b;

    buf_init(&b, 0);
    room_is_subject(kept);
    room_put_delivery(&b, kept, STR("a@b/c"), 1, 2);
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    struct room_event e, again;
    int64_t position, position_again;
    struct buf b;

    try_config(in);
    try_deltas(in);
    if (room_event_read(in, &e, &position) != OK)
        return 0;
    buf_init(&b, 0);
    room_event_write(&b, &e, position);
    if (room_event_read(buf_str(&b), &again, &position_again) != OK || position != position_again ||
        e.kind != again.kind || e.seq != again.seq || !str_eq(e.text, again.text))
        abort();
    buf_done(&b);
    if (e.kind == ROOM_SAID || e.kind == ROOM_PASSED)
        try_message(e.text);
    return 0;
}
