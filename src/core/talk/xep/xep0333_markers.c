/* XEP-0333 Displayed Markers 1.0.0: kept, so that every device knows what has been read. And the question of how far somebody has read
 * (urn:bongsu:read:0, docs/reading.md), which needs no marker in memory: talk/reading.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "talk/archive_id.h"
#include "talk/export.h"
#include "talk/feature.h"
#include "talk/import.h"
#include "talk/jids.h"
#include "talk/owned.h"
#include "talk/reading.h"

static const struct payload markers[] = {
    { "displayed", "urn:xmpp:chat-markers:0", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { "received", "urn:xmpp:chat-markers:0", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { "acknowledged", "urn:xmpp:chat-markers:0", PAYLOAD_KEPT | PAYLOAD_COPIED },
    { "markable", "urn:xmpp:chat-markers:0", PAYLOAD_COPIED },
    { 0 },
};

struct asking {
    struct db_read      read;
    struct change       change;
    struct talk        *t;
    struct iq_later     iq;
    struct arena        arena;
    struct str          me, with;
    struct reading_pair pair;
    int64_t             shown_by_peer, shown_by_me;     /* as clients know them */
    int                 count;
    struct { int64_t shown, place; } ids[READING_IDS_MAX];
};

static void asking_free(struct asking *a)
{
    arena_done(&a->arena);
    free(a);
}

static enum err asking_work(struct db_conn *c, struct db_read *self)
{
    struct asking *a = LIST_ITEM(self, struct asking, read);
    enum err       e = OK;

    if (!a->pair.peer)
        a->pair.peer = jids_read(c, a->with);
    if (a->pair.peer)
        e = reading_work_out(c, &a->pair);
    a->shown_by_peer = archive_shown(c, a->pair.by_peer.upto);
    a->shown_by_me = archive_shown(c, a->pair.by_owner.upto);
    for (int i = 0; i < a->count && !e; i++)
        a->ids[i].place = archive_place(c, a->ids[i].shown);
    return e;
}

static void put_reader(struct buf *b, struct str jid, int64_t shown)
{
    BUF_LIT(b, "<reader");
    xml_put_attr(b, "jid", jid);
    if (shown) {
        BUF_LIT(b, " upto='");
        archive_id_put(b, shown);
        buf_put_c(b, '\'');
    }
    BUF_LIT(b, "/>");
}

static void put_answer(struct buf *b, const struct asking *a)
{
    BUF_LIT(b, "<read xmlns='" NS_READ "'");
    xml_put_attr(b, "with", a->with);
    buf_put_c(b, '>');
    put_reader(b, a->with, a->shown_by_peer);
    put_reader(b, a->me, a->shown_by_me);
    for (int i = 0; i < a->count; i++) {
        BUF_LIT(b, "<message id='");
        archive_id_put(b, a->ids[i].shown);
        buf_printf(b, "' unread='%d'/>", a->ids[i].place == 0 || a->ids[i].place > a->pair.by_peer.upto);
    }
    BUF_LIT(b, "</read>");
}

static enum err keep_apply(struct db_conn *c, struct change *ch)
{
    return reading_keep(c, &LIST_ITEM(ch, struct asking, change)->pair);
}

static void kept(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    (void)e;        /* it is worked out again */
    asking_free(LIST_ITEM(ch, struct asking, change));
}

static void asked(struct db_read *self, enum err e)
{
    struct asking *a = LIST_ITEM(self, struct asking, read);
    struct buf     b;

    buf_init(&b, 0);
    put_answer(&b, a);
    if (e)
        iq_later_error(a->t, &a->iq, e);
    else
        iq_later_result(a->t, &a->iq, buf_str(&b));
    buf_done(&b);
    a->change = (struct change){ .apply = keep_apply, .done = kept };
    if (e || !a->pair.moved || session_change(NULL, a->t, &a->change) != OK)
        asking_free(a);
}

static void start(struct talk *t, void *arg)
{
    struct asking *a = arg;

    if (db_read_start(t->db, &a->read) != OK)
        asked(&a->read, ERR_LIMIT);
}

static const char *read_ids(struct asking *a, const struct stanza *iq)
{
    int64_t     shown[READING_IDS_MAX];
    const char *fault = reading_ids(iq, shown, &a->count);

    for (int i = 0; i < a->count; i++)
        a->ids[i].shown = shown[i];
    return fault;
}

static enum err read_get(struct session *s, const struct stanza *iq)
{
    struct asking *a = NEW(struct asking);
    struct jid     with;
    const char    *fault;

    arena_init(&a->arena);
    a->t = s->talk;
    fault = !xml_attr(iq->payload, "with").len ? "bad-request"
            : jid_parse(&a->arena, arena_str(&a->arena, xml_attr(iq->payload, "with")), &with) != OK ? "jid-malformed"
            : read_ids(a, iq);
    if (fault) {
        asking_free(a);
        return iq_error_condition(s, iq, strcmp(fault, "item-not-found") == 0 ? "cancel" : "modify", fault, NULL);
    }
    a->with = with.bare;
    a->me = arena_str(&a->arena, s->jid.bare);
    a->iq = iq_keep(s, iq);
    a->pair.owner = s->person->id;
    a->pair.peer = s->talk->shared ? 0 : jids_known(s->talk, with.bare);
    a->read = (struct db_read){ .work = asking_work, .done = asked };
    session_after_all(s, start, a);
    return OK;
}

/* ---- in an export, and from one: <read with='…'><reader jid='…' upto='…' at='…'/></read>, where `at` is the time of that message, which
 * stays when its id does not ---- */

