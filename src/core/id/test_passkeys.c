/* test_passkeys.c: passkeys over an in-process bus, as web and talk use them, and their rows as tools do.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "db/test_engine.h"
#include "id/accounts.h"
#include "id/ident.h"
#include "id/passkeys.h"
#include "id/service.h"
#include "id/test_authenticator.h"
#include "id/test_client.h"

#define ORIGIN "https://town.example"

struct fixture {
    struct arena    a;
    struct loop    *l;
    struct bus_hub *hub;
    struct bus     *ident_bus, *talk, *web, *keeper;
    struct ident   *ident;
    struct authenticator k;
    bool            answered;
    enum err        e;
    struct passkey_answer answer;       /* texts in `a` */
    struct sasl_answer sasl;
};

/* ---- asking ---- */

static void wait_answer(struct test *t, struct fixture *f)
{
    for (int i = 0; i < 2000 && !f->answered; i++)
        loop_round(f->l, 10);
    CHECK(t, f->answered);
    f->answered = false;
}

static struct str keep(struct fixture *f, struct str s)
{
    return s.p ? arena_str(&f->a, s) : s;
}

static void told(void *arg, enum err e, const struct passkey_answer *a)
{
    struct fixture *f = arg;

    f->answered = true;
    f->e = e;
    f->answer = *a;
    f->answer.why = keep(f, a->why);
    f->answer.ticket = keep(f, a->ticket);
    f->answer.rp_id = keep(f, a->rp_id);
    f->answer.challenge = keep(f, a->challenge);
    f->answer.user = keep(f, a->user);
    f->answer.handle = keep(f, a->handle);
    f->answer.token = keep(f, a->token);
    for (int i = 0; i < a->list.count; i++) {
        f->answer.list.rows[i].id = keep(f, a->list.rows[i].id);
        f->answer.list.rows[i].label = keep(f, a->list.rows[i].label);
    }
}

static enum err ask_as(struct test *t, struct fixture *f, struct bus *b, enum passkey_verb v, struct passkey_request q)
{
    CHECK_OK(t, passkey_ask(b, v, &q, told, f));
    wait_answer(t, f);
    return f->e;
}

static enum err ask(struct test *t, struct fixture *f, enum passkey_verb v, struct passkey_request q)
{
    return ask_as(t, f, v == PASSKEY_TICKET ? f->talk : f->web, v, q);
}

static void done(void *arg, enum err e)
{
    struct fixture *f = arg;

    f->answered = true;
    f->e = e;
}

static void add_user(struct test *t, struct fixture *f, const char *user)
{
    CHECK_OK(t, ident_user_add(f->talk, str_of(user), STR("secret"), done, f));
    wait_answer(t, f);
    CHECK_OK(t, f->e);
}

static bool ident_start(struct test *t, struct fixture *f, struct ident_options o)
{
    struct str why = STR_NULL;

    o.domain = "town.example";
    o.server = settings_at(t, "").server;
    o.schema = settings_at(t, "").schema;
    o.database = arena_printf(&f->a, "%s/ident.db", test_dir(t)).p;
    o.scram_iterations = SCRAM_ITERATIONS_MIN;
    o.hash_threads = 2;
    o.fast_token_days = 21;
    if (CHECK_OK(t, ident_new(f->l, f->ident_bus, &o, &f->ident, &f->a, &why)))
        return true;
    printf("      %.*s\n", STR_ARG(why));
    return false;
}

static bool setup(struct test *t, struct fixture *f, struct ident_options o)
{
    memset(f, 0, sizeof *f);
    arena_init(&f->a);
    f->l = loop_new();
    CHECK_OK(t, bus_new_inproc(f->l, "ident", &f->hub, &f->ident_bus));
    CHECK_OK(t, bus_new_inproc(f->l, "talk", &f->hub, &f->talk));
    CHECK_OK(t, bus_new_inproc(f->l, "web", &f->hub, &f->web));
    CHECK_OK(t, bus_new_inproc(f->l, "keeper", &f->hub, &f->keeper));
    authenticator_init(&f->k, &f->a, ES256, "town.example", ORIGIN);
    if (!ident_start(t, f, o))
        return false;
    add_user(t, f, "alice");
    return true;
}

