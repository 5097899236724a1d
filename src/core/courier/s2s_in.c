/* s2s_in.c: streams that other servers open to us; see s2s.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/metric.h"
#include "courier/s2s.h"
#include "crypto/digest.h"
#include "wire/base64.h"

METRIC_COUNTER(accepted, "bongsu_courier_connections", "Connections accepted from other servers.");
METRIC_COUNTER_L(refused_address, "bongsu_courier_connections_refused", "Connections refused at a bound.", "bound=\"address\"");
METRIC_COUNTER_L(refused_total, "bongsu_courier_connections_refused", "Connections refused at a bound.", "bound=\"all\"");

enum { SASL_TRIES_MAX = 3 };

/* ---- accepting ---- */

static bool address_enter(struct courier *c, struct s2s *s)
{
    int *count;

    count = strmap_get(&c->addresses, str_of(s->peer_key));
    if (!count) {
        /* the key lies behind the number, so that the map may point to it */
        count = mem_new(sizeof *count + sizeof s->peer_key);
        memcpy(count + 1, s->peer_key, sizeof s->peer_key);
        strmap_put(&c->addresses, str_of((char *)(count + 1)), count);
    }
    if (*count >= c->limits.per_address_max) {
        s->peer_key[0] = '\0';
        return false;
    }
    ++*count;
    return true;
}

void s2s_in_accept(struct courier *c, int fd, bool tls)
{
    struct s2s  *s;
    struct conn *conn;

    metric_add(&accepted, 1);
    if (c->stream_count >= c->limits.connections_max || c->stopping || !c->on) {
        metric_add(&refused_total, 1);
        close(fd);
        return;
    }
    s = s2s_new(c, true);
    conn = conn_new(c->loop, fd, &c->conn_limits, &s2s_handlers, s);
    s->conn = conn;
    str_copy(conn_peer_key(conn, s->peer_key), s->peer_key, sizeof s->peer_key);
    if (!address_enter(c, s)) {
        metric_add(&refused_address, 1);
        conn_abort(conn, ERR_LIMIT);
        return;
    }
    if (tls && (!c->tls_server || conn_start_tls(conn, c->tls_server, true, STR_NULL) != OK))
        conn_abort(conn, ERR_UNAVAILABLE);
    s->tls_starting = tls;
}

/* ---- the header, and what we offer ---- */

static void new_id(struct s2s *s)
{
    char id[33];

    random_token(id, 32); /* XEP-0220 §2.2: unpredictable */
    free(s->stream_id);
    s->stream_id = str_dup(str_of(id));
}

static void put_features(struct s2s *s, struct buf *b)
{
    bool may_start = !s->tls && s->courier->tls_server;

    if (may_start)
        buf_put_z(b, s->courier->limits.tls_required ? "<starttls xmlns='" NS_TLS "'><required/></starttls>"
                                                     : "<starttls xmlns='" NS_TLS "'/>");
    if (may_start && s->courier->limits.tls_required)
        return;
    if (s->certified && !s->authenticated)
        BUF_LIT(b, "<mechanisms xmlns='" NS_SASL "'><mechanism>EXTERNAL</mechanism></mechanisms>");
    if (!s->authenticated) {
        BUF_LIT(b, "<dialback xmlns='" NS_DIALBACK_FEATURE "'><errors/></dialback>");
        BUF_LIT(b, "<bidi xmlns='" NS_BIDI_FEATURE "'/>");
    }
    BUF_LIT(b, "<sm xmlns='" NS_SM "'/>");
}

static void send_features(struct s2s *s)
{
    struct buf b;

    buf_init(&b, 0);
    BUF_LIT(&b, "<stream:features>");
    put_features(s, &b);
    BUF_LIT(&b, "</stream:features>");
    s2s_write(s, buf_str(&b));
    buf_done(&b);
}

