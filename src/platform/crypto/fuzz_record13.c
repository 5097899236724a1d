/* fuzz_record13.c: a peer that knows the keys and says anything. The input is a list of records (inner type,
 * length, padding, then the bytes); what the record layer delivers must be what was sealed as data, however the
 * stream is cut. An input that starts with 0xff is given to the record layer as it is.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include "crypto/record13.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t secret[RECORD13_SECRET_BYTES_MAX] = { 1 };

/* Seals the records; `want` gets the data among them. */
static void seal_all(int suite, const uint8_t *p, size_t n, struct buf *wire, struct buf *want)
{
    struct record13 *peer = record13_new(suite, false, secret, secret);

    while (n >= 3) {
        size_t len = p[1] < n - 3 ? p[1] : n - 3;
        /* type 0 is more padding, behind which the content's own end would be taken for the type */
        size_t sealed = p[0] ? len : 0;

        record13_seal(peer, p[0], str_make((const char *)p + 3, sealed), p[2], wire);
        if (p[0] == RECORD13_DATA)
            buf_put(want, p + 3, len);
        p += 3 + len;
        n -= 3 + len;
    }
    record13_free(&peer);
}

static enum err feed(int suite, bool server, struct str wire, size_t step, struct buf *got)
{
    struct record13 *r = record13_new(suite, server, secret, secret);
    struct buf       back = { 0 };
    enum err         e = OK;

    for (size_t at = 0; at < wire.len; at += step)
        e = record13_feed(r, str_make(wire.p + at, wire.len - at < step ? wire.len - at : step), got, &back);
    buf_done(&back);
    record13_free(&r);
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf wire = { 0 }, want = { 0 }, once = { 0 }, cut = { 0 };
    int        suite;
    bool       server;
    size_t     step;
    enum err   e;

    if (size < 2)
        return 0;
    suite = RECORD13_AES_128_GCM_SHA256 + data[0] % 3;
    server = data[0] & 4;
    step = 1 + data[1] % 64;
    if (data[0] == 0xff)
        buf_put(&wire, data + 2, size - 2);
    else
        seal_all(suite, data + 2, size - 2, &wire, &want);
    e = feed(suite, server, buf_str(&wire), wire.len + 1, &once);
    if (e != feed(suite, server, buf_str(&wire), step, &cut) || !str_eq(buf_str(&once), buf_str(&cut)))
        abort();
    if (data[0] != 0xff && (once.len > want.len || (once.len && memcmp(once.p, want.p, once.len) != 0)))
        abort();
    buf_done(&wire);
    buf_done(&want);
    buf_done(&once);
    buf_done(&cut);
    return 0;
}