/* Where somebody has written lately, the log may not have it yet; it is in the tail of messages. */
static struct db_sql peers_select = {
    "SELECT j.id, j.bare FROM jid j WHERE j.id IN (SELECT DISTINCT peer FROM log WHERE owner = ?1"
    " UNION SELECT recipient FROM message WHERE sender = ?1 AND (keeps & 1) <> 0 AND id > (SELECT id FROM settled)"
    " UNION SELECT sender FROM message WHERE recipient = ?1 AND (keeps & 2) <> 0 AND id > (SELECT id FROM settled)) AND j.id <> ?1 ORDER BY j.bare" };

struct peer {
    struct peer *next;
    int64_t      id;
    struct str   bare;
};

static enum err peers_read(struct person_export *x, struct peer **out)
{
    struct db_stmt *row = db_prepare(x->conn, &peers_select);
    struct peer   **end = out;
    enum err        e;

    *out = NULL;
    if (!row)
        return ERR_BUG;
    db_bind_i64(row, 1, x->owner);
    while ((e = db_step(row)) == OK) {
        *end = ARENA_NEW(x->arena, struct peer);
        **end = (struct peer){ .id = db_i64(row, 0), .bare = arena_str(x->arena, db_text(row, 1)) };
        end = &(*end)->next;
    }
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void export_reader(struct person_export *x, struct str who, int64_t upto)
{
    char when[CLOCK_TEXT_BYTES];

    if (!upto)
        return;
    BUF_LIT(&x->xml, "<reader");
    xml_put_attr(&x->xml, "jid", who);
    BUF_LIT(&x->xml, " upto='");
    archive_id_put(&x->xml, archive_shown(x->conn, upto));
    buf_put_c(&x->xml, '\'');
    xml_put_attr(&x->xml, "at", clock_format(upto, when));
    BUF_LIT(&x->xml, "/>");
    BUF_LIT(&x->html, "<tr><td>");
    export_put_text(&x->html, who);
    BUF_LIT(&x->html, "</td><td>");
    export_put_text(&x->html, str_of(when));
    BUF_LIT(&x->html, "</td></tr>\n");
    export_count(x, "read_marks", 1);
}

static void export_pair(struct person_export *x, const struct peer *p)
{
    struct reading_pair pair = { .owner = x->owner, .peer = p->id };

    export_fail(x, reading_work_out(x->conn, &pair));
    if (x->e || (!pair.by_peer.upto && !pair.by_owner.upto))
        return;
    BUF_LIT(&x->xml, "<read xmlns='" NS_READ "'");
    xml_put_attr(&x->xml, "with", p->bare);
    buf_put_c(&x->xml, '>');
    export_reader(x, p->bare, pair.by_peer.upto);
    export_reader(x, x->bare, pair.by_owner.upto);
    BUF_LIT(&x->xml, "</read>\n");
    export_flush(x);
}

static void reading_export(struct person_export *x)
{
    struct peer *p;

    export_fail(x, peers_read(x, &p));
    export_heading(x, "Read up to", "읽은 곳");
    BUF_LIT(&x->html, "<table>\n");
    for (; p && !x->e; p = p->next)
        export_pair(x, p);
    BUF_LIT(&x->html, "</table>\n");
}

static enum err reading_take(struct import *x)
{
    struct jid          with;
    struct reading_pair pair = { .owner = x->owner };
    enum err            e;

    if (jid_parse(&x->arena, xml_attr(x->event->node, "with"), &with) != OK) {
        x->why = STR("it is no address");
        return ERR_INVALID;
    }
    for (const struct xml_node *n = xml_first(x->event->node); n; n = xml_next(n)) {
        int64_t at;

        if (!xml_is(n, "reader", NS_READ) || !clock_parse(xml_attr(n, "at"), &at) || at > clock_us())
            continue;
        if (str_eq(xml_attr(n, "jid"), with.bare))
            pair.by_peer.upto = at;
        else if (str_eq(xml_attr(n, "jid"), x->jid.bare))
            pair.by_owner.upto = at;
    }
    e = import_number(x, with.bare, &pair.peer);
    if (!e)
        e = import_once(x, arena_printf(&x->arena, "read %.*s %lld %lld", STR_ARG(with.bare), (long long)pair.by_peer.upto,
                                        (long long)pair.by_owner.upto));
    return e ? e : reading_keep(x->conn, &pair);
}

static const struct import_handler reading_imports[] = { { "read", NS_READ, NULL, NULL, "read marks", reading_take }, { 0 } };

static void reading_deleted(struct person *p, struct db_conn *c)
{
    reading_forget(c, p->id);
}

static const struct iq_handler read_iqs[] = { { "read", NS_READ, IQ_TO_SELF, read_get, NULL }, { 0 } };
static const char *const       read_disco[] = { NS_READ, NULL };

static const struct owned xep0333_markers_owned[] = { { "read_mark", "chat = ?1 OR reader = ?1" }, { 0 } };

const struct feature xep0333_markers = {
    .spec = "XEP-0333 1.0.0",
    .title = "Displayed Markers",
    .note = "passed on, stored and copied; the server can be asked how far somebody has read (docs/reading.md)",
    .payloads = markers,
    .iqs = read_iqs,
    .disco_account = read_disco,
    .migrations = reading_migrations,
    .person_deleted = reading_deleted,
    .person_export = reading_export,
    .imports = reading_imports,
    .owned = xep0333_markers_owned,
};
