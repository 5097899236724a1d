/* login.c: what the two SASL profiles share. See login.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/login.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/person.h"
#include "talk/stream.h"
#include "talk/xep/xep0198_sm.h"
#include <stdlib.h>

METRIC_COUNTER(logins, "bongsu_talk_logins", "Successful log-ins.");
METRIC_COUNTER(login_failures, "bongsu_talk_login_failures", "Log-ins refused.");

struct login *login_get(struct session *s)
{
    if (!s->login) {
        s->login = NEW(struct login);
        buf_init(&s->login->reply, 64 * 1024);
    }
    return s->login;
}

void login_free(struct session *s)
{
    if (!s->login)
        return;
    if (s->login->exchange)
        ident_sasl_abort(s->talk->bus, s->login->exchange);
    timer_stop(s->talk->loop, &s->login->far_look);
    free(s->login->request);
    free(s->login->preauth);
    free(s->login->preauth_name);
    buf_done(&s->login->reply);
    free(s->login);
    s->login = NULL;
}

/* ---- what is offered ---- */

bool login_may(const struct session *s)
{
    return s->secure || s->talk->limits.plain_without_tls;
}

bool login_offers(const struct session *s, const char *mechanism)
{
    struct str m = str_of(mechanism);

    if (!login_may(s) || (s->talk->limits.no_sha_256 && str_starts(m, STR("SCRAM-SHA-256"))))
        return false;
    if (str_ends(m, STR("-PLUS")) || str_ends(m, STR("-EXPR")) || str_ends(m, STR("-ENDP")))
        return s->secure && s->conn && conn_tls(s->conn);
    return true;
}

void login_put_mechanisms(struct session *s, struct buf *out)
{
    for (int i = 0; ident_mechanisms[i]; i++) {
        if (!login_offers(s, ident_mechanisms[i]))
            continue;
        BUF_LIT(out, "<mechanism>");
        buf_put_z(out, ident_mechanisms[i]);
        BUF_LIT(out, "</mechanism>");
    }
}

static bool is_offered(const struct session *s, struct str mechanism)
{
    for (int i = 0; ident_mechanisms[i]; i++)
        if (str_is(mechanism, ident_mechanisms[i]))
            return login_offers(s, ident_mechanisms[i]);
    for (int i = 0; ident_fast_mechanisms[i]; i++)
        if (str_is(mechanism, ident_fast_mechanisms[i]))
            return login_offers(s, ident_fast_mechanisms[i]);
    return false;
}

/* ---- asking ident ---- */

static void refuse(struct session *s, enum sasl_failure f)
{
    struct login *l = s->login;

    metric_add(&login_failures, 1);
    l->exchange = 0;
    LOG_INFO("login.refused", LF_I64("session", (int64_t)s->id), LF_Z("condition", sasl_failure_condition(f)));
    l->profile->failure(s, f);
    if (++l->tries >= s->talk->limits.login_tries_max)
        session_fail(s, "policy-violation", "too many log-in attempts");
}

/* Who it is has been proven; what we know of them may have to be read first. */
struct proven {
    uint64_t           session_id;
    struct sasl_answer answer;
    char              *data, *user, *token;
};

static void answer_end(struct talk *t, uint64_t id)
{
    struct session *s = session_find(t, id);

    if (s && s->held && !(s->login && s->login->answering))
        session_continue(s);
}

/* Who gave up waiting and has perhaps come in by another door must not throw that one out. */
static bool has_left(struct session *s)
{
    if (s->conn && !conn_peer_left(s->conn))
        return false;
    if (s->conn)
        conn_abort(s->conn, ERR_CLOSED);
    return true;
}

static void succeed(struct session *s, const struct sasl_answer *a)
{
    if (has_left(s))
        return;
    if (session_authenticate(s, a->user) != OK) {
        refuse(s, SASL_TEMPORARY_AUTH_FAILURE);
        return;
    }
    s->agent = s->login->agent;
    metric_add(&logins, 1);
    s->login->profile->success(s, a->data, a);
}

static void person_opened(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct proven  *v = arg;
    struct session *s = session_find(t, v->session_id);

    if (s && s->login) {
        arena_reset(&t->round);
        if (p && !e)
            succeed(s, &v->answer);
        else
            refuse(s, SASL_TEMPORARY_AUTH_FAILURE);
        answer_end(t, v->session_id);
    }
    free(v->data);
    free(v->user);
    free(v->token);
    free(v);
}

static void person_read(struct session *s, const struct sasl_answer *a)
{
    struct proven *v = NEW(struct proven);

    v->session_id = s->id;
    v->answer = *a;
    v->user = str_dup(a->user);
    v->answer.user = str_of(v->user);
    if (a->data.p) {
        v->data = str_dup(a->data);
        v->answer.data.p = v->data;
    }
    if (a->fast_token.p) {
        v->token = str_dup(a->fast_token);
        v->answer.fast_token.p = v->token;
    }
    person_open(s->talk, str_of(v->user), person_opened, v);
}

