/* XEP-0198 Stream Management 1.6.3: acknowledgement and resumption. The idea is told in xep0198_sm.h; here are the
 * elements a client says. Its parts: xep0198_queue.c, _row.c, _replay.c, _state.c, and _move.c between workers.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0198_inner.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "talk/feature.h"
#include "talk/login.h"
#include "talk/owned.h"
#include "talk/presence.h"
#include "talk/stream.h"
#include "talk/xep/xep0198_move.h"
#include <stdio.h>
#include <stdlib.h>

METRIC_COUNTER(resumed_count, "bongsu_talk_resumed", "Streams resumed.");
METRIC_COUNTER(resume_failed_count, "bongsu_talk_resume_failed", "Resume requests that could not be met.");

/* ---- acknowledgements ---- */

enum { ALIVE_MS = 500 };        /* a commit that takes longer: who asked hears each second what was durable before */

static void send_ack(struct session *s)
{
    char text[64];
    int  n = snprintf(text, sizeof text, "<a xmlns='" NS_SM "' h='%u'/>", s->sm->received_stored);

    session_send_nonza(s, str_make(text, (size_t)n));
}

void sm_answer_ack(struct session *s)
{
    s->sm->ack_owed = false;
    send_ack(s);
}

struct owed {
    uint64_t session_id;
    uint32_t h;
};

static void answer_owed(struct talk *t, void *arg)
{
    struct owed    *o = arg;
    struct session *s = session_find(t, o->session_id);

    if (s && s->sm) {
        s->sm->received_stored = o->h;
        sm_answer_ack(s);
    }
    free(o);
}

static void answer_after_commits(struct session *s)
{
    struct owed *o = NEW(struct owed);

    *o = (struct owed){ s->id, s->received };
    session_after_commits(s, answer_owed, o);
}

static void handle_request(struct session *s, const struct xml_node *n)
{
    struct sm *m = s->sm;

    (void)n;
    if (!m) {
        session_fail(s, "unsupported-stanza-type", "stream management is not enabled");
        return;
    }
    if (!m->resumable) {    /* no row is kept, but what is in the batch is not acknowledged yet */
        answer_after_commits(s);
        return;
    }
    if (m->received_stored == s->received && s->commits == 0) {
        sm_answer_ack(s);
        return;
    }
    m->ack_owed = true;
    m->ack_wanted = s->received;
    sm_mark_now(s);
}

static bool read_h(const struct xml_node *n, uint32_t *h)
{
    uint64_t v;

    if (!str_to_u64(xml_attr(n, "h"), &v) || v > UINT32_MAX)
        return false;
    *h = (uint32_t)v;
    return true;
}

static void handle_answer(struct session *s, const struct xml_node *n)
{
    struct sm *m = s->sm;
    uint32_t   h;
    char       text[320];

    if (!m || !read_h(n, &h)) {
        session_fail(s, m ? "bad-format" : "unsupported-stanza-type", NULL);
        return;
    }
    if (!sm_take_h(s, h)) {
        snprintf(text, sizeof text,
                 "<undefined-condition xmlns='" NS_STREAM_ERRORS "'/><handled-count-too-high xmlns='" NS_SM "' h='%u' send-count='%u'/>",
                 h, m->written);
        stream_write_error_xml(s, text);
        session_end(s);
        return;
    }
    m->asked = false;
    if (m->count && m->since_ask)
        sm_ask(s);
}

/* ---- enable ---- */

void sm_enable(struct session *s, const struct xml_node *enable, struct buf *out)
{
    struct str resume = xml_attr(enable, "resume");
    struct sm *m;

    if (s->sm || s->state != SESSION_BOUND) {
        BUF_LIT(out, "<failed xmlns='" NS_SM "'><unexpected-request xmlns='" NS_STANZA_ERRORS "'/></failed>");
        return;
    }
    m = s->sm = NEW(struct sm);
    m->session = s;
    m->resumable = (str_is(resume, "true") || str_is(resume, "1")) && s->talk->limits.resume_ms_max > 0;
    m->key = (int64_t)(random_u64() >> 1) | 1;
    snprintf(m->id, sizeof m->id, "%016llx", (unsigned long long)m->key);
    m->log_pos = s->talk->shared ? s->person->log_last : talk_log_id(s->talk);
    list_init(&m->in_dirty);
    s->received = 0;
    if (!m->resumable) {
        BUF_LIT(out, "<enabled xmlns='" NS_SM "'/>");
        return;
    }
    strmap_put(&s->talk->streams, str_of(m->id), m);
    m->row_changed = true;
    sm_mark_now(s);
    buf_printf(out, "<enabled xmlns='" NS_SM "' id='%s' resume='true' max='%d'/>", m->id, s->talk->limits.resume_ms_max / 1000);
}

