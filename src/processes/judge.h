/* judge.h: what no row of the tables can say of the settings, said in one place: for `bongsu config check`, for the start, and
 * for a reload.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/buf.h"
#include "proc/settings.h"

/* All mistakes are told at once, a line of `report` each. ERR_INVALID if there is any. */
enum err settings_judge(const struct settings *s, struct buf *report);
