/* common.h: what all processes agree on: every setting of the server, where
 * the settings file is, and which listening sockets belong to whom.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "proc/proc.h"
#include "proc/settings.h"

#define COMMON_SETTINGS_PATH "/etc/bongsu/bongsu.conf"

/* Roles say so with this exit status when a person has to mend something first: not worth a restart. */
enum { EXIT_NEEDS_MENDING = 78 };

extern const struct setting common_settings[];
/* Every table of the server, NULL-ended. */
extern const struct setting *const all_settings[];

/* Where the settings are: `given` (may be NULL), else $BONGSU_CONFIG, else COMMON_SETTINGS_PATH. */
const char *common_settings_path(const char *given);
/* File, then environment. A missing file is fine only where nobody named one and BONGSU_DOMAIN is set.
 * Relative paths become absolute: data_dir below the working directory, all others below data_dir. */
enum err common_load(const char *given, struct settings **out, struct buf *report);
/* What a role reads: the file that the keeper wrote, with everything decided. */
enum err common_load_decided(const char *path, struct settings **out, struct buf *report);
bool     common_log_level(const char *text, enum log_level *out);   /* "info" */
void     common_log_setup(const char *process, const struct settings *s);

/* ---- talk's workers: "talk", "talk2", "talk3" … ---- */
enum { TALK_WORKERS_MAX = 16 };
bool common_is_clustered(const struct settings *s);     /* the database and the bus are shared with other machines */
bool common_is_reaching_out(const struct settings *s);  /* one of the two is */
int  common_talk_workers(const struct settings *s);
int  common_worker_number(const char *role);            /* 1 for "talk", 2 for "talk2"; 0: no worker of talk */

/* run_dir/name */
struct str common_run_path(const struct settings *s, struct arena *a, const char *name);

/* ---- doors: listening sockets, opened by whoever may, passed by name ---- */
enum { DOORS_MAX = 64 };
struct door {
    const char *role;       /* "talk" */
    const char *setting;    /* "talk.listen" */
    const char *name;       /* "starttls": passed as starttls0, starttls1, … */
    bool        optional;   /* metrics, federation: an address in use is told, not fatal */
    bool        local;      /* without TLS: addresses of this machine only */
    bool        alone;      /* the first worker's, not shared with the further ones */
};
extern const struct door common_doors[];        /* ended by role NULL */

/* Opens every socket of `role` ("": of all roles). A further worker of talk shares the first one's, and has only
 * its own for metrics: the port is raised by its number less one. Names live in `a`. What fails is told in `report`. */
enum err doors_open(const struct settings *s, const char *role, struct proc_fd *out, int fd_max, int *fd_count,
                    struct arena *a, struct buf *report);
/* "host:port" split; the first address of a setting, or empty. */
struct str door_first(const struct settings *s, const char *setting);
bool       door_is_alone(const char *name);     /* "bosh0" */
int        door_port(struct str address);       /* 0 if it has none */
