/* export.h: an account's own files, into a folder of its export: each as `dir`/<begin of its hash>-<name>, and index.json, which says of
 * each its name, type, size, time, hash and link; one whose bytes are not on this site's disk has no "file" there. What an export
 * that was cut off has left there is not written again, and where index.json stands nothing is.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "files/blobs.h"
#include "files/catalog.h"

struct files_export_count { int64_t files, bytes, missing /* not on this site's disk */; };

/* On any connection. `url`: what links to files begin with; `dir` is there.
 *   ERR_NOT_FOUND  there is no such folder */
enum err files_export_write(struct db_conn *c, const struct blobs *b, struct str owner, struct str url, const char *dir,
                            struct files_export_count *out);
