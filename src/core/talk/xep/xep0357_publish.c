/* XEP-0357 §7: what is said to a push service, and to whom. Our own (push.DOMAIN) is courier, which encrypts
 * for the browser and sends; a foreign one gets a publication, as any entity does. Nothing is told but what
 * the owner allows. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/log.h"
#include "base/mem.h"
#include "bus/codec.h"
#include "courier/courier.h"
#include "crypto/digest.h"
#include "talk/feature.h"
#include "talk/forms.h"
#include "talk/host.h"
#include "talk/xep/xep0357_inner.h"
#include "wire/base64.h"
#include "wire/json.h"
#include <stdio.h>
#include <stdlib.h>

#define NS_PUBSUB "http://jabber.org/protocol/pubsub"

enum {
    KEY_EVERY_S = 30,
    FAILURES_MAX = 16, /* in a row that may mend themselves (§7.1) */
    TTL_MESSAGE_S = 7 * 86400,
    TTL_CALL_S = 60,
};

/* At most `bytes`, whole characters. */
static struct str cut(struct str s, size_t bytes)
{
    if (s.len <= bytes)
        return s;
    while (bytes && ((unsigned char)s.p[bytes] & 0xC0) == 0x80)
        bytes--;
    return str_make(s.p, bytes);
}

/* ---- our own service ---- */

static void sent(void *arg, enum err e)
{
    struct push_handover *h = arg;

    if (e == ERR_INVALID) { /* courier will not take it another time either */
        LOG_WARN("push.invalid", LF_STR("user", h->person->jid.local),
                 LF_I64("registration", h->registration));
        e = OK;
    }
    h->done(h, e);
}

static void payload_put(struct buf *b, const struct push_handover *h)
{
    json_t *o = json_object();

    json_object_set_new(o, "v", json_integer(1));
    json_object_set_new(o, "kind", json_string(h->kind == PUSH_CALL ? "call" : "message"));
    json_object_set_new(o, "count", json_integer(h->count));
    if (h->sender)
        json_object_set_new(o, "from", json_string(h->sender));
    if (h->body) {
        struct str body = cut(str_of(h->body), PUSH_BODY_BYTES_MAX);

        json_object_set_new(o, "body", json_stringn(body.p, body.len));
    }
    json_write(b, o);
    json_decref(o);
}

static void to_courier(struct push_handover *h, struct push_registration *r)
{
    struct buf payload;
    enum err e;

    buf_init(&payload, 0);
    payload_put(&payload, h);
    e = push_send(h->talk->bus,
                  &(struct push_order){
                      .registration = r->id,
                      .at = h->at,
                      .endpoint = r->web.endpoint,
                      .browser = r->web.browser,
                      .auth = r->web.auth,
                      .payload = buf_str(&payload),
                      .topic = h->kind == PUSH_CALL ? STR("call") : STR("message"),
                      .urgency = h->kind == PUSH_CALL ? PUSH_HIGH : PUSH_NORMAL,
                      .ttl_s = h->kind == PUSH_CALL ? TTL_CALL_S : TTL_MESSAGE_S,
                  },
                  sent, h);
    buf_done(&payload);
    if (e)
        h->done(h, e);
}

/* ---- a foreign one ---- */

static void summary_put(struct buf *b, const struct push_handover *h)
{
    char count[16];
    int n = snprintf(count, sizeof count, "%d", h->count);

    form_open(b, FORM_RESULT, "urn:xmpp:push:summary", NULL, NULL);
    form_put_value(b, "message-count", str_make(count, (size_t)n));
    if (h->sender)
        form_put_value(b, "last-message-sender", str_of(h->sender));
    if (h->body)
        form_put_value(b, "last-message-body", cut(str_of(h->body), PUSH_BODY_BYTES_MAX));
    form_close(b);
}

/* The id says which registration it is, so that whichever messenger gets an answer knows. Nobody waits for
 * one: what the service could not take the next message tells again. */
