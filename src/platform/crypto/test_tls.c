/* test_tls.c: TLS against a stranger, which is plain OpenSSL with memory buffers: handshakes,
 * channel bindings, key updates, and what is refused; each with OpenSSL's and with our own record layer.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/test.h"
#include "crypto/tls.h"

/* ---- a server of ours and a client that is not ---- */

struct town {
    char            cert[128], key[128];
    struct tls_ctx *ctx;
    struct tls     *server;
    SSL_CTX        *stranger_ctx;
    SSL            *stranger;
    BIO            *to_stranger, *from_stranger;
    struct buf      plain, wire;
    enum err        e;              /* the server's last */
};

static struct town town_new(struct test *t, int version_max, bool slim)
{
    struct town         w = { 0 };
    struct tls_settings ts = { .certificate_file = w.cert, .key_file = w.key, .alpn = "xmpp-client" };

    snprintf(w.cert, sizeof w.cert, "%s/cert.pem", test_dir(t));
    snprintf(w.key, sizeof w.key, "%s/key.pem", test_dir(t));
    tls_self_signed("town.example, 127.0.0.1", w.cert, w.key);
    CHECK_OK(t, tls_ctx_new(&ts, &w.ctx, NULL, NULL));
    tls_slim_set(slim);
    w.server = tls_new(w.ctx, true, STR_NULL);
    tls_slim_set(false);
    w.stranger_ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(w.stranger_ctx, version_max);
    SSL_CTX_set_min_proto_version(w.stranger_ctx, 0);
    w.stranger = SSL_new(w.stranger_ctx);
    w.to_stranger = BIO_new(BIO_s_mem());
    w.from_stranger = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(w.to_stranger, -1);
    SSL_set_bio(w.stranger, w.to_stranger, w.from_stranger);
    SSL_set_connect_state(w.stranger);
    SSL_set_tlsext_host_name(w.stranger, "town.example");
    SSL_set_alpn_protos(w.stranger, (const uint8_t *)"\x0bxmpp-client", 12);
    return w;
}

static void town_free(struct town *w)
{
    tls_free(&w->server);
    tls_ctx_unref(&w->ctx);
    SSL_free(w->stranger);
    SSL_CTX_free(w->stranger_ctx);
    buf_done(&w->plain);
    buf_done(&w->wire);
}

/* Carries what the stranger has said to the server, `step` bytes at a time, and the answer back. */
static void carry(struct town *w, size_t step)
{
    char  *p;
    size_t n = (size_t)BIO_get_mem_data(w->from_stranger, &p);
    char  *copy = malloc(n + 1);

    memcpy(copy, p, n);
    BIO_reset(w->from_stranger);
    for (size_t at = 0; at < n; at += step)
        w->e = tls_feed(w->server, str_make(copy + at, n - at < step ? n - at : step), &w->plain, &w->wire);
    free(copy);
    if (w->wire.len)
        BIO_write(w->to_stranger, w->wire.p, (int)w->wire.len);
    buf_done(&w->wire);
}

static bool shake_hands(struct town *w, size_t step)
{
    for (int i = 0; i < 10 && !(SSL_is_init_finished(w->stranger) && tls_ready(w->server)); i++) {
        SSL_do_handshake(w->stranger);
        carry(w, step);
    }
    return SSL_is_init_finished(w->stranger) && tls_ready(w->server);
}

