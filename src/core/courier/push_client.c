/* push_client.c: push.h for those who ask: orders and subscriptions, written, read and judged.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/push.h"
#include <stdlib.h>
#include "base/mem.h"
#include "courier/courier.h"
#include "crypto/webpush.h"
#include "wire/base64.h"
#include "wire/json.h"
#include "wire/uri.h"

/* ---- endpoints ---- */

static bool is_endpoint(struct str text, bool http_too, struct uri *u)
{
    if (text.len == 0 || text.len > PUSH_ENDPOINT_BYTES_MAX || uri_parse(text, u) != OK || u->host.len == 0)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.p[i] <= ' ' || (unsigned char)text.p[i] >= 0x7f)
            return false;
    return str_eq_nocase(u->scheme, STR("https")) || (http_too && str_eq_nocase(u->scheme, STR("http")));
}

enum err push_origin_put(struct buf *b, struct str endpoint, bool http_too)
{
    struct uri u;
    bool plain;

    if (!is_endpoint(endpoint, http_too, &u))
        return ERR_INVALID;
    plain = str_eq_nocase(u.scheme, STR("http"));
    buf_put_z(b, plain ? "http://" : "https://");
    for (size_t i = 0; i < u.host.len; i++)
        buf_put_c(b, u.host.p[i] >= 'A' && u.host.p[i] <= 'Z' ? (char)(u.host.p[i] | 0x20) : u.host.p[i]);
    if (u.port && u.port != (plain ? 80 : 443))
        buf_printf(b, ":%d", u.port);
    return OK;
}

/* ---- orders ---- */

void push_order_write(struct buf *b, const struct push_order *o)
{
    codec_begin(b, COURIER_PAYLOAD_VERSION);
    codec_put_i64(b, o->registration);
    codec_put_i64(b, o->at);
    codec_put_str(b, o->endpoint);
    codec_put_bytes(b, o->browser);
    codec_put_bytes(b, o->auth);
    codec_put_str(b, o->topic);
    codec_put_str(b, o->payload);
    codec_put_i64(b, o->urgency);
    codec_put_i64(b, o->ttl_s);
}

static bool is_topic(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.p[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
              c == '_'))
            return false;
    }
    return s.len > 0;
}

enum err push_order_read(struct codec_reader *r, struct push_order *o, bool http_too)
{
    struct uri u;

    o->registration = codec_i64(r);
    o->at = codec_i64(r);
    o->endpoint = codec_str(r, PUSH_ENDPOINT_BYTES_MAX);
    o->browser = codec_bytes(r, WEBPUSH_PUBLIC_BYTES);
    o->auth = codec_bytes(r, WEBPUSH_AUTH_BYTES);
    o->topic = codec_str(r, PUSH_TOPIC_BYTES_MAX);
    o->payload = codec_str(r, PUSH_PAYLOAD_BYTES_MAX);
    o->urgency = codec_i64(r);
    o->ttl_s = codec_i64(r);
    if (!codec_ok(r) || !is_endpoint(o->endpoint, http_too, &u) || !webpush_is_public(o->browser) ||
        o->auth.len != WEBPUSH_AUTH_BYTES || !is_topic(o->topic) || !o->payload.p ||
        o->urgency < PUSH_VERY_LOW || o->urgency > PUSH_HIGH || o->ttl_s < 0 || o->ttl_s > INT32_MAX)
        return ERR_INVALID;
    return OK;
}

/* ---- subscriptions ---- */

/* Some browsers' code pads, and some writes the other alphabet. */
static enum err key_decode(struct arena *a, struct str text, struct str *out)
{
    struct str s = arena_str(a, text);

    while (s.len && s.p[s.len - 1] == '=')
        s.len--;
    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] == '+' || s.p[i] == '/')
            ((char *)s.p)[i] = s.p[i] == '+' ? '-' : '_';
    return base64url_decode(a, s, out);
}

enum err push_subscription_check(struct arena *a, struct str endpoint, struct str p256dh, struct str auth,
                                 struct push_subscription *out)
{
    struct uri u;

    /* http is told at the time of sending whether it will do (courier.push_private) */
    if (!is_endpoint(endpoint, true, &u) || p256dh.len > 100 || auth.len > 100 ||
        key_decode(a, p256dh, &out->browser) != OK || key_decode(a, auth, &out->auth) != OK ||
        !webpush_is_public(out->browser) || out->auth.len != WEBPUSH_AUTH_BYTES)
        return ERR_INVALID;
    out->endpoint = arena_str(a, endpoint);
    return OK;
}

enum err push_subscription_read(struct arena *a, struct str json, struct push_subscription *out)
{
    json_t *root;
    const json_t *keys;
    enum err e = json_read(a, json, 2 * PUSH_ENDPOINT_BYTES_MAX, &root, NULL);

    if (e)
        return ERR_INVALID;
    keys = json_object_get(root, "keys");
    e = push_subscription_check(a, json_get_str(root, "endpoint"), json_get_str(keys, "p256dh"),
                                json_get_str(keys, "auth"), out);
    json_decref(root);
    return e;
}

/* ---- over the bus ---- */

struct push_ask {
    push_done_fn *done;
    push_key_fn *key;
    void *arg;
};

static void send_replied(void *arg, enum err e, struct str payload)
{
    struct push_ask q = *(struct push_ask *)arg;

    (void)payload;
    free(arg);
    q.done(q.arg, e);
}

static void key_replied(void *arg, enum err e, struct str payload)
{
    struct push_ask q = *(struct push_ask *)arg;
    struct codec_reader r = codec_open(payload, COURIER_PAYLOAD_VERSION);
    struct str key = e ? STR_NULL : codec_bytes(&r, WEBPUSH_PUBLIC_BYTES);
    struct str private = e ? STR_NULL : codec_bytes(&r, WEBPUSH_PRIVATE_BYTES);

    free(arg);
    if (!e && (!codec_ok(&r) || key.len != WEBPUSH_PUBLIC_BYTES || private.len != WEBPUSH_PRIVATE_BYTES))
        e = ERR_INVALID;
    q.key(q.arg, e, key, private);
}

static enum err ask(struct bus *b, const char *subject, struct buf *payload, bus_reply_fn *replied,
                    struct push_ask ask)
{
    struct push_ask *q = mem_copy(&ask, sizeof ask);
    enum err e = bus_ask(b, subject, buf_str(payload), PUSH_TIMEOUT_MS, replied, q);

    buf_done(payload);
    if (e)
        free(q);
    return e;
}

enum err push_send(struct bus *b, const struct push_order *o, push_done_fn *fn, void *arg)
{
    struct buf payload;

    buf_init(&payload, BUS_PAYLOAD_BYTES_MAX);
    push_order_write(&payload, o);
    return ask(b, "courier.push", &payload, send_replied, (struct push_ask){.done = fn, .arg = arg});
}

enum err push_key_ask(struct bus *b, struct str private_bytes, push_key_fn *fn, void *arg)
{
    struct buf payload;

    buf_init(&payload, BUS_PAYLOAD_BYTES_MAX);
    codec_begin(&payload, COURIER_PAYLOAD_VERSION);
    codec_put_bytes(&payload, private_bytes.p ? private_bytes : STR(""));
    return ask(b, "courier.push.key", &payload, key_replied, (struct push_ask){.key = fn, .arg = arg});
}
