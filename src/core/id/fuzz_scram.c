/* fuzz_scram.c: messages of every mechanism. The first byte chooses the reader.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include "id/fast.h"
#include "id/plain.h"
#include "id/scram.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A first message that was read goes on to a challenge that carries its nonce. */
static void first(struct arena *a, struct str in)
{
    struct credential key = { .kind = DIGEST_SHA1, .iterations = 4096, .salt_bytes = 16 };
    struct scram_first f;
    struct scram s = { 0 };
    struct str out;

    if (scram_parse_first(a, in, &f))
        return;
    assert(f.gs2_header.len + f.bare.len == in.len && f.user.len && f.nonce.len);
    out = scram_challenge(&s, &f, STR("binding"), STR("nonce"), &key);
    assert(out.len > f.nonce.len && memcmp(out.p + 2, f.nonce.p, f.nonce.len) == 0);
    scram_done(&s);
}

static void final(struct arena *a, struct str in)
{
    struct credential key = { .kind = DIGEST_SHA256, .iterations = 4096, .salt_bytes = 16 };
    struct scram_first first_message;
    struct scram_final f;
    struct scram s = { 0 };
    struct buf out = { 0 };

    if (scram_parse_final(a, in, &f) || scram_parse_first(a, STR("n,,n=u,r=x"), &first_message))
        return;
    scram_challenge(&s, &first_message, STR_NULL, STR("y"), &key);
    assert(!scram_check(&s, &f, &out) && out.len == 0);
    scram_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data + 1, size - 1);
    struct fast_message m;
    struct plain p;
    struct arena a;

    if (size == 0)
        return 0;
    arena_init(&a);
    if (data[0] == 'f')
        first(&a, in);
    else if (data[0] == 'l')
        final(&a, in);
    else if (data[0] == 'p' && plain_parse(in, &p) == SASL_FINE)
        assert(p.authzid.len + p.user.len + p.password.len + 2 == in.len);
    else if (data[0] == 't' && fast_parse(in, &m) == SASL_FINE)
        assert(m.user.len + 1 + FAST_HASH_BYTES == in.len);
    arena_done(&a);
    return 0;
}
