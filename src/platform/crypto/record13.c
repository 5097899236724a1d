/* record13.c: see record13.h. The cipher contexts are the thread's, one for each suite and
 * direction, keyed anew when another connection's turn comes: that costs a fraction
 * of a microsecond, and a connection keeps no cipher state of its own.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "crypto/record13.h"
#include "base/mem.h"
#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEAD_BYTES = 5,
    TAG_BYTES = 16,
    IV_BYTES = 12,
    INNER_BYTES_MAX = RECORD13_PLAIN_BYTES_MAX + 1,         /* with its type (§5.4) */
    SEALED_BYTES_MAX = RECORD13_PLAIN_BYTES_MAX + 256,      /* §5.2 */
};

/* §5.5 allows 2^24.5 full records under one AES-GCM key; we change ours long before. */
static const uint64_t RECORDS_PER_KEY_MAX = (uint64_t)1 << 22;

enum { NEW_SESSION_TICKET = 4, KEY_UPDATE = 24 };

enum alert {            /* §6 */
    CLOSE_NOTIFY = 0, UNEXPECTED_MESSAGE = 10, BAD_RECORD_MAC = 20, RECORD_OVERFLOW = 22,
    ILLEGAL_PARAMETER = 47, DECODE_ERROR = 50, USER_CANCELED = 90,
};

struct suite {
    int               id;
    const EVP_CIPHER *(*cipher)(void);
    const EVP_MD     *(*hash)(void);
    uint8_t           key_bytes, secret_bytes;
};

static const struct suite suites[] = {
    { RECORD13_AES_128_GCM_SHA256, EVP_aes_128_gcm, EVP_sha256, 16, 32 },
    { RECORD13_AES_256_GCM_SHA384, EVP_aes_256_gcm, EVP_sha384, 32, 48 },
    { RECORD13_CHACHA20_POLY1305_SHA256, EVP_chacha20_poly1305, EVP_sha256, 32, 32 },
};
enum { SUITES = sizeof suites / sizeof suites[0] };

struct direction {
    uint64_t records;       /* under this key; also the nonce (§5.3) */
    uint8_t  secret[RECORD13_SECRET_BYTES_MAX];
    uint8_t  key[32];
    uint8_t  iv[IV_BYTES];
};

struct record13 {
    struct direction    in, out;
    const struct suite *suite;
    char               *part;           /* the start of a record, while the rest is under way */
    uint32_t            part_bytes;
    uint32_t            message_left;   /* of a handshake message that is skipped */
    uint8_t             message[5];     /* of one that is read, KeyUpdate at most */
    uint8_t             message_bytes;
    uint8_t             idle_records;
    uint8_t             ended;          /* enum err: what every later feed returns */
    bool                server, close_sent;
};

/* ---- keys (§7.1–7.3) ---- */

static const struct suite *suite_of(int id)
{
    for (int i = 0; i < SUITES; i++)
        if (suites[i].id == id)
            return &suites[i];
    return NULL;
}

size_t record13_secret_bytes(int id)
{
    const struct suite *s = suite_of(id);

    return s ? s->secret_bytes : 0;
}

/* HKDF-Expand-Label with an empty context; one HMAC, since no output is longer than the hash. */
static void expand_label(const struct suite *s, const uint8_t *secret, const char *label, uint8_t *out, size_t bytes)
{
    uint8_t  info[64], block[EVP_MAX_MD_SIZE];
    size_t   label_bytes = strlen(label), n = 0;
    unsigned block_bytes;

    info[n++] = 0;
    info[n++] = (uint8_t)bytes;
    info[n++] = (uint8_t)(6 + label_bytes);
    memcpy(info + n, "tls13 ", 6);
    memcpy(info + n + 6, label, label_bytes);
    n += 6 + label_bytes;
    info[n++] = 0;
    info[n++] = 1;      /* HKDF-Expand's counter (RFC 5869 §2.3) */
    if (!HMAC(s->hash(), secret, s->secret_bytes, info, n, block, &block_bytes) || block_bytes < bytes)
        abort();
    memcpy(out, block, bytes);
    mem_wipe(block, sizeof block);
}

static void derive(const struct suite *s, struct direction *d)
{
    d->records = 0;
    expand_label(s, d->secret, "key", d->key, s->key_bytes);
    expand_label(s, d->secret, "iv", d->iv, IV_BYTES);
}

static void next_key(const struct suite *s, struct direction *d)
{
    uint8_t next[RECORD13_SECRET_BYTES_MAX];

    expand_label(s, d->secret, "traffic upd", next, s->secret_bytes);
    memcpy(d->secret, next, s->secret_bytes);
    mem_wipe(next, sizeof next);
    derive(s, d);
}

