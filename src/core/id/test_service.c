/* test_service.c: talk's side (ident.h) and ident itself, over an in-process bus.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fault.h"
#include "db/test_engine.h"
#include "id/payload.h"
#include "id/service.h"
#include "id/sasl.h"
#include "id/test_client.h"

struct fixture {
    struct arena    a;
    struct loop    *l;
    struct bus_hub *hub;
    struct bus     *ident_bus, *talk, *keeper, *web, *courier;
    struct ident   *ident;
    struct ident_options o;
    /* the last answer */
    bool            answered;
    enum err        e;
    struct sasl_answer sasl;
    struct str      payload;
    char            deleted[64];
    int64_t         count;
};

static void deleted(void *arg, struct str subject, struct str payload)
{
    struct fixture *f = arg;
    struct codec_reader r = codec_open(payload, IDENT_PAYLOAD_VERSION);

    str_copy(codec_str(&r, 63), f->deleted, sizeof f->deleted);
}

static bool setup(struct test *t, struct fixture *f, struct ident_options o)
{
    struct str why = STR_NULL;

    memset(f, 0, sizeof *f);
    arena_init(&f->a);
    f->l = loop_new();
    o.domain = "town.example";
    o.server = settings_at(t, "").server;
    o.schema = settings_at(t, "").schema;
    o.database = arena_printf(&f->a, "%s/ident.db", test_dir(t)).p;
    o.scram_iterations = SCRAM_ITERATIONS_MIN;
    o.hash_threads = 2;
    o.fast_token_days = 21;
    CHECK_OK(t, bus_new_inproc(f->l, "ident", &f->hub, &f->ident_bus));
    CHECK_OK(t, bus_new_inproc(f->l, "talk", &f->hub, &f->talk));
    CHECK_OK(t, bus_new_inproc(f->l, "keeper", &f->hub, &f->keeper));
    CHECK_OK(t, bus_new_inproc(f->l, "web", &f->hub, &f->web));
    CHECK_OK(t, bus_new_inproc(f->l, "courier", &f->hub, &f->courier));
    CHECK_OK(t, bus_subscribe(f->talk, "account.deleted", deleted, f));
    if (CHECK_OK(t, ident_new(f->l, f->ident_bus, &o, &f->ident, &f->a, &why)))
        return true;
    printf("      %.*s\n", STR_ARG(why));
    return false;
}

static void teardown(struct fixture *f)
{
    ident_free(&f->ident);
    for (int i = 0; i < 3; i++)
        loop_round(f->l, 0);
    bus_free(&f->talk);
    bus_free(&f->keeper);
    bus_free(&f->web);
    bus_free(&f->courier);
    bus_free(&f->ident_bus);
    loop_round(f->l, 0);
    loop_free(&f->l);
    arena_done(&f->a);
    clock_set_us(0);
}

static void wait_answer(struct test *t, struct fixture *f)
{
    for (int i = 0; i < 2000 && !f->answered; i++)
        loop_round(f->l, 10);
    CHECK(t, f->answered);
    f->answered = false;
}

static void done(void *arg, enum err e)
{
    struct fixture *f = arg;

    f->answered = true;
    f->e = e;
}

static struct str keep(struct fixture *f, struct str s)
{
    return s.p ? arena_str(&f->a, s) : s;
}

static void sasl_done(void *arg, enum err e, const struct sasl_answer *a)
{
    struct fixture *f = arg;

    done(f, e);
    f->sasl = a ? *a : (struct sasl_answer){ .state = SASL_FAILURE, .failure = SASL_TEMPORARY_AUTH_FAILURE };
    f->sasl.data = keep(f, f->sasl.data);
    f->sasl.user = keep(f, f->sasl.user);
    f->sasl.fast_token = keep(f, f->sasl.fast_token);
}

static void replied(void *arg, enum err e, struct str payload)
{
    struct fixture *f = arg;

    done(f, e);
    f->payload = keep(f, payload);
}

/* Asks as `b` with up to two texts. */
static enum err ask(struct test *t, struct fixture *f, struct bus *b, const char *subject, const char *one, const char *two)
{
    struct buf out = { 0 };