static void teardown(struct fixture *f)
{
    ident_free(&f->ident);
    for (int i = 0; i < 3; i++)
        loop_round(f->l, 0);
    bus_free(&f->talk);
    bus_free(&f->web);
    bus_free(&f->keeper);
    bus_free(&f->ident_bus);
    loop_round(f->l, 0);
    loop_free(&f->l);
    authenticator_done(&f->k);
    arena_done(&f->a);
    clock_set_us(0);
}

/* ---- the steps of a page ---- */

static struct str ticket(struct test *t, struct fixture *f, const char *user)
{
    CHECK_OK(t, ask(t, f, PASSKEY_TICKET, (struct passkey_request){ .user = str_of(user) }));
    CHECK(t, f->answer.ticket.len > 0);
    return f->answer.ticket;
}

/* The loop sees the time that has passed before it is asked for anything. */
static void later(struct fixture *f, int seconds)
{
    clock_set_us(clock_us() + seconds * INT64_C(1000000));
    for (int i = 0; i < 3; i++)
        loop_round(f->l, 0);
}

static struct passkey_request offered(struct test *t, struct fixture *f, const char *user, const char *label)
{
    struct passkey_request q = { .ticket = ticket(t, f, user), .label = str_of(label) };

    CHECK_OK(t, ask(t, f, PASSKEY_OFFER, q));
    CHECK_STR(t, "town.example", f->answer.rp_id);
    CHECK_STR(t, user, f->answer.user);
    CHECK_INT(t, 32, f->answer.handle.len);
    q.client_data = client_data(&f->k, "webauthn.create", f->answer.challenge);
    q.attestation = attestation(&f->k, "none", q.client_data);
    return q;
}

static enum err add(struct test *t, struct fixture *f, const char *user, const char *label)
{
    struct passkey_request q = offered(t, f, user, label);

    return ask(t, f, PASSKEY_ADD, q);
}

static struct str handle_of(struct test *t, struct fixture *f, const char *user)
{
    CHECK_OK(t, ask(t, f, PASSKEY_OFFER, (struct passkey_request){ .ticket = ticket(t, f, user) }));
    return f->answer.handle;
}

/* What the page sends when the person has found their key. */
static struct passkey_request proof(struct test *t, struct fixture *f, struct str handle)
{
    struct passkey_request q = { .id = authenticator_id(&f->k), .handle = handle, .agent = STR("phone"), .mechanism = STR("HT-SHA-256-NONE"),
                                 .peer_key = STR("10.0.0.1") };

    CHECK_OK(t, ask(t, f, PASSKEY_CHALLENGE, (struct passkey_request){ 0 }));
    q.client_data = client_data(&f->k, "webauthn.get", f->answer.challenge);
    q.auth_data = auth_data(&f->k, false);
    q.signature = signature(&f->k, q.auth_data, q.client_data);
    return q;
}

static enum err log_in(struct test *t, struct fixture *f, struct str handle)
{
    return ask(t, f, PASSKEY_LOGIN, proof(t, f, handle));
}

static void sasl_done(void *arg, enum err e, const struct sasl_answer *a)
{
    struct fixture *f = arg;

    done(f, e);
    f->sasl = a ? *a : (struct sasl_answer){ .state = SASL_FAILURE };
}

static enum sasl_state token_opens(struct test *t, struct fixture *f, const char *user, struct str token, const char *agent)
{
    struct sasl_start s = { .mechanism = STR("HT-SHA-256-NONE"), .initial = client_token(&f->a, user, token, STR_NULL), .peer_key = STR("10.0.0.1"),
                            .agent_id = str_of(agent) };

    CHECK_OK(t, ident_sasl_start(f->talk, &s, sasl_done, f));
    wait_answer(t, f);
    return f->sasl.state;
}

/* ---- promises ---- */