static void to_service(struct push_handover *h, struct push_registration *r)
{
    struct buf b;
    char id[64];
    int n = snprintf(id, sizeof id, "push-%llx-%llx", (unsigned long long)r->id,
                     (unsigned long long)++h->talk->push->last_publication);

    buf_init(&b, 0);
    stanza_open(&b, "iq", h->person->jid.bare, r->service.full, str_make(id, (size_t)n), "set", STR_NULL);
    BUF_LIT(&b, "<pubsub xmlns='" NS_PUBSUB "'><publish");
    xml_put_attr(&b, "node", r->node);
    BUF_LIT(&b, "><item><notification xmlns='" NS_PUSH "'>");
    summary_put(&b, h);
    BUF_LIT(&b, "</notification></item></publish>");
    if (r->form.len) {
        BUF_LIT(&b, "<publish-options>");
        buf_put_str(&b, r->form);
        BUF_LIT(&b, "</publish-options>");
    }
    BUF_LIT(&b, "</pubsub></iq>");
    host_send(h->talk, &r->service, buf_str(&b));
    buf_done(&b);
    h->done(h, OK);
}

void push_hand_over(struct push_handover *h, struct push_registration *r)
{
    if (r->own)
        to_courier(h, r);
    else
        to_service(h, r);
}

/* ---- its answer ---- */

/* What may be otherwise in a moment (§7.1: "recoverable or transient"). */
static bool may_mend(const struct stanza *iq)
{
    static const char *const names[] = {"remote-server-not-found", "remote-server-timeout",
                                        "internal-server-error", "resource-constraint",
                                        "recipient-unavailable"};
    const struct xml_node *error = xml_child(iq->node, "error", NS_CLIENT);

    for (size_t i = 0; error && i < sizeof names / sizeof names[0]; i++)
        if (xml_child(error, names[i], NS_STANZA_ERRORS))
            return true;
    return error && str_is(xml_attr(error, "type"), "wait");
}

/* "push-REGISTRATION-NUMBER", as to_service writes it. */
static bool id_read(struct str id, int64_t *registration)
{
    uint64_t v, number;

    if (!str_starts(id, STR("push-")))
        return false;
    id = str_make(id.p + 5, id.len - 5);
    if (!str_hex_to_u64(str_split(&id, '-'), &v) || !str_hex_to_u64(id, &number))
        return false;
    *registration = (int64_t)v;
    return true;
}

struct answer {
    int64_t registration;
    bool good, mends;
    char *from;
};

static void answer_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct answer *g = arg;
    struct push_registration *r = p ? push_find(p, g->registration) : NULL;

    (void)t;
    (void)e;
    if (!r || !str_is(r->service.full, g->from))
        ; /* somebody who guesses, or it is disabled */
    else if (g->good)
        r->failures = 0;
    else if (!g->mends || ++r->failures >= FAILURES_MAX)
        push_remove(p, g->registration, NULL, NULL);
    free(g->from);
    free(g);
}

bool push_answered(struct talk *t, const struct stanza *iq)
{
    struct answer *g;
    int64_t registration;

    if (!iq->has_to || !iq->to.local.len || !id_read(iq->id, &registration))
        return false;
    g = NEW(struct answer);
    *g = (struct answer){registration, iq->type == TYPE_RESULT, may_mend(iq), str_dup(iq->from.full)};
    person_find(t, iq->to.local, answer_found, g);
    return true;
}

/* ---- courier says that a browser's subscription is no more, or asks whether it is ---- */

struct gone {
    struct db_read read;
    struct talk *talk;
    struct bus_request *rq;
    int64_t registration;
    bool only_asked;
    char *user;
    struct arena arena;
    struct jid device; /* that ordered it; full.len 0: nobody is told */
    struct str told;
};

static struct db_sql owner_select = {
    "SELECT p.user FROM push u JOIN person p ON p.id = u.owner WHERE u.id = ?1"};

static enum err gone_work(struct db_conn *c, struct db_read *self)
{
    struct gone *g = (struct gone *)self;
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &owner_select, "i", g->registration);

    if (!e)
        g->user = str_dup(db_text(s, 0));
    if (s)
        db_done(s);
    return e;
}

