/* json.h: JSON through jansson with strict flags: no duplicate keys, valid
 * UTF-8, bounded depth and size.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <jansson.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum { JSON_DEPTH_MAX = 64 };

/* Reads one object or array. `out` is a new reference: json_decref it. On ERR_INVALID `why` (may be NULL,
 * in `a`) says what and where, without quoting the input. ERR_LIMIT: longer than bytes_max. */
enum err json_read(struct arena *a, struct str text, size_t bytes_max, json_t **out, struct str *why);
void     json_write(struct buf *out, const json_t *value);    /* compact, keys sorted */
struct str json_get_str(const json_t *object, const char *key);   /* p NULL if absent or not text */
/* ERR_NOT_FOUND if absent, ERR_INVALID if no whole number. */
enum err json_get_i64(const json_t *object, const char *key, int64_t *out);