    codec_begin(&out, IDENT_PAYLOAD_VERSION);
    codec_put_str(&out, str_of(one));
    if (two)
        codec_put_str(&out, str_of(two));
    CHECK_OK(t, bus_ask(b, subject, buf_str(&out), 5000, replied, f));
    buf_done(&out);
    wait_answer(t, f);
    return f->e;
}

static enum sasl_failure start(struct test *t, struct fixture *f, struct sasl_start s)
{
    if (!s.peer_key.p)
        s.peer_key = STR("10.0.0.1");
    CHECK_OK(t, ident_sasl_start(f->talk, &s, sasl_done, f));
    wait_answer(t, f);
    return f->sasl.failure;
}

static enum sasl_failure step(struct test *t, struct fixture *f, uint64_t exchange, struct str response)
{
    CHECK_OK(t, ident_sasl_step(f->talk, exchange, response, sasl_done, f));
    wait_answer(t, f);
    return f->sasl.failure;
}

static enum sasl_failure scram(struct test *t, struct fixture *f, const char *user, const char *password, struct sasl_start s)
{
    struct scram_client c = { .kind = DIGEST_SHA256, .password = password, .gs2 = "n,,",
                              .bare = arena_printf(&f->a, "n=%s,r=abc", user) };

    s.mechanism = STR("SCRAM-SHA-256");
    s.initial = client_first(&f->a, &c);
    if (start(t, f, s) || !CHECK_INT(t, SASL_CONTINUE, f->sasl.state))
        return f->sasl.failure;
    c.server_first = f->sasl.data;
    if (step(t, f, f->sasl.exchange, client_final(&f->a, &c)) == SASL_FINE)
        CHECK(t, str_eq(c.want_server_final, f->sasl.data));
    return f->sasl.failure;
}

static enum sasl_failure plain(struct test *t, struct fixture *f, const char *user, const char *password, const char *peer)
{
    struct str in = arena_printf(&f->a, "?%s?%s", user, password);

    ((char *)in.p)[0] = ((char *)in.p)[strlen(user) + 1] = 0;
    return start(t, f, (struct sasl_start){ .mechanism = STR("PLAIN"), .initial = in, .peer_key = str_of(peer) });
}

static void an_account_lives_through_the_bus(struct test *t)
{
    struct fixture f;

    if (!setup(t, &f, (struct ident_options){ .registration = true }))
        return;
    CHECK_OK(t, ident_user_exists(f.talk, STR("alice"), done, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_NOT_FOUND, f.e);
    CHECK_OK(t, ident_user_register(f.talk, STR("Alice"), STR("pencil"), STR("10.0.0.1"), done, &f));
    wait_answer(t, &f);
    CHECK_OK(t, f.e);
    CHECK_OK(t, ident_user_exists(f.talk, STR("alice"), done, &f));
    wait_answer(t, &f);
    CHECK_OK(t, f.e);
    CHECK_INT(t, SASL_FINE, scram(t, &f, "alice", "pencil", (struct sasl_start){ 0 }));
    CHECK_INT(t, SASL_SUCCESS, f.sasl.state);
    CHECK_STR(t, "alice", f.sasl.user);
    CHECK_INT(t, SASL_FINE, plain(t, &f, "alice", "pencil", "10.0.0.1"));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, plain(t, &f, "alice", "pencil2", "10.0.0.1"));
    CHECK_OK(t, ident_user_password(f.talk, STR("alice"), STR("crayon"), done, &f));
    wait_answer(t, &f);
    CHECK_OK(t, f.e);
    CHECK_INT(t, SASL_NOT_AUTHORIZED, scram(t, &f, "alice", "pencil", (struct sasl_start){ 0 }));
    CHECK_INT(t, SASL_FINE, scram(t, &f, "alice", "crayon", (struct sasl_start){ 0 }));
    CHECK_OK(t, ident_user_delete(f.talk, STR("alice"), done, &f));
    wait_answer(t, &f);
    CHECK_OK(t, f.e);
    loop_round(f.l, 0);
    CHECK_STR(t, "alice", str_of(f.deleted));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, scram(t, &f, "alice", "crayon", (struct sasl_start){ 0 }));
    CHECK_OK(t, ident_user_delete(f.talk, STR("alice"), done, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_NOT_FOUND, f.e);
    teardown(&f);
}

