/* XEP-0388 Extensible SASL Profile 1.0.4: log-in, binding and resumption in one
 * round trip, without restarting the stream.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0388_sasl2.h"
#include "base/mem.h"
#include "talk/feature.h"
#include "talk/stream.h"
#include "talk/xep/xep0198_sm.h"
#include "wire/base64.h"
#include <stdlib.h>

#define NS_SASL2 "urn:xmpp:sasl:2"
#define NS_SASL  "urn:ietf:params:xml:ns:xmpp-sasl"
#define NS_SM    "urn:xmpp:sm:3"

static void sasl2_challenge(struct session *s, struct str data)
{
    struct buf b;

    buf_init(&b, 0);
    BUF_LIT(&b, "<challenge xmlns='" NS_SASL2 "'>");
    base64_put(&b, data);
    BUF_LIT(&b, "</challenge>");
    session_send_nonza(s, buf_str(&b));
    buf_done(&b);
}

static void sasl2_refused(struct session *s, enum sasl_failure f)
{
    struct buf b;

    buf_init(&b, 0);
    buf_printf(&b, "<failure xmlns='" NS_SASL2 "'><%s xmlns='" NS_SASL "'/></failure>", sasl_failure_condition(f));
    session_send_nonza(s, buf_str(&b));
    buf_done(&b);
}

void sasl2_write_success(struct session *s, struct login *l, struct str jid)
{
    struct buf b;

    buf_init(&b, 0);
    BUF_LIT(&b, "<success xmlns='" NS_SASL2 "'>");
    buf_put_str(&b, buf_str(&l->reply));
    BUF_LIT(&b, "<authorization-identifier>");
    xml_put_escaped(&b, jid);
    BUF_LIT(&b, "</authorization-identifier></success>");
    session_send_nonza(s, buf_str(&b));
    buf_done(&b);
    l->answering = false;
}

/* The rest of what <authenticate/> asked for: resume, else bind. Runs again when
 * a resumption had to wait. */
void sasl2_continue(struct session *s)
{
    struct login    *l = s->login;
    struct xml_node *n = NULL, *resume;

    if (xml_parse(&s->talk->round, str_of(l->request), NULL, &n) != XML_FINE) {
        session_fail(s, "internal-server-error", NULL);
        return;
    }
    resume = xml_child(n, "resume", NS_SM);
    if (resume && sm_resume(s, resume) != RESUME_FAILED)
        return;
    bind2_run(s, n, &l->reply);
    if (s->state == SESSION_CLOSED)
        return;
    sasl2_write_success(s, l, s->jid.full);
    if (s->state == SESSION_BOUND)
        login_free(s);
    stream_send_features(s);
    session_continue(s);
}

static void sasl2_succeeded(struct session *s, struct str data, const struct sasl_answer *a)
{
    struct login *l = s->login;

    buf_clear(&l->reply);
    if (data.p) {
        BUF_LIT(&l->reply, "<additional-data>");
        base64_put(&l->reply, data);
        BUF_LIT(&l->reply, "</additional-data>");
    }
    fast_put_token(a, &l->reply);
    l->answering = true;
    sasl2_continue(s);
}

static const struct login_profile sasl2_profile = { sasl2_challenge, sasl2_refused, sasl2_succeeded };

/* What it calls itself, for people to read: cut where it is too long. */
static struct str shown(struct session *s, const struct xml_node *agent, const char *name)
{
    struct str text = str_trim(xml_child_text(&s->talk->round, agent, name, NS_SASL2));

    if (text.len > IDENT_DEVICE_TEXT_BYTES_MAX)
        text.len = IDENT_DEVICE_TEXT_BYTES_MAX;
    while (text.len && !str_is_utf8(text))
        text.len--;
    return text;
}

static void handle_authenticate(struct session *s, const struct xml_node *n)
{
    struct sasl_start      start = { .mechanism = xml_attr(n, "mechanism") };
    const struct xml_node *agent = xml_child(n, "user-agent", NS_SASL2);
    const struct xml_node *initial = xml_child(n, "initial-response", NS_SASL2);
    struct login          *l = login_get(s);
    struct buf             text;

    l->profile = &sasl2_profile;
    if (initial && base64_decode(&s->talk->round, str_trim(xml_text(&s->talk->round, initial)), &start.initial) != OK) {
        sasl2_refused(s, SASL_INCORRECT_ENCODING);
        return;
    }
    if (initial && !start.initial.p)
        start.initial = STR("");
    if (agent) {
        start.agent_id = xml_attr(agent, "id");
        start.software = shown(s, agent, "software");
        start.device = shown(s, agent, "device");
    }
    fast_read(n, &start);
    buf_init(&text, 0);
    xml_put_node(&text, n, STR_NULL);
    free(l->request);
    l->request = str_dup(buf_str(&text));
    buf_done(&text);
    login_start(s, &sasl2_profile, &start);
}

static void handle_response(struct session *s, const struct xml_node *n)
{
    struct str data;

    if (base64_decode(&s->talk->round, str_trim(xml_text(&s->talk->round, n)), &data) == OK)
        login_step(s, data);
    else
        sasl2_refused(s, SASL_INCORRECT_ENCODING);
}

static void handle_abort(struct session *s, const struct xml_node *n)
{
    (void)n;
    login_abort(s);
}

static void sasl2_features(struct session *s, struct buf *out)
{
    if (s->state != SESSION_FEATURES || !login_may(s))
        return;
    BUF_LIT(out, "<authentication xmlns='" NS_SASL2 "'>");
    login_put_mechanisms(s, out);
    BUF_LIT(out, "<inline>");
    bind2_put_inline(s, out);
    BUF_LIT(out, "<sm xmlns='" NS_SM "'/>");
    fast_put_inline(s, out);
    BUF_LIT(out, "</inline></authentication>");
}

static const struct nonza_handler sasl2_nonzas[] = {
    { "authenticate", NS_SASL2, NONZA_EARLY, handle_authenticate },
    { "response", NS_SASL2, NONZA_EARLY, handle_response },
    { "abort", NS_SASL2, NONZA_EARLY, handle_abort },
    { 0 },
};

const struct feature xep0388_sasl2 = {
    .spec = "XEP-0388 1.0.4",
    .title = "Extensible SASL Profile",
    .nonzas = sasl2_nonzas,
    .stream_features = sasl2_features,
};
