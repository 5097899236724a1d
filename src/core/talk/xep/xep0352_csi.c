/* XEP-0352 Client State Indication 1.0.0: see xep0352_csi.h.
 *
 *   active ──<inactive/>──▶ inactive ──<active/>──▶ active
 *                             │ ▲ csi_holds: presence, chat states
 *                             └─┘ anything else: csi_flush, then it
 * A new or resumed stream is active (§5.2).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0352_csi.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/feature.h"
#include "talk/stream.h"
#include <stdio.h>
#include <stdlib.h>

#define NS_CSI    "urn:xmpp:csi:0"
#define NS_STATES "http://jabber.org/protocol/chatstates"

METRIC_COUNTER(held_count, "bongsu_talk_csi_held", "Stanzas that waited for an inactive client.");
METRIC_COUNTER(replaced_count, "bongsu_talk_csi_saved", "Stanzas that a later one made needless.");

struct held {
    struct str text;        /* owned */
    struct str from;        /* inside text: the address it is about */
    bool       state;       /* a chat state, not a presence */
};

struct csi {
    int         count, cap;
    size_t      bytes;
    struct held held[];
};

/* ---- what may wait ---- */

/* An attribute of the start tag, as written by us: name='value'. */
static struct str head_attr(struct str stanza, const char *name)
{
    const char *end = memchr(stanza.p, '>', stanza.len);
    size_t      head = end ? (size_t)(end - stanza.p) : stanza.len;
    char        key[16];
    int         n = snprintf(key, sizeof key, " %s='", name);
    const char *at = memmem(stanza.p, head, key, (size_t)n);

    if (!at)
        return STR_NULL;
    at += n;
    end = memchr(at, '\'', head - (size_t)(at - stanza.p));
    return end ? str_make(at, (size_t)(end - at)) : STR_NULL;
}

/* Nothing in the message but the state, and what only says how to treat it. */
static bool is_pure_state(const struct xml_node *message)
{
    static const char *const aside[] = { "urn:xmpp:hints", "urn:xmpp:sid:0", "urn:xmpp:delay" };
    bool                     found = false;

    for (const struct xml_node *n = xml_first(message); n; n = xml_next(n)) {
        bool fits = str_is(n->ns, NS_STATES) || xml_is(n, "thread", NS_CLIENT);

        found |= str_is(n->ns, NS_STATES);
        for (size_t i = 0; i < sizeof aside / sizeof aside[0]; i++)
            fits |= str_is(n->ns, aside[i]);
        if (!fits)
            return false;
    }
    return found;
}

static bool is_chat_state(struct str stanza)
{
    static const struct xml_scope scope = { .default_ns = { NS_CLIENT, sizeof NS_CLIENT - 1 } };
    struct arena                  a;
    struct xml_node              *n;
    bool                          yes;

    /* most messages are known by their looks; a carbon of a state is let through */
    if (!memmem(stanza.p, stanza.len, NS_STATES, sizeof NS_STATES - 1) || memmem(stanza.p, stanza.len, "<body", 5))
        return false;
    arena_init(&a);
    yes = xml_parse(&a, stanza, &scope, &n) == XML_FINE && is_pure_state(n);
    arena_done(&a);
    return yes;
}

static bool is_plain_presence(struct str stanza)
{
    struct str type = head_attr(stanza, "type");

    return str_starts(stanza, STR("<presence")) && (!type.p || str_is(type, "unavailable"));
}

/* ---- what waits ---- */

static void drop(struct csi *c, int at)
{
    c->bytes -= c->held[at].text.len;
    free((char *)c->held[at].text.p);
    memmove(c->held + at, c->held + at + 1, sizeof *c->held * (size_t)(c->count - at - 1));
    c->count--;
}

static void hold(struct session *s, struct str stanza, bool state)
{
    struct csi *c = s->csi;
    struct str  from = head_attr(stanza, "from");

    for (int i = 0; i < c->count; i++) {
        if (c->held[i].state == state && str_eq(c->held[i].from, from)) {
            drop(c, i);
            metric_add(&replaced_count, 1);
            break;
        }
    }
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 8;
        c = s->csi = mem_resize(c, sizeof *c + sizeof *c->held * (size_t)c->cap);
    }
    stanza = str_make(str_dup(stanza), stanza.len);
    c->held[c->count++] = (struct held){ .text = stanza, .from = head_attr(stanza, "from"), .state = state };
    c->bytes += stanza.len;
    metric_add(&held_count, 1);
}

bool csi_holds(struct session *s, struct str stanza)
{
    bool presence = is_plain_presence(stanza);

    if (presence || (str_starts(stanza, STR("<message")) && is_chat_state(stanza))) {
        hold(s, stanza, !presence);
        if (s->csi->count >= CSI_HELD_MAX || s->csi->bytes >= CSI_BYTES_MAX)
            csi_flush(s);
        return true;
    }
    csi_flush(s);
    return false;
}

static struct csi *csi_new(void)
{
    return mem_new(sizeof(struct csi));
}

/* `c` is no longer the session's: sending may end it. */
static void send_all(struct session *s, struct csi *c)
{
    for (int i = 0; i < c->count; i++) {
        if (s->state != SESSION_CLOSED && !s->closing)
            session_send_unheld(s, c->held[i].text);
        free((char *)c->held[i].text.p);
    }
    free(c);
}

void csi_flush(struct session *s)
{
    struct csi *c = s->csi;

    if (!c || c->count == 0)
        return;
    s->csi = csi_new();
    send_all(s, c);
}

void csi_free(struct session *s)
{
    while (s->csi && s->csi->count)
        drop(s->csi, s->csi->count - 1);
    free(s->csi);
    s->csi = NULL;
}

/* ---- the protocol ---- */

static void handle_active(struct session *s, const struct xml_node *n)
{
    struct csi *c = s->csi;

    (void)n;
    s->csi = NULL;
    if (c)
        send_all(s, c);
}

static void handle_inactive(struct session *s, const struct xml_node *n)
{
    (void)n;
    if (!s->csi)
        s->csi = csi_new();
}

static void csi_features(struct session *s, struct buf *out)
{
    if (s->state == SESSION_AUTHENTICATED || s->state == SESSION_BOUND)
        BUF_LIT(out, "<csi xmlns='" NS_CSI "'/>");
}

static const struct nonza_handler csi_nonzas[] = {
    { "active", NS_CSI, NONZA_AUTHENTICATED | NONZA_BOUND, handle_active },
    { "inactive", NS_CSI, NONZA_AUTHENTICATED | NONZA_BOUND, handle_inactive },
    { 0 },
};

const struct feature xep0352_csi = {
    .spec = "XEP-0352 1.0.0",
    .title = "Client State Indication",
    .note = "presence and chat states wait while the client is inactive",
    .nonzas = csi_nonzas,
    .stream_features = csi_features,
};
