/* zip.c: see zip.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/zip.h"
#include "base/buf.h"
#include "base/mem.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 256 * 1024,
    DATE_1980 = 0x21,           /* no clock: an export is the same whenever it is packed */
    VERSION_PLAIN = 20,
    VERSION_LARGE = 45,         /* ZIP64 */
    UNIX = 3 << 8,
    EXTRA_LARGE = 1,
    END_LARGE_BYTES = 44,       /* of the record, behind its own length */
};

struct zip {
    int        fd;
    char       path[4096], part[4096 + 8];
    int64_t    at;
    int64_t    bytes_max;       /* what is larger stands in ZIP64's fields: all ones is their sign in the plain ones */
    int        count, files_max;
    struct buf directory;
};

static pthread_once_t crc_once = PTHREAD_ONCE_INIT;
static uint32_t       crc_table[256];

static void crc_fill(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
        crc_table[i] = c;
    }
}

uint32_t zip_crc32(uint32_t crc, struct str bytes)
{
    pthread_once(&crc_once, crc_fill);
    crc = ~crc;
    for (size_t i = 0; i < bytes.len; i++)
        crc = crc_table[(crc ^ (uint8_t)bytes.p[i]) & 255] ^ crc >> 8;
    return ~crc;
}

static void put_16(struct buf *b, unsigned v)
{
    buf_put_c(b, (char)(v & 255));
    buf_put_c(b, (char)(v >> 8 & 255));
}

static void put_32(struct buf *b, uint32_t v)
{
    put_16(b, v & 0xFFFF);
    put_16(b, v >> 16);
}

static void put_64(struct buf *b, int64_t v)
{
    put_32(b, (uint32_t)((uint64_t)v & UINT32_MAX));
    put_32(b, (uint32_t)((uint64_t)v >> 32));
}

static enum err write_all(struct zip *z, struct str bytes)
{
    z->at += (int64_t)bytes.len;
    while (bytes.len) {
        ssize_t n = write(z->fd, bytes.p, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        bytes = str_make(bytes.p + n, bytes.len - (size_t)n);
    }
    return OK;
}

enum err zip_begin(const char *path, struct zip **out)
{
    struct zip *z = NEW(struct zip);

    snprintf(z->path, sizeof z->path, "%s", path);
    snprintf(z->part, sizeof z->part, "%s.part", z->path);
    buf_init(&z->directory, 0);
    zip_make_large(z, UINT32_MAX - 1, UINT16_MAX - 1);
    z->fd = open(z->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    *out = z;
    return z->fd < 0 ? err_from_errno(errno) : OK;
}

void zip_make_large(struct zip *z, int64_t bytes_max, int files_max)
{
    z->bytes_max = bytes_max;
    z->files_max = files_max;
}

/* ---- one file ---- */

struct entry {
    const char *name;
    uint32_t    crc;
    int64_t     bytes, start;
};

static bool is_large(const struct zip *z, int64_t n)
{
    return n > z->bytes_max;
}

/* `n`, or the sign that the extra field has it. */
static void put_small(struct buf *b, const struct zip *z, int64_t n)
{
    put_32(b, is_large(z, n) ? UINT32_MAX : (uint32_t)n);
}

/* What the local header and the directory say alike, from "version needed" to the name's length. */
static void put_entry(struct buf *b, const struct zip *z, const struct entry *f, bool large)
{
    put_16(b, large ? VERSION_LARGE : VERSION_PLAIN);
    put_16(b, 0x0800);      /* names are UTF-8 */
    put_16(b, 0);           /* as it is */
    put_16(b, 0);
    put_16(b, DATE_1980);
    put_32(b, f->crc);
    put_small(b, z, f->bytes);
    put_small(b, z, f->bytes);
    put_16(b, (unsigned)strlen(f->name));
}

static void put_local(struct buf *b, const struct zip *z, const struct entry *f)
{
    bool large = is_large(z, f->bytes);

    put_32(b, 0x04034B50);
    put_entry(b, z, f, large);
    put_16(b, large ? 20 : 0);
    buf_put_z(b, f->name);
    if (!large)
        return;
    put_16(b, EXTRA_LARGE);
    put_16(b, 16);
    put_64(b, f->bytes);
    put_64(b, f->bytes);
}

static void put_in_directory(struct buf *b, const struct zip *z, const struct entry *f)
{
    unsigned extra = (is_large(z, f->bytes) ? 16 : 0) + (is_large(z, f->start) ? 8 : 0);

    put_32(b, 0x02014B50);
    put_16(b, (extra ? VERSION_LARGE : VERSION_PLAIN) | UNIX);
    put_entry(b, z, f, extra > 0);
    put_16(b, extra ? extra + 4 : 0);
    put_16(b, 0);
    put_16(b, 0);
    put_16(b, 0);
    put_32(b, 0100600u << 16);
    put_small(b, z, f->start);
    buf_put_z(b, f->name);
    if (!extra)
        return;
    put_16(b, EXTRA_LARGE);
    put_16(b, extra);
    if (is_large(z, f->bytes)) {
        put_64(b, f->bytes);
        put_64(b, f->bytes);
    }
    if (is_large(z, f->start))
        put_64(b, f->start);
}

/* The first pass measures, the second copies. */
static enum err pass(struct zip *z, int fd, uint32_t *crc, int64_t *bytes, bool copies)
{
    char    *chunk = mem_new(CHUNK_BYTES);
    ssize_t  n;
    enum err e = OK;