static void gone_end(void *arg, enum err e)
{
    struct gone *g = arg;

    bus_answer(g->rq, e, STR_NULL);
    if (!e && g->device.full.len)
        host_send(g->talk, &g->device, g->told);
    arena_done(&g->arena);
    free(g->user);
    free(g);
}

/* The device may be there, or its stream wait to be resumed: it hears that it is woken no more, and can order anew (docs/push.md). */
static void told_make(struct gone *g, const struct person *p, const struct push_registration *r)
{
    struct buf b;
    char id[17];

    if (!r || jid_make(&g->arena, p->jid.local, p->jid.domain, r->resource, &g->device) != OK)
        return;
    random_token(id, 16);
    buf_init(&b, 0);
    stanza_open(&b, "message", p->jid.bare, g->device.full, str_of(id), "headline", STR_NULL);
    BUF_LIT(&b, "<removed xmlns='" NS_PUSH_OWN "'");
    xml_put_attr(&b, "jid", r->service.full);
    xml_put_attr(&b, "node", r->node);
    BUF_LIT(&b, "/></message>");
    g->told = arena_str(&g->arena, buf_str(&b));
    buf_done(&b);
}

static void gone_found(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct gone *g = arg;

    (void)t;
    if (!p) {
        gone_end(g, e);
        return;
    }
    told_make(g, p, push_find(p, g->registration));
    push_remove(p, g->registration, gone_end, g);
}

static void gone_read(struct db_read *self, enum err e)
{
    struct gone *g = (struct gone *)self;

    if (e || g->only_asked)
        gone_end(g, e); /* ERR_NOT_FOUND: it is no more */
    else
        person_find(g->talk, str_of(g->user), gone_found, g);
}

static void owner_find(struct talk *t, struct bus_request *rq, struct str payload, bool only_asked)
{
    struct codec_reader r = codec_open(payload, COURIER_PAYLOAD_VERSION);
    struct gone *g = NEW(struct gone);

    arena_init(&g->arena);
    g->talk = t;
    g->rq = rq;
    g->only_asked = only_asked;
    g->registration = codec_i64(&r);
    g->read = (struct db_read){.work = gone_work, .done = gone_read};
    if (!codec_ok(&r))
        gone_end(g, ERR_INVALID);
    else if (db_read_start(g->talk->db, &g->read) != OK)
        gone_end(g, ERR_LIMIT);
}

static void gone_told(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    (void)subject;
    owner_find(arg, rq, payload, false);
}

static void known_asked(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    (void)subject;
    owner_find(arg, rq, payload, true);
}

/* ---- courier's key ---- */

static struct db_sql key_select = {"SELECT private FROM push_key WHERE id = 1"};
static struct db_sql key_write = {"INSERT INTO push_key(id, private) VALUES (1, ?1)"
                                  " ON CONFLICT(id) DO UPDATE SET private = excluded.private"};

struct str push_vapid_key(const struct talk *t)
{
    return str_of(t->push->key);
}

struct key_op {
    struct change change;
    struct db_read read;
    struct talk *talk;
    bool found;
    uint8_t private[WEBPUSH_PRIVATE_BYTES];
};

static void key_op_free(struct key_op *o)
{
    mem_wipe(o->private, sizeof o->private);
    free(o);
}

static enum err key_apply(struct db_conn *c, struct change *ch)
{
    struct key_op *o = (struct key_op *)ch;

    return db_run(c, &key_write, "b", str_make((const char *)o->private, sizeof o->private));
}

static void key_written(struct talk *t, struct change *ch, enum err e)
{
    if (e)
        t->push->private_known = false; /* tried again with the next answer */
    key_op_free((struct key_op *)ch);
}

static void key_keep(struct talk *t, struct str private)
{
    struct key_op *o;

    if (t->push->private_known && memcmp(t->push->private, private.p, sizeof t->push->private) == 0)
        return;
    memcpy(t->push->private, private.p, sizeof t->push->private);
    t->push->private_known = true;
    o = NEW(struct key_op);
    o->change.apply = key_apply;
    o->change.done = key_written;
    memcpy(o->private, private.p, sizeof o->private);
    if (session_change(NULL, t, &o->change) != OK)
        key_written(t, &o->change, ERR_LIMIT);
}

