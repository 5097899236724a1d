/* follow.c: see follow.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/follow.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/archive.h"
#include "talk/deliver.h"
#include "talk/message.h"
#include "talk/nodes.h"
#include "talk/offline.h"
#include "talk/xep/xep0357_push.h"
#include <stdlib.h>

METRIC_COUNTER(followed, "bongsu_talk_log_gaps", "Times a person's log was read because a message was missing.");

enum { AGAIN_MS = 100 };

/* What must not come before the messages that are missing here: a message that may be shown ahead, or a stanza for one device. */
struct held {
    struct list   link;
    bool          again;            /* it was told again, and goes before what came since */
    int64_t       ahead;            /* struct ahead_of */
    uint64_t      session_id;       /* 0: `m` is a message */
    int64_t       behind;           /* how far the log was known to go then: what is logged later comes after it */
    struct logged m;
    char          text[];
};

enum { HELD_MAX = 1000, GATE_MS = 150, GATE_TRIES_MAX = 48 };    /* longer than a fail-over: then the log has what nobody answered for */

struct follow {
    struct db_read      read;
    struct person      *person;
    int64_t             from, upto;     /* what came while it was read may not be in it */
    struct arena        arena;
    struct archive_page page;
};

static void start(struct person *p);
static void held_show_before(struct person *p, int64_t id);

static void step_to(struct person *p, const struct logged *m)
{
    p->log_last = m->id;
    p->last_shown = m->shown;
    if (p->log_first == 0) {
        p->log_first = m->id;
        p->first_shown = m->shown;
    }
}

static enum err work(struct db_conn *c, struct db_read *self)
{
    struct follow        *f = (struct follow *)self;
    struct archive_filter filter = { .owner = f->person->id, .start_us = f->from + 1 };

    if (!archive_reaches(c, f->upto))       /* a replica that is behind: what it has is no whole page */
        return ERR_UNAVAILABLE;
    return archive_read(c, &f->arena, &filter, ARCHIVE_PAGE_MAX, false, &f->page);
}

static void again(struct timer *timer)
{
    struct person *p = LIST_ITEM(timer, struct person, follow_again);

    p->following = false;
    follow_go(p);
    person_unref(p);
}

static void done(struct db_read *self, enum err e)
{
    struct follow *f = (struct follow *)self;
    struct person *p = f->person;

    if (e) {        /* no replica has it just now: the place stays, and it is read again */
        timer_start(p->talk->loop, &p->follow_again, AGAIN_MS, again);
    } else {
        for (int i = 0; i < f->page.count; i++) {
            const struct archive_row *r = &f->page.rows[i];
            struct logged             m = { .id = r->id, .shown = r->shown, .carbons = true, .stanza = r->stanza };

            if (r->id <= p->log_last)
                continue;
            held_show_before(p, r->id);
            step_to(p, &m);
            message_deliver_logged(p, &m);
        }
        /* what is not in this owner's log (a preference) does not hold it up */
        if (f->page.complete && p->log_last < f->upto)
            p->log_last = f->upto;
        p->following = false;
        follow_go(p);
        person_unref(p);
    }
    arena_done(&f->arena);
    free(f);
}

static void start(struct person *p)
{
    struct follow *f = NEW(struct follow);

    f->read = (struct db_read){ .work = work, .done = done, .class = DB_READ_URGENT };
    f->person = p;
    f->from = p->log_last;
    f->upto = p->log_want;
    arena_init(&f->arena);
    person_ref(p);
    p->following = true;
    metric_add(&followed, 1);
    if (db_read_start(p->talk->db, &f->read) != OK)
        done(&f->read, ERR_LIMIT);
}

/* ---- what is held ---- */

static bool is_gated(const struct person *p) { return timer_running(&p->gate); }

static bool is_behind(const struct person *p) { return p->following || p->log_want > p->log_last; }

static struct held *held_find(const struct person *p, int64_t shown)
{
    LIST_EACH(it, &p->held)
        if (LIST_ITEM(it, struct held, link)->m.shown == shown)
            return LIST_ITEM(it, struct held, link);
    return NULL;
}

static bool is_missing(const struct person *p, int64_t ahead)
{
    return ahead && p->session_count && !message_was_shown(p, ahead);
}

static struct held *held_new(const struct person *p, uint64_t session_id, const struct logged *m, int64_t ahead)
{
    struct held *h = mem_new(sizeof *h + m->stanza.len);

    h->session_id = session_id;
    h->behind = follow_end(p);
    h->ahead = ahead == m->shown ? 0 : ahead;
    h->m = *m;
    memcpy(h->text, m->stanza.p, m->stanza.len);
    h->m.stanza = str_make(h->text, m->stanza.len);
    return h;
}

static void held_insert(struct person *p, struct list *before, struct held *h)
{
    list_append(before, &h->link);
    p->held_count++;
}

static void held_remove(struct person *p, struct held *h)
{
    list_remove(&h->link);
    p->held_count--;
}

/* Behind the others that were told again, or before the one that waits for it. */
static struct list *place_of_again(struct person *p, const struct held *h)
{
    LIST_EACH(it, &p->held) {
        struct held *other = LIST_ITEM(it, struct held, link);

        if (!other->again || other->ahead == h->m.shown)
            return it;
    }
    return &p->held;
}

