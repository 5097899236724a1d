/* payload.c: ident's bus payloads.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/payload.h"
#include "id/fast.h"
#include "id/sasl.h"

void payload_put_optional(struct buf *out, struct str s)
{
    codec_put_u64(out, s.p != NULL);
    if (s.p)
        codec_put_bytes(out, s);
}

struct str payload_optional(struct codec_reader *r, size_t bytes_max)
{
    struct str s;

    if (codec_u64(r) != 1)
        return STR_NULL;
    s = codec_bytes(r, bytes_max);
    return s.p ? s : STR("");
}

void sasl_start_write(struct buf *out, const struct sasl_start *s)
{
    codec_begin(out, IDENT_PAYLOAD_VERSION);
    codec_put_str(out, s->mechanism);
    payload_put_optional(out, s->initial);
    codec_put_bytes(out, s->exporter);
    codec_put_bytes(out, s->end_point);
    codec_put_str(out, s->peer_key);
    codec_put_str(out, s->agent_id);
    codec_put_str(out, s->fast_request);
    codec_put_u64(out, s->fast_count);
    codec_put_u64(out, s->fast_invalidate);
    codec_put_u64(out, s->binding_offered);
    codec_put_str(out, s->software.p ? s->software : STR(""));
    codec_put_str(out, s->device.p ? s->device : STR(""));
}

enum err sasl_start_read(struct str payload, struct sasl_start *out)
{
    struct codec_reader r = codec_open(payload, IDENT_PAYLOAD_VERSION);

    out->mechanism = codec_str(&r, SASL_MECHANISM_BYTES_MAX);
    out->initial = payload_optional(&r, SASL_MESSAGE_BYTES_MAX);
    out->exporter = codec_bytes(&r, TLS_BINDING_BYTES_MAX);
    out->end_point = codec_bytes(&r, TLS_BINDING_BYTES_MAX);
    out->peer_key = codec_str(&r, SASL_PEER_BYTES_MAX);
    out->agent_id = codec_str(&r, FAST_AGENT_BYTES_MAX);
    out->fast_request = codec_str(&r, SASL_MECHANISM_BYTES_MAX);
    out->fast_count = codec_u64(&r);
    out->fast_invalidate = codec_u64(&r) != 0;
    out->binding_offered = codec_u64(&r) != 0;
    out->software = codec_str(&r, IDENT_DEVICE_TEXT_BYTES_MAX);
    out->device = codec_str(&r, IDENT_DEVICE_TEXT_BYTES_MAX);
    return codec_ok(&r) ? OK : ERR_INVALID;
}

void sasl_answer_write(struct buf *out, const struct sasl_answer *a)
{
    codec_begin(out, IDENT_PAYLOAD_VERSION);
    codec_put_u64(out, a->state);
    codec_put_u64(out, a->failure);
    codec_put_u64(out, a->exchange);
    payload_put_optional(out, a->data);
    payload_put_optional(out, a->user);
    payload_put_optional(out, a->fast_token);
    codec_put_i64(out, a->fast_expires_us);
}

enum err sasl_answer_read(struct str payload, struct sasl_answer *out)
{
    struct codec_reader r = codec_open(payload, IDENT_PAYLOAD_VERSION);
    uint64_t state = codec_u64(&r), failure = codec_u64(&r);

    out->state = (enum sasl_state)state;
    out->failure = (enum sasl_failure)failure;
    out->exchange = codec_u64(&r);
    out->data = payload_optional(&r, SASL_MESSAGE_BYTES_MAX);
    out->user = payload_optional(&r, ACCOUNT_NAME_BYTES_MAX);
    out->fast_token = payload_optional(&r, FAST_TOKEN_CHARS);
    out->fast_expires_us = codec_i64(&r);
    if (!codec_ok(&r) || state > SASL_FAILURE || failure >= SASL_FAILURE_COUNT)
        return ERR_INVALID;
    /* Success without a name, or a failure without a reason, is no answer. */
    if ((state == SASL_SUCCESS && !out->user.len) || (state == SASL_FAILURE) != (failure != SASL_FINE))
        return ERR_INVALID;
    return OK;
}
