/* xep0379_pars.h: a subscription request with a token.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"

/* True: it has been taken, and goes on when the token has been looked at (subscription_from_client is called then). */
bool pars_takes(struct session *s, const struct stanza *p, struct person *target);
