/* XEP-0160 Best Practices for Handling Offline Messages 1.0.1: kept and delivered
 * by talk/offline.c, stored by talk/message.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/export.h"
#include "talk/feature.h"
#include "talk/import.h"

static const char *const offline_disco[] = { "msgoffline", NULL };

/* What waits, in XEP-0227's own element, with the time it came. */
static void offline_export(struct person_export *x)
{
    static struct db_sql select = {
        "SELECT o.id, m.stanza FROM offline o CROSS JOIN message m ON m.id = o.id WHERE o.owner = ?1 ORDER BY o.id" };
    struct db_stmt *row = db_prepare(x->conn, &select);
    enum err        e;

    if (!row) {
        export_fail(x, ERR_BUG);
        return;
    }
    db_bind_i64(row, 1, x->owner);
    BUF_LIT(&x->xml, "<offline-messages>\n");
    while ((e = db_step(row)) == OK) {
        struct str kept = db_text(row, 1);

        BUF_LIT(&x->xml, "<message xmlns='" NS_CLIENT "'");
        message_put(&x->xml, str_make(kept.p + 8, kept.len - 8), STR_NULL, 0, db_i64(row, 0), x->domain);
        buf_put_c(&x->xml, '\n');
        export_count(x, "offline", 1);
        export_flush(x);
    }
    db_done(row);
    BUF_LIT(&x->xml, "</offline-messages>\n");
    if (e != ERR_NOT_FOUND)
        export_fail(x, e);
}

static enum err offline_take(struct import *x)
{
    const struct xml_node *delay = xml_child(x->event->node, "delay", "urn:xmpp:delay");

    return import_message(x, x->event->node, delay ? xml_attr(delay, "stamp") : STR_NULL, STR("offline"), true);
}

static const struct import_handler xep0160_offline_imports[] = {
    { "message", NULL, "offline-messages", NULL, "offline messages", offline_take },
    { 0 },
};

const struct feature xep0160_offline = {
    .spec = "XEP-0160 1.0.1",
    .title = "Best Practices for Handling Offline Messages",
    .disco_server = offline_disco,
    .person_export = offline_export,
    .imports = xep0160_offline_imports,
};
