/* test_conn.c: connections over real sockets: order, bounds, TLS, and every way to end.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/test.h"
#include "base/buf.h"
#include "net/conn.h"
#include "net/loop.h"

static const struct conn_limits limits = {
    .in_bytes_max = 100000, .out_bytes_max = 300000, .drain_ms_max = 1000, .stall_ms_max = 2000, .handshake_ms_max = 2000,
};

struct peer {
    struct conn *conn;
    struct buf   got;
    int          closed;
    enum err     why;
    bool         ready, close_on_data, abort_on_data, abort_on_ready, pause_on_data, writable;
    size_t       use_at_most;       /* 0: all */
    const char  *answer;            /* to each arrival */
    struct peer *heir;              /* gets the connection after the first arrival */
    struct tls_ctx *starts_tls;     /* as a server, at the first arrival */
};

static const struct conn_handlers handlers;

static size_t peer_data(void *arg, struct conn *c, struct str in)
{
    struct peer *p = arg;
    size_t       n = p->use_at_most && in.len > p->use_at_most ? p->use_at_most : in.len;

    buf_put(&p->got, in.p, n);
    if (p->answer)
        conn_write(c, str_of(p->answer));
    if (p->pause_on_data)
        conn_pause(c);
    if (p->starts_tls) {
        conn_start_tls(c, p->starts_tls, true, STR_NULL);
        p->starts_tls = NULL;
    }
    if (p->heir) {
        conn_set_handlers(c, &handlers, p->heir);
        p->heir->conn = c;
        p->conn = NULL;
    }
    if (p->abort_on_data)
        conn_abort(c, ERR_DENIED);
    if (p->close_on_data)
        conn_close(c);
    return n;
}

static void peer_ready(void *arg, struct conn *c)
{
    struct peer *p = arg;

    p->ready = true;
    if (p->abort_on_ready)
        conn_abort(c, ERR_DENIED);
}

static void peer_writable(void *arg, struct conn *c)
{
    (void)c;
    ((struct peer *)arg)->writable = true;
}

static void peer_closed(void *arg, struct conn *c, enum err why)
{
    struct peer *p = arg;

    (void)c;
    p->closed++;
    p->why = why;
    p->conn = NULL;
}

static const struct conn_handlers handlers = { .data = peer_data, .tls_ready = peer_ready, .writable = peer_writable,
                                               .closed = peer_closed };

static void pair(struct loop *l, struct peer *a, struct peer *b)
{
    int fds[2];

    *a = *b = (struct peer){ 0 };
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return;
    a->conn = conn_new(l, fds[0], &limits, &handlers, a);
    b->conn = conn_new(l, fds[1], &limits, &handlers, b);
}

/* One end of ours, the other a bare descriptor. */
static int half_pair(struct loop *l, struct peer *a, const struct conn_limits *lim)
{
    int fds[2];

    *a = (struct peer){ 0 };
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) < 0)
        return -1;
    a->conn = conn_new(l, fds[0], lim, &handlers, a);
    return fds[1];
}

static struct str read_all(int fd, char *out, size_t size)
{
    ssize_t n = read(fd, out, size);

    return str_make(out, n > 0 ? (size_t)n : 0);
}

static void rounds(struct loop *l, int n)
{
    for (int i = 0; i < n; i++)
        loop_round(l, 5);
}

static void finish(struct loop *l, struct peer *a, struct peer *b)
{
    if (a->conn)
        conn_abort(a->conn, ERR_CLOSED);
    if (b->conn)
        conn_abort(b->conn, ERR_CLOSED);
    rounds(l, 2);
    buf_done(&a->got);
    buf_done(&b->got);
    loop_free(&l);
}

static void bytes_arrive_in_order(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;
    char         line[16];

    pair(l, &a, &b);
    for (int i = 0; i < 1000; i++)
        CHECK_OK(t, conn_write(a.conn, str_make(line, (size_t)snprintf(line, sizeof line, "%d\n", i))));
    rounds(l, 10);
    CHECK_INT(t, 3890, b.got.len);
    CHECK(t, b.got.len > 4 && memcmp(b.got.p + b.got.len - 4, "999\n", 4) == 0);
    finish(l, &a, &b);
}

enum { FOREVER_MS = 3600 * 1000 };

