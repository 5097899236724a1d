/* scenarios.c: what the clients do once they are logged in.
 *
 * A message carries the time it was meant to be sent in its id, so nothing
 * has to be looked up when it arrives. Both ends of a pair live in the same
 * worker and read the same clock.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "load.h"

enum { BACKLOG_BYTES_MAX = 64 * 1024 };

static const char *const lines[] = {
    "오늘 저녁 일곱 시에 광장에서 만나요.",
    "버스가 조금 늦어요, 십 분만 기다려 주세요.",
    "사진 잘 받았어요. 정말 고마워요!",
    "내일 회의는 세 시로 옮겨졌어요.",
    "우산 챙기세요, 오후에 비가 온대요.",
    "점심은 국수 어때요? 새로 연 집이 있어요.",
    "주차장 이 층에 자리가 비어 있어요.",
    "할머니께 전화 드렸니? 기다리고 계셔.",
    "네, 확인했어요. 곧 답장 드릴게요.",
    "도서관 앞에 도착했어요. 어디쯤이에요?",
    "이번 주말에 같이 산에 갈래요?",
    "택배가 문 앞에 와 있어요.",
};

/* ---- pairs: closed loop ---- */

static int  pairs_open;             /* not finished yet, with --count */
static bool pairs_begun;
static unsigned message_count;

static void message_send(struct client *from, uint64_t meant_ns)
{
    const char *line = lines[message_count++ % (sizeof lines / sizeof lines[0])];
    char id[64];

    /* Unique over workers and runs: the meant time in ns, the sender, its count. */
    snprintf(id, sizeof id, "L%" PRIx64 "-%x-%x", meant_ns, (unsigned)from->account, from->sent_count++);
    client_sendf(from, "<message to='%s%d@%s' type='chat' id='%s'><body>%s</body>"
                       "<origin-id xmlns='urn:xmpp:sid:0' id='%s'/></message>",
                 opt.prefix, from->partner->account, opt.domain, id, line, id);
    if (opt.sm) {
        client_counted(from, meant_ns);
        client_send(from, "<r xmlns='urn:xmpp:sm:3'/>", 26);
    }
    if (in_window(now_ns()))
        tally->sent++;
}

static void pairs_link(void)
{
    for (int i = 0; i + 1 < client_count; i += 2) {
        clients[i].partner = &clients[i + 1];
        clients[i + 1].partner = &clients[i];
    }
    pairs_open = client_count / 2;
}

/* Counts an arrival and says when it was meant to be sent; 0: not ours. */
static uint64_t message_arrived(struct client *c, struct text t, uint64_t now)
{
    struct text id;

    if (!text_is(t, "message"))
        return 0;
    if (text_typed(t, "error")) {
        tally->bounced++;
        return 0;
    }
    if (!text_attr(t, "id", &id) || id.len < 2 || id.p[0] != 'L')
        return 0;
    uint64_t meant = strtoull(id.p + 1, NULL, 16);
    if (in_window(now)) {
        tally->received++;
        histogram_add(&tally->latency, now - meant);
    }
    c->last_ns = now;
    return meant;
}

/* The receiver answers: each slot of the window goes there and back. */
static void pairs_stanza(struct client *c, struct text t)
{
    uint64_t now = now_ns();

    if (!message_arrived(c, t, now))
        return;
    c->arrived_count++;
    if (opt.count) {
        if (c->arrived_count + c->partner->arrived_count == (uint32_t)opt.count && --pairs_open == 0)
            tally->done = 1;
        if (c->sent_count + c->partner->sent_count >= (uint32_t)opt.count)
            return;
    }
    message_send(c, now);
}

static int64_t pairs_tick(uint64_t now)
{
    if (shared->running && !pairs_begun) {
        pairs_begun = true;
        for (int w = 0; w < opt.window; w++)
            for (int i = 0; i < client_count; i += 2)
                message_send(&clients[i], now);
    }
    return 5000000;
}

static void nothing_ready(struct client *c) { (void)c; }

const struct scenario scenario_pairs = {
    .name = "pairs", .help = "pairs talk, --window messages in flight each",
    .begin = pairs_link, .ready = nothing_ready, .stanza = pairs_stanza, .tick = pairs_tick,
};

/* ---- open loop: fixed rate, latency from the meant time ---- */

static uint64_t due_ns;
static int      due_client;