static void a_passkey_is_added_and_logs_in(struct test *t)
{
    struct fixture f;
    struct str     token, handle;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, add(t, &f, "alice", "My phone"));
    handle = handle_of(t, &f, "alice");
    CHECK_INT(t, 1, f.answer.list.count);
    CHECK_STR(t, "My phone", f.answer.list.rows[0].label);
    CHECK(t, str_eq(f.answer.list.rows[0].id, authenticator_id(&f.k)) && f.answer.list.rows[0].created_us && !f.answer.list.rows[0].used_us);
    CHECK_OK(t, log_in(t, &f, handle));
    CHECK_STR(t, "alice", f.answer.user);
    CHECK(t, f.answer.expires_us > clock_us());
    token = f.answer.token;
    CHECK_INT(t, SASL_FAILURE, token_opens(t, &f, "alice", token, "tablet"));       /* it is that device's */
    CHECK_INT(t, SASL_SUCCESS, token_opens(t, &f, "alice", token, "phone"));
    CHECK_OK(t, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = ticket(t, &f, "alice") }));
    CHECK(t, f.answer.list.password && f.answer.list.rows[0].used_us);
    teardown(&f);
}

static void a_challenge_is_good_once_and_for_a_while(struct test *t)
{
    struct fixture         f;
    struct passkey_request q;
    struct str             handle;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    q = offered(t, &f, "alice", "key");
    CHECK_OK(t, ask(t, &f, PASSKEY_ADD, q));
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_ADD, q));
    handle = handle_of(t, &f, "alice");
    q = proof(t, &f, handle);
    CHECK_OK(t, ask(t, &f, PASSKEY_LOGIN, q));
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LOGIN, q));
    q = proof(t, &f, handle);
    later(&f, PASSKEY_CHALLENGE_S + 1);
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LOGIN, q));
    CHECK_OK(t, log_in(t, &f, handle));
    teardown(&f);
}

static void a_challenge_is_ours_and_for_that_purpose(struct test *t)
{
    struct fixture         f;
    struct passkey_request q;
    struct str             handle, foreign;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    add_user(t, &f, "bob");
    q = offered(t, &f, "alice", "key");
    foreign = f.answer.challenge;                                   /* alice's */
    q.ticket = ticket(t, &f, "bob");
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_ADD, q));
    CHECK_STR(t, "challenge", f.answer.why);
    CHECK_OK(t, add(t, &f, "alice", "key"));
    handle = handle_of(t, &f, "alice");
    q = proof(t, &f, handle);
    q.client_data = client_data(&f.k, "webauthn.get", foreign);     /* of a registration */
    q.signature = signature(&f.k, q.auth_data, q.client_data);
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LOGIN, q));
    q.client_data = client_data(&f.k, "webauthn.get", STR("0123456789abcdef0123456789abcdef01234567"));
    q.signature = signature(&f.k, q.auth_data, q.client_data);
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LOGIN, q));
    CHECK_OK(t, log_in(t, &f, handle));
    teardown(&f);
}

static void whoever_is_not_its_owner_is_refused(struct test *t)
{
    struct fixture         f;
    struct passkey_request q;
    struct str             handle, bobs;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    add_user(t, &f, "bob");
    CHECK_OK(t, add(t, &f, "alice", "key"));
    handle = handle_of(t, &f, "alice");
    bobs = handle_of(t, &f, "bob");
    CHECK(t, !str_eq(handle, bobs));
    CHECK_INT(t, ERR_UNAUTHORIZED, log_in(t, &f, bobs));
    CHECK_INT(t, ERR_UNAUTHORIZED, log_in(t, &f, STR("")));
    q = proof(t, &f, handle);
    q.id = STR("0123456789abcdef0123456789abcdef");
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LOGIN, q));
    q = proof(t, &f, handle);
    q.signature = signature(&f.k, q.auth_data, STR("something else"));
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LOGIN, q));
    CHECK(t, !f.answer.token.len && !f.answer.why.p);
    f.k.origin = "https://evil.example";
    CHECK_INT(t, ERR_UNAUTHORIZED, log_in(t, &f, handle));
    f.k.origin = ORIGIN;
    CHECK_INT(t, ERR_EXISTS, add(t, &f, "bob", "stolen"));
    q = proof(t, &f, handle);
    q.mechanism = STR("SCRAM-SHA-256");
    CHECK_INT(t, ERR_INVALID, ask(t, &f, PASSKEY_LOGIN, q));
    CHECK_OK(t, log_in(t, &f, handle));
    teardown(&f);
}

