/* export.c: an account's nodes in its export (XEP-0227 §3.9 "Personal Eventing Protocol"): configuration, who is what to them, and
 * items; and, in an element of our own, the nodes that it has made in the public service. Back again: import.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/export.h"
#include "talk/pubsub/inner.h"

static struct db_sql nodes_select = {
    "SELECT id, name, config FROM pubsub_node WHERE owner = ?1 AND (owner <> 0 OR creator = ?2) ORDER BY name" };
static struct db_sql affiliations_select = { "SELECT jid, affiliation FROM pubsub_affiliation WHERE node = ?1 ORDER BY jid" };
static struct db_sql subscriptions_select = { "SELECT jid, state FROM pubsub_subscription WHERE node = ?1 ORDER BY jid" };
static struct db_sql items_select = { "SELECT sequence, us, id, publisher, xml FROM pubsub_item WHERE node = ?1 AND us >= ?2"
                                      " ORDER BY sequence" };

struct writing {
    struct person_export *x;
    bool                  pep;
    int                   count;
    struct node           nodes[PUBSUB_NODES_MAX];
};

/* ---- rows ---- */

typedef void row_fn(struct writing *w, struct db_stmt *row);

static void each_row(struct writing *w, struct db_sql *sql, int64_t node, int64_t since_us, row_fn *fn)
{
    struct db_stmt *row = w->x->e ? NULL : db_prepare(w->x->conn, sql);
    enum err        e;

    if (!row) {
        export_fail(w->x, ERR_BUG);
        return;
    }
    db_bind_i64(row, 1, node);
    if (sql == &items_select)
        db_bind_i64(row, 2, since_us);
    while ((e = db_step(row)) == OK) {
        fn(w, row);
        export_flush(w->x);
    }
    db_done(row);
    if (e != ERR_NOT_FOUND)
        export_fail(w->x, e);
}

static void put_affiliation(struct writing *w, struct db_stmt *row)
{
    BUF_LIT(&w->x->xml, "<affiliation");
    xml_put_attr(&w->x->xml, "jid", db_text(row, 0));
    buf_printf(&w->x->xml, " affiliation='%s'/>", pubsub_affiliation_name((enum affiliation)db_i64(row, 1)));
}

static void put_subscription(struct writing *w, struct db_stmt *row)
{
    BUF_LIT(&w->x->xml, "<subscription");
    xml_put_attr(&w->x->xml, "jid", db_text(row, 0));
    buf_printf(&w->x->xml, " subscription='%s'/>", sub_state_name((enum sub_state)db_i64(row, 1)));
}

static void put_item(struct writing *w, struct db_stmt *row)
{
    struct item i = { .id = db_text(row, 2), .publisher = db_text(row, 3), .xml = db_text(row, 4) };

    item_put(&w->x->xml, &i, true, !str_eq(i.publisher, w->x->bare));
    buf_put_c(&w->x->xml, '\n');
    export_count(w->x, "items", 1);
}

/* ---- nodes ---- */

static void open_of(struct writing *w, const char *name, const struct node *n)
{
    buf_printf(&w->x->xml, "<%s", name);
    xml_put_attr(&w->x->xml, "node", n->name);
    buf_put_c(&w->x->xml, '>');
}

static void put_rules(struct writing *w, const struct node *n)
{
    struct buf *b = &w->x->xml;

    open_of(w, "configure", n);
    config_put(b, &n->config, w->pep, NS_PUBSUB "#node_config", FORM_SUBMIT);
    BUF_LIT(b, "</configure>\n");
    open_of(w, "affiliations", n);
    each_row(w, &affiliations_select, n->id, 0, put_affiliation);
    BUF_LIT(b, "</affiliations>\n");
    open_of(w, "subscriptions", n);
    each_row(w, &subscriptions_select, n->id, 0, put_subscription);
    BUF_LIT(b, "</subscriptions>\n");
}

static void put_items(struct writing *w, const struct node *n)
{
    open_of(w, "items", n);
    each_row(w, &items_select, n->id, node_oldest_us(n), put_item);
    BUF_LIT(&w->x->xml, "</items>\n");
    export_count(w->x, "nodes", 1);
}

static void put_readable(struct writing *w, const struct node *n)
{
    BUF_LIT(&w->x->html, "<tr><td>");
    export_put_text(&w->x->html, n->name);
    buf_printf(&w->x->html, "</td><td>%s</td></tr>\n", config_access_name(&n->config));
}

static void put_nodes(struct writing *w)
{
    struct buf *b = &w->x->xml;

    BUF_LIT(b, "<pubsub xmlns='" NS_PUBSUB_OWNER "'>\n");
    for (int i = 0; i < w->count; i++)
        put_rules(w, &w->nodes[i]);
    BUF_LIT(b, "</pubsub>\n<pubsub xmlns='" NS_PUBSUB "'>\n");
    for (int i = 0; i < w->count; i++)
        put_items(w, &w->nodes[i]);
    BUF_LIT(b, "</pubsub>\n");
    for (int i = 0; i < w->count; i++)
        put_readable(w, &w->nodes[i]);
}

/* All nodes first: one statement at a time. */
static void nodes_read(struct writing *w, int64_t owner)
{
    struct person_export *x = w->x;
    struct db_stmt       *row = x->e ? NULL : db_prepare(x->conn, &nodes_select);
    enum err              e;

    w->count = 0;
    w->pep = owner != 0;
    if (!row) {
        export_fail(x, ERR_BUG);
        return;
    }
    db_bind_i64(row, 1, owner);
    db_bind_str(row, 2, x->bare);
    while ((e = db_step(row)) == OK && w->count < PUBSUB_NODES_MAX) {
        struct node *n = &w->nodes[w->count++];

        *n = (struct node){ .id = db_i64(row, 0), .name = arena_str(x->arena, db_text(row, 1)) };
        config_read(x->arena, db_text(row, 2), w->pep, n->name, &n->config);
    }
    db_done(row);
    if (e && e != ERR_NOT_FOUND)
        export_fail(x, e);
}

void pubsub_export(struct person_export *x)
{
    struct writing *w = ARENA_NEW(x->arena, struct writing);

    w->x = x;
    export_heading(x, "What others are told, and what is kept for devices", "알림과 기기 설정 (PEP)");
    BUF_LIT(&x->html, "<table>\n");
    nodes_read(w, x->owner);
    if (w->count)
        put_nodes(w);
    nodes_read(w, 0);
    if (w->count) {
        BUF_LIT(&x->xml, "<service xmlns='" NS_EXPORT "' jid='pubsub.");
        xml_put_escaped(&x->xml, x->domain);
        BUF_LIT(&x->xml, "'>\n");
        put_nodes(w);
        BUF_LIT(&x->xml, "</service>\n");
    }
    BUF_LIT(&x->html, "</table>\n");
}
