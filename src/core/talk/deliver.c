/* deliver.c: see deliver.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/deliver.h"
#include "base/clock.h"
#include "base/mem.h"
#include "talk/archive.h"
#include "talk/devices.h"
#include "talk/follow.h"
#include "talk/message.h"
#include "talk/roster.h"
#include "talk/xep/xep0198_sm.h"
#include "talk/xep/xep0357_push.h"
#include <stdio.h>
#include <stdlib.h>

/* ---- whom for ---- */

struct str kept_attr(struct str kept, const char *name)
{
    const char *end = memchr(kept.p, '>', kept.len);
    struct str  head = str_make(kept.p, end ? (size_t)(end - kept.p) : 0);
    char        key[32];
    const char *at;
    int         n = snprintf(key, sizeof key, " %s='", name);

    at = memmem(head.p, head.len, key, (size_t)n);
    if (!at)
        return STR_NULL;
    at += n;
    end = memchr(at, '\'', (size_t)(head.p + head.len - at));
    return end ? str_make(at, (size_t)(end - at)) : STR_NULL;
}

/* Only what our own writer escapes. */
static struct str decode(struct str text, char *out, size_t size)
{
    static const struct { struct str name; char c; } entities[] = {
        { { "&amp;", 5 }, '&' }, { { "&lt;", 4 }, '<' }, { { "&gt;", 4 }, '>' }, { { "&apos;", 6 }, '\'' }, { { "&quot;", 6 }, '"' },
    };
    size_t n = 0;

    if (!text.p || !memchr(text.p, '&', text.len))
        return text;
    while (text.len && n < size) {
        size_t take = 1;
        char   c = text.p[0];

        for (size_t i = 0; c == '&' && i < sizeof entities / sizeof entities[0]; i++)
            if (str_starts(text, entities[i].name)) {
                take = entities[i].name.len;
                out[n] = entities[i].c;
                break;
            }
        if (take == 1)
            out[n] = c;
        n++;
        text = str_make(text.p + take, text.len - take);
    }
    return str_make(out, n);
}

static struct str bare_of(struct str jid)
{
    const char *slash = jid.p ? memchr(jid.p, '/', jid.len) : NULL;

    return slash ? str_make(jid.p, (size_t)(slash - jid.p)) : jid;
}

void kept_head_read(struct kept_head *h, struct str kept)
{
    h->from = decode(kept_attr(kept, "from"), h->decoded[0], sizeof h->decoded[0]);
    h->to = decode(kept_attr(kept, "to"), h->decoded[1], sizeof h->decoded[1]);
    h->from_bare = bare_of(h->from);
    h->to_bare = bare_of(h->to);
    h->to_resource = h->to.len > h->to_bare.len ? str_make(h->to.p + h->to_bare.len + 1, h->to.len - h->to_bare.len - 1) : STR_NULL;
    h->chat = str_is(kept_attr(kept, "type"), "chat");
}

/* RFC 6121 §8.5.2, §8.5.3: a chat to a device that is gone is for all of them. */
static bool is_direct(const struct session *s, const struct kept_head *h)
{
    if (!str_eq(h->to_bare, s->jid.bare))
        return false;
    if (h->to_resource.len == 0)
        return session_takes_messages(s);
    if (str_eq(h->to_resource, s->jid.resource))
        return true;
    return h->chat && session_takes_messages(s) && !person_session(s->person, h->to_resource) &&
           !device_find(s->person, h->to_resource);
}

bool delivery_of(const struct session *s, const struct kept_head *h, bool carbons, enum delivery *how)
{
    if (is_direct(s, h)) {
        *how = DELIVERY_DIRECT;
        return true;
    }
    if (!carbons || !s->carbons || str_eq(h->from, s->jid.full))
        return false;
    *how = str_eq(h->from_bare, s->jid.bare) ? DELIVERY_CARBON_SENT : DELIVERY_CARBON_RECEIVED;
    return true;
}

/* ---- what was shown lately ---- */

/* A message may come twice before it is stored, once ahead from a worker that is lost then, and again from the one that its
 * sender went to; and once more when it has been stored. It has the same name each time. */
enum { SEEN_MAX = 1 << 18 };

struct seen { int64_t at_us; };     /* devices bound before that have it */

static int64_t seen_key(const struct person *p, int64_t shown)
{
    return (int64_t)((uint64_t)shown ^ (uint64_t)p->id * 0x9E3779B97F4A7C15u);
}

