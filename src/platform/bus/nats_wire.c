/* nats_wire.c: see nats_wire.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "bus/codec.h"
#include "bus/nats_wire.h"

enum { WORDS_MAX = 6 };

/* ---- the server's operations ---- */

/* Words of a line, parted by spaces or tabs; -1: more than WORDS_MAX. */
static int words_of(struct str line, struct str out[WORDS_MAX])
{
    int count = 0;

    for (size_t i = 0; i < line.len;) {
        size_t from = i;

        while (i < line.len && line.p[i] != ' ' && line.p[i] != '\t')
            i++;
        if (i > from && count == WORDS_MAX)
            return -1;
        if (i > from)
            out[count++] = str_make(line.p + from, i - from);
        i++;
    }
    return count;
}

static bool size_of(struct str word, size_t max, size_t *out)
{
    uint64_t n;

    if (!str_to_u64(word, &n) || n > max)
        return false;
    *out = (size_t)n;
    return true;
}

/* "NATS/1.0 503\r\n…": a status stands in the first line, or nothing does. */
static int status_of(struct str headers)
{
    struct str first = str_trim(str_split(&headers, '\n'));
    uint64_t   status;

    str_split(&first, ' ');
    first = str_split(&first, ' ');
    return str_to_u64(first, &status) && status < 1000 ? (int)status : 0;
}

/* MSG subject sid [reply] bytes; HMSG subject sid [reply] header-bytes all-bytes. */
static enum err read_msg(struct str in, size_t line_bytes, const struct str *w, int count, bool headers, struct nats_op *out,
                         size_t *used)
{
    int    sizes = headers ? 2 : 1;
    size_t head = 0, all;

    if (count != 3 + sizes && count != 4 + sizes)
        return ERR_INVALID;
    out->subject = w[1];
    if (!str_to_u64(w[2], &out->sid))
        return ERR_INVALID;
    if (count == 4 + sizes)
        out->reply = w[3];
    if (headers && !size_of(w[count - 2], NATS_HEADERS_BYTES_MAX, &head))
        return ERR_INVALID;
    if (!size_of(w[count - 1], BUS_PAYLOAD_BYTES_MAX + ENVELOPE_BYTES_MAX + head, &all) || head > all)
        return ERR_INVALID;
    if (out->subject.len > BUS_SUBJECT_BYTES_MAX || out->reply.len > NATS_REPLY_BYTES_MAX)
        return ERR_INVALID;
    if (in.len < line_bytes + all + 2)
        return ERR_AGAIN;
    in.p += line_bytes;
    if (in.p[all] != '\r' || in.p[all + 1] != '\n')
        return ERR_INVALID;
    out->kind = NATS_MSG;
    if (headers)
        out->status = status_of(str_make(in.p, head));
    out->payload = str_make(in.p + head, all - head);
    *used = line_bytes + all + 2;
    return OK;
}

static struct str unquoted(struct str s)
{
    s = str_trim(s);
    if (s.len >= 2 && s.p[0] == '\'' && s.p[s.len - 1] == '\'')
        s = str_make(s.p + 1, s.len - 2);
    return s;
}

static enum nats_kind kind_of(struct str verb)
{
    static const struct { const char *verb; enum nats_kind kind; } kinds[] = {
        { "INFO", NATS_INFO }, { "PING", NATS_PING }, { "PONG", NATS_PONG }, { "+OK", NATS_OK }, { "-ERR", NATS_ERR },
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (str_is(verb, kinds[i].verb))
            return kinds[i].kind;
    return 0;
}

enum err nats_read(struct str in, struct nats_op *out, size_t *used)
{
    const char *end = memchr(in.p ? in.p : "", '\n', in.len < NATS_LINE_BYTES_MAX ? in.len : NATS_LINE_BYTES_MAX);
    struct str  line, rest, words[WORDS_MAX];
    int         count;

    *out = (struct nats_op){ 0 };
    if (!end)
        return in.len < NATS_LINE_BYTES_MAX ? ERR_AGAIN : ERR_INVALID;
    *used = (size_t)(end - in.p) + 1;
    line = str_trim(str_make(in.p, *used));
    if (str_starts(line, STR("MSG ")) || str_starts(line, STR("HMSG "))) {
        count = words_of(line, words);
        return read_msg(in, *used, words, count, line.p[0] == 'H', out, used);
    }
    rest = line;
    out->kind = kind_of(str_split(&rest, ' '));
    if (!out->kind)
        return ERR_INVALID;
    out->text = out->kind == NATS_ERR ? unquoted(rest) : str_trim(rest);
    return OK;
}

/* ---- the envelope ---- */

void envelope_put_head(struct buf *out, const struct envelope *e)
{
    codec_begin(out, ENVELOPE_VERSION);
    codec_put_u64(out, e->kind);
    codec_put_u64(out, e->error);
    codec_put_str(out, e->role);
}

enum err envelope_read(struct str in, struct envelope *out)
{
    struct codec_reader r = codec_open(in, ENVELOPE_VERSION);
    uint64_t kind, error;

    if (in.len && (uint8_t)in.p[0] != ENVELOPE_VERSION)
        return ERR_UNSUPPORTED;
    kind = codec_u64(&r);
    error = codec_u64(&r);
    out->role = codec_str(&r, BUS_ROLE_BYTES_MAX);
    out->payload = r.rest;
    if (r.failed || error >= ERR_COUNT || !role_is_valid(out->role) || r.rest.len > BUS_PAYLOAD_BYTES_MAX)
        return ERR_INVALID;
    if (kind != FRAME_ASK && kind != FRAME_ANSWER && kind != FRAME_EVENT)
        return ERR_INVALID;
    out->kind = (enum frame_kind)kind;
    out->error = (enum err)error;
    return OK;
}
