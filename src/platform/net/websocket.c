/* websocket.c: see websocket.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "net/websocket.h"
#include "base/arena.h"
#include "crypto/digest.h"
#include "wire/base64.h"

/* ---- masks ---- */

static void unmask(char *p, size_t bytes, const uint8_t key[4])
{
    uint64_t wide;
    size_t   i = 0;

    memcpy(&wide, key, 4);
    memcpy((char *)&wide + 4, key, 4);
    for (; i + 8 <= bytes; i += 8) {
        uint64_t v;

        memcpy(&v, p + i, 8);
        v ^= wide;
        memcpy(p + i, &v, 8);
    }
    for (; i < bytes; i++)
        p[i] = (char)(p[i] ^ key[i & 3]);
}

/* ---- reading (§5) ---- */

struct head {
    bool     fin, masked;
    uint8_t  opcode, key[4];
    uint64_t bytes;
    size_t   head_bytes;
};

/* ERR_AGAIN, or ERR_INVALID for what §5.2 forbids. */
static enum err read_head(const struct ws_reader *r, const uint8_t *p, size_t n, struct head *h)
{
    if (n < 2)
        return ERR_AGAIN;
    h->fin = p[0] & 0x80;
    h->opcode = p[0] & 0x0F;
    h->masked = p[1] & 0x80;
    h->bytes = p[1] & 0x7F;
    h->head_bytes = 2;
    if ((p[0] & 0x70) || (h->opcode > WS_BINARY && h->opcode < WS_CLOSE) || h->opcode > WS_PONG)
        return ERR_INVALID;
    if (h->masked != r->expect_mask)
        return ERR_INVALID;
    if (h->opcode >= WS_CLOSE && (!h->fin || h->bytes > 125))
        return ERR_INVALID;
    if (h->bytes == 126) {
        if (n < 4)
            return ERR_AGAIN;
        h->bytes = (uint64_t)p[2] << 8 | p[3];
        h->head_bytes = 4;
        if (h->bytes < 126)
            return ERR_INVALID;     /* not the shortest form */
    } else if (h->bytes == 127) {
        if (n < 10)
            return ERR_AGAIN;
        h->bytes = 0;
        for (int i = 0; i < 8; i++)
            h->bytes = h->bytes << 8 | p[2 + i];
        h->head_bytes = 10;
        if (h->bytes < 65536 || h->bytes >> 63)
            return ERR_INVALID;
    }
    if (h->masked) {
        if (n < h->head_bytes + 4)
            return ERR_AGAIN;
        memcpy(h->key, p + h->head_bytes, 4);
        h->head_bytes += 4;
    }
    return OK;
}

static enum err refuse(struct ws_event *out, int code, enum err e)
{
    out->close_code = code;
    return e;
}

static bool close_code_valid(int code)     /* §7.4 */
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

static enum err control(struct ws_event *out, uint8_t opcode, struct str payload)
{
    out->opcode = (enum ws_opcode)opcode;
    out->payload = payload;
    if (opcode != WS_CLOSE)
        return OK;
    out->close_code = 1005;
    if (payload.len == 0)
        return OK;
    if (payload.len == 1)
        return refuse(out, 1002, ERR_INVALID);
    out->close_code = (uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1];
    out->payload = str_make(payload.p + 2, payload.len - 2);
    if (!close_code_valid(out->close_code))
        return refuse(out, 1002, ERR_INVALID);
    if (!str_is_utf8(out->payload))
        return refuse(out, 1007, ERR_INVALID);
    return OK;
}

enum err ws_read(struct ws_reader *r, char *in, size_t bytes, struct ws_event *out, size_t *used)
{
    struct head h;
    struct str  payload;
    enum err    e = read_head(r, (const uint8_t *)in, bytes, &h);

