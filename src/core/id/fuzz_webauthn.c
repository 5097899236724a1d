/* fuzz_webauthn.c: what browsers and authenticators send. The first byte chooses: client data, an attestation object, an assertion's
 * authenticator data, CBOR.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include "id/webauthn.h"
#include "wire/cbor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct webauthn_party us = { .rp_id = { "town.example", 12 }, .origins = { "", 0 } };

static void client_data(struct arena *a, struct str in)
{
    struct str  challenge = STR_NULL;
    const char *why = NULL;
    enum err    e = webauthn_client_data(a, &us, in, "webauthn.get", &challenge, &why);

    assert((e == OK) == (why == NULL) && challenge.len <= in.len);
}

static void attestation(struct arena *a, struct str in)
{
    struct webauthn_key key;
    const char         *why = NULL;
    enum err            e = webauthn_attestation(a, &us, STR("{}"), in, &key, &why);

    assert((e == OK) == (why == NULL));
    if (!e)
        assert(key.credential.len >= WEBAUTHN_CREDENTIAL_BYTES_MIN && key.credential.len < in.len && key.key.len >= 32 &&
               key.key.len <= WEBAUTHN_KEY_BYTES_MAX);
}

/* Nobody can sign for the key of nothing. */
static void assertion(struct str in)
{
    struct webauthn_key key = { .algorithm = -8 /* EdDSA */, .key = STR("................................") };
    const char         *why = NULL;
    uint32_t            counter;

    assert(webauthn_assertion(&us, STR("{}"), in, STR("signature"), &key, &counter, &why) != OK && why);
}

static void cbor(struct str in)
{
    struct str       one = in, all = in;
    struct cbor_item i;
    enum err         e = cbor_next(&one, &i);

    assert(e || (one.len < in.len && i.bytes.len < in.len));
    if (cbor_skip(&all) == OK)
        assert(e == OK && all.len <= one.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str   in = str_make((const char *)data + 1, size - 1);
    struct arena a;

    if (size == 0)
        return 0;
    arena_init(&a);
    if (data[0] == 'c')
        client_data(&a, in);
    else if (data[0] == 'a')
        attestation(&a, in);
    else if (data[0] == 'g')
        assertion(in);
    else if (data[0] == 'b')
        cbor(in);
    arena_done(&a);
    return 0;
}
