/* contacts.c: the load of a roster (RFC 6121). One person is client 0; all other clients are the person's contacts
 * (presence, appear), or the person's other devices (rename, roster). One worker only, but for roster.
 *
 * Each does its next thing when the last one has reached all. What the server refuses ends the run, and so does silence.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_ROSTER "jabber:iq:roster"
#define SILENCE_NS (60 * 1000000000ULL)

static unsigned change;         /* the number of the last change */
static int      awaited;        /* arrivals until it has reached all */
static uint64_t moved_ns;       /* the last arrival; 0: nothing is waited for */

static void refused(const struct client *c, struct text t)
{
    if (text_typed(t, "error"))
        die_at(c, "the server refused something", t);
}

static void await_all(int n)
{
    awaited = n;
    moved_ns = now_ns();
}

/* One arrival, which counts as so many. True: it was the last. */
static bool reached(unsigned count)
{
    moved_ns = now_ns();
    if (in_window(moved_ns))
        tally->received += count;
    return --awaited == 0;
}

static void all_reached(void)
{
    if (in_window(moved_ns))
        histogram_add(&tally->latency, moved_ns - clients[0].asked_ns);
}

static void check_silence(uint64_t now)
{
    if (moved_ns && now > moved_ns + SILENCE_NS)
        die("nothing has come for 60 s, and %d stanzas are missing", awaited);
}

/* The number that the text behind `mark` begins with; 0: there is none. */
static unsigned number_behind(struct text t, const char *mark)
{
    const char *p = text_find(t, mark);

    if (p)
        p = memchr(p, '>', t.len - (size_t)(p - t.p));
    return p ? (unsigned)strtoul(p + 1, NULL, 10) : 0;      /* the element's end stops it */
}

/* ---- presence, appear: client 0 and its contacts ---- */

static struct friend {
    bool both;                  /* the subscription was there before we came */
    bool sees, seen;            /* the contact sees the person, and the person the contact */
    unsigned change;            /* the last one that it saw */
} *friends;
static int asked, asking;       /* contacts that were asked to be one, and those of them that are not yet */

static void friends_begin(void)
{
    if (client_count < 2)
        die("one person and a contact are needed: --clients must be 2 or more");
    friends = calloc((size_t)client_count, sizeof *friends);
    if (!friends)
        die("out of memory");
}

/* Which client it is about; -1: none of ours. */
static int client_at(struct text jid)
{
    size_t n = strlen(opt.prefix);
    long   at;

    if (jid.len <= n || memcmp(jid.p, opt.prefix, n) != 0)
        return -1;
    at = strtol(jid.p + n, NULL, 10) - opt.first;
    return at >= 0 && at < client_count ? (int)at : -1;
}

static int sender(struct text t)
{
    struct text from;

    return text_attr(t, "from", &from) ? client_at(from) : -1;
}

static bool is_available(struct text t)
{
    struct text type;

    return !text_attr(t, "type", &type);
}

static void subscription(const struct client *from, const struct client *to, const char *type)
{
    client_sendf(&clients[from->index], "<presence to='%s%d@%s' type='%s'/>", opt.prefix, to->account, opt.domain, type);
}

/* As many at a time as log-ins. */
static void ask_more(void)
{
    while (asked < client_count - 1 && asking < opt.login_width) {
        if (friends[++asked].both)
            continue;
        asking++;
        subscription(&clients[0], &clients[asked], "subscribe");
    }
}

static void roster_ask(struct client *c)
{
    client_sendf(c, "<iq type='get' id='roster'><query xmlns='" NS_ROSTER "'/></iq>");
}

/* Everybody is there before anybody is asked. */
static void friends_ready(struct client *c)
{
    if (c->index)
        client_sendf(c, "<presence/>");
    if (tally->ready < (uint64_t)client_count)
        return;
    await_all(1);
    roster_ask(&clients[0]);
}

static void roster_read(struct text t)
{
    struct text item = t, jid, type;

    while ((item.p = text_find(item, "<item "))) {
        int i;

        item.len = t.len - (size_t)(item.p - t.p);
        i = text_attr(item, "jid", &jid) ? client_at(jid) : -1;
        if (i > 0 && text_attr(item, "subscription", &type) && type.len == 4 && memcmp(type.p, "both", 4) == 0)
            friends[i].both = true;
        item.p++;
        item.len--;
    }
    await_all(2 * (client_count - 1));
    client_sendf(&clients[0], "<presence/>");
    ask_more();
}

