/* federate.c: see federate.h. One queue for courier, in order, of what is kept and what is not. When courier
 * is away it stands still, and then all that was not answered is handed over again; courier knows kept ones
 * by their names. What is for a component does not wait in it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/federate.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "courier/courier.h"
#include "talk/deliver.h"
#include "talk/guest.h"
#include "talk/host.h"
#include "talk/message.h"
#include "talk/xep/xep0114_component.h"
#include <stdio.h>
#include <stdlib.h>

METRIC_GAUGE(waiting, "bongsu_talk_outbox", "Stanzas for other servers that courier has not taken yet.");
METRIC_COUNTER(handed, "bongsu_talk_stanzas_to_servers", "Stanzas for other servers that courier has taken.");
METRIC_COUNTER(undelivered, "bongsu_talk_stanzas_to_servers_refused", "Stanzas for other servers that courier did not take.");

enum { AGAIN_MS = 100, NAME_BYTES = 48, ORPHANS_S = 5, PAGE = 1000 };

const struct db_migration federate_migrations[] = {
    { 1, "federate",
      "CREATE TABLE outbox(name TEXT NOT NULL PRIMARY KEY, node BIGINT NOT NULL, seq BIGINT NOT NULL, stanza "
      "TEXT NOT NULL);" },
    { 0 },
};

static struct db_sql outbox_insert = { "INSERT INTO outbox(name, node, seq, stanza) VALUES (?1, ?2, ?3, ?4) ON CONFLICT(name) DO NOTHING" };
static struct db_sql outbox_delete = { "DELETE FROM outbox WHERE name = ?1" };
static struct db_sql outbox_delete_own = { "DELETE FROM outbox WHERE name = ?1 AND node = ?2 AND seq = ?3" };
static struct db_sql outbox_page = { "SELECT name, seq, stanza FROM outbox WHERE node = ?1 ORDER BY seq LIMIT ?2" };
/* Of workers that are no more (devices.h says when). One that is just beginning loses nothing: a name is sent
 * once. */
static struct db_sql outbox_inherit = { "UPDATE outbox SET node = ?1 WHERE node <> ?1 AND NOT EXISTS (SELECT "
                                        "1 FROM node WHERE node.id = outbox.node)" };

struct outbound {
    struct list      link; /* in federate.queue, .leaving, .returning or .done */
    struct federate *federate;
    bool             kept, asked, row_stays;
    int64_t          node, seq, added_ms;
    const char      *type, *condition; /* of the error that its sender gets */
    char             name[NAME_BYTES];
    size_t           len;
    char             text[];
};

struct federate {
    struct talk  *talk;
    bool          on;
    struct list   queue; /* in order */
    struct list   leaving; /* for components, on their way */
    struct list   returning; /* to their senders, in a moment */
    struct list   done; /* their rows may be read, or read still: they are known by their names */
    int           count, flying;
    bool          stalled, reading, again_read;
    struct timer  again, back;
    struct timer  orphans;
    struct strmap names; /* kept ones, until their rows have gone: a component does not know what it has had */
};

/* ---- addresses in a text ---- */

static struct str domain_in(struct str jid)
{
    ptrdiff_t at;

    for (size_t i = 0; i < jid.len; i++)
        if (jid.p[i] == '/') {
            jid.len = i;
            break;
        }
    at = str_find(jid, '@');
    return at < 0 ? jid : str_make(jid.p + at + 1, jid.len - (size_t)at - 1);
}

static bool is_far(const struct talk *t, struct str domain)
{
    return t->federate && t->federate->on && domain.len && !jid_domain_is_within(domain, t->domain);
}

bool federate_reaches(const struct talk *t, struct str domain)
{
    return is_far(t, domain) || component_is(t, domain);
}

bool federate_is_full(const struct talk *t)
{
    return t->federate->count >= FEDERATE_QUEUE_MAX;
}

/* ---- one ---- */

struct outbound *outbound_new(struct talk *t, struct str text, int64_t origin)
{
    struct outbound *o = mem_new(sizeof *o + text.len + 1);

    list_init(&o->link);
    o->federate = t->federate;
    o->kept = true;
    o->node = t->shared ? t->node : 0;
    o->seq = talk_log_id(t);
    o->added_ms = loop_now_ms(t->loop);
    if (origin)
        snprintf(o->name, sizeof o->name, "m%016llx", (unsigned long long)origin);
    else
        snprintf(o->name, sizeof o->name, "%016llx.%016llx", (unsigned long long)o->node, (unsigned long long)o->seq);
    o->len = text.len;
    memcpy(o->text, text.p, text.len);
    return o;
}

