/* s2s_out.c: streams that we open to other servers; see s2s.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "courier/s2s.h"
#include "wire/base64.h"

struct s2s *s2s_out_connect(struct link *l, const struct target *t)
{
    struct courier *c = l->courier;
    struct s2s     *s = s2s_new(c, false);
    char            name[256];

    s->link = l;
    s->local = str_dup(l->local);
    s->remote = str_dup(l->remote);
    s->tls_starting = t->tls;
    if (!courier_ascii(l->remote, name) || conn_connect(c->loop, str_of(t->address), &c->conn_limits, &s2s_handlers, s, &s->conn) != OK) {
        s->conn = NULL;
        s2s_discard(s);
        return NULL;
    }
    LOG_INFO("s2s.connecting", LF_I64("stream", (int64_t)s->id), LF_STR("remote", l->remote), LF_Z("address", t->address));
    if (t->tls && conn_start_tls(s->conn, c->tls_direct, false, str_of(name)) != OK)
        conn_abort(s->conn, ERR_BUG);
    if (!t->tls)
        s2s_header(s);
    return s;
}

void s2s_out_tls_ready(struct s2s *s)
{
    s->certified = s2s_prove_certificate(s, str_of(s->remote));
    if (s->courier->limits.certificates_required && !s->certified) {
        LOG_WARN("s2s.certificate", LF_STR("remote", str_of(s->remote)));
        s->why = ERR_UNAUTHORIZED;
        s2s_restart(s);
        s2s_header(s);
        s2s_fail(s, "policy-violation");
        return;
    }
    s2s_restart(s);
    s2s_header(s);
}

void s2s_out_proven(struct s2s *s)
{
    s->authenticated = true;
    s->scan.bytes_max = s->courier->limits.stanza_bytes_max;
    LOG_INFO("s2s.ready", LF_I64("stream", (int64_t)s->id), LF_STR("remote", str_of(s->remote)), LF_STR("local", str_of(s->local)),
             LF_Z("tls", s->tls ? tls_version(conn_tls(s->conn)) : "no"),
             LF_Z("proof", s->tried_external && !s->asked_dialback ? "certificate" : "dialback"));
    if (s->may_sm) {
        s->asked_sm = true;
        s2s_write(s, STR("<enable xmlns='" NS_SM "'/>"));
    }
    link_ready(s->link, s);
}

void s2s_out_opened(struct s2s *s, const struct xml_node *open)
{
    struct str id = xml_attr(open, "id");

    free(s->stream_id);
    s->stream_id = str_dup(id);
}

/* ---- proving who we are ---- */

static void ask_bidi(struct s2s *s)
{
    if (!s->may_bidi || s->asked_bidi)
        return;
    s->asked_bidi = true;
    s->bidi = true;
    s2s_write(s, STR("<bidi xmlns='" NS_BIDI "'/>"));
}

static void external(struct s2s *s)
{
    struct buf b;

    s->tried_external = true;
    buf_init(&b, 0);
    BUF_LIT(&b, "<auth xmlns='" NS_SASL "' mechanism='EXTERNAL'>");
    base64_put(&b, str_of(s->local));
    BUF_LIT(&b, "</auth>");
    s2s_write(s, buf_str(&b));
    buf_done(&b);
}

static void dialback(struct s2s *s)
{
    char       key[DIALBACK_KEY_BYTES];
    struct buf b;

    if (s->asked_dialback)
        return;
    s->asked_dialback = true;
    dialback_key(courier_secret(s->courier), str_of(s->remote), str_of(s->local), str_of(s->stream_id), key);
    buf_init(&b, 0);
    BUF_LIT(&b, "<db:result");
    xml_put_attr(&b, "from", str_of(s->local));
    xml_put_attr(&b, "to", str_of(s->remote));
    buf_printf(&b, ">%s</db:result>", key);
    s2s_write(s, buf_str(&b));
    buf_done(&b);
}

void s2s_out_verify(struct s2s *s)
{
    struct buf b;

    if (!s->features_known || s->closing || !s->conn)
        return;
    buf_init(&b, 0);
    LIST_EACH(it, &s->link->verifies) {
        struct verify *v = LIST_ITEM(it, struct verify, in_link);

        if (v->asked)
            continue;
        v->asked = true;
        buf_clear(&b);
        BUF_LIT(&b, "<db:verify");
        xml_put_attr(&b, "from", s->link->local);
        xml_put_attr(&b, "to", s->link->remote);
        xml_put_attr(&b, "id", str_of(v->id));
        buf_put_c(&b, '>');
        xml_put_escaped(&b, str_of(v->key));
        BUF_LIT(&b, "</db:verify>");
        s2s_write(s, buf_str(&b));
    }
    buf_done(&b);
}

/* ---- what they offer ---- */

static bool offers_external(const struct xml_node *features)
{
    const struct xml_node *list = xml_child(features, "mechanisms", NS_SASL);

    for (const struct xml_node *m = list ? xml_first(list) : NULL; m; m = xml_next(m))
        if (m->child && str_is(str_trim(m->child->text), "EXTERNAL"))
            return true;
    return false;
}

static void features(struct s2s *s, const struct xml_node *n)
{
    if (!s->tls && xml_child(n, "starttls", NS_TLS)) {
        s2s_write(s, STR("<starttls xmlns='" NS_TLS "'/>"));
        return;
    }
    if (!s->tls && s->courier->limits.tls_required) {
        s->why = ERR_UNAUTHORIZED;
        s2s_fail(s, "policy-violation");
        return;
    }
    s2s_features_sm(s, n);
    s->may_bidi |= xml_child(n, "bidi", NS_BIDI_FEATURE) != NULL;
    if (s->authenticated) {
        s2s_out_proven(s);
        return;
    }
    s->features_known = true;
    s2s_out_verify(s);
    ask_bidi(s);
    if (s->tls && offers_external(n) && !s->tried_external && !s->link->no_external)
        external(s);
    else
        dialback(s);
}

void s2s_out_element(struct s2s *s, const struct xml_node *n)
{
    if (xml_is(n, "features", NS_STREAM)) {
        features(s, n);
    } else if (xml_is(n, "proceed", NS_TLS) && !s->tls && !s->tls_starting) {
        char name[256];

        s->tls_starting = true;
        if (!courier_ascii(str_of(s->remote), name) || conn_start_tls(s->conn, s->courier->tls_client, false, str_of(name)) != OK)
            conn_abort(s->conn, ERR_BUG);
    } else if (xml_is(n, "success", NS_SASL) && s->tried_external && !s->authenticated && !s->asked_dialback) {
        s->authenticated = true;
        s2s_restart(s);
        s2s_header(s);
    } else if (xml_is(n, "failure", NS_SASL) && s->tried_external && !s->authenticated) {
        dialback(s); /* XEP-0178 §3, step 11 */
    } else if (xml_is(n, "failure", NS_TLS)) {
        s->why = ERR_UNAUTHORIZED;
        s2s_end(s);
    } else {
        s2s_stanza(s, n);
    }
}
