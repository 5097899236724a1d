/* passkeys.c: see passkeys.h. The map of what is answered is `routes`, below.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "web/passkeys.h"
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "id/passkey.h"
#include "wire/base64.h"
#include "wire/json.h"
#include "wire/uri.h"

enum { BODY_BYTES_MAX = 64 * 1024 };
#define PATH "/passkeys"

/* One question under way. */
struct question {
    struct http_exchange *x;
    enum passkey_verb     verb;
    char                 *domain;
};

/* ---- answers ---- */

static void answer(struct http_exchange *x, int status, json_t *body)
{
    struct buf b = { 0 };

    if (body)
        json_write(&b, body);
    json_decref(body);
    http_answer(x, status, body ? STR("application/json") : STR_NULL,
                STR("Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"), buf_str(&b));
    if (b.p)
        mem_wipe(b.p, b.len);       /* it may hold a token */
    buf_done(&b);
}

static void refuse(struct http_exchange *x, enum err e, struct str why)
{
    const struct err_info *info = err_info(e);

    if (!why.p)
        why = str_of(info->sentence);
    answer(x, info->http_status, json_pack("{s:s,s:s%}", "error", info->name, "text", why.p, why.len));
}

static json_t *base64url(struct str bytes)
{
    struct buf b = { 0 };
    json_t    *text;

    base64url_put(&b, bytes);
    text = json_stringn(b.p ? b.p : "", b.len);
    buf_done(&b);
    return text;
}

static json_t *moment(int64_t us)
{
    char       text[CLOCK_TEXT_BYTES];
    struct str s;

    if (!us)
        return json_null();
    s = clock_format(us / 1000000 * 1000000, text);
    return json_stringn(s.p, s.len);
}

static json_t *list_json(const struct passkey_answer *a)
{
    json_t *all = json_array();

    for (int i = 0; i < a->list.count; i++) {
        const struct passkey_row *k = &a->list.rows[i];

        json_array_append_new(all, json_pack("{s:o,s:s%,s:o,s:o}", "id", base64url(k->id), "name", k->label.p, k->label.len, "made",
                                             moment(k->created_us), "used", moment(k->used_us)));
    }
    return json_pack("{s:b,s:o}", "password", a->list.password, "passkeys", all);
}

/* WebAuthn §5.1.9: PublicKeyCredentialCreationOptionsJSON. */
static json_t *creation_json(const struct passkey_answer *a)
{
    json_t *known = json_array(), *algorithms = json_array();

    for (int i = 0; i < a->list.count; i++)
        json_array_append_new(known, json_pack("{s:s,s:o}", "type", "public-key", "id", base64url(a->list.rows[i].id)));
    for (int i = 0; passkey_algorithms[i]; i++)
        json_array_append_new(algorithms, json_pack("{s:s,s:i}", "type", "public-key", "alg", passkey_algorithms[i]));
    return json_pack("{s:{s:s%,s:s%},s:{s:o,s:s%,s:s%},s:o,s:o,s:o,s:i,s:s,s:{s:s,s:b,s:s}}", "rp", "id", a->rp_id.p, a->rp_id.len, "name",
                     a->rp_id.p, a->rp_id.len, "user", "id", base64url(a->handle), "name", a->user.p, a->user.len, "displayName", a->user.p,
                     a->user.len, "challenge", base64url(a->challenge), "pubKeyCredParams", algorithms, "excludeCredentials", known, "timeout",
                     PASSKEY_CHALLENGE_S * 1000, "attestation", "none", "authenticatorSelection", "residentKey", "required",
                     "requireResidentKey", 1, "userVerification", "required");
}

/* §5.1.10: PublicKeyCredentialRequestOptionsJSON, for whichever passkey the person has. */
static json_t *request_json(const struct passkey_answer *a)
{
    return json_pack("{s:o,s:s%,s:i,s:s}", "challenge", base64url(a->challenge), "rpId", a->rp_id.p, a->rp_id.len, "timeout",
                     PASSKEY_CHALLENGE_S * 1000, "userVerification", "required");
}

static json_t *login_json(const struct question *k, const struct passkey_answer *a)
{
    return json_pack("{s:s%,s:s,s:s%,s:o}", "name", a->user.p, a->user.len, "domain", k->domain, "token", a->token.p, a->token.len, "expiry",
                     moment(a->expires_us));
}

static void answered(void *arg, enum err e, const struct passkey_answer *a)
{
    struct question *k = arg;

    if (e)
        refuse(k->x, e == ERR_UNCERTAIN ? ERR_UNAVAILABLE : e, a->why);
    else if (k->verb == PASSKEY_LIST)
        answer(k->x, 200, list_json(a));
    else if (k->verb == PASSKEY_OFFER)
        answer(k->x, 200, json_pack("{s:o}", "publicKey", creation_json(a)));
    else if (k->verb == PASSKEY_CHALLENGE)
        answer(k->x, 200, json_pack("{s:o}", "publicKey", request_json(a)));
    else if (k->verb == PASSKEY_LOGIN)
        answer(k->x, 200, login_json(k, a));
    else
        answer(k->x, k->verb == PASSKEY_ADD ? 201 : 204, k->verb == PASSKEY_ADD ? json_object() : NULL);
    free(k->domain);
    free(k);
}

/* ---- questions ---- */

/* A page's script of another origin must ask first whether it may send this (CORS), and nobody says yes. */
static bool is_json(const struct http_request *rq)
{
    struct str type = http_header(rq, "Content-Type");

    return str_eq_nocase(str_trim(str_split(&type, ';')), STR("application/json"));
}

