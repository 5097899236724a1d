/* keys.c: keys for others, each made from ident's secret and the name of its purpose, so that a cluster, which shares the
 * identity database, has the same ones everywhere, and nobody who holds one learns another.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "id/inner.h"

static const struct {
    const char *purpose, *asker;
} keys[] = {
    { "files", "web" },         /* upload slots, and what sites say to each other about files */
};

static void answer_key(struct ident *id, struct bus_request *rq, struct str purpose)
{
    uint8_t     key[IDENT_KEY_BYTES];
    struct str  label = arena_printf(&id->arena, "key:%.*s", STR_ARG(purpose));
    struct buf *out = &id->out;

    hmac(DIGEST_SHA256, str_make((const char *)id->secret, sizeof id->secret), label, key);
    buf_clear(out);
    codec_begin(out, IDENT_PAYLOAD_VERSION);
    codec_put_bytes(out, str_make((char *)key, sizeof key));
    bus_answer(rq, OK, buf_str(out));
    mem_wipe(out->p, out->len);
    mem_wipe(key, sizeof key);
}

void ident_key_give(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str purpose = codec_str(r, 64);

    if (!codec_ok(r)) {
        bus_answer(rq, ERR_INVALID, STR_NULL);
        return;
    }
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (str_is(purpose, keys[i].purpose) && str_is(bus_asker(rq), keys[i].asker)) {
            answer_key(id, rq, purpose);
            return;
        }
    bus_answer(rq, ERR_DENIED, STR_NULL);
}
