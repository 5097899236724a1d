/* admission.h: when a site is lost, all of its people come to the others at once. New connections are taken at a rate that leaves those
 * who are in their latency, and the rest waits in the kernel's queue; and every client is told beforehand over how many
 * seconds to spread its return.
 *
 * The rate finds itself, like a sender's window in TCP: the loop looks every ADMISSION_WINDOW_MS how late it is, and how many log-ins
 * wait for ident and the database. While it is in time and they are few the rate grows, up to `talk.accepts_per_second_max`; else it
 * falls. So whoever is let in is in soon, and who waits, or has given up, does so where it costs nothing.
 *
 *   <stream:features>… <reconnect xmlns='urn:bongsu:reconnect:0' spread='5'/>
 *       after a lost connection wait a random part of `spread` seconds, 0: none, then try the next address
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/talk.h"

enum {
    ADMISSION_WINDOW_MS = 50,
    ADMISSION_RATE_FIRST = 200,     /* a second; where it starts after ADMISSION_CALM_MS without a crowd */
    ADMISSION_RATE_MIN = 20,        /* however late: somebody is let in */
    ADMISSION_LATE_MS = 40,         /* so late is too late… */
    ADMISSION_IN_TIME_MS = 20,      /* …and so is in time; the timers' resolution is 16 */
    ADMISSION_ENTERING_MANY = 128,  /* log-ins that wait for an answer of ours: so many are too many… */
    ADMISSION_ENTERING_FEW = 64,    /* …and so few are none */
    ADMISSION_CALM_MS = 5000,
    ADMISSION_SPREAD_S_MAX = 60,
};

/* The next rate, after a window at whose end the loop was so late and so many log-ins waited. */
int admission_next(int rate, int rate_max, int late_ms, int entering);
/* While a crowd comes in: did the client give up before its turn came? A handshake with it would be for nobody. */
bool admission_gave_up(const struct talk *t, int fd);
/* One more connection was accepted: how long to take no more, 0: go on. */
int admission_rest_ms(struct talk *t);
/* Seconds over which so many, who are let in at that rate, should return; 0: they are too few to crowd another site. */
int admission_spread_s(int sessions, int rate_max);