static void write_in_no_hurry(struct test *t, struct peer *p, struct str s, int ms)
{
    CHECK(t, !conn_is_leaving(p->conn));
    CHECK_OK(t, conn_write(p->conn, s));
    conn_put_off(p->conn, ms);
}

static void what_is_put_off_leaves_with_the_next(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;

    pair(l, &a, &b);
    write_in_no_hurry(t, &a, STR("one "), FOREVER_MS);
    rounds(l, 3);
    write_in_no_hurry(t, &a, STR("two "), FOREVER_MS);
    rounds(l, 3);
    CHECK_INT(t, 0, b.got.len);
    CHECK_INT(t, 8, conn_pending_bytes(a.conn));
    conn_write(a.conn, STR("three"));
    CHECK(t, conn_is_leaving(a.conn));
    rounds(l, 3);
    CHECK_STR(t, "one two three", buf_str(&b.got));
    write_in_no_hurry(t, &a, STR(" four"), FOREVER_MS);
    conn_close(a.conn);
    rounds(l, 5);
    CHECK_STR(t, "one two three four", buf_str(&b.got));
    CHECK_INT(t, 1, b.closed);
    finish(l, &a, &b);
}

static void what_is_put_off_leaves_in_the_end(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;
    static char  full[16 * 1024];

    memset(full, 'f', sizeof full);
    pair(l, &a, &b);
    write_in_no_hurry(t, &a, STR("later"), 20);
    for (int i = 0; i < 2000 && b.got.len == 0; i++)
        loop_round(l, 5);
    CHECK_STR(t, "later", buf_str(&b.got));
    write_in_no_hurry(t, &a, STR("more"), FOREVER_MS);
    CHECK_OK(t, conn_write(a.conn, str_make(full, sizeof full)));
    conn_put_off(a.conn, FOREVER_MS);       /* it is much by now */
    rounds(l, 10);
    CHECK_INT(t, 5 + 4 + sizeof full, b.got.len);
    write_in_no_hurry(t, &a, STR("lost"), FOREVER_MS);
    conn_abort(a.conn, ERR_CLOSED);
    rounds(l, 5);
    CHECK_INT(t, 1, a.closed);
    finish(l, &a, &b);
}

static void what_is_not_used_is_shown_again(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;

    pair(l, &a, &b);
    b.use_at_most = 3;
    conn_write(a.conn, STR("abcdef"));
    rounds(l, 3);
    CHECK_STR(t, "abc", buf_str(&b.got));
    conn_write(a.conn, STR("ghi"));
    rounds(l, 3);
    CHECK_STR(t, "abcdef", buf_str(&b.got));
    finish(l, &a, &b);
}

static void a_paused_reader_gets_it_all_later(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;

    pair(l, &a, &b);
    conn_pause(b.conn);
    conn_write(a.conn, STR("later"));
    rounds(l, 3);
    CHECK_INT(t, 0, b.got.len);
    conn_resume(b.conn);
    rounds(l, 3);
    CHECK_STR(t, "later", buf_str(&b.got));
    finish(l, &a, &b);
}

static void a_reader_who_does_not_read_meets_the_bound(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;
    static char  block[50000];
    enum err     e = OK;
    int          n = 0;

    pair(l, &a, &b);
    conn_pause(b.conn);
    for (; n < 1000 && !e; n++) {
        e = conn_write(a.conn, str_make(block, sizeof block));
        rounds(l, 1);
    }
    CHECK_INT(t, ERR_LIMIT, e);
    CHECK(t, conn_pending_bytes(a.conn) <= limits.out_bytes_max);
    finish(l, &a, &b);
}

static void close_drains_then_ends_in_order(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;

    pair(l, &a, &b);
    conn_write(a.conn, STR("goodbye"));
    conn_close(a.conn);
    CHECK_INT(t, ERR_CLOSED, conn_write(a.conn, STR("more")));
    rounds(l, 5);
    CHECK_STR(t, "goodbye", buf_str(&b.got));
    CHECK_INT(t, 1, b.closed);
    CHECK_INT(t, OK, b.why);
    CHECK_INT(t, 1, a.closed);
    CHECK_INT(t, OK, a.why);
    finish(l, &a, &b);
}

