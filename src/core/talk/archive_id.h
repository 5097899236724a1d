/* archive_id.h: archive ids as clients see them. XEP-0313 §3 wants them unpredictable, and a
 * time in microseconds is not; so the number is shuffled by a secret permutation of 64 bits, and
 * shuffled back when a client names it. Sixteen hexadecimal digits.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/str.h"

void archive_id_setup(const uint8_t key[16]);     /* once per process; the key lives as long as the database */
void archive_id_put(struct buf *b, int64_t id);
bool archive_id_parse(struct str text, int64_t *id);
