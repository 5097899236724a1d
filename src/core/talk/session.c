/* session.c: a client's stream as the rest of the server sees it: identity,
 * sending, order, and its end.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/session.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "talk/devices.h"
#include "talk/feature.h"
#include "talk/guest.h"
#include "talk/login.h"
#include "talk/nodes.h"
#include "talk/presence.h"
#include "talk/stream.h"
#include "talk/xep/xep0115_clients.h"
#include "talk/xep/xep0198_sm.h"
#include "talk/xep/xep0352_csi.h"
#include "talk/xep/xep0357_push.h"
#include <stdio.h>
#include <stdlib.h>

METRIC_COUNTER(stanzas_out, "bongsu_talk_stanzas_out", "Stanzas sent to clients.");
METRIC_COUNTER(slow_readers, "bongsu_talk_slow_readers", "Connections ended because the client did not read.");
METRIC_COUNTER(stream_errors, "bongsu_talk_stream_errors", "Streams ended with an error.");
METRIC_GAUGE(sessions_bound, "bongsu_talk_sessions", "Bound sessions, detached ones included.");

struct session *session_find(struct talk *t, uint64_t id)
{
    return intmap_get(&t->sessions, (int64_t)id);
}

struct session *session_new(struct talk *t, struct conn *c, enum talk_transport how)
{
    struct session *s = NEW(struct session);

    s->talk = t;
    s->conn = c;
    s->id = ++t->last_session_id;
    s->transport = (uint8_t)how;
    s->secure = how != TALK_STARTTLS;
    s->heard_ms = s->accepted_ms = loop_now_ms(t->loop);
    s->rate_stanzas = t->limits.stanzas_per_second_max;
    s->rate_bytes = t->limits.bytes_per_second_max;
    list_init(&s->in_person);
    list_append(&t->sessions_all, &s->in_talk);
    intmap_put(&t->sessions, (int64_t)s->id, s);
    t->session_count++;
    return s;
}

/* ---- sending ---- */

void session_write(struct session *s, struct str xml)
{
    struct buf frame;
    enum err   e;

    if (!s->conn || s->state == SESSION_CLOSED)
        return;
    if (s->transport != TALK_WEBSOCKET) {
        e = conn_write(s->conn, xml);
    } else {
        buf_init(&frame, 0);
        ws_put_frame(&frame, WS_TEXT, xml, false);
        e = conn_write(s->conn, buf_str(&frame));
        buf_done(&frame);
    }
    if (e == ERR_LIMIT && !conn_is_closing(s->conn)) {
        metric_add(&slow_readers, 1);
        LOG_INFO("session.slow", LF_I64("session", (int64_t)s->id));
        conn_abort(s->conn, ERR_LIMIT);
    }
}

/* On a WebSocket each stanza stands alone and names its namespace (RFC 7395 §3.3.3). */
void session_write_stanza(struct session *s, struct str stanza)
{
    struct buf out;
    size_t     name = 1;

    metric_add(&stanzas_out, 1);
    if (s->transport != TALK_WEBSOCKET) {
        session_write(s, stanza);
        return;
    }
    while (name < stanza.len && stanza.p[name] != ' ' && stanza.p[name] != '>' && stanza.p[name] != '/')
        name++;
    buf_init(&out, 0);
    buf_put(&out, stanza.p, name);
    BUF_LIT(&out, " xmlns='" NS_CLIENT "'");
    buf_put(&out, stanza.p + name, stanza.len - name);
    session_write(s, buf_str(&out));
    buf_done(&out);
}

void session_send_unheld(struct session *s, struct str stanza)
{
    if (s->sm)
        sm_send(s, stanza);
    else
        session_write_stanza(s, stanza);
}

void session_send(struct session *s, struct str stanza)
{
    if (s->state == SESSION_CLOSED || s->closing)
        return;
    if (s->guest) {
        guest_send(s, stanza);
        return;
    }
    if (s->csi && csi_holds(s, stanza))
        return;
    session_send_unheld(s, stanza);
}

void session_send_patiently(struct session *s, struct str stanza)
{
    bool alone = s->conn && !conn_is_leaving(s->conn);

    session_send(s, stanza);
    if (alone && s->conn)
        conn_put_off(s->conn, SESSION_PATIENCE_MS);
}