static void a_counter_that_does_not_rise_is_a_copy(struct test *t)
{
    struct fixture f;
    struct str     handle;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    f.k.counter = 5;
    CHECK_OK(t, add(t, &f, "alice", "key"));
    handle = handle_of(t, &f, "alice");
    CHECK_INT(t, ERR_UNAUTHORIZED, log_in(t, &f, handle));
    f.k.counter = 6;
    CHECK_OK(t, log_in(t, &f, handle));
    CHECK_INT(t, ERR_UNAUTHORIZED, log_in(t, &f, handle));
    f.k.counter = 0;
    CHECK_INT(t, ERR_UNAUTHORIZED, log_in(t, &f, handle));
    f.k.counter = 7;
    CHECK_OK(t, log_in(t, &f, handle));
    teardown(&f);
}

static void passkeys_are_renamed_and_removed_by_their_owner(struct test *t)
{
    struct fixture f;
    struct str     mine, bobs, handle;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    add_user(t, &f, "bob");
    CHECK_OK(t, add(t, &f, "alice", "key"));
    handle = handle_of(t, &f, "alice");
    mine = ticket(t, &f, "alice");
    bobs = ticket(t, &f, "bob");
    CHECK_INT(t, ERR_NOT_FOUND, ask(t, &f, PASSKEY_RENAME, (struct passkey_request){ .ticket = bobs, .id = authenticator_id(&f.k), .label = STR("x") }));
    CHECK_INT(t, ERR_NOT_FOUND, ask(t, &f, PASSKEY_REMOVE, (struct passkey_request){ .ticket = bobs, .id = authenticator_id(&f.k) }));
    CHECK_OK(t, ask(t, &f, PASSKEY_RENAME, (struct passkey_request){ .ticket = mine, .id = authenticator_id(&f.k), .label = STR("열쇠") }));
    CHECK_OK(t, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = mine }));
    CHECK_STR(t, "열쇠", f.answer.list.rows[0].label);
    CHECK_OK(t, ask(t, &f, PASSKEY_REMOVE, (struct passkey_request){ .ticket = mine, .id = authenticator_id(&f.k) }));
    CHECK_INT(t, ERR_UNAUTHORIZED, log_in(t, &f, handle));
    CHECK_OK(t, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = mine }));
    CHECK_INT(t, 0, f.answer.list.count);
    teardown(&f);
}

static void a_password_goes_only_where_a_passkey_stays(struct test *t)
{
    struct fixture f;
    struct str     mine, handle;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    mine = ticket(t, &f, "alice");
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_PASSWORD_REMOVE, (struct passkey_request){ .ticket = STR("none") }));
    CHECK_INT(t, ERR_DENIED, ask(t, &f, PASSKEY_PASSWORD_REMOVE, (struct passkey_request){ .ticket = mine }));
    CHECK_OK(t, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = mine }));
    CHECK(t, f.answer.list.password);
    CHECK_OK(t, add(t, &f, "alice", "key"));
    handle = handle_of(t, &f, "alice");
    for (int twice = 0; twice < 2; twice++)
        CHECK_OK(t, ask(t, &f, PASSKEY_PASSWORD_REMOVE, (struct passkey_request){ .ticket = mine }));
    CHECK_OK(t, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = mine }));
    CHECK(t, !f.answer.list.password && f.answer.list.count == 1);
    CHECK_INT(t, ERR_DENIED, ask(t, &f, PASSKEY_REMOVE, (struct passkey_request){ .ticket = mine, .id = authenticator_id(&f.k) }));
    CHECK_OK(t, log_in(t, &f, handle));
    teardown(&f);
}

static void a_ticket_is_for_one_account_and_a_while(struct test *t)
{
    struct fixture f;
    struct str     old, forged;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_INT(t, ERR_DENIED, ask_as(t, &f, f.web, PASSKEY_TICKET, (struct passkey_request){ .user = STR("alice") }));
    CHECK_INT(t, ERR_NOT_FOUND, ask(t, &f, PASSKEY_TICKET, (struct passkey_request){ .user = STR("nobody") }));
    old = ticket(t, &f, "alice");
    forged = arena_str(&f.a, old);
    ((char *)forged.p)[20] ^= 1;
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = forged }));
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = STR("") }));
    CHECK_OK(t, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = old }));
    later(&f, PASSKEY_TICKET_S + 1);
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = old }));
    teardown(&f);
}

