/* passkey_service.c: passkeys as ident answers for them.
 *
 *   log-in    CHALLENGE ──▶ the browser asks the person ──▶ LOGIN: judged here, written (challenge, counter, token), then told
 *   new one   TICKET (talk) ──▶ OFFER: a challenge for that account ──▶ the browser ──▶ ADD: judged, written, told
 *
 * Challenges and tickets are signed with ident's secret and carry their end, so making one costs no memory, any site of a cluster
 * judges those of another, and a restart loses none. Used once: the nonce of a challenge that did prove something is written in the
 * transaction of what it was for, and forgotten when it would have expired. So strangers who ask for challenges fill nothing.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <inttypes.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "id/inner.h"
#include "id/passkeys.h"
#include "wire/base64.h"

METRIC_COUNTER_L(logins_right, "bongsu_ident_passkey_logins", "Log-ins by passkey that ended, by result.", "result=\"success\"");
METRIC_COUNTER_L(logins_wrong, "bongsu_ident_passkey_logins", "Log-ins by passkey that ended, by result.", "result=\"failure\"");
METRIC_COUNTER_L(logins_limited, "bongsu_ident_passkey_logins", "Log-ins by passkey that ended, by result.", "result=\"limited\"");
METRIC_COUNTER(passkeys_added, "bongsu_ident_passkeys_added", "Passkeys added.");

enum { MAC_BYTES = 16, NONCE_BYTES = 16, TIME_BYTES = 8, CHALLENGE_BYTES = TIME_BYTES + NONCE_BYTES + MAC_BYTES, HANDLE_BYTES = 32 };

/* ---- what is signed ---- */

/* Whom something is for; `born` tells an account from an earlier one of the same name. A log-in's challenge is for nobody yet. */
struct bearer { struct str user; int64_t born_us; };

/* `body` is of one length for each purpose. */
static void sign(struct ident *id, const char *purpose, struct bearer who, struct str body, uint8_t out[DIGEST_BYTES_MAX])
{
    struct buf b = { 0 };

    buf_printf(&b, "passkey %s:%" PRId64 ":%.*s:", purpose, who.born_us, STR_ARG(who.user));
    buf_put_str(&b, body);
    hmac(DIGEST_SHA256, str_make((const char *)id->secret, sizeof id->secret), buf_str(&b), out);
    buf_done(&b);
}

static bool is_signed(struct ident *id, const char *purpose, struct bearer who, struct str body, struct str mac)
{
    uint8_t want[DIGEST_BYTES_MAX];

    sign(id, purpose, who, body, want);
    return str_eq_secret(mac, str_make((const char *)want, MAC_BYTES));
}

static void time_put(char out[TIME_BYTES], int64_t us)
{
    for (int i = 0; i < TIME_BYTES; i++)
        out[i] = (char)(uint64_t)(us >> (56 - 8 * i));
}

static int64_t time_get(const char *p)
{
    uint64_t us = 0;

    for (int i = 0; i < TIME_BYTES; i++)
        us = us << 8 | (uint8_t)p[i];
    return (int64_t)us;
}

/* What the same person is called by all their passkeys (user.id, §5.4.3): tells nobody who it is. */
static struct str handle_of(struct ident *id, struct bearer who)
{
    uint8_t mac[DIGEST_BYTES_MAX];

    sign(id, "handle", who, STR(""), mac);
    return arena_str(&id->arena, str_make((const char *)mac, HANDLE_BYTES));
}

/* expires | nonce | mac */
static struct str challenge_new(struct ident *id, const char *purpose, struct bearer who)
{
    char    *c = arena_alloc(&id->arena, CHALLENGE_BYTES);
    uint8_t  mac[DIGEST_BYTES_MAX];

    time_put(c, clock_us() + (int64_t)PASSKEY_CHALLENGE_S * 1000000);
    random_bytes(c + TIME_BYTES, NONCE_BYTES);
    sign(id, purpose, who, str_make(c, TIME_BYTES + NONCE_BYTES), mac);
    memcpy(c + TIME_BYTES + NONCE_BYTES, mac, MAC_BYTES);
    return str_make(c, CHALLENGE_BYTES);
}

static bool challenge_is_ours(struct ident *id, const char *purpose, struct bearer who, struct str c)
{
    return c.len == CHALLENGE_BYTES &&
           is_signed(id, purpose, who, str_make(c.p, TIME_BYTES + NONCE_BYTES), str_make(c.p + TIME_BYTES + NONCE_BYTES, MAC_BYTES)) &&
           time_get(c.p) > clock_us();
}