enum err outbound_write(struct db_conn *c, struct outbound *o)
{
    return db_run(c, &outbox_insert, "siis", str_of(o->name), o->node, o->seq, str_make(o->text, o->len));
}

static void leave_queue(struct outbound *o)
{
    struct federate *f = o->federate;

    if (list_linked(&o->link))
        f->count--;
    list_remove(&o->link);
    metric_set(&waiting, f->count);
}

static struct str destination(const struct outbound *o)
{
    return domain_in(kept_attr(str_make(o->text, o->len), "to"));
}

/* ---- done with one ---- */

struct gone {
    struct change    change;
    struct outbound *o;
    bool             own; /* only the row that it has written itself */
};

static enum err gone_apply(struct db_conn *c, struct change *ch)
{
    const struct gone *g = (const struct gone *)ch;

    if (g->own)
        return db_run(c, &outbox_delete_own, "sii", str_of(g->o->name), g->o->node, g->o->seq);
    return db_run(c, &outbox_delete, "s", str_of(g->o->name));
}

static void forget(struct outbound *o)
{
    struct federate *f = o->federate;

    list_remove(&o->link);
    if (strmap_get(&f->names, str_of(o->name)) == o)
        strmap_del(&f->names, str_of(o->name));
    free(o);
}

static void gone_done(struct talk *t, struct change *ch, enum err e)
{
    struct gone     *g = (struct gone *)ch;
    struct outbound *o = g->o;

    (void)t;
    free(g);
    o->row_stays = e != OK;
    if (o->row_stays || o->federate->reading) /* a reader may have seen the row before */
        list_append(&o->federate->done, &o->link);
    else
        forget(o);
}

static void take_row_away(struct outbound *o, bool own)
{
    struct talk *t = o->federate->talk;
    struct gone *g = NEW(struct gone);

    *g = (struct gone){ .change = { .apply = gone_apply, .done = gone_done }, .o = o, .own = own };
    if (session_change(NULL, t, &g->change) != OK)
        gone_done(t, &g->change, ERR_LIMIT);
}

static void finish(struct outbound *o)
{
    leave_queue(o);
    if (o->kept)
        take_row_away(o, false);
    else
        free(o);
}

/* Nothing reads: whose rows have gone can be forgotten, the others are tried again. */
static void done_sweep(struct federate *f)
{
    if (f->reading)
        return;
    LIST_EACH(it, &f->done) {
        struct outbound *o = LIST_ITEM(it, struct outbound, link);

        if (!o->row_stays) {
            forget(o);
            continue;
        }
        list_remove(&o->link);
        take_row_away(o, false);
    }
}

/* ---- its sender is told ---- */

/* Of a component that is away one hears also when one asks for its presence, or enters a room there; not at each change of one's own. */
static bool is_told(const struct talk *t, const struct stanza *st)
{
    switch (st->type) {
    case TYPE_ERROR:
    case TYPE_RESULT:
    case TYPE_UNAVAILABLE:
        return false;
    case TYPE_AVAILABLE:
        return component_is(t, st->to.domain) && st->to.resource.len > 0;
    case TYPE_PROBE:
        return component_is(t, st->to.domain);
    default:
        return true;
    }
}

/* As if it came from there: an error that stays here reaches the same devices. */
static void give_back(struct outbound *o, const char *type, const char *condition)
{
    struct talk     *t = o->federate->talk;
    struct xml_node *n;
    struct stanza    st;
    struct jid       from;
    const char      *fault;
    struct buf       b;

    metric_add(&undelivered, 1);
    if (xml_parse(&t->round, str_make(o->text, o->len), &stanza_scope, &n) != XML_FINE ||
        jid_parse(&t->round, xml_attr(n, "from"), &from) != OK || stanza_read(&t->round, n, &from, &st, &fault) != OK || !st.has_to ||
        !is_told(t, &st))
        return;
    buf_init(&b, 0);
    stanza_error(&b, &st, st.to.full, type, condition, NULL);
    guest_take(t, &st.to, buf_str(&b), NULL, NULL);
    buf_done(&b);
}