static void ask_others(struct person *p);

static void held_send(struct person *p, struct held *h)
{
    struct session *s = h->session_id ? session_find(p->talk, h->session_id) : NULL;

    held_remove(p, h);
    if (!h->session_id)
        message_deliver_ahead(p, &h->m);
    else if (s)
        session_send(s, h->m.stanza);
    free(h);
}

/* While the log is read: what was held for a device comes before messages that were logged after it. */
static void held_show_before(struct person *p, int64_t id)
{
    while (!list_empty(&p->held)) {
        struct held *h = LIST_ITEM(p->held.next, struct held, link);

        if (!h->session_id || h->behind >= id)
            return;
        held_send(p, h);
    }
}

static void held_show(struct person *p)
{
    if (is_gated(p))
        return;
    while (!list_empty(&p->held)) {
        struct held *h = LIST_ITEM(p->held.next, struct held, link);

        if (is_missing(p, h->ahead) && p->gate_tries < GATE_TRIES_MAX) {
            p->gate_tries++;
            ask_others(p);
            return;
        }
        held_send(p, h);
    }
    p->gate_tries = 0;
}

void follow_ahead(struct person *p, const struct logged *m, const struct ahead_of *after)
{
    bool missing = is_missing(p, after->ahead) && !held_find(p, after->ahead);

    if (after->logged > p->log_last)
        follow_to(p, after->logged);
    if ((!missing && !is_behind(p) && !is_gated(p) && list_empty(&p->held)) || p->held_count >= HELD_MAX) {
        message_deliver_ahead(p, m);
        return;
    }
    held_insert(p, &p->held, held_new(p, 0, m, after->ahead));
    if (missing)
        ask_others(p);
}

void follow_ahead_again(struct person *p, const struct logged *m, const struct ahead_of *after)
{
    struct held *old, *h;
    bool         waits;

    if (after->logged > p->log_last)
        follow_to(p, after->logged);
    old = held_find(p, m->shown);
    waits = is_missing(p, after->ahead) || (!list_empty(&p->held) && LIST_ITEM(p->held.next, struct held, link)->again);
    if ((!waits && !is_behind(p)) || p->held_count >= HELD_MAX) {
        message_deliver_ahead(p, m);
        return;
    }
    if (old) {
        held_remove(p, old);
        free(old);
    }
    h = held_new(p, 0, m, after->ahead);
    h->again = true;
    held_insert(p, place_of_again(p, h), h);
}

int64_t follow_end(const struct person *p) { return p->log_want > p->log_last ? p->log_want : p->log_last; }

void follow_send(struct session *s, struct str stanza)
{
    struct person *p = s->person;

    if (!p || (p->log_want <= p->log_last && list_empty(&p->held)) || p->held_count >= HELD_MAX)
        session_send(s, stanza);
    else
        held_insert(p, &p->held, held_new(p, s->id, &(struct logged){ .stanza = stanza }, 0));
}

static void gate_opens(struct timer *timer)
{
    struct person *p = LIST_ITEM(timer, struct person, gate);

    follow_go(p);
    person_unref(p);
}

static void ask_others(struct person *p)
{
    struct talk *t = p->talk;

    if (!t->wide || is_gated(p))
        return;
    person_ref(p);
    timer_start(t->loop, &p->gate, GATE_MS, gate_opens);
    event_send(t, &(struct event){ .kind = EVENT_PENDING, .local = p->jid.local });
}

void follow_ask_pending(struct person *p)
{
    message_tell_pending(p, false);
    ask_others(p);
}

void follow_done(struct person *p)
{
    while (!list_empty(&p->held)) {
        struct held *h = LIST_ITEM(p->held.next, struct held, link);

        list_remove(&h->link);
        free(h);
    }
    p->held_count = 0;
}

void follow_go(struct person *p)
{
    if (p->following || p->offline_busy || p->deleted)
        return;
    if (p->log_want > p->log_last && p->session_count) {
        start(p);
        return;
    }
    if (p->log_want > p->log_last)
        p->log_last = p->log_want;      /* nobody here to tell */
    else
        held_show(p);
    offline_resume(p);
}

void follow_to(struct person *p, int64_t id)
{
    if (id > p->log_want)
        p->log_want = id;
    follow_go(p);
}

/* The sender's worker may have taken us for dead and put a message aside while devices are here, and nothing older waits. */
static bool has_been_here(const struct person *p)
{
    return !p->has_offline && !p->offline_pending && !p->offline_busy && person_reachable(p);
}

void follow_logged(struct person *p, int64_t before, const struct logged *m)
{
    if (m->id <= p->log_last)
        return;
    if (p->session_count == 0 && m->wake_after)
        push_message_missed(p, m->stanza, m->wake_after);
    /* What was put aside comes from the store, even while that is being emptied. */
    if (before != p->log_last || p->following || (p->offline_busy && !m->offline)) {
        follow_to(p, m->id);
        return;
    }
    step_to(p, m);
    if (p->log_want < m->id)
        p->log_want = m->id;
    if (p->session_count && (!m->offline || has_been_here(p)))
        message_deliver_logged(p, m);
}
