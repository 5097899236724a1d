/* clock.h: the only way to ask for the time, so that a test can set it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

enum { CLOCK_TEXT_BYTES = 32 };

int64_t clock_us(void);           /* microseconds since 1970, UTC */
int64_t clock_mono_ms(void);      /* milliseconds, never goes back; for time-outs */
/* Tests: both clocks stand still at `us` until called again; 0 gives the real clock back. */
void    clock_set_us(int64_t us);
/* XEP-0082 DateTime with microseconds when there are any: "2026-11-24T01:02:03Z". */
struct str clock_format(int64_t us, char out[CLOCK_TEXT_BYTES]);
bool    clock_parse(struct str text, int64_t *us);   /* XEP-0082 DateTime, any zone */
