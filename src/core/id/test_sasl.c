/* test_sasl.c: log-ins against a database, without bus or threads.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/clock.h"
#include "db/test_engine.h"
#include "id/sasl.h"
#include "id/test_client.h"

#define DAY_US (86400LL * 1000000)
static const int64_t START_US = 1764000000LL * 1000000;

struct fixture {
    struct arena    a;
    struct db_conn *c;
    struct sasl_env env;
    uint8_t         secret[IDENT_SECRET_BYTES];
    struct sasl_exchange x;
    struct sasl_answer   answer;
};

static bool setup(struct test *t, struct fixture *f)
{
    struct account_keys k;
    struct str why;
    struct db_settings s;

    memset(f, 0, sizeof *f);
    clock_set_us(START_US);
    arena_init(&f->a);
    s = settings_at(t, arena_printf(&f->a, "%s/ident.db", test_dir(t)).p);
    if (!CHECK_OK(t, accounts_open(&s, &f->c, &f->a, &why)))
        return false;
    CHECK_OK(t, ident_secret(f->c, f->secret));
    f->env = (struct sasl_env){ .conn = f->c, .secret = f->secret, .domain = STR("town.example"),
                                .iterations = SCRAM_ITERATIONS_MIN, .fast_lifetime_us = 20 * DAY_US };
    account_keys_make(&k, STR("pencil"), SCRAM_ITERATIONS_MIN);
    CHECK_OK(t, account_add(f->c, STR("alice"), &k, 1));
    CHECK_OK(t, account_add(f->c, STR("gone"), &k, 1));
    CHECK_OK(t, account_disable(f->c, STR("gone"), true));
    return true;
}

static void teardown(struct fixture *f)
{
    sasl_end(&f->x);
    db_conn_close(&f->c);
    arena_done(&f->a);
    clock_set_us(0);
}

static const struct sasl_start *with(struct sasl_start s)
{
    static struct sasl_start keep;

    keep = s;
    if (!keep.peer_key.p)
        keep.peer_key = STR("10.0.0.1");
    return &keep;
}

static enum sasl_next begin(struct fixture *f, const struct sasl_start *s, struct str in)
{
    enum sasl_failure why;

    sasl_end(&f->x);
    why = sasl_begin(&f->x, s);
    if (why) {
        sasl_answer_fail(&f->answer, why);
        return SASL_NEXT_ANSWER;
    }
    return sasl_feed(&f->x, &f->env, &f->a, in, &f->answer);
}

/* A whole SCRAM log-in; returns the last answer's failure. */
static enum sasl_failure scram_login(struct fixture *f, const struct sasl_start *s, struct scram_client *c)
{
    begin(f, s, client_first(&f->a, c));
    if (f->answer.state != SASL_CONTINUE)
        return f->answer.failure;
    c->server_first = arena_str(&f->a, f->answer.data);
    sasl_feed(&f->x, &f->env, &f->a, client_final(&f->a, c), &f->answer);
    return f->answer.failure;
}

static struct scram_client alice(enum digest_kind kind)
{
    return (struct scram_client){ .kind = kind, .password = "pencil", .gs2 = "n,,", .bare = STR("n=alice,r=abc") };
}

static void scram_lets_the_owner_in(struct test *t)
{
    static const enum digest_kind kinds[] = { DIGEST_SHA1, DIGEST_SHA256 };
    static const char *const names[] = { "SCRAM-SHA-1", "SCRAM-SHA-256" };
    struct fixture f;

    if (!setup(t, &f))
        return;
    for (int i = 0; i < 2; i++) {
        struct scram_client c = alice(kinds[i]);

        CHECK_INT(t, SASL_FINE, scram_login(&f, with((struct sasl_start){ .mechanism = str_of(names[i]) }), &c));
        CHECK_INT(t, SASL_SUCCESS, f.answer.state);
        CHECK_STR(t, "alice", f.answer.user);
        CHECK(t, str_eq(c.want_server_final, f.answer.data));
        c.password = "pencil1";
        CHECK_INT(t, SASL_NOT_AUTHORIZED,
                  scram_login(&f, with((struct sasl_start){ .mechanism = str_of(names[i]) }), &c));
    }
    teardown(&f);
}