static void return_all(struct timer *timer)
{
    struct federate *f = LIST_ITEM(timer, struct federate, back);

    LIST_EACH(it, &f->returning) {
        struct outbound *o = LIST_ITEM(it, struct outbound, link);

        give_back(o, o->type, o->condition);
        finish(o);
        arena_reset(&f->talk->round);
    }
}

/* Not at once: whoever sends may be in the middle of something that the error changes, such as the occupants of a room. */
static void give_back_soon(struct outbound *o, const char *type, const char *condition)
{
    struct federate *f = o->federate;

    f->count += !list_linked(&o->link);
    list_remove(&o->link);
    list_append(&f->returning, &o->link);
    o->type = type;
    o->condition = condition;
    if (!timer_running(&f->back))
        timer_start(f->talk->loop, &f->back, 0, return_all);
}

/* ---- handing over ---- */

static void go(struct federate *f);

static void again(struct timer *timer)
{
    struct federate *f = LIST_ITEM(timer, struct federate, again);

    f->stalled = false;
    go(f);
}

static bool has_waited(const struct outbound *o)
{
    return !o->kept && loop_now_ms(o->federate->talk->loop) - o->added_ms > FEDERATE_LIVE_MS;
}

static void answered(void *arg, enum err e, struct str payload)
{
    struct outbound *o = arg;
    struct federate *f = o->federate;

    (void)payload;
    f->flying--;
    o->asked = false;
    if (!e) {
        metric_add(&handed, 1);
        finish(o);
    } else if (e == ERR_LIMIT || e == ERR_DENIED || e == ERR_INVALID || e == ERR_UNSUPPORTED) {
        if (e == ERR_LIMIT)
            give_back(o, "wait", "resource-constraint");
        else
            give_back(o, "cancel", e == ERR_DENIED ? "policy-violation" : "not-acceptable");
        finish(o);
    } else if (has_waited(o)) {
        give_back(o, "wait", "remote-server-timeout");
        finish(o);
    } else {
        f->stalled = true;
    }
    if (f->stalled && f->flying == 0)
        timer_start(f->talk->loop, &f->again, AGAIN_MS, again);
    else if (!f->stalled)
        go(f);
}

static bool ask(struct outbound *o)
{
    struct federate      *f = o->federate;
    struct str            text = str_make(o->text, o->len);
    struct courier_stanza s = {
        .flags = o->kept ? COURIER_KEEP : 0,
        .name = o->kept ? str_of(o->name) : STR(""),
        .text = text,
        .local = domain_in(kept_attr(text, "from")),
        .remote = domain_in(kept_attr(text, "to")),
    };
    struct buf b;
    enum err   e;

    buf_init(&b, 0);
    courier_send_write(&b, &s);
    e = bus_ask(f->talk->bus, "courier.send", buf_str(&b), COURIER_ASK_MS, answered, o);
    buf_done(&b);
    if (e)
        return false;
    o->asked = true;
    f->flying++;
    return true;
}

static void go(struct federate *f)
{
    LIST_EACH(it, &f->queue) {
        struct outbound *o = LIST_ITEM(it, struct outbound, link);

        if (f->stalled || f->flying >= FEDERATE_WINDOW)
            return;
        if (o->asked || ask(o))
            continue;
        f->stalled = true;
        if (f->flying == 0)
            timer_start(f->talk->loop, &f->again, AGAIN_MS, again);
        return;
    }
}

static void component_answered(void *arg, enum err e, struct str payload)
{
    struct outbound *o = arg;

    (void)payload;
    if (e)
        give_back_soon(o, "wait", e == ERR_LIMIT ? "resource-constraint" : "remote-server-timeout");
    else
        finish(o);
}

static void enqueue(struct federate *f, struct outbound *o)
{
    struct str to = destination(o);
    bool       component = component_is(f->talk, to);

    list_append(component ? &f->leaving : &f->queue, &o->link);
    f->count++;
    if (o->kept)
        strmap_put(&f->names, str_of(o->name), o);
    metric_set(&waiting, f->count);
    if (component)
        component_send(f->talk, to, str_make(o->text, o->len), component_answered, o);
    else
        go(f);
}

void outbound_decided(struct talk *t, struct outbound *o, bool durable)
{
    if (!durable || strmap_get(&t->federate->names, str_of(o->name)))
        free(o);
    else
        enqueue(t->federate, o);
}

