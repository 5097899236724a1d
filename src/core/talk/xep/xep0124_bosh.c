/* xep0124_bosh.c: sessions over HTTP requests: their order, their answers, their end. See xep0124_bosh.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0124_bosh.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "net/http.h"
#include "net/websocket.h"
#include "talk/feature.h"
#include "talk/stream.h"
#include "talk/xep/xep0124_body.h"

#define NS_FRAMING "urn:ietf:params:xml:ns:xmpp-framing"
#define PATH "/http-bind"
#define XML_TYPE "text/xml; charset=utf-8"

/* Scripts of any site may speak here (they bring no cookies); a page made of an answer may do nothing. */
#define HEADERS "Access-Control-Allow-Origin: *\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n" \
                "Content-Security-Policy: default-src 'none'; sandbox\r\n"
#define PREFLIGHT HEADERS "Access-Control-Allow-Methods: POST, OPTIONS\r\nAccess-Control-Allow-Headers: Content-Type\r\n" \
                  "Access-Control-Max-Age: 86400\r\n"

enum { SID_CHARS = 22 /* 132 bits */, POLL_MS = 100, BEGIN_MS = 10000, LEAVE_MS = 5000, BODY_SLACK = 16 * 1024 };

struct bosh {                       /* the door */
    struct http_server server;
    struct conn_limits limits, line_limits;
    struct strmap      sessions;    /* by sid */
};

struct request {
    uint64_t              rid;
    struct http_exchange *x;        /* NULL: none */
    char                 *body;     /* of one that came early */
    size_t                body_bytes;
    int64_t               come_ms, due_ms;
    bool                  empty;
};

struct bosh_session {
    struct talk     *talk;
    struct conn     *line;          /* to its struct session; NULL once that has hung up */
    struct ws_reader in;
    uint64_t         session_id;    /* as it began */
    char             sid[SID_CHARS + 1];
    char             content[BOSH_TYPE_BYTES_MAX + 1];
    char            *stream_id;     /* `authid` */
    uint64_t         rid;           /* of the last request taken, all before it too */
    struct request   held, early[BOSH_REQUESTS + 1];
    struct { uint64_t rid; char *text; size_t bytes; } kept[BOSH_REQUESTS];
    struct buf       out;           /* payloads for the next answer */
    struct timer     timer;
    const char      *condition;     /* once over; NULL: in order */
    int64_t          quiet_ms;      /* since when nothing is held */
    int              wait_s, hold, minor, inactivity_s, quiet_s_max;
    bool             legacy;        /* it said no `ver`: some conditions are HTTP errors then (§17.1) */
    bool             secure, told, leaving, full, idle_answer, over, gone;
    bool             streams;       /* `out` has an element of the namespace of streams, which the body declares then (XEP-0206 §2) */
};

static struct loop *loop_of(const struct bosh_session *b) { return b->talk->loop; }
static bool         polls(const struct bosh_session *b) { return b->wait_s == 0 || b->hold == 0; }

/* ---- answers ---- */

static int legacy_status(const char *condition)
{
    static const struct { const char *condition; int status; } table[] = {
        { "bad-request", 400 }, { "policy-violation", 403 }, { "item-not-found", 404 },
    };

    for (size_t i = 0; condition && i < sizeof table / sizeof *table; i++)
        if (strcmp(condition, table[i].condition) == 0)
            return table[i].status;
    return 200;
}

static struct str type_of(const struct bosh_session *b)
{
    return b && b->content[0] ? str_of(b->content) : STR(XML_TYPE);
}

/* `b` may be NULL: somebody without a session. */
static void terminate(struct http_exchange *x, const struct bosh_session *b, const char *condition)
{
    int        status = b && b->legacy ? legacy_status(condition) : 200;
    struct buf text;

    buf_init(&text, 0);
    if (status == 200)
        buf_printf(&text, "<body xmlns='" NS_HTTPBIND "' type='terminate' condition='%s'/>", condition);
    http_answer(x, status, type_of(b), STR(HEADERS), buf_str(&text));
    buf_done(&text);
}