    *bytes = 0;
    while (!e && (n = read(fd, chunk, CHUNK_BYTES)) != 0) {
        if (n < 0) {
            e = errno == EINTR ? OK : err_from_errno(errno);
            continue;
        }
        *bytes += n;
        if (copies)
            e = write_all(z, str_make(chunk, (size_t)n));
        else
            *crc = zip_crc32(*crc, str_make(chunk, (size_t)n));
    }
    free(chunk);
    return e;
}

static enum err add_open(struct zip *z, int fd, const char *name)
{
    struct entry f = { .name = name, .start = z->at };
    struct buf   head;
    int64_t      again;
    enum err     e = pass(z, fd, &f.crc, &f.bytes, false);

    if (!e && z->count == ZIP_FILES_MAX)
        e = ERR_LIMIT;
    if (e || lseek(fd, 0, SEEK_SET) < 0)
        return e ? e : err_from_errno(errno);
    buf_init(&head, 0);
    put_local(&head, z, &f);
    e = write_all(z, buf_str(&head));
    buf_done(&head);
    if (!e)
        e = pass(z, fd, &f.crc, &again, true);
    if (!e && again != f.bytes)
        e = ERR_IO;
    put_in_directory(&z->directory, z, &f);
    z->count++;
    return e;
}

enum err zip_add(struct zip *z, const char *path, const char *name)
{
    int      fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    enum err e;

    if (fd < 0)
        return err_from_errno(errno);
    e = add_open(z, fd, name);
    close(fd);
    return e;
}

/* ---- the end ---- */

/* The record of the end in 64 bits, and where it is. */
static void put_end_large(struct buf *b, const struct zip *z, int64_t start, int64_t bytes)
{
    put_32(b, 0x06064B50);
    put_64(b, END_LARGE_BYTES);
    put_16(b, VERSION_LARGE | UNIX);
    put_16(b, VERSION_LARGE);
    put_32(b, 0);
    put_32(b, 0);
    put_64(b, z->count);
    put_64(b, z->count);
    put_64(b, bytes);
    put_64(b, start);
    put_32(b, 0x07064B50);
    put_32(b, 0);
    put_64(b, start + bytes);
    put_32(b, 1);
}

static enum err directory_write(struct zip *z)
{
    struct buf *b = &z->directory;
    int64_t     start = z->at, bytes = (int64_t)b->len;
    bool        many = z->count > z->files_max;
    unsigned    count = many ? UINT16_MAX : (unsigned)z->count;

    if (many || is_large(z, start) || is_large(z, bytes))
        put_end_large(b, z, start, bytes);
    put_32(b, 0x06054B50);
    put_16(b, 0);
    put_16(b, 0);
    put_16(b, count);
    put_16(b, count);
    put_small(b, z, bytes);
    put_small(b, z, start);
    put_16(b, 0);
    return write_all(z, buf_str(b));
}

enum err zip_end(struct zip **zp, enum err e)
{
    struct zip *z = *zp;

    if (!e)
        e = directory_write(z);
    if (z->fd >= 0) {
        if (!e && fsync(z->fd) != 0)
            e = err_from_errno(errno);
        close(z->fd);
        if (!e && rename(z->part, z->path) != 0)
            e = err_from_errno(errno);
        if (e)
            unlink(z->part);
    }
    buf_done(&z->directory);
    free(z);
    *zp = NULL;
    return e;
}
