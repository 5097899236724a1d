/* fuzz_event.c: what another worker may say; and the start tag of the message in it, which decides whom it is for.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "talk/deliver.h"
#include "talk/nodes.h"
#include "talk/route.h"
#include "talk/xep/xep0198_move.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_message(struct str text)
{
    struct kept_head h;
    struct buf       b;

    if (!event_holds_message(text))
        return;
    kept_head_read(&h, text);
    if (h.from.len > text.len || h.to.len > text.len || h.to_bare.len > h.to.len)
        abort();
    buf_init(&b, 0);
    message_put(&b, text, STR("a@b"), 1, 2, STR("b"));
    buf_clear(&b);
    message_put_carbon(&b, text, STR("a@b"), STR("a@b/c"), 1, true);
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str   in = str_make((const char *)data, size);
    struct event e, again;
    int64_t      position, position_again;
    struct buf   b;

    sm_entries_first(in);
    if (event_read(in, &e, &position) != OK) {
        read_message(in);
        return 0;
    }
    buf_init(&b, 0);
    event_write(&b, &e, position);
    if (event_read(buf_str(&b), &again, &position_again) != OK || position != position_again || e.kind != again.kind ||
        e.id != again.id || !str_eq(e.local, again.local) || !str_eq(e.text, again.text) || e.flags != again.flags)
        abort();
    buf_done(&b);
    read_message(e.text);
    return 0;
}