static void abort_inside_a_callback_is_told_once(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;

    pair(l, &a, &b);
    b.abort_on_data = true;
    conn_write(a.conn, STR("x"));
    rounds(l, 5);
    CHECK_INT(t, 1, b.closed);
    CHECK_INT(t, ERR_DENIED, b.why);
    CHECK_INT(t, 1, a.closed);
    finish(l, &a, &b);
}

static void identity(struct test *t, char cert[200], char key[200])
{
    snprintf(cert, 200, "%s/cert.pem", test_dir(t));
    snprintf(key, 200, "%s/key.pem", test_dir(t));
    CHECK_OK(t, tls_self_signed("town.example,127.0.0.1", cert, key));
    CHECK_INT(t, ERR_EXISTS, tls_self_signed("town.example", cert, key));
}

static void tls_pair(struct test *t, struct loop *l, struct peer *a, struct peer *b, bool verify)
{
    char                cert[200], key[200];
    struct tls_ctx     *server, *client;
    struct tls_settings ss = { .certificate_file = cert, .key_file = key, .alpn = "xmpp-client" };
    struct tls_settings cs = { .ca_file = cert, .verify = verify, .alpn = "xmpp-client" };
    struct arena        arena;
    struct str          why = STR_NULL;

    arena_init(&arena);
    identity(t, cert, key);
    CHECK_OK(t, tls_ctx_new(&ss, &server, &arena, &why));
    CHECK_OK(t, tls_ctx_new(&cs, &client, &arena, &why));
    pair(l, a, b);
    CHECK_OK(t, conn_start_tls(a->conn, server, true, STR_NULL));
    CHECK_OK(t, conn_start_tls(b->conn, client, false, verify ? STR("town.example") : STR_NULL));
    tls_ctx_unref(&server);
    tls_ctx_unref(&client);
    arena_done(&arena);
}

static void tls_carries_both_ways_with_equal_bindings(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;
    uint8_t      x[2][32], y[2][TLS_BINDING_BYTES_MAX];
    size_t       n[2] = { 0, 0 };
    static char  big[100000];

    memset(big, 'm', sizeof big);
    tls_pair(t, l, &a, &b, true);
    rounds(l, 10);
    if (!CHECK(t, a.ready && b.ready))
        return;
    conn_write(a.conn, STR("from server"));
    conn_write(b.conn, str_make(big, sizeof big));
    rounds(l, 20);
    CHECK_STR(t, "from server", buf_str(&b.got));
    CHECK_INT(t, sizeof big, a.got.len);
    CHECK_OK(t, tls_exporter(conn_tls(a.conn), x[0]));
    CHECK_OK(t, tls_exporter(conn_tls(b.conn), x[1]));
    CHECK(t, memcmp(x[0], x[1], 32) == 0);
    CHECK_OK(t, tls_server_end_point(conn_tls(a.conn), y[0], &n[0]));
    CHECK_OK(t, tls_server_end_point(conn_tls(b.conn), y[1], &n[1]));
    CHECK(t, n[0] == 32 && n[1] == 32 && memcmp(y[0], y[1], 32) == 0);
    CHECK_STR(t, "xmpp-client", tls_alpn(conn_tls(a.conn)));
    conn_close(a.conn);
    rounds(l, 10);
    CHECK_INT(t, OK, b.why);
    CHECK_INT(t, 1, b.closed);
    finish(l, &a, &b);
}

static void what_is_put_off_leaves_through_tls(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;

    tls_pair(t, l, &a, &b, true);
    for (int i = 0; i < 2000 && !(a.ready && b.ready); i++)
        loop_round(l, 5);
    rounds(l, 3);
    write_in_no_hurry(t, &a, STR("one "), FOREVER_MS);
    rounds(l, 3);
    CHECK_INT(t, 0, b.got.len);
    conn_write(a.conn, STR("two"));
    rounds(l, 10);
    CHECK_STR(t, "one two", buf_str(&b.got));
    finish(l, &a, &b);
}

static void slim_tls_carries_both_ways_with_equal_bindings(struct test *t)
{
    tls_slim_set(true);
    tls_carries_both_ways_with_equal_bindings(t);
    tls_slim_set(false);
}