static void registration_has_its_limits(struct test *t)
{
    struct fixture f;
    enum err got[6];

    if (!setup(t, &f, (struct ident_options){ .registration = true, .registrations_per_hour = 2 }))
        return;
    static const struct { const char *user, *password; } asked[6] = {
        { "a b", "pw" }, { "a", "" }, { "a", "pw" }, { "a", "pw" }, { "b", "pw" }, { "c", "pw" } };
    for (int i = 0; i < 6; i++) {
        CHECK_OK(t, ident_user_register(f.talk, str_of(asked[i].user), str_of(asked[i].password), STR("10.0.0.1"), done, &f));
        wait_answer(t, &f);
        got[i] = f.e;
    }
    CHECK_INT(t, ERR_INVALID, got[0]);
    CHECK_INT(t, ERR_INVALID, got[1]);
    CHECK_OK(t, got[2]);
    CHECK_INT(t, ERR_EXISTS, got[3]);
    CHECK_OK(t, got[4]);
    CHECK_INT(t, ERR_LIMIT, got[5]);
    CHECK_OK(t, ident_user_register(f.talk, STR("c"), STR("pw"), STR("10.0.0.2"), done, &f));
    wait_answer(t, &f);
    CHECK_OK(t, f.e);
    teardown(&f);
}

static void registration_is_off_unless_switched_on(struct test *t)
{
    struct fixture f;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, ident_user_register(f.talk, STR("a"), STR("pw"), STR("10.0.0.1"), done, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_DENIED, f.e);
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "a", "pw"));
    CHECK_INT(t, ERR_EXISTS, ask(t, &f, f.keeper, "ident.user.add", "a", "pw"));
    CHECK_INT(t, ERR_DENIED, ask(t, &f, f.web, "ident.user.add", "b", "pw"));
    CHECK_INT(t, ERR_DENIED, ask(t, &f, f.talk, "ident.backup", "b", NULL));
    CHECK_INT(t, ERR_DENIED, ask(t, &f, f.courier, "ident.user.add", "b", "pw"));
    CHECK_INT(t, ERR_DENIED, ask(t, &f, f.courier, "ident.backup", "b", NULL));
    ident_reload(f.ident, &(struct ident_options){ .registration = true, .registrations_per_hour = 1, .fast_token_days = 1 });
    for (int i = 0; i < 2; i++) {
        CHECK_OK(t, ident_user_register(f.talk, i ? STR("c") : STR("b"), STR("pw"), STR("10.0.0.1"), done, &f));
        wait_answer(t, &f);
        CHECK_INT(t, i ? ERR_LIMIT : OK, f.e);
    }
    CHECK_OK(t, ident_health(f.ident));
    teardown(&f);
}

static void operators_list_disable_and_back_up(struct test *t)
{
    struct fixture f;
    struct codec_reader r;
    struct buf out = { 0 };
    const char *copy;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "alice", "pw"));
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "bob", "pw"));
    codec_begin(&out, IDENT_PAYLOAD_VERSION);
    codec_put_str(&out, STR("bob"));
    codec_put_u64(&out, 1);
    CHECK_OK(t, bus_ask(f.keeper, "ident.user.disable", buf_str(&out), 5000, replied, &f));
    wait_answer(t, &f);
    CHECK_OK(t, f.e);
    CHECK_INT(t, SASL_ACCOUNT_DISABLED, scram(t, &f, "bob", "pw", (struct sasl_start){ 0 }));
    buf_clear(&out);
    codec_begin(&out, IDENT_PAYLOAD_VERSION);
    codec_put_str(&out, STR(""));
    codec_put_u64(&out, 10);
    CHECK_OK(t, bus_ask(f.keeper, "ident.user.list", buf_str(&out), 5000, replied, &f));
    wait_answer(t, &f);
    CHECK_OK(t, f.e);
    r = codec_open(f.payload, IDENT_PAYLOAD_VERSION);
    CHECK_INT(t, 2, codec_u64(&r));
    CHECK_STR(t, "alice", codec_str(&r, 100));
    codec_i64(&r);
    CHECK_INT(t, 0, codec_u64(&r));
    CHECK_STR(t, "bob", codec_str(&r, 100));
    codec_i64(&r);
    CHECK_INT(t, 1, codec_u64(&r));
    CHECK(t, codec_ok(&r));
    copy = arena_printf(&f.a, "%s/copy.db", test_dir(t)).p;
    CHECK_INT(t, on_server() ? ERR_UNSUPPORTED : OK, ask(t, &f, f.keeper, "ident.backup", copy, NULL));
    CHECK(t, on_server() || access(copy, R_OK) == 0);
    CHECK(t, ask(t, &f, f.keeper, "ident.backup", "/nowhere/at/all.db", NULL) != OK);
    buf_done(&out);
    teardown(&f);
}

