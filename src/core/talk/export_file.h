/* export_file.h: one file of an export: written beside its place, hashed on the way, and put there when it is whole.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/err.h"
#include "base/str.h"
#include "crypto/digest.h"

struct export_file {
    int                  fd;
    char                 path[4096], part[4096 + 8];
    int64_t              bytes;
    struct digest_state *sha;
    char                 hash[65];      /* after export_file_end */
};

enum err export_file_begin(struct export_file *f, const char *dir, const char *name);
enum err export_file_write(struct export_file *f, struct str bytes);
/* Synced and in its place; or, with `e` not OK, gone. Gives e, or what failed. */
enum err export_file_end(struct export_file *f, enum err e);
/* A small file at once. */
enum err export_file_put(const char *dir, const char *name, struct str bytes, char hash[65]);