void outbound_known(struct talk *t, struct outbound *o)
{
    if (component_is(t, destination(o)))
        take_row_away(o, true);
    else
        outbound_decided(t, o, true);
}

void federate_send(struct talk *t, struct str text)
{
    struct outbound *o;

    if (!federate_reaches(t, domain_in(kept_attr(text, "to"))))
        return;
    o = outbound_new(t, text, 0);
    o->kept = false;
    if (federate_is_full(t) || !domain_in(kept_attr(text, "from")).len) {
        give_back_soon(o, "wait", "resource-constraint");
        return;
    }
    enqueue(t->federate, o);
}

struct after {
    size_t len;
    char   text[];
};

static void send_now(struct talk *t, void *arg)
{
    struct after *a = arg;

    federate_send(t, str_make(a->text, a->len));
    free(a);
}

void federate_send_after(struct session *from, struct str text)
{
    struct after *a;

    if (from->commits == 0) {
        federate_send(from->talk, text);
        return;
    }
    a = mem_new(sizeof *a + text.len + 1);
    a->len = text.len;
    memcpy(a->text, text.p, text.len);
    session_after_commits(from, send_now, a);
}

/* ---- from guest to guest ---- */

struct passage {
    struct change    change;
    struct outbound *out;
};

static enum err passage_apply(struct db_conn *c, struct change *ch)
{
    return outbound_write(c, ((struct passage *)ch)->out);
}

static void passage_done(struct talk *t, struct change *ch, enum err e)
{
    struct passage *g = (struct passage *)ch;

    if (e)
        give_back(g->out, "wait", "internal-server-error");
    outbound_decided(t, g->out, e == OK);
    free(g);
}

static bool must_arrive(const struct stanza *st)
{
    if (st->kind == STANZA_MESSAGE)
        return archive_wanted(st) || st->type == TYPE_GROUPCHAT;
    return st->kind == STANZA_PRESENCE && st->type >= TYPE_SUBSCRIBE && st->type <= TYPE_UNSUBSCRIBED;
}

void federate_pass(struct session *guest, const struct stanza *st)
{
    struct talk    *t = guest->talk;
    struct buf     *b = talk_scratch(t);
    struct passage *g;

    stanza_forward(b, st, guest->jid.full, st->to.full);
    if (!must_arrive(st)) {
        federate_send_after(guest, buf_str(b));
        return;
    }
    g = NEW(struct passage);
    *g = (struct passage){ .change = { .apply = passage_apply, .done = passage_done }, .out = outbound_new(t, buf_str(b), 0) };
    if (!federate_is_full(t) && session_change(guest, t, &g->change) == OK)
        return;
    free(g->out);
    free(g);
    session_bounce(guest, st, "wait", "resource-constraint", NULL);
}

/* ---- what comes ---- */

static void came_taken(void *arg, enum err e)
{
    bus_answer(arg, e, STR_NULL);
}

static void came(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    static const struct xml_scope *const scope = &stanza_scope;
    struct talk                         *t = arg;
    struct str                           remote, text;
    struct xml_node                     *n;
    struct jid                           from;
    enum err                             e = courier_came_read(payload, &remote, &text);

    (void)subject;
    if (!str_is(bus_asker(rq), "courier")) {
        bus_answer(rq, ERR_DENIED, STR_NULL);
        return;
    }
    arena_reset(&t->round);
    if (!e && (xml_parse(&t->round, text, scope, &n) != XML_FINE || jid_parse(&t->round, xml_attr(n, "from"), &from) != OK ||
               !str_eq(from.domain, remote) || !is_far(t, from.domain)))
        e = ERR_INVALID;
    if (e)
        bus_answer(rq, e, STR_NULL);
    else
        guest_take(t, &from, text, came_taken, rq);
    arena_reset(&t->round);
}

/* ---- what another life, or another worker, left ---- */

struct page_row {
    struct str name, text;
    int64_t    seq;
};

struct page {
    struct db_read   read;
    struct federate *federate;
    int64_t          node;
    struct arena     arena;
    int              count;
    struct page_row  rows[PAGE];
};

