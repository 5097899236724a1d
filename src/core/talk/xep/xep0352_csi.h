/* xep0352_csi.h: what waits while a client is inactive: the latest presence of each address
 * and the latest pure chat state. Everything else sends it on its way first, so order is kept.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"

enum {
    CSI_HELD_MAX = 500,             /* stanzas; beyond it they are sent */
    CSI_BYTES_MAX = 128 * 1024,
};

/* True: the stanza waits. s->csi is not NULL. */
bool csi_holds(struct session *s, struct str stanza);
/* Sends what waits; the client stays inactive. */
void csi_flush(struct session *s);
/* Active again; what waits is dropped. For the end of a stream. */
void csi_free(struct session *s);
