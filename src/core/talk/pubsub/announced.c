/* announced.c: the server's own node in the public service, where every account finds what the operator announces (banner.h). It
 * shows the rows of the table `banner`: whoever changes those writes this in the same transaction.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/inner.h"

enum err announced_write(struct db_conn *c, struct str publisher, const struct item *items, int count)
{
    struct job  j = { .asker = { .bare = publisher, .full = publisher, .local = true } };
    struct node n;
    enum err    e;

    arena_init(&j.work);
    e = node_read(&j, c, STR(NODE_ANNOUNCED), true, &n);
    if (!e)
        e = items_purge(&j, c, &n);
    for (int i = 0; i < count && !e && !j.fault; i++) {
        struct item one = items[i];

        one.publisher = publisher;
        e = item_store(&j, c, &n, &one, NULL);
    }
    arena_done(&j.work);
    return e ? e : j.fault ? ERR_LIMIT : OK;
}