static void push_answer(struct client *c, struct text t)
{
    struct text id;

    if (text_attr(t, "id", &id))
        client_sendf(c, "<iq type='result' id='%.*s'/>", (int)id.len, id.p);
}

/* Whether who gets the stanza sees who sent it; NULL: they are not the person and a contact. */
static bool *sight(const struct client *c, struct text t)
{
    int from = sender(t);

    if (c->index == 0)
        return from > 0 ? &friends[from].seen : NULL;
    return from == 0 ? &friends[c->index].sees : NULL;
}

/* One sees the other for the first time since the person came: true. */
static bool meets(const struct client *c, struct text t)
{
    bool *sees = sight(c, t);

    if (!sees || *sees || !text_is(t, "presence") || !is_available(t))
        return false;
    *sees = true;
    return true;
}

static void befriended(const struct friend *f)
{
    if (f->sees && f->seen && !f->both) {
        asking--;
        ask_more();
    }
    if (reached(1))
        tally->done = 1;
}

static void befriend(struct client *c, struct text t)
{
    int from = sender(t);

    if (c->index == 0 && text_is(t, "iq")) {
        if (text_typed(t, "set"))
            push_answer(c, t);
        else if (text_typed(t, "result"))
            roster_read(t);
    } else if (text_typed(t, "subscribe") && from >= 0) {
        subscription(c, &clients[from], "subscribed");
        if (c->index)
            subscription(c, &clients[from], "subscribe");
    } else if (meets(c, t)) {
        befriended(&friends[c->index ? c->index : from]);
    }
}

static void presence_change(void)
{
    static const char *const shows[] = { "away", "chat", "dnd", "xa" };

    await_all(client_count - 1);
    clients[0].asked_ns = moved_ns;
    client_sendf(&clients[0], "<presence><show>%s</show><status>%u번 버스를 탔어요</status></presence>",
                 shows[change % 4], change + 1);
    change++;
}

static void presence_stanza(struct client *c, struct text t)
{
    refused(c, t);
    if (!tally->done) {
        befriend(c, t);
        return;
    }
    if (c->index == 0 || !text_is(t, "presence") || sender(t) != 0 || friends[c->index].change == change ||
        number_behind(t, "<status") != change)
        return;
    friends[c->index].change = change;
    if (reached(1)) {
        all_reached();
        presence_change();
    }
}

static int64_t presence_tick(uint64_t now)
{
    if (!tally->done || change)
        check_silence(now);
    else if (shared->running)
        presence_change();
    return 5000000;
}

const struct scenario scenario_presence = {
    .name = "presence",
    .help = "one changes presence, the others of --clients are contacts and see it",
    .gathers = true,
    .begin = friends_begin,
    .ready = friends_ready,
    .stanza = presence_stanza,
    .tick = presence_tick,
};

/* ---- appear: the person goes, and when all know it comes back ---- */

static bool going;

static void go(void)
{
    going = true;
    await_all(client_count - 1);
    client_sendf(&clients[0], "<presence type='unavailable'/>");
}

static void come_back(void)
{
    going = false;
    await_all(2 * (client_count - 1));
    for (int i = 1; i < client_count; i++)
        friends[i].seen = false;
    clients[0].asked_ns = moved_ns;
    client_sendf(&clients[0], "<presence/>");
}

/* A contact that saw the person is told that it went. */
static bool misses(const struct client *c, struct text t)
{
    bool *sees = sight(c, t);

    if (c->index == 0 || !sees || !*sees || !text_typed(t, "unavailable"))
        return false;
    *sees = false;
    return true;
}

static void appear_stanza(struct client *c, struct text t)
{
    refused(c, t);
    if (!tally->done) {
        befriend(c, t);
        return;
    }
    if (!(going ? misses(c, t) : meets(c, t)) || !reached(1))
        return;
    if (going) {
        come_back();
    } else {
        all_reached();
        go();
    }
}

static int64_t appear_tick(uint64_t now)
{
    static bool begun;

    if (!tally->done || begun) {
        check_silence(now);
    } else if (shared->running) {
        begun = true;
        go();
    }
    return 5000000;
}

