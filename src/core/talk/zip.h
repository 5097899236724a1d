/* zip.h: an archive of files as they are, without compression, for people to download (APPNOTE 6.3.3: local headers, central
 * directory; no ZIP64, so up to 4 GB).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

enum { ZIP_FILES_MAX = 60000 };

struct zip;
/* Written beside its place, which it takes with zip_end. */
enum err zip_begin(const char *path, struct zip **out);
/* The file at `path`, under `name`. ERR_LIMIT: more than the format holds. */
enum err zip_add(struct zip *z, const char *path, const char *name);
/* With `e` not OK everything is given up. Gives e, or what failed. */
enum err zip_end(struct zip **z, enum err e);
uint32_t zip_crc32(uint32_t crc, struct str bytes);     /* begin with 0 */
