/* base64.h: RFC 4648 §4 (with padding, strict) and §5 (URL-safe, no padding), and hex.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

void     base64_put(struct buf *out, struct str bytes);
void     base64url_put(struct buf *out, struct str bytes);
struct str base64_encode(struct arena *a, struct str bytes);
/* ERR_INVALID for a wrong length, alphabet, padding or non-zero spare bits. */
enum err base64_decode(struct arena *a, struct str text, struct str *out);
enum err base64url_decode(struct arena *a, struct str text, struct str *out);
void     hex_put(struct buf *out, struct str bytes);
