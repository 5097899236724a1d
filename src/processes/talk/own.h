/* own.h: `bongsu-talk --own VERB DATABASE DOMAIN …`: work on the message database for `bongsu`, which links no message code.
 * PostgreSQL is named by BONGSU_DB_SERVER (check.h), then DATABASE is not looked at.
 *
 *   audit COUNT            prints what administrators did
 *   admin USER on|off      without a server
 *   export-begin USER DIR  whether DIR is free for it, or its own; then it is begun
 *   export USER DIR        everything of an account, or the rest of it (talk/export.h)
 *   prove USER SECONDS     waits so long for a deletion to be through, and prints what remains: nothing
 *   import PATH            from another server (talk/import.h); no messenger runs
 *   reports COUNT          prints what people reported
 *   invite NAME|- INVITER|- DAYS [PAGE]    prints the link, and the page's
 *   reindex here|server    makes the search index anew, or has the running server make it and watches
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>

/* Whether the words are one of these; then it has been done, and *status is the exit status. */
bool own_asked(int argc, char **argv, int *status);
