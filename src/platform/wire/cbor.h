/* cbor.h: reads CBOR (RFC 8949) item by item and builds no tree, so nothing is taken on a stranger's word. Of definite length
 * only, without tags and floats: the canonical form of CTAP2 (§8), which is what WebAuthn's objects are in.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

enum cbor_kind { CBOR_UINT, CBOR_NEGATIVE, CBOR_BYTES, CBOR_TEXT, CBOR_ARRAY, CBOR_MAP, CBOR_SIMPLE };
enum { CBOR_DEPTH_MAX = 4 };        /* CTAP2 §8 */

struct cbor_item {
    enum cbor_kind kind;
    uint64_t       number;          /* the value; of NEGATIVE n stands for -1 - n; elements of ARRAY; pairs of MAP; 20 to 23 of SIMPLE */
    struct str     bytes;           /* BYTES, TEXT (UTF-8): points into the input */
};

/* The next item from the front of *rest; of an array or a map its head only. ERR_INVALID: it is no such item, or cut off. */
enum err cbor_next(struct str *rest, struct cbor_item *out);
/* Passes over one whole item, with all that is inside. ERR_INVALID also when that is deeper than CBOR_DEPTH_MAX. */
enum err cbor_skip(struct str *rest);
/* What a UINT or NEGATIVE says; `otherwise` for anything else and for what an int64 does not hold. */
int64_t  cbor_int(const struct cbor_item *i, int64_t otherwise);
