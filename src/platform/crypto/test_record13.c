/* test_record13.c: the TLS 1.3 record layer between two of our own ends: what RFC 8446 allows arrives,
 * what it forbids is refused. (test_tls.c has a stranger at the other end.)
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include "base/test.h"
#include "crypto/record13.h"

struct ends {
    struct record13 *client, *server;
    struct buf       wire, plain, back;
};

static struct ends ends_new(void)
{
    uint8_t     client_secret[32], server_secret[32];
    struct ends w = { 0 };

    memset(client_secret, 'c', sizeof client_secret);
    memset(server_secret, 's', sizeof server_secret);
    w.client = record13_new(RECORD13_AES_128_GCM_SHA256, false, client_secret, server_secret);
    w.server = record13_new(RECORD13_AES_128_GCM_SHA256, true, client_secret, server_secret);
    return w;
}

static void ends_free(struct ends *w)
{
    record13_free(&w->client);
    record13_free(&w->server);
    buf_done(&w->wire);
    buf_done(&w->plain);
    buf_done(&w->back);
}

static enum err server_takes(struct ends *w)
{
    enum err e = record13_feed(w->server, buf_str(&w->wire), &w->plain, &w->back);

    buf_done(&w->wire);
    return e;
}

/* What the server's answer makes of the client: ERR_INVALID when it was a fatal alert. */
static enum err client_takes(struct ends *w)
{
    struct buf plain = { 0 }, wire = { 0 };
    enum err   e = record13_feed(w->client, buf_str(&w->back), &plain, &wire);

    buf_done(&w->back);
    buf_done(&plain);
    buf_done(&wire);
    return e;
}

static void seal(struct ends *w, uint8_t type, const char *inner, size_t bytes, size_t padding)
{
    record13_seal(w->client, type, str_make(inner, bytes), padding, &w->wire);
}

static void padding_and_cut_records_arrive_whole(struct test *t)
{
    struct ends w = ends_new();

    seal(&w, RECORD13_DATA, "one ", 4, 0);
    seal(&w, RECORD13_DATA, "two ", 4, 256);
    seal(&w, RECORD13_DATA, "", 0, 100);
    seal(&w, RECORD13_DATA, "three", 5, 1);
    for (size_t i = 0; i < w.wire.len; i++)
        CHECK_OK(t, record13_feed(w.server, str_make(w.wire.p + i, 1), &w.plain, &w.back));
    CHECK_STR(t, "one two three", buf_str(&w.plain));
    CHECK_INT(t, 0, w.back.len);
    ends_free(&w);
}

static void key_updates_are_followed_and_answered_once(struct test *t)
{
    struct ends w = ends_new();

    for (int i = 0; i < 100; i++) {
        record13_key_update(w.client, i % 2, &w.wire);
        seal(&w, RECORD13_DATA, "x", 1, 0);
        CHECK_OK(t, server_takes(&w));
        CHECK_INT(t, i % 2 ? 5 + 5 + 1 + 16 : 0, w.back.len);
        CHECK_OK(t, record13_write(w.server, STR("y"), &w.back));
        CHECK_OK(t, client_takes(&w));
    }
    CHECK_INT(t, 100, w.plain.len);
    ends_free(&w);
}

static void a_message_may_be_cut_into_records(struct test *t)
{
    struct ends w = ends_new();
    uint8_t     next[] = { 24, 0, 0, 1, 0 };

    for (int i = 0; i < 4; i++)
        seal(&w, RECORD13_HANDSHAKE, (const char *)next + i, 1, 0);
    CHECK_OK(t, server_takes(&w));
    seal(&w, RECORD13_DATA, "between", 7, 0);
    CHECK_INT(t, ERR_INVALID, server_takes(&w));
    CHECK_INT(t, ERR_INVALID, client_takes(&w));
    ends_free(&w);
}

static void a_client_passes_over_tickets(struct test *t)
{
    struct ends w = ends_new();
    char        ticket[300] = { 4, 0, 1, 0 };       /* 256 bytes, and the start of the next */

    memcpy(ticket + 260, "\4\0\0\x24", 4);
    record13_seal(w.server, RECORD13_HANDSHAKE, str_make(ticket, 100), 0, &w.back);
    record13_seal(w.server, RECORD13_HANDSHAKE, str_make(ticket + 100, 200), 0, &w.back);
    record13_write(w.server, STR("hello"), &w.back);
    CHECK_OK(t, record13_feed(w.client, buf_str(&w.back), &w.plain, &w.wire));
    CHECK_STR(t, "hello", buf_str(&w.plain));
    ends_free(&w);
}