/* Its client asks again on another connection: nobody must take the answer from here. */
static void hang_up(struct request *r)
{
    if (http_conn(r->x))
        conn_abort(http_conn(r->x), ERR_CLOSED);
    http_answer(r->x, 200, STR(XML_TYPE), STR(HEADERS), STR_NULL);
    r->x = NULL;
}

static void put_session(struct bosh_session *b, struct buf *out)
{
    xml_put_attr(out, "sid", str_of(b->sid));
    xml_put_attr(out, "from", b->talk->domain);
    if (b->stream_id)
        xml_put_attr(out, "authid", str_of(b->stream_id));
    buf_printf(out, " wait='%d' hold='%d' requests='%d' inactivity='%d' polling='%d' maxpause='%d'", b->wait_s, b->hold, BOSH_REQUESTS,
               b->inactivity_s, BOSH_POLLING_S, BOSH_PAUSE_S_MAX);
    if (!b->legacy)
        buf_printf(out, " ver='1.%d'", b->minor);
    if (b->secure)
        BUF_LIT(out, " secure='true'");
    BUF_LIT(out, " xmlns:xmpp='" NS_XBOSH "' xmpp:version='1.0' xmpp:restartlogic='true'");
    b->told = true;
}

static void put_answer(struct bosh_session *b, struct buf *out, bool with_payloads)
{
    BUF_LIT(out, "<body xmlns='" NS_HTTPBIND "'");
    if (!b->told)
        put_session(b, out);
    if (b->over) {
        BUF_LIT(out, " type='terminate'");
        if (b->condition)
            xml_put_attr(out, "condition", str_of(b->condition));
    }
    if (!with_payloads || b->out.len == 0) {
        BUF_LIT(out, "/>");
        return;
    }
    if (b->streams)
        BUF_LIT(out, " xmlns:stream='" NS_STREAMS "'");
    b->streams = false;
    buf_put_c(out, '>');
    buf_put_str(out, buf_str(&b->out));
    BUF_LIT(out, "</body>");
    buf_done(&b->out);
    if (b->full && b->line)
        conn_resume(b->line);
    b->full = false;
}

static void keep(struct bosh_session *b, uint64_t rid, struct buf *text)
{
    size_t at = rid % BOSH_REQUESTS;

    free(b->kept[at].text);
    b->kept[at].rid = rid;
    b->kept[at].text = text->p;
    b->kept[at].bytes = text->len;
}

static void answer_held(struct bosh_session *b, bool with_payloads)
{
    struct http_exchange *x = b->held.x;
    struct buf            text;

    b->held.x = NULL;
    b->quiet_ms = loop_now_ms(loop_of(b));
    if (b->over && b->legacy && legacy_status(b->condition) != 200) {
        terminate(x, b, b->condition);
        return;
    }
    b->idle_answer = b->out.len == 0;
    buf_init(&text, 0);
    put_answer(b, &text, with_payloads);
    http_answer(x, 200, type_of(b), STR(HEADERS), buf_str(&text));
    keep(b, b->held.rid, &text);
}

/* ---- the end ---- */

/* At once; `softly`: what was written for the session arrives first. Without a word of farewell it may be resumed (XEP-0198). */
static void drop_line(struct bosh_session *b, bool softly)
{
    struct conn *c = b->line;

    if (!c)
        return;
    b->line = NULL;
    conn_set_handlers(c, &stream_refused_handlers, NULL);
    if (softly)
        conn_close(c);
    else
        conn_abort(c, ERR_CLOSED);
}

static void drop_early(struct request *r)
{
    free(r->body);
    *r = (struct request){ 0 };
}

static void forget(struct bosh_session *b)
{
    if (b->gone)
        return;
    b->gone = true;
    if (b->held.x)
        terminate(b->held.x, b, "other-request");
    for (size_t i = 0; i < sizeof b->early / sizeof *b->early; i++) {
        if (b->early[i].x)
            terminate(b->early[i].x, b, "other-request");
        drop_early(&b->early[i]);
    }
    drop_line(b, false);
    timer_stop(loop_of(b), &b->timer);
    strmap_del(&b->talk->bosh->sessions, str_of(b->sid));
    for (size_t i = 0; i < BOSH_REQUESTS; i++)
        free(b->kept[i].text);
    buf_done(&b->out);
    ws_reader_done(&b->in);
    free(b->stream_id);
    loop_free_later(loop_of(b), b);
}