static enum err page_work(struct db_conn *c, struct db_read *self)
{
    struct page    *g = (struct page *)self;
    struct db_stmt *s = db_prepare(c, &outbox_page);
    enum err        e;

    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, g->node);
    db_bind_i64(s, 2, PAGE);
    while ((e = db_step(s)) == OK && g->count < PAGE) {
        struct page_row *r = &g->rows[g->count++];

        r->name = arena_str(&g->arena, db_text(s, 0));
        r->seq = db_i64(s, 1);
        r->text = arena_str(&g->arena, db_text(s, 2));
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void read_left(struct federate *f);

/* The settings may have changed since it was written. */
static void enqueue_left(struct federate *f, struct outbound *o)
{
    if (federate_reaches(f->talk, destination(o))) {
        enqueue(f, o);
        return;
    }
    give_back(o, "cancel", "remote-server-not-found");
    finish(o);
}

static void page_done(struct db_read *self, enum err e)
{
    struct page     *g = (struct page *)self;
    struct federate *f = g->federate;

    f->reading = false;
    for (int i = 0; i < g->count && !e; i++) {
        struct outbound *o;

        if (strmap_get(&f->names, g->rows[i].name) || g->rows[i].name.len >= NAME_BYTES)
            continue;
        o = outbound_new(f->talk, g->rows[i].text, 1);
        str_copy(g->rows[i].name, o->name, sizeof o->name);
        o->seq = g->rows[i].seq;
        enqueue_left(f, o);
    }
    f->again_read = e || g->count == PAGE;
    done_sweep(f);
    arena_done(&g->arena);
    free(g);
}

static void read_left(struct federate *f)
{
    struct page *g;

    if (f->reading || f->count > FEDERATE_QUEUE_MAX / 2)
        return;
    g = NEW(struct page);
    g->read = (struct db_read){ .work = page_work, .done = page_done };
    g->federate = f;
    g->node = f->talk->shared ? f->talk->node : 0;
    arena_init(&g->arena);
    f->reading = true;
    if (db_read_start(f->talk->db, &g->read) == OK)
        return;
    f->reading = false;
    f->again_read = true;
    arena_done(&g->arena);
    free(g);
}

struct inherit {
    struct change change;
};

static enum err inherit_apply(struct db_conn *c, struct change *ch)
{
    return db_run(c, &outbox_inherit, "i", ch->talk->node);
}

static void inherited(struct talk *t, struct change *ch, enum err e)
{
    free(ch);
    if (!e)
        read_left(t->federate);
}

static void look_for_orphans(struct timer *timer)
{
    struct federate *f = LIST_ITEM(timer, struct federate, orphans);
    struct inherit  *i;

    timer_start(f->talk->loop, timer, ORPHANS_S * 1000, look_for_orphans);
    done_sweep(f);
    if (!f->talk->shared) {
        if (f->again_read)
            read_left(f);
        return;
    }
    i = NEW(struct inherit);
    i->change.apply = inherit_apply;
    i->change.done = inherited;
    if (session_change(NULL, f->talk, &i->change) != OK)
        free(i);
}

/* ---- life ---- */

void federate_init(struct talk *t)
{
    struct federate *f = NEW(struct federate);
    struct str       role = bus_role(t->bus);
    char             subject[BUS_SUBJECT_BYTES_MAX];

    t->federate = f;
    f->talk = t;
    f->on = settings_bool(t->settings, "federation.on");
    list_init(&f->queue);
    list_init(&f->leaving);
    list_init(&f->returning);
    list_init(&f->done);
    strmap_init(&f->names);
    guests_init(t);
    if (!f->on && !components_are_set(t))
        return;
    snprintf(subject, sizeof subject, "%.*s.federate", STR_ARG(role));
    if (f->on)
        bus_serve(t->bus, subject, came, t);
    timer_start(t->loop, &f->orphans, ORPHANS_S * 1000, look_for_orphans);
    read_left(f);
}

static void free_all(struct list *outbounds)
{
    LIST_EACH(it, outbounds)
        free(LIST_ITEM(it, struct outbound, link));
}

void federate_done(struct talk *t)
{
    struct federate *f = t->federate;

    if (!f)
        return;
    timer_stop(t->loop, &f->again);
    timer_stop(t->loop, &f->back);
    timer_stop(t->loop, &f->orphans);
    guests_done(t);
    free_all(&f->queue);
    free_all(&f->leaving);
    free_all(&f->returning);
    free_all(&f->done);
    strmap_done(&f->names);
    free(f);
    t->federate = NULL;
}
