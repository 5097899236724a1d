/* announce.h: telling the person at the terminal, and systemd, that people can connect.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "proc/settings.h"

void announce_ready(const struct settings *s);      /* "bongsu: ready: …" on standard output */
void announce_stopping(void);