    *used = 0;
    *out = (struct ws_event){ 0 };
    if (e)
        return e == ERR_INVALID ? refuse(out, 1002, e) : e;
    if (h.opcode < WS_CLOSE) {
        if ((h.opcode == WS_CONTINUATION) != (r->opcode != 0))
            return refuse(out, 1002, ERR_INVALID);
        if (h.bytes > r->message_bytes_max || r->message.len > r->message_bytes_max - h.bytes)
            return refuse(out, 1009, ERR_LIMIT);
    }
    if (bytes - h.head_bytes < h.bytes)
        return ERR_AGAIN;
    payload = str_make(in + h.head_bytes, (size_t)h.bytes);
    if (h.masked)
        unmask(in + h.head_bytes, (size_t)h.bytes, h.key);
    *used = h.head_bytes + (size_t)h.bytes;
    if (h.opcode >= WS_CLOSE)
        return control(out, h.opcode, payload);
    if (!h.fin || r->opcode) {
        if (!r->opcode) {
            buf_done(&r->message);
            r->opcode = h.opcode;
        }
        buf_put_str(&r->message, payload);
        if (!h.fin)
            return ERR_AGAIN;
        payload = buf_str(&r->message);
        h.opcode = r->opcode;
        r->opcode = 0;
    } else if (r->message.p) {
        buf_done(&r->message);
    }
    r->message.len = 0;     /* the bytes stay readable until the next call */
    out->opcode = (enum ws_opcode)h.opcode;
    out->payload = payload;
    if (h.opcode == WS_TEXT && !str_is_utf8(payload))
        return refuse(out, 1007, ERR_INVALID);
    return OK;
}

void ws_reader_done(struct ws_reader *r) { buf_done(&r->message); }

/* ---- writing ---- */

void ws_put_frame(struct buf *out, enum ws_opcode opcode, struct str payload, bool mask)
{
    uint8_t head[14];
    size_t  n = 2;

    head[0] = (uint8_t)(0x80 | opcode);
    if (payload.len < 126) {
        head[1] = (uint8_t)payload.len;
    } else if (payload.len < 65536) {
        head[1] = 126;
        head[2] = (uint8_t)(payload.len >> 8);
        head[3] = (uint8_t)payload.len;
        n = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (uint8_t)((uint64_t)payload.len >> (56 - 8 * i));
        n = 10;
    }
    if (mask) {
        head[1] |= 0x80;
        random_bytes(head + n, 4);
        n += 4;
    }
    if (!buf_reserve(out, n + payload.len))
        return;     /* no half frames: out->overflow says it */
    buf_put(out, head, n);
    buf_put_str(out, payload);
    if (mask)
        unmask(out->p + out->len - payload.len, payload.len, head + n - 4);
}

void ws_put_close(struct buf *out, int code, struct str reason, bool mask)
{
    char payload[125];

    payload[0] = (char)(code >> 8);
    payload[1] = (char)code;
    if (reason.len > sizeof payload - 2)
        reason.len = sizeof payload - 2;
    if (reason.len)
        memcpy(payload + 2, reason.p, reason.len);
    ws_put_frame(out, WS_CLOSE, str_make(payload, reason.len + 2), mask);
}

/* ---- the handshake (§4.2) ---- */

/* Base64 of 16 bytes. Bits to spare in the last digit are let pass: some clients just draw 22 digits. */
static bool key_valid(struct str key)
{
    if (key.len != 24 || key.p[22] != '=' || key.p[23] != '=')
        return false;
    for (int i = 0; i < 22; i++) {
        char c = key.p[i];

        if (!((c | 32) >= 'a' && (c | 32) <= 'z') && !(c >= '0' && c <= '9') && c != '+' && c != '/')
            return false;
    }
    return true;
}

static void put_accept(struct buf *out, struct str key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char              joined[24 + sizeof guid];
    uint8_t           hash[20];

    memcpy(joined, key.p, 24);
    memcpy(joined + 24, guid, sizeof guid - 1);
    digest(DIGEST_SHA1, str_make(joined, 24 + sizeof guid - 1), hash);
    base64_put(out, str_make((const char *)hash, sizeof hash));
}

enum err ws_accept(const struct http_request *r, const char *protocol, struct buf *out)
{
    struct str key = http_header(r, "Sec-WebSocket-Key");

    if (!str_is(http_header(r, "Sec-WebSocket-Version"), "13")) {
        BUF_LIT(out, "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade, close\r\nContent-Length: 0\r\n\r\n");
        return ERR_UNSUPPORTED;
    }
    if (!str_is(r->method, "GET") || r->minor != 1 || !http_header_has_token(r, "Upgrade", "websocket") ||
        !http_header_has_token(r, "Connection", "Upgrade") || !key_valid(key) ||
        (protocol && !http_header_has_token(r, "Sec-WebSocket-Protocol", protocol))) {
        BUF_LIT(out, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        return ERR_INVALID;
    }
    BUF_LIT(out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ");
    put_accept(out, key);
    if (protocol)
        buf_printf(out, "\r\nSec-WebSocket-Protocol: %s", protocol);
    BUF_LIT(out, "\r\n\r\n");
    return OK;
}
