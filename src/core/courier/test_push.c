/* test_push.c: what a push order and a browser's subscription must be.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <string.h>
#include "base/test.h"
#include "courier/courier.h"
#include "courier/push.h"
#include "wire/base64.h"

#define P256DH "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
#define AUTH "BTBZMqHH6r4Tts7J_aSIgg"

static struct str unb64(struct arena *a, const char *text)
{
    struct str out = STR_NULL;

    base64url_decode(a, str_of(text), &out);
    return out;
}

static enum err round_trip(const struct push_order *in, struct push_order *out, struct buf *b, bool http_too)
{
    struct codec_reader r;

    buf_clear(b);
    push_order_write(b, in);
    r = codec_open(buf_str(b), COURIER_PAYLOAD_VERSION);
    return push_order_read(&r, out, http_too);
}

static void orders_are_judged(struct test *t)
{
    static char big[PUSH_PAYLOAD_BYTES_MAX + 1];
    struct arena a;
    struct buf b;
    struct push_order good, o, out;

    arena_init(&a);
    buf_init(&b, 0);
    good = (struct push_order){.registration = 7,
                               .at = 8,
                               .endpoint = STR("https://push.example/x"),
                               .browser = unb64(&a, P256DH),
                               .auth = unb64(&a, AUTH),
                               .topic = STR("message"),
                               .payload = STR("{}"),
                               .urgency = PUSH_HIGH,
                               .ttl_s = 60};
    CHECK_OK(t, round_trip(&good, &out, &b, false));
    CHECK_INT(t, 7, out.registration);
    CHECK_INT(t, 60, out.ttl_s);
    CHECK_STR(t, "https://push.example/x", out.endpoint);
    o = good, o.endpoint = STR("http://push.example/x");
    CHECK_INT(t, ERR_INVALID, round_trip(&o, &out, &b, false));
    CHECK_OK(t, round_trip(&o, &out, &b, true));
    o = good, o.topic = STR("no topic");
    CHECK_INT(t, ERR_INVALID, round_trip(&o, &out, &b, false));
    o = good, o.topic = STR("");
    CHECK_INT(t, ERR_INVALID, round_trip(&o, &out, &b, false));
    o = good, o.urgency = PUSH_HIGH + 1;
    CHECK_INT(t, ERR_INVALID, round_trip(&o, &out, &b, false));
    o = good, o.ttl_s = -1;
    CHECK_INT(t, ERR_INVALID, round_trip(&o, &out, &b, false));
    o = good, o.auth = STR("short");
    CHECK_INT(t, ERR_INVALID, round_trip(&o, &out, &b, false));
    o = good, o.browser = good.auth;
    CHECK_INT(t, ERR_INVALID, round_trip(&o, &out, &b, false));
    o = good, o.payload = STR_NULL;
    CHECK_INT(t, ERR_INVALID, round_trip(&o, &out, &b, false));
    memset(big, 'x', sizeof big);
    o = good, o.payload = str_make(big, sizeof big);
    CHECK_INT(t, ERR_INVALID, round_trip(&o, &out, &b, false));
    buf_done(&b);
    arena_done(&a);
}

static void origins(struct test *t)
{
    static const struct {
        const char *endpoint, *origin;
    } rows[] = {
        {"https://push.example/x/y?z", "https://push.example"},
        {"https://Push.Example:443/x", "https://push.example"},
        {"https://push.example:8443", "https://push.example:8443"},
        {"https://[2001:db8::1]/x", "https://[2001:db8::1]"},
        {"ftp://push.example/x", NULL},
        {"https:///x", NULL},
        {"push.example", NULL},
        {"", NULL},
        {"https://user@push.example/x", NULL},
        {"https://push.example/ x", NULL},
        {"https://push.example/\xc3\xa9", NULL},
    };
    struct buf b;

    buf_init(&b, 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        buf_clear(&b);
        CHECK_INT(t, rows[i].origin ? OK : ERR_INVALID, push_origin_put(&b, str_of(rows[i].endpoint), false));
        if (rows[i].origin)
            CHECK_STR(t, rows[i].origin, buf_str(&b));
    }
    buf_done(&b);
}

static void subscriptions_as_browsers_write_them(struct test *t)
{
    static const char *const good[] = {
        "{\"endpoint\":\"https://push.example/abc\",\"expirationTime\":null,\"keys\":{\"p256dh\":\"" P256DH
        "\",\"auth\":\"" AUTH "\"}}",
        "{\"endpoint\":\"https://push.example/abc\",\"keys\":{\"auth\":\"BTBZMqHH6r4Tts7J/"
        "aSIgg==\",\"p256dh\":\"" P256DH "=\"}}",
    };
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "null",
        "{\"endpoint\":\"https://push.example/abc\"}",
        "{\"endpoint\":5,\"keys\":{}}",
        "{\"endpoint\":\"https://push.example/abc\",\"keys\":[\"" P256DH "\"]}",
        "{\"endpoint\":\"https://push.example/abc\",\"keys\":{\"p256dh\":\"AAAA\",\"auth\":\"" AUTH "\"}}",
        "{\"endpoint\":\"https://push.example/abc\",\"keys\":{\"p256dh\":\"" P256DH "\",\"auth\":\"AAAA\"}}",
        "{\"endpoint\":\"javascript:alert(1)\",\"keys\":{\"p256dh\":\"" P256DH "\",\"auth\":\"" AUTH "\"}}",
    };
    struct push_subscription s;
    struct arena a;

    arena_init(&a);
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        CHECK_OK(t, push_subscription_read(&a, str_of(good[i]), &s));
        CHECK_STR(t, "https://push.example/abc", s.endpoint);
        CHECK(t, str_eq(unb64(&a, P256DH), s.browser) && str_eq(unb64(&a, AUTH), s.auth));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!CHECK_INT(t, ERR_INVALID, push_subscription_read(&a, str_of(bad[i]), &s)))
            printf("  %s\n", bad[i]);
    arena_done(&a);
}

TEST_MAIN(TEST(orders_are_judged), TEST(origins), TEST(subscriptions_as_browsers_write_them))