static void counted(void *arg, enum err e, int64_t all, int64_t disabled)
{
    struct fixture *f = arg;

    f->answered = true;
    f->e = e;
    f->count = all * 100 + disabled;
}

static void listed(void *arg, enum err e, const struct ident_user *users, int count)
{
    struct fixture *f = arg;

    f->answered = true;
    f->e = e;
    f->count = count;
    if (count)
        str_copy(users[0].name, f->deleted, sizeof f->deleted);
}

static void administrators_count_disable_and_list(struct test *t)
{
    struct fixture f;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    for (int i = 0; i < 3; i++) {
        CHECK_OK(t, ident_user_add(f.talk, i == 0 ? STR("a") : i == 1 ? STR("b") : STR("c"), STR("pw"), done, &f));
        wait_answer(t, &f);
        CHECK_OK(t, f.e);
    }
    CHECK_OK(t, ident_user_disable(f.talk, STR("b"), true, done, &f));
    wait_answer(t, &f);
    CHECK_OK(t, ident_user_count(f.talk, counted, &f));
    wait_answer(t, &f);
    CHECK_INT(t, 301, f.count);
    CHECK_OK(t, ident_users(f.talk, STR(""), 10, true, listed, &f));
    wait_answer(t, &f);
    CHECK_INT(t, 1, f.count);
    CHECK_STR(t, "b", str_of(f.deleted));
    CHECK_OK(t, ident_users(f.talk, STR("a"), 10, false, listed, &f));
    wait_answer(t, &f);
    CHECK_INT(t, 2, f.count);
    CHECK_OK(t, ident_users(f.web, STR("a"), 10, false, listed, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_DENIED, f.e);
    teardown(&f);
}

/* The messenger may have been away when the account went: it is told again, and nobody gets the name before. */
static void a_name_is_free_when_nothing_is_left_of_it(struct test *t)
{
    struct fixture f;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "alice", "pw"));
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.delete", "alice", NULL));
    loop_round(f.l, 0);
    CHECK_STR(t, "alice", str_of(f.deleted));
    CHECK_INT(t, ERR_EXISTS, ask(t, &f, f.keeper, "ident.user.add", "alice", "pw"));
    CHECK_OK(t, ident_user_forgotten(f.talk, STR("alice"), done, &f));
    wait_answer(t, &f);
    CHECK_OK(t, f.e);
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "alice", "pw"));
    teardown(&f);
}

static void a_client_may_begin_without_words(struct test *t)
{
    struct scram_client c = { .kind = DIGEST_SHA1, .password = "pw", .gs2 = "n,,", .bare = STR("n=alice,r=abc") };
    struct fixture f;
    uint64_t exchange;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "alice", "pw"));
    CHECK_INT(t, SASL_FINE, start(t, &f, (struct sasl_start){ .mechanism = STR("SCRAM-SHA-1") }));
    CHECK_INT(t, SASL_CONTINUE, f.sasl.state);
    CHECK(t, f.sasl.data.p && f.sasl.data.len == 0);
    exchange = f.sasl.exchange;
    step(t, &f, exchange, client_first(&f.a, &c));
    c.server_first = f.sasl.data;
    CHECK_INT(t, SASL_FINE, step(t, &f, exchange, client_final(&f.a, &c)));
    CHECK_INT(t, SASL_SUCCESS, f.sasl.state);
    CHECK_INT(t, SASL_TEMPORARY_AUTH_FAILURE, step(t, &f, exchange, STR("x")));
    teardown(&f);
}