static void a_name_is_normalised(struct test *t)
{
    struct scram_client c = alice(DIGEST_SHA256);
    struct fixture f;

    if (!setup(t, &f))
        return;
    c.bare = STR("n=ALICE,r=abc");
    CHECK_INT(t, SASL_FINE, scram_login(&f, with((struct sasl_start){ .mechanism = STR("SCRAM-SHA-256") }), &c));
    CHECK_STR(t, "alice", f.answer.user);
    teardown(&f);
}

static void a_binding_must_be_this_streams(struct test *t)
{
    struct sasl_start s = { .mechanism = STR("SCRAM-SHA-256-PLUS"), .exporter = STR("exporter bytes"),
                            .end_point = STR("end point bytes"), .binding_offered = true };
    struct scram_client c = alice(DIGEST_SHA256);
    struct fixture f;

    if (!setup(t, &f))
        return;
    c.gs2 = "p=tls-exporter,,";
    c.binding = STR("exporter bytes");
    CHECK_INT(t, SASL_FINE, scram_login(&f, with(s), &c));
    c.binding = STR("other stream's");
    CHECK_INT(t, SASL_NOT_AUTHORIZED, scram_login(&f, with(s), &c));
    c.gs2 = "p=tls-server-end-point,,";
    c.binding = STR("end point bytes");
    CHECK_INT(t, SASL_FINE, scram_login(&f, with(s), &c));
    c.gs2 = "p=tls-unique,,";
    CHECK_INT(t, SASL_NOT_AUTHORIZED, scram_login(&f, with(s), &c));
    s.end_point = STR_NULL;
    c.gs2 = "p=tls-server-end-point,,";
    c.binding = STR_NULL;
    CHECK_INT(t, SASL_NOT_AUTHORIZED, scram_login(&f, with(s), &c));
    teardown(&f);
}

/* RFC 5802 §6. */
static void a_downgrade_is_refused(struct test *t)
{
    struct sasl_start s = { .mechanism = STR("SCRAM-SHA-256"), .exporter = STR("e"), .binding_offered = true };
    struct scram_client c = alice(DIGEST_SHA256);
    struct fixture f;

    if (!setup(t, &f))
        return;
    c.gs2 = "y,,";
    CHECK_INT(t, SASL_NOT_AUTHORIZED, scram_login(&f, with(s), &c));
    c.gs2 = "n,,";
    CHECK_INT(t, SASL_FINE, scram_login(&f, with(s), &c));
    c.gs2 = "p=tls-exporter,,";
    CHECK_INT(t, SASL_MALFORMED_REQUEST, scram_login(&f, with(s), &c));
    s.mechanism = STR("SCRAM-SHA-256-PLUS");
    c.gs2 = "n,,";
    CHECK_INT(t, SASL_MALFORMED_REQUEST, scram_login(&f, with(s), &c));
    s.mechanism = STR("SCRAM-SHA-256");
    s.binding_offered = false;
    c.gs2 = "y,,";
    CHECK_INT(t, SASL_FINE, scram_login(&f, with(s), &c));
    teardown(&f);
}

static void nobody_acts_for_another(struct test *t)
{
    static const struct { const char *gs2; enum sasl_failure want; } cases[] = {
        { "n,a=alice,", SASL_FINE }, { "n,a=Alice@Town.example,", SASL_FINE }, { "n,a=bob,", SASL_INVALID_AUTHZID },
        { "n,a=alice@other.example,", SASL_INVALID_AUTHZID }, { "n,a=alice@town.example/x,", SASL_INVALID_AUTHZID },
        { "n,a=@,", SASL_INVALID_AUTHZID },
    };
    struct fixture f;

    if (!setup(t, &f))
        return;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scram_client c = alice(DIGEST_SHA1);

        c.gs2 = cases[i].gs2;
        CHECK_INT(t, cases[i].want, scram_login(&f, with((struct sasl_start){ .mechanism = STR("SCRAM-SHA-1") }), &c));
    }
    teardown(&f);
}

/* The challenges of a name that exists, one that does not and one that is disabled have one shape, and a
 * name's salt stays the same. */