static void plain_text_to_tls_ends_the_connection(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;
    char         cert[200], key[200];
    struct tls_ctx *server;
    struct tls_settings ss = { .certificate_file = cert, .key_file = key };

    identity(t, cert, key);
    CHECK_OK(t, tls_ctx_new(&ss, &server, NULL, NULL));
    pair(l, &a, &b);
    CHECK_OK(t, conn_start_tls(a.conn, server, true, STR_NULL));
    tls_ctx_unref(&server);
    conn_write(b.conn, STR("<stream:stream to='town.example'>"));
    rounds(l, 10);
    CHECK_INT(t, 1, a.closed);
    CHECK_INT(t, ERR_INVALID, a.why);
    CHECK_INT(t, 1, b.closed);
    finish(l, &a, &b);
}

/* ---- every way to end ---- */

static void a_peer_that_said_all_still_gets_its_answer(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, none = { 0 };
    int          fd = half_pair(l, &a, &limits);
    char         got[100];

    a.answer = "the answer";
    CHECK_INT(t, 8, write(fd, "question", 8));
    shutdown(fd, SHUT_WR);
    rounds(l, 5);
    CHECK_STR(t, "the answer", read_all(fd, got, sizeof got));
    CHECK_INT(t, 1, a.closed);
    CHECK_INT(t, OK, a.why);
    close(fd);
    finish(l, &a, &none);
}

/* The end of the input waits for who paused: an answer may take until another process has spoken. */
static void an_answer_that_takes_time_reaches_a_half_closed_peer(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, none = { 0 };
    int          fd = half_pair(l, &a, &limits);
    char         got[100];

    a.pause_on_data = true;
    CHECK_INT(t, 8, write(fd, "question", 8));
    shutdown(fd, SHUT_WR);
    rounds(l, 5);
    if (CHECK_INT(t, 0, a.closed)) {
        conn_write(a.conn, STR("late"));
        conn_resume(a.conn);
    }
    rounds(l, 5);
    CHECK_STR(t, "late", read_all(fd, got, sizeof got));
    CHECK_INT(t, OK, a.why);
    CHECK_INT(t, 1, a.closed);
    close(fd);
    finish(l, &a, &none);
}

static void what_was_sent_before_hanging_up_is_read_after_the_pause(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, none = { 0 };
    int          fd = half_pair(l, &a, &limits);

    conn_pause(a.conn);
    CHECK_INT(t, 4, write(fd, "last", 4));
    close(fd);
    rounds(l, 5);
    CHECK_INT(t, 0, a.closed);
    conn_resume(a.conn);
    rounds(l, 5);
    CHECK_STR(t, "last", buf_str(&a.got));
    CHECK_INT(t, 1, a.closed);
    CHECK_INT(t, OK, a.why);
    finish(l, &a, &none);
}

static void output_that_does_not_move_ends_the_connection(struct test *t)
{
    static const struct conn_limits hasty = { .in_bytes_max = 1000, .out_bytes_max = 4000000, .stall_ms_max = 20,
                                              .drain_ms_max = 20 };
    static char                     block[3000000];

    for (int closing = 0; closing < 2; closing++) {
        struct loop *l = loop_new();
        struct peer  a, none = { 0 };
        int          fd = half_pair(l, &a, &hasty);

        CHECK_OK(t, conn_write(a.conn, str_make(block, sizeof block)));
        if (closing)
            conn_close(a.conn);
        for (int i = 0; i < 1000 && !a.closed; i++)
            loop_round(l, 10);
        CHECK_INT(t, 1, a.closed);
        CHECK_INT(t, ERR_TIMEOUT, a.why);
        close(fd);
        finish(l, &a, &none);
    }
}

static void a_peer_that_never_closes_is_left_in_order(struct test *t)
{
    static const struct conn_limits hasty = { .in_bytes_max = 1000, .out_bytes_max = 1000, .drain_ms_max = 20 };
    struct loop                    *l = loop_new();
    struct peer                     a, none = { 0 };
    int                             fd = half_pair(l, &a, &hasty);
    char                            got[10];

    conn_write(a.conn, STR("bye"));
    conn_close(a.conn);
    CHECK_INT(t, 4, write(fd, "blah", 4));
    for (int i = 0; i < 1000 && !a.closed; i++)
        loop_round(l, 10);
    CHECK_INT(t, OK, a.why);
    CHECK_INT(t, 0, a.got.len);     /* after conn_close nobody wants it */
    CHECK_STR(t, "bye", read_all(fd, got, sizeof got));
    CHECK_INT(t, 0, read(fd, got, 1));
    close(fd);
    finish(l, &a, &none);
}