void session_send_nonza(struct session *s, struct str xml)
{
    session_write(s, xml);
}

void session_expect(struct session *s, int64_t log_id, enum delivery how)
{
    if (s->sm)
        sm_expect(s, log_id, how);
}

void session_fill(struct session *s, int64_t log_id, struct str stanza)
{
    if (s->state == SESSION_CLOSED || s->closing)
        return;
    if (s->csi && stanza.p)
        csi_flush(s);       /* what was held comes before the message, in order */
    if (s->sm)
        sm_fill(s, log_id, stanza);
    else if (stanza.p)
        session_write_stanza(s, stanza);
}

void session_send_logged(struct session *s, int64_t log_id, enum delivery how, struct str stanza)
{
    if (s->state == SESSION_CLOSED || s->closing)
        return;
    if (s->csi)
        csi_flush(s);
    if (s->sm)
        sm_send_logged(s, log_id, how, stanza);
    else
        session_write_stanza(s, stanza);
}

/* ---- replies ---- */

static struct str reply_from(const struct session *s, const struct stanza *st)
{
    if (st->has_to)
        return st->to.full;
    return st->kind == STANZA_IQ || !s->person ? STR_NULL : s->jid.bare;
}

enum err iq_result_str(struct session *s, const struct stanza *iq, struct str payload)
{
    struct buf b;

    buf_init(&b, 0);
    stanza_open(&b, "iq", reply_from(s, iq), s->jid.resource.len || s->guest ? s->jid.full : STR_NULL, iq->id, "result", STR_NULL);
    if (payload.len == 0) {
        b.p[b.len - 1] = '/';
        buf_put_c(&b, '>');
    } else {
        buf_put_str(&b, payload);
        BUF_LIT(&b, "</iq>");
    }
    session_send(s, buf_str(&b));
    buf_done(&b);
    return OK;
}

enum err iq_result(struct session *s, const struct stanza *iq, const char *payload)
{
    return iq_result_str(s, iq, str_of(payload));
}

void session_bounce(struct session *s, const struct stanza *st, const char *type, const char *condition, const char *text)
{
    struct buf b;

    if (st->type == TYPE_ERROR || st->type == TYPE_RESULT)
        return;     /* RFC 6120 §8.3.1: an error is not answered with an error */
    buf_init(&b, 0);
    stanza_error(&b, st, reply_from(s, st), type, condition, text);
    session_send(s, buf_str(&b));
    buf_done(&b);
}

enum err iq_error_condition(struct session *s, const struct stanza *iq, const char *type, const char *condition, const char *text)
{
    session_bounce(s, iq, type, condition, text);
    return OK;
}

enum err iq_error(struct session *s, const struct stanza *iq, enum err e)
{
    const struct err_info *i = err_info(e);

    return iq_error_condition(s, iq, i->type, i->condition, NULL);
}

struct iq_later iq_keep(const struct session *s, const struct stanza *iq)
{
    return (struct iq_later){
        .session_id = s->id,
        .id = str_dup(iq->id),
        .to = iq->has_to ? str_dup(iq->to.full) : NULL,
    };
}

void iq_later_answer(struct talk *t, struct iq_later *k, const char *type, struct str payload)
{
    struct session *s = session_find(t, k->session_id);
    struct buf      b;

    if (s) {
        buf_init(&b, 0);
        stanza_open(&b, "iq", str_of(k->to), s->jid.full, str_of(k->id), type, STR_NULL);
        buf_put_str(&b, payload);
        BUF_LIT(&b, "</iq>");
        session_send(s, buf_str(&b));
        buf_done(&b);
    }
    free(k->id);
    free(k->to);
    *k = (struct iq_later){ 0 };
}

void iq_later_result(struct talk *t, struct iq_later *k, struct str payload)
{
    iq_later_answer(t, k, "result", payload);
}

void iq_later_error(struct talk *t, struct iq_later *k, enum err e)
{
    const struct err_info *i = err_info(e);
    char                   text[256];

    snprintf(text, sizeof text, "<error type='%s'><%s xmlns='" NS_STANZA_ERRORS "'/></error>", i->type, i->condition);
    iq_later_answer(t, k, "error", str_of(text));
}

/* ---- waiting and order ---- */

