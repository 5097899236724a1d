/* XEP-0077 In-Band Registration 2.4: making an account, changing its password, removing it.
 * Ident decides, and counts the attempts of an address.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0077_register.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "id/ident.h"
#include "talk/feature.h"
#include "talk/invite.h"
#include "talk/login.h"
#include <stdlib.h>

#define NS_REGISTER "jabber:iq:register"

/* ---- asking ident; the client waits meanwhile ---- */

struct asking {
    struct talk    *talk;
    struct iq_later iq;
};

struct answer { enum err e; const char *type, *condition; };

static const struct answer answers[] = {
    { ERR_EXISTS, "cancel", "conflict" },           /* §3.1.1 */
    { ERR_INVALID, "modify", "not-acceptable" },    /* a name or password that cannot be used */
    { ERR_DENIED, "cancel", "not-allowed" },
    { ERR_LIMIT, "wait", "resource-constraint" },
    { ERR_NOT_FOUND, "cancel", "registration-required" },
};

static void tell_failure(struct session *s, struct iq_later *k, enum err e)
{
    const struct err_info *info = err_info(e);
    struct answer          a = { e, info->type, info->condition };
    struct buf             b;

    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        if (answers[i].e == e)
            a = answers[i];
    /* §3.3: what was asked is not sent back, it holds a password */
    buf_init(&b, 0);
    stanza_open(&b, "iq", str_of(k->to), s->jid.full, str_of(k->id), "error", STR_NULL);
    buf_printf(&b, "<error type='%s'><%s xmlns='" NS_STANZA_ERRORS "'/></error></iq>", a.type, a.condition);
    session_send(s, buf_str(&b));
    buf_done(&b);
}

static void answered(void *arg, enum err e)
{
    struct asking  *k = arg;
    struct talk    *t = k->talk;
    uint64_t        id = k->iq.session_id;
    struct session *s = session_find(t, id);

    if (s && e)
        tell_failure(s, &k->iq, e);
    if (s && e) {
        free(k->iq.id);
        free(k->iq.to);
    } else {
        iq_later_result(t, &k->iq, STR_NULL);
    }
    free(k);
    s = session_find(t, id);
    if (s && s->state != SESSION_CLOSED)
        session_continue(s);
}

static struct asking *ask(struct session *s, const struct stanza *iq)
{
    struct asking *k = NEW(struct asking);

    k->talk = s->talk;
    k->iq = iq_keep(s, iq);
    session_hold(s);
    return k;
}

static enum err sent(enum err e, struct asking *k)
{
    if (e)
        answered(k, e);
    return OK;
}

/* ---- before log-in ---- */

static enum err refuse(struct session *s, const struct stanza *iq, const char *type, const char *condition)
{
    struct iq_later k = iq_keep(s, iq);
    struct buf      b;

    buf_init(&b, 0);
    stanza_open(&b, "iq", str_of(k.to), s->jid.full, str_of(k.id), "error", STR_NULL);
    buf_printf(&b, "<error type='%s'><%s xmlns='" NS_STANZA_ERRORS "'/></error></iq>", type, condition);
    session_send(s, buf_str(&b));
    buf_done(&b);
    free(k.id);
    free(k.to);
    return OK;
}

static bool read_field(const struct stanza *iq, const char *name, struct str *out)
{
    *out = xml_child_text(iq->arena, iq->payload, name, NS_REGISTER);
    return out->len > 0;
}

/* ---- making an account ----
 *
 *   invited:  claim the token ─▶ ident makes it ─▶ spend the token (talk/invite.h) ─▶ answer
 *                                    └─ it did not ─▶ give the token back ─▶ error
 *   else:     is the name promised to somebody? ─▶ ident makes it ─▶ answer
 */

struct newcomer {
    struct change  change;
    struct db_read read;
    struct asking  asking;
    struct arena   arena;
    struct str     user, password, token;       /* token empty: not invited */
    char           peer[64];
    enum err       outcome;
};

static void newcomer_end(struct newcomer *n, enum err e)
{
    struct asking *k = NEW(struct asking);

    *k = n->asking;
    mem_wipe((char *)n->password.p, n->password.len);
    arena_done(&n->arena);
    free(n);
    answered(k, e);
}