/* Whoever gets the name next has nothing of theirs. */
static void deletion_takes_passkeys_and_tickets_along(struct test *t)
{
    struct fixture f;
    struct str     old, handle;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, add(t, &f, "alice", "key"));
    handle = handle_of(t, &f, "alice");
    old = ticket(t, &f, "alice");
    CHECK_OK(t, ident_user_delete(f.talk, STR("alice"), done, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_UNAUTHORIZED, log_in(t, &f, handle));
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = old }));
    CHECK_OK(t, ident_user_forgotten(f.talk, STR("alice"), done, &f));
    wait_answer(t, &f);
    add_user(t, &f, "alice");
    CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LIST, (struct passkey_request){ .ticket = old }));
    CHECK_INT(t, ERR_UNAUTHORIZED, log_in(t, &f, handle));
    CHECK(t, !str_eq(handle, handle_of(t, &f, "alice")));
    teardown(&f);
}

static void a_disabled_account_stays_out(struct test *t)
{
    struct fixture f;
    struct str     handle;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, add(t, &f, "alice", "key"));
    handle = handle_of(t, &f, "alice");
    CHECK_OK(t, ident_user_disable(f.talk, STR("alice"), true, done, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_DENIED, log_in(t, &f, handle));
    CHECK_INT(t, ERR_DENIED, ask(t, &f, PASSKEY_TICKET, (struct passkey_request){ .user = STR("alice") }));
    teardown(&f);
}

static void failures_are_limited_as_for_passwords(struct test *t)
{
    struct fixture f;
    struct str     handle;

    if (!setup(t, &f, (struct ident_options){ .failures_per_address = 100, .failures_per_user = 3 }))
        return;
    CHECK_OK(t, add(t, &f, "alice", "key"));
    handle = handle_of(t, &f, "alice");
    for (int i = 0; i < 3; i++)
        CHECK_INT(t, ERR_UNAUTHORIZED, log_in(t, &f, STR("somebody else's")));
    CHECK_INT(t, ERR_LIMIT, log_in(t, &f, STR("somebody else's")));
    CHECK_INT(t, ERR_LIMIT, log_in(t, &f, handle));
    teardown(&f);
}

/* Another site, or the same one after a restart: it has the database, and nothing of what the first one remembers. */
static void a_restart_forgets_no_challenge_and_no_use(struct test *t)
{
    struct fixture         f;
    struct passkey_request waiting, used;
    struct str             handle;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, add(t, &f, "alice", "key"));
    handle = handle_of(t, &f, "alice");
    used = proof(t, &f, handle);
    waiting = proof(t, &f, handle);
    CHECK_OK(t, ask(t, &f, PASSKEY_LOGIN, used));
    ident_free(&f.ident);
    bus_free(&f.ident_bus);
    for (int i = 0; i < 3; i++)
        loop_round(f.l, 0);
    CHECK_OK(t, bus_new_inproc(f.l, "ident", &f.hub, &f.ident_bus));
    if (ident_start(t, &f, (struct ident_options){ 0 })) {
        CHECK_INT(t, ERR_UNAUTHORIZED, ask(t, &f, PASSKEY_LOGIN, used));
        CHECK_OK(t, ask(t, &f, PASSKEY_LOGIN, waiting));
    }
    teardown(&f);
}

static void operators_see_and_clear(struct test *t)
{
    struct fixture f;

    if (!setup(t, &f, (struct ident_options){ 0 }))
        return;
    CHECK_OK(t, add(t, &f, "alice", "key"));
    CHECK_INT(t, ERR_DENIED, ask(t, &f, PASSKEY_OF, (struct passkey_request){ .user = STR("alice") }));
    CHECK_INT(t, ERR_DENIED, ask(t, &f, PASSKEY_CLEAR, (struct passkey_request){ .user = STR("alice") }));
    CHECK_OK(t, ask_as(t, &f, f.keeper, PASSKEY_OF, (struct passkey_request){ .user = STR("alice") }));
    CHECK_INT(t, 1, f.answer.list.count);
    CHECK_OK(t, ask_as(t, &f, f.keeper, PASSKEY_CLEAR, (struct passkey_request){ .user = STR("alice") }));
    CHECK_OK(t, ask_as(t, &f, f.keeper, PASSKEY_OF, (struct passkey_request){ .user = STR("alice") }));
    CHECK_INT(t, 0, f.answer.list.count);
    CHECK_INT(t, ERR_NOT_FOUND, ask_as(t, &f, f.keeper, PASSKEY_CLEAR, (struct passkey_request){ .user = STR("nobody") }));
    teardown(&f);
}

