/* inner.h: what the files of this folder share and nobody else needs.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/pubsub/pubsub.h"

int64_t node_oldest_us(const struct node *n);               /* what is older has expired */
void    item_fill(struct job *j, struct db_stmt *row, struct item *out);   /* from: sequence, us, id, publisher, xml */
bool    groups_meet(struct str have, int count, const struct str *want);
/* Who published an item is told where it may be somebody else than one thinks. */
static inline bool shows_publisher(const struct job *j, const struct item *i)
{
    return !str_eq(i->publisher, j->service.bare);
}
const char *affiliation_name(enum affiliation a);
const char *sub_state_name(enum sub_state s);
bool    affiliation_named(struct str name, enum affiliation *out);
enum err node_of_owner(struct job *j, struct db_conn *c, bool take, struct node *n);     /* <… node=''/> of an owner's request */