static enum err settle_apply(struct db_conn *c, struct change *ch)
{
    struct newcomer *n = LIST_ITEM(ch, struct newcomer, change);

    return n->outcome ? invite_release(c, n->token) : invite_used(c, n->token, n->user);
}

/* The account is there or not, whatever became of the row: a claim ends by itself. */
static void settled(struct talk *t, struct change *ch, enum err e)
{
    struct newcomer *n = LIST_ITEM(ch, struct newcomer, change);

    (void)e;
    if (!n->outcome)
        invite_look(t);
    newcomer_end(n, n->outcome);
}

static void made(void *arg, enum err e)
{
    struct newcomer *n = arg;

    n->outcome = e;
    if (n->token.len == 0) {
        newcomer_end(n, e);
        return;
    }
    LOG_INFO("account.invited", LF_STR("user", n->user), LF_ERR(e));
    n->change = (struct change){ .apply = settle_apply, .done = settled };
    if (session_change(NULL, n->asking.talk, &n->change) != OK)
        newcomer_end(n, e);
}

static void name_judged(struct db_read *read, enum err e)
{
    struct newcomer *n = LIST_ITEM(read, struct newcomer, read);

    if (!e)
        e = n->outcome;
    if (!e)
        e = ident_user_register(n->asking.talk->bus, n->user, n->password, str_of(n->peer), made, n);
    if (e)
        made(n, e);
}

static enum err judge_name(struct db_conn *c, struct db_read *read)
{
    struct newcomer *n = LIST_ITEM(read, struct newcomer, read);

    n->outcome = invite_holds(c, n->user, STR(""), clock_us()) ? ERR_EXISTS : OK;
    return OK;
}

static enum err claim_apply(struct db_conn *c, struct change *ch)
{
    struct newcomer *n = LIST_ITEM(ch, struct newcomer, change);

    n->outcome = invite_claim(c, n->token, n->user, clock_us());
    if (!n->outcome && invite_holds(c, n->user, n->token, clock_us()))
        n->outcome = ERR_EXISTS;
    return n->outcome == ERR_NOT_FOUND || n->outcome == ERR_EXISTS ? OK : n->outcome;
}

static void claimed(struct talk *t, struct change *ch, enum err e)
{
    struct newcomer *n = LIST_ITEM(ch, struct newcomer, change);

    if (!e && n->outcome == ERR_NOT_FOUND)      /* somebody else was first with this token */
        e = ERR_DENIED;
    else if (!e && n->outcome)
        e = n->outcome;
    if (e == ERR_DENIED) {
        n->token = STR("");
        made(n, e);
        return;
    }
    if (!e)
        e = ident_user_add(t->bus, n->user, n->password, made, n);
    if (e)
        made(n, e);
}

static struct newcomer *newcomer_new(struct session *s, const struct stanza *iq, struct str user, struct str password)
{
    struct newcomer *n = NEW(struct newcomer);
    struct asking   *k = ask(s, iq);

    n->asking = *k;
    free(k);
    arena_init(&n->arena);
    n->user = arena_str(&n->arena, user);
    n->password = arena_str(&n->arena, password);
    n->token = s->login && s->login->preauth ? arena_str(&n->arena, str_of(s->login->preauth)) : STR("");
    conn_peer_key(s->conn, n->peer);
    return n;
}

static void newcomer_start(struct newcomer *n)
{
    if (n->token.len) {
        n->change = (struct change){ .apply = claim_apply, .done = claimed };
        if (session_change(NULL, n->asking.talk, &n->change) != OK)
            newcomer_end(n, ERR_LIMIT);
        return;
    }
    n->read = (struct db_read){ .work = judge_name, .done = name_judged };
    if (db_read_start(n->asking.talk->db, &n->read) != OK)
        newcomer_end(n, ERR_LIMIT);
}

static enum err make_account(struct session *s, const struct stanza *iq)
{
    struct str user, password, prepared;

