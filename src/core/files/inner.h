/* inner.h: what the files of the store share. Not for other folders.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/hash.h"
#include "db/commit.h"
#include "files/blobs.h"
#include "files/catalog.h"
#include "files/settings.h"
#include "files/slot.h"
#include "files/store.h"
#include "net/pool.h"

struct peer;

struct store {
    struct loop    *loop;
    struct bus     *bus;
    struct db      *db;
    struct pool    *pool;
    struct blobs    blobs;
    struct slot_key key;
    bool            has_key;        /* from ident; until then there are no slots and no uploads */
    struct timer    key_again, tick;
    int             tick_count;
    char           *domain, *url;   /* "https://town.example:5280" */
    int64_t         bytes_max, account_bytes_max, day_bytes_max, keep_us_max;
    int             uploads_max, uploads_per_account_max, copy_wait_ms;
    struct list     receipts;       /* receive.c: files that are coming */
    int             receipt_count;
    int             hands_off;      /* no blob is removed: a backup is being made */
    bool            closing, spare_pending;
    struct peer    *peers[FILES_PEERS_MAX];
    int             peer_count;
    struct strmap   rows;           /* rows.c */
    struct arena    rows_arena;
    struct strmap   usage;          /* usage.c */
    struct tls_ctx *peer_tls;       /* NULL: peers are spoken to in clear, as our own web is */
    struct list     pulls;          /* peers.c: files that are asked for at other sites */
    int             pull_count;
};

/* ---- http.c ---- */
/* Answers a GET or HEAD whose file is here. */
void http_give(struct store *st, struct http_exchange *x, const struct file_row *row, struct str range, struct str none_match,
               struct str match, struct str if_range, bool head);
void http_refuse(struct http_exchange *x, int status, const char *more_headers, const char *text);
#define FILES_CORS "Access-Control-Allow-Origin: *\r\n" \
    "Access-Control-Expose-Headers: Upload-Offset, Upload-Complete, Upload-Limit, Content-Range, Accept-Ranges, ETag\r\n"

/* ---- backup.c ---- */
void backup_init(struct store *st);

/* ---- export.c ---- */
void export_init(struct store *st);

/* ---- sweep.c: what goes by rule, and what a crash left ---- */
void sweep_init(struct store *st);
void sweep_tick(struct store *st);              /* once a second */
void sweep_owner(struct store *st, struct str owner, int64_t before_us, bool tell_peers);

/* ---- count.c ---- */
void count_now(struct store *st, struct bus_request *rq);      /* answers `rq`, unless NULL */

/* ---- slots.c ---- */
void slots_init(struct store *st);
/* ERR_LIMIT: *reason and *value as in client.h. */
enum err slots_judge(struct store *st, const struct slot *s, uint64_t *reason, int64_t *value);
