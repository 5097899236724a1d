/* fetch.h: asks several HTTP servers for JSON at once, and waits; for commands, not for roles.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <jansson.h>
#include "base/str.h"

enum { FETCH_BYTES_MAX = 1024 * 1024 };

struct fetch {
    struct str  base;       /* "http://10.0.1.1:8008" or https://, a numeric address; borrowed */
    const char *path;       /* "/cluster" */
    json_t     *answer;     /* NULL: there is none, and `why` says why not; else json_decref it */
    char        why[128];
};

/* `ca`: the authority behind https, a PEM file; NULL or "": the system's. Takes `ms` at most. */
void fetch_all(struct fetch *f, int count, const char *ca, int ms);
