/* fuzz_push.c: a browser's subscription, which a stranger writes, and an order as it comes over the bus.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "courier/courier.h"
#include "courier/push.h"
#include "crypto/webpush.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken can be sent. */
static void can_be_sent(struct str endpoint, struct str browser, struct str auth)
{
    struct buf b;

    buf_init(&b, 0);
    if (push_origin_put(&b, endpoint, true) != OK || webpush_encrypt(&b, browser, auth, STR("{}"), 0) != OK)
        abort();
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);
    struct codec_reader r = codec_open(in, COURIER_PAYLOAD_VERSION);
    struct push_subscription s;
    struct push_order o;
    struct arena a;
    struct buf b;

    arena_init(&a);
    if (push_subscription_read(&a, in, &s) == OK)
        can_be_sent(s.endpoint, s.browser, s.auth);
    if (push_order_read(&r, &o, true) == OK)
        can_be_sent(o.endpoint, o.browser, o.auth);
    buf_init(&b, 0);
    push_origin_put(&b, in, false);
    buf_done(&b);
    arena_done(&a);
    return 0;
}