static void challenges_do_not_tell_who_exists(struct test *t)
{
    static const char *const bare[] = { "n=alice,r=abc", "n=nobody,r=abc", "n=gone,r=abc" };
    struct fixture f;
    struct str salts[3];
    size_t len = 0;

    if (!setup(t, &f))
        return;
    for (int i = 0; i < 6; i++) {
        struct scram_client c = alice(DIGEST_SHA256);
        struct str salt;

        c.bare = str_of(bare[i % 3]);
        c.password = "wrong";
        CHECK_INT(t, SASL_NOT_AUTHORIZED,
                  scram_login(&f, with((struct sasl_start){ .mechanism = STR("SCRAM-SHA-256") }), &c));
        CHECK_STR(t, "4096", client_field(c.server_first, 'i'));
        salt = client_field(c.server_first, 's');
        if (i < 3)
            salts[i] = salt;
        CHECK(t, str_eq(salt, salts[i % 3]));
        CHECK_INT(t, i ? (int64_t)len : (int64_t)c.server_first.len, c.server_first.len);
        len = c.server_first.len;
    }
    CHECK(t, !str_eq(salts[0], salts[1]) && !str_eq(salts[1], salts[2]));
    teardown(&f);
}

static void a_disabled_account_shows_only_to_its_owner(struct test *t)
{
    struct scram_client c = alice(DIGEST_SHA256);
    struct fixture f;

    if (!setup(t, &f))
        return;
    c.bare = STR("n=gone,r=abc");
    CHECK_INT(t, SASL_ACCOUNT_DISABLED,
              scram_login(&f, with((struct sasl_start){ .mechanism = STR("SCRAM-SHA-256") }), &c));
    teardown(&f);
}

/* A recorded client-final is worth nothing: the server's half of the nonce is new each time. */
static void a_replay_is_refused(struct test *t)
{
    struct sasl_start s = { .mechanism = STR("SCRAM-SHA-256") };
    struct scram_client c = alice(DIGEST_SHA256);
    struct fixture f;
    struct str final;

    if (!setup(t, &f))
        return;
    CHECK_INT(t, SASL_FINE, scram_login(&f, with(s), &c));
    final = client_final(&f.a, &c);
    begin(&f, with(s), client_first(&f.a, &c));
    CHECK_INT(t, SASL_CONTINUE, f.answer.state);
    sasl_feed(&f.x, &f.env, &f.a, final, &f.answer);
    CHECK_INT(t, SASL_NOT_AUTHORIZED, f.answer.failure);
    sasl_feed(&f.x, &f.env, &f.a, final, &f.answer);
    CHECK_INT(t, SASL_MALFORMED_REQUEST, f.answer.failure);
    teardown(&f);
}

static enum sasl_failure plain_login(struct fixture *f, const char *user, const char *password)
{
    struct str in = arena_printf(&f->a, "?%s?%s", user, password);

    ((char *)in.p)[0] = ((char *)in.p)[strlen(user) + 1] = 0;
    if (begin(f, with((struct sasl_start){ .mechanism = STR("PLAIN") }), in) == SASL_NEXT_HASH) {
        sasl_hash(&f->x);
        sasl_hashed(&f->x, &f->env, &f->answer);
    }
    return f->answer.failure;
}

static void plain_lets_the_owner_in(struct test *t)
{
    struct fixture f;

    if (!setup(t, &f))
        return;
    CHECK_INT(t, SASL_FINE, plain_login(&f, "Alice", "pencil"));
    CHECK_STR(t, "alice", f.answer.user);
    CHECK(t, f.x.password == NULL);
    CHECK_INT(t, SASL_FINE, plain_login(&f, "alice", "pen\xc2\xad" "cil"));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, plain_login(&f, "alice", "Pencil"));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, plain_login(&f, "nobody", "pencil"));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, plain_login(&f, "gone", "wrong"));
    CHECK_INT(t, SASL_ACCOUNT_DISABLED, plain_login(&f, "gone", "pencil"));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, plain_login(&f, "a b", "pencil"));
    CHECK_INT(t, SASL_MALFORMED_REQUEST, plain_login(&f, "", "pencil"));
    teardown(&f);
}

/* ---- FAST ---- */

/* What id/logins.c does after success. */
static enum err write_change(struct fixture *f, struct str *token)
{
    struct fast_change ch;
    enum err e = OK;
    bool must;

    *token = STR_NULL;
    if (!sasl_change(&f->x, &f->env, clock_us(), &ch, &must))
        return OK;
    e = fast_apply(f->c, &ch);
    if (!e && ch.issue.len)
        *token = arena_str(&f->a, str_of(ch.secret));
    return e;
}

static struct str first_token(struct test *t, struct fixture *f, const char *mechanism)
{
    struct scram_client c = alice(DIGEST_SHA256);
    struct str token;

