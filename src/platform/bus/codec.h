/* codec.h: fields of a bus message. Version byte first, then fields in
 * a fixed order: u64 as LEB128, int64 zig-zag, text as length and bytes.
 * A reader that runs out, overflows or finds bad UTF-8 sets `failed` and reads zeros from then on:
 * read everything, then look once.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/buf.h"
#include "base/str.h"

void codec_begin(struct buf *b, uint8_t version);
void codec_put_u64(struct buf *b, uint64_t v);
void codec_put_i64(struct buf *b, int64_t v);
void codec_put_str(struct buf *b, struct str s);      /* UTF-8 text; p == NULL travels as NULL */
void codec_put_bytes(struct buf *b, struct str s);

struct codec_reader { struct str rest; bool failed; };
/* failed if the version is not `version`. */
struct codec_reader codec_open(struct str payload, uint8_t version);
uint64_t   codec_u64(struct codec_reader *r);
int64_t    codec_i64(struct codec_reader *r);
struct str codec_str(struct codec_reader *r, size_t bytes_max);   /* borrowed from the payload */
struct str codec_bytes(struct codec_reader *r, size_t bytes_max);
bool       codec_ok(const struct codec_reader *r);                /* nothing failed and nothing is left */
