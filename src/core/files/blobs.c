/* blobs.c: see blobs.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/blobs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fault.h"

enum { PATH_BYTES = 3 + BLOB_HEX_BYTES, BOOT_BYTES_MAX = 40 };

/* ---- names ---- */

void blob_hex(const uint8_t hash[BLOB_HASH_BYTES], char out[BLOB_HEX_BYTES]) { *hex_write(out, hash, BLOB_HASH_BYTES) = '\0'; }
static void part_name(const uint8_t id[SLOT_ID_BYTES], char out[SLOT_ID_BYTES * 2 + 1]) { *hex_write(out, id, SLOT_ID_BYTES) = '\0'; }

static bool unhex(const char *text, uint8_t *out, size_t bytes)
{
    if (strlen(text) != bytes * 2 || strspn(text, "0123456789abcdef") != bytes * 2)
        return false;
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(hex_value(text[i * 2]) << 4 | hex_value(text[i * 2 + 1]));
    return true;
}

/* "3f/3fa9…" */
static void blob_path(const uint8_t hash[BLOB_HASH_BYTES], char out[PATH_BYTES])
{
    blob_hex(hash, out + 3);
    memcpy(out, out + 3, 2);
    out[2] = '/';
}

/* ---- folders ---- */

static int folder(int at, const char *path)
{
    if (mkdirat(at, path, 0700) == 0)
        fsync(at);
    else if (errno != EEXIST)
        return -1;
    return openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* All of them now, so that no upload waits for, or forgets, that the group of its blob is durable. */
static bool make_groups(int at)
{
    char group[3];

    for (int i = 0; i < 256; i++) {
        snprintf(group, sizeof group, "%02x", i);
        if (mkdirat(at, group, 0700) != 0 && errno != EEXIST)
            return false;
    }
    return fsync(at) == 0;
}

static void boot_name(char out[BOOT_BYTES_MAX + 8])
{
    char    id[BOOT_BYTES_MAX + 1] = "";
    int     fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, id, BOOT_BYTES_MAX);

    if (fd >= 0)
        close(fd);
    id[n > 0 ? n : 0] = '\0';
    id[strcspn(id, "\n")] = '\0';
    snprintf(out, BOOT_BYTES_MAX + 8, "parts-%s", id);
}

static void empty_folder(int at, const char *name)
{
    int            fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR           *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        unlinkat(fd, entry->d_name, 0);
    if (dir)
        closedir(dir);
    unlinkat(at, name, AT_REMOVEDIR);
}

static void forget_other_boots(int at, const char *ours)
{
    DIR           *dir = fdopendir(dup(at));
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (strncmp(entry->d_name, "parts-", 6) == 0 && strcmp(entry->d_name, ours) != 0)
            empty_folder(at, entry->d_name);
    if (dir)
        closedir(dir);
}

enum err blobs_open(struct blobs *b, const char *path, struct arena *a, struct str *why)
{
    char     parts[BOOT_BYTES_MAX + 8];
    int      at = folder(AT_FDCWD, path);
    enum err e = OK;

    boot_name(parts);
    b->blobs_fd = at < 0 ? -1 : folder(at, "blobs");
    b->parts_fd = b->blobs_fd < 0 || !make_groups(b->blobs_fd) ? -1 : folder(at, parts);
    if (b->parts_fd < 0) {
        e = err_from_errno(errno);
        *why = arena_printf(a, "could not use the folder of uploaded files \"%s\": %s", path, strerror(errno));
        blobs_close(b);
    } else {
        forget_other_boots(at, parts);
    }
    if (at >= 0)
        close(at);
    return e;
}

enum err blobs_open_copy(struct blobs *b, const char *path, bool make, struct arena *a, struct str *why)
{
    int      at = make ? folder(AT_FDCWD, path) : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = OK;