    CHECK_INT(t, SASL_FINE, scram_login(f, with((struct sasl_start){ .mechanism = STR("SCRAM-SHA-256"),
              .agent_id = STR("phone"), .fast_request = str_of(mechanism) }), &c));
    CHECK_OK(t, write_change(f, &token));
    CHECK_INT(t, FAST_TOKEN_CHARS, token.len);
    return token;
}

/* Logs in with a token and writes what follows; `out` is the next token, if one came. */
static enum sasl_failure token_login(struct fixture *f, struct sasl_start s, struct str token, struct str *out)
{
    if (!s.mechanism.p)
        s.mechanism = STR("HT-SHA-256-NONE");
    if (!s.agent_id.p)
        s.agent_id = STR("phone");
    *out = STR_NULL;
    begin(f, with(s), client_token(&f->a, "alice", token, s.exporter));
    if (f->answer.state != SASL_SUCCESS)
        return f->answer.failure;
    return write_change(f, out) ? SASL_NOT_AUTHORIZED : SASL_FINE;
}

static void a_token_lets_its_client_in(struct test *t)
{
    struct fixture f;
    struct str token, next, reply;
    uint8_t want[FAST_HASH_BYTES];

    if (!setup(t, &f))
        return;
    token = first_token(t, &f, "HT-SHA-256-NONE");
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ 0 }, token, &next));
    reply = f.answer.data;
    fast_hash(token, "Responder", STR_NULL, want);
    CHECK(t, reply.len == 32 && memcmp(reply.p, want, 32) == 0);
    CHECK_STR(t, "alice", f.answer.user);
    CHECK(t, next.p == NULL);
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ 0 }, token, &next));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ .agent_id = STR("laptop") }, token, &next));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ .agent_id = STR("") }, token, &next));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ 0 }, STR("wrong"), &next));
    teardown(&f);
}

/* XEP-0484 §4.4: a token works with the mechanism it was asked for, and no other. */
static void a_token_keeps_to_its_mechanism(struct test *t)
{
    struct sasl_start expr = { .mechanism = STR("HT-SHA-256-EXPR"), .exporter = STR("exporter bytes") };
    struct fixture f;
    struct str token, next;

    if (!setup(t, &f))
        return;
    token = first_token(t, &f, "HT-SHA-256-EXPR");
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ 0 }, token, &next));
    CHECK_INT(t, SASL_FINE, token_login(&f, expr, token, &next));
    begin(&f, with((struct sasl_start){ .mechanism = STR("HT-SHA-256-EXPR"), .agent_id = STR("phone"),
                                        .exporter = STR("another stream") }),
          client_token(&f.a, "alice", token, STR("exporter bytes")));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, f.answer.failure);
    expr.exporter = STR_NULL;
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, expr, token, &next));
    teardown(&f);
}

/* §4.5: the old token is good until the new one has been used. */
static void rotation_survives_a_lost_answer(struct test *t)
{
    struct fixture f;
    struct str one, two, three, next;

    if (!setup(t, &f))
        return;
    one = first_token(t, &f, "HT-SHA-256-NONE");
    clock_set_us(START_US + 11 * DAY_US);
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ 0 }, one, &two));
    CHECK_INT(t, FAST_TOKEN_CHARS, two.len);
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ 0 }, one, &three));   /* `two` was lost on its way */
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ 0 }, two, &next));
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ 0 }, three, &next));
    CHECK(t, next.p == NULL);
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ 0 }, one, &next));
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ 0 }, three, &next));
    teardown(&f);
}

static void an_old_token_expires(struct test *t)
{
    struct fixture f;
    struct str token, next;

    if (!setup(t, &f))
        return;
    token = first_token(t, &f, "HT-SHA-256-NONE");
    clock_set_us(START_US + 20 * DAY_US);
    CHECK_INT(t, SASL_CREDENTIALS_EXPIRED, token_login(&f, (struct sasl_start){ 0 }, token, &next));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ 0 }, STR("wrong"), &next));
    teardown(&f);
}

/* §4.4: a counter never goes back. */
static void a_counter_stops_replays(struct test *t)
{
    struct fixture f;
    struct str token, next;

    if (!setup(t, &f))
        return;
    token = first_token(t, &f, "HT-SHA-256-NONE");
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ .fast_count = 5 }, token, &next));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ .fast_count = 5 }, token, &next));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ .fast_count = 4 }, token, &next));
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ .fast_count = 6 }, token, &next));
    teardown(&f);
}