/* ---- the thread's cipher contexts ---- */

static __thread struct shared_cipher {
    EVP_CIPHER_CTX         *ctx;
    const struct direction *keyed_for;
} shared_ciphers[SUITES][2];

/* A context with the key of `d` and the nonce of its next record. */
static EVP_CIPHER_CTX *cipher_for(const struct suite *s, struct direction *d, bool encrypt)
{
    struct shared_cipher *c = &shared_ciphers[s - suites][encrypt];
    bool                  rekey = c->keyed_for != d || d->records == 0;
    uint8_t               nonce[IV_BYTES];

    if (!c->ctx) {
        c->ctx = EVP_CIPHER_CTX_new();
        if (!c->ctx || !EVP_CipherInit_ex(c->ctx, s->cipher(), NULL, NULL, NULL, encrypt))
            abort();
    }
    memcpy(nonce, d->iv, IV_BYTES);
    for (int i = 0; i < 8; i++)
        nonce[IV_BYTES - 1 - i] ^= (uint8_t)(d->records >> (8 * i));
    if (!EVP_CipherInit_ex(c->ctx, NULL, NULL, rekey ? d->key : NULL, nonce, encrypt))
        abort();
    c->keyed_for = d;
    d->records++;
    return c->ctx;
}

static void cipher_forget(const struct direction *d)
{
    for (int i = 0; i < SUITES * 2; i++) {
        struct shared_cipher *c = &shared_ciphers[i / 2][i % 2];

        if (c->keyed_for != d)
            continue;
        EVP_CIPHER_CTX_free(c->ctx);    /* OpenSSL wipes the key */
        *c = (struct shared_cipher){ 0 };
    }
}

/* ---- birth and death ---- */

struct record13 *record13_new(int id, bool server, const uint8_t *client_secret, const uint8_t *server_secret)
{
    const struct suite *s = suite_of(id);
    struct record13    *r;

    if (!s)
        return NULL;
    r = NEW(struct record13);
    r->suite = s;
    r->server = server;
    memcpy(r->in.secret, server ? client_secret : server_secret, s->secret_bytes);
    memcpy(r->out.secret, server ? server_secret : client_secret, s->secret_bytes);
    derive(s, &r->in);
    derive(s, &r->out);
    return r;
}

void record13_free(struct record13 **rp)
{
    struct record13 *r = *rp;

    if (!r)
        return;
    cipher_forget(&r->in);
    cipher_forget(&r->out);
    free(r->part);
    mem_wipe(r, sizeof *r);
    free(r);
    *rp = NULL;
}

/* ---- out ---- */

void record13_seal(struct record13 *r, uint8_t type, struct str inner, size_t padding, struct buf *wire)
{
    static const uint8_t zeros[256];
    size_t               sealed = inner.len + 1 + padding + TAG_BYTES;
    uint8_t             *at = (uint8_t *)buf_reserve(wire, HEAD_BYTES + sealed);
    EVP_CIPHER_CTX      *ctx;
    int                  n, ok;

    assert(padding <= sizeof zeros);
    if (!at)
        return;         /* wire->overflow says it */
    ctx = cipher_for(r->suite, &r->out, true);
    at[0] = RECORD13_DATA;
    at[1] = at[2] = 3;
    at[3] = (uint8_t)(sealed >> 8);
    at[4] = (uint8_t)sealed;
    ok = EVP_EncryptUpdate(ctx, NULL, &n, at, HEAD_BYTES);
    at += HEAD_BYTES;
    if (inner.len)
        ok &= EVP_EncryptUpdate(ctx, at, &n, (const uint8_t *)inner.p, (int)inner.len);
    ok &= EVP_EncryptUpdate(ctx, at + inner.len, &n, &type, 1);
    if (padding)
        ok &= EVP_EncryptUpdate(ctx, at + inner.len + 1, &n, zeros, (int)padding);
    ok &= EVP_EncryptFinal_ex(ctx, at + sealed - TAG_BYTES, &n);
    ok &= EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, at + sealed - TAG_BYTES);
    if (ok != 1)
        abort();
    wire->len += HEAD_BYTES + sealed;
}

void record13_key_update(struct record13 *r, bool request, struct buf *wire)
{
    char message[] = { KEY_UPDATE, 0, 0, 1, (char)request };

    record13_seal(r, RECORD13_HANDSHAKE, str_make(message, sizeof message), 0, wire);
    next_key(r->suite, &r->out);
}

