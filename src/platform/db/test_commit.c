/* test_commit.c: what the commit batch promises.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/fault.h"
#include "db/test_util.h"
#include <unistd.h>

struct fixture {
    struct loop *l;
    struct db   *d;
};

static struct fixture opened(struct test *t)
{
    struct fixture f = { .l = loop_new() };
    struct db_settings s = settings_at(t, notes_path(t));

    f.d = notes_open_at(t, f.l, &s);
    puts_told = 0;
    return f;
}

static void closed(struct fixture *f)
{
    db_close(&f->d);
    loop_free(&f->l);
}

static void writes_of_one_round_share_a_commit(struct test *t)
{
    enum { N = 500 };
    struct fixture f = opened(t);
    struct put *p = calloc(N, sizeof *p);

    for (int i = 0; i < N; i++) {
        p[i] = put_of(i + 1);
        CHECK_OK(t, commit_add(f.d, &p[i].op));
        CHECK(t, !p[i].told);
    }
    CHECK_INT(t, N, commit_waiting(f.d));
    rounds_until(f.l, &p[N - 1].told);
    for (int i = 0; i < N; i++)
        if (!CHECK(t, p[i].told && p[i].e == OK && p[i].order == i + 1))
            break;
    CHECK_INT(t, 1, commit_stats(f.d).batches);
    CHECK_INT(t, N, commit_stats(f.d).ops);
    CHECK_INT(t, 0, commit_waiting(f.d));
    CHECK_INT(t, 1, notes_with(db_loop_conn(f.d), N));
    free(p);
    closed(&f);
}

static void the_next_batch_fills_meanwhile(struct test *t)
{
    struct fixture f = opened(t);
    struct put a = put_of(1), b = put_of(2), c = put_of(3);

    commit_add(f.d, &a.op);
    loop_round(f.l, 0);              /* leaves */
    commit_add(f.d, &b.op);
    commit_add(f.d, &c.op);
    rounds_until(f.l, &c.told);
    CHECK_OK(t, a.e);
    CHECK_OK(t, c.e);
    CHECK(t, a.order == 1 && b.order == 2 && c.order == 3);
    CHECK(t, commit_stats(f.d).batches <= 2);
    closed(&f);
}

/* Only the one whose row is there already hears of it; the others are stored. */
static void only_the_guilty_one_is_told(struct test *t)
{
    struct fixture f = opened(t);
    struct put p[5] = { put_of(1), put_of(2), put_of(1), put_of(3), put_of(2) };

    for (int i = 0; i < 5; i++)
        commit_add(f.d, &p[i].op);
    rounds_until(f.l, &p[4].told);
    CHECK(t, p[0].e == OK && p[1].e == OK && p[3].e == OK);
    CHECK_INT(t, ERR_EXISTS, p[2].e);
    CHECK_INT(t, ERR_EXISTS, p[4].e);
    CHECK_INT(t, 1, notes_with(db_loop_conn(f.d), 3));
    CHECK_OK(t, commit_health(f.d));
    closed(&f);
}

struct slow {
    struct commit_op op;
    struct loop     *l;
    struct loop_post other;             /* what the loop has to do besides */
    struct slow     *before;
    bool             told, other_ran, others_before;
};

static void other_runs(struct loop_post *p) { LIST_ITEM(p, struct slow, other)->other_ran = true; }

static void slow_done(struct commit_op *op, enum err e)
{
    struct slow *s = LIST_ITEM(op, struct slow, op);

    s->told = e == OK;
    s->others_before = s->before && s->before->other_ran;
    s->other.run = other_runs;
    loop_post(s->l, &s->other);
    usleep(6000);                       /* more than the loop gives to a batch in one round */
}

/* Nor does the next batch leave before all of this one know. */
static void telling_many_leaves_time_for_others(struct test *t)
{
    struct fixture f = opened(t);
    struct slow    many[3];
    struct put     next = put_of(1);

    for (int i = 0; i < 3; i++) {
        many[i] = (struct slow){ .op = { .done = slow_done }, .l = f.l, .before = i ? &many[i - 1] : NULL };
        CHECK_OK(t, commit_add(f.d, &many[i].op));
    }
    while (!many[1].told)
        loop_round(f.l, 100);
    CHECK(t, many[1].others_before && !many[2].told);
    CHECK_OK(t, commit_add(f.d, &next.op));
    rounds_until(f.l, &next.told);
    CHECK(t, many[2].told && many[2].others_before);
    CHECK_OK(t, next.e);
    closed(&f);
}