/* Two replays in one round both pass the read; the write lets one through. */
static void racing_replays_meet_at_the_write(struct test *t)
{
    struct sasl_start s = { .mechanism = STR("HT-SHA-256-NONE"), .agent_id = STR("phone"), .fast_count = 1 };
    struct fast_change one, two;
    struct sasl_exchange other = { 0 };
    struct fixture f;
    struct str token;
    bool must;

    if (!setup(t, &f))
        return;
    token = first_token(t, &f, "HT-SHA-256-NONE");
    begin(&f, with(s), client_token(&f.a, "alice", token, STR_NULL));
    CHECK_INT(t, SASL_SUCCESS, f.answer.state);
    CHECK_INT(t, SASL_FINE, sasl_begin(&other, with(s)));
    sasl_feed(&other, &f.env, &f.a, client_token(&f.a, "alice", token, STR_NULL), &f.answer);
    CHECK_INT(t, SASL_SUCCESS, f.answer.state);
    CHECK(t, sasl_change(&f.x, &f.env, clock_us(), &one, &must) && must);
    CHECK(t, sasl_change(&other, &f.env, clock_us(), &two, &must) && must);
    CHECK_OK(t, fast_apply(f.c, &one));
    CHECK_INT(t, ERR_DENIED, fast_apply(f.c, &two));
    sasl_end(&other);
    teardown(&f);
}

/* §4.6 */
static void logging_out_ends_the_token(struct test *t)
{
    struct fixture f;
    struct str token, next;

    if (!setup(t, &f))
        return;
    token = first_token(t, &f, "HT-SHA-256-NONE");
    clock_set_us(START_US + 15 * DAY_US);
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ .fast_invalidate = true }, token, &next));
    CHECK(t, next.p == NULL);
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ 0 }, token, &next));
    teardown(&f);
}

static void a_new_password_ends_all_tokens(struct test *t)
{
    struct account_keys k;
    struct fixture f;
    struct str token, next;

    if (!setup(t, &f))
        return;
    token = first_token(t, &f, "HT-SHA-256-NONE");
    account_keys_make(&k, STR("other"), SCRAM_ITERATIONS_MIN);
    CHECK_OK(t, account_passwd(f.c, STR("alice"), &k));
    CHECK_INT(t, SASL_NOT_AUTHORIZED, token_login(&f, (struct sasl_start){ 0 }, token, &next));
    teardown(&f);
}

static void clients_with_tokens_are_bounded(struct test *t)
{
    struct fast_change ch = { .user = STR("alice"), .issue = STR("HT-SHA-256-NONE") };
    struct fast_token slots[2];
    struct fixture f;
    bool disabled;

    if (!setup(t, &f))
        return;
    for (int i = 0; i < FAST_AGENTS_MAX + 3; i++) {
        ch.agent = arena_printf(&f.a, "agent %d", i);
        ch.now_us = START_US + i;
        ch.expires_us = ch.now_us + DAY_US;
        random_token(ch.secret, FAST_TOKEN_CHARS);
        CHECK_OK(t, fast_apply(f.c, &ch));
    }
    CHECK_OK(t, fast_load(f.c, STR("alice"), STR("agent 2"), slots, &disabled));
    CHECK(t, !slots[FAST_NEW].there);
    CHECK_OK(t, fast_load(f.c, STR("alice"), STR("agent 3"), slots, &disabled));
    CHECK(t, slots[FAST_NEW].there);
    teardown(&f);
}

struct seen_devices { int count; struct ident_device last; };

static void take_device(void *arg, const struct ident_device *d)
{
    struct seen_devices *g = arg;

    g->count++;
    g->last = *d;
}

static struct seen_devices devices_of_alice(struct test *t, struct fixture *f)
{
    struct seen_devices g = { 0 };

    CHECK_OK(t, fast_devices(f->c, STR("alice"), clock_us(), take_device, &g));
    return g;
}

