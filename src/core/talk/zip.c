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

enum { CHUNK_BYTES = 256 * 1024, DATE_1980 = 0x21 /* no clock: an export is the same whenever it is packed */ };

struct zip {
    int        fd;
    char       path[4096], part[4096 + 8];
    int64_t    at;
    int        count;
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

static enum err write_all(struct zip *z, struct str bytes)
{
    z->at += (int64_t)bytes.len;
    if (z->at > UINT32_MAX)
        return ERR_LIMIT;
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
    z->fd = open(z->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    *out = z;
    return z->fd < 0 ? err_from_errno(errno) : OK;
}

/* What the local header and the directory say alike, from "version needed" on. */
static void put_entry(struct buf *b, uint32_t crc, uint32_t bytes, const char *name)
{
    put_16(b, 20);
    put_16(b, 0x0800);      /* names are UTF-8 */
    put_16(b, 0);           /* as it is */
    put_16(b, 0);
    put_16(b, DATE_1980);
    put_32(b, crc);
    put_32(b, bytes);
    put_32(b, bytes);
    put_16(b, (unsigned)strlen(name));
    put_16(b, 0);
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
    uint32_t   crc = 0;
    int64_t    bytes, again, start = z->at;
    struct buf head;
    enum err   e = pass(z, fd, &crc, &bytes, false);

    if (!e && (z->count == ZIP_FILES_MAX || bytes > UINT32_MAX))
        e = ERR_LIMIT;
    if (e || lseek(fd, 0, SEEK_SET) < 0)
        return e ? e : err_from_errno(errno);
    buf_init(&head, 0);
    put_32(&head, 0x04034B50);
    put_entry(&head, crc, (uint32_t)bytes, name);
    buf_put_z(&head, name);
    e = write_all(z, buf_str(&head));
    buf_done(&head);
    if (!e)
        e = pass(z, fd, &crc, &again, true);
    if (!e && again != bytes)
        e = ERR_IO;
    put_32(&z->directory, 0x02014B50);
    put_16(&z->directory, 20 | 3 << 8);     /* made on Unix */
    put_entry(&z->directory, crc, (uint32_t)bytes, name);
    put_16(&z->directory, 0);
    put_16(&z->directory, 0);
    put_16(&z->directory, 0);
    put_32(&z->directory, 0100600u << 16);
    put_32(&z->directory, (uint32_t)start);
    buf_put_z(&z->directory, name);
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

static enum err directory_write(struct zip *z)
{
    uint32_t start = (uint32_t)z->at, bytes = (uint32_t)z->directory.len;

    put_32(&z->directory, 0x06054B50);
    put_16(&z->directory, 0);
    put_16(&z->directory, 0);
    put_16(&z->directory, (unsigned)z->count);
    put_16(&z->directory, (unsigned)z->count);
    put_32(&z->directory, bytes);
    put_32(&z->directory, start);
    put_16(&z->directory, 0);
    return write_all(z, buf_str(&z->directory));
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
