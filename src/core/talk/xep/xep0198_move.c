/* xep0198_move.c: see xep0198_move.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0198_move.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "bus/codec.h"
#include "talk/archive.h"
#include "talk/devices.h"
#include "talk/login.h"
#include "talk/nodes.h"
#include "talk/stream.h"
#include <stdio.h>
#include <stdlib.h>

METRIC_COUNTER(moved_in, "bongsu_talk_streams_moved_in", "Streams taken over from another messenger.");
METRIC_COUNTER(moved_out, "bongsu_talk_streams_moved_out", "Streams handed to another messenger.");

enum { MOVE_VERSION = 1, MOVE_MS_MAX = 1500, ROW_LATE_MS = 250 };

/* ---- the side that has it ---- */

struct leaving {
    struct bus_request *request;
    uint64_t            session_id;
    uint32_t            h;
};

/* Quietly: to everyone else the session goes on. */
static void let_go(struct session *s)
{
    metric_add(&moved_out, 1);
    LOG_INFO("session.moved", LF_I64("session", (int64_t)s->id), LF_STR("user", s->jid.local));
    session_free(s);
}

static void leave(struct talk *t, void *arg)
{
    struct leaving *l = arg;
    struct session *s = session_find(t, l->session_id);
    struct buf      b;
    enum err        e = ERR_NOT_FOUND;

    buf_init(&b, 0);
    if (s && s->sm && s->sm->moving)
        e = sm_export(s, l->h, &b);
    bus_answer(l->request, e, buf_str(&b));
    buf_done(&b);
    if (!e)
        let_go(s);
    else if (s && s->sm)
        s->sm->moving = false;
    free(l);
}

static void cut_connection(struct session *s)
{
    struct conn *c = s->conn;

    if (!c)
        return;
    stream_write_error(s, "conflict", "the stream was resumed elsewhere");
    stream_write_close(s);
    stream_release(c);
    conn_close(c);
    session_lost(s, ERR_CLOSED);
}

static void asked_to_move(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct talk        *t = arg;
    struct codec_reader r = codec_open(payload, MOVE_VERSION);
    struct str          id = codec_str(&r, 32), user = codec_str(&r, JID_PART_BYTES_MAX);
    uint64_t            h = codec_u64(&r);
    struct sm          *m = codec_ok(&r) ? strmap_get(&t->streams, id) : NULL;
    struct leaving     *l;
    struct session     *s;

    (void)subject;
    if (!m || !str_eq(m->session->jid.local, user) || m->session->closing || m->replaying || m->moving) {
        bus_answer(rq, ERR_NOT_FOUND, STR_NULL);
        return;
    }
    s = m->session;
    m->moving = true;
    cut_connection(s);
    l = NEW(struct leaving);
    *l = (struct leaving){ rq, s->id, (uint32_t)h };
    session_after_commits(s, leave, l);
}

void sm_move_init(struct talk *t)
{
    char subject[NODE_SUBJECT_BYTES];

    nodes_subject(subject, t->node, "move");
    bus_serve(t->wide, subject, asked_to_move, t);
}

/* ---- the side that wants it ---- */

struct coming {
    struct db_read read;
    struct talk   *talk;
    uint64_t       session_id;
    int64_t        key;
    uint32_t       h;
    /* from its row */
    bool           found;
    int64_t        node, received, from;    /* from: what came after it may not have been seen */
    char          *user;
};

static struct db_sql stream_one = { "SELECT user, node, received, entries, log_pos FROM stream WHERE id = ?1" };

static enum err read_row(struct db_conn *c, struct db_read *self)
{
    struct coming  *k = (struct coming *)self;
    struct db_stmt *s = NULL;
    enum err        e = db_get(c, &s, &stream_one, "i", k->key);
    int64_t         first;

    k->found = e == OK;
    if (k->found) {
        k->user = str_dup(db_text(s, 0));
        k->node = db_i64(s, 1);
        k->received = db_i64(s, 2);
        first = sm_entries_first(db_blob(s, 3));
        k->from = first ? first - 1 : db_i64(s, 4);
    }
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void coming_free(struct coming *k)
{
    free(k->user);
    free(k);
}

/* ---- nobody has it any more ---- */

struct bury_op {
    struct change  change;
    struct person *person;
    int64_t        key, owner, from;
    bool           keep;
};

static struct db_sql bury_stream = { "DELETE FROM stream WHERE id = ?1" };
static struct db_sql bury_unseen = {
    "INSERT INTO offline(owner, id) SELECT l.owner, l.id FROM log l JOIN message m ON m.id = l.id"
    " WHERE l.owner = ?1 AND l.id > ?2 AND m.recipient = ?1 ON CONFLICT DO NOTHING" };

static enum err bury_apply(struct db_conn *c, struct change *ch)
{
    struct bury_op *o = (struct bury_op *)ch;
    enum err        e = archive_order_take(c, &ch->talk->order);