static void an_exchange_ends_when_left_alone(struct test *t)
{
    struct fixture f;
    uint64_t one, two;

    clock_set_us(1764000000LL * 1000000);
    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    start(t, &f, (struct sasl_start){ .mechanism = STR("SCRAM-SHA-1"), .initial = STR("n,,n=alice,r=x") });
    CHECK_INT(t, SASL_CONTINUE, f.sasl.state);
    one = f.sasl.exchange;
    start(t, &f, (struct sasl_start){ .mechanism = STR("SCRAM-SHA-1"), .initial = STR("n,,n=alice,r=x") });
    two = f.sasl.exchange;
    CHECK_OK(t, ident_sasl_abort(f.talk, one));
    for (int i = 0; i < 5; i++)
        loop_round(f.l, 0);
    CHECK_INT(t, SASL_TEMPORARY_AUTH_FAILURE, step(t, &f, one, STR("x")));
    clock_set_us((1764000000LL + IDENT_EXCHANGE_MS / 1000 + 1) * 1000000);
    for (int i = 0; i < 5; i++)
        loop_round(f.l, 0);
    CHECK_INT(t, SASL_TEMPORARY_AUTH_FAILURE, step(t, &f, two, STR("x")));
    teardown(&f);
}

/* A stranger who guesses is stopped, even with the right password then; the owner elsewhere is not. */
static void guessing_stops_the_guesser_alone(struct test *t)
{
    struct sasl_start stranger = { .peer_key = STR("10.6.6.6") }, owner = { .peer_key = STR("10.0.0.1") };
    struct fixture f;

    if (!setup(t, &f, (struct ident_options){ .failures_per_user = 3, .failures_per_address = 5 }))
        return;
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "alice", "pw"));
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "bob", "pw"));
    for (int i = 0; i < 3; i++)
        CHECK_INT(t, SASL_NOT_AUTHORIZED, scram(t, &f, "alice", "guess", stranger));
    CHECK_INT(t, SASL_TEMPORARY_AUTH_FAILURE, scram(t, &f, "alice", "pw", stranger));
    CHECK_INT(t, SASL_TEMPORARY_AUTH_FAILURE, plain(t, &f, "alice", "pw", "10.6.6.6"));
    CHECK_INT(t, SASL_FINE, scram(t, &f, "bob", "pw", stranger));
    CHECK_INT(t, SASL_FINE, scram(t, &f, "alice", "pw", owner));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, scram(t, &f, "nobody", "x", stranger));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, plain(t, &f, "nobody", "x", "10.6.6.6"));
    CHECK_INT(t, SASL_TEMPORARY_AUTH_FAILURE, scram(t, &f, "bob", "pw", stranger));
    CHECK_INT(t, SASL_FINE, scram(t, &f, "alice", "pw", owner));
    teardown(&f);
}

static void tokens_are_given_and_used_over_the_bus(struct test *t)
{
    struct sasl_start s = { .agent_id = STR("phone"), .fast_request = STR("HT-SHA-256-NONE") };
    struct sasl_start ht = { .agent_id = STR("phone"), .mechanism = STR("HT-SHA-256-NONE") };
    struct fixture f;
    struct str token;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "alice", "pw"));
    CHECK_INT(t, SASL_FINE, scram(t, &f, "alice", "pw", s));
    token = f.sasl.fast_token;
    CHECK_INT(t, FAST_TOKEN_CHARS, token.len);
    CHECK(t, f.sasl.fast_expires_us > clock_us());
    ht.initial = client_token(&f.a, "alice", token, STR_NULL);
    CHECK_INT(t, SASL_FINE, start(t, &f, ht));
    CHECK_INT(t, SASL_SUCCESS, f.sasl.state);
    CHECK_INT(t, 32, f.sasl.data.len);
    CHECK(t, f.sasl.fast_token.p == NULL);
    ht.fast_count = 3;
    CHECK_INT(t, SASL_FINE, start(t, &f, ht));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, start(t, &f, ht));
    s.fast_request = STR("HT-SHA-256-UNIQ");
    CHECK_INT(t, SASL_FINE, scram(t, &f, "alice", "pw", s));
    CHECK(t, f.sasl.fast_token.p == NULL);
    teardown(&f);
}

