/* xep0012_last.h: when somebody was last there.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"

enum { LAST_STATUS_BYTES_MAX = 1024 };

/* `s` has become unavailable; if it was the last one of the account, time and status are kept. */
void last_unavailable(struct session *s, struct str status);