static void handle_enable(struct session *s, const struct xml_node *n)
{
    struct buf out;

    buf_init(&out, 0);
    sm_enable(s, n, &out);
    session_send_nonza(s, buf_str(&out));
    buf_done(&out);
}

/* The old session takes the new connection over. */
static void adopt(struct session *old, struct session *fresh)
{
    if (old->conn) {        /* the client came back before we knew it had gone */
        stream_write_error(old, "conflict", "the stream was resumed elsewhere");
        stream_write_close(old);
        stream_release(old->conn);
        conn_close(old->conn);
    }
    old->conn = fresh->conn;
    fresh->conn = NULL;
    old->transport = fresh->transport;
    old->secure = fresh->secure;
    old->agent = fresh->agent;
    old->scan = fresh->scan;
    old->scan.bytes_max = old->talk->limits.stanza_bytes_max;
    if (old->ws) {
        ws_reader_done(old->ws);
        free(old->ws);
    }
    old->ws = fresh->ws;
    fresh->ws = NULL;
    old->xml_open = true;
    old->state = SESSION_BOUND;
    old->heard_ms = fresh->heard_ms;
    old->rate_stanzas = fresh->rate_stanzas;
    old->rate_bytes = fresh->rate_bytes;
    stream_adopt(old);
}

struct sm *sm_find(struct session *s, struct str previd)
{
    struct sm *m = strmap_get(&s->talk->streams, previd);

    if (!m || m->session->person != s->person || m->session->closing || m->replaying || m->moving)
        return NULL;
    return m;
}

enum resume_outcome sm_resume_refuse(struct session *s, int64_t handled, const char *condition)
{
    char text[200], h[32] = "";

    metric_add(&resume_failed_count, 1);
    if (handled >= 0)
        snprintf(h, sizeof h, " h='%u'", (uint32_t)handled);
    snprintf(text, sizeof text, "<failed xmlns='" NS_SM "'%s><%s xmlns='" NS_STANZA_ERRORS "'/></failed>", h, condition);
    login_resume_failed(s, str_of(text));
    return RESUME_FAILED;
}

static enum resume_outcome failed(struct session *s, struct sm *m, const char *condition)
{
    return sm_resume_refuse(s, m ? (int64_t)m->received_stored : -1, condition);
}

struct resume_wait {
    struct change change;
    uint64_t      session_id;
};

static void commits_done(struct talk *t, struct change *c, enum err e)
{
    struct session *s = session_find(t, ((struct resume_wait *)c)->session_id);

    (void)e;    /* nothing was written; only the place in the queue matters */
    free(c);
    if (s)
        login_resume_again(s);
}

/* What the old stream sent may still be in the batch; how much of it counts is known when that is decided. The wait is
 * nobody's stanza: two who want the same stream must not wait for each other's waiting. */
static enum resume_outcome wait_for_commits(struct session *s)
{
    struct resume_wait *w = NEW(struct resume_wait);

    w->change.done = commits_done;
    w->session_id = s->id;
    session_hold(s);
    if (session_change(NULL, s->talk, &w->change) == OK)
        return RESUME_WAITS;
    free(w);
    return failed(s, NULL, "resource-constraint");
}

/* What came since the stream was restored stands behind, and has not been seen. */
static void take_unknown(struct sm *m, uint32_t h)
{
    uint32_t newly = h - m->acked, known = (uint32_t)m->restored_count;

    if (newly > known && newly < UINT32_MAX / 2) {
        m->rooms_seen = newly - known;
        sm_entries_drop(m, m->restored_count);
        m->acked = m->written = h;
    } else {
        m->written = m->acked + known;
    }
}

enum resume_outcome sm_resume(struct session *s, const struct xml_node *resume)
{
    struct sm      *m = sm_find(s, xml_attr(resume, "previd"));
    struct session *old;
    char            text[160];
    uint32_t        h;
    bool            anew;

