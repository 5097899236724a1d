/* own.h: `bongsu-ident --own VERB DATABASE DOMAIN …`: work on the identity database for `bongsu`, as processes/talk/own.h.
 *
 *   prove USER SECONDS     waits so long for the deletion of an account to be confirmed, and prints what remains: nothing
 *   import PATH ITERATIONS  accounts of another server (id/import.h); no ident runs
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>

bool own_asked(int argc, char **argv, int *status);