static enum err bytes_read(struct arena *a, const json_t *object, const char *key, struct str *out)
{
    struct str text = json_get_str(object, key);

    return text.p ? base64url_decode(a, text, out) : ERR_INVALID;
}

/* §5.1.8: AuthenticationResponseJSON or RegistrationResponseJSON, as a browser's credential.toJSON() gives it. */
static enum err credential_read(struct arena *a, const json_t *body, enum passkey_verb verb, struct passkey_request *q)
{
    const json_t *credential = json_object_get(body, "credential"), *response = json_object_get(credential, "response");
    enum err      e = bytes_read(a, response, "clientDataJSON", &q->client_data);

    if (e || verb == PASSKEY_ADD)
        return e ? e : bytes_read(a, response, "attestationObject", &q->attestation);
    e = bytes_read(a, credential, "rawId", &q->id);
    if (!e)
        e = bytes_read(a, response, "authenticatorData", &q->auth_data);
    if (!e)
        e = bytes_read(a, response, "signature", &q->signature);
    /* only a passkey that the authenticator itself keeps has one */
    return e ? e : bytes_read(a, response, "userHandle", &q->handle);
}

static enum err body_read(struct arena *a, const json_t *body, enum passkey_verb verb, struct passkey_request *q)
{
    q->label = str_trim(json_get_str(body, "name"));
    q->agent = json_get_str(body, "agent");
    q->mechanism = json_get_str(body, "mechanism");
    if (q->label.len > PASSKEY_LABEL_BYTES_MAX)
        return ERR_INVALID;
    return verb == PASSKEY_RENAME ? OK : credential_read(a, body, verb, q);
}

static struct str ticket_of(const struct http_request *rq)
{
    struct str value = http_header(rq, "Authorization"), scheme = str_split(&value, ' ');

    return str_eq_nocase(scheme, STR("Bearer")) ? str_trim(value) : STR_NULL;
}

/* ERR_LIMIT: ident has enough to do. */
static enum err ask(struct bus *b, struct str domain, struct http_exchange *x, enum passkey_verb verb, const struct passkey_request *q)
{
    struct question *k = NEW(struct question);
    enum err         e;

    *k = (struct question){ .x = x, .verb = verb, .domain = str_dup(domain) };
    e = passkey_ask(b, verb, q, answered, k);
    if (e) {
        free(k->domain);
        free(k);
    }
    return e;
}

/* ---- routes ---- */

static const struct route {
    const char       *method, *path;        /* behind PATH; "/": one passkey, unless the path has a row of its own */
    enum passkey_verb verb;
    bool              body;
} routes[] = {
    { "POST", "/login/options", PASSKEY_CHALLENGE, false },
    { "POST", "/login", PASSKEY_LOGIN, true },
    { "POST", "/options", PASSKEY_OFFER, false },
    { "POST", "", PASSKEY_ADD, true },
    { "GET", "", PASSKEY_LIST, false },
    { "DELETE", "/password", PASSKEY_PASSWORD_REMOVE, false },
    { "PATCH", "/", PASSKEY_RENAME, true },
    { "DELETE", "/", PASSKEY_REMOVE, false },
};

static const struct route *route_of(struct arena *a, const struct http_request *rq, struct str path, struct str *id, bool *known_path)
{
    bool is_one = path.len > 1 && path.p[0] == '/' && base64url_decode(a, str_make(path.p + 1, path.len - 1), id) == OK;

    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        bool here = str_is(path, routes[i].path) || (is_one && strcmp(routes[i].path, "/") == 0);

        *known_path |= here;
        if (here && str_is(rq->method, routes[i].method))
            return &routes[i];
    }
    return NULL;
}

static void route_take(struct bus *b, struct str domain, struct http_exchange *x, const struct http_request *rq, const struct route *r,
                       struct passkey_request *q, struct arena *a)
{
    char     peer[64];
    json_t  *body = NULL;
    enum err e = OK;

    q->ticket = ticket_of(rq);
    q->peer_key = conn_peer_key(http_conn(x), peer);
    if (q->ticket.len > PASSKEY_TICKET_CHARS_MAX)
        e = ERR_UNAUTHORIZED;
    if (!e && r->body && !is_json(rq))
        e = ERR_INVALID;
    if (!e && r->body)
        e = json_read(a, rq->body, BODY_BYTES_MAX, &body, NULL);
    if (!e && r->body)
        e = body_read(a, body, r->verb, q);
    if (!e)
        e = ask(b, domain, x, r->verb, q);
    if (e)
        refuse(x, e, STR_NULL);
    json_decref(body);
}

bool passkeys_answer(struct bus *b, struct str domain, struct http_exchange *x, const struct http_request *rq)
{
    struct passkey_request q = { 0 };
    struct str             path = rq->path;
    const struct route    *r;
    struct arena           a;
    bool                   known_path = false;

    if (!str_starts(path, STR(PATH)))
        return false;
    path = str_make(path.p + sizeof PATH - 1, path.len - sizeof PATH + 1);
    if (path.len && path.p[0] != '/')
        return false;
    arena_init(&a);
    r = route_of(&a, rq, path, &q.id, &known_path);
    if (r)
        route_take(b, domain, x, rq, r, &q, &a);
    else if (known_path)
        http_answer(x, 405, STR_NULL, STR_NULL, STR_NULL);
    else
        refuse(x, ERR_NOT_FOUND, STR_NULL);
    arena_done(&a);
    return true;
}
