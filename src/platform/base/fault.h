/* fault.h: fault points. Code that can fail asks FAULT("place") first; a test
 * arms the n-th passage. In a server the environment arms them:
 * BONGSU_FAULT="db.commit=3:io,talk.event=%7:io,db.write=kill@100" (fail the 3rd with ERR_IO;
 * every 7th; end the process with SIGKILL at the 100th). Unarmed, a point costs one load.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/err.h"

extern bool fault_any_armed;

/* Returns OK, or the error to pretend. Counts the passage. Thread-safe. */
enum err fault_hit(const char *place);
#define FAULT(place) (__builtin_expect(fault_any_armed, 0) ? fault_hit(place) : OK)

void fault_arm(const char *place, int nth, enum err e);  /* the nth passage from now fails; nth == 0: every one */
bool fault_disarm(const char *place);                    /* true if it fired */
/* Parses the BONGSU_FAULT syntax, at most 16 points; ERR_INVALID says nothing was armed. */
enum err fault_arm_text(const char *text);
