/* passkey_client.c: passkey.h over the bus. Like client.c it needs nothing of what knows.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/mem.h"
#include "bus/codec.h"
#include "id/accounts.h"
#include "id/fast.h"
#include "id/passkey.h"
#include "id/payload.h"
#include "id/sasl.h"
#include "id/webauthn.h"

const int passkey_algorithms[] = { -8 /* EdDSA */, -7 /* ES256 */, -257 /* RS256 */, 0 };

static const char *const subjects[PASSKEY_VERBS] = {
    [PASSKEY_TICKET] = "ident.passkey.ticket", [PASSKEY_CHALLENGE] = "ident.passkey.challenge", [PASSKEY_LOGIN] = "ident.passkey.login",
    [PASSKEY_LIST] = "ident.passkey.list",     [PASSKEY_OFFER] = "ident.passkey.offer",         [PASSKEY_ADD] = "ident.passkey.add",
    [PASSKEY_RENAME] = "ident.passkey.rename", [PASSKEY_REMOVE] = "ident.passkey.remove",       [PASSKEY_OF] = "ident.passkey.of",
    [PASSKEY_CLEAR] = "ident.passkey.clear",   [PASSKEY_PASSWORD_REMOVE] = "ident.passkey.password_remove",
};

const char *passkey_subject(enum passkey_verb v)
{
    return subjects[v];
}

/* ---- requests ---- */

static const struct { size_t at, bytes_max; bool text; } fields[] = {
#define FIELD(name, max, text) { offsetof(struct passkey_request, name), max, text }
    FIELD(user, IDENT_USER_BYTES_MAX, true),
    FIELD(ticket, PASSKEY_TICKET_CHARS_MAX, true),
    FIELD(id, WEBAUTHN_CREDENTIAL_BYTES_MAX, false),
    FIELD(label, PASSKEY_LABEL_BYTES_MAX, true),
    FIELD(client_data, WEBAUTHN_CLIENT_DATA_BYTES_MAX, false),
    FIELD(attestation, WEBAUTHN_ATTESTATION_BYTES_MAX, false),
    FIELD(auth_data, WEBAUTHN_AUTH_DATA_BYTES_MAX, false),
    FIELD(signature, WEBAUTHN_SIGNATURE_BYTES_MAX, false),
    FIELD(handle, WEBAUTHN_HANDLE_BYTES_MAX, false),
    FIELD(agent, FAST_AGENT_BYTES_MAX, true),
    FIELD(mechanism, SASL_MECHANISM_BYTES_MAX, true),
    FIELD(peer_key, SASL_PEER_BYTES_MAX, true),
#undef FIELD
};

void passkey_request_write(struct buf *out, const struct passkey_request *q)
{
    codec_begin(out, IDENT_PAYLOAD_VERSION);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct str s = *(const struct str *)((const char *)q + fields[i].at);

        codec_put_bytes(out, s.p ? s : STR(""));
    }
}

enum err passkey_request_read(struct str payload, struct passkey_request *out)
{
    struct codec_reader r = codec_open(payload, IDENT_PAYLOAD_VERSION);

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        struct str *s = (struct str *)((char *)out + fields[i].at);

        *s = fields[i].text ? codec_str(&r, fields[i].bytes_max) : codec_bytes(&r, fields[i].bytes_max);
    }
    return codec_ok(&r) ? OK : ERR_INVALID;
}

/* ---- answers ---- */

enum { WHY_BYTES_MAX = 128, RP_ID_BYTES_MAX = 253, CHALLENGE_BYTES_MAX = 64 };

void passkey_answer_write(struct buf *out, const struct passkey_answer *a)
{
    codec_begin(out, IDENT_PAYLOAD_VERSION);
    payload_put_optional(out, a->why);
    payload_put_optional(out, a->ticket);
    payload_put_optional(out, a->rp_id);
    payload_put_optional(out, a->challenge);
    payload_put_optional(out, a->user);
    payload_put_optional(out, a->handle);
    payload_put_optional(out, a->token);
    codec_put_i64(out, a->expires_us);
    codec_put_u64(out, a->list.password);
    codec_put_u64(out, (uint64_t)a->list.count);
    for (int i = 0; i < a->list.count; i++) {
        const struct passkey_row *k = &a->list.rows[i];

        codec_put_bytes(out, k->id);
        codec_put_str(out, k->label);
        codec_put_i64(out, k->created_us);
        codec_put_i64(out, k->used_us);
    }
}

static void rows_read(struct codec_reader *r, struct passkey_list *out)
{
    uint64_t count;

    out->password = codec_u64(r) != 0;
    count = codec_u64(r);
    if (count > PASSKEYS_MAX)
        r->failed = true;
    for (uint64_t i = 0; i < count && !r->failed; i++) {
        struct passkey_row *k = &out->rows[out->count++];

        k->id = codec_bytes(r, WEBAUTHN_CREDENTIAL_BYTES_MAX);
        k->label = codec_str(r, PASSKEY_LABEL_BYTES_MAX);
        k->created_us = codec_i64(r);
        k->used_us = codec_i64(r);
    }
}

enum err passkey_answer_read(struct str payload, struct passkey_answer *out)
{
    struct codec_reader r = codec_open(payload, IDENT_PAYLOAD_VERSION);

    *out = (struct passkey_answer){ 0 };
    out->why = payload_optional(&r, WHY_BYTES_MAX);
    out->ticket = payload_optional(&r, PASSKEY_TICKET_CHARS_MAX);
    out->rp_id = payload_optional(&r, RP_ID_BYTES_MAX);
    out->challenge = payload_optional(&r, CHALLENGE_BYTES_MAX);
    out->user = payload_optional(&r, ACCOUNT_NAME_BYTES_MAX);
    out->handle = payload_optional(&r, WEBAUTHN_HANDLE_BYTES_MAX);
    out->token = payload_optional(&r, FAST_TOKEN_CHARS);
    out->expires_us = codec_i64(&r);
    rows_read(&r, &out->list);
    if (codec_ok(&r))
        return OK;
    *out = (struct passkey_answer){ 0 };
    return ERR_INVALID;
}

/* ---- asking ---- */

struct passkey_asking { passkey_fn *fn; void *arg; };

static void replied(void *arg, enum err e, struct str payload)
{
    struct passkey_asking k = *(struct passkey_asking *)arg;
    struct passkey_answer a;
    enum err              read = passkey_answer_read(payload, &a);

    free(arg);
    k.fn(k.arg, e ? e : read, &a);      /* an error need not come with words */
}

enum err passkey_ask(struct bus *b, enum passkey_verb v, const struct passkey_request *q, passkey_fn *fn, void *arg)
{
    struct passkey_asking *k = NEW(struct passkey_asking);
    struct buf             payload;
    enum err               e;

    *k = (struct passkey_asking){ fn, arg };
    buf_init(&payload, 0);
    passkey_request_write(&payload, q);
    e = bus_ask(b, subjects[v], buf_str(&payload), IDENT_TIMEOUT_MS, replied, k);
    mem_wipe(payload.p, payload.len);
    buf_done(&payload);
    if (e)
        free(k);
    return e;
}