/* expires | mac | user, in base64url */
static struct str ticket_new(struct ident *id, struct bearer who, int64_t expires_us)
{
    char       head[TIME_BYTES + MAC_BYTES];
    uint8_t    mac[DIGEST_BYTES_MAX];
    struct buf bytes = { 0 }, text = { 0 };
    struct str out;

    time_put(head, expires_us);
    sign(id, "ticket", who, str_make(head, TIME_BYTES), mac);
    memcpy(head + TIME_BYTES, mac, MAC_BYTES);
    buf_put(&bytes, head, sizeof head);
    buf_put_str(&bytes, who.user);
    base64url_put(&text, buf_str(&bytes));
    out = arena_str(&id->arena, buf_str(&text));
    buf_done(&bytes);
    buf_done(&text);
    return out;
}

/* ERR_UNAUTHORIZED: no ticket of ours, or of an account that is no more. */
static enum err ticket_read(struct ident *id, struct str ticket, struct bearer *out)
{
    struct str bytes;
    enum err   e;

    if (base64url_decode(&id->arena, ticket, &bytes) || bytes.len <= TIME_BYTES + MAC_BYTES)
        return ERR_UNAUTHORIZED;
    out->user = str_make(bytes.p + TIME_BYTES + MAC_BYTES, bytes.len - TIME_BYTES - MAC_BYTES);
    if (!str_is_utf8(out->user))
        return ERR_UNAUTHORIZED;
    e = account_born(id->env.conn, out->user, &out->born_us);
    if (e)
        return e == ERR_NOT_FOUND || e == ERR_DENIED ? ERR_UNAUTHORIZED : e;
    if (!is_signed(id, "ticket", *out, str_make(bytes.p, TIME_BYTES), str_make(bytes.p + TIME_BYTES, MAC_BYTES)) ||
        time_get(bytes.p) <= clock_us())
        return ERR_UNAUTHORIZED;
    return OK;
}

/* ---- answers ---- */

static void answer(struct ident *id, struct bus_request *rq, enum err e, const struct passkey_answer *a)
{
    buf_clear(&id->out);
    passkey_answer_write(&id->out, a);
    bus_answer(rq, e, buf_str(&id->out));
    mem_wipe(id->out.p, id->out.len);       /* it may hold a token */
}

static void refuse(struct ident *id, struct bus_request *rq, enum err e, const char *why)
{
    answer(id, rq, e, &(struct passkey_answer){ .why = str_of(why) });
}

/* ---- what is written ---- */

struct deed {
    struct ident       *ident;
    struct bus_request *rq;
    enum passkey_verb   verb;
    struct arena        arena;
    struct passkey      k;                  /* whose, and which */
    struct str          nonce;
    int64_t             nonce_expires_us, now_us;
    struct fast_change  token;
    struct commit_op    op;
};

static const char *const events[PASSKEY_VERBS] = {
    [PASSKEY_ADD] = "passkey.added", [PASSKEY_RENAME] = "passkey.renamed", [PASSKEY_REMOVE] = "passkey.removed",
    [PASSKEY_CLEAR] = "passkey.cleared", [PASSKEY_PASSWORD_REMOVE] = "account.password_removed",
};

static void deed_free(struct deed *d)
{
    d->ident->change_count--;
    mem_wipe(d->token.secret, sizeof d->token.secret);
    arena_done(&d->arena);
    free(d);
}

static enum err login_apply(struct db_conn *c, struct deed *d)
{
    enum err e = passkey_challenge_use(c, d->nonce, d->nonce_expires_us, d->now_us);

    if (!e)
        e = passkey_note(c, d->k.key.credential, d->k.key.counter, d->now_us);
    return e ? e : fast_apply(c, &d->token);
}

static enum err add_apply(struct db_conn *c, struct deed *d)
{
    enum err e = passkey_challenge_use(c, d->nonce, d->nonce_expires_us, d->now_us);

    return e ? e : passkey_add(c, &d->k);
}

static enum err deed_apply(struct db_conn *c, struct commit_op *self)
{
    struct deed *d = LIST_ITEM(self, struct deed, op);

