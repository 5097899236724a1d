/* inner.h: what the files of this folder share and nobody else needs.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/profile.h"
#include "talk/pubsub/pubsub.h"

int64_t node_oldest_us(const struct node *n);                            /* what is older has expired */
void    item_fill(struct job *j, struct db_stmt *row, struct item *out); /* from: sequence, us, id, publisher, xml */
bool    groups_meet(struct str have, int count, const struct str *want);
/* Who published an item is told where it may be somebody else than one thinks. */
static inline bool shows_publisher(const struct job *j, const struct item *i)
{
    return !str_eq(i->publisher, j->service.bare);
}
/* <items node='…'><item …/></items>, as in an event. `i` NULL: no item. */
void        items_event_put(struct buf *b, struct str node, const struct item *i, bool payload, bool publisher);
const char *pubsub_affiliation_name(enum affiliation a);
const char *sub_state_name(enum sub_state s);
bool        affiliation_named(struct str name, enum affiliation *out);
enum err    affiliation_of(struct job *j, struct db_conn *c, const struct node *n, struct str bare, enum affiliation *out); /* store.c */
enum err    affiliation_write(struct db_conn *c, const struct node *n, struct str bare, enum affiliation a);
enum err    node_of_owner(struct job *j, struct db_conn *c, bool take, struct node *n); /* <… node=''/> of an owner's request */

/* ---- profiles.c: the doors of talk/profile.h ---- */
bool                shows_profile(const struct service *at, struct str node);
struct profile_view profile_of_job(struct job *j, struct db_conn *c);
enum err            items_as_they_are(struct job *j, struct db_conn *c); /* items.c */
enum err            profile_items(struct job *j, struct db_conn *c);     /* the items that this asker is shown */
/* The item of a node, of a view that is not the basic one. ERR_NOT_FOUND: it has none. */
enum err            profile_item(struct job *j, struct db_conn *c, struct profile_view *v, struct str node, struct item *out);
/* The last item, as it is shown to `viewer` (a bare JID), who may see the node. ERR_NOT_FOUND */
enum err            item_last_for(struct job *j, struct db_conn *c, const struct node *n, struct str viewer, struct item *out);
void                profile_items_late(const struct job *j, struct buf *out);
enum err            profile_except(struct job *j, struct db_conn *c, struct note *note);
void                profile_tell_item(struct job *j, struct str viewer, const struct node *n, const struct item *i);
void                profile_tell(struct job *j, struct str viewer, const struct profile *p);

/* ---- subscribe.c ---- */
enum err pubsub_count(struct db_conn *c, struct db_sql *sql, int64_t node, struct str bare,
                      int64_t *out); /* of the node; of `bare` if set */
enum err subscription_state(struct db_conn *c, const struct node *n, const struct jid *who, enum sub_state *out);
void     subscription_put(struct buf *b, struct str node, struct str jid, enum sub_state s);
enum err subscription_set(struct job *j, struct db_conn *c, const struct node *n, const struct jid *who, enum sub_state s); /* and tells */
/* A message of its own to one address (empty: the caller sets them). Takes the text out of `b`. */
struct note *note_named(struct job *j, const struct node *n, struct buf *b, struct str to);
enum err     subscriber_send_last(struct job *j, struct db_conn *c, const struct node *n, struct str jid);
enum err     node_owners(struct job *j, struct db_conn *c, const struct node *n, struct ids *out);