struct key_ask {
    struct talk *talk;
    void (*fn)(struct talk *t, void *arg); /* NULL: nobody waits */
    void *arg;
};

static void key_told(void *arg, enum err e, struct str public, struct str private)
{
    struct key_ask *q = arg;
    struct talk *t = q->talk;
    struct buf b;

    buf_init(&b, 0);
    base64url_put(&b, public);
    if (!e) {
        str_copy(buf_str(&b), t->push->key, sizeof t->push->key);
        key_keep(t, private);
    }
    buf_done(&b);
    if (q->fn)
        q->fn(t, q->arg);
    else
        t->push->key_asked = false;
    free(q);
}

static struct str own_key(const struct push_state *st)
{
    return st->private_known ? str_make((const char *)st->private, sizeof st->private) : STR_NULL;
}

enum err push_vapid_key_ask(struct talk *t, void (*fn)(struct talk *t, void *arg), void *arg)
{
    struct push_state *st = t->push;
    struct key_ask *q;
    enum err e;

    if (!st->private_read && st->key_waiter_count == PUSH_KEY_WAITERS_MAX)
        return ERR_LIMIT;
    q = mem_copy(&(struct key_ask){t, fn, arg}, sizeof *q);
    if (!st->private_read) { /* asked without it, courier might make another */
        st->key_waiters[st->key_waiter_count++] = q;
        return OK;
    }
    e = push_key_ask(t->bus, own_key(st), key_told, q);
    if (e)
        free(q);
    return e;
}

static void waiters_ask(struct talk *t)
{
    for (int i = 0; i < t->push->key_waiter_count; i++) {
        struct key_ask *q = t->push->key_waiters[i];

        if (push_key_ask(t->bus, own_key(t->push), key_told, q) != OK)
            key_told(q, ERR_LIMIT, STR_NULL, STR_NULL);
    }
    t->push->key_waiter_count = 0;
}

static void ask_key(struct talk *t)
{
    if (!t->push->key_asked)
        t->push->key_asked = push_vapid_key_ask(t, NULL, NULL) == OK;
}

static enum err key_work(struct db_conn *c, struct db_read *self)
{
    struct key_op *o = LIST_ITEM(self, struct key_op, read);
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &key_select, "");

    o->found = !e && db_blob(s, 0).len == sizeof o->private;
    if (o->found)
        memcpy(o->private, db_blob(s, 0).p, sizeof o->private);
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void key_done(struct db_read *self, enum err e)
{
    struct key_op *o = LIST_ITEM(self, struct key_op, read);
    struct talk *t = o->talk;

    if (!e) {
        t->push->private_read = true;
        t->push->private_known = o->found;
        memcpy(t->push->private, o->private, sizeof o->private);
        waiters_ask(t);
        ask_key(t);
    }
    key_op_free(o);
}

static void key_read(struct talk *t)
{
    struct key_op *o = NEW(struct key_op);

    o->talk = t;
    o->read = (struct db_read){.work = key_work, .done = key_done};
    if (db_read_start(t->db, &o->read) != OK)
        key_op_free(o);
}

/* ---- life ---- */

void push_publish_tick(struct talk *t)
{
    if (t->push->key_in_s-- > 0)
        return;
    /* also when it is known: a courier that has lost it is given it back */
    if (t->push->private_read)
        ask_key(t);
    else
        key_read(t);
    t->push->key_in_s = *t->push->key ? KEY_EVERY_S : 0;
}

void push_publish_init(struct talk *t)
{
    char subject[BUS_SUBJECT_BYTES_MAX];

    snprintf(subject, sizeof subject, "%.*s.push.gone", STR_ARG(bus_role(t->bus)));
    bus_serve(t->bus, subject, gone_told, t);
    snprintf(subject, sizeof subject, "%.*s.push.known", STR_ARG(bus_role(t->bus)));
    bus_serve(t->bus, subject, known_asked, t);
    key_read(t);
}
