/* files.c: see files.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "web/files.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "crypto/digest.h"

static const struct { const char *ending, *type; } types[] = {
    { ".html", "text/html; charset=utf-8" },
    { ".js", "text/javascript; charset=utf-8" },
    { ".css", "text/css; charset=utf-8" },
    { ".json", "application/json" },
    { ".webmanifest", "application/manifest+json" },
    { ".svg", "image/svg+xml" },
    { ".png", "image/png" },
    { ".ico", "image/x-icon" },
    { ".woff2", "font/woff2" },
    { ".wasm", "application/wasm" },
    { ".txt", "text/plain; charset=utf-8" },
    { ".map", "application/json" },
};

static struct str type_of(struct str path)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (str_ends(path, str_of(types[i].ending)))
            return str_of(types[i].type);
    return STR("application/octet-stream");
}

static void put_etag(struct file *file)
{
    uint8_t sum[DIGEST_BYTES_MAX];
    char   *at = file->etag;

    digest(DIGEST_SHA256, file->bytes, sum);
    *at++ = '"';
    at = hex_write(at, sum, 16);
    *at++ = '"';
    *at = '\0';
}

/* "/app.js.br" beside "/app.js" is the same file in fewer bytes. */
static void pair_up(struct files *f, struct file *file)
{
    bool         br = str_ends(file->path, STR(".br")), gz = str_ends(file->path, STR(".gz"));
    struct str   plain = str_make(file->path.p, file->path.len - (br || gz ? 3 : 0));
    struct file *other;

    if (br || gz) {
        other = strmap_get(&f->by_path, plain);
        if (other)
            *(br ? &other->br : &other->gz) = file;
        return;
    }
    file->br = strmap_get(&f->by_path, arena_printf(&f->arena, "%.*s.br", STR_ARG(file->path)));
    file->gz = strmap_get(&f->by_path, arena_printf(&f->arena, "%.*s.gz", STR_ARG(file->path)));
}

static enum err read_all(int fd, char *out, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        ssize_t n = read(fd, out + done, bytes - done);

        if (n == 0)
            return ERR_IO;          /* it became shorter meanwhile */
        if (n < 0 && errno != EINTR)
            return err_from_errno(errno);
        if (n > 0)
            done += (size_t)n;
    }
    return OK;
}

static enum err add_file(struct files *f, int fd, size_t bytes, struct str path)
{
    struct file *file = ARENA_NEW(&f->arena, struct file);
    char        *p;
    enum err     e;

    if (bytes > FILE_BYTES_MAX || ++f->count > FILES_MAX || (f->bytes += bytes) > FILES_BYTES_MAX)
        return ERR_LIMIT;
    p = arena_alloc(&f->arena, bytes + 1);
    e = read_all(fd, p, bytes);
    if (e)
        return e;
    file->path = path;
    file->bytes = str_make(p, bytes);
    file->content_type = type_of(path);
    file->lasting = str_starts(path, STR("/assets/"));
    put_etag(file);
    strmap_put(&f->by_path, file->path, file);
    pair_up(f, file);
    return OK;
}

static enum err add_folder(struct files *f, int fd, struct str prefix, int depth);

/* `fd` is closed here or handed on. */
static enum err add_entry(struct files *f, int fd, struct str path, int depth)
{
    struct stat st;
    enum err    e = OK;

    if (fstat(fd, &st) != 0)
        e = err_from_errno(errno);
    else if (S_ISDIR(st.st_mode))
        return add_folder(f, fd, path, depth + 1);
    else if (S_ISREG(st.st_mode))
        e = add_file(f, fd, (size_t)st.st_size, path);
    close(fd);
    return e;
}

/* Takes `fd` over. */
static enum err add_folder(struct files *f, int fd, struct str prefix, int depth)
{
    DIR           *dir = depth <= FILES_DEPTH_MAX ? fdopendir(fd) : NULL;
    struct dirent *entry;
    enum err       e = OK;

    if (!dir) {
        close(fd);
        return ERR_LIMIT;
    }
    while (!e && (entry = readdir(dir))) {
        int child;

        if (entry->d_name[0] == '.')
            continue;
        child = openat(dirfd(dir), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (child >= 0)
            e = add_entry(f, child, arena_printf(&f->arena, "%.*s/%s", STR_ARG(prefix), entry->d_name), depth);
        else if (errno != ELOOP)
            e = err_from_errno(errno);
    }
    closedir(dir);
    return e;
}

enum err files_read(struct files *f, const char *dir, struct str *why)
{
    int      fd;
    enum err e;

    *f = (struct files){ .count = 0 };
    strmap_init(&f->by_path);
    arena_init(&f->arena);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    e = fd < 0 ? err_from_errno(errno) : add_folder(f, fd, STR(""), 0);
    if (e)
        *why = arena_printf(&f->arena, "could not read the app's files in \"%s\": %s", dir, err_info(e)->sentence);
    return e;
}

void files_done(struct files *f)
{
    strmap_done(&f->by_path);
    arena_done(&f->arena);
}

const struct file *files_find(const struct files *f, struct str path)
{
    return str_ends(path, STR(".br")) || str_ends(path, STR(".gz")) ? NULL : strmap_get(&f->by_path, path);
}