    switch (d->verb) {
    case PASSKEY_LOGIN:
        return login_apply(c, d);
    case PASSKEY_ADD:
        return add_apply(c, d);
    case PASSKEY_RENAME:
        return passkey_rename(c, d->k.user, d->k.key.credential, d->k.label);
    case PASSKEY_REMOVE:
        return passkey_remove(c, d->k.user, d->k.key.credential);
    case PASSKEY_PASSWORD_REMOVE:
        return passkey_password_remove(c, d->k.user);
    case PASSKEY_CLEAR:
        return passkey_clear(c, d->k.user);
    default:
        return ERR_BUG;
    }
}

static const char *why_not(enum passkey_verb v, enum err e)
{
    if (e == ERR_DENIED)
        return v == PASSKEY_REMOVE || v == PASSKEY_PASSWORD_REMOVE ? "it is the last way in" : v == PASSKEY_LOGIN ? "used before, or its counter did not rise" : "used before";
    if (e == ERR_EXISTS)
        return "this passkey is known already";
    if (e == ERR_LIMIT)
        return "there are as many passkeys as an account may have";
    return NULL;
}

static void login_told(struct deed *d, enum err e)
{
    struct passkey_answer a = { .user = d->k.user, .token = str_of(d->token.secret), .expires_us = d->token.expires_us };

    if (e) {
        metric_add(&logins_wrong, 1);
        LOG_WARN("login.failed", LF_Z("reason", why_not(d->verb, e) ? why_not(d->verb, e) : err_info(e)->name), LF_Z("mechanism", "passkey"),
                 LF_STR("user", d->k.user));
        refuse(d->ident, d->rq, e == ERR_DENIED ? ERR_UNAUTHORIZED : e, why_not(d->verb, e));
        return;
    }
    metric_add(&logins_right, 1);
    LOG_DEBUG("login.succeeded", LF_STR("user", d->k.user), LF_Z("mechanism", "passkey"));
    answer(d->ident, d->rq, OK, &a);
}

static void deed_done(struct commit_op *self, enum err e)
{
    struct deed *d = LIST_ITEM(self, struct deed, op);

    if (d->verb == PASSKEY_LOGIN) {
        login_told(d, e);
    } else if (e) {
        refuse(d->ident, d->rq, e == ERR_DENIED && d->verb == PASSKEY_ADD ? ERR_UNAUTHORIZED : e, why_not(d->verb, e));
    } else {
        metric_add(&passkeys_added, d->verb == PASSKEY_ADD);
        LOG_INFO(events[d->verb], LF_STR("user", d->k.user));
        answer(d->ident, d->rq, OK, &(struct passkey_answer){ 0 });
    }
    deed_free(d);
}

/* NULL: too many changes are under way, and that has been answered. Texts of `k` are copied. */
static struct deed *deed_new(struct ident *id, struct bus_request *rq, enum passkey_verb verb, const struct passkey *k)
{
    struct deed *d;

    if (id->change_count >= IDENT_CHANGES_MAX) {
        refuse(id, rq, ERR_LIMIT, NULL);
        return NULL;
    }
    id->change_count++;
    d = NEW(struct deed);
    *d = (struct deed){ .ident = id, .rq = rq, .verb = verb, .k = *k, .now_us = clock_us() };
    arena_init(&d->arena);
    d->k.user = arena_str(&d->arena, k->user);
    d->k.label = arena_str(&d->arena, k->label);
    d->k.key.credential = arena_str(&d->arena, k->key.credential);
    d->k.key.key = arena_str(&d->arena, k->key.key);
    return d;
}

static void deed_start(struct deed *d)
{
    enum err e;

    d->op.apply = deed_apply;
    d->op.done = deed_done;
    e = commit_add(d->ident->db, &d->op);
    if (e)
        deed_done(&d->op, e);
}

static void deed_uses(struct deed *d, struct str challenge)
{
    d->nonce = arena_str(&d->arena, str_make(challenge.p + TIME_BYTES, NONCE_BYTES));
    d->nonce_expires_us = time_get(challenge.p);
}

/* ---- log-in ---- */

void passkeys_challenge(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct passkey_answer a = { .rp_id = id->party.rp_id, .challenge = challenge_new(id, "login", (struct bearer){ .user = STR("") }) };

    answer(id, rq, OK, &a);
}

static enum err unproven(enum err e)
{
    return e == ERR_DENIED || e == ERR_NOT_FOUND ? ERR_UNAUTHORIZED : e;
}

/* Which passkey it is, and whether this is its proof. *k in the arena. ERR_UNAUTHORIZED: it is not; ERR_DENIED: it is, and the
 * account is disabled. */
