/* test_pgsql.c: what may happen between us and PostgreSQL, through a proxy that loses, holds and cuts.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include "base/buf.h"
#include "db/inner.h"
#include "db/pg_server.h"
#include "db/test_util.h"

/* ---- the proxy ---- */

enum proxy_mode {
    PROXY_PASS,
    PROXY_DEAD,          /* closes what comes */
    PROXY_LOSE,          /* lets questions through and closes when the answer comes */
    PROXY_HOLD,          /* keeps back what comes on the connections there are, even when they end, until it passes again */
};
enum { PAIRS_MAX = 64, HELD_BYTES = 65536 };

struct pair {
    int    client, server;
    bool   client_ended;
    bool   fresh;                /* made while others were held */
    char   held[HELD_BYTES];
    size_t held_bytes;
};

static struct proxy {
    int          listening, port, upstream;
    pthread_t    thread;
    _Atomic int  mode;
    _Atomic bool stop;
    struct pair  pairs[PAIRS_MAX];
} proxy;

static void pair_close(struct pair *p)
{
    close(p->client);
    close(p->server);
    *p = (struct pair){ .client = -1, .server = -1 };
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void proxy_accept(void)
{
    struct sockaddr_in to = loopback(proxy.upstream);
    int client = accept(proxy.listening, NULL, NULL), server;

    for (int i = 0; i < PAIRS_MAX; i++) {
        if (proxy.pairs[i].client >= 0 || proxy.pairs[i].server >= 0)
            continue;
        if (proxy.mode == PROXY_DEAD)
            break;
        server = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(server, (struct sockaddr *)&to, sizeof to) != 0) {
            close(server);
            break;
        }
        proxy.pairs[i] = (struct pair){ .client = client, .server = server, .fresh = proxy.mode == PROXY_HOLD };
        return;
    }
    close(client);
}

static void send_whole(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t done = send(fd, p, n, MSG_NOSIGNAL);

        if (done <= 0)
            return;
        p += done;
        n -= (size_t)done;
    }
}

static void pair_release(struct pair *p)
{
    if (!p->held_bytes || (proxy.mode == PROXY_HOLD && !p->fresh))
        return;
    send_whole(p->server, p->held, p->held_bytes);
    p->held_bytes = 0;
    if (p->client_ended) {
        poll(NULL, 0, 200);              /* the server reads what it got, and then the end */
        pair_close(p);
    }
}

static void pair_from_client(struct pair *p)
{
    ssize_t n = recv(p->client, p->held + p->held_bytes, sizeof p->held - p->held_bytes, MSG_DONTWAIT);

    if (n > 0) {
        p->held_bytes += (size_t)n;
        pair_release(p);
    } else if (n == 0 && p->held_bytes) {
        close(p->client);
        p->client = -1;
        p->client_ended = true;
    } else if (n == 0) {
        pair_close(p);
    }
}

static void pair_from_server(struct pair *p)
{
    char bytes[65536];
    ssize_t n = recv(p->server, bytes, sizeof bytes, MSG_DONTWAIT);

    if (n <= 0 || proxy.mode == PROXY_LOSE)
        pair_close(p);
    else
        send_whole(p->client, bytes, (size_t)n);
}

static void *proxy_run(void *arg)
{
    while (!proxy.stop) {
        struct pollfd fds[1 + 2 * PAIRS_MAX] = { { .fd = proxy.listening, .events = POLLIN } };

        for (int i = 0; i < PAIRS_MAX; i++) {
            fds[1 + 2 * i] = (struct pollfd){ .fd = proxy.pairs[i].client, .events = POLLIN };
            fds[2 + 2 * i] = (struct pollfd){ .fd = proxy.pairs[i].server, .events = POLLIN };
        }
        poll(fds, 1 + 2 * PAIRS_MAX, 5);
        for (int i = 0; i < PAIRS_MAX; i++) {
            struct pair *p = &proxy.pairs[i];

            if (proxy.mode == PROXY_DEAD && p->server >= 0)
                pair_close(p);
            if (p->client >= 0 && fds[1 + 2 * i].revents)
                pair_from_client(p);
            if (p->client >= 0 && fds[2 + 2 * i].revents)
                pair_from_server(p);
            if (p->server >= 0)
                pair_release(p);
        }
        if (fds[0].revents)
            proxy_accept();
    }
    return NULL;
}