static const char *names_take(struct s2s *s, const struct xml_node *open)
{
    struct arena *a = &s->courier->round;
    struct str    to = xml_attr(open, "to"), from = xml_attr(open, "from"), name;

    if (to.len && (jid_prep_domain(a, to, &name) != OK || !courier_is_ours(s->courier, name)))
        return "host-unknown";
    free(s->local);
    s->local = str_dup(to.len ? name : s->courier->domain);
    if (!from.len)
        return s->authenticated ? "invalid-from" : NULL;
    if (jid_prep_domain(a, from, &name) != OK)
        return "improper-addressing";
    if (s->authenticated && !str_eq(name, str_of(s->remote)))
        return "invalid-from";
    if (courier_is_ours(s->courier, name))
        return "invalid-from";
    if (!courier_may_speak(s->courier, name))
        return "policy-violation";
    free(s->remote);
    s->remote = str_dup(name);
    return NULL;
}

void s2s_in_opened(struct s2s *s, const struct xml_node *open)
{
    const char *fault;

    new_id(s);
    fault = names_take(s, open);
    if (fault) {
        s2s_fail(s, fault);
        return;
    }
    s->certified = s->remote && s2s_prove_certificate(s, str_of(s->remote));
    s2s_header(s);
    send_features(s);
    if (s->authenticated)
        s2s_pair_proven(s, str_of(s->local), str_of(s->remote));
}

/* ---- SASL EXTERNAL (XEP-0178) ---- */

static void sasl_fail(struct s2s *s, const char *condition)
{
    char text[128];

    snprintf(text, sizeof text, "<failure xmlns='" NS_SASL "'><%s/></failure>", condition);
    s2s_write(s, str_of(text));
    if (++s->sasl_tries >= SASL_TRIES_MAX)
        s2s_fail(s, "policy-violation");
}

static bool authzid_fits(struct s2s *s, struct str text)
{
    struct str raw, name;

    if (text.len == 0 || str_is(text, "="))
        return true;
    return base64_decode(&s->courier->round, text, &raw) == OK && jid_prep_domain(&s->courier->round, raw, &name) == OK &&
           str_eq(name, str_of(s->remote));
}

static void auth(struct s2s *s, const struct xml_node *n)
{
    if (s->authenticated)
        s2s_fail(s, "not-authorized");
    else if (!str_is(xml_attr(n, "mechanism"), "EXTERNAL"))
        sasl_fail(s, "invalid-mechanism");
    else if (!s->certified)
        sasl_fail(s, "not-authorized");
    else if (!authzid_fits(s, str_trim(xml_text(&s->courier->round, n))))
        sasl_fail(s, "invalid-authzid");
    else {
        s->authenticated = true;
        s2s_write(s, STR("<success xmlns='" NS_SASL "'/>"));
        s2s_restart(s);
    }
}

/* ---- everything else ---- */

static void starttls(struct s2s *s)
{
    if (s->tls || !s->courier->tls_server) {
        s2s_write(s, STR("<failure xmlns='" NS_TLS "'/>"));
        s2s_end(s);
        return;
    }
    s2s_write(s, STR("<proceed xmlns='" NS_TLS "'/>"));
    s2s_restart(s);
    s->tls_starting = true;
    if (conn_start_tls(s->conn, s->courier->tls_server, true, STR_NULL) != OK)
        conn_abort(s->conn, ERR_BUG);
}

void s2s_in_element(struct s2s *s, const struct xml_node *n)
{
    if (xml_is(n, "starttls", NS_TLS))
        starttls(s);
    else if (!s->tls && s->courier->limits.tls_required)
        s2s_fail(s, "policy-violation");
    else if (xml_is(n, "auth", NS_SASL))
        auth(s, n);
    else if (xml_is(n, "abort", NS_SASL))
        sasl_fail(s, "aborted");
    else if (xml_is(n, "bidi", NS_BIDI)) {
        if (!s->ready && !s->authenticated) /* XEP-0288 §2.1: before the name is proven */
            s->bidi = true;
    } else {
        s2s_stanza(s, n);
    }
}