static void answered(void *arg, enum err e, const struct sasl_answer *a)
{
    uint64_t       *ids = arg;
    struct talk    *t = (struct talk *)(uintptr_t)ids[1];
    uint64_t        id = ids[0];
    struct session *s = session_find(t, id);

    free(ids);
    if (!s || !s->login)
        return;
    arena_reset(&t->round);
    if (e) {
        refuse(s, SASL_TEMPORARY_AUTH_FAILURE);
    } else if (a->state == SASL_FAILURE) {
        refuse(s, a->failure);
    } else if (a->state == SASL_CONTINUE) {
        s->login->exchange = a->exchange;
        s->login->profile->challenge(s, a->data);
    } else {
        s->login->exchange = 0;
        if (t->shared && !person_known(t, a->user)) {
            person_read(s, a);
            return;
        }
        succeed(s, a);
    }
    answer_end(t, id);
}

static uint64_t *ask_arg(struct session *s)
{
    uint64_t *ids = mem_new(2 * sizeof *ids);

    ids[0] = s->id;
    ids[1] = (uintptr_t)s->talk;
    return ids;
}

void login_start(struct session *s, const struct login_profile *p, struct sasl_start *start)
{
    struct login *l = login_get(s);
    struct tls   *tls = s->conn ? conn_tls(s->conn) : NULL;
    uint8_t       exporter[32], end_point[TLS_BINDING_BYTES_MAX];
    size_t        end_point_bytes;
    char          peer[64];
    uint64_t     *arg;

    l->profile = p;
    l->agent = (int64_t)ident_device_id(start->agent_id);
    if (l->exchange)
        ident_sasl_abort(s->talk->bus, l->exchange);
    l->exchange = 0;
    if (!is_offered(s, start->mechanism)) {
        refuse(s, SASL_INVALID_MECHANISM);
        return;
    }
    start->peer_key = conn_peer_key(s->conn, peer);
    start->binding_offered = tls != NULL;
    if (tls && tls_exporter(tls, exporter) == OK)
        start->exporter = str_make((char *)exporter, sizeof exporter);
    if (tls && tls_server_end_point(tls, end_point, &end_point_bytes) == OK)
        start->end_point = str_make((char *)end_point, end_point_bytes);
    arg = ask_arg(s);
    session_hold(s);
    if (ident_sasl_start(s->talk->bus, start, answered, arg) == OK)
        return;
    free(arg);
    refuse(s, SASL_TEMPORARY_AUTH_FAILURE);
    if (s->state != SESSION_CLOSED)
        session_continue(s);
}

void login_step(struct session *s, struct str response)
{
    struct login *l = login_get(s);
    uint64_t     *arg;

    if (!l->exchange) {     /* a response without a challenge */
        if (l->profile)
            refuse(s, SASL_MALFORMED_REQUEST);
        else
            session_fail(s, "not-authorized", NULL);
        return;
    }
    arg = ask_arg(s);
    session_hold(s);
    if (ident_sasl_step(s->talk->bus, l->exchange, response, answered, arg) == OK)
        return;
    free(arg);
    refuse(s, SASL_TEMPORARY_AUTH_FAILURE);
    if (s->state != SESSION_CLOSED)
        session_continue(s);
}

void login_abort(struct session *s)
{
    struct login *l = login_get(s);

    if (!l->profile) {
        session_fail(s, "not-authorized", NULL);
        return;
    }
    if (l->exchange)
        ident_sasl_abort(s->talk->bus, l->exchange);
    refuse(s, SASL_ABORTED);
}

/* ---- resumption ---- */

static struct xml_node *request_parse(struct session *s)
{
    struct xml_node *n = NULL;

    if (xml_parse(&s->talk->round, str_of(s->login->request), NULL, &n) != XML_FINE)
        return NULL;
    return n;
}

void login_resume_nonza(struct session *s, const struct xml_node *resume)
{
    struct login *l = login_get(s);
    struct buf    text;

    buf_init(&text, 0);
    xml_put_node(&text, resume, STR_NULL);
    free(l->request);
    l->request = str_dup(buf_str(&text));
    buf_done(&text);
    l->answering = false;
    sm_resume(s, resume);
}

void login_resume_again(struct session *s)
{
    struct xml_node *n;

    if (has_left(s))
        return;
    arena_reset(&s->talk->round);
    if (s->login->answering) {
        sasl2_continue(s);
        return;
    }
    n = request_parse(s);
    if (!n || sm_resume(s, n) == RESUME_FAILED)
        session_continue(s);
}

void login_resume_failed(struct session *s, struct str failed_xml)
{
    struct login *l = s->login;

    if (l && l->answering)
        buf_put_str(&l->reply, failed_xml);
    else
        session_send_nonza(s, failed_xml);
}

void login_resumed(struct session *s, struct session *old, struct str resumed_xml)
{
    struct login *l = s->login;

    if (l && l->answering) {
        buf_put_str(&l->reply, resumed_xml);
        sasl2_write_success(old, l, old->jid.full);
    } else {
        session_send_nonza(old, resumed_xml);
    }
    session_free(s);
}