static int port_of(const char *variable)
{
    const char *server = getenv(variable), *port = server ? strstr(server, "port=") : NULL;

    return port ? atoi(port + 5) : 0;
}

static void proxy_start(void)
{
    struct sockaddr_in here = loopback(0);
    socklen_t n = sizeof here;

    proxy.upstream = port_of("BONGSU_TEST_POSTGRESQL");
    proxy.mode = PROXY_PASS;
    proxy.stop = false;
    for (int i = 0; i < PAIRS_MAX; i++)
        proxy.pairs[i] = (struct pair){ .client = -1, .server = -1 };
    proxy.listening = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(proxy.listening, (struct sockaddr *)&here, sizeof here) != 0 || listen(proxy.listening, 64) != 0)
        abort();
    getsockname(proxy.listening, (struct sockaddr *)&here, &n);
    proxy.port = ntohs(here.sin_port);
    pthread_create(&proxy.thread, NULL, proxy_run, NULL);
}

static void proxy_end(void)
{
    proxy.stop = true;
    pthread_join(proxy.thread, NULL);
    for (int i = 0; i < PAIRS_MAX; i++)
        if (proxy.pairs[i].server >= 0)
            pair_close(&proxy.pairs[i]);
    close(proxy.listening);
}

/* ---- a database behind it ---- */

struct fixture {
    struct loop    *l;
    struct db      *d;
    struct db_conn *beside;     /* straight to the server, for what others do */
    struct arena    arena;
};

static int replica_port(void)
{
    return port_of("BONGSU_TEST_POSTGRESQL_REPLICA");
}

enum servers { PRIMARY, PRIMARY_REPLICA, REPLICA_PRIMARY };

static struct fixture opened_at(struct test *t, enum servers which)
{
    struct fixture f = { .l = loop_new() };
    struct db_settings s = settings_at(t, "");
    char server[128];
    struct str why;

    arena_init(&f.arena);
    proxy_start();
    if (which == PRIMARY)
        snprintf(server, sizeof server, "host=127.0.0.1 port=%d user=bongsu dbname=bongsu", proxy.port);
    else
        snprintf(server, sizeof server, "host=127.0.0.1,127.0.0.1 port=%d,%d user=bongsu dbname=bongsu",
                 which == PRIMARY_REPLICA ? proxy.port : replica_port(), which == PRIMARY_REPLICA ? replica_port() : proxy.port);
    CHECK_OK(t, db_conn_open(&s, true, &f.beside, &f.arena, &why));
    s.server = server;
    f.d = notes_open_at(t, f.l, &s);
    puts_told = 0;
    return f;
}

static struct fixture opened(struct test *t)
{
    return opened_at(t, PRIMARY);
}

static void closed(struct fixture *f)
{
    db_close(&f->d);
    db_conn_close(&f->beside);
    loop_free(&f->l);
    arena_done(&f->arena);
    proxy_end();
}

static void rounds_for(struct loop *l, int ms)
{
    int64_t end_us = pg_now_us() + ms * 1000LL;

    while (pg_now_us() < end_us)
        loop_round(l, 10);
}

/* Runs what stands beside; for functions whose answer is of no interest. */
static void beside(struct test *t, struct fixture *f, const char *sql)
{
    struct db_sql once = { .text = sql };

    CHECK_OK(t, db_run(f->beside, &once, ""));
}

static int64_t number_of(struct db_conn *c, const char *sql)
{
    struct db_sql once = { .text = sql };
    struct db_stmt *s;
    int64_t n = -1;

    if (db_get(c, &s, &once, "") == OK)
        n = db_i64(s, 0);
    db_done(s);
    return n;
}

static int64_t number_beside(struct fixture *f, const char *sql)
{
    return number_of(f->beside, sql);
}

static void await_number(struct test *t, struct fixture *f, const char *sql)
{
    for (int i = 0; i < 500 && number_beside(f, sql) < 1; i++)
        rounds_for(f->l, 10);
    CHECK(t, number_beside(f, sql) > 0);
}

