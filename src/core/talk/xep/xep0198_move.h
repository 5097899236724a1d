/* xep0198_move.h: a stream that is resumed on another worker than the one it was made on.
 *
 *   <resume/> here, not known ─▶ its row is read
 *        ├─ its worker is heard ─▶ asked for it: what is unacknowledged comes over ─▶ resumed as if it had been here
 *        └─ it is not, or does not answer ─▶ <failed h='…'/>: the client knows what was handled, binds anew, reads the
 *           archive, and sends the rest again; the row goes, and what it had not confirmed waits if nobody else has it
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/xep/xep0198_sm.h"

void sm_move_init(struct talk *t);
enum resume_outcome sm_resume_far(struct session *s, const struct xml_node *resume);

/* ---- what is moved: xep0198_state.c, xep0198_row.c ---- */
enum { SM_MOVE_BYTES_MAX = 900 * 1024 };
/* What is needed to go on elsewhere, after `h`. ERR_INVALID: h is not possible; ERR_LIMIT: too much. */
enum err sm_export(struct session *s, uint32_t h, struct buf *out);
/* A detached session like the one that was exported. NULL: the bytes are not understood, or the resource is taken. */
struct session *sm_import(struct talk *t, struct person *p, int64_t key, struct str state);
/* The first archive id in a row's list; 0: none. */
int64_t sm_entries_first(struct str entries);