enum err record13_write(struct record13 *r, struct str plain, struct buf *wire)
{
    if (r->close_sent || (r->ended && r->ended != ERR_CLOSED))
        return ERR_CLOSED;
    while (plain.len) {
        size_t n = plain.len < RECORD13_PLAIN_BYTES_MAX ? plain.len : RECORD13_PLAIN_BYTES_MAX;

        if (r->out.records >= RECORDS_PER_KEY_MAX)
            record13_key_update(r, false, wire);
        record13_seal(r, RECORD13_DATA, str_make(plain.p, n), 0, wire);
        if (wire->overflow)
            return ERR_LIMIT;
        plain = str_make(plain.p + n, plain.len - n);
    }
    return OK;
}

static void put_alert(struct record13 *r, enum alert a, struct buf *wire)
{
    char alert[2] = { a == CLOSE_NOTIFY ? 1 : 2, (char)a };

    if (r->close_sent)
        return;
    r->close_sent = true;
    record13_seal(r, RECORD13_ALERT, str_make(alert, 2), 0, wire);
}

void record13_close(struct record13 *r, struct buf *wire) { put_alert(r, CLOSE_NOTIFY, wire); }

/* ---- in ---- */

static enum err refuse(struct record13 *r, enum alert a, struct buf *wire)
{
    put_alert(r, a, wire);
    return ERR_INVALID;
}

static enum err key_update(struct record13 *r, uint8_t requested, struct buf *wire)
{
    if (requested > 1)
        return refuse(r, ILLEGAL_PARAMETER, wire);
    if (++r->idle_records > RECORD13_IDLE_RECORDS_MAX)
        return refuse(r, UNEXPECTED_MESSAGE, wire);
    next_key(r->suite, &r->in);
    if (requested && !r->close_sent)
        record13_key_update(r, false, wire);
    return OK;
}

/* Handshake messages after the handshake (§4.6): KeyUpdate, and tickets, which a client of ours
 * does not use. They may be cut into records anywhere, but a key change ends its record (§5.1). */
static enum err take_messages(struct record13 *r, struct str in, struct buf *wire)
{
    if (in.len == 0)
        return refuse(r, UNEXPECTED_MESSAGE, wire);     /* §5.1 */
    while (in.len) {
        if (r->message_left) {
            size_t n = in.len < r->message_left ? in.len : r->message_left;

            r->message_left -= (uint32_t)n;
            in = str_make(in.p + n, in.len - n);
            continue;
        }
        r->message[r->message_bytes++] = (uint8_t)in.p[0];
        in = str_make(in.p + 1, in.len - 1);
        if (r->message_bytes == 4 && r->message[0] == NEW_SESSION_TICKET && !r->server) {
            r->message_left = (uint32_t)r->message[1] << 16 | (uint32_t)r->message[2] << 8 | r->message[3];
            r->message_bytes = 0;
            if (r->message_left > 65536 + 512)
                return refuse(r, DECODE_ERROR, wire);
            if (++r->idle_records > RECORD13_IDLE_RECORDS_MAX)
                return refuse(r, UNEXPECTED_MESSAGE, wire);
        } else if (r->message_bytes == 4 && r->message[0] != KEY_UPDATE) {
            return refuse(r, UNEXPECTED_MESSAGE, wire);
        } else if (r->message_bytes == 4 && memcmp(r->message + 1, "\0\0\1", 3) != 0) {
            return refuse(r, DECODE_ERROR, wire);
        } else if (r->message_bytes == 5) {
            r->message_bytes = 0;
            if (in.len)
                return refuse(r, UNEXPECTED_MESSAGE, wire);
            return key_update(r, r->message[4], wire);
        }
    }
    return OK;
}

static enum err take_alert(struct record13 *r, struct str in, struct buf *wire)
{
    if (in.len != 2)
        return refuse(r, DECODE_ERROR, wire);
    if (in.p[1] == CLOSE_NOTIFY)
        return ERR_CLOSED;
    if (in.p[1] == USER_CANCELED)       /* close_notify follows (§6.1) */
        return ++r->idle_records > RECORD13_IDLE_RECORDS_MAX ? refuse(r, UNEXPECTED_MESSAGE, wire) : OK;
    r->close_sent = true;               /* a fatal alert is not answered (§6.2) */
    return ERR_INVALID;
}

/* The inner record, without its padding, lies at the end of `plain`; what is not data leaves it again. */
static enum err take_inner(struct record13 *r, struct str inner, struct buf *plain, struct buf *wire)
{
    uint8_t type;

