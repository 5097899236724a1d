/* XEP-0054 vcard-temp 1.3.0: one's own card to write, everyone's to read.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "talk/export.h"
#include "talk/feature.h"
#include "talk/import.h"
#include "talk/owned.h"
#include <stdlib.h>

#define NS_VCARD "vcard-temp"

enum { VCARD_BYTES_MAX = 128 * 1024 };      /* with the picture */

static const struct db_migration vcard_migrations[] = {
    { 1, "vcard", "CREATE TABLE vcard(owner INTEGER PRIMARY KEY, xml TEXT NOT NULL);" },
    { 0 },
};

static struct db_sql vcard_write = {
    "INSERT INTO vcard(owner, xml) VALUES (?1, ?2) ON CONFLICT(owner) DO UPDATE SET xml = excluded.xml" };
static struct db_sql vcard_select = { "SELECT xml FROM vcard WHERE owner = ?1" };
static struct db_sql vcard_delete = { "DELETE FROM vcard WHERE owner = ?1" };

/* ---- reading, on a worker: a card may be large ---- */

struct vcard_read {
    struct db_read  read;
    struct talk    *talk;
    struct iq_later iq;
    int64_t         owner;
    bool            own;
    struct arena    arena;
    struct str      xml;
};

static enum err vcard_work(struct db_conn *c, struct db_read *self)
{
    struct vcard_read *r = (struct vcard_read *)self;
    struct db_stmt    *row;
    enum err           e = db_get(c, &row, &vcard_select, "i", r->owner);

    if (!e)
        r->xml = arena_str(&r->arena, db_text(row, 0));
    if (row)
        db_done(row);
    return e;
}

static void vcard_answer(struct db_read *self, enum err e)
{
    struct vcard_read *r = (struct vcard_read *)self;
    struct session    *s = session_find(r->talk, r->iq.session_id);

    if (e == ERR_NOT_FOUND && r->own)
        iq_later_result(r->talk, &r->iq, STR("<vCard xmlns='" NS_VCARD "'/>"));     /* §3.1 */
    else if (e)
        iq_later_error(r->talk, &r->iq, e);
    else
        iq_later_result(r->talk, &r->iq, r->xml);
    if (s && s->state != SESSION_CLOSED)
        session_continue(s);
    arena_done(&r->arena);
    free(r);
}

static void vcard_start(struct talk *t, void *arg)
{
    struct vcard_read *r = arg;
    enum err           e = db_read_start(t->db, &r->read);

    if (e)
        vcard_answer(&r->read, e);
}

static enum err vcard_get(struct session *s, const struct stanza *iq)
{
    struct person     *p = iq->has_to ? person_known(s->talk, iq->to.local) : s->person;
    struct vcard_read *r;

    if (!p)
        return ERR_NOT_FOUND;
    r = NEW(struct vcard_read);
    r->read = (struct db_read){ .work = vcard_work, .done = vcard_answer };
    r->talk = s->talk;
    r->iq = iq_keep(s, iq);
    r->owner = p->id;
    r->own = p == s->person;
    arena_init(&r->arena);
    session_hold(s);        /* one read at a time per client */
    session_after_commits(s, vcard_start, r);
    return OK;
}

/* ---- writing ---- */

struct vcard_op {
    struct change   change;
    struct iq_later iq;
    int64_t         owner;
    char           *xml;
};

static enum err vcard_apply(struct db_conn *c, struct change *ch)
{
    struct vcard_op *o = (struct vcard_op *)ch;

    return db_run(c, &vcard_write, "is", o->owner, str_of(o->xml));
}

static void vcard_done(struct talk *t, struct change *ch, enum err e)
{
    struct vcard_op *o = (struct vcard_op *)ch;

    if (e)
        iq_later_error(t, &o->iq, e);
    else
        iq_later_result(t, &o->iq, STR_NULL);
    free(o->xml);
    free(o);
}

static enum err vcard_set(struct session *s, const struct stanza *iq)
{
    struct vcard_op *o;
    struct buf      *b;
    enum err         e;