void session_hold(struct session *s)
{
    s->held = true;
    if (s->state < SESSION_BOUND && !s->entering) {
        s->entering = true;
        s->talk->entering++;
    }
    if (s->conn)
        conn_pause(s->conn);
}

static void entered(struct session *s)
{
    s->talk->entering -= s->entering;
    s->entering = false;
}

void session_continue(struct session *s)
{
    s->held = false;
    entered(s);
    if (s->guest)
        guest_continue(s);
    else if (s->conn && !s->dirty_read)
        conn_resume(s->conn);
}

static enum err change_apply(struct db_conn *c, struct commit_op *op)
{
    struct change *ch = (struct change *)op;

    return ch->apply ? ch->apply(c, ch) : OK;
}

static void change_done(struct commit_op *op, enum err e)
{
    struct change  *ch = (struct change *)op;
    struct talk    *t = ch->talk;
    struct session *s = ch->session_id ? session_find(t, ch->session_id) : NULL;

    if (s)
        s->commits--;
    ch->done(t, ch, e);
}

enum err session_change(struct session *s, struct talk *t, struct change *c)
{
    enum err e;

    c->op.apply = c->apply ? change_apply : NULL;
    c->op.done = change_done;
    c->talk = t;
    c->session_id = s ? s->id : 0;
    e = commit_add(t->db, &c->op);
    if (e || !s)
        return e;
    s->commits++;
    if (s->sm)
        sm_received(s);
    return OK;
}

struct after {
    struct change change;
    void        (*fn)(struct talk *t, void *arg);
    void         *arg;
};

static void after_done(struct talk *t, struct change *c, enum err e)
{
    struct after *a = (struct after *)c;

    (void)e;    /* nothing was written; only the place in the queue matters */
    a->fn(t, a->arg);
    free(a);
}

void session_after_commits(struct session *s, void (*fn)(struct talk *t, void *arg), void *arg)
{
    if (s->commits == 0)
        fn(s->talk, arg);
    else
        session_after_all(s, fn, arg);
}

void session_after_all(struct session *s, void (*fn)(struct talk *t, void *arg), void *arg)
{
    struct after *a = NEW(struct after);

    a->change.done = after_done;
    a->fn = fn;
    a->arg = arg;
    if (session_change(s, s->talk, &a->change) != OK) {
        fn(s->talk, arg);
        free(a);
    }
}

/* ---- identity ---- */

static void jid_replace(struct session *s, struct jid *j)
{
    char *old = (char *)s->jid.full.p;
    char *text = str_dup(j->full);

    s->jid = (struct jid){
        .full = str_make(text, j->full.len),
        .bare = str_make(text, j->bare.len),
        .local = str_make(text, j->local.len),
        .domain = str_make(text + j->local.len + (j->local.len ? 1 : 0), j->domain.len),
        .resource = j->resource.len ? str_make(text + j->bare.len + 1, j->resource.len) : STR_NULL,
    };
    free(old);
}

void session_name(struct session *s, struct jid *j) { jid_replace(s, j); }

enum err session_authenticate(struct session *s, struct str user)
{
    struct jid j;
    enum err   e = jid_make(&s->talk->round, user, s->talk->domain, STR_NULL, &j);

    if (e)
        return e;
    jid_replace(s, &j);
    s->person = person_make(s->talk, j.local);
    person_ref(s->person);
    s->state = SESSION_AUTHENTICATED;
    LOG_INFO("session.authenticated", LF_I64("session", (int64_t)s->id), LF_STR("user", j.local));
    return OK;
}

void session_link(struct session *s)
{
    list_append(&s->person->sessions, &s->in_person);
    s->person->session_count++;
    metric_add(&sessions_bound, 1);
}

/* The oldest goes when one account has too many. */
static void make_room(struct person *p)
{
    struct session *oldest = NULL;

    if (p->session_count < p->talk->limits.sessions_per_person_max)
        return;
    LIST_EACH(it, &p->sessions) {
        struct session *s = LIST_ITEM(it, struct session, in_person);
        if (!oldest || s->id < oldest->id)
            oldest = s;
    }
    session_fail(oldest, "resource-constraint", "too many sessions of this account");
}

enum err session_bind(struct session *s, struct str resource)
{
    struct jid      j;
    struct session *other;
    char            chosen[17];
    enum err        e;

