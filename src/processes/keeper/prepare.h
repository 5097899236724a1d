/* prepare.h: what must stand before a role may start: folders, owner, lock, the decided settings.
 * Used by the keeper and by `one`.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "proc/settings.h"

#define PREPARE_SETTINGS_NAME "settings.conf"

/* Decides "user", makes data_dir and run_dir, takes the lock (held until the process ends), and looks for the
 * certificate. What is wrong is told in `report` with what to do. */
enum err prepare_all(struct settings *s, struct buf *report);
/* data_dir/lock, held by the server and by tools. ERR_EXISTS: somebody else holds it. */
enum err prepare_lock(const char *data_dir, int *fd);
/* Decides "user" only. */
enum err prepare_user(struct settings *s, struct buf *report);
/* Writes every setting in force to run_dir/settings.conf, at once, for the roles' user. */
enum err prepare_settings_file(const struct settings *s, struct arena *a, struct str *path, struct buf *report);
/* Gives a file to the roles' user; does nothing unless root. */
enum err prepare_give(const struct settings *s, const char *path);
/* Reads the settings again. Rows that a running server does not take up keep their old value, each told in
 * `report`. OK: *current is the new ones and the file for the roles is written; else nothing has changed. */
enum err prepare_reload(const char *config, struct settings **current, struct arena *a, struct buf *report);