static void closing_tells_all(struct test *t)
{
    struct fixture f = opened(t);
    struct slow    many[3];

    for (int i = 0; i < 3; i++) {
        many[i] = (struct slow){ .op = { .done = slow_done }, .l = f.l };
        commit_add(f.d, &many[i].op);
    }
    while (!many[0].told)
        loop_round(f.l, 100);
    db_close(&f.d);
    CHECK(t, many[1].told && many[2].told);
    loop_round(f.l, 0);                 /* the word that was on its way finds nobody */
    loop_free(&f.l);
}

static enum err look_then_put(struct db_conn *c, struct commit_op *op)
{
    static struct db_sql sql = { "SELECT count(*) FROM note" };
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &sql, "");

    if (s)
        db_done(s);
    return e ? e : put_apply(c, op);
}

/* On PostgreSQL the look of the next one is where a failed statement is heard of: all that was sent is answered by then. */
static void who_looks_behind_the_guilty_one_is_not_told(struct test *t)
{
    struct fixture f = opened(t);
    struct put first = put_of(1);

    commit_add(f.d, &first.op);
    rounds_until(f.l, &first.told);
    for (int guilty = 0; guilty < 3; guilty++) {
        struct put p[3];

        for (int i = 0; i < 3; i++) {
            p[i] = put_of(i == guilty ? 1 : 10 * guilty + i + 2);
            p[i].op.apply = look_then_put;
            commit_add(f.d, &p[i].op);
        }
        rounds_until(f.l, &p[2].told);
        for (int i = 0; i < 3; i++)
            CHECK_INT(t, i == guilty ? ERR_EXISTS : OK, p[i].e);
    }
    CHECK_INT(t, 0, commit_stats(f.d).failed_batches);
    closed(&f);
}

static enum err apply_then_refuse(struct db_conn *c, struct commit_op *op)
{
    return put_apply(c, op) ? ERR_BUG : ERR_INVALID;
}

static void a_refused_operation_leaves_no_trace(struct test *t)
{
    struct fixture f = opened(t);
    struct put a = put_of(1), b = put_of(2);

    a.op.apply = apply_then_refuse;
    commit_add(f.d, &a.op);
    commit_add(f.d, &b.op);
    rounds_until(f.l, &b.told);
    CHECK_INT(t, ERR_INVALID, a.e);
    CHECK_OK(t, b.e);
    CHECK_INT(t, 0, notes_with(db_loop_conn(f.d), 1));
    CHECK_INT(t, 1, notes_with(db_loop_conn(f.d), 2));
    closed(&f);
}

static void waiting_only_keeps_the_order(struct test *t)
{
    struct fixture f = opened(t);
    struct put a = put_of(1), wait = put_of(0);

    wait.op.apply = NULL;
    commit_add(f.d, &a.op);
    commit_add(f.d, &wait.op);
    rounds_until(f.l, &wait.told);
    CHECK(t, a.told && wait.e == OK && wait.order == 2);
    closed(&f);
}

struct claim {
    struct put put;
    int64_t    out[2], rows;
};

static enum err claim_apply(struct db_conn *c, struct commit_op *op)
{
    static struct db_sql sql = { "INSERT INTO note(id, text) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING RETURNING id * 2, NULL" };
    struct claim *m = LIST_ITEM(op, struct claim, put.op);

    return db_run_later(c, &sql, m->out, 2, &m->rows, "is", m->put.id, STR("mine"));
}

/* Numbers that are needed only after the commit: there before `done`, however the batch went. */
static void numbers_come_with_the_commit(struct test *t)
{
    struct fixture f = opened(t);

    for (int spoilt = 0; spoilt < 2; spoilt++) {
        struct claim first = { .put = put_of(10 + spoilt), .out = { -1, -1 } }, second = first;
        struct put bad = put_of(0);              /* is there already: the batch goes one by one */

        first.put.op.apply = second.put.op.apply = claim_apply;
        commit_add(f.d, &first.put.op);
        if (spoilt)
            commit_add(f.d, &bad.op);
        commit_add(f.d, &second.put.op);
        rounds_until(f.l, &second.put.told);
        CHECK(t, first.put.e == OK && first.rows == 1 && first.out[0] == 20 + 2 * spoilt && first.out[1] == 0);
        CHECK(t, second.put.e == OK && second.rows == 0);
        CHECK_INT(t, spoilt ? ERR_EXISTS : OK, spoilt ? bad.e : OK);
    }
    closed(&f);
}

