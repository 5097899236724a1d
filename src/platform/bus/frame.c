/* frame.c: writes and reads the frames of the bus.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "bus/codec.h"
#include "bus/frame.h"

void frame_put(struct buf *out, const struct frame *f)
{
    size_t start = out->len;
    uint32_t len;

    buf_put(out, "\0\0\0\0", FRAME_HEAD_BYTES);
    codec_begin(out, FRAME_VERSION);
    codec_put_u64(out, f->kind);
    codec_put_u64(out, f->id);
    codec_put_u64(out, f->error);
    codec_put_str(out, f->name);
    codec_put_bytes(out, f->payload);
    if (out->overflow)
        return;
    len = (uint32_t)(out->len - start - FRAME_HEAD_BYTES);
    for (int i = 0; i < FRAME_HEAD_BYTES; i++)
        out->p[start + (size_t)i] = (char)(len >> (24 - 8 * i));
}

static bool word_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool role_is_valid(struct str role)
{
    for (size_t i = 0; i < role.len; i++)
        if (!word_char(role.p[i]))
            return false;
    return role.len > 0 && role.len <= BUS_ROLE_BYTES_MAX;
}

bool subject_is_valid(struct str subject, bool wild)
{
    bool word_begun = false;

    if (subject.len > BUS_SUBJECT_BYTES_MAX)
        return false;
    if (wild && subject.len > 2 && str_ends(subject, STR(".*")))
        subject.len -= 2;
    for (size_t i = 0; i < subject.len; i++) {
        if (subject.p[i] != '.' && !word_char(subject.p[i]))
            return false;
        if (subject.p[i] == '.' && !word_begun)
            return false;
        word_begun = subject.p[i] != '.';
    }
    return word_begun;
}

/* What each kind must carry. */
static bool frame_makes_sense(const struct frame *f)
{
    switch (f->kind) {
    case FRAME_HELLO:
        return role_is_valid(f->name);
    case FRAME_ASK:
    case FRAME_EVENT:
        return subject_is_valid(f->name, false);
    case FRAME_SUBSCRIBE:
    case FRAME_UNSUBSCRIBE:
        return subject_is_valid(f->name, true);
    case FRAME_ANSWER:
        return true;
    default:
        return false;
    }
}

enum err frame_read(struct str in, struct frame *out, size_t *used)
{
    struct codec_reader r;
    uint64_t kind, error;
    size_t len = 0;

    if (in.len < FRAME_HEAD_BYTES)
        return ERR_AGAIN;
    for (int i = 0; i < FRAME_HEAD_BYTES; i++)
        len = len << 8 | (uint8_t)in.p[i];
    if (len == 0 || len > FRAME_BYTES_MAX - FRAME_HEAD_BYTES)
        return ERR_INVALID;
    /* The version is told before the rest has come: its length may mean something else. */
    if (in.len > FRAME_HEAD_BYTES && in.p[FRAME_HEAD_BYTES] != FRAME_VERSION)
        return ERR_UNSUPPORTED;
    if (in.len < FRAME_HEAD_BYTES + len)
        return ERR_AGAIN;
    r = codec_open(str_make(in.p + FRAME_HEAD_BYTES, len), FRAME_VERSION);
    kind = codec_u64(&r);
    out->id = codec_u64(&r);
    error = codec_u64(&r);
    out->name = codec_str(&r, BUS_SUBJECT_BYTES_MAX);
    out->payload = codec_bytes(&r, BUS_PAYLOAD_BYTES_MAX);
    if (!codec_ok(&r) || kind == 0 || kind >= FRAME_KINDS || error >= ERR_COUNT)
        return ERR_INVALID;
    out->kind = (enum frame_kind)kind;
    out->error = (enum err)error;
    if (!frame_makes_sense(out))
        return ERR_INVALID;
    *used = FRAME_HEAD_BYTES + len;
    return OK;
}
