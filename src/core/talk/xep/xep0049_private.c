/* XEP-0049 Private XML Storage 1.2: small settings of clients, one row per element name.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "talk/export.h"
#include "talk/feature.h"
#include "talk/xep/xep0402_bookmarks.h"
#include "talk/import.h"
#include "talk/owned.h"
#include <stdlib.h>

#define NS_PRIVATE "jabber:iq:private"

enum {
    PRIVATE_BYTES_MAX = 64 * 1024,      /* of one element */
    PRIVATE_ELEMENTS_MAX = 100,         /* of one account */
    PRIVATE_KEY_BYTES_MAX = 512,
};

static const struct db_migration private_migrations[] = {
    { 1, "private",
      "CREATE TABLE private(owner INTEGER NOT NULL, element TEXT NOT NULL, xml TEXT NOT NULL,"
      " PRIMARY KEY(owner, element)) WITHOUT ROWID;" },
    { 0 },
};

/* The bound holds inside the transaction, where nothing can come between. */
static struct db_sql private_write = {
    "INSERT INTO private(owner, element, xml) SELECT ?1, ?2, ?3"
    " WHERE (SELECT count(*) FROM private WHERE owner = ?1 AND element <> ?2) < ?4"
    " ON CONFLICT(owner, element) DO UPDATE SET xml = excluded.xml" };
static struct db_sql private_select = { "SELECT xml FROM private WHERE owner = ?1 AND element = ?2" };
static struct db_sql private_delete = { "DELETE FROM private WHERE owner = ?1" };

struct private_op {
    struct change   change;
    struct arena    arena;
    struct iq_later iq;
    int64_t         owner;
    int             count;
    bool            full;
    struct { struct str element, xml; } put[PRIVATE_ELEMENTS_MAX];
};

static struct str element_key(struct arena *a, const struct xml_node *n)
{
    return arena_printf(a, "%.*s %.*s", STR_ARG(n->name), STR_ARG(n->ns));
}

static enum err private_apply(struct db_conn *c, struct change *ch)
{
    struct private_op *o = (struct private_op *)ch;
    enum err           e = OK;

    o->full = false;
    for (int i = 0; i < o->count && !e && !o->full; i++) {
        e = db_run(c, &private_write, "issi", o->owner, o->put[i].element, o->put[i].xml, (int64_t)PRIVATE_ELEMENTS_MAX);
        o->full = !e && db_changes(c) == 0;
    }
    return e;
}

static void private_done(struct talk *t, struct change *ch, enum err e)
{
    struct private_op *o = (struct private_op *)ch;

    if (e || o->full)
        iq_later_error(t, &o->iq, e ? e : ERR_LIMIT);
    else
        iq_later_result(t, &o->iq, STR_NULL);
    arena_done(&o->arena);
    free(o);
}

static bool is_own(const struct session *s, const struct stanza *iq)
{
    return !iq->has_to || str_eq(iq->to.full, s->jid.bare);
}

static enum err private_get(struct session *s, const struct stanza *iq)
{
    const struct xml_node *want = xml_first(iq->payload);
    struct db_stmt        *row;
    struct buf            *b;

    if (!is_own(s, iq))
        return ERR_DENIED;
    if (!want || xml_next(want) || want->ns.len == 0)
        return iq_error_condition(s, iq, "modify", "bad-request", "ask for one element");
    if (xml_is(want, "storage", NS_STORAGE))
        return bookmarks_private_get(s, iq);
    b = talk_scratch(s->talk);
    BUF_LIT(b, "<query xmlns='" NS_PRIVATE "'>");
    if (db_get(db_loop_conn(s->talk->db), &row, &private_select, "is", s->person->id, element_key(iq->arena, want)) == OK) {
        buf_put_str(b, db_text(row, 0));
    } else {
        buf_put_c(b, '<');
        buf_put_str(b, want->name);
        xml_put_attr(b, "xmlns", want->ns);
        BUF_LIT(b, "/>");
    }
    if (row)
        db_done(row);
    BUF_LIT(b, "</query>");
    return iq_result_str(s, iq, buf_str(b));
}