static void open_stanza(struct client *c, struct text t)
{
    message_arrived(c, t, now_ns());
}

static int64_t open_tick(uint64_t now)
{
    uint64_t interval = 1000000000ULL * (uint64_t)opt.procs / (uint64_t)opt.rate;

    if (!shared->running)
        return 5000000;
    if (!due_ns)
        due_ns = now;
    while (due_ns <= now) {
        /* even clients first, then odd ones: both directions of every pair */
        struct client *c = &clients[due_client];
        due_client += 2;
        if (due_client >= client_count)
            due_client = due_client % 2 ? 0 : 1;
        if (client_backlog(c) > BACKLOG_BYTES_MAX)
            tally->unsent++;
        else
            message_send(c, due_ns);
        due_ns += interval;
    }
    return (int64_t)(due_ns - now);
}

const struct scenario scenario_open = {
    .name = "open", .help = "pairs talk at a fixed --rate, whatever the answers",
    .begin = pairs_link, .ready = nothing_ready, .stanza = open_stanza, .tick = open_tick,
};

/* ---- idle: sessions that do nothing ---- */

static void idle_stanza(struct client *c, struct text t) { (void)c; (void)t; }

const struct scenario scenario_idle = {
    .name = "idle", .help = "--clients sessions that stay silent",
    .ready = nothing_ready, .stanza = idle_stanza,
};

/* ---- login: connect, log in, bind, close, again ---- */

static void login_ready(struct client *c)
{
    uint64_t now = now_ns();

    if (in_window(now)) {
        tally->logins++;
        histogram_add(&tally->latency, now - c->began_ns);
    }
    client_hang_up(c);
}

static void login_closed(struct client *c) { client_connect(c); }

const struct scenario scenario_login = {
    .name = "login", .help = "--clients log in, close and come again",
    .ready = login_ready, .stanza = idle_stanza, .closed = login_closed,
};

/* ---- archive: pages backwards through each archive (XEP-0313, XEP-0059) ---- */

static bool archive_begun;

static void page_ask(struct client *c, uint64_t now)
{
    c->asked_ns = now;
    c->page_messages = 0;
    client_sendf(c, "<iq type='set' id='page'><query xmlns='urn:xmpp:mam:2' queryid='page'>"
                    "<set xmlns='http://jabber.org/protocol/rsm'><max>%d</max><before>%s</before></set></query></iq>",
                 opt.page, c->page_first);
    client_counted(c, 0);
}

/* Where the next page ends: before this one's first, or at the newest again. */
static void page_next(struct client *c, struct text fin)
{
    const char *first = text_find(fin, "<first"), *end = NULL;

    c->page_first[0] = 0;
    if (!first || text_find(fin, "complete='true'") || text_find(fin, "complete=\"true\""))
        return;
    first = memchr(first, '>', fin.len - (size_t)(first - fin.p));
    if (first) {
        first++;
        end = memchr(first, '<', fin.len - (size_t)(first - fin.p));
    }
    if (!end || (size_t)(end - first) >= sizeof c->page_first)
        die("no usable <first/> in an archive page");
    memcpy(c->page_first, first, (size_t)(end - first));
    c->page_first[end - first] = 0;
}

static void archive_stanza(struct client *c, struct text t)
{
    uint64_t now = now_ns();

    if (text_is(t, "message")) {
        if (text_find(t, "urn:xmpp:mam:2"))
            c->page_messages++;
        return;
    }
    if (!text_is(t, "iq") || !text_find(t, "page"))
        return;
    if (text_typed(t, "error"))
        die("the server refused an archive query: %.*s", (int)(t.len > 400 ? 400 : t.len), t.p);
    if (in_window(now)) {
        tally->pages++;
        tally->received += (uint64_t)c->page_messages;
        histogram_add(&tally->latency, now - c->asked_ns);
    }
    page_next(c, t);
    page_ask(c, now);
}

static int64_t archive_tick(uint64_t now)
{
    if (shared->running && !archive_begun) {
        archive_begun = true;
        for (int i = 0; i < client_count; i++)
            page_ask(&clients[i], now);
    }
    return 5000000;
}

const struct scenario scenario_archive = {
    .name = "archive", .help = "--clients page backwards through their archives",
    .ready = nothing_ready, .stanza = archive_stanza, .tick = archive_tick,
};
