/* settings.c: courier's settings.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/settings.h"

const struct setting courier_settings[] = {
    { "courier.database", SETTING_PATH, "courier.db", 0, 0, false,
      "What waits to leave the house, below data_dir unless it is an absolute path." },
    { "courier.push_contact", SETTING_TEXT, "", 0, 0, true,
      "Whom a push service may ask when something is wrong with what we send: mailto: or https:. Empty: the domain's postmaster." },
    { "courier.push_retry_time", SETTING_DURATION_MS, "10s", 100, 3600000, true,
      "How long a notification waits that a push service could not take; twice as long each time, and at least as long as it says." },
    { "courier.push_queue_max", SETTING_INT, "100000", 1, 100000000, true,
      "Notifications that may wait; beyond it messengers keep theirs and ask again later." },
    { "courier.push_ca", SETTING_PATH, "", 0, 0, false,
      "Whose certificates push services may show (PEM). Empty: those that the system trusts." },
    { "courier.push_private", SETTING_BOOL, "no", 0, 0, false,
      "Pushes to private addresses and by plain HTTP too. A stranger could then make us speak to what only we can reach: for tests." },
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