/* ---- operations that are seen when they happen twice ---- */

struct count_op {
    struct commit_op op;
    int64_t          told, after, rows;
    enum err         e;
    bool             done;
};

static enum err count_apply(struct db_conn *c, struct commit_op *op)
{
    static struct db_sql sql = { "UPDATE note SET text = text || '+' WHERE id = 0" };

    return db_run(c, &sql, "");
}

static enum err later_apply(struct db_conn *c, struct commit_op *op)
{
    static struct db_sql sql = { "INSERT INTO note(id, text) VALUES (77, 'x') ON CONFLICT (id) DO UPDATE SET text = 'x' RETURNING id + 1" };
    struct count_op *o = LIST_ITEM(op, struct count_op, op);

    return db_run_later(c, &sql, &o->after, 1, &o->rows, "");
}

static void count_done(struct commit_op *op, enum err e)
{
    struct count_op *o = LIST_ITEM(op, struct count_op, op);

    o->done = true;
    o->told++;
    o->e = e;
}

static struct count_op count_of(enum err (*apply)(struct db_conn *c, struct commit_op *op))
{
    return (struct count_op){ .op = { .apply = apply, .done = count_done } };
}

static int64_t times_counted(struct fixture *f)
{
    return number_beside(f, "SELECT length(text) - length('first') FROM note WHERE id = 0");
}

/* ---- tests ---- */

static void a_batch_lands_once_though_its_answer_is_lost(struct test *t)
{
    struct fixture f = opened(t);

    for (int i = 1; i <= 10; i++) {
        struct count_op count = count_of(count_apply), later = count_of(later_apply);

        CHECK_OK(t, commit_add(f.d, &count.op));
        CHECK_OK(t, commit_add(f.d, &later.op));
        proxy.mode = PROXY_LOSE;
        loop_round(f.l, 0);
        rounds_for(f.l, 50);
        CHECK(t, !count.done);
        proxy.mode = PROXY_PASS;
        rounds_until(f.l, &later.done);
        CHECK(t, count.e == OK && count.told == 1 && later.e == OK);
        CHECK(t, later.rows == 1 && later.after == 78);
        if (!CHECK_INT(t, i, times_counted(&f)))
            break;
    }
    closed(&f);
}

/* The first sending lies in a frozen server's buffer, the second lands, then the server thaws. */
static void an_old_sending_does_nothing_when_it_thaws(struct test *t)
{
    struct fixture f = opened(t);
    struct count_op one = count_of(count_apply), two = count_of(count_apply);

    proxy.mode = PROXY_HOLD;
    CHECK_OK(t, commit_add(f.d, &one.op));
    loop_round(f.l, 0);
    rounds_for(f.l, 2000);
    CHECK(t, !one.done);
    rounds_until(f.l, &one.done);        /* beyond the writer's patience: sent again on another connection */
    CHECK_OK(t, one.e);
    CHECK_INT(t, 1, times_counted(&f));
    proxy.mode = PROXY_PASS;
    rounds_for(f.l, 500);
    CHECK_INT(t, 1, times_counted(&f));
    CHECK_OK(t, commit_add(f.d, &two.op));
    rounds_until(f.l, &two.done);
    CHECK_INT(t, 2, times_counted(&f));
    closed(&f);
}

