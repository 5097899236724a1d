/* xep0198_inner.h: what the files of stream management share; nobody else includes it. The idea: xep0198_sm.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/xep/xep0198_sm.h"

#define NS_SM "urn:xmpp:sm:3"

/* ---- xep0198_queue.c ---- */
/* The i-th of what is unconfirmed, 0 the oldest. */
static inline struct sm_entry *sm_entry_at(struct sm *m, int i) { return &m->entries[(m->head + i) % m->cap]; }
struct sm_entry *sm_entry_add(struct sm *m);                                /* at the end, empty */
void sm_entry_remove(struct sm *m, int at);
void sm_entry_text_set(struct sm *m, struct sm_entry *e, struct str text);
void sm_entries_drop(struct sm *m, int n);                                  /* the oldest n */
void sm_flush(struct session *s);                                           /* write every ready entry that is next in line */
/* The client has seen up to `h`. False ends the stream: it claims more than it was sent (§4). */
bool sm_take_h(struct session *s, uint32_t h);

/* ---- xep0198_row.c ---- */
void sm_mark(struct session *s);                /* the row joins the next batch */
void sm_mark_now(struct session *s);            /* and there is a next batch, even if nothing else asks for one */
void sm_seal(void *arg);                        /* the batch is about to leave (commit_on_seal) */

/* ---- xep0198_replay.c ---- */
void sm_replay_start(struct session *s);        /* nothing is written until what is missing has been read */

/* ---- xep0198_state.c ---- */
unsigned sm_flags(const struct session *s);     /* what the client asked to be told of, as the row keeps it */
void sm_flags_take(struct session *s, uint64_t flags);
/* A stream whose client is away, to be resumed: what its log gained since then is read when it is. NULL: the resource is
 * taken, or is none. */
struct session *sm_detached_new(struct talk *t, struct person *p, int64_t key, struct str resource);

/* ---- xep0198_sm.c ---- */
void sm_answer_ack(struct session *s);          /* <a/> with what the durable row says */
