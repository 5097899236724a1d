/* XEP-0445 Pre-Authenticated In-Band Registration 0.2.0: the token is looked at here, and spent by xep0077_register.c when the
 * account is there.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0445_preauth.h"
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/feature.h"
#include "talk/invite.h"
#include "talk/login.h"

METRIC_COUNTER(tokens_refused, "bongsu_talk_invitations_refused", "Tokens of invitations that were unknown, used or expired.");

enum { TOKEN_BYTES_MAX = 128 };

struct looking {
    struct db_read  read;
    struct talk    *t;
    struct iq_later iq;
    struct arena    arena;
    struct str      token;
    struct invite   invite;
};

static enum err look_work(struct db_conn *c, struct db_read *self)
{
    struct looking *l = (struct looking *)self;
    enum err        e = invite_get(c, &l->arena, l->token, clock_us(), &l->invite);

    return !e && !(l->invite.may & INVITE_ACCOUNT) ? ERR_NOT_FOUND : e;
}

static void token_good(struct session *s, struct looking *l)
{
    struct login *g = login_get(s);

    free(g->preauth);
    free(g->preauth_name);
    g->preauth = str_dup(l->token);
    g->preauth_name = str_dup(l->invite.username);
    iq_later_result(l->t, &l->iq, STR_NULL);
}

static void refuse(struct looking *l, const char *type, const char *condition, const char *text)
{
    struct buf b;

    buf_init(&b, 0);
    buf_printf(&b, "<error type='%s'><%s xmlns='" NS_STANZA_ERRORS "'/><text xmlns='" NS_STANZA_ERRORS "' xml:lang='en'>%s</text></error>",
               type, condition, text);
    iq_later_answer(l->t, &l->iq, "error", buf_str(&b));
    buf_done(&b);
}

/* Guessing is hopeless, and is ended all the same. */
static void token_bad(struct session *s, struct looking *l)
{
    struct login *g = login_get(s);

    metric_add(&tokens_refused, 1);
    refuse(l, "cancel", "item-not-found", "the invitation is unknown, used or expired");
    if (++g->preauth_tries >= s->talk->limits.login_tries_max)
        session_fail(s, "policy-violation", "too many invitations");
}

static void looked(struct db_read *self, enum err e)
{
    struct looking *l = (struct looking *)self;
    struct talk    *t = l->t;
    uint64_t        id = l->iq.session_id;
    struct session *s = session_find(t, id);

    if (s && e == OK)
        token_good(s, l);
    else if (s && e == ERR_NOT_FOUND)
        token_bad(s, l);
    else        /* nobody hears it if the session is gone */
        refuse(l, "wait", "resource-constraint", "the invitation could not be looked up now");
    mem_wipe((char *)l->token.p, l->token.len);
    arena_done(&l->arena);
    free(l);
    s = session_find(t, id);
    if (s && s->state != SESSION_CLOSED)
        session_continue(s);
}

enum err preauth_early(struct session *s, const struct stanza *iq)
{
    struct str      token = xml_attr(iq->payload, "token");
    struct looking *l;

    if (iq->type != TYPE_SET || !xml_is(iq->payload, "preauth", NS_PARS) || token.len == 0 || token.len > TOKEN_BYTES_MAX)
        return iq_error_condition(s, iq, "modify", "bad-request", NULL);
    l = NEW(struct looking);
    l->t = s->talk;
    l->iq = iq_keep(s, iq);
    arena_init(&l->arena);
    l->token = arena_str(&l->arena, token);
    l->read = (struct db_read){ .work = look_work, .done = looked };
    session_hold(s);
    if (db_read_start(s->talk->db, &l->read) != OK)
        looked(&l->read, ERR_LIMIT);
    return OK;
}

static void preauth_features(struct session *s, struct buf *out)
{
    if (s->state == SESSION_FEATURES && login_may(s))
        BUF_LIT(out, "<register xmlns='urn:xmpp:ibr-token:0'/>");
}

const struct feature xep0445_preauth = {
    .spec = "XEP-0445 0.2.0",
    .title = "Pre-Authenticated In-Band Registration",
    .stream_features = preauth_features,
};
