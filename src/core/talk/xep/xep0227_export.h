/* xep0227_export.h: the files of people's own exports.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/talk.h"

/* The account is deleted: those that lie on this machine go, and none that is being made is left. */
void exports_forget(struct talk *t, struct str user);
