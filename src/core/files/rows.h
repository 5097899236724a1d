/* rows.h: rows that were asked for lately, so that a picture that a whole room opens costs one look into the index. Only whole files,
 * which do not change; any removal empties it. Not for other folders.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "files/inner.h"

enum { ROWS_MAX = 4096 };

void     rows_init(struct store *st);
void     rows_clear(struct store *st);          /* something was forgotten; also at the end */
/* As catalog_find on the loop's connection. Texts live until this round's end. */
enum err rows_find(struct store *st, struct arena *a, const uint8_t id[SLOT_ID_BYTES], struct file_row *out);