static void input_that_nobody_uses_meets_the_bound(struct test *t)
{
    static const struct conn_limits narrow = { .in_bytes_max = 1000, .out_bytes_max = 1000 };
    struct loop                    *l = loop_new();
    struct peer                     a, none = { 0 };
    int                             fd = half_pair(l, &a, &narrow);
    char                            block[500] = { 0 };

    a.use_at_most = 1;
    for (int i = 0; i < 10 && !a.closed; i++) {
        if (write(fd, block, sizeof block) < 0)
            break;
        rounds(l, 2);
    }
    CHECK_INT(t, 1, a.closed);
    CHECK_INT(t, ERR_LIMIT, a.why);
    close(fd);
    finish(l, &a, &none);
}

static void writable_is_told_after_a_refusal(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, none = { 0 };
    int          fd = half_pair(l, &a, &limits);
    static char  block[300000];

    CHECK_OK(t, conn_write(a.conn, str_make(block, sizeof block)));
    CHECK_INT(t, ERR_LIMIT, conn_write(a.conn, STR("x")));
    for (int i = 0; i < 100 && !a.writable; i++) {
        loop_round(l, 1);
        read_all(fd, block, sizeof block);
    }
    CHECK(t, a.writable);
    CHECK_OK(t, conn_write(a.conn, STR("x")));
    close(fd);
    finish(l, &a, &none);
}

static void a_new_owner_sees_the_rest_at_once(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, heir = { 0 };
    int          fd = half_pair(l, &a, &limits);

    a.use_at_most = 5;
    a.heir = &heir;
    CHECK_INT(t, 10, write(fd, "firstother", 10));
    rounds(l, 3);
    CHECK_STR(t, "first", buf_str(&a.got));
    CHECK_STR(t, "other", buf_str(&heir.got));
    close(fd);
    rounds(l, 3);
    CHECK_INT(t, 0, a.closed);
    CHECK_INT(t, 1, heir.closed);
    finish(l, &a, &heir);
}

/* ---- TLS in mid-stream ---- */

/* CVE-2011-0411 and its kin: what is put behind <starttls/> must not be read as if it came encrypted. */
static void bytes_behind_starttls_are_dropped(struct test *t)
{
    struct loop        *l = loop_new();
    struct peer         a, b;
    char                cert[200], key[200];
    struct tls_ctx     *server, *client;
    struct tls_settings ss = { .certificate_file = cert, .key_file = key }, cs = { .alpn = NULL };

    identity(t, cert, key);
    CHECK_OK(t, tls_ctx_new(&ss, &server, NULL, NULL));
    CHECK_OK(t, tls_ctx_new(&cs, &client, NULL, NULL));
    pair(l, &a, &b);
    a.use_at_most = 11;
    a.answer = "<proceed/>";
    a.starts_tls = server;
    conn_write(b.conn, STR("<starttls/><injected/>"));
    rounds(l, 3);
    CHECK_STR(t, "<starttls/>", buf_str(&a.got));
    CHECK_STR(t, "<proceed/>", buf_str(&b.got));
    a.use_at_most = 0;
    CHECK_OK(t, conn_start_tls(b.conn, client, false, STR_NULL));
    CHECK_INT(t, ERR_EXISTS, conn_start_tls(b.conn, client, false, STR_NULL));
    CHECK_OK(t, conn_write(b.conn, STR("<hidden/>")));
    rounds(l, 10);
    CHECK(t, a.ready && b.ready);
    CHECK_STR(t, "<starttls/><hidden/>", buf_str(&a.got));
    CHECK_STR(t, "<proceed/><proceed/>", buf_str(&b.got));
    tls_ctx_unref(&server);
    tls_ctx_unref(&client);
    finish(l, &a, &b);
}

static void abort_when_tls_is_ready_is_told_once(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;

    tls_pair(t, l, &a, &b, false);
    a.abort_on_ready = true;
    conn_write(b.conn, STR("never heard"));
    rounds(l, 10);
    CHECK_INT(t, 1, a.closed);
    CHECK_INT(t, ERR_DENIED, a.why);
    CHECK_INT(t, 0, a.got.len);
    CHECK_INT(t, 1, b.closed);
    finish(l, &a, &b);
}