static enum err login_judge(struct ident *id, const struct passkey_request *q, struct passkey *k, struct str *challenge, const char **why)
{
    struct bearer who = { .user = STR("") };
    enum err      e = webauthn_client_data(&id->arena, &id->party, q->client_data, "webauthn.get", challenge, why);

    if (e)
        return unproven(e);
    *why = "challenge";
    if (!challenge_is_ours(id, "login", who, *challenge))
        return ERR_UNAUTHORIZED;
    *why = "no such passkey";
    e = passkey_get(id->env.conn, q->id, &id->arena, k);
    if (!e)
        e = webauthn_assertion(&id->party, q->client_data, q->auth_data, q->signature, &k->key, &k->key.counter, why);
    if (e)
        return unproven(e);
    *why = "disabled";
    who.user = k->user;
    e = account_born(id->env.conn, k->user, &who.born_us);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_UNAUTHORIZED : e;
    *why = "user handle";
    return str_eq_secret(q->handle, handle_of(id, who)) ? OK : ERR_UNAUTHORIZED;
}

/* By address and user together, as for passwords (logins.c). */
static void penalise(struct ident *id, struct str peer, struct str user)
{
    int64_t now = clock_mono_ms();

    limits_take(&id->by_address, peer, STR_NULL, now);
    if (user.len)
        limits_take(&id->by_user, peer, user, now);
}

static bool is_limited(struct ident *id, struct str peer, struct str user)
{
    int64_t now = clock_mono_ms();

    return limits_empty(&id->by_address, peer, STR_NULL, now) || (user.len && limits_empty(&id->by_user, peer, user, now));
}

static const char *fast_mechanism(struct str name)
{
    for (int i = 0; ident_fast_mechanisms[i]; i++)
        if (str_is(name, ident_fast_mechanisms[i]))
            return ident_fast_mechanisms[i];
    return NULL;
}

/* What did not fit is for the log: whoever tries things learns nothing from us. */
static void login_refuse(struct ident *id, struct bus_request *rq, const struct passkey_request *q, struct str user, enum err e, const char *why)
{
    bool is_wrong = e == ERR_INVALID || e == ERR_UNAUTHORIZED;

    if (!is_wrong && e != ERR_DENIED)
        why = err_info(e)->name;            /* it was not looked at */
    metric_add(&logins_wrong, 1);
    LOG_INFO("login.failed", LF_Z("reason", why), LF_Z("mechanism", "passkey"), LF_STR("peer", q->peer_key), LF_STR("user", user));
    if (is_wrong)
        penalise(id, q->peer_key, user);
    refuse(id, rq, e, e == ERR_DENIED ? "the account is disabled" : NULL);
}

static void login_write(struct ident *id, struct bus_request *rq, const struct passkey_request *q, const struct passkey *k, struct str challenge)
{
    struct deed *d = deed_new(id, rq, PASSKEY_LOGIN, k);

    if (!d)
        return;
    deed_uses(d, challenge);
    d->token = (struct fast_change){ .user = d->k.user, .agent = arena_str(&d->arena, q->agent), .used = STR(""),
                                     .issue = str_of(fast_mechanism(q->mechanism)), .now_us = d->now_us,
                                     .expires_us = d->now_us + id->env.fast_lifetime_us };
    random_token(d->token.secret, FAST_TOKEN_CHARS);
    deed_start(d);
}

void passkeys_login(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct passkey_request q;
    struct passkey         k = { .user = STR("") };
    struct str             challenge;
    const char            *why = "malformed";
    enum err               e = passkey_request_read(payload, &q);

    if (!e && (q.agent.len == 0 || !fast_mechanism(q.mechanism)))
        e = ERR_INVALID;
    if (e) {
        refuse(id, rq, e, "agent and mechanism (XEP-0484) are needed");
        return;
    }
    if (!is_limited(id, q.peer_key, STR_NULL))
        e = login_judge(id, &q, &k, &challenge, &why);
    /* looked at after the step, because only the step names the user; what it found is not told */
    if (is_limited(id, q.peer_key, k.user)) {
        metric_add(&logins_limited, 1);
        refuse(id, rq, ERR_LIMIT, NULL);
    } else if (e) {
        login_refuse(id, rq, &q, k.user, e, why);
    } else {
        login_write(id, rq, &q, &k, challenge);
    }
}

/* ---- the owner's own ---- */

