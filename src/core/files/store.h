/* store.h: uploaded files as the web process keeps them: blobs, their index, and what is answered about them over HTTP
 * and over the bus.
 *
 * On the bus (version 1 of codec.h):
 *   web.files.slot     owner, name, bytes i64, type     url, token; ERR_LIMIT: reason u64, value i64 (client.h)
 *   web.files.status   -                                files, bytes, bytes on the disk, uploads, owed to peers: i64 each
 *   web.files.export   owner, folder                    count i64, bytes i64 (client.h)
 *   web.backup         path of the copy of the index    -, or with an error: sentence. The blobs go into "files" beside it
 * It hears account.deleted, and forgets the files of that account, here and at the peers.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/bus.h"
#include "db/db.h"
#include "net/http.h"
#include "proc/settings.h"

#define STORE_PATH "/files/"

struct store;

/* `s` is read here and in store_reload only. */
enum err store_new(struct loop *l, struct bus *b, const struct settings *s, struct store **out, struct arena *a, struct str *why);
void     store_free(struct store **st);
void     store_reload(struct store *st, const struct settings *s);
const char *store_trouble(const struct store *st);      /* NULL: none */

/* For http_server.request and .stream: false if the path is not below STORE_PATH. */
bool store_request(struct store *st, struct http_exchange *x, const struct http_request *r);
bool store_stream(struct store *st, struct http_exchange *x, const struct http_request *r);
