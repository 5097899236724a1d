/* settings.h: one settings file, described by tables. A table row is the
 * setting: name, type, default, bounds, and the sentence that documents it; the sample file, the
 * manual and `bongsu config check` are printed from the rows.
 *
 *   # one "name = value" per line; # starts a comment
 *   domain = town.example
 *
 * The environment overrides: BONGSU_TALK_ARCHIVE_DAYS for talk.archive_days.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum setting_type { SETTING_TEXT, SETTING_INT, SETTING_BOOL, SETTING_BYTES, SETTING_DURATION_MS, SETTING_PATH, SETTING_ADDRESSES };

struct setting {
    const char       *name;         /* "talk.stanza_bytes_max" */
    enum setting_type type;
    const char       *value;        /* default, as it would be written */
    int64_t           min, max;     /* numbers */
    bool              reloads;      /* taken up by a running server */
    const char       *help;         /* one or two sentences */
};

struct settings;
/* `tables`: NULL-ended list of arrays, each ended by a row with name NULL. */
enum err settings_new(const struct setting *const *tables, struct settings **out);
void     settings_free(struct settings **s);
/* Every mistake is one line in `report`: file:line: what, why, and what would be right. ERR_INVALID if there is any. */
enum err settings_load(struct settings *s, const char *path, struct buf *report);
enum err settings_load_env(struct settings *s, char *const *env, struct buf *report);
enum err settings_set(struct settings *s, const char *name, struct str value, struct buf *report);
const char *settings_text(const struct settings *s, const char *name);  /* asserts that the name is known */
int64_t  settings_int(const struct settings *s, const char *name);      /* INT, BYTES, DURATION_MS */
bool     settings_bool(const struct settings *s, const char *name);
void     settings_sample(const struct setting *const *tables, struct buf *out);   /* the documented sample file */
/* For a child: everything in force as "name = value" lines. */
void     settings_write(const struct settings *s, struct buf *out);