/* The client has broken a rule with this request. */
static void fail_request(struct bosh_session *b, struct http_exchange *x, const char *condition)
{
    terminate(x, b, condition);
    forget(b);
}

static void watch(struct bosh_session *b);

/* Nothing more will come from the session. Who holds no request is told with the next one. */
static void end(struct bosh_session *b, const char *condition)
{
    if (b->over)
        return;
    b->over = true;
    b->condition = condition;
    if (!b->held.x) {
        watch(b);
        return;
    }
    answer_held(b, true);
    forget(b);
}

/* ---- time ---- */

static void due(struct timer *t)
{
    struct bosh_session *b = LIST_ITEM(t, struct bosh_session, timer);

    if (!b->held.x) {
        LOG_INFO("bosh.inactive", LF_I64("session", (int64_t)b->session_id));
        forget(b);
        return;
    }
    if (b->leaving) {
        end(b, NULL);
        return;
    }
    answer_held(b, true);
    watch(b);
}

static void watch(struct bosh_session *b)
{
    int64_t now = loop_now_ms(loop_of(b));
    int64_t at = b->held.x ? b->held.due_ms : b->quiet_ms + b->quiet_s_max * 1000;

    if (!b->gone)
        timer_start(loop_of(b), &b->timer, at > now ? at - now : 0, due);
}

/* ---- from the session ---- */

static bool is_element(struct str xml, const char *start) { return str_starts(xml, str_of(start)); }

static void stream_begins(struct bosh_session *b, struct str xml)
{
    struct xml_node *open;

    if (b->stream_id || xml_parse(&b->talk->round, xml, NULL, &open) != XML_FINE)
        return;
    b->stream_id = str_dup(xml_attr(open, "id"));
    arena_reset(&b->talk->round);
}

static void element(struct bosh_session *b, struct str xml)
{
    if (is_element(xml, "<open ")) {
        stream_begins(b, xml);
    } else if (is_element(xml, "<close ")) {
        end(b, b->condition);
    } else {
        b->streams |= is_element(xml, "<stream:");
        if (is_element(xml, "<stream:error "))
            b->condition = "remote-stream-error";   /* told when the session hangs up */
        buf_put_str(&b->out, xml);
    }
}

static size_t line_data(void *arg, struct conn *c, struct str in)
{
    struct bosh_session *b = arg;
    size_t               used = 0;

    while (!b->gone && !b->over && used < in.len) {
        struct ws_event ev;
        size_t          took = 0;
        enum err        e;

        if (b->out.len >= BOSH_ANSWER_BYTES) {
            b->full = true;
            conn_pause(c);
            break;
        }
        e = ws_read(&b->in, (char *)in.p + used, in.len - used, &ev, &took);
        used += took;
        if (e == OK && ev.opcode == WS_TEXT)
            element(b, ev.payload);
        else if (e == ERR_AGAIN && took == 0)
            break;
        else if (e != OK && e != ERR_AGAIN)
            end(b, "remote-connection-failed");
    }
    if (!b->gone && b->held.x && b->out.len && !b->condition) {
        answer_held(b, true);
        watch(b);
    }
    return b->gone || b->over ? in.len : used;
}

static void line_closed(void *arg, struct conn *c, enum err why)
{
    struct bosh_session *b = arg;

    (void)c;
    (void)why;
    b->line = NULL;
    end(b, b->condition ? b->condition : "remote-connection-failed");
}

static void take_all(struct bosh_session *b);

static void line_writable(void *arg, struct conn *c)
{
    (void)c;
    take_all(arg);
}

static const struct conn_handlers line_handlers = { .data = line_data, .writable = line_writable, .closed = line_closed };

/* ---- to the session ---- */

static void put_frame(struct buf *frames, struct str xml)
{
    ws_put_frame(frames, WS_TEXT, xml, false);
}

