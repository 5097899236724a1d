/* zip.h: an archive of files as they are, without compression, for people to download (APPNOTE 6.3.3: local headers, central
 * directory; ZIP64 §4.5.3 for what does not fit into 32 bits, so of any size).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

enum { ZIP_FILES_MAX = 250000 };      /* some 40 MB of directory, kept in memory until the end */

struct zip;
/* Written beside its place, which it takes with zip_end. */
enum err zip_begin(const char *path, struct zip **out);
/* For tests: sizes and places above `bytes_max`, and numbers above `files_max`, are written as if they were too large for the plain
 * records. Before the first file. */
void zip_make_large(struct zip *z, int64_t bytes_max, int files_max);
/* The file at `path`, under `name`. ERR_LIMIT: more than ZIP_FILES_MAX. */
enum err zip_add(struct zip *z, const char *path, const char *name);
/* With `e` not OK everything is given up. Gives e, or what failed. */
enum err zip_end(struct zip **z, enum err e);
uint32_t zip_crc32(uint32_t crc, struct str bytes);     /* begin with 0 */
