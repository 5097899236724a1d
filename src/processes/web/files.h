/* files.h: the files of a folder, read once and held in memory.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/str.h"

enum { FILES_MAX = 2000, FILES_BYTES_MAX = 64 * 1024 * 1024, FILE_BYTES_MAX = 8 * 1024 * 1024, FILES_DEPTH_MAX = 8 };

struct file {
    struct str path;            /* "/assets/app-1f2e.js" */
    struct str bytes;
    struct str content_type;
    char       etag[36];        /* with its quotes: a digest of the bytes */
    bool       lasting;         /* its name changes with its bytes: caches may keep it for good */
    const struct file *br, *gz; /* the same compressed, when NAME.br and NAME.gz lie beside it; else NULL */
};

struct files {
    struct strmap by_path;
    struct arena  arena;
    int           count;
    size_t        bytes;
};

/* Dot files and links are left out. ERR_NOT_FOUND: there is no such folder (the files are then empty);
 * ERR_LIMIT: a bound above. `why` is in `f`'s arena. */
enum err files_read(struct files *f, const char *dir, struct str *why);
void     files_done(struct files *f);
const struct file *files_find(const struct files *f, struct str path);   /* NULL if absent; .br and .gz are no files of their own */