static bool stranger_hears(struct town *w, const char *text)
{
    char got[100];
    int  n;

    tls_write(w->server, str_of(text), &w->wire);
    carry(w, 1);
    n = SSL_read(w->stranger, got, sizeof got);
    return n == (int)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

static bool server_hears(struct town *w, const char *text)
{
    bool same;

    buf_done(&w->plain);
    SSL_write(w->stranger, text, (int)strlen(text));
    carry(w, 7);
    same = str_is(buf_str(&w->plain), text);
    buf_done(&w->plain);
    return same;
}

/* ---- tests ---- */

static void talks_with_a_stranger(struct test *t)
{
    static const struct { int version; bool slim; size_t step; const char *name; } cases[] = {
        { TLS1_2_VERSION, false, 1 << 20, "TLSv1.2" }, { TLS1_2_VERSION, true, 1, "TLSv1.2" },
        { TLS1_3_VERSION, false, 1 << 20, "TLSv1.3" }, { TLS1_3_VERSION, false, 1, "TLSv1.3" },
        { TLS1_3_VERSION, true, 1 << 20, "TLSv1.3" },  { TLS1_3_VERSION, true, 1, "TLSv1.3" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct town w = town_new(t, cases[i].version, cases[i].slim);
        uint8_t     mine[32], theirs[32], point[TLS_BINDING_BYTES_MAX], want[EVP_MAX_MD_SIZE];
        size_t      point_bytes = 0;
        unsigned    want_bytes = 0;
        X509       *x;

        CHECK(t, shake_hands(&w, cases[i].step));
        CHECK(t, stranger_hears(&w, "welcome") && server_hears(&w, "thank you"));
        CHECK_STR(t, cases[i].name, str_of(tls_version(w.server)));
        CHECK_STR(t, SSL_get_cipher(w.stranger), str_of(tls_cipher(w.server)));
        CHECK_STR(t, "xmpp-client", tls_alpn(w.server));
        CHECK_STR(t, "town.example", tls_sni(w.server));

        CHECK_OK(t, tls_exporter(w.server, mine));
        SSL_export_keying_material(w.stranger, theirs, 32, "EXPORTER-Channel-Binding", 24, (const uint8_t *)"", 0, 1);
        CHECK(t, memcmp(mine, theirs, 32) == 0);
        x = SSL_get1_peer_certificate(w.stranger);
        X509_digest(x, EVP_sha256(), want, &want_bytes);
        X509_free(x);
        CHECK_OK(t, tls_server_end_point(w.server, point, &point_bytes));
        CHECK(t, point_bytes == want_bytes && memcmp(point, want, point_bytes) == 0);

        tls_close(w.server, &w.wire);
        carry(&w, 1);
        CHECK_INT(t, 0, SSL_read(w.stranger, mine, 1));
        CHECK(t, SSL_get_shutdown(w.stranger) & SSL_RECEIVED_SHUTDOWN);
        SSL_shutdown(w.stranger);
        carry(&w, 1);
        CHECK_INT(t, ERR_CLOSED, w.e);
        town_free(&w);
    }
}

static void every_suite_carries_large_data(struct test *t)
{
    static const char *const suites[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" };
    enum { BYTES = 200000 };
    char *data = malloc(BYTES), *got = malloc(BYTES);

    for (int i = 0; i < BYTES; i++)
        data[i] = (char)(i * 7);
    for (int i = 0; i < 6; i++) {
        struct town w = town_new(t, TLS1_3_VERSION, i % 2);
        int         n, have = 0;

        SSL_set_ciphersuites(w.stranger, suites[i / 2]);
        CHECK(t, shake_hands(&w, 1000));
        CHECK_STR(t, suites[i / 2], str_of(tls_cipher(w.server)));
        SSL_write(w.stranger, data, BYTES);
        carry(&w, 1000);
        CHECK(t, w.plain.len == BYTES && memcmp(w.plain.p, data, BYTES) == 0);
        CHECK_OK(t, tls_write(w.server, str_make(data, BYTES), &w.wire));
        carry(&w, 1);
        while ((n = SSL_read(w.stranger, got + have, BYTES - have)) > 0)
            have += n;
        CHECK(t, have == BYTES && memcmp(got, data, BYTES) == 0);
        town_free(&w);
    }
    free(data);
    free(got);
}

static void keys_change_on_both_sides(struct test *t)
{
    for (int slim = 0; slim < 2; slim++) {
        struct town w = town_new(t, TLS1_3_VERSION, slim);

        CHECK(t, shake_hands(&w, 1 << 20));
        for (int i = 0; i < 5; i++) {
            SSL_key_update(w.stranger, i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
            CHECK(t, server_hears(&w, "with a new key"));
            CHECK(t, stranger_hears(&w, "so am I"));
        }
        town_free(&w);
    }
}

static void a_flipped_bit_gets_an_alert(struct test *t)
{
    for (int slim = 0; slim < 2; slim++) {
        struct town w = town_new(t, TLS1_3_VERSION, slim);
        char       *p, byte;

        CHECK(t, shake_hands(&w, 1 << 20));
        SSL_write(w.stranger, "hello", 5);
        BIO_get_mem_data(w.from_stranger, &p);
        p[8] ^= 1;
        carry(&w, 1 << 20);
        CHECK_INT(t, ERR_INVALID, w.e);
        CHECK_INT(t, 0, w.plain.len);
        ERR_clear_error();
        CHECK(t, SSL_read(w.stranger, &byte, 1) <= 0);
        CHECK_INT(t, SSL_R_SSLV3_ALERT_BAD_RECORD_MAC, ERR_GET_REASON(ERR_peek_error()));
        CHECK_INT(t, ERR_INVALID, tls_feed(w.server, STR("more"), &w.plain, &w.wire));
        town_free(&w);
    }
}

static void nonsense_gets_an_alert(struct test *t)
{
    static const char *const cases[] = {
        "<stream:stream to='town.example'>", "GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00",
        "\x16\x03\x01\xff\xff\x01\x00\x00\x01\x00",
    };
    static const size_t bytes[] = { 33, 18, 10, 10 };

    for (int i = 0; i < 8; i++) {
        struct town w = town_new(t, TLS1_3_VERSION, i / 4);

        CHECK_INT(t, ERR_INVALID, tls_feed(w.server, str_make(cases[i % 4], bytes[i % 4]), &w.plain, &w.wire));
        CHECK(t, !tls_ready(w.server) && w.plain.len == 0);
        if (i % 4 >= 2)
            CHECK(t, w.wire.len == 7 && w.wire.p[0] == 21);
        town_free(&w);
    }
}

static void old_and_weak_offers_are_refused(struct test *t)
{
    struct town w = town_new(t, TLS1_1_VERSION, false);

    SSL_set_security_level(w.stranger, 0);
    SSL_set_cipher_list(w.stranger, "ALL:@SECLEVEL=0");
    CHECK(t, !shake_hands(&w, 1 << 20));
    CHECK_INT(t, ERR_INVALID, w.e);
    town_free(&w);
    w = town_new(t, TLS1_2_VERSION, false);
    SSL_set_cipher_list(w.stranger, "ECDHE-ECDSA-AES128-SHA256");       /* CBC */
    CHECK(t, !shake_hands(&w, 1 << 20));
    CHECK_INT(t, ERR_INVALID, w.e);
    town_free(&w);
    w = town_new(t, TLS1_3_VERSION, false);
    SSL_set_alpn_protos(w.stranger, (const uint8_t *)"\x04smtp", 5);
    CHECK(t, !shake_hands(&w, 1 << 20));
    town_free(&w);
}

/* ---- our own client ---- */

static enum err connect_to(struct test *t, const char *name, bool verify, bool trusted, bool slim)
{
    struct town         w = town_new(t, TLS1_3_VERSION, slim);
    struct tls_settings ts = { .verify = verify, .ca_file = trusted ? w.cert : NULL, .tls13_only = true };
    struct tls_ctx     *ctx;
    struct tls         *client;
    struct buf          back = { 0 }, heard = { 0 };
    enum err            e, server_e = OK;

    CHECK_OK(t, tls_ctx_new(&ts, &ctx, NULL, NULL));
    tls_slim_set(slim);
    client = tls_new(ctx, false, str_of(name));
    tls_slim_set(false);
    e = tls_start(client, &back);
    for (int i = 0; i < 5 && !e && !server_e && !(tls_ready(client) && tls_ready(w.server)); i++) {
        server_e = tls_feed(w.server, buf_str(&back), &w.plain, &w.wire);
        buf_clear(&back);
        e = tls_feed(client, buf_str(&w.wire), &heard, &back);
        buf_clear(&w.wire);
    }
    if (!e && tls_ready(client) && tls_ready(w.server)) {
        uint8_t a[32], b[32];

        CHECK_OK(t, tls_exporter(client, a));
        CHECK_OK(t, tls_exporter(w.server, b));
        CHECK(t, memcmp(a, b, 32) == 0);
        tls_write(w.server, STR("welcome"), &w.wire);
        CHECK_OK(t, tls_feed(client, buf_str(&w.wire), &heard, &back));
        CHECK_STR(t, "welcome", buf_str(&heard));
        buf_clear(&back);
        tls_close(client, &back);
        CHECK_INT(t, ERR_CLOSED, tls_feed(w.server, buf_str(&back), &w.plain, &w.wire));
    }
    tls_free(&client);
    tls_ctx_unref(&ctx);
    buf_done(&back);
    buf_done(&heard);
    town_free(&w);
    return e;
}

static void a_client_checks_certificate_and_name(struct test *t)
{
    for (int slim = 0; slim < 2; slim++) {
        CHECK_INT(t, OK, connect_to(t, "town.example", true, true, slim));
        CHECK_INT(t, OK, connect_to(t, "127.0.0.1", true, true, slim));
        CHECK_INT(t, ERR_UNAUTHORIZED, connect_to(t, "other.example", true, true, slim));
        CHECK_INT(t, ERR_UNAUTHORIZED, connect_to(t, "127.0.0.2", true, true, slim));
        CHECK_INT(t, ERR_UNAUTHORIZED, connect_to(t, "town.example", true, false, slim));
        CHECK_INT(t, OK, connect_to(t, "other.example", false, false, slim));
        CHECK_INT(t, ERR_INVALID, connect_to(t, "", true, true, slim));
    }
}

/* Two servers: each shows its certificate and looks at the other's. */
static void meet(struct test *t, const char *cert, const char *key, const char *ca, struct tls_ctx **ctx, struct tls **a, struct tls **b)
{
    struct tls_settings ts = { .certificate_file = cert, .key_file = key, .ca_file = ca, .look = true, .alpn = "xmpp-server" };
    struct buf          plain, to[2];

    buf_init(&plain, 0);
    buf_init(&to[0], 0);
    buf_init(&to[1], 0);
    CHECK_OK(t, tls_ctx_new(&ts, ctx, NULL, NULL));
    *a = tls_new(*ctx, false, STR("town.example"));
    *b = tls_new(*ctx, true, STR_NULL);
    CHECK_OK(t, tls_start(*a, &to[1]));
    for (int i = 0; i < 4; i++) {
        CHECK_OK(t, tls_feed(*b, buf_str(&to[1]), &plain, &to[0]));
        buf_clear(&to[1]);
        CHECK_OK(t, tls_feed(*a, buf_str(&to[0]), &plain, &to[1]));
        buf_clear(&to[0]);
    }
    CHECK(t, tls_ready(*a) && tls_ready(*b));
    CHECK_STR(t, "xmpp-server", tls_alpn(*b));
    buf_done(&plain);
    buf_done(&to[0]);
    buf_done(&to[1]);
}

static void who_shows_a_certificate_proves_its_names(struct test *t)
{
    char            cert[128], key[128], other[128], other_key[128];
    struct tls_ctx *ctx;
    struct tls     *a, *b;

    snprintf(cert, sizeof cert, "%s/look.pem", test_dir(t));
    snprintf(key, sizeof key, "%s/look.key", test_dir(t));
    snprintf(other, sizeof other, "%s/look2.pem", test_dir(t));
    snprintf(other_key, sizeof other_key, "%s/look2.key", test_dir(t));
    CHECK_OK(t, tls_self_signed("town.example, *.town.example", cert, key));
    CHECK_OK(t, tls_self_signed("town.example", other, other_key));
    for (int trusted = 0; trusted < 2; trusted++) {
        meet(t, cert, key, trusted ? cert : other, &ctx, &a, &b);
        CHECK(t, tls_peer_proves(a, STR("town.example"), STR("town.example"), "xmpp-server") == trusted);
        CHECK(t, tls_peer_proves(b, STR("town.example"), STR("town.example"), "xmpp-server") == trusted);
        CHECK(t, tls_peer_proves(b, STR("rooms.town.example"), STR("rooms.town.example"), "xmpp-server") == trusted);
        CHECK(t, !tls_peer_proves(b, STR("a.b.town.example"), STR("a.b.town.example"), "xmpp-server"));
        CHECK(t, !tls_peer_proves(b, STR("other.example"), STR("other.example"), "xmpp-server"));
        CHECK(t, !tls_peer_proves(b, STR(""), STR(""), "xmpp-server"));
        tls_free(&a);
        tls_free(&b);
        tls_ctx_unref(&ctx);
    }
}

static void files_that_do_not_fit_are_named(struct test *t)
{
    struct town         w = town_new(t, TLS1_3_VERSION, false);
    char                other_cert[128], other_key[128];
    struct tls_settings ts = { .certificate_file = w.cert, .key_file = other_key };
    struct tls_ctx     *c = NULL;
    struct arena        a;
    struct str          why = STR_NULL;

    arena_init(&a);
    snprintf(other_cert, sizeof other_cert, "%s/other.pem", test_dir(t));
    snprintf(other_key, sizeof other_key, "%s/other.key", test_dir(t));
    CHECK_INT(t, ERR_INVALID, tls_ctx_new(&ts, &c, &a, &why));
    CHECK(t, c == NULL && memmem(why.p, why.len, "other.key", 9) && memmem(why.p, why.len, "No such file", 12));
    CHECK_OK(t, tls_self_signed("other.example", other_cert, other_key));
    CHECK_INT(t, ERR_INVALID, tls_ctx_new(&ts, &c, &a, &why));
    CHECK(t, c == NULL && memmem(why.p, why.len, "other.key", 9) != NULL);
    ts.certificate_file = other_key;
    CHECK_INT(t, ERR_INVALID, tls_ctx_new(&ts, &c, &a, &why));
    CHECK_INT(t, ERR_EXISTS, tls_self_signed("other.example", other_cert, other_key));
    CHECK(t, tls_ctx_expires_us(w.ctx) > clock_us() + (int64_t)3600 * 86400 * 1000000);
    arena_done(&a);
    town_free(&w);
}

TEST_MAIN(TEST(talks_with_a_stranger), TEST(every_suite_carries_large_data), TEST(keys_change_on_both_sides),
          TEST(a_flipped_bit_gets_an_alert), TEST(nonsense_gets_an_alert), TEST(old_and_weak_offers_are_refused),
          TEST(a_client_checks_certificate_and_name), TEST(who_shows_a_certificate_proves_its_names),
          TEST(files_that_do_not_fit_are_named))
