/* xep0402_bookmarks.h: one list of bookmarks for three kinds of clients: items of urn:xmpp:bookmarks:1 (XEP-0402, where they are kept),
 * private XML (XEP-0048 1.0, XEP-0049), and the one item of storage:bookmarks (XEP-0048 1.1, XEP-0411).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/pubsub/pubsub.h"

#define NODE_BOOKMARKS "urn:xmpp:bookmarks:1"
#define NS_STORAGE "storage:bookmarks" /* the old element, and its node */

/* <storage xmlns='storage:bookmarks'>…</storage>, made of the items. */
enum err bookmarks_put(struct job *j, struct db_conn *c, struct buf *b);
/* The items become what `storage` says. */
enum err bookmarks_take(struct job *j, struct db_conn *c, const struct xml_node *storage);
/* The items have changed: who wants the old node is told. */
enum err bookmarks_tell(struct job *j, struct db_conn *c);

/* Private XML of that element. */
enum err bookmarks_private_get(struct session *s, const struct stanza *iq);
enum err bookmarks_private_set(struct session *s, const struct stanza *iq);
/* The old node of an account: items are asked for, or published. */
enum err bookmarks_node_items(struct job *j, struct db_conn *c);
enum err bookmarks_node_publish(struct job *j, struct db_conn *c);
