/* deliver.h: a message to the devices of one person that are on this worker. In a cluster each worker does this for its own,
 * from the text as it is kept, so that events, the log and what the sender's worker knows give the same.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/follow.h"
#include "talk/person.h"

/* How a kept message reaches one session; false: not at all. */
struct kept_head {
    struct str from, to;            /* full or bare, decoded; into the text, or into `decoded` */
    struct str to_bare, to_resource, from_bare;
    bool       chat;
    char       decoded[2][3 * 1024 + 3];
};
void kept_head_read(struct kept_head *h, struct str kept);
bool delivery_of(const struct session *s, const struct kept_head *h, bool carbons, enum delivery *how);

void message_deliver_logged(struct person *p, const struct logged *m);  /* it has a place in the log; counted, resumable */
void message_deliver_ahead(struct person *p, const struct logged *m);   /* it is not stored yet: `shown` is all it has */
void message_deliver_passed(struct person *p, struct str kept, bool carbons, const struct session *but);
bool message_was_shown(const struct person *p, int64_t shown);
bool message_shown_since(const struct person *p, int64_t shown, int64_t since_us);      /* to the devices that were here then */
void deliver_init(struct talk *t);
void deliver_done(struct talk *t);
/* A kept stanza's attribute as it stands in its start tag (our own canonical writing: name='value'). */
struct str kept_attr(struct str kept, const char *name);
