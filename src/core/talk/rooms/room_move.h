/* room_move.h: streams that go on: resumed on another messenger, or after a crash (xep/xep0198_sm.h). Their
 * rooms go with them. SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/codec.h"
#include "talk/archive.h"
#include "talk/session.h"

/* In a shared database: which rooms it is in, and how far it has heard each. */
void rooms_export(struct session *s, struct buf *out);
void rooms_import(struct session *s, struct codec_reader *r);
/* After a crash, on a worker: what was said behind `log_pos` in the rooms that `full` is in joins `page`, in
 * the order of the log. */
enum err rooms_missed(struct db_conn *c, struct arena *a, struct str full, int64_t log_pos,
                      struct archive_page *page);
