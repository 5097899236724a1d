/* pg_server.h: the servers of a cluster: connecting to one of them, and finding which is the primary.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <libpq-fe.h>
#include "base/arena.h"
#include "base/err.h"

enum {
    PG_HOSTS_MAX = 16,
    PG_ASK_MS = 20,                 /* between two questions while there is no primary */
    PG_ASK_MEANWHILE_MS = 100,      /* while a batch is in flight */
};

struct pg_hosts;     /* a connection string, taken apart: one per host, nearest first */
struct pg_finder;    /* a connection to each host, which is asked whether it is the primary */

int64_t pg_now_us(void);            /* monotonic */

/* ERR_INVALID: the string or the schema's name is wrong. */
enum err    pg_hosts_new(const char *conninfo, const char *schema, struct pg_hosts **out, struct arena *a, struct str *why);
void        pg_hosts_free(struct pg_hosts **h);
int         pg_hosts_count(const struct pg_hosts *h);
const char *pg_hosts_name(const struct pg_hosts *h, int i);          /* "10.0.1.1:5432" */
const char *pg_hosts_schema(const struct pg_hosts *h);
/* Waits at most `ms`; NULL, and `error` says why. */
PGconn     *pg_hosts_connect(const struct pg_hosts *h, int i, int ms, char *error, size_t error_bytes);

struct pg_finder *pg_finder_new(const struct pg_hosts *h);
void pg_finder_free(struct pg_finder **f);
void pg_finder_rest(struct pg_finder *f);        /* closes its connections; the next round opens them anew */
/* Asks each host every `ask_ms`, connecting where there is no connection. Returns after `wait_ms`, or when something
 * was heard, or when `fd` (-1: none) is ready for `events` (as poll): what of them is returned. */
int  pg_finder_round(struct pg_finder *f, int fd, int events, int ask_ms, int wait_ms);
/* The primary of the highest timeline, if it is at least `timeline_min`: its connection is yours now. False while there is
 * none, and shortly after the first was heard, while others may still say that it is an old one. */
bool pg_finder_take(struct pg_finder *f, int64_t timeline_min, PGconn **out, int *host, int64_t *timeline);
bool pg_finder_newer(const struct pg_finder *f, int64_t timeline);    /* some host is primary with a higher one */
/* Another entry of the list than `host` leads to a primary of this timeline, which is the same one: there is but one of each. */
bool pg_finder_detour(const struct pg_finder *f, int64_t timeline, int host);
const char *pg_finder_words(const struct pg_finder *f);               /* why there is none, as the hosts said last */