/* When a device was seen is known to ten minutes; a log-in within them writes nothing, and one behind them keeps nobody waiting. */
static void a_log_in_shows_on_the_list(struct test *t)
{
    struct fast_change  ch;
    struct fixture      f;
    struct str          token, next;
    bool                must;

    if (!setup(t, &f))
        return;
    token = first_token(t, &f, "HT-SHA-256-NONE");
    CHECK_INT(t, 1, devices_of_alice(t, &f).count);
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ 0 }, token, &next));    /* the new token has arrived: that is kept */
    CHECK_INT(t, START_US, devices_of_alice(t, &f).last.seen_us);
    clock_set_us(START_US + FAST_SEEN_US);
    CHECK_INT(t, SASL_FINE, token_login(&f, (struct sasl_start){ 0 }, token, &next));
    CHECK_INT(t, START_US, devices_of_alice(t, &f).last.seen_us);
    clock_set_us(START_US + FAST_SEEN_US + 1);
    begin(&f, with((struct sasl_start){ .mechanism = STR("HT-SHA-256-NONE"), .agent_id = STR("phone") }),
          client_token(&f.a, "alice", token, STR_NULL));
    CHECK(t, sasl_change(&f.x, &f.env, clock_us(), &ch, &must) && !must && ch.quiet);
    CHECK_OK(t, fast_apply(f.c, &ch));
    CHECK_INT(t, START_US + FAST_SEEN_US + 1, devices_of_alice(t, &f).last.seen_us);
    clock_set_us(START_US + 400 * DAY_US);
    CHECK_INT(t, 0, devices_of_alice(t, &f).count);     /* its token has expired */
    teardown(&f);
}

static void one_device_or_all_others_end(struct test *t)
{
    struct fast_change ch = { .user = STR("alice"), .issue = STR("HT-SHA-256-NONE"), .now_us = START_US, .expires_us = START_US + DAY_US };
    struct fixture f;

    if (!setup(t, &f))
        return;
    for (int i = 0; i < 5; i++) {
        ch.agent = arena_printf(&f.a, "agent %d", i);
        random_token(ch.secret, FAST_TOKEN_CHARS);
        CHECK_OK(t, fast_apply(f.c, &ch));
    }
    CHECK_OK(t, fast_end(f.c, STR("alice"), ident_device_id(STR("agent 1")), false));
    CHECK_INT(t, ERR_NOT_FOUND, fast_end(f.c, STR("alice"), ident_device_id(STR("agent 1")), false));
    CHECK_INT(t, ERR_NOT_FOUND, fast_end(f.c, STR("bob"), ident_device_id(STR("agent 2")), false));
    CHECK_INT(t, 4, devices_of_alice(t, &f).count);
    CHECK_OK(t, fast_end(f.c, STR("alice"), ident_device_id(STR("agent 3")), true));
    CHECK_INT(t, 1, devices_of_alice(t, &f).count);
    CHECK(t, devices_of_alice(t, &f).last.id == ident_device_id(STR("agent 3")));
    CHECK_OK(t, fast_end(f.c, STR("alice"), 0, true));      /* who asks has none */
    CHECK_INT(t, 0, devices_of_alice(t, &f).count);
    teardown(&f);
}

static void unknown_mechanisms_are_refused(struct test *t)
{
    struct fixture f;

    if (!setup(t, &f))
        return;
    begin(&f, with((struct sasl_start){ .mechanism = STR("ANONYMOUS") }), STR("x"));
    CHECK_INT(t, SASL_INVALID_MECHANISM, f.answer.failure);
    begin(&f, with((struct sasl_start){ .mechanism = STR("") }), STR("x"));
    CHECK_INT(t, SASL_INVALID_MECHANISM, f.answer.failure);
    CHECK(t, strcmp(sasl_failure_condition(SASL_NOT_AUTHORIZED), "not-authorized") == 0);
    teardown(&f);
}

DB_TEST_MAIN(TEST(scram_lets_the_owner_in), TEST(a_name_is_normalised), TEST(a_binding_must_be_this_streams),
          TEST(a_downgrade_is_refused), TEST(nobody_acts_for_another), TEST(challenges_do_not_tell_who_exists),
          TEST(a_disabled_account_shows_only_to_its_owner), TEST(a_replay_is_refused), TEST(plain_lets_the_owner_in),
          TEST(a_token_lets_its_client_in), TEST(a_token_keeps_to_its_mechanism), TEST(rotation_survives_a_lost_answer),
          TEST(an_old_token_expires), TEST(a_counter_stops_replays), TEST(racing_replays_meet_at_the_write),
          TEST(logging_out_ends_the_token), TEST(a_new_password_ends_all_tokens), TEST(clients_with_tokens_are_bounded),
          TEST(a_log_in_shows_on_the_list), TEST(one_device_or_all_others_end),
          TEST(unknown_mechanisms_are_refused))
