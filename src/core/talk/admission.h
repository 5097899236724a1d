/* admission.h: when a site is lost, all of its people come to the others at once. New connections are taken at a steady
 * rate and the rest waits in the kernel's queue, so that those who are in keep their latency; and every client is told beforehand
 * over how many seconds to spread its return.
 *
 *   <stream:features>… <reconnect xmlns='urn:bongsu:reconnect:0' spread='5'/>
 *       after a lost connection wait a random part of `spread` seconds, then try the next address
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/talk.h"

enum { ADMISSION_WINDOW_MS = 50, ADMISSION_SPREAD_S_MAX = 60 };

/* One more connection was accepted: how long to take no more, 0: go on. */
int admission_rest_ms(struct talk *t);
/* Seconds over which those who are here now should return. */
int admission_spread_s(const struct talk *t);