static void put_open(struct bosh_session *b, const struct bosh_body *body, struct buf *frames)
{
    struct buf xml;

    buf_init(&xml, 0);
    BUF_LIT(&xml, "<open xmlns='" NS_FRAMING "'");
    xml_put_attr(&xml, "to", body->to.p ? body->to : b->talk->domain);
    xml_put_attr(&xml, "version", body->version.p ? body->version : STR("1.0"));
    if (body->lang.len)
        xml_put_attr(&xml, "xml:lang", body->lang);
    BUF_LIT(&xml, "/>");
    put_frame(frames, buf_str(&xml));
    buf_done(&xml);
}

static void put_payloads(const struct bosh_body *body, struct buf *frames)
{
    struct buf xml;

    buf_init(&xml, BOSH_LINE_BYTES_MAX);
    for (struct xml_node *n = body->payload; n && !frames->overflow; n = xml_next(n)) {
        buf_clear(&xml);
        bosh_put_payload(&xml, n);
        put_frame(frames, buf_str(&xml));
        frames->overflow |= xml.overflow;
    }
    buf_done(&xml);
}

/* Two empty requests in a row, sooner than is good for anybody (§11, §12). */
static bool is_overactive(const struct bosh_session *b, const struct request *r)
{
    bool soon = r->come_ms - b->held.come_ms < BOSH_POLLING_S * 1000;

    return b->told && r->empty && b->held.empty && soon && (polls(b) ? b->idle_answer : b->held.x != NULL);
}

static void hold(struct bosh_session *b, const struct request *r, const struct bosh_body *body)
{
    int64_t now = loop_now_ms(loop_of(b));

    if (b->held.x)
        answer_held(b, !body->pauses);
    b->held = *r;
    b->held.body = NULL;
    b->leaving = body->terminates;
    b->held.due_ms = now + (body->terminates ? LEAVE_MS : !b->told ? BEGIN_MS : polls(b) ? POLL_MS : b->wait_s * 1000);
    b->quiet_s_max = b->inactivity_s;
    if (body->pauses) {
        b->quiet_s_max = body->pause_s < BOSH_PAUSE_S_MAX ? (int)body->pause_s : BOSH_PAUSE_S_MAX;
        answer_held(b, false);
    } else if (body->complains) {
        drop_line(b, true);
        end(b, NULL);
    } else if (b->out.len && !b->condition) {
        answer_held(b, true);
    }
    if (!b->gone)
        watch(b);
}

/* The next request in order. False: the session must first read what it has; the request is still the caller's. */
static bool take(struct bosh_session *b, const struct request *r, const struct bosh_body *body)
{
    struct buf frames;
    enum err   e = OK;

    if (is_overactive(b, r)) {
        fail_request(b, r->x, "policy-violation");
        return true;
    }
    buf_init(&frames, BOSH_LINE_BYTES_MAX);
    if (body->restarts || !b->told)
        put_open(b, body, &frames);
    put_payloads(body, &frames);
    if (body->terminates && !body->complains)
        put_frame(&frames, STR("<close xmlns='" NS_FRAMING "'/>"));
    if (frames.overflow)
        fail_request(b, r->x, "policy-violation");
    else if (frames.len && b->line)
        e = conn_write(b->line, buf_str(&frames));
    buf_done(&frames);
    if (b->gone || e == ERR_LIMIT)
        return b->gone;
    b->rid = r->rid;
    hold(b, r, body);
    return true;
}

/* ---- requests of a session ---- */

static struct request *early_slot(struct bosh_session *b, uint64_t rid)
{
    struct request *free_slot = NULL;

    for (size_t i = 0; i < sizeof b->early / sizeof *b->early; i++) {
        if (b->early[i].x && b->early[i].rid == rid)
            return &b->early[i];
        if (!b->early[i].x)
            free_slot = &b->early[i];
    }
    return free_slot;
}

/* What came early and has its turn now. */
static void take_all(struct bosh_session *b)
{
    while (!b->gone && !b->over) {
        struct request  *slot = early_slot(b, b->rid + 1);
        struct request   r;
        struct bosh_body body;

        if (!slot || !slot->x)
            return;
        r = *slot;
        *slot = (struct request){ 0 };
        bosh_body_read(&b->talk->round, str_make(r.body, r.body_bytes), &body);
        if (!take(b, &r, &body)) {
            *slot = r;
            return;
        }
        free(r.body);
        arena_reset(&b->talk->round);
    }
}