void passkeys_ticket(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct passkey_request q;
    struct bearer          who;
    struct passkey_answer  a = { .expires_us = clock_us() + (int64_t)PASSKEY_TICKET_S * 1000000 };
    enum err               e = passkey_request_read(payload, &q);

    if (!e)
        e = account_name(&id->arena, q.user, &who.user);
    if (!e)
        e = account_born(id->env.conn, who.user, &who.born_us);
    if (!e)
        a.ticket = ticket_new(id, who, a.expires_us);
    answer(id, rq, e, &a);
}

/* Reads the request, and who asks. */
static enum err begin(struct ident *id, struct str payload, struct passkey_request *q, struct bearer *who)
{
    enum err e = passkey_request_read(payload, q);

    return e ? e : ticket_read(id, q->ticket, who);
}

void passkeys_list(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct passkey_request q;
    struct passkey_answer  a = { 0 };
    struct bearer          who;
    enum err               e = begin(id, payload, &q, &who);

    if (!e)
        e = passkey_list(id->env.conn, who.user, &id->arena, &a.list);
    answer(id, rq, e, &a);
}

void passkeys_of(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct passkey_request q;
    struct passkey_answer  a = { 0 };
    enum err               e = passkey_request_read(payload, &q);

    if (!e)
        e = account_name(&id->arena, q.user, &q.user);
    if (!e)
        e = account_exists(id->env.conn, q.user);
    if (!e)
        e = passkey_list(id->env.conn, q.user, &id->arena, &a.list);
    answer(id, rq, e, &a);
}

void passkeys_offer(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct passkey_request q;
    struct passkey_answer  a = { .rp_id = id->party.rp_id };
    struct bearer          who;
    enum err               e = begin(id, payload, &q, &who);

    if (!e)
        e = passkey_list(id->env.conn, who.user, &id->arena, &a.list);
    if (!e) {
        a.challenge = challenge_new(id, "register", who);
        a.user = who.user;
        a.handle = handle_of(id, who);
    }
    answer(id, rq, e, &a);
}

void passkeys_add(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct passkey_request q;
    struct bearer          who;
    struct passkey         k = { .created_us = clock_us() };
    struct str             challenge;
    struct deed           *d;
    const char            *why = NULL;
    enum err               e = begin(id, payload, &q, &who);

    if (!e && q.label.len == 0) {
        why = "a name is needed";
        e = ERR_INVALID;
    }
    if (!e)
        e = webauthn_client_data(&id->arena, &id->party, q.client_data, "webauthn.create", &challenge, &why);
    if (!e && !challenge_is_ours(id, "register", who, challenge)) {
        why = "challenge";
        e = ERR_DENIED;
    }
    if (!e)
        e = webauthn_attestation(&id->arena, &id->party, q.client_data, q.attestation, &k.key, &why);
    if (e) {
        LOG_INFO("passkey.refused", LF_Z("reason", why ? why : err_info(e)->name));
        refuse(id, rq, e == ERR_DENIED ? ERR_UNAUTHORIZED : e, why);
        return;
    }
    k.user = who.user;
    k.label = q.label;
    d = deed_new(id, rq, PASSKEY_ADD, &k);
    if (!d)
        return;
    deed_uses(d, challenge);
    deed_start(d);
}

/* A change of one that is there. */
static void change(struct ident *id, struct bus_request *rq, enum passkey_verb verb, struct str payload)
{
    struct passkey_request q;
    struct bearer          who;
    struct deed           *d;
    enum err               e = begin(id, payload, &q, &who);

    if (!e && verb == PASSKEY_RENAME && q.label.len == 0)
        e = ERR_INVALID;
    if (e) {
        refuse(id, rq, e, NULL);
        return;
    }
    d = deed_new(id, rq, verb, &(struct passkey){ .user = who.user, .label = q.label, .key.credential = q.id });
    if (d)
        deed_start(d);
}

void passkeys_rename(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    change(id, rq, PASSKEY_RENAME, payload);
}

void passkeys_remove(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    change(id, rq, PASSKEY_REMOVE, payload);
}

void passkeys_password_remove(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    change(id, rq, PASSKEY_PASSWORD_REMOVE, payload);
}

void passkeys_clear(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct passkey_request q;
    struct deed           *d;
    enum err               e = passkey_request_read(payload, &q);

    if (!e)
        e = account_name(&id->arena, q.user, &q.user);
    if (e) {
        refuse(id, rq, e, NULL);
        return;
    }
    d = deed_new(id, rq, PASSKEY_CLEAR, &(struct passkey){ .user = q.user });
    if (d)
        deed_start(d);
}
