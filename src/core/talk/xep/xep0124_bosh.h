/* xep0124_bosh.h: the door for XMPP over plain HTTP requests (XEP-0124, XEP-0206): https://host:port/http-bind.
 * Behind it a client is one over WebSocket, at the other end of a pair of sockets: what RFC 7395 says of elements holds here too, and
 * the session knows nothing of requests. One process alone opens the door, for the requests of a session must meet in it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/talk.h"

enum {
    BOSH_REQUESTS = 2,                      /* of one session at a time; so many answers are kept to be given again */
    BOSH_WAIT_S_MAX = 60,
    BOSH_INACTIVITY_S = 30, BOSH_INACTIVITY_POLLING_S = 60, BOSH_PAUSE_S_MAX = 120,
    BOSH_POLLING_S = 2,
    BOSH_ANSWER_BYTES = 256 * 1024,         /* with so much in hand we take no more from the session */
    BOSH_LINE_BYTES_MAX = 1024 * 1024,      /* on the way to the session */
    BOSH_DESCRIPTORS = 4,                   /* that a session may cost: talk.sessions_max holds for fewer of them */
};

void bosh_init(struct talk *t);
void bosh_accept(struct talk *t, int fd);
void bosh_done(struct talk *t);
