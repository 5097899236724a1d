/* show.h: what a browser may be given as what. Only pictures, sound, film and plain text are shown inline, and only
 * if their first bytes are what the type says; of the rest, what could run or style a page (scripts, HTML, SVG, XML, CSS…)
 * goes out as bytes to keep.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/str.h"

enum { SHOW_FIRST_BYTES = 16 };

/* `first`: the first bytes of the file. */
bool       show_inline(struct str type, struct str first);
/* The Content-Type to send. */
struct str show_type(struct str type, bool shown);
