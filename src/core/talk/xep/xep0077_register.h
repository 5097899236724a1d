/* xep0077_register.h: making an account before log-in.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"

/* jabber:iq:register from a stream that has not logged in. Called only while registration is allowed. */
enum err xep0077_early(struct session *s, const struct stanza *iq);