/* Wherever the disk fails, a batch is stored whole or not at all, and told so. A primary without room is tried again. */
static void a_batch_is_all_or_nothing(struct test *t, const char *place, enum err pretended)
{
    struct fixture f = opened(t);
    bool again = on_server() && pretended == ERR_FULL, fired = true;

    for (int nth = 1; fired && nth < 20; nth++) {
        struct put p[4] = { put_of(nth * 10 + 1), put_of(nth * 10 + 2), put_of(nth * 10 + 3), put_of(nth * 10 + 4) };

        fault_arm(place, nth, pretended);
        for (int i = 0; i < 4; i++)
            commit_add(f.d, &p[i].op);
        rounds_until(f.l, &p[3].told);
        fired = fault_disarm(place);
        for (int i = 0; i < 4; i++) {
            CHECK_INT(t, fired && !again ? pretended : OK, p[i].e);
            CHECK_INT(t, fired && !again ? 0 : 1, notes_with(db_loop_conn(f.d), p[i].id));
        }
        CHECK_INT(t, fired && !again ? pretended : OK, commit_health(f.d));
    }
    CHECK(t, !fired);
    closed(&f);
}

static void a_failed_write_fails_the_batch(struct test *t)
{
    a_batch_is_all_or_nothing(t, "db.write", ERR_IO);
}

static void a_failed_commit_fails_the_batch(struct test *t)
{
    a_batch_is_all_or_nothing(t, "db.commit", ERR_FULL);
}

/* The answer is lost: SQLite cannot know, on PostgreSQL the marker tells. */
static void a_lost_answer_is_uncertain(struct test *t)
{
    struct fixture f = opened(t);
    struct put p = put_of(1);

    fault_arm(on_server() ? "db.commit" : "db.synced", 1, ERR_UNCERTAIN);
    CHECK_INT(t, on_server() ? OK : ERR_UNCERTAIN, put_and_wait(f.d, f.l, &p));
    CHECK(t, fault_disarm(on_server() ? "db.commit" : "db.synced"));
    CHECK_INT(t, 1, notes_with(db_loop_conn(f.d), 1));
    closed(&f);
}

static void a_full_disk_heals(struct test *t)
{
    struct fixture f = { .l = loop_new() };
    struct db_settings s = { .path = notes_path(t), .bytes_max = 1024 * 1024 };
    enum err e = OK;
    int64_t id = 0, stored = 0;

    if (on_server()) {
        test_skip(t, "a file's bound");
        loop_free(&f.l);
        return;
    }
    f.d = notes_open_at(t, f.l, &s);
    while (e == OK && id < 1000) {
        struct put p = put_of(++id);

        p.body_bytes = 20000;
        e = put_and_wait(f.d, f.l, &p);
    }
    CHECK_INT(t, ERR_FULL, e);
    CHECK_INT(t, ERR_FULL, commit_health(f.d));
    CHECK(t, id > 10 && id < 60);
    for (int64_t i = 1; i < id; i++)
        stored += notes_with(db_loop_conn(f.d), i);
    CHECK_INT(t, id - 1, stored);

    /* Room comes back from elsewhere; the probe notices without a write of ours. */
    struct db_conn *tool = NULL;
    struct arena a;
    struct str why;

    arena_init(&a);
    CHECK_OK(t, db_conn_open(&s, true, &tool, &a, &why));
    CHECK_OK(t, db_exec(tool, "DELETE FROM note WHERE id > 5"));
    db_conn_close(&tool);
    arena_done(&a);
    for (int i = 0; i < 500 && commit_health(f.d); i++)
        loop_round(f.l, 10);
    CHECK_OK(t, commit_health(f.d));
    struct put again = put_of(5000);
    CHECK_OK(t, put_and_wait(f.d, f.l, &again));
    closed(&f);
}

static void too_much_waiting_is_refused(struct test *t)
{
    struct fixture f = opened(t);
    struct put *p = calloc(COMMIT_OPS_MAX + 1, sizeof *p);

    for (int i = 0; i < COMMIT_OPS_MAX; i++) {
        p[i] = put_of(i + 1);
        p[i].op.apply = NULL;
        if (!CHECK_OK(t, commit_add(f.d, &p[i].op)))
            break;
    }
    p[COMMIT_OPS_MAX] = put_of(1);
    CHECK_INT(t, ERR_LIMIT, commit_add(f.d, &p[COMMIT_OPS_MAX].op));
    rounds_until(f.l, &p[COMMIT_OPS_MAX - 1].told);
    CHECK(t, p[COMMIT_OPS_MAX - 1].told && !p[COMMIT_OPS_MAX].told);
    CHECK_OK(t, put_and_wait(f.d, f.l, &p[COMMIT_OPS_MAX]));
    free(p);
    closed(&f);
}

struct summing {
    struct db *d;
    struct put last;
    int        sealed;
};

static void add_last(void *arg)
{
    struct summing *s = arg;

    if (++s->sealed == 1)
        commit_add(s->d, &s->last.op);
}