/* NULL: fine */
static const char *read_elements(struct private_op *o, const struct stanza *iq)
{
    struct buf b;

    for (const struct xml_node *n = xml_first(iq->payload); n; n = xml_next(n)) {
        if (n->ns.len == 0 || str_eq(n->ns, STR(NS_PRIVATE)) || str_eq(n->ns, STR(NS_CLIENT)) || n->ns.len + n->name.len > PRIVATE_KEY_BYTES_MAX)
            return "not-acceptable";    /* §3: an element of its own namespace */
        if (o->count == PRIVATE_ELEMENTS_MAX)
            return "resource-constraint";
        buf_init(&b, 0);
        xml_put_node(&b, n, STR_NULL);
        o->put[o->count].element = element_key(&o->arena, n);
        o->put[o->count].xml = arena_str(&o->arena, buf_str(&b));
        buf_done(&b);
        if (o->put[o->count++].xml.len > PRIVATE_BYTES_MAX)
            return "resource-constraint";
    }
    return o->count ? NULL : "bad-request";
}

/* Those are kept elsewhere (xep0402_bookmarks.c). */
static bool holds_bookmarks(const struct xml_node *query)
{
    return xml_child(query, "storage", NS_STORAGE) != NULL;
}

static enum err private_set(struct session *s, const struct stanza *iq)
{
    struct private_op *o;
    const char        *fault;
    enum err           e;

    if (!is_own(s, iq))
        return ERR_DENIED;
    if (holds_bookmarks(iq->payload))
        return xml_next(xml_first(iq->payload)) ? iq_error_condition(s, iq, "modify", "not-acceptable", "bookmarks come alone")
                                                : bookmarks_private_set(s, iq);
    o = NEW(struct private_op);
    arena_init(&o->arena);
    fault = read_elements(o, iq);
    if (fault) {
        arena_done(&o->arena);
        free(o);
        return iq_error_condition(s, iq, "modify", fault, NULL);
    }
    o->change.apply = private_apply;
    o->change.done = private_done;
    o->owner = person_number(s->person);
    o->iq = iq_keep(s, iq);
    e = session_change(s, s->talk, &o->change);
    if (e) {
        o->change.session_id = s->id;
        private_done(s->talk, &o->change, e);
    }
    return OK;
}

static void private_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &private_delete, "i", p->id);
}

static const struct iq_handler private_iqs[] = {
    { "query", NS_PRIVATE, IQ_TO_SELF | IQ_TO_OTHER, private_get, private_set },
    { 0 },
};
static const char *const private_disco[] = { NS_PRIVATE, NULL };

static void private_export(struct person_export *x)
{
    static struct db_sql select = { "SELECT xml FROM private WHERE owner = ?1 ORDER BY element" };
    struct db_stmt      *row = db_prepare(x->conn, &select);
    enum err             e;

    if (!row) {
        export_fail(x, ERR_BUG);
        return;
    }
    db_bind_i64(row, 1, x->owner);
    BUF_LIT(&x->xml, "<query xmlns='" NS_PRIVATE "'>\n");
    while ((e = db_step(row)) == OK) {
        buf_put_str(&x->xml, db_text(row, 0));
        buf_put_c(&x->xml, '\n');
        export_count(x, "private", 1);
        export_flush(x);
    }
    db_done(row);
    BUF_LIT(&x->xml, "</query>\n");
    if (e != ERR_NOT_FOUND)
        export_fail(x, e);
}

static const struct owned xep0049_private_owned[] = { { "private" }, { 0 } };

static enum err private_take(struct import *x)
{
    static struct db_sql insert = { "INSERT INTO private(owner, element, xml) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING" };
    struct buf           b;
    enum err             e;

    buf_init(&b, 0);
    xml_put_node(&b, x->event->node, STR_NULL);
    if (b.len > PRIVATE_BYTES_MAX || x->event->node->ns.len == 0) {
        x->why = STR("it is too large, or has no namespace");
        e = ERR_INVALID;
    } else {
        e = db_run(x->conn, &insert, "iss", x->owner, element_key(&x->arena, x->event->node), buf_str(&b));
    }
    buf_done(&b);
    return e ? e : db_changes(x->conn) ? OK : ERR_EXISTS;
}

static const struct import_handler xep0049_private_imports[] = {
    { NULL, NULL, "query", NS_PRIVATE, "private elements", private_take },
    { 0 },
};

const struct feature xep0049_private = {
    .spec = "XEP-0049 1.2",
    .title = "Private XML Storage",
    .disco_server = private_disco,
    .iqs = private_iqs,
    .migrations = private_migrations,
    .person_deleted = private_deleted,
    .owned = xep0049_private_owned,
    .person_export = private_export,
    .imports = xep0049_private_imports,
};
