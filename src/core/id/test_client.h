/* test_client.h: the client's half of SCRAM and of hashed tokens, for the tests.
 * Written from RFC 5802 §3 by itself, so that an error in scram.c is not made twice.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "crypto/digest.h"
#include "wire/base64.h"

struct scram_client {
    enum digest_kind kind;
    const char      *password;
    const char      *gs2;           /* "n,," */
    struct str       binding;
    struct str       bare;          /* "n=alice,r=abc" */
    struct str       server_first;
    struct str       want_server_final;   /* set by client_final */
};

static inline struct str client_first(struct arena *a, const struct scram_client *c)
{
    return arena_printf(a, "%s%.*s", c->gs2, STR_ARG(c->bare));
}

/* The value of "x=…" in a comma-separated message. */
static inline struct str client_field(struct str message, char name)
{
    while (message.p) {
        struct str f = str_split(&message, ',');

        if (f.len > 2 && f.p[0] == name && f.p[1] == '=')
            return str_make(f.p + 2, f.len - 2);
    }
    return STR("");
}

static inline struct str client_final(struct arena *a, struct scram_client *c)
{
    size_t     n = digest_bytes(c->kind);
    uint8_t    salted[DIGEST_BYTES_MAX], key[DIGEST_BYTES_MAX], stored[DIGEST_BYTES_MAX], sig[DIGEST_BYTES_MAX];
    struct str salt = STR_NULL, plain, message;
    struct buf bound = { 0 };
    uint64_t   iterations = 1;

    if (base64_decode(a, client_field(c->server_first, 's'), &salt))
        salt = STR("x");
    str_to_u64(client_field(c->server_first, 'i'), &iterations);
    buf_put_z(&bound, c->gs2);
    buf_put_str(&bound, c->binding);
    plain = arena_printf(a, "c=%.*s,r=%.*s", STR_ARG(base64_encode(a, buf_str(&bound))),
                         STR_ARG(client_field(c->server_first, 'r')));
    buf_done(&bound);
    message = arena_printf(a, "%.*s,%.*s,%.*s", STR_ARG(c->bare), STR_ARG(c->server_first), STR_ARG(plain));
    pbkdf2(c->kind, str_of(c->password), salt, (int)iterations, salted);
    hmac(c->kind, str_make((char *)salted, n), STR("Client Key"), key);
    digest(c->kind, str_make((char *)key, n), stored);
    hmac(c->kind, str_make((char *)stored, n), message, sig);
    for (size_t i = 0; i < n; i++)
        key[i] ^= sig[i];
    hmac(c->kind, str_make((char *)salted, n), STR("Server Key"), stored);
    hmac(c->kind, str_make((char *)stored, n), message, sig);
    c->want_server_final = arena_printf(a, "v=%.*s", STR_ARG(base64_encode(a, str_make((char *)sig, n))));
    return arena_printf(a, "%.*s,p=%.*s", STR_ARG(plain), STR_ARG(base64_encode(a, str_make((char *)key, n))));
}

/* authcid NUL HMAC(token, "Initiator" || binding) */
static inline struct str client_token(struct arena *a, const char *user, struct str token, struct str binding)
{
    struct str text = arena_printf(a, "Initiator%32s", "");
    struct str out = arena_printf(a, "%s%33s", user, "");
    char      *p = (char *)out.p + strlen(user);

    if (binding.len)
        memcpy((char *)text.p + 9, binding.p, binding.len);
    hmac(DIGEST_SHA256, token, str_make(text.p, 9 + binding.len), (uint8_t *)p + 1);
    *p = 0;
    return str_make(out.p, strlen(user) + 33);
}