static void keep_early(struct bosh_session *b, const struct request *r, struct str text)
{
    struct request *slot = early_slot(b, r->rid);

    if (!slot) {
        fail_request(b, r->x, "policy-violation");
        return;
    }
    if (slot->x)
        hang_up(slot);
    drop_early(slot);
    *slot = *r;
    slot->body = mem_copy(text.p, text.len);
    slot->body_bytes = text.len;
}

/* A request that has come before: its answer again, or for the first time. */
static void answer_again(struct bosh_session *b, const struct request *r)
{
    size_t at = r->rid % BOSH_REQUESTS;

    if (b->held.x && b->held.rid == r->rid) {
        hang_up(&b->held);
        b->held.x = r->x;
    } else if (b->kept[at].text && b->kept[at].rid == r->rid) {
        http_answer(r->x, 200, type_of(b), STR(HEADERS), str_make(b->kept[at].text, b->kept[at].bytes));
        if (!b->held.x)
            b->quiet_ms = r->come_ms;
        watch(b);
    } else {
        fail_request(b, r->x, "item-not-found");
    }
}

/* Before log-in a body is one element, and small. */
static bool is_too_large(const struct bosh_session *b, struct str text)
{
    const struct session *s = session_find(b->talk, b->session_id);

    return s && s->state < SESSION_BOUND && text.len > b->talk->limits.stanza_bytes_max_early + BODY_SLACK;
}

static void receive(struct bosh_session *b, const struct request *r, const struct bosh_body *body, struct str text)
{
    bool     farewell = body->pauses || body->terminates;   /* one more is allowed then (§11) */
    uint64_t last = b->rid + BOSH_REQUESTS + farewell;

    if (r->rid <= b->rid) {
        answer_again(b, r);
    } else if (b->over) {
        b->held = *r;
        answer_held(b, true);
        forget(b);
    } else if (r->rid > last) {
        fail_request(b, r->x, "item-not-found");
    } else if (is_too_large(b, text)) {
        fail_request(b, r->x, "policy-violation");
    } else if (r->rid > b->rid + 1 || !take(b, r, body)) {
        keep_early(b, r, text);
    } else {
        take_all(b);
    }
}

/* ---- a new session ---- */

/* Why it cannot begin; NULL: it can. */
static const char *trouble_of(struct talk *t, const struct bosh_body *body, struct str text)
{
    struct str domain;

    if (t->stopping)
        return "system-shutdown";
    if (!body->to.len)
        return "improper-addressing";
    if (jid_prep_domain(&t->round, body->to, &domain) != OK || !str_eq(domain, t->domain))
        return "host-unknown";
    if (text.len > t->limits.stanza_bytes_max_early + BODY_SLACK)
        return "policy-violation";
    if (t->bosh->sessions.count >= (size_t)(t->limits.sessions_max / BOSH_DESCRIPTORS + 1))
        return "policy-violation";
    return NULL;
}

/* Joins both ends; false: no more sessions are welcome. */
static bool connect_session(struct bosh_session *b, struct http_exchange *x)
{
    struct talk *t = b->talk;
    struct conn *far;
    int          ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        return false;
    b->line = conn_new(t->loop, ends[0], &t->bosh->line_limits, &line_handlers, b);
    far = conn_new(t->loop, ends[1], &t->conn_limits, &stream_refused_handlers, NULL);
    conn_speak_for(far, http_conn(x));
    if (!stream_admit(t, far)) {
        conn_abort(far, ERR_LIMIT);
        return false;
    }
    b->session_id = websocket_begin(t, far, b->secure, false)->id;
    return true;
}

static struct bosh_session *session_make(struct talk *t, struct http_exchange *x, const struct bosh_body *body)
{
    struct bosh_session *b = NEW(struct bosh_session);