    if (resource.len == 0) {
        random_token(chosen, 16);
        resource = str_make(chosen, 16);
    }
    e = jid_make(&s->talk->round, s->jid.local, s->talk->domain, resource, &j);
    if (e)
        return e;
    other = person_session(s->person, j.resource);
    if (other)
        session_fail(other, "conflict", NULL);
    make_room(s->person);
    jid_replace(s, &j);
    s->state = SESSION_BOUND;
    s->bound_us = clock_us();
    s->received = 0;
    s->scan.bytes_max = s->talk->limits.stanza_bytes_max;
    session_link(s);
    if (s->talk->shared) {
        s->key = (int64_t)(random_u64() >> 1) | 1;
        event_send(s->talk, &(struct event){ .kind = EVENT_CONFLICT, .local = s->jid.local, .jid = s->jid.resource, .key = s->key,
                                              .id = s->bound_us });
        device_changed(s);
    }
    LOG_INFO("session.bound", LF_I64("session", (int64_t)s->id), LF_STR("user", s->jid.local), LF_STR("resource", s->jid.resource));
    for (size_t i = 0; i < feature_count; i++)
        if (features[i]->bound)
            features[i]->bound(s);
    return OK;
}

/* ---- the end ---- */

static void unlink_all(struct session *s)
{
    struct talk *t = s->talk;

    if (s->state >= SESSION_BOUND && s->state != SESSION_CLOSED && list_linked(&s->in_person)) {
        list_remove(&s->in_person);
        s->person->session_count--;
        metric_add(&sessions_bound, -1);
    }
    list_remove(&s->in_talk);
    intmap_del(&t->sessions, (int64_t)s->id);
    t->session_count--;
}

void session_free(struct session *s)
{
    struct talk *t = s->talk;

    entered(s);
    login_free(s);
    caps_forget(s);
    sm_free(s);
    csi_free(s);
    presence_directed_free(s);
    if (s->ws) {
        ws_reader_done(s->ws);
        free(s->ws);
    }
    unlink_all(s);
    s->state = SESSION_CLOSED;
    if (s->person)
        person_unref(s->person);
    free((char *)s->jid.full.p);
    free(s->presence);
    free(s->lang);
    loop_free_later(t->loop, s);
}

/* Tells contacts and features, then lets go of the memory. The connection, if
 * any, drains by itself. `keep`: unconfirmed messages become offline messages. */
static void session_finish(struct session *s, bool keep)
{
    if (s->state == SESSION_CLOSED)
        return;
    s->closing = true;
    if (s->person && (s->state == SESSION_BOUND || s->state == SESSION_DETACHED)) {
        presence_session_gone(s);
        device_gone(s);
        for (size_t i = 0; i < feature_count; i++)
            if (features[i]->ended)
                features[i]->ended(s);
        if (s->sm)
            sm_end(s, keep);
    }
    if (s->conn) {
        stream_release(s->conn);
        conn_close(s->conn);
        s->conn = NULL;
    }
    LOG_INFO("session.ended", LF_I64("session", (int64_t)s->id));
    session_free(s);
}

void session_end(struct session *s)
{
    if (s->state == SESSION_CLOSED || s->closing)
        return;
    if (s->conn)
        stream_write_close(s);
    session_finish(s, s->state == SESSION_DETACHED);
}

void session_fail(struct session *s, const char *condition, const char *text)
{
    if (s->state == SESSION_CLOSED || s->closing)
        return;
    metric_add(&stream_errors, 1);
    if (s->conn) {
        LOG_INFO("stream.error", LF_I64("session", (int64_t)s->id), LF_Z("condition", condition));
        stream_write_error(s, condition, text);
        stream_write_close(s);
    }
    session_finish(s, true);
}

void session_lost(struct session *s, enum err why)
{
    if (s->state == SESSION_CLOSED || s->closing)
        return;
    s->conn = NULL;
    if (s->state == SESSION_BOUND && s->sm && s->sm->resumable && !s->talk->stopping_hard) {
        s->state = SESSION_DETACHED;
        s->received -= s->unhandled;    /* nobody handled it: the client sends it again when it resumes */
        s->held = s->dirty_read = s->unhandled = false;
        LOG_INFO("session.detached", LF_I64("session", (int64_t)s->id), LF_ERR(why));
        push_device_lost(s);
        csi_free(s);
        sm_detached(s);
        return;
    }
    session_finish(s, true);
}
