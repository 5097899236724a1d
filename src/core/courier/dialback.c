/* dialback.c: XEP-0220 Server Dialback 1.1.1: a server whose certificate does not prove its name is asked
 * back by that name in DNS.
 *
 *   originating ──<db:result/> key──▶ receiving ──<db:verify/> key──▶ authoritative: is the key yours for that stream?
 *        ▲                               │ ▲                              │
 *        └─────── valid, invalid ────────┘ └──────── valid, invalid ──────┘
 *
 * The key (XEP-0185) is an HMAC over both names and the stream, so whoever has the secret can answer for it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/s2s.h"
#include <stdlib.h>
#include "base/metric.h"
#include "crypto/digest.h"
#include "wire/base64.h"

METRIC_COUNTER_L(keys_right, "bongsu_courier_dialback_keys", "Dialback keys that were asked about.", "result=\"valid\"");
METRIC_COUNTER_L(keys_wrong, "bongsu_courier_dialback_keys", "Dialback keys that were asked about.", "result=\"invalid\"");

static void put_hex(char *out, const uint8_t *bytes, size_t n)
{
    struct buf b;

    buf_init(&b, 0);
    hex_put(&b, str_make((const char *)bytes, n));
    memcpy(out, b.p, 2 * n);
    out[2 * n] = '\0';
    buf_done(&b);
}

void dialback_key(struct str secret, struct str receiving, struct str originating, struct str stream_id, char out[DIALBACK_KEY_BYTES])
{
    uint8_t    sum[32];
    char       hashed[DIALBACK_KEY_BYTES];
    struct buf b;

    digest(DIGEST_SHA256, secret, sum);
    put_hex(hashed, sum, sizeof sum);
    buf_init(&b, 0);
    buf_put_str(&b, receiving);
    buf_put_c(&b, ' ');
    buf_put_str(&b, originating);
    buf_put_c(&b, ' ');
    buf_put_str(&b, stream_id);
    hmac(DIGEST_SHA256, str_of(hashed), buf_str(&b), sum);
    buf_done(&b);
    put_hex(out, sum, sizeof sum);
}

/* ---- the names in the element, normalised ---- */

struct asked {
    struct str to, from, key, id, type;
};

static bool asked_read(struct courier *c, const struct xml_node *n, struct asked *q)
{
    struct str to = xml_attr(n, "to"), from = xml_attr(n, "from");

    *q = (struct asked){ .key = str_trim(xml_text(&c->round, n)), .id = xml_attr(n, "id"), .type = xml_attr(n, "type") };
    return to.len && from.len && jid_prep_domain(&c->round, to, &q->to) == OK && jid_prep_domain(&c->round, from, &q->from) == OK;
}

static void answer(struct s2s *s, const char *element, struct str from, struct str to, struct str id, const char *type,
                   const char *condition)
{
    struct buf b;

    buf_init(&b, 0);
    buf_printf(&b, "<db:%s", element);
    xml_put_attr(&b, "from", from);
    xml_put_attr(&b, "to", to);
    if (id.p)
        xml_put_attr(&b, "id", id);
    xml_put_attr(&b, "type", str_of(type));
    if (condition)
        buf_printf(&b, "><error type='cancel'><%s xmlns='" NS_STANZAS "'/></error></db:%s>", condition, element);
    else
        BUF_LIT(&b, "/>");
    s2s_write(s, buf_str(&b));
    buf_done(&b);
}

/* ---- we are the receiving server ---- */

void s2s_in_verified(struct s2s *s, struct str local, struct str remote, const char *result)
{
    struct pair *p = s2s_pair(s, local, remote, false);
    bool         valid = strcmp(result, "valid") == 0, error = strcmp(result, "error") == 0;

    if (p)
        p->asked = false;
    answer(s, "result", local, remote, STR_NULL, result, error ? "remote-server-timeout" : NULL);
    if (valid) /* behind the answer: what we send through this stream (bidi) is not heard before it */
        s2s_pair_proven(s, local, remote);
    LOG_INFO("s2s.dialback", LF_I64("stream", (int64_t)s->id), LF_STR("remote", remote), LF_Z("result", result));
    if (!valid && !error && !s->ready) /* XEP-0220 §2.1.1: a wrong key ends the stream */
        s2s_end(s);
}