static void what_the_rfc_forbids_is_refused_with_an_alert(struct test *t)
{
    static const struct { uint8_t type; const char *inner; size_t bytes; } cases[] = {
        { 0, "", 0 },                                       /* nothing but padding */
        { 20, "\1", 1 },                                    /* change_cipher_spec */
        { 24, "x", 1 },                                     /* heartbeat */
        { RECORD13_HANDSHAKE, "", 0 },
        { RECORD13_HANDSHAKE, "\4\0\0\0", 4 },              /* a ticket for a server */
        { RECORD13_HANDSHAKE, "\x18\0\0\2\0\0", 6 },        /* not one byte */
        { RECORD13_HANDSHAKE, "\x18\0\0\1\2", 5 },          /* neither asked nor not */
        { RECORD13_HANDSHAKE, "\x18\0\0\1\0\x18", 6 },      /* more after a key change */
        { RECORD13_ALERT, "\2", 1 },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ends w = ends_new();

        seal(&w, cases[i].type, cases[i].inner, cases[i].bytes, 0);
        seal(&w, RECORD13_DATA, "after", 5, 0);
        CHECK_INT(t, ERR_INVALID, server_takes(&w));
        CHECK_INT(t, 0, w.plain.len);
        CHECK_INT(t, ERR_CLOSED, record13_write(w.server, STR("x"), &w.wire));
        CHECK_INT(t, ERR_INVALID, client_takes(&w));
        ends_free(&w);
    }
}

static void bad_heads_are_refused(struct test *t)
{
    static const char *const heads[] = {
        "\x16\3\3\0\x20", "\x17\3\3\x41\1", "\x17\3\3\0\x10", "\x17\3\3\0\0", "\x15\3\3\0\2",
    };

    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++) {
        struct ends w = ends_new();

        buf_put(&w.wire, heads[i], 5);
        CHECK_INT(t, ERR_INVALID, server_takes(&w));
        ends_free(&w);
    }
}

static void a_record_may_be_full_and_not_more(struct test *t)
{
    static char big[RECORD13_PLAIN_BYTES_MAX + 1];
    struct ends w = ends_new();

    seal(&w, RECORD13_DATA, big, RECORD13_PLAIN_BYTES_MAX, 0);
    CHECK_OK(t, server_takes(&w));
    CHECK_INT(t, RECORD13_PLAIN_BYTES_MAX, w.plain.len);
    seal(&w, RECORD13_DATA, big, RECORD13_PLAIN_BYTES_MAX + 1, 0);
    CHECK_INT(t, ERR_INVALID, server_takes(&w));
    CHECK_INT(t, RECORD13_PLAIN_BYTES_MAX, w.plain.len);
    ends_free(&w);
}

static void a_repeated_or_lost_record_is_refused(struct test *t)
{
    struct ends w = ends_new();
    struct buf  first = { 0 };

    record13_write(w.client, STR("one"), &first);
    CHECK_OK(t, record13_feed(w.server, buf_str(&first), &w.plain, &w.back));
    CHECK_INT(t, ERR_INVALID, record13_feed(w.server, buf_str(&first), &w.plain, &w.back));
    CHECK_STR(t, "one", buf_str(&w.plain));
    buf_done(&first);
    ends_free(&w);
}

static void records_that_say_nothing_are_bounded(struct test *t)
{
    for (int kind = 0; kind < 3; kind++) {
        struct ends w = ends_new();
        enum err    e = OK;
        int         n = 0;

        for (; n < 1000 && !e; n++) {
            if (kind == 0)
                seal(&w, RECORD13_DATA, "", 0, 0);
            else if (kind == 1)
                record13_key_update(w.client, true, &w.wire);
            else
                seal(&w, RECORD13_ALERT, "\1\x5a", 2, 0);   /* user_canceled */
            e = server_takes(&w);
        }
        CHECK_INT(t, ERR_INVALID, e);
        CHECK_INT(t, RECORD13_IDLE_RECORDS_MAX + 1, n);
        ends_free(&w);
    }
}

static void close_notify_ends_one_direction(struct test *t)
{
    struct ends w = ends_new();

    record13_write(w.client, STR("bye"), &w.wire);
    record13_close(w.client, &w.wire);
    record13_close(w.client, &w.wire);
    CHECK_INT(t, ERR_CLOSED, record13_write(w.client, STR("more"), &w.wire));
    CHECK_INT(t, ERR_CLOSED, server_takes(&w));
    CHECK_STR(t, "bye", buf_str(&w.plain));
    CHECK_OK(t, record13_write(w.server, STR("still here"), &w.back));
    CHECK_OK(t, client_takes(&w));
    CHECK(t, record13_new(0x1304, true, NULL, NULL) == NULL);
    ends_free(&w);
}

TEST_MAIN(TEST(padding_and_cut_records_arrive_whole), TEST(key_updates_are_followed_and_answered_once),
          TEST(a_message_may_be_cut_into_records), TEST(a_client_passes_over_tickets),
          TEST(what_the_rfc_forbids_is_refused_with_an_alert), TEST(bad_heads_are_refused),
          TEST(a_record_may_be_full_and_not_more), TEST(a_repeated_or_lost_record_is_refused),
          TEST(records_that_say_nothing_are_bounded), TEST(close_notify_ends_one_direction))