static void a_handshake_that_does_not_come_times_out(struct test *t)
{
    static const struct conn_limits hasty = { .in_bytes_max = 1000, .out_bytes_max = 1000, .handshake_ms_max = 20 };
    struct loop                    *l = loop_new();
    struct peer                     a, none = { 0 };
    int                             fd = half_pair(l, &a, &hasty);
    char                            cert[200], key[200];
    struct tls_ctx                 *server;
    struct tls_settings             ss = { .certificate_file = cert, .key_file = key };

    identity(t, cert, key);
    CHECK_OK(t, tls_ctx_new(&ss, &server, NULL, NULL));
    CHECK_OK(t, conn_start_tls(a.conn, server, true, STR_NULL));
    tls_ctx_unref(&server);
    for (int i = 0; i < 1000 && !a.closed; i++)
        loop_round(l, 10);
    CHECK_INT(t, ERR_TIMEOUT, a.why);
    close(fd);
    finish(l, &a, &none);
}

static void a_tls_reader_who_does_not_read_meets_the_bound(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a, b;
    static char  block[50000];
    enum err     e = OK;

    tls_pair(t, l, &a, &b, false);
    rounds(l, 10);
    conn_pause(b.conn);
    for (int n = 0; n < 1000 && !e; n++) {
        e = conn_write(a.conn, str_make(block, sizeof block));
        rounds(l, 1);
    }
    CHECK_INT(t, ERR_LIMIT, e);
    conn_resume(b.conn);
    for (int i = 0; i < 100 && !a.writable; i++)
        loop_round(l, 1);
    CHECK(t, a.writable);
    CHECK_OK(t, conn_write(a.conn, STR("!")));
    rounds(l, 20);
    CHECK(t, b.got.len > 0 && b.got.p[b.got.len - 1] == '!');
    finish(l, &a, &b);
}

/* ---- listening and connecting ---- */

enum { MANY = 2000 };

struct inn {
    struct loop *loop;
    struct peer *guests;
    int          count;
};

static void guest_comes(void *arg, int fd)
{
    struct inn  *inn = arg;
    struct peer *p = &inn->guests[inn->count++];

    p->answer = "welcome";
    p->conn = conn_new(inn->loop, fd, &limits, &handlers, p);
}

static struct str local_address(int fd, char out[64])
{
    struct sockaddr_in a;
    socklen_t          size = sizeof a;

    getsockname(fd, (struct sockaddr *)&a, &size);
    return str_make(out, (size_t)snprintf(out, 64, "127.0.0.1:%d", ntohs(a.sin_port)));
}

static void two_thousand_come_talk_and_leave(struct test *t)
{
    struct loop     *l = loop_new();
    struct inn       inn = { .loop = l, .guests = calloc(MANY, sizeof(struct peer)) };
    struct peer     *callers = calloc(MANY, sizeof(struct peer)), inside, outside;
    struct listener *ls;
    int              fd, welcomed = 0, left = 0;
    char             text[64], key[64];
    struct str       address;
    struct rlimit    files;

    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < 2 * MANY + 100) {
        test_skip(t, "too few descriptors are allowed");
        free(callers);
        free(inn.guests);
        loop_free(&l);
        return;
    }
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    CHECK_OK(t, listen_socket(STR("127.0.0.1:0"), &fd));
    address = local_address(fd, text);
    ls = listener_new(l, fd, guest_comes, &inn);
    for (int i = 0; i < MANY; i++) {
        CHECK_OK(t, conn_connect(l, address, &limits, &handlers, &callers[i], &callers[i].conn));
        CHECK_OK(t, conn_write(callers[i].conn, STR("hello")));
        if (i % 100 == 0)
            loop_round(l, 0);
    }
    for (int i = 0; i < 1000 && welcomed < MANY; i++) {
        loop_round(l, 10);
        welcomed = 0;
        for (int k = 0; k < MANY; k++)
            welcomed += str_is(buf_str(&callers[k].got), "welcome");
    }
    CHECK_INT(t, MANY, welcomed);
    CHECK_INT(t, MANY, inn.count);
    CHECK_STR(t, "127.0.0.1", conn_peer_key(inn.guests[0].conn, key));
    CHECK(t, str_eq(address, conn_peer(callers[0].conn, key)));
    pair(l, &inside, &outside);
    CHECK_STR(t, "unix", conn_peer_key(inside.conn, key));
    conn_speak_for(inside.conn, inn.guests[0].conn);
    CHECK_STR(t, "127.0.0.1", conn_peer_key(inside.conn, key));
    conn_abort(inside.conn, OK);
    conn_abort(outside.conn, OK);
    for (int i = 0; i < MANY; i++)
        i % 2 ? conn_close(callers[i].conn) : conn_abort(callers[i].conn, OK);
    for (int i = 0; i < 1000 && left < 2 * MANY; i++) {
        loop_round(l, 10);
        left = 0;
        for (int k = 0; k < MANY; k++)
            left += callers[k].closed + inn.guests[k].closed;
    }
    CHECK_INT(t, 2 * MANY, left);
    for (int i = 0; i < MANY; i++) {
        buf_done(&callers[i].got);
        buf_done(&inn.guests[i].got);
    }
    listener_free(&ls);
    rounds(l, 1);
    loop_free(&l);
    free(callers);
    free(inn.guests);
}

