/* sasl.c: STARTTLS, SASL and resource binding as RFC 6120 §§5–7 negotiate them.
 *
 *   features(starttls) ─<starttls/>─▶ proceed, TLS, restart
 *   features(mechanisms) ─<auth/>─▶ [challenge ⇄ response] ─▶ success, restart
 *   features(bind) ─iq bind─▶ BOUND
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/feature.h"
#include "talk/login.h"
#include "talk/stream.h"
#include "wire/base64.h"

#define NS_TLS     "urn:ietf:params:xml:ns:xmpp-tls"
#define NS_SASL    "urn:ietf:params:xml:ns:xmpp-sasl"
#define NS_BIND    "urn:ietf:params:xml:ns:xmpp-bind"
#define NS_SESSION "urn:ietf:params:xml:ns:xmpp-session"

/* ---- STARTTLS (§5) ---- */

static void tls_features(struct session *s, struct buf *out)
{
    if (s->secure || !s->talk->tls || s->state != SESSION_FEATURES)
        return;
    if (s->talk->limits.plain_without_tls)
        BUF_LIT(out, "<starttls xmlns='" NS_TLS "'/>");
    else
        BUF_LIT(out, "<starttls xmlns='" NS_TLS "'><required/></starttls>");
}

static void handle_starttls(struct session *s, const struct xml_node *n)
{
    (void)n;
    if (s->secure || !s->talk->tls || s->transport == TALK_WEBSOCKET) {
        session_send_nonza(s, STR("<failure xmlns='" NS_TLS "'/>"));
        session_end(s);
        return;
    }
    session_send_nonza(s, STR("<proceed xmlns='" NS_TLS "'/>"));
    s->secure = true;
    stream_restart(s);
    if (conn_start_tls(s->conn, s->talk->tls, true, STR_NULL) != OK)
        conn_abort(s->conn, ERR_BUG);
}

static const struct nonza_handler tls_nonzas[] = {
    { "starttls", NS_TLS, NONZA_EARLY, handle_starttls },
    { 0 },
};

const struct feature rfc6120_tls = {
    .spec = "RFC 6120",
    .title = "STARTTLS",
    .nonzas = tls_nonzas,
    .stream_features = tls_features,
};

/* ---- SASL (§6) ---- */

static void put_data(struct session *s, const char *name, struct str data)
{
    struct buf b;

    buf_init(&b, 0);
    buf_printf(&b, "<%s xmlns='" NS_SASL "'>", name);
    base64_put(&b, data);
    buf_printf(&b, "</%s>", name);
    session_send_nonza(s, buf_str(&b));
    buf_done(&b);
}

static void sasl_challenge(struct session *s, struct str data) { put_data(s, "challenge", data); }

static void sasl_refused(struct session *s, enum sasl_failure f)
{
    struct buf b;

    buf_init(&b, 0);
    buf_printf(&b, "<failure xmlns='" NS_SASL "'><%s/></failure>", sasl_failure_condition(f));
    session_send_nonza(s, buf_str(&b));
    buf_done(&b);
}

static void sasl_succeeded(struct session *s, struct str data, const struct sasl_answer *a)
{
    (void)a;
    if (data.p)
        put_data(s, "success", data);
    else
        session_send_nonza(s, STR("<success xmlns='" NS_SASL "'/>"));
    login_free(s);
    stream_restart(s);
}

static const struct login_profile sasl_profile = { sasl_challenge, sasl_refused, sasl_succeeded };

/* §6.4.2: "=" is an empty initial response; no text is none. */
static bool read_data(struct session *s, const struct xml_node *n, struct str *out)
{
    struct str text = str_trim(xml_text(&s->talk->round, n));

    if (str_is(text, "=")) {
        *out = STR("");
        return true;
    }
    return base64_decode(&s->talk->round, text, out) == OK;
}