static void devices_came(void *arg, enum err e, const struct ident_device *devices, int count)
{
    struct fixture *f = arg;

    done(f, e);
    f->count = count;
    f->payload = count ? keep(f, devices[0].name) : STR_NULL;
}

static void an_owner_sees_and_ends_devices_over_the_bus(struct test *t)
{
    struct sasl_start s = { .agent_id = STR("phone"), .software = STR("app"), .device = STR("봉수 폰"), .fast_request = STR("HT-SHA-256-NONE") };
    struct sasl_start ht = { .agent_id = STR("phone"), .mechanism = STR("HT-SHA-256-NONE") };
    struct fixture f;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "alice", "pw"));
    CHECK_INT(t, SASL_FINE, scram(t, &f, "alice", "pw", s));
    ht.initial = client_token(&f.a, "alice", f.sasl.fast_token, STR_NULL);
    CHECK_OK(t, ident_devices(f.talk, STR("alice"), devices_came, &f));
    wait_answer(t, &f);
    CHECK_OK(t, f.e);
    CHECK_INT(t, 1, f.count);
    CHECK_STR(t, "봉수 폰", f.payload);
    CHECK_OK(t, ident_devices(f.web, STR("alice"), devices_came, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_DENIED, f.e);
    CHECK_OK(t, ident_device_end(f.courier, STR("alice"), ident_device_id(STR("phone")), false, done, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_DENIED, f.e);
    /* what could not be written has not happened */
    fault_arm("db.commit", 0, on_server() ? ERR_IO : ERR_FULL);
    CHECK_OK(t, ident_device_end(f.talk, STR("alice"), ident_device_id(STR("phone")), false, done, &f));
    wait_answer(t, &f);
    CHECK_INT(t, on_server() ? ERR_IO : ERR_FULL, f.e);
    fault_disarm("db.commit");
    CHECK_INT(t, SASL_FINE, start(t, &f, ht));
    CHECK_OK(t, ident_device_end(f.talk, STR("alice"), ident_device_id(STR("phone")), false, done, &f));
    wait_answer(t, &f);
    CHECK_OK(t, f.e);
    CHECK_INT(t, SASL_NOT_AUTHORIZED, start(t, &f, ht));
    CHECK_OK(t, ident_device_end(f.talk, STR("alice"), ident_device_id(STR("phone")), false, done, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_NOT_FOUND, f.e);
    teardown(&f);
}

/* A full disk keeps nobody out; only a replay counter needs its write. */
static void a_failed_write_keeps_nobody_out(struct test *t)
{
    struct sasl_start s = { .agent_id = STR("phone"), .fast_request = STR("HT-SHA-256-NONE") };
    struct sasl_start ht = { .agent_id = STR("phone"), .mechanism = STR("HT-SHA-256-NONE"), .fast_count = 1 };
    struct fixture f;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, ask(t, &f, f.keeper, "ident.user.add", "alice", "pw"));
    CHECK_INT(t, SASL_FINE, scram(t, &f, "alice", "pw", s));
    ht.initial = client_token(&f.a, "alice", f.sasl.fast_token, STR_NULL);
    fault_arm("db.commit", 0, on_server() ? ERR_IO : ERR_FULL);     /* a full primary is tried again for a while */
    CHECK_INT(t, SASL_FINE, scram(t, &f, "alice", "pw", s));
    CHECK(t, f.sasl.fast_token.p == NULL);
    CHECK_INT(t, SASL_TEMPORARY_AUTH_FAILURE, start(t, &f, ht));
    CHECK_INT(t, on_server() ? ERR_IO : ERR_FULL, ask(t, &f, f.keeper, "ident.user.add", "bob", "pw"));
    fault_disarm("db.commit");
    CHECK_INT(t, SASL_FINE, start(t, &f, ht));
    teardown(&f);
}

/* Payloads are a stranger's: every cut is refused, and nothing hangs. */
static void cut_payloads_are_refused(struct test *t)
{
    static const char *const subjects[] = { "ident.sasl.start", "ident.sasl.step", "ident.sasl.abort", "ident.user.exists",
        "ident.user.add", "ident.user.password", "ident.user.delete", "ident.user.disable", "ident.user.list", "ident.device.list",
        "ident.device.end", "ident.backup" };
    struct sasl_start s = { .mechanism = STR("SCRAM-SHA-1"), .initial = STR("n,,n=u,r=x"), .agent_id = STR("a") };
    struct buf out = { 0 };
    struct fixture f;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    sasl_start_write(&out, &s);
    for (size_t n = 0; n < out.len; n++) {
        CHECK_OK(t, bus_ask(f.talk, "ident.sasl.start", str_make(out.p, n), 5000, replied, &f));
        wait_answer(t, &f);
        CHECK_INT(t, ERR_INVALID, f.e);
    }
    for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
        CHECK_OK(t, bus_ask(f.keeper, subjects[i], STR("\x01\xff"), 5000, replied, &f));
        wait_answer(t, &f);
        CHECK_INT(t, ERR_INVALID, f.e);
    }
    CHECK_OK(t, bus_ask(f.keeper, "ident.nothing", STR_NULL, 5000, replied, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_UNSUPPORTED, f.e);
    buf_done(&out);
    teardown(&f);
}

/* Ending with work under way answers it and leaks nothing. */
static void ending_answers_what_is_under_way(struct test *t)
{
    struct fixture f;
    struct sasl_start s = { .mechanism = STR("PLAIN"), .initial = str_make("\0alice\0pw", 9), .peer_key = STR("p") };

    if (!setup(t, &f, (struct ident_options){ .registration = true }))
        return;
    for (int i = 0; i < 20; i++)
        CHECK_OK(t, ident_sasl_start(f.talk, &s, sasl_done, &f));
    CHECK_OK(t, ident_user_register(f.talk, STR("bob"), STR("pw"), STR("p"), done, &f));
    for (int i = 0; i < 3; i++)
        loop_round(f.l, 0);
    teardown(&f);
}

static void key_came(void *arg, enum err e, struct str key)
{
    struct fixture *f = arg;

    f->payload = keep(f, key);
    done(f, e);
}

/* One key for a purpose, the same each time, for that asker only. */
static void a_key_is_told_to_whom_it_is_for(struct test *t)
{
    struct fixture f;
    struct str     first;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, ident_key(f.web, "files", key_came, &f));
    wait_answer(t, &f);
    first = f.payload;
    CHECK(t, f.e == OK && first.len == IDENT_KEY_BYTES);
    CHECK_OK(t, ident_key(f.web, "files", key_came, &f));
    wait_answer(t, &f);
    CHECK(t, f.e == OK && str_eq(first, f.payload));
    CHECK_OK(t, ident_key(f.web, "other", key_came, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_DENIED, f.e);
    CHECK_OK(t, ident_key(f.talk, "files", key_came, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_DENIED, f.e);
    teardown(&f);
}

DB_TEST_MAIN(TEST(an_account_lives_through_the_bus), TEST(registration_has_its_limits),
          TEST(registration_is_off_unless_switched_on), TEST(operators_list_disable_and_back_up),
          TEST(administrators_count_disable_and_list), TEST(a_name_is_free_when_nothing_is_left_of_it),
          TEST(a_client_may_begin_without_words), TEST(an_exchange_ends_when_left_alone),
          TEST(guessing_stops_the_guesser_alone), TEST(tokens_are_given_and_used_over_the_bus),
          TEST(an_owner_sees_and_ends_devices_over_the_bus),
          TEST(a_failed_write_keeps_nobody_out), TEST(cut_payloads_are_refused), TEST(ending_answers_what_is_under_way),
          TEST(a_key_is_told_to_whom_it_is_for))
