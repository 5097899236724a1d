/* exports.h: people's own exports (talk/xep/xep0227_export.c), from data_dir/exports: each under a name that cannot be guessed.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "net/http.h"

/* "/exports/…": answers, and true; anything else: false. */
bool exports_answer(struct http_exchange *x, struct str path, const char *data_dir);
