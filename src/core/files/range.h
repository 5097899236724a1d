/* range.h: which part of a file is asked for (RFC 9110 §14) and whether it is known already (§13).
 * One range is answered with it; several at once are answered with the whole, which §14.2 allows: nobody who asks for
 * photos and films does it, and many small ranges are an old way to make a server work.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

enum range { RANGE_WHOLE, RANGE_PART, RANGE_NONE };    /* NONE: 416 */

/* `header`: "bytes=0-499"; p NULL if absent. What is not understood is ignored (§14.2). */
enum range range_read(struct str header, int64_t file_bytes, int64_t *from, int64_t *bytes);
/* Whether `list` ("*", or entity tags) names `etag`. `weak`: as If-None-Match compares, else as If-Match and If-Range do. */
bool etag_listed(struct str list, struct str etag, bool weak);
