/* client.c: see client.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/client.h"
#include <stdlib.h>
#include "base/mem.h"
#include "bus/codec.h"

enum { VERSION = 1, TEXT_BYTES_MAX = 8192 };

struct ask {
    files_slot_fn   *fn;
    files_export_fn *exported;
    void            *arg;
};

/* Gives `payload` and, if there will be no answer, `k` back. */
static enum err send_ask(struct bus *b, const char *subject, struct buf *payload, int ms_max, bus_reply_fn *fn, struct ask *k)
{
    enum err e = bus_ask(b, subject, buf_str(payload), ms_max, fn, k);

    buf_done(payload);
    if (e)
        free(k);
    return e;
}

static void replied(void *arg, enum err e, struct str payload)
{
    struct ask          k = *(struct ask *)arg;
    struct codec_reader r = codec_open(payload, VERSION);
    struct files_slot   s = { 0 };

    free(arg);
    if (!e) {
        s.url = codec_str(&r, TEXT_BYTES_MAX);
        s.token = codec_str(&r, TEXT_BYTES_MAX);
    } else if (e == ERR_LIMIT) {
        s.why = (enum files_refusal)codec_u64(&r);
        s.value = codec_i64(&r);
    }
    if ((!e || e == ERR_LIMIT) && !codec_ok(&r))
        e = ERR_UNAVAILABLE;
    k.fn(k.arg, e, &s);
}

enum err files_slot_ask(struct bus *b, struct str owner, struct str name, int64_t bytes, struct str type, files_slot_fn *fn, void *arg)
{
    struct ask *k = NEW(struct ask);
    struct buf  payload;

    *k = (struct ask){ .fn = fn, .arg = arg };
    buf_init(&payload, BUS_PAYLOAD_BYTES_MAX);
    codec_begin(&payload, VERSION);
    codec_put_str(&payload, owner);
    codec_put_str(&payload, name);
    codec_put_i64(&payload, bytes);
    codec_put_str(&payload, type);
    return send_ask(b, "web.files.slot", &payload, FILES_ASK_MS, replied, k);
}

static void exported(void *arg, enum err e, struct str payload)
{
    struct ask          k = *(struct ask *)arg;
    struct codec_reader r = codec_open(payload, VERSION);
    int64_t             count = codec_i64(&r), bytes = codec_i64(&r);

    free(arg);
    k.exported(k.arg, !e && !codec_ok(&r) ? ERR_UNAVAILABLE : e, count, bytes);
}

enum err files_export_ask(struct bus *b, struct str owner, struct str dir, files_export_fn *fn, void *arg)
{
    struct ask *k = NEW(struct ask);
    struct buf  payload;

    *k = (struct ask){ .exported = fn, .arg = arg };
    buf_init(&payload, BUS_PAYLOAD_BYTES_MAX);
    codec_begin(&payload, VERSION);
    codec_put_str(&payload, owner);
    codec_put_str(&payload, dir);
    return send_ask(b, "web.files.export", &payload, FILES_EXPORT_MS, exported, k);
}