    while (inner.len && inner.p[inner.len - 1] == 0)
        inner.len--;
    if (inner.len == 0)
        return refuse(r, UNEXPECTED_MESSAGE, wire);
    type = (uint8_t)inner.p[--inner.len];
    if (type != RECORD13_HANDSHAKE && (r->message_bytes || r->message_left))
        return refuse(r, UNEXPECTED_MESSAGE, wire);     /* not between the parts of a message (§5.1) */
    switch (type) {
    case RECORD13_DATA:
        if (inner.len == 0)
            return ++r->idle_records > RECORD13_IDLE_RECORDS_MAX ? refuse(r, UNEXPECTED_MESSAGE, wire) : OK;
        r->idle_records = 0;
        plain->len += inner.len;
        return OK;
    case RECORD13_HANDSHAKE:
        return take_messages(r, inner, wire);
    case RECORD13_ALERT:
        return take_alert(r, inner, wire);
    default:
        return refuse(r, UNEXPECTED_MESSAGE, wire);
    }
}

/* One whole record. */
static enum err take_record(struct record13 *r, const uint8_t *rec, size_t sealed, struct buf *plain, struct buf *wire)
{
    size_t          inner = sealed - TAG_BYTES;
    uint8_t        *at = (uint8_t *)buf_reserve(plain, inner);
    EVP_CIPHER_CTX *ctx;
    uint8_t         tag[TAG_BYTES], rest[TAG_BYTES];
    int             n;

    if (!at)
        return ERR_LIMIT;
    ctx = cipher_for(r->suite, &r->in, false);
    memcpy(tag, rec + HEAD_BYTES + inner, TAG_BYTES);
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) != 1 ||
        EVP_DecryptUpdate(ctx, NULL, &n, rec, HEAD_BYTES) != 1 ||
        EVP_DecryptUpdate(ctx, at, &n, rec + HEAD_BYTES, (int)inner) != 1 ||
        EVP_DecryptFinal_ex(ctx, rest, &n) != 1)
        return refuse(r, BAD_RECORD_MAC, wire);
    if (inner > INNER_BYTES_MAX)
        return refuse(r, RECORD_OVERFLOW, wire);
    return take_inner(r, str_make((const char *)at, inner), plain, wire);
}

/* Takes the records that are whole from the front of *in. */
static enum err take_records(struct record13 *r, struct str *in, struct buf *plain, struct buf *wire)
{
    while (in->len >= HEAD_BYTES) {
        const uint8_t *rec = (const uint8_t *)in->p;
        size_t         sealed = (size_t)rec[3] << 8 | rec[4];
        enum err       e;

        if (rec[0] != RECORD13_DATA)        /* all else was for the handshake (§5) */
            return refuse(r, UNEXPECTED_MESSAGE, wire);
        if (sealed > SEALED_BYTES_MAX)
            return refuse(r, RECORD_OVERFLOW, wire);
        if (sealed <= TAG_BYTES)
            return refuse(r, DECODE_ERROR, wire);
        if (in->len < HEAD_BYTES + sealed)
            return OK;
        e = take_record(r, rec, sealed, plain, wire);
        if (e)
            return e;
        *in = str_make(in->p + HEAD_BYTES + sealed, in->len - HEAD_BYTES - sealed);
    }
    return OK;
}

/* How many bytes are missing from the part that is kept, as far as it tells. */
static size_t part_missing(const struct record13 *r)
{
    const uint8_t *p = (const uint8_t *)r->part;

    if (r->part_bytes < HEAD_BYTES)
        return HEAD_BYTES - r->part_bytes;
    return HEAD_BYTES + ((size_t)p[3] << 8 | p[4]) - r->part_bytes;
}

static void part_add(struct record13 *r, struct str *in, size_t bytes)
{
    r->part = mem_resize(r->part, r->part_bytes + bytes);
    memcpy(r->part + r->part_bytes, in->p, bytes);
    r->part_bytes += (uint32_t)bytes;
    *in = str_make(in->p + bytes, in->len - bytes);
}

/* Completes the record that is kept, first its head and then the rest. */
static enum err finish_part(struct record13 *r, struct str *in, struct buf *plain, struct buf *wire)
{
    enum err e = OK;

    while (r->part_bytes && in->len && !e) {
        size_t     missing = part_missing(r);
        struct str whole;

        part_add(r, in, in->len < missing ? in->len : missing);
        whole = str_make(r->part, r->part_bytes);
        e = take_records(r, &whole, plain, wire);
        if (whole.len)
            continue;
        free(r->part);
        r->part = NULL;
        r->part_bytes = 0;
    }
    return e;
}

enum err record13_feed(struct record13 *r, struct str in, struct buf *plain, struct buf *wire)
{
    enum err e = (enum err)r->ended;

    if (!e)
        e = finish_part(r, &in, plain, wire);
    if (!e)
        e = take_records(r, &in, plain, wire);
    if (!e && in.len)
        part_add(r, &in, in.len);
    r->ended = (uint8_t)e;
    return e;
}