const struct scenario scenario_appear = {
    .name = "appear",
    .help = "one goes and comes back, the others of --clients are contacts",
    .gathers = true,
    .begin = friends_begin,
    .ready = friends_ready,
    .stanza = appear_stanza,
    .tick = appear_tick,
};

/* ---- rename: devices of one account, which are told of each change; the first --contacts of them make the roster ---- */

static void devices_begin(void)
{
    for (int i = 0; i < client_count; i++)
        clients[i].account = opt.first;
}

static void rename_next(void)
{
    await_all(client_count + 1);    /* a push to each, and the answer */
    clients[0].asked_ns = moved_ns;
    client_sendf(&clients[0], "<iq type='set' id='set%u'><query xmlns='" NS_ROSTER "'><item jid='contact%u@%s' name='%u번째 이름'/>"
                              "</query></iq>", change + 1, change % (unsigned)opt.contacts, opt.domain, change + 1);
    change++;
}

/* Who has asked for the roster is told of its changes. */
static void rename_ready(struct client *c)
{
    client_sendf(c, "<presence/>");
    await_all(awaited + 1);
    roster_ask(c);
}

static void renamed(void)
{
    all_reached();
    if (change == (unsigned)opt.contacts) {
        moved_ns = 0;
        tally->done = 1;
    } else {
        rename_next();
    }
}

/* True: a device hears of the last change for the first time. */
static bool is_news(struct client *c, struct text t)
{
    struct text item = { text_find(t, "<item "), 0 }, name;

    if (!item.p)
        return false;
    item.len = (size_t)(t.p + t.len - item.p);
    if (!text_attr(item, "name", &name) || strtoul(name.p, NULL, 10) != change || c->arrived_count == change)
        return false;
    c->arrived_count = change;
    return true;
}

static void rename_stanza(struct client *c, struct text t)
{
    refused(c, t);
    if (!text_is(t, "iq"))
        return;
    if (text_typed(t, "set")) {
        push_answer(c, t);
        if (is_news(c, t) && reached(1))
            renamed();
    } else if (text_typed(t, "result") && reached(0)) {
        if (change)
            renamed();
        else if (tally->ready == (uint64_t)client_count)
            rename_next();
    }
}

static int64_t rename_tick(uint64_t now)
{
    if (moved_ns)
        check_silence(now);
    else if (tally->done && shared->running)
        rename_next();
    return 5000000;
}

const struct scenario scenario_rename = {
    .name = "rename",
    .help = "one of --clients devices of an account renames its --contacts, all are told",
    .gathers = true,
    .begin = devices_begin,
    .ready = rename_ready,
    .stanza = rename_stanza,
    .tick = rename_tick,
};

/* ---- roster: each device reads all of it, again and again ---- */

static void roster_again(struct client *c)
{
    c->asked_ns = now_ns();
    roster_ask(c);
}

static void roster_stanza(struct client *c, struct text t)
{
    struct text rest = t;
    uint64_t    now = now_ns();
    int         items = 0;

    refused(c, t);
    if (!text_is(t, "iq") || !text_typed(t, "result"))
        return;
    for (const char *p; (p = text_find(rest, "<item ")); items++)
        rest = (struct text){ p + 1, (size_t)(t.p + t.len - p) - 1 };
    if (items != opt.contacts)
        die("the roster has %d contacts, not %d: --contacts must be as many as \"rename\" has made", items, opt.contacts);
    if (in_window(now)) {
        tally->received += (unsigned)items;
        histogram_add(&tally->latency, now - c->asked_ns);
    }
    roster_again(c);
}

static int64_t roster_tick(uint64_t now)
{
    for (int i = 0; i < client_count && shared->running; i++) {
        if (!clients[i].asked_ns)
            roster_again(&clients[i]);
        else if (now > clients[i].asked_ns + SILENCE_NS)
            die("a roster has not come within 60 s");
    }
    return 5000000;
}

static void nothing_ready(struct client *c) { (void)c; }

const struct scenario scenario_roster = {
    .name = "roster",
    .help = "--clients devices of an account read its roster, which \"rename\" has made",
    .begin = devices_begin,
    .ready = nothing_ready,
    .stanza = roster_stanza,
    .tick = roster_tick,
};