    if (iq->has_to && !str_eq(iq->to.full, s->jid.bare))
        return ERR_DENIED;      /* §3.3 */
    b = talk_scratch(s->talk);
    xml_put_node(b, iq->payload, STR_NULL);
    if (b->len > VCARD_BYTES_MAX)
        return iq_error_condition(s, iq, "modify", "resource-constraint", "the card is larger than 128 KiB");
    o = NEW(struct vcard_op);
    o->change.apply = vcard_apply;
    o->change.done = vcard_done;
    o->xml = str_dup(buf_str(b));
    o->owner = person_number(s->person);
    o->iq = iq_keep(s, iq);
    e = session_change(s, s->talk, &o->change);
    if (e)
        vcard_done(s->talk, &o->change, e);
    return OK;
}

static void vcard_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &vcard_delete, "i", p->id);
}

static const struct iq_handler vcard_iqs[] = {
    { "vCard", NS_VCARD, IQ_TO_SELF | IQ_TO_OTHER | IQ_FROM_GUEST, vcard_get, vcard_set },
    { 0 },
};
static const char *const vcard_disco[] = { NS_VCARD, NULL };

/* The parts of a card that are text, a line for each. */
static void put_readable_card(struct person_export *x, const struct xml_node *n)
{
    for (const struct xml_node *c = xml_first(n); c; c = xml_next(c)) {
        struct str text = str_trim(xml_text(x->arena, c));

        if (str_is(c->name, "PHOTO") || str_is(c->name, "LOGO"))
            continue;
        if (text.len) {
            BUF_LIT(&x->html, "<tr><th>");
            export_put_text(&x->html, c->name);
            BUF_LIT(&x->html, "</th><td>");
            export_put_text(&x->html, text);
            BUF_LIT(&x->html, "</td></tr>\n");
        }
        put_readable_card(x, c);
    }
}

static void vcard_export(struct person_export *x)
{
    struct db_stmt  *row;
    struct xml_node *n;
    enum err         e = db_get(x->conn, &row, &vcard_select, "i", x->owner);

    if (!e) {
        buf_put_str(&x->xml, db_text(row, 0));
        buf_put_c(&x->xml, '\n');
        export_count(x, "cards", 1);
        export_heading(x, "Card");
        BUF_LIT(&x->html, "<table>\n");
        if (xml_parse(x->arena, arena_str(x->arena, db_text(row, 0)), NULL, &n) == XML_FINE)
            put_readable_card(x, n);
        BUF_LIT(&x->html, "</table>\n");
    }
    if (row)
        db_done(row);
    if (e && e != ERR_NOT_FOUND)
        export_fail(x, e);
}

static const struct owned xep0054_vcard_owned[] = { { "vcard" }, { 0 } };

static enum err vcard_take(struct import *x)
{
    static struct db_sql insert = { "INSERT INTO vcard(owner, xml) VALUES (?1, ?2) ON CONFLICT DO NOTHING" };
    struct buf           b;
    enum err             e;

    buf_init(&b, 0);
    xml_put_node(&b, x->event->node, STR_NULL);
    if (b.len > VCARD_BYTES_MAX) {
        x->why = STR("it is too large");
        e = ERR_INVALID;
    } else {
        e = db_run(x->conn, &insert, "is", x->owner, buf_str(&b));
    }
    buf_done(&b);
    return e ? e : db_changes(x->conn) ? OK : ERR_EXISTS;
}

static const struct import_handler xep0054_vcard_imports[] = {
    { "vCard", NS_VCARD, NULL, NULL, "cards", vcard_take },
    { 0 },
};

const struct feature xep0054_vcard = {
    .spec = "XEP-0054 1.3.0",
    .title = "vcard-temp",
    .disco_server = vcard_disco,
    .disco_account = vcard_disco,
    .iqs = vcard_iqs,
    .migrations = vcard_migrations,
    .person_deleted = vcard_deleted,
    .owned = xep0054_vcard_owned,
    .person_export = vcard_export,
    .imports = xep0054_vcard_imports,
};
