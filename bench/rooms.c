/* rooms.c: the load of a room (XEP-0045): one talks and all hear; one comes and goes and all see.
 * Client 0 makes the room; the others come in when it is open. One worker only.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "load.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool room_is_open;
static int entered, wanted;
static uint64_t due_ns;
static int turn;

static void come_in(struct client *c)
{
    client_sendf(c,
                 "<presence to='room@rooms.%s/n%d'><x xmlns='http://jabber.org/protocol/muc'>"
                 "<history maxstanzas='0'/></x></presence>",
                 opt.domain, c->index);
}

/* The joiner of `enter` stays outside until the measurement begins. */
static bool gathers(const struct client *c)
{
    return c->index < wanted;
}

static void someone_in(void)
{
    if (++entered == wanted)
        tally->done = 1;
}

static void opened(void)
{
    room_is_open = true;
    for (int i = 1; i < client_count; i++)
        if (clients[i].state == CLIENT_READY && gathers(&clients[i]))
            come_in(&clients[i]);
}

static void room_ready(struct client *c)
{
    if (c->index == 0 || (room_is_open && gathers(c)))
        come_in(c);
}

static bool is_self(struct text t)
{
    return text_is(t, "presence") && (text_find(t, "code='110'") || text_find(t, "code=\"110\""));
}

/* What gathering takes; true: it was that. */
static bool gathering(struct client *c, struct text t)
{
    if (text_is(t, "iq") && text_find(t, "setup")) {
        someone_in();
        opened();
        return true;
    }
    if (!is_self(t) || tally->done)
        return false;
    if (c->index == 0)
        client_sendf(c,
                     "<iq type='set' id='setup' to='room@rooms.%s'><query "
                     "xmlns='http://jabber.org/protocol/muc#owner'>"
                     "<x xmlns='jabber:x:data' type='submit'/></query></iq>",
                     opt.domain);
    else
        someone_in();
    return true;
}

/* ---- room: everybody in turn says something, at a fixed rate ---- */

static void room_begin(void)
{
    wanted = client_count;
}

static void say(struct client *c, uint64_t meant_ns)
{
    char id[64];

    snprintf(id, sizeof id, "L%" PRIx64 "-%x-%x", meant_ns, (unsigned)c->account, c->sent_count++);
    client_sendf(c,
                 "<message to='room@rooms.%s' type='groupchat' id='%s'><body>다리 앞에서 세 시에 만나요, "
                 "우산 꼭 챙기세요.</body>"
                 "<origin-id xmlns='urn:xmpp:sid:0' id='%s'/></message>",
                 opt.domain, id, id);
    if (in_window(now_ns()))
        tally->sent++;
}

/* True: the one that `c` said last. */
static bool heard(struct client *c, struct text t)
{
    uint64_t now = now_ns();
    struct text id;
    char *rest;
    uint64_t meant_ns;

    if (gathering(c, t) || !text_is(t, "message") || !text_attr(t, "id", &id) || id.len < 2 ||
        id.p[0] != 'L')
        return false;
    meant_ns = strtoull(id.p + 1, &rest, 16);
    if (text_find(t, "<error")) {
        tally->bounced++;
    } else if (in_window(now)) {
        tally->received++;
        histogram_add(&tally->latency, now - meant_ns);
    }
    return *rest == '-' && strtol(rest + 1, NULL, 16) == c->account;
}

static void room_stanza(struct client *c, struct text t)
{
    heard(c, t);
}

static int64_t room_tick(uint64_t now)
{
    uint64_t interval = 1000000000ULL / (uint64_t)opt.rate;

    if (!shared->running)
        return 5000000;
    if (!due_ns)
        due_ns = now;
    for (; due_ns <= now; due_ns += interval)
        say(&clients[turn++ % client_count], due_ns);
    return (int64_t)(due_ns - now);
}

const struct scenario scenario_room = {
    .name = "room",
    .help = "--clients in one room, which together say --rate messages a second",
    .gathers = true,
    .begin = room_begin,
    .ready = room_ready,
    .stanza = room_stanza,
    .tick = room_tick,
};

/* ---- talk: everybody says the next thing when the last one has come back ---- */

static void talk_stanza(struct client *c, struct text t)
{
    if (heard(c, t))
        say(c, now_ns());
}

static int64_t talk_tick(uint64_t now)
{
    if (shared->running && !due_ns) {
        due_ns = now;
        for (int i = 0; i < client_count && i < opt.talkers; i++)
            say(&clients[i], now);
    }
    return 5000000;
}

const struct scenario scenario_talk = {
    .name = "talk",
    .help = "--clients in one room, each with one message on its way",
    .gathers = true,
    .begin = room_begin,
    .ready = room_ready,
    .stanza = talk_stanza,
    .tick = talk_tick,
};

/* ---- enter: the last one comes in, sees all, leaves, and comes again, at most --rate times a second ---- */

static bool outside;

static void enter_next(struct client *c, uint64_t now)
{
    outside = due_ns > now;
    if (outside)
        return;
    c->asked_ns = now;
    due_ns = now + 1000000000ULL / (uint64_t)opt.rate;
    come_in(c);
}

static void enter_begin(void)
{
    wanted = client_count - 1;
}

static void enter_stanza(struct client *c, struct text t)
{
    uint64_t now = now_ns();

    if (c->index < wanted) {
        gathering(c, t);
        return;
    }
    if (!is_self(t))
        return;
    if (text_typed(t, "unavailable")) {
        enter_next(c, now);
        return;
    }
    if (in_window(now)) {
        tally->logins++;
        histogram_add(&tally->latency, now - c->asked_ns);
    }
    client_sendf(c, "<presence to='room@rooms.%s/n%d' type='unavailable'/>", opt.domain, c->index);
}

static int64_t enter_tick(uint64_t now)
{
    struct client *c = &clients[client_count - 1];

    if (shared->running && (!due_ns || outside))
        enter_next(c, now);
    return outside ? (int64_t)(due_ns - now) : 5000000;
}

const struct scenario scenario_enter = {
    .name = "enter",
    .help = "one comes into a room of --clients less one, and goes, at most --rate times a second",
    .gathers = true,
    .begin = enter_begin,
    .ready = room_ready,
    .stanza = enter_stanza,
    .tick = enter_tick,
};