    b->parts_fd = -1;
    b->blobs_fd = at < 0 ? -1 : folder(at, "blobs");
    if (b->blobs_fd < 0) {
        e = err_from_errno(errno);
        *why = arena_printf(a, "could not use the folder \"%s\": %s", path, strerror(errno));
    }
    if (at >= 0)
        close(at);
    return e;
}

void blobs_close(struct blobs *b)
{
    if (b->blobs_fd >= 0)
        close(b->blobs_fd);
    if (b->parts_fd >= 0)
        close(b->parts_fd);
    b->blobs_fd = b->parts_fd = -1;
}

/* ---- blobs ---- */

int blob_read(const struct blobs *b, const uint8_t hash[BLOB_HASH_BYTES])
{
    char path[PATH_BYTES];

    blob_path(hash, path);
    return openat(b->blobs_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
}

bool blob_is_there(const struct blobs *b, const uint8_t hash[BLOB_HASH_BYTES])
{
    char        path[PATH_BYTES];
    struct stat st;

    blob_path(hash, path);
    return fstatat(b->blobs_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

enum err blob_remove(const struct blobs *b, const uint8_t hash[BLOB_HASH_BYTES])
{
    char path[PATH_BYTES];

    blob_path(hash, path);
    return unlinkat(b->blobs_fd, path, 0) == 0 || errno == ENOENT ? OK : err_from_errno(errno);
}

static enum err copy_bytes(int from, int to)
{
    char    chunk[65536];
    ssize_t n;

    while ((n = read(from, chunk, sizeof chunk)) > 0)
        for (ssize_t done = 0, w; done < n; done += w) {
            w = write(to, chunk + done, (size_t)(n - done));
            if (w < 0)
                return err_from_errno(errno);
        }
    return n < 0 || fsync(to) != 0 ? err_from_errno(errno) : OK;
}

/* Under another name first, so that nothing half copied stands under its own. */
enum err blob_give(const struct blobs *b, const uint8_t hash[BLOB_HASH_BYTES], int dir, const char *name)
{
    static const char fresh[] = ".copying";
    int      in = blob_read(b, hash), out;
    enum err e = in < 0 ? err_from_errno(errno) : OK;

    if (e)
        return e;
    out = openat(dir, fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    e = out < 0 ? err_from_errno(errno) : copy_bytes(in, out);
    if (!e && renameat(dir, fresh, dir, name) != 0)
        e = err_from_errno(errno);
    close(in);
    if (out >= 0)
        close(out);
    return e;
}

enum err blob_copy(const struct blobs *b, const struct blobs *to, const uint8_t hash[BLOB_HASH_BYTES])
{
    char path[PATH_BYTES], group[3];

    blob_path(hash, path);
    snprintf(group, sizeof group, "%.2s", path);
    if (mkdirat(to->blobs_fd, group, 0700) != 0 && errno != EEXIST)
        return err_from_errno(errno);
    if (linkat(b->blobs_fd, path, to->blobs_fd, path, 0) == 0 || errno == EEXIST)
        return OK;
    return errno == ENOENT ? ERR_NOT_FOUND : blob_give(b, hash, to->blobs_fd, path);
}

static bool folder_each(int at, const char *name, bool (*fn)(void *arg, const char *name), void *arg)
{
    int            fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR           *dir = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool           more = true;

    while (dir && more && (entry = readdir(dir)))
        more = entry->d_name[0] == '.' || fn(arg, entry->d_name);
    if (dir)
        closedir(dir);
    return more;
}

struct each {
    const struct blobs *blobs;
    bool              (*blob)(void *arg, const uint8_t hash[BLOB_HASH_BYTES]);
    bool              (*part)(void *arg, const uint8_t id[SLOT_ID_BYTES]);
    void               *arg;
};

static bool each_blob(void *arg, const char *name)
{
    struct each *k = arg;
    uint8_t      hash[BLOB_HASH_BYTES];

    return !unhex(name, hash, sizeof hash) || k->blob(k->arg, hash);
}

static bool each_group(void *arg, const char *name)
{
    return folder_each(((struct each *)arg)->blobs->blobs_fd, name, each_blob, arg);
}

static bool each_part(void *arg, const char *name)
{
    struct each *k = arg;
    uint8_t      id[SLOT_ID_BYTES];

    return !unhex(name, id, sizeof id) || k->part(k->arg, id);
}

enum err blobs_each(const struct blobs *b, bool (*fn)(void *arg, const uint8_t hash[BLOB_HASH_BYTES]), void *arg)
{
    struct each k = { .blobs = b, .blob = fn, .arg = arg };

    folder_each(b->blobs_fd, ".", each_group, &k);
    return OK;
}

enum err parts_each(const struct blobs *b, bool (*fn)(void *arg, const uint8_t id[SLOT_ID_BYTES]), void *arg)
{
    struct each k = { .blobs = b, .part = fn, .arg = arg };

    folder_each(b->parts_fd, ".", each_part, &k);
    return OK;
}

/* ---- parts ---- */

enum err part_open(const struct blobs *b, const uint8_t id[SLOT_ID_BYTES], bool fresh, int64_t bytes, int *fd_out)
{
    char     name[SLOT_ID_BYTES * 2 + 1];
    enum err e = FAULT("files.open");
    int      fd;

    if (e)
        return e;
    part_name(id, name);
    fd = openat(b->parts_fd, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (fresh ? O_CREAT | O_TRUNC : 0), 0600);
    if (fd < 0)
        return err_from_errno(errno);
    /* Where the file system cannot reserve, a full disk shows later. */
    if (bytes && fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes) != 0 && errno != EOPNOTSUPP && errno != ENOSYS) {
        e = err_from_errno(errno);
        close(fd);
        if (fresh)
            unlinkat(b->parts_fd, name, 0);
        return e;
    }
    *fd_out = fd;
    return OK;
}

int64_t part_bytes(const struct blobs *b, const uint8_t id[SLOT_ID_BYTES])
{
    char        name[SLOT_ID_BYTES * 2 + 1];
    struct stat st;

    part_name(id, name);
    return fstatat(b->parts_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? (int64_t)st.st_size : -1;
}

void part_remove(const struct blobs *b, const uint8_t id[SLOT_ID_BYTES])
{
    char name[SLOT_ID_BYTES * 2 + 1];

    part_name(id, name);
    unlinkat(b->parts_fd, name, 0);
}

static enum err sync_group(const struct blobs *b, const char *group)
{
    int      fd = openat(b->blobs_fd, group, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err e = fd < 0 || fsync(fd) != 0 ? err_from_errno(errno) : OK;

    if (fd >= 0)
        close(fd);
    return e;
}

enum err part_place(const struct blobs *b, const uint8_t id[SLOT_ID_BYTES], const uint8_t hash[BLOB_HASH_BYTES])
{
    char     name[SLOT_ID_BYTES * 2 + 1], path[PATH_BYTES], group[3];
    enum err e = FAULT("files.place");

    if (e)
        return e;
    part_name(id, name);
    blob_path(hash, path);
    snprintf(group, sizeof group, "%.2s", path);
    if (blob_is_there(b, hash)) {
        unlinkat(b->parts_fd, name, 0);
        return sync_group(b, group);        /* who placed it may not have come so far */
    }
    if (renameat(b->parts_fd, name, b->blobs_fd, path) != 0)
        return err_from_errno(errno);
    return sync_group(b, group);
}

static bool sync_one(void *arg, const char *name)
{
    const struct blobs *b = arg;

    return sync_group(b, name) == OK;
}

enum err blobs_sync(const struct blobs *b)
{
    if (!folder_each(b->blobs_fd, ".", sync_one, (void *)b))
        return ERR_IO;
    return fsync(b->blobs_fd) == 0 ? OK : err_from_errno(errno);
}