static const char *fault_of(struct s2s *s, const struct asked *q)
{
    if (!courier_is_ours(s->courier, q->to))
        return "item-not-found";
    if (courier_is_ours(s->courier, q->from))
        return "not-allowed";
    if (!courier_may_speak(s->courier, q->from) || (s->courier->limits.tls_required && !s->tls))
        return "policy-violation";
    return NULL;
}

static void result_asked(struct s2s *s, const struct asked *q)
{
    const char  *fault = fault_of(s, q);
    bool         certified = !fault && s2s_prove_certificate(s, q->from);
    struct pair *p;
    struct link *l;

    if (!fault && !certified && s->courier->limits.certificates_required)
        fault = "not-authorized";
    p = fault ? NULL : s2s_pair(s, q->to, q->from, true);
    l = p && !certified ? link_to_ask(s->courier, q->to, q->from) : NULL;
    if (!fault && (!p || (!certified && !l)))
        fault = "resource-constraint";
    if (fault)
        answer(s, "result", q->to, q->from, STR_NULL, "error", fault);
    else if (certified)
        s2s_in_verified(s, q->to, q->from, "valid");
    else if (!p->asked) {
        p->asked = true;
        link_verify(l, s->id, str_of(s->stream_id), q->key);
    }
}

/* ---- we are the authoritative server ---- */

static void verify_asked(struct s2s *s, const struct asked *q)
{
    char key[DIALBACK_KEY_BYTES];
    bool right;

    if (!courier_is_ours(s->courier, q->to)) {
        answer(s, "verify", q->to, q->from, q->id, "error", "item-not-found");
        return;
    }
    dialback_key(courier_secret(s->courier), q->from, q->to, q->id, key);
    right = str_eq_secret(str_of(key), q->key);
    metric_add(right ? &keys_right : &keys_wrong, 1);
    answer(s, "verify", q->to, q->from, q->id, right ? "valid" : "invalid", NULL);
}

/* ---- answers on our own stream ---- */

static void verify_answered(struct s2s *s, const struct asked *q)
{
    struct link *l = s->link;
    const char  *result = str_is(q->type, "valid") ? "valid" : str_is(q->type, "invalid") ? "invalid" : "error";

    LIST_EACH(it, &l->verifies) {
        struct verify *v = LIST_ITEM(it, struct verify, in_link);

        if (!v->asked || !str_eq(str_of(v->id), q->id))
            continue;
        link_verified(l, v, result);
        return;
    }
}

static void result_answered(struct s2s *s, const struct asked *q, const struct xml_node *n)
{
    const struct xml_node *error = xml_child(n, "error", NULL), *first = error ? xml_first(error) : NULL;
    char                   condition[64] = "";

    if (!s->asked_dialback || s->ready)
        return;
    if (str_is(q->type, "valid")) {
        s2s_out_proven(s);
        return;
    }
    if (first)
        str_copy(first->name, condition, sizeof condition);
    LOG_WARN("s2s.refused", LF_STR("remote", q->from), LF_STR("type", q->type), LF_Z("condition", condition));
    s->why = ERR_UNAUTHORIZED;
    s2s_end(s);
}

bool dialback_element(struct s2s *s, const struct xml_node *n)
{
    struct asked q;
    bool         result = xml_is(n, "result", NS_DIALBACK);

    if (!result && !xml_is(n, "verify", NS_DIALBACK))
        return false;
    if (!asked_read(s->courier, n, &q)) {
        s2s_fail(s, "improper-addressing");
        return true;
    }
    if (!s->tls && s->courier->limits.tls_required) {
        s2s_fail(s, "policy-violation");
        return true;
    }
    if (s->incoming) {
        if (q.type.p)
            return true; /* answers are not asked for here */
        if (result)
            result_asked(s, &q);
        else
            verify_asked(s, &q);
        return true;
    }
    if (!str_eq(q.from, s->link->remote) || !str_eq(q.to, s->link->local))
        s2s_fail(s, "invalid-from");
    else if (result)
        result_answered(s, &q, n);
    else
        verify_answered(s, &q);
    return true;
}
