/* export_file.c: see export_file.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/export_file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum err export_file_begin(struct export_file *f, const char *dir, const char *name)
{
    *f = (struct export_file){ .fd = -1 };
    if (snprintf(f->path, sizeof f->path, "%s/%s", dir, name) >= (int)sizeof f->path)
        return ERR_INVALID;
    snprintf(f->part, sizeof f->part, "%s.part", f->path);
    f->fd = open(f->part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->fd < 0)
        return err_from_errno(errno);
    f->sha = digest_begin(DIGEST_SHA256);
    return OK;
}

enum err export_file_write(struct export_file *f, struct str bytes)
{
    digest_add(f->sha, bytes);
    f->bytes += (int64_t)bytes.len;
    while (bytes.len) {
        ssize_t n = write(f->fd, bytes.p, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_from_errno(errno);
        bytes = str_make(bytes.p + n, bytes.len - (size_t)n);
    }
    return OK;
}

static void sync_folder(const char *path)
{
    char        dir[4096];
    const char *slash = strrchr(path, '/');
    int         fd;

    str_copy(str_make(path, (size_t)(slash - path)), dir, sizeof dir);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

enum err export_file_end(struct export_file *f, enum err e)
{
    uint8_t sha[DIGEST_BYTES_MAX];

    if (f->fd < 0)
        return e;
    digest_end(&f->sha, sha);
    *hex_write(f->hash, sha, 32) = '\0';
    if (!e && fsync(f->fd) != 0)
        e = err_from_errno(errno);
    close(f->fd);
    f->fd = -1;
    if (!e && rename(f->part, f->path) != 0)
        e = err_from_errno(errno);
    if (e)
        unlink(f->part);
    else
        sync_folder(f->path);
    return e;
}

enum err export_file_put(const char *dir, const char *name, struct str bytes, char hash[65])
{
    struct export_file f;
    enum err           e = export_file_begin(&f, dir, name);

    if (!e)
        e = export_file_write(&f, bytes);
    e = export_file_end(&f, e);
    if (!e && hash)
        memcpy(hash, f.hash, sizeof f.hash);
    return e;
}