static void handle_auth(struct session *s, const struct xml_node *n)
{
    struct sasl_start start = { .mechanism = xml_attr(n, "mechanism") };
    struct login     *l = login_get(s);

    l->profile = &sasl_profile;
    if (!login_may(s)) {
        session_send_nonza(s, STR("<failure xmlns='" NS_SASL "'><encryption-required/></failure>"));
        session_fail(s, "policy-violation", "TLS is required before log-in");
        return;
    }
    if (!str_empty(str_trim(xml_text(&s->talk->round, n))) && !read_data(s, n, &start.initial)) {
        sasl_refused(s, SASL_INCORRECT_ENCODING);
        return;
    }
    login_start(s, &sasl_profile, &start);
}

static void handle_response(struct session *s, const struct xml_node *n)
{
    struct str data;

    if (read_data(s, n, &data))
        login_step(s, data);
    else if (s->login && s->login->profile)
        sasl_refused(s, SASL_INCORRECT_ENCODING);
    else
        session_fail(s, "not-authorized", NULL);
}

static void handle_abort(struct session *s, const struct xml_node *n)
{
    (void)n;
    login_abort(s);
}

static void sasl_features(struct session *s, struct buf *out)
{
    if (s->state != SESSION_FEATURES || !login_may(s))
        return;
    BUF_LIT(out, "<mechanisms xmlns='" NS_SASL "'>");
    login_put_mechanisms(s, out);
    BUF_LIT(out, "</mechanisms>");
}

static const struct nonza_handler sasl_nonzas[] = {
    { "auth", NS_SASL, NONZA_EARLY, handle_auth },
    { "response", NS_SASL, NONZA_EARLY, handle_response },
    { "abort", NS_SASL, NONZA_EARLY, handle_abort },
    { 0 },
};

const struct feature rfc6120_sasl = {
    .spec = "RFC 6120",
    .title = "SASL",
    .nonzas = sasl_nonzas,
    .stream_features = sasl_features,
};

/* ---- bind (§7) ---- */

static void bind_features(struct session *s, struct buf *out)
{
    if (s->state == SESSION_AUTHENTICATED)
        BUF_LIT(out, "<bind xmlns='" NS_BIND "'/><session xmlns='" NS_SESSION "'><optional/></session>");
}

static enum err bind_set(struct session *s, const struct stanza *iq)
{
    struct str resource = xml_child_text(iq->arena, iq->payload, "resource", NS_BIND);
    struct str prepared;
    struct buf b;

    if (s->state != SESSION_AUTHENTICATED)
        return iq_error_condition(s, iq, "cancel", "not-allowed", "a resource is bound already");
    if (resource.len && jid_prep_resource(iq->arena, resource, &prepared) != OK)
        return iq_error_condition(s, iq, "modify", "bad-request", "the resource is not valid");
    if (session_bind(s, resource.len ? prepared : STR_NULL) != OK)
        return ERR_INVALID;
    login_free(s);
    buf_init(&b, 0);
    BUF_LIT(&b, "<bind xmlns='" NS_BIND "'><jid>");
    xml_put_escaped(&b, s->jid.full);
    BUF_LIT(&b, "</jid></bind>");
    iq_result_str(s, iq, buf_str(&b));
    buf_done(&b);
    return OK;
}

/* RFC 3921 clients ask for a session; there is nothing left to do (RFC 6121 Appendix E). */
static enum err session_set(struct session *s, const struct stanza *iq)
{
    return iq_result(s, iq, NULL);
}

static const struct iq_handler bind_iqs[] = {
    { "bind", NS_BIND, IQ_TO_SERVER | IQ_TO_SELF, NULL, bind_set },
    { "session", NS_SESSION, IQ_TO_SERVER | IQ_TO_SELF, NULL, session_set },
    { 0 },
};

const struct feature rfc6120_bind = {
    .spec = "RFC 6120",
    .title = "Resource binding",
    .iqs = bind_iqs,
    .stream_features = bind_features,
};