static void a_seal_may_add_the_last_operation(struct test *t)
{
    struct fixture f = opened(t);
    struct put a = put_of(1);
    struct summing s = { .d = f.d, .last = put_of(2) };

    commit_on_seal(f.d, add_last, &s);
    CHECK_OK(t, put_and_wait(f.d, f.l, &a));
    CHECK(t, s.last.told && s.last.e == OK && s.last.order == 2);
    CHECK_INT(t, 1, s.sealed);
    CHECK_INT(t, 1, commit_stats(f.d).batches);
    closed(&f);
}

struct chain {
    struct put put;
    struct db *d;
    int        left;
    bool       over;
};

static void chain_done(struct commit_op *op, enum err e)
{
    struct chain *c = LIST_ITEM(op, struct chain, put.op);

    c->put.e = e;
    c->put.id++;
    if (e || --c->left == 0)
        c->over = true;
    else
        commit_add(c->d, &c->put.op);
}

static void done_may_add_again(struct test *t)
{
    struct fixture f = opened(t);
    struct chain c = { .put = put_of(1), .d = f.d, .left = 30 };

    c.put.op.done = chain_done;
    commit_add(f.d, &c.put.op);
    rounds_until(f.l, &c.over);
    CHECK_OK(t, c.put.e);
    CHECK_INT(t, 1, notes_with(db_loop_conn(f.d), 30));
    closed(&f);
}

static void closing_commits_what_is_queued(struct test *t)
{
    for (int rounds = 0; rounds < 2; rounds++) {
        struct fixture f = opened(t);
        struct put a = put_of(rounds * 2 + 1), b = put_of(rounds * 2 + 2);

        commit_add(f.d, &a.op);
        for (int i = 0; i < rounds; i++)
            loop_round(f.l, 0);
        commit_add(f.d, &b.op);
        db_close(&f.d);
        CHECK(t, a.told && a.e == OK && b.told && b.e == OK);
        loop_round(f.l, 0);
        closed(&f);
    }
    struct fixture f = opened(t);
    for (int64_t id = 1; id <= 4; id++)
        CHECK_INT(t, 1, notes_with(db_loop_conn(f.d), id));
    closed(&f);
}

static void try_for_ever(struct commit_op *op, enum err e)
{
    struct chain *c = LIST_ITEM(op, struct chain, put.op);

    c->left++;
    c->put.e = commit_add(c->d, op);
}

static void closing_ends_though_a_write_is_tried_for_ever(struct test *t)
{
    struct fixture f = opened(t);
    struct chain c = { .put = put_of(1), .d = f.d };

    c.put.op.done = try_for_ever;
    fault_arm("db.commit", 0, ERR_IO);
    commit_add(f.d, &c.put.op);
    db_close(&f.d);
    fault_disarm("db.commit");
    CHECK_INT(t, ERR_CLOSED, c.put.e);
    CHECK(t, c.left > 0);
    closed(&f);
}

/* Load with checkpoints in between: everything told is there after opening again. */
static void much_data_survives_checkpoints(struct test *t)
{
    enum { N = 2000 };
    struct fixture f = opened(t);
    struct put *p = calloc(N, sizeof *p);
    int64_t sum = 0;

    for (int i = 0; i < N; i++) {
        p[i] = put_of(i + 1);
        p[i].body_bytes = 10000;
        commit_add(f.d, &p[i].op);
        if (i % 100 == 99)
            loop_round(f.l, 10);
    }
    rounds_until(f.l, &p[N - 1].told);
    closed(&f);
    f = opened(t);
    for (int i = 0; i < N; i++)
        sum += p[i].e == OK ? notes_with(db_loop_conn(f.d), p[i].id) : 0;
    CHECK_INT(t, N, sum);
    free(p);
    closed(&f);
}

DB_TEST_MAIN(TEST(writes_of_one_round_share_a_commit), TEST(the_next_batch_fills_meanwhile),
          TEST(telling_many_leaves_time_for_others), TEST(closing_tells_all),
          TEST(only_the_guilty_one_is_told), TEST(who_looks_behind_the_guilty_one_is_not_told),
          TEST(a_refused_operation_leaves_no_trace),
          TEST(waiting_only_keeps_the_order), TEST(numbers_come_with_the_commit), TEST(a_failed_write_fails_the_batch),
          TEST(a_failed_commit_fails_the_batch), TEST(a_lost_answer_is_uncertain), TEST(a_full_disk_heals),
          TEST(too_much_waiting_is_refused), TEST(a_seal_may_add_the_last_operation), TEST(done_may_add_again),
          TEST(closing_commits_what_is_queued), TEST(closing_ends_though_a_write_is_tried_for_ever),
          TEST(much_data_survives_checkpoints))
