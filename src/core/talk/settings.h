/* settings.h: reading the messenger's settings.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/talk.h"

void talk_limits_read(const struct settings *s, struct talk_limits *l);
