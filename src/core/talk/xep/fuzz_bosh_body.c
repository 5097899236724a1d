/* fuzz_bosh_body.c: what a stranger may post to the BOSH door: what is taken is within its bounds, and each payload reads the
 * same when it stands alone.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "talk/stanza.h"
#include "talk/xep/xep0124_body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stands_alone(struct arena *a, struct xml_node *payload)
{
    struct xml_node *again;
    struct buf       b;

    buf_init(&b, 1 << 20);
    bosh_put_payload(&b, payload);
    if (!b.overflow) {
        enum xml_fault f = xml_parse(a, buf_str(&b), NULL, &again);

        if (f == XML_FINE ? !str_eq(again->name, payload->name) || !str_eq(again->ns, payload->ns) : f != XML_POLICY_VIOLATION)
            abort();
    }
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bosh_body body;
    struct arena     a;

    arena_init(&a);
    if (bosh_body_read(&a, str_make((const char *)data, size), &body)) {
        if (body.rid == 0 || body.content.len > BOSH_TYPE_BYTES_MAX || body.minor < -1 || body.wait_s > 86400)
            abort();
        for (struct xml_node *n = body.payload; n; n = xml_next(n))
            stands_alone(&a, n);
    }
    arena_done(&a);
    return 0;
}
