/* jids.h: bare JIDs as small numbers, so that rows stay narrow. A number is
 * given once and never reused; its row is written in (or before) the first batch
 * whose rows use it.
 *
 * In a database that several messengers write, nobody can count: a number is then a keyed hash of the JID, the same
 * for all of them (two of ten million JIDs share one with a probability of one in forty thousand).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/talk.h"

enum { JIDS_CACHED_MAX = 200000 };

extern const struct db_migration jids_migrations[];

void    jids_init(struct talk *t);      /* reads the highest number */
void    jids_done(struct talk *t);
/* The number of `bare`; makes one when it is new. Call it while building each
 * operation: a number whose row is not durable yet joins this batch again. */
int64_t jids_number(struct talk *t, struct str bare);
/* 0 when nobody has ever written to it. */
int64_t jids_known(struct talk *t, struct str bare);

int64_t jids_hash(const struct talk *t, struct str bare);
int64_t jids_read(struct db_conn *c, struct str bare);                      /* 0: it has none yet */
enum err jids_write(struct db_conn *c, int64_t id, struct str bare);        /* in an apply */