    if (xml_child(iq->payload, "remove", NS_REGISTER))
        return refuse(s, iq, "cancel", "registration-required");
    if (!read_field(iq, "username", &user) || !read_field(iq, "password", &password) ||
        password.len > IDENT_PASSWORD_BYTES_MAX || jid_prep_local(iq->arena, user, &prepared) != OK)
        return refuse(s, iq, "modify", "not-acceptable");
    if (s->login && s->login->preauth_name && *s->login->preauth_name && !str_is(prepared, s->login->preauth_name))
        return refuse(s, iq, "modify", "not-acceptable");       /* the invitation is for another name */
    newcomer_start(newcomer_new(s, iq, prepared, password));
    return OK;
}

static enum err given_name(struct session *s, const struct stanza *iq)
{
    struct buf *b = talk_scratch(s->talk);

    BUF_LIT(b, "<query xmlns='" NS_REGISTER "'><instructions>Choose a password.</instructions><username>");
    xml_put_escaped(b, str_of(s->login->preauth_name));
    BUF_LIT(b, "</username><password/></query>");
    return iq_result_str(s, iq, buf_str(b));
}

enum err xep0077_early(struct session *s, const struct stanza *iq)
{
    if (iq->type != TYPE_GET && iq->type != TYPE_SET)
        return OK;
    if (!xml_is(iq->payload, "query", NS_REGISTER))
        return iq_error_condition(s, iq, "cancel", "service-unavailable", NULL);
    if (iq->type == TYPE_SET)
        return make_account(s, iq);
    if (s->login && s->login->preauth_name && *s->login->preauth_name)
        return given_name(s, iq);
    return iq_result(s, iq, "<query xmlns='" NS_REGISTER "'><instructions>Choose a name and a password.</instructions>"
                            "<username/><password/></query>");
}

/* ---- logged in ---- */

static enum err form_get(struct session *s, const struct stanza *iq)
{
    struct buf *b = talk_scratch(s->talk);

    BUF_LIT(b, "<query xmlns='" NS_REGISTER "'><registered/><username>");
    xml_put_escaped(b, s->jid.local);
    BUF_LIT(b, "</username><password/></query>");
    return iq_result_str(s, iq, buf_str(b));
}

static enum err remove_account(struct session *s, const struct stanza *iq)
{
    const struct xml_node *first = xml_first(iq->payload);
    struct asking         *k;

    if (!xml_is(first, "remove", NS_REGISTER) || xml_next(first))
        return refuse(s, iq, "modify", "bad-request");      /* §3.2: it stands alone */
    LOG_INFO("account.removal", LF_I64("session", (int64_t)s->id), LF_STR("user", s->jid.local));
    k = ask(s, iq);
    return sent(ident_user_delete(s->talk->bus, s->jid.local, answered, k), k);
}

static enum err change_password(struct session *s, const struct stanza *iq)
{
    struct str     user, password, prepared;
    struct asking *k;

    if (!login_may(s))
        return refuse(s, iq, "modify", "not-authorized");   /* §3.3: the channel is not safe */
    if (!read_field(iq, "username", &user) || !read_field(iq, "password", &password) ||
        password.len > IDENT_PASSWORD_BYTES_MAX)
        return refuse(s, iq, "modify", "bad-request");
    if (jid_prep_local(iq->arena, user, &prepared) != OK || !str_eq(prepared, s->jid.local))
        return refuse(s, iq, "cancel", "not-allowed");      /* somebody else's */
    k = ask(s, iq);
    return sent(ident_user_password(s->talk->bus, s->jid.local, password, answered, k), k);
}

static enum err form_set(struct session *s, const struct stanza *iq)
{
    if (xml_child(iq->payload, "remove", NS_REGISTER))
        return remove_account(s, iq);
    return change_password(s, iq);
}

static void register_features(struct session *s, struct buf *out)
{
    if (s->state == SESSION_FEATURES && s->talk->limits.registration && login_may(s))
        BUF_LIT(out, "<register xmlns='http://jabber.org/features/iq-register'/>");
}

static const struct iq_handler register_iqs[] = {
    { "query", NS_REGISTER, IQ_TO_SERVER | IQ_TO_SELF, form_get, form_set },
    { 0 },
};
static const char *const register_disco[] = { NS_REGISTER, NULL };

const struct feature xep0077_register = {
    .spec = "XEP-0077 2.4",
    .title = "In-Band Registration",
    .note = "new accounts only where the operator allows it",
    .disco_server = register_disco,
    .iqs = register_iqs,
    .stream_features = register_features,
};