    if (!m && s->talk->shared && s->state == SESSION_AUTHENTICATED)
        return sm_resume_far(s, resume);
    if (s->state != SESSION_AUTHENTICATED)
        return failed(s, NULL, "unexpected-request");
    if (!m || !read_h(resume, &h))
        return failed(s, NULL, m ? "bad-request" : "item-not-found");
    old = m->session;
    if (old->commits)
        return wait_for_commits(s);
    old->received -= old->unhandled;    /* as in session_lost: it is the client's to send again */
    old->unhandled = false;
    /* After a crash the client may have seen volatile stanzas we no longer know of: they stand behind
     * everything in the list, so confirming the whole list is right. */
    anew = m->restored;
    if (anew)
        take_unknown(m, h);
    if (!sm_take_h(old, h))
        return failed(s, m, "item-not-found");
    m->received_stored = old->received;
    snprintf(text, sizeof text, "<resumed xmlns='" NS_SM "' previd='%s' h='%u'/>", m->id, old->received);
    metric_add(&resumed_count, 1);
    LOG_INFO("session.resumed", LF_I64("session", (int64_t)old->id), LF_STR("user", old->jid.local), LF_I64("missed", m->count));
    m->written = m->acked;
    m->lost_ms = 0;
    m->asked = false;
    m->since_ask = 0;
    m->detached_stored = false;
    m->replaying = true;
    adopt(old, s);
    login_resumed(s, old, str_of(text));
    session_hold(old);
    sm_replay_start(old);
    if (anew && !old->talk->shared && !old->person->guests)
        presence_probe_guests(old); /* who is there had told it to the process before this one */
    return RESUME_DONE;
}

static void handle_resume(struct session *s, const struct xml_node *n) { login_resume_nonza(s, n); }

enum { SM_NOTE_MS = 10000 };        /* how far a stream got is noted so often, when nothing else writes its row */

static void sm_tick(struct talk *t)
{
    int64_t now = loop_now_ms(t->loop);
    bool    stalled = commit_stalled_ms(t->db) >= ALIVE_MS;

    LIST_EACH(it, &t->sessions_all) {
        struct session *s = LIST_ITEM(it, struct session, in_talk);
        struct sm      *m = s->sm;

        if (!m)
            continue;
        if (s->state == SESSION_DETACHED && now - m->lost_ms > t->limits.resume_ms_max) {
            session_end(s);
            continue;
        }
        if (m->retry || (m->moved_on && now - m->noted_ms > SM_NOTE_MS)) {
            m->retry = m->moved_on = false;
            m->noted_ms = now;
            sm_mark_now(s);
        }
        /* While the next primary is awaited, no answer at all looks like a dead server: clients would go elsewhere, where it is no better. */
        if (stalled && m->ack_owed && s->state == SESSION_BOUND)
            send_ack(s);
        if (m->since_ask)
            sm_ask(s);
    }
}

static struct db_sql stream_delete_user = { "DELETE FROM stream WHERE user = (SELECT user FROM person WHERE id = ?1)" };

static void sm_person_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &stream_delete_user, "i", p->id);
}

static void sm_init(struct talk *t)
{
    list_init(&t->streams_dirty);
    commit_on_seal(t->db, sm_seal, t);
}

static void sm_features(struct session *s, struct buf *out)
{
    if (s->state == SESSION_AUTHENTICATED)
        BUF_LIT(out, "<sm xmlns='" NS_SM "'/>");
}

static const struct nonza_handler sm_nonzas[] = {
    { "r", NS_SM, NONZA_BOUND, handle_request },
    { "a", NS_SM, NONZA_BOUND, handle_answer },
    { "enable", NS_SM, NONZA_AUTHENTICATED | NONZA_BOUND, handle_enable },
    { "resume", NS_SM, NONZA_AUTHENTICATED | NONZA_BOUND, handle_resume },
    { 0 },
};

static const struct owned xep0198_sm_owned[] = { { "stream", "user = ?2" }, { 0 } };

const struct feature xep0198_sm = {
    .spec = "XEP-0198 1.6.3",
    .title = "Stream Management",
    .note = "acknowledged only when on disk; resumable after a restart of the server",
    .nonzas = sm_nonzas,
    .migrations = sm_migrations,
    .stream_features = sm_features,
    .init = sm_init,
    .tick = sm_tick,
    .person_deleted = sm_person_deleted,
    .owned = xep0198_sm_owned,
};
