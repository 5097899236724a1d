/* check.h: `bongsu-talk --check FILE` and its like: work on one database. The roles do it, because they know their tables.
 * The server is named by BONGSU_DB_SERVER: a command line is for everyone to read, and a password may be in it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "db/db.h"

/* Whether the words are one of these; then it has been done, and *status is the exit status.
 *   --check FILE          proves the file
 *   --check-server .      proves the schema in PostgreSQL
 *   --move FILE           carries the file into the schema, and prints a line for each table */
bool check_asked(int argc, char **argv, const char *schema, const struct db_migration *migrations, int *status);

/* ---- for other work on the same database (own.c) ---- */

/* The schema on the server, if one is named; then `path` is not looked at. */
struct db_settings check_database(const char *schema, const char *path);
/* Says on standard error what failed, and why (empty: what `e` says), unless it is OK; gives the exit status. */
int check_tell(enum err e, const char *what, struct str why);
