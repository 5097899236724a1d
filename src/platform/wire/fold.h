/* fold.h: text as search compares it: NFKC, case folded, without what nobody sees (soft hyphens, joiners, variation
 * selectors). "Ｓｃｈｏｏｌ", "SCHOOL" and "school" become one, and so do composed and decomposed Hangul.
 *
 * Unicode's tables are those of libunistring (GNU, LGPL; libidn brings it along anyhow): one call normalises and folds, it is
 * plain C, and Debian keeps it. ICU does the same and is C++ with 30 MB of data; libidn's own NFKC stands at Unicode 3.2.
 * Most lines need neither: ASCII, Hangul syllables, kana and ideographs are copied.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/buf.h"
#include "base/str.h"

/* Appends. Bytes that are no UTF-8 stay as they are, with ASCII folded. */
void fold_put(struct buf *out, struct str text);
/* The code point at *at, which moves behind it; a byte that begins none counts as U+FFFD. Not at the end. */
uint32_t fold_next(struct str folded, size_t *at);
/* White space of Unicode: where words end. */
bool fold_is_space(uint32_t c);
