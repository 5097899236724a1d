/* uri.h: the parts of a request target (RFC 3986) and percent-coding.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct uri {
    struct str scheme, host, path, query, fragment; /* undecoded; empty when absent */
    int        port;                                 /* 0 when absent */
};
enum err uri_parse(struct str text, struct uri *out);
enum err uri_decode(struct arena *a, struct str in, struct str *out);   /* %xx; result must be UTF-8 without NUL */
/* Normal path: decoded, "." and ".." resolved; ERR_INVALID if it leaves the root or hides a slash or NUL. */
enum err uri_path(struct arena *a, struct str path, struct str *out);
/* One segment of a path: what is not unreserved (§2.3) as %xx. */
void uri_put_segment(struct buf *out, struct str s);
struct str uri_query_get(struct arena *a, struct str query, const char *name); /* decoded; p NULL if absent */
