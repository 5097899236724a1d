/* settings.c: courier's settings.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/settings.h"

const struct setting courier_settings[] = {
    { "courier.database", SETTING_PATH, "courier.db", 0, 0, false,
      "What waits to leave the house, below data_dir unless it is an absolute path." },
    { 0 },
};

struct db_settings courier_database(const struct settings *s, struct arena *a)
{
    const char *path = settings_text(s, "courier.database");

    return (struct db_settings){
        .server = settings_text(s, "db.server"), .schema = "courier", .read_workers = 1,
        .path = path[0] == '/' ? arena_printf(a, "%s", path).p : arena_printf(a, "%s/%s", settings_text(s, "data_dir"), path).p,
    };
}