    if (!e && o->keep)
        e = db_run(c, &bury_unseen, "ii", o->owner, o->from);
    return e ? e : db_run(c, &bury_stream, "i", o->key);
}

static void buried(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    (void)e;    /* the row stays, and is of no use to anybody */
    person_unref(((struct bury_op *)ch)->person);
    free(ch);
}

static void bury(struct session *s, const struct coming *k)
{
    struct bury_op *o = NEW(struct bury_op);

    o->change.apply = bury_apply;
    o->change.done = buried;
    o->person = s->person;
    o->key = k->key;
    o->owner = s->person->id;
    o->from = k->from;
    o->keep = person_reachable(s->person) == 0 && !devices_reach(s->person);
    person_ref(o->person);
    if (session_change(NULL, s->talk, &o->change) != OK)
        buried(s->talk, &o->change, ERR_LIMIT);
}

/* ---- the answer ---- */

static void go_on(struct coming *k, bool moved)
{
    struct session *s = session_find(k->talk, k->session_id);
    bool            own;

    if (s && s->login) {
        own = k->found && str_is(s->jid.local, k->user);
        s->login->far_asked = !moved;
        s->login->far_handled = own ? k->received : -1;
        if (!moved && own)
            bury(s, k);
        login_resume_again(s);
    }
    coming_free(k);
}

static void state_came(void *arg, enum err e, struct str payload)
{
    struct coming  *k = arg;
    struct session *s = session_find(k->talk, k->session_id), *old = NULL;

    if (!e && s && s->person)
        old = sm_import(k->talk, s->person, k->key, payload);
    if (old) {
        metric_add(&moved_in, 1);
        device_changed(old);
        sm_row_changed(old);
    }
    go_on(k, old != NULL);
}

static void ask_for_it(struct coming *k)
{
    char       subject[NODE_SUBJECT_BYTES], id[20];
    struct buf b;
    enum err   e;

    nodes_subject(subject, k->node, "move");
    snprintf(id, sizeof id, "%016llx", (unsigned long long)k->key);
    buf_init(&b, 0);
    codec_begin(&b, MOVE_VERSION);
    codec_put_str(&b, str_of(id));
    codec_put_str(&b, str_of(k->user));
    codec_put_u64(&b, k->h);
    e = bus_ask(k->talk->wide, subject, buf_str(&b), MOVE_MS_MAX, state_came, k);
    buf_done(&b);
    if (e)
        go_on(k, false);
}

static void look_again(struct timer *timer)
{
    login_resume_again(LIST_ITEM(timer, struct login, far_look)->far_of);
}

/* Whose line breaks right behind <enabled/> comes back before the row is stored, or has come to this site's replica. */
static void wait_for_row(struct session *s)
{
    struct login *l = s->login;

    l->far_late = true;
    l->far_of = s;
    timer_start(s->talk->loop, &l->far_look, ROW_LATE_MS, look_again);
}

static void row_came(struct db_read *self, enum err e)
{
    struct coming  *k = (struct coming *)self;
    struct session *s = session_find(k->talk, k->session_id);

    if (!e && !k->found && s && s->login && !s->login->far_late) {
        wait_for_row(s);
        coming_free(k);
    } else if (!e && k->found && s && str_is(s->jid.local, k->user) && k->node != k->talk->node && k->talk->wide &&
        node_alive(k->talk, k->node))
        ask_for_it(k);
    else
        go_on(k, false);
}

static bool key_parse(struct str id, int64_t *key)
{
    uint64_t v;

    if (id.len != 16 || !str_hex_to_u64(id, &v))
        return false;
    *key = (int64_t)v;
    return true;
}

enum resume_outcome sm_resume_far(struct session *s, const struct xml_node *resume)
{
    struct login  *l = login_get(s);
    struct coming *k;
    int64_t        key;
    uint64_t       h;

    if (!key_parse(xml_attr(resume, "previd"), &key) || !str_to_u64(xml_attr(resume, "h"), &h) || h > UINT32_MAX)
        return sm_resume_refuse(s, -1, "item-not-found");
    if (l->far_asked) {
        l->far_asked = false;
        return sm_resume_refuse(s, l->far_handled, "item-not-found");
    }
    k = NEW(struct coming);
    k->read = (struct db_read){ .work = read_row, .done = row_came };
    k->talk = s->talk;
    k->session_id = s->id;
    k->key = key;
    k->h = (uint32_t)h;
    session_hold(s);
    if (db_read_start(s->talk->db, &k->read) == OK)
        return RESUME_WAITS;
    coming_free(k);
    return sm_resume_refuse(s, -1, "item-not-found");
}
