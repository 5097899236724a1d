/* devices.h: where a person is, in a cluster: the table `device` has a row for each bound session of every worker, and each worker
 * that has the person in memory keeps a copy of the others' rows (events tell of changes).
 *
 *   device(id, owner, node, resource, priority, reach, since, agent)     reach: it takes messages to the bare JID, of those behind `since`
 *
 * A message is put aside for later (table offline) in its own transaction, if no row of its recipient says `reach`. Both take the
 * lock of the log's order, so for each message it is decided: before the device came, or after. When one leaves, what came for it
 * alone since it was last heard of is put aside, and those who came meanwhile look at what waits. When a worker dies, that is what lies
 * behind its last beat: table node has how far it had the log then.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/nodes.h"
#include "talk/person.h"

extern const struct db_migration devices_migrations[];

struct device {                     /* of another worker */
    int64_t key, node, agent;       /* agent: session.agent */
    char   *resource;
    int8_t  priority;
    bool    reach;
};

/* The session was bound or moved here: the row follows, then the others are told; and what waited is delivered
 * when it has become reachable. Does nothing on a database of our own. */
void device_changed(struct session *s);
void device_presence(struct session *s);        /* its presence is another: the same, if that makes a difference */
void device_gone(struct session *s);            /* it ends */
void devices_load(struct person *p, struct db_conn *c);     /* on a worker */
void devices_free(struct person *p);
void devices_take(struct person *p, struct person *fresh);  /* the lists of a copy that was read again */
void devices_event(struct person *p, const struct event *e);
void devices_tell(struct person *p);            /* of those here, to whoever asks */
void devices_tell_all(struct talk *t);          /* rows and events of all that are here, anew */
void devices_announce_all(struct talk *t);      /* events only */
void devices_node_died(struct talk *t, int64_t node);      /* memory forgets its devices */
/* So does the database, if the worker's count (table node) is still this one. */
void devices_delete_node(struct talk *t, int64_t node, int64_t beat);
struct device *device_find(struct person *p, struct str resource);   /* NULL: none on another worker */
bool devices_reach(const struct person *p);     /* another worker has one that takes messages */