/* ---- rows ---- */

static struct passkey row(const char *id, const char *user)
{
    return (struct passkey){ .user = str_of(user), .label = STR("key"), .created_us = 1,
                             .key = { .credential = str_of(id), .algorithm = ES256, .key = STR("key"), .counter = 0 } };
}

static void rows_have_bounds_and_one_way_in_stays(struct test *t)
{
    static const struct account_keys none;
    static struct db_sql             forget = { "DELETE FROM credential WHERE name = 'carol'" };
    struct db_settings               s;
    struct passkey_list              list;
    struct db_conn                  *c = NULL;
    struct str                       why = STR_NULL;
    struct arena                     a;

    arena_init(&a);
    s = settings_at(t, arena_printf(&a, "%s/ident.db", test_dir(t)).p);
    if (!CHECK_OK(t, accounts_open(&s, &c, &a, &why)))
        return;
    CHECK_OK(t, account_import(c, STR("carol"), &none.sha1, NULL, 1));
    CHECK_INT(t, ERR_NOT_FOUND, passkey_add(c, &(struct passkey){ .user = STR("nobody"), .label = STR("x"), .key.credential = STR("x") }));
    for (int i = 0; i < PASSKEYS_MAX; i++) {
        struct passkey k = row(arena_printf(&a, "%d", i).p, "carol");

        CHECK_OK(t, passkey_add(c, &k));
    }
    CHECK_INT(t, ERR_LIMIT, passkey_add(c, &(struct passkey){ .user = STR("carol"), .label = STR("x"), .key.credential = STR("x") }));
    CHECK_OK(t, db_run(c, &forget, ""));
    for (int i = 1; i < PASSKEYS_MAX; i++)
        CHECK_OK(t, passkey_remove(c, STR("carol"), arena_printf(&a, "%d", i)));
    CHECK_INT(t, ERR_DENIED, passkey_remove(c, STR("carol"), STR("0")));
    CHECK_OK(t, passkey_list(c, STR("carol"), &a, &list));
    CHECK_INT(t, 1, list.count);
    CHECK(t, !list.password);
    CHECK_OK(t, passkey_clear(c, STR("carol")));
    CHECK_OK(t, passkey_list(c, STR("carol"), &a, &list));
    CHECK_INT(t, 0, list.count);
    db_conn_close(&c);
    arena_done(&a);
}

static void used_challenges_are_kept_until_they_expire(struct test *t)
{
    struct db_settings s;
    struct db_conn    *c = NULL;
    struct str         why = STR_NULL;
    struct arena       a;

    arena_init(&a);
    s = settings_at(t, arena_printf(&a, "%s/ident.db", test_dir(t)).p);
    if (!CHECK_OK(t, accounts_open(&s, &c, &a, &why)))
        return;
    CHECK_OK(t, passkey_challenge_use(c, STR("one"), 100, 50));
    CHECK_INT(t, ERR_DENIED, passkey_challenge_use(c, STR("one"), 100, 99));
    CHECK_OK(t, passkey_challenge_use(c, STR("one"), 200, 100));
    db_conn_close(&c);
    arena_done(&a);
}

DB_TEST_MAIN(TEST(a_passkey_is_added_and_logs_in), TEST(a_challenge_is_good_once_and_for_a_while),
             TEST(a_challenge_is_ours_and_for_that_purpose), TEST(whoever_is_not_its_owner_is_refused),
             TEST(a_counter_that_does_not_rise_is_a_copy), TEST(passkeys_are_renamed_and_removed_by_their_owner),
             TEST(a_password_goes_only_where_a_passkey_stays),
             TEST(a_ticket_is_for_one_account_and_a_while), TEST(deletion_takes_passkeys_and_tickets_along),
             TEST(a_disabled_account_stays_out), TEST(failures_are_limited_as_for_passwords),
             TEST(a_restart_forgets_no_challenge_and_no_use), TEST(operators_see_and_clear), TEST(rows_have_bounds_and_one_way_in_stays),
             TEST(used_challenges_are_kept_until_they_expire))
