/* own.h: `bongsu-web --own export DATABASE DOMAIN USER FOLDER URL DIR`: an account's own files (files/export.h) for `bongsu`, with and
 * without a running server. FOLDER: where they are.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>

/* Whether the words are these; then it has been done, and *status is the exit status. */
bool own_asked(int argc, char **argv, int *status);