    b->talk = t;
    b->rid = body->rid - 1;
    b->wait_s = body->wait_s < BOSH_WAIT_S_MAX ? (int)body->wait_s : BOSH_WAIT_S_MAX;
    b->hold = body->hold > 0;
    b->legacy = body->minor < 0;
    b->minor = body->minor < 11 ? body->minor : 11;
    b->quiet_s_max = b->inactivity_s = polls(b) ? BOSH_INACTIVITY_POLLING_S : BOSH_INACTIVITY_S;
    b->secure = conn_tls(http_conn(x)) != NULL;
    b->in.message_bytes_max = (uint32_t)t->conn_limits.out_bytes_max;
    snprintf(b->content, sizeof b->content, "%.*s", STR_ARG(body->content));
    buf_init(&b->out, 0);
    random_token(b->sid, SID_CHARS);
    strmap_put(&t->bosh->sessions, str_of(b->sid), b);
    return b;
}

static void open_session(struct talk *t, const struct request *r, const struct bosh_body *body, struct str text)
{
    const char          *trouble = trouble_of(t, body, text);
    struct bosh_session *b;

    if (trouble) {
        terminate(r->x, NULL, trouble);
        return;
    }
    b = session_make(t, r->x, body);
    if (connect_session(b, r->x))
        take(b, r, body);
    else
        fail_request(b, r->x, "policy-violation");
}

/* ---- HTTP ---- */

static void posted(struct talk *t, struct http_exchange *x, struct str text)
{
    struct bosh_body     body;
    bool                 fine = bosh_body_read(&t->round, text, &body);
    struct bosh_session *b = body.sid.p ? strmap_get(&t->bosh->sessions, body.sid) : NULL;
    struct request       r = { .rid = body.rid, .x = x, .come_ms = loop_now_ms(t->loop) };

    r.empty = !body.payload && !body.pauses && !body.restarts && !body.terminates;
    if (!fine && b)
        fail_request(b, x, "bad-request");
    else if (!fine)
        terminate(x, NULL, "bad-request");
    else if (!body.sid.p)
        open_session(t, &r, &body, text);
    else if (!b)
        terminate(x, NULL, "item-not-found");
    else
        receive(b, &r, &body, text);
    arena_reset(&t->round);
}

static void request(void *arg, struct http_exchange *x, const struct http_request *r)
{
    if (!str_is(r->path, PATH) && !str_is(r->path, PATH "/"))
        http_answer(x, 404, STR("text/plain"), STR(HEADERS), STR("not found\n"));
    else if (str_is(r->method, "OPTIONS"))
        http_answer(x, 204, STR_NULL, STR(PREFLIGHT), STR_NULL);
    else if (!str_is(r->method, "POST"))
        http_answer(x, 405, STR("text/plain"), STR("Allow: POST, OPTIONS\r\n" HEADERS), STR("this address speaks BOSH (XEP-0124)\n"));
    else
        posted(arg, x, r->body);
}

void bosh_init(struct talk *t)
{
    struct bosh *d = t->bosh = NEW(struct bosh);

    d->limits = t->conn_limits;
    d->limits.out_bytes_max += 2 * BOSH_ANSWER_BYTES;
    d->line_limits = t->conn_limits;
    d->line_limits.out_bytes_max = BOSH_LINE_BYTES_MAX;
    d->line_limits.stall_ms_max = 0;        /* the session reads when the database lets it */
    strmap_init(&d->sessions);
    d->server = (struct http_server){
        .loop = t->loop, .limits = &d->limits, .request = request, .arg = t, .tls = t->tls ? &t->tls : NULL,
        .body_bytes_max = t->limits.stanza_bytes_max + BODY_SLACK,
    };
}

void bosh_accept(struct talk *t, int fd) { http_serve(&t->bosh->server, fd); }

void bosh_done(struct talk *t)
{
    struct str key;
    void      *b;

    if (!t->bosh)
        return;
    for (size_t it = 0; strmap_next(&t->bosh->sessions, &it, &key, &b);)
        forget(b);
    strmap_done(&t->bosh->sessions);
    free(t->bosh);
    t->bosh = NULL;
}

const struct feature xep0124_bosh = {
    .spec = "XEP-0124 1.11.2",
    .title = "Bidirectional-streams Over Synchronous HTTP (BOSH)",
    .note = "where talk.listen_bosh is set; one stream a session; keys, acknowledgements, compression and other character sets are not used",
};
const struct feature xep0206_xbosh = {
    .spec = "XEP-0206 1.4",
    .title = "XMPP Over BOSH",
};