static void a_killed_session_is_no_failure(struct test *t)
{
    struct fixture f = opened(t);
    struct count_op count = count_of(count_apply);
    struct db_sql lock = { "LOCK TABLE note" };
    struct db_settings s = settings_at(t, "");
    struct db_conn *locker;
    struct put p = put_of(5);
    struct str why;

    CHECK_OK(t, db_conn_open(&s, true, &locker, &f.arena, &why));
    CHECK_OK(t, conn_begin(locker, true));
    CHECK_OK(t, db_run(locker, &lock, ""));
    CHECK_OK(t, commit_add(f.d, &p.op));
    CHECK_OK(t, commit_add(f.d, &count.op));
    loop_round(f.l, 0);
    await_number(t, &f, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO note%'");
    beside(t, &f, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'INSERT INTO note%'");
    rounds_for(f.l, 100);
    CHECK(t, !p.told && !count.done);
    CHECK_OK(t, conn_commit(locker));
    db_conn_close(&locker);
    rounds_until(f.l, &count.done);
    CHECK(t, p.e == OK && count.e == OK);
    CHECK_INT(t, 1, times_counted(&f));
    closed(&f);
}

/* "canceling wait for synchronous replication": done here, and perhaps nowhere else. */
static void a_cancelled_wait_is_no_acknowledgement(struct test *t)
{
    static const char waiting[] = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
    struct fixture f = opened(t);
    struct count_op count = count_of(count_apply), later = count_of(later_apply);

    beside(t, &f, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    beside(t, &f, "SELECT pg_reload_conf()");
    rounds_for(f.l, 200);
    CHECK_OK(t, commit_add(f.d, &count.op));
    CHECK_OK(t, commit_add(f.d, &later.op));
    loop_round(f.l, 0);
    await_number(t, &f, waiting);
    beside(t, &f, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
    rounds_for(f.l, 1500);
    CHECK(t, !count.done && !later.done);
    CHECK_INT(t, ERR_UNAVAILABLE, commit_health(f.d));
    CHECK(t, commit_stalled_ms(f.d) > 1000);
    CHECK_INT(t, 1, times_counted(&f));
    await_number(t, &f, waiting);            /* the confirmation */
    beside(t, &f, "ALTER SYSTEM RESET synchronous_standby_names");
    beside(t, &f, "SELECT pg_reload_conf()");
    rounds_until(f.l, &later.done);
    CHECK(t, count.e == OK && later.e == OK && later.after == 78);
    CHECK_INT(t, 1, times_counted(&f));
    CHECK_OK(t, commit_health(f.d));
    closed(&f);
}

static void the_primary_may_go_and_come_back(struct test *t)
{
    struct fixture f = opened(t);
    struct count_op count = count_of(count_apply);

    proxy.mode = PROXY_DEAD;
    rounds_for(f.l, 50);
    CHECK_OK(t, commit_add(f.d, &count.op));
    rounds_for(f.l, 1300);
    CHECK(t, !count.done);
    CHECK_INT(t, ERR_UNAVAILABLE, commit_health(f.d));
    CHECK_INT(t, 1, commit_waiting(f.d));
    proxy.mode = PROXY_PASS;
    rounds_until(f.l, &count.done);
    CHECK_OK(t, count.e);
    CHECK_INT(t, 1, times_counted(&f));
    CHECK_INT(t, 0, commit_stalled_ms(f.d));
    closed(&f);
}

static void closing_does_not_wait_for_a_dead_primary(struct test *t)
{
    struct fixture f = opened(t);
    struct count_op count = count_of(count_apply);
    int64_t start_us;

    proxy.mode = PROXY_DEAD;
    CHECK_OK(t, commit_add(f.d, &count.op));
    rounds_for(f.l, 50);
    start_us = pg_now_us();
    closed(&f);
    CHECK(t, count.done && count.e != OK);
    CHECK(t, pg_now_us() - start_us < 6000000);
}

/* Operations of every kind while the connection is cut, starved and mended at random: each happens once, each is told
 * once and in order, and only the guilty hear of an error. */
static void whatever_happens_each_happens_once(struct test *t)
{
    enum { ROUNDS = 40, OPS = 8 };
    static const enum proxy_mode modes[] = { PROXY_PASS, PROXY_PASS, PROXY_LOSE, PROXY_DEAD, PROXY_LOSE };
    struct fixture f = opened(t);
    struct count_op counts[ROUNDS][OPS], laters[ROUNDS];
    struct put *puts = calloc(ROUNDS * OPS, sizeof *puts), twice[ROUNDS];
    unsigned seed = (unsigned)getpid();
    bool ordered = true;

    printf("        seed %u\n", seed);
    for (int r = 0; r < ROUNDS; r++) {
        for (int i = 0; i < OPS; i++) {
            counts[r][i] = count_of(count_apply);
            puts[r * OPS + i] = put_of(1000 + r * OPS + i);
            CHECK_OK(t, commit_add(f.d, &counts[r][i].op));
            CHECK_OK(t, commit_add(f.d, &puts[r * OPS + i].op));
        }
        laters[r] = count_of(later_apply);
        twice[r] = put_of(0);                    /* is there already */
        CHECK_OK(t, commit_add(f.d, &laters[r].op));
        CHECK_OK(t, r % 3 ? OK : commit_add(f.d, &twice[r].op));
        proxy.mode = modes[rand_r(&seed) % 5];
        rounds_for(f.l, (int)(rand_r(&seed) % 60));
        if (rand_r(&seed) % 2) {
            proxy.mode = PROXY_PASS;             /* so that the next trouble finds a connection to spoil */
            rounds_until(f.l, &laters[r].done);
        }
    }
    proxy.mode = PROXY_PASS;
    rounds_until(f.l, &laters[ROUNDS - 1].done);
    for (int r = 0; r < ROUNDS; r++) {
        CHECK(t, laters[r].done && laters[r].e == OK && laters[r].rows == 1 && laters[r].after == 78);
        CHECK(t, r % 3 || (twice[r].told && twice[r].e == ERR_EXISTS));
        for (int i = 0; i < OPS; i++)
            CHECK(t, counts[r][i].told == 1 && counts[r][i].e == OK && puts[r * OPS + i].e == OK);
    }
    for (int i = 1; i < ROUNDS * OPS; i++)
        ordered &= puts[i].order > puts[i - 1].order;
    CHECK(t, ordered);
    CHECK_INT(t, ROUNDS * OPS, times_counted(&f));
    CHECK_INT(t, ROUNDS * OPS, number_beside(&f, "SELECT count(*) FROM note WHERE id >= 1000"));
    free(puts);
    closed(&f);
}

/* ---- reads ---- */

struct plain_read {
    struct db_read read;
    int64_t        found;
    enum err       e;
    bool           told;
};

static enum err plain_work(struct db_conn *c, struct db_read *r)
{
    LIST_ITEM(r, struct plain_read, read)->found = notes_with(c, 0);
    return OK;
}

static void plain_done(struct db_read *r, enum err e)
{
    struct plain_read *p = LIST_ITEM(r, struct plain_read, read);

    p->told = true;
    p->e = e;
}

static enum err read_one(struct fixture *f, int64_t *found)
{
    struct plain_read p = { .read = { .work = plain_work, .done = plain_done } };
    enum err e = db_read_start(f->d, &p.read);

    if (e)
        return e;
    rounds_until(f->l, &p.told);
    *found = p.found;
    return p.e;
}

/* The loop's reads have little patience; a busy machine may need more than one. */
static int64_t read_in_the_loop(struct fixture *f)
{
    int64_t found = -1;

    for (int i = 0; i < 20 && found < 0; i++)
        found = notes_with(db_loop_conn(f->d), 0);
    return found;
}

static void a_read_waits_for_its_position(struct test *t)
{
    struct fixture f = opened(t);
    struct count_op count = count_of(count_apply);
    int64_t found = 0, position;

    CHECK_OK(t, read_one(&f, &found));
    CHECK_INT(t, 1, found);
    CHECK_OK(t, commit_add(f.d, &count.op));
    rounds_until(f.l, &count.done);
    position = db_position(f.d);
    CHECK(t, position > 0);
    CHECK_OK(t, read_one(&f, &found));
    db_position_need(f.d, position + (1LL << 40));           /* another process knows of much that is not here */
    CHECK_INT(t, ERR_UNAVAILABLE, read_one(&f, &found));
    CHECK_INT(t, -1, notes_with(db_loop_conn(f.d), 0));
    closed(&f);
}

/* A statement that fails takes the others of its rehearsal with it: that is no answer "there is none". */
static enum err failing_work(struct db_conn *c, struct db_read *r)
{
    static struct db_sql divide = { "SELECT 1 / CAST(?1 AS INTEGER)" };
    struct plain_read *p = LIST_ITEM(r, struct plain_read, read);
    struct db_stmt *s;

    if (!db_rehearse(c))
        return ERR_BUG;
    db_get(c, &s, &divide, "i", (int64_t)0);
    notes_with(c, 0);
    db_perform(c);
    p->found = notes_with(c, 0);
    return OK;
}

static void a_failure_in_a_rehearsal_is_told(struct test *t)
{
    struct fixture f = opened(t);
    struct plain_read p = { .read = { .work = failing_work, .done = plain_done } };
    int64_t found = 0;

    CHECK_OK(t, db_read_start(f.d, &p.read));
    rounds_until(f.l, &p.told);
    CHECK_OK(t, p.e);
    CHECK_INT(t, -1, p.found);
    CHECK_OK(t, read_one(&f, &found));
    CHECK_INT(t, 1, found);
    closed(&f);
}

static void a_read_goes_on_after_a_cut(struct test *t)
{
    struct fixture f = opened(t);
    int64_t found = 0;

    CHECK_OK(t, read_one(&f, &found));
    proxy.mode = PROXY_DEAD;
    rounds_for(f.l, 50);
    CHECK_INT(t, ERR_UNAVAILABLE, read_one(&f, &found));
    CHECK_INT(t, -1, notes_with(db_loop_conn(f.d), 0));
    proxy.mode = PROXY_PASS;
    CHECK_OK(t, read_one(&f, &found));
    CHECK_INT(t, 1, read_in_the_loop(&f));
    closed(&f);
}

/* ---- two servers ---- */

static struct db_conn *replica_open(struct test *t, struct fixture *f)
{
    struct db_settings s = { .server = getenv("BONGSU_TEST_POSTGRESQL_REPLICA"), .schema = test_schema(t), .path = "" };
    struct db_conn *c = NULL;
    struct str why;

    CHECK_OK(t, db_conn_open(&s, false, &c, &f->arena, &why));
    return c;
}

static bool has_replica(struct test *t)
{
    struct db_settings s = { .server = getenv("BONGSU_TEST_POSTGRESQL_REPLICA"), .path = "" };
    struct db_conn *c = NULL;
    struct arena a;
    struct str why;
    bool has;

    arena_init(&a);
    has = replica_port() && db_conn_open(&s, false, &c, &a, &why) == OK && number_of(c, "SELECT pg_is_in_recovery()") == 1;
    db_conn_close(&c);
    arena_done(&a);
    if (!has)
        test_skip(t, "there is no replica, or it has been promoted before");
    return has;
}

struct where_read {
    struct plain_read plain;
    int64_t           counted, replica;
};

static enum err where_work(struct db_conn *c, struct db_read *r)
{
    struct where_read *w = LIST_ITEM(r, struct where_read, plain.read);

    w->replica = number_of(c, "SELECT pg_is_in_recovery()");
    w->counted = number_of(c, "SELECT length(text) - length('first') FROM note WHERE id = 0");
    return OK;
}

static struct where_read read_where(struct test *t, struct fixture *f)
{
    struct where_read w = { .plain.read = { .work = where_work, .done = plain_done } };

    CHECK_OK(t, db_read_start(f->d, &w.plain.read));
    rounds_until(f->l, &w.plain.told);
    CHECK_OK(t, w.plain.e);
    return w;
}

static void count_once(struct test *t, struct fixture *f)
{
    struct count_op count = count_of(count_apply);

    CHECK_OK(t, commit_add(f->d, &count.op));
    rounds_until(f->l, &count.done);
    CHECK_OK(t, count.e);
}

static void the_nearest_replica_answers_what_it_has(struct test *t)
{
    struct fixture f;
    int there = 0;

    if (!has_replica(t))
        return;
    f = opened_at(t, REPLICA_PRIMARY);
    for (int i = 1; i <= 20; i++) {
        struct where_read w;

        count_once(t, &f);
        w = read_where(t, &f);
        CHECK_INT(t, i, w.counted);
        there += (int)w.replica;
    }
    CHECK(t, there > 0);
    closed(&f);
}

/* What a primary that lost its place has on its own was never acknowledged. */
static void a_primary_that_was_is_not_read(struct test *t)
{
    struct fixture f;
    struct where_read w;

    if (!has_replica(t))
        return;
    f = opened_at(t, REPLICA_PRIMARY);
    count_once(t, &f);
    CHECK_INT(t, 2, f.d->shared.primary_last);
    f.d->shared.primary_last = 1;                    /* as if the first had been it, and came back as a replica */
    for (int i = 2; i <= 10; i++) {
        count_once(t, &f);
        w = read_where(t, &f);
        CHECK_INT(t, i, w.counted);
        CHECK(t, !w.replica);
    }
    closed(&f);
}

/* The first server dies with a batch in flight, the second is promoted, the first comes back and still thinks that it is
 * the primary. */
static void the_writer_follows_a_promotion(struct test *t)
{
    struct count_op count = count_of(count_apply);
    struct db_conn *second;
    struct where_read w;
    struct fixture f;
    int64_t start_us;

    if (!has_replica(t))
        return;
    f = opened_at(t, PRIMARY_REPLICA);
    count_once(t, &f);
    second = replica_open(t, &f);
    for (int i = 0; i < 500 && number_of(second, "SELECT length(text) - length('first') FROM note WHERE id = 0") != 1; i++)
        rounds_for(f.l, 10);
    proxy.mode = PROXY_DEAD;
    db_position_need(f.d, db_position(f.d) + (1 << 24));     /* its log went on, unacknowledged */
    rounds_for(f.l, 50);
    CHECK_OK(t, commit_add(f.d, &count.op));
    rounds_for(f.l, 300);
    CHECK(t, !count.done);
    CHECK_INT(t, 1, number_of(second, "SELECT pg_promote(true, 30)"));
    start_us = pg_now_us();
    rounds_until(f.l, &count.done);
    printf("        the next commit: %lld ms after the promotion\n", (long long)(pg_now_us() - start_us) / 1000);
    CHECK_OK(t, count.e);
    CHECK_INT(t, 1, times_counted(&f));              /* on the first, which is behind the dead proxy */
    CHECK_INT(t, 2, number_of(second, "SELECT length(text) - length('first') FROM note WHERE id = 0"));
    proxy.mode = PROXY_PASS;
    rounds_for(f.l, 2200);                           /* the readers look at it again */
    count_once(t, &f);
    w = read_where(t, &f);
    CHECK_INT(t, 3, w.counted);
    CHECK_INT(t, 1, times_counted(&f));
    db_conn_close(&second);
    closed(&f);
}

/* ---- texts ---- */

static void what_is_no_text_is_refused(struct test *t)
{
    struct fixture f = opened(t);
    struct db_sql put = { "INSERT INTO note(id, text) VALUES (?1, ?2)" };

    CHECK_INT(t, ERR_INVALID, db_run(f.beside, &put, "is", (int64_t)9, STR("a\0b")));
    CHECK_INT(t, ERR_INVALID, db_run(f.beside, &put, "is", (int64_t)9, STR("\xff")));
    CHECK_OK(t, db_run(f.beside, &put, "is", (int64_t)9, STR("좋아")));
    CHECK_INT(t, ERR_EXISTS, db_run(f.beside, &put, "is", (int64_t)9, STR("again")));
    closed(&f);
}

/* ---- tables ---- */

static void tables_keep_their_length(struct test *t)
{
    struct fixture f = opened(t);

    CHECK_INT(t, 0, number_beside(&f, "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
                                      " AND NOT coalesce(reloptions, '{}') @> ARRAY['vacuum_truncate=false']"));
    CHECK(t, number_beside(&f, "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'") > 2);
    closed(&f);
}

DB_TEST_MAIN(TEST(a_batch_lands_once_though_its_answer_is_lost), TEST(an_old_sending_does_nothing_when_it_thaws),
             TEST(a_killed_session_is_no_failure), TEST(a_cancelled_wait_is_no_acknowledgement),
             TEST(the_primary_may_go_and_come_back), TEST(closing_does_not_wait_for_a_dead_primary),
             TEST(whatever_happens_each_happens_once), TEST(a_read_waits_for_its_position), TEST(a_read_goes_on_after_a_cut), TEST(a_failure_in_a_rehearsal_is_told), TEST(what_is_no_text_is_refused), TEST(tables_keep_their_length),
             TEST(the_nearest_replica_answers_what_it_has), TEST(a_primary_that_was_is_not_read), TEST(the_writer_follows_a_promotion))