static const struct seen *seen_get(const struct person *p, int64_t shown)
{
    return archive_is_name(shown) ? intmap_get(&p->talk->seen, seen_key(p, shown)) : NULL;
}

bool message_was_shown(const struct person *p, int64_t shown) { return seen_get(p, shown) != NULL; }

bool message_shown_since(const struct person *p, int64_t shown, int64_t since_us)
{
    const struct seen *seen = seen_get(p, shown);

    return seen && since_us && since_us < seen->at_us;
}

static void seen_note(struct person *p, int64_t shown)
{
    struct talk *t = p->talk;
    int64_t      key = seen_key(p, shown), *slot = &t->seen_keys[t->seen_at % SEEN_MAX];
    struct seen *n;

    if (!archive_is_name(shown))
        return;
    n = intmap_get(&t->seen, key);
    if (n) {
        n->at_us = clock_us();
        return;
    }
    if (*slot)
        free(intmap_del(&t->seen, *slot));
    *slot = key;
    t->seen_at++;
    n = NEW(struct seen);
    n->at_us = clock_us();
    free(intmap_put(&t->seen, key, n));
}

void deliver_init(struct talk *t)
{
    if (!t->shared)
        return;
    intmap_init(&t->seen);
    t->seen_keys = mem_new(SEEN_MAX * sizeof *t->seen_keys);
}

void deliver_done(struct talk *t)
{
    int64_t key;
    void   *value;

    for (size_t it = 0; t->shared && intmap_next(&t->seen, &it, &key, &value);)
        free(value);
    intmap_done(&t->seen);
    free(t->seen_keys);
}

/* ---- sending ---- */

enum manner { LOGGED, AHEAD, PASSED };

/* The text for one session; the direct one is the same for all of a person's. */
static struct str text_for(const struct session *s, enum delivery how, const struct logged *m, struct buf *direct, struct buf *copy)
{
    if (how == DELIVERY_DIRECT) {
        if (direct->len == 0)
            message_put(direct, m->stanza, m->shown ? s->jid.bare : STR_NULL, m->shown, 0, STR_NULL);
        return buf_str(direct);
    }
    buf_clear(copy);
    message_put_carbon(copy, m->stanza, s->jid.bare, s->jid.full, m->shown, how == DELIVERY_CARBON_SENT);
    return buf_str(copy);
}

/* Since when such a message comes to this session. One to all of a person's devices: since this one is available, for what went ahead
 * between its binding and its presence was not for it yet, and is told again when that comes (devices.c). */
static int64_t takes_since(const struct session *s, const struct kept_head *h, enum delivery how)
{
    bool is_for_all = how == DELIVERY_DIRECT && !str_eq(h->to_resource, s->jid.resource);

    return is_for_all && s->reached_us > s->bound_us ? s->reached_us : s->bound_us;
}

static void deliver(struct person *p, const struct logged *m, enum manner manner, const struct session *but)
{
    struct kept_head head;
    uint64_t         ids[ROSTER_SESSIONS_MAX];
    int              n = roster_sessions(p, ids);
    struct buf       direct, copy;

    kept_head_read(&head, m->stanza);
    buf_init(&direct, 0);
    buf_init(&copy, 0);
    for (int i = 0; i < n; i++) {
        struct session *s = session_find(p->talk, ids[i]);
        enum delivery   how;

        if (!s || s == but || !delivery_of(s, &head, m->carbons, &how) || message_shown_since(p, m->shown, takes_since(s, &head, how)))
            continue;
        if (manner == LOGGED && s->sm && m->id <= s->sm->log_pos)
            continue;           /* it came here from another worker, which had delivered that */
        if (manner == LOGGED)
            session_send_logged(s, m->id, how, text_for(s, how, m, &direct, &copy));
        else if (manner == PASSED)
            follow_send(s, text_for(s, how, m, &direct, &copy));
        else
            session_send(s, text_for(s, how, m, &direct, &copy));
    }
    buf_done(&direct);
    buf_done(&copy);
}

void message_deliver_logged(struct person *p, const struct logged *m)
{
    deliver(p, m, LOGGED, NULL);
    push_message_logged(p, m->stanza, m->wake_after);
    seen_note(p, m->shown);
}

void message_deliver_ahead(struct person *p, const struct logged *m)
{
    deliver(p, m, AHEAD, NULL);
    seen_note(p, m->shown);
}

void message_deliver_passed(struct person *p, struct str kept, bool carbons, const struct session *but)
{
    deliver(p, &(struct logged){ .carbons = carbons, .stanza = kept }, PASSED, but);
}
