/* settings.c: see settings.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/settings.h"

const struct setting files_settings[] = {
    { "files.folder", SETTING_PATH, "files", 0, 0, false,
      "Where uploaded files are, on a file system with room for them. Their index, web.db, is in data_dir." },
    { "files.url", SETTING_TEXT, "", 0, 0, true,
      "What uploads and downloads begin with, when a proxy stands before web: \"https://files.town.example\". Empty: https://domain:port"
      " of web.listen." },
    { "files.bytes_max", SETTING_BYTES, "100M", 1, INT64_MAX / 2, true, "The largest file that may be uploaded (XEP-0363)." },
    { "files.account_bytes_max", SETTING_BYTES, "5G", 0, INT64_MAX / 2, true, "All files of one account together; each counts as 4 KiB at least." },
    { "files.day_bytes_max", SETTING_BYTES, "1G", 0, INT64_MAX / 2, true, "What one account may upload in 24 hours." },
    { "files.keep_time_max", SETTING_DURATION_MS, "0s", 0, INT64_MAX / 1000, true,
      "How long a file is kept; 0s keeps it for ever." },
    { "files.uploads_max", SETTING_INT, "64", 1, 1000, true, "Uploads under way at one time; others are told to come back." },
    { "files.uploads_per_account_max", SETTING_INT, "10", 1, 1000, true, "Those of one account, so that nobody takes all of them." },
    { "files.threads", SETTING_INT, "2", 1, 16, false, "Threads that write files." },
    { "files.peers", SETTING_TEXT, "", 0, 0, false,
      "The web.listen addresses of the other sites, \"10.0.2.1:5280,10.0.3.1:5280\": each keeps a copy of every file. They show the"
      " certificate of this domain." },
    { "files.copy_wait_max", SETTING_DURATION_MS, "3s", 0, 60000, true,
      "How long an upload's answer waits until another site has a copy, while one can be reached. 0s: not at all." },
    { "files.peers_ca", SETTING_PATH, "", 0, 0, false, "Who vouches for that certificate (PEM). Empty: the system's authorities." },
    { 0 },
};

struct str files_index_path(const struct settings *s, struct arena *a)
{
    return arena_printf(a, "%s/web.db", settings_text(s, "data_dir"));
}

struct str files_url(const struct settings *s, struct arena *a)
{
    struct str given = str_of(settings_text(s, "files.url")), listen = str_of(settings_text(s, "web.listen")), port;

    while (str_ends(given, STR("/")))
        given.len--;
    if (given.len)
        return arena_str(a, given);
    port = str_trim(str_split(&listen, ','));
    while (str_find(port, ':') >= 0)
        str_split(&port, ':');
    return arena_printf(a, "https://%s:%.*s", settings_text(s, "domain"), STR_ARG(port));
}
