/* check.h: `bongsu-talk --check FILE`: proves one database. The roles do it, because they know their tables.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "db/db.h"

/* Says on standard output that it is whole, or on standard error what is wrong; returns the exit status. */
int check_database(const char *path, const struct db_migration *migrations);