static void nobody_there_is_told(struct test *t)
{
    struct loop *l = loop_new();
    struct peer  a = { 0 }, none = { 0 };
    int          fd;
    char         text[64];
    struct str   address;
    enum err     e;

    CHECK_OK(t, listen_socket(STR("127.0.0.1:0"), &fd));
    address = local_address(fd, text);
    close(fd);
    e = conn_connect(l, address, &limits, &handlers, &a, &a.conn);
    rounds(l, 5);
    CHECK(t, e == ERR_UNAVAILABLE || (a.closed == 1 && a.why == ERR_UNAVAILABLE));
    CHECK_INT(t, ERR_INVALID, conn_connect(l, STR("town.example:5222"), &limits, &handlers, &a, &a.conn));
    CHECK_INT(t, ERR_INVALID, conn_connect(l, STR("127.0.0.1:70000"), &limits, &handlers, &a, &a.conn));
    finish(l, &a, &none);
}

static void a_socket_file_in_use_is_not_taken(struct test *t)
{
    char       text[128];
    struct str address = str_make(text, (size_t)snprintf(text, sizeof text, "unix:%s/run.sock", test_dir(t)));
    int        fd, other = -1;
    FILE      *f;

    CHECK_OK(t, listen_socket(address, &fd));
    CHECK_INT(t, ERR_EXISTS, listen_socket(address, &other));
    close(fd);
    CHECK_OK(t, listen_socket(address, &fd));       /* left behind by the dead */
    close(fd);
    unlink(text + 5);
    f = fopen(text + 5, "w");
    CHECK(t, f && fclose(f) == 0);
    CHECK_INT(t, ERR_EXISTS, listen_socket(address, &other));      /* not a socket: somebody's file */
}

TEST_MAIN(TEST(bytes_arrive_in_order), TEST(what_is_put_off_leaves_with_the_next), TEST(what_is_put_off_leaves_in_the_end),
          TEST(what_is_put_off_leaves_through_tls), TEST(what_is_not_used_is_shown_again), TEST(a_paused_reader_gets_it_all_later),
          TEST(a_reader_who_does_not_read_meets_the_bound), TEST(close_drains_then_ends_in_order),
          TEST(abort_inside_a_callback_is_told_once), TEST(tls_carries_both_ways_with_equal_bindings),
          TEST(slim_tls_carries_both_ways_with_equal_bindings), TEST(plain_text_to_tls_ends_the_connection),
          TEST(a_peer_that_said_all_still_gets_its_answer), TEST(an_answer_that_takes_time_reaches_a_half_closed_peer),
          TEST(what_was_sent_before_hanging_up_is_read_after_the_pause),
          TEST(output_that_does_not_move_ends_the_connection), TEST(a_peer_that_never_closes_is_left_in_order),
          TEST(input_that_nobody_uses_meets_the_bound), TEST(writable_is_told_after_a_refusal),
          TEST(a_new_owner_sees_the_rest_at_once), TEST(bytes_behind_starttls_are_dropped),
          TEST(abort_when_tls_is_ready_is_told_once), TEST(a_handshake_that_does_not_come_times_out),
          TEST(a_tls_reader_who_does_not_read_meets_the_bound), TEST(two_thousand_come_talk_and_leave),
          TEST(nobody_there_is_told), TEST(a_socket_file_in_use_is_not_taken))
