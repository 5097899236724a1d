/* powercut_vfs.c: a layer over SQLite's unix VFS. Databases, logs and journals are held
 * as images in memory with a list of what was done since the last sync; the real file sees
 * only what was synced. All connections of the process share an image, as they would the
 * page cache. Locks and the WAL index go to the real file: SQLite rebuilds the index
 * whenever its first opener comes, as after a reboot.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/str.h"
#include "db/powercut.h"

enum { SECTOR_BYTES = 512 };

struct change {                    /* unsynced; bytes == NULL: truncate to `at` */
    struct change *next;
    char          *bytes;
    int64_t        at;
    int64_t        len;
};

struct image {
    struct image  *next;
    char          *path;
    char          *bytes;
    int64_t        len, cap;
    struct change *first, **last;
    int            opens;
};

struct cut_file {
    sqlite3_file   base;
    struct image  *image;          /* NULL: a temporary file, passed through */
    sqlite3_file  *real;           /* behind this struct */
};

static struct {
    pthread_mutex_t    mutex;
    sqlite3_vfs       *below;
    sqlite3_vfs        vfs;
    struct image      *images;
    int                syncs, cut_at;
    enum powercut_mode mode;
    uint64_t           seed;
    bool               happened, kill;
} cut = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* ---- images ---- */

static void image_forget_changes(struct image *im)
{
    struct change *next;

    for (struct change *ch = im->first; ch; ch = next) {
        next = ch->next;
        free(ch->bytes);
        free(ch);
    }
    im->first = NULL;
    im->last = &im->first;
}

static void image_free(struct image *im)
{
    image_forget_changes(im);
    free(im->bytes);
    free(im->path);
    free(im);
}

static void image_grow(struct image *im, int64_t len)
{
    if (len > im->cap) {
        int64_t cap = len + len / 2 + 65536;

        im->bytes = mem_resize(im->bytes, (size_t)cap);
        memset(im->bytes + im->cap, 0, (size_t)(cap - im->cap));
        im->cap = cap;
    }
    if (len > im->len)
        im->len = len;
}

static void image_load(struct image *im)
{
    int fd = open(im->path, O_RDONLY | O_CLOEXEC);
    char chunk[65536];
    ssize_t n;

    if (fd < 0)
        return;
    while ((n = read(fd, chunk, sizeof chunk)) > 0) {
        int64_t at = im->len;

        image_grow(im, at + n);
        memcpy(im->bytes + at, chunk, (size_t)n);
    }
    close(fd);
}

static struct image *image_open(const char *path)
{
    struct image *im;

    for (im = cut.images; im; im = im->next)
        if (strcmp(im->path, path) == 0)
            break;
    if (!im) {
        im = NEW(struct image);
        im->path = str_dup(str_of(path));
        im->last = &im->first;
        image_load(im);
        im->next = cut.images;
        cut.images = im;
    }
    im->opens++;
    return im;
}

static void image_drop(const char *path)
{
    for (struct image **p = &cut.images; *p; p = &(*p)->next) {
        struct image *im = *p;

        if (strcmp(im->path, path) != 0)
            continue;
        *p = im->next;
        image_free(im);
        return;
    }
}

static void change_add(struct image *im, const void *bytes, int64_t at, int64_t len)
{
    struct change *ch = NEW(struct change);

    ch->bytes = bytes ? mem_copy(bytes, (size_t)len) : NULL;
    ch->at = at;
    ch->len = len;
    *im->last = ch;
    im->last = &ch->next;
}

static bool write_real(int fd, const char *p, int64_t len, int64_t at)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, p, (size_t)len, at);

        if (n <= 0)
            return false;
        p += n;
        at += n;
        len -= n;
    }
    return true;
}

static uint64_t dice(void)
{
    cut.seed ^= cut.seed << 13;            /* xorshift64: a run repeats from its seed */
    cut.seed ^= cut.seed >> 7;
    cut.seed ^= cut.seed << 17;
    return cut.seed;
}

/* What the disk happened to have written when the power went: whole sectors, in no order. */
static bool write_torn(int fd, const struct change *ch)
{
    for (int64_t at = 0; at < ch->len; at += SECTOR_BYTES) {
        int64_t len = ch->len - at < SECTOR_BYTES ? ch->len - at : SECTOR_BYTES;

        if (dice() % 2 && !write_real(fd, ch->bytes + at, len, ch->at + at))
            return false;
    }
    return true;
}

static bool image_to_disk(struct image *im, bool torn)
{
    int fd = open(im->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    bool good = fd >= 0;

    for (const struct change *ch = im->first; ch && good; ch = ch->next) {
        if (torn)
            good = ch->bytes ? write_torn(fd, ch) : true;
        else
            good = ch->bytes ? write_real(fd, ch->bytes, ch->len, ch->at) : ftruncate(fd, ch->at) == 0;
    }
    if (fd >= 0)
        close(fd);
    image_forget_changes(im);
    return good;
}

static void power_goes(void)
{
    cut.happened = true;
    for (struct image *im = cut.images; im; im = im->next) {
        if (cut.mode == POWERCUT_TORN)
            image_to_disk(im, true);
        image_forget_changes(im);
    }
    if (cut.kill)
        kill(getpid(), SIGKILL);
}

/* ---- sqlite3_io_methods; the mutex stands for the machine's one kernel ---- */

static struct cut_file *cut_of(sqlite3_file *f)
{
    return (struct cut_file *)f;
}

static int cut_close(sqlite3_file *f)
{
    struct cut_file *c = cut_of(f);

    if (c->image) {
        pthread_mutex_lock(&cut.mutex);
        c->image->opens--;           /* the image stays: unsynced data outlives a closed file */
        pthread_mutex_unlock(&cut.mutex);
    }
    return c->real->pMethods ? c->real->pMethods->xClose(c->real) : SQLITE_OK;
}

static int cut_read(sqlite3_file *f, void *to, int len, sqlite3_int64 at)
{
    struct image *im = cut_of(f)->image;
    int64_t have;

    pthread_mutex_lock(&cut.mutex);
    if (cut.happened) {
        pthread_mutex_unlock(&cut.mutex);
        return SQLITE_IOERR_READ;
    }
    have = im->len > at ? im->len - at : 0;
    if (have > len)
        have = len;
    if (have > 0)
        memcpy(to, im->bytes + at, (size_t)have);
    pthread_mutex_unlock(&cut.mutex);
    memset((char *)to + have, 0, (size_t)(len - have));
    return have == len ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int cut_write(sqlite3_file *f, const void *from, int len, sqlite3_int64 at)
{
    struct image *im = cut_of(f)->image;
    bool gone;

    pthread_mutex_lock(&cut.mutex);
    gone = cut.happened;
    if (!gone) {
        image_grow(im, at + len);
        memcpy(im->bytes + at, from, (size_t)len);
        change_add(im, from, at, len);
    }
    pthread_mutex_unlock(&cut.mutex);
    return gone ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int cut_truncate(sqlite3_file *f, sqlite3_int64 len)
{
    struct image *im = cut_of(f)->image;
    bool gone;

    pthread_mutex_lock(&cut.mutex);
    gone = cut.happened;
    if (!gone) {
        if (len < im->len)
            memset(im->bytes + len, 0, (size_t)(im->len - len));
        image_grow(im, len);
        im->len = len;
        change_add(im, NULL, len, 0);
    }
    pthread_mutex_unlock(&cut.mutex);
    return gone ? SQLITE_IOERR_TRUNCATE : SQLITE_OK;
}

static int cut_sync(sqlite3_file *f, int flags)
{
    bool good;

    pthread_mutex_lock(&cut.mutex);
    if (!cut.happened && ++cut.syncs == cut.cut_at)
        power_goes();
    good = !cut.happened && image_to_disk(cut_of(f)->image, false);
    pthread_mutex_unlock(&cut.mutex);
    return good ? SQLITE_OK : SQLITE_IOERR_FSYNC;
}

static int cut_size(sqlite3_file *f, sqlite3_int64 *out)
{
    pthread_mutex_lock(&cut.mutex);
    *out = cut_of(f)->image->len;
    pthread_mutex_unlock(&cut.mutex);
    return SQLITE_OK;
}

/* The rest goes to the real file. */
static int real_lock(sqlite3_file *f, int level) { return cut_of(f)->real->pMethods->xLock(cut_of(f)->real, level); }
static int real_unlock(sqlite3_file *f, int level) { return cut_of(f)->real->pMethods->xUnlock(cut_of(f)->real, level); }
static int real_reserved(sqlite3_file *f, int *out)
{
    return cut_of(f)->real->pMethods->xCheckReservedLock(cut_of(f)->real, out);
}
static int real_sector(sqlite3_file *f) { return SECTOR_BYTES; }
static int real_traits(sqlite3_file *f) { return 0; }   /* promises nothing: no atomic writes, no order */
static int real_shm_map(sqlite3_file *f, int region, int bytes, int extend, void volatile **out)
{
    return cut_of(f)->real->pMethods->xShmMap(cut_of(f)->real, region, bytes, extend, out);
}
static int real_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return cut_of(f)->real->pMethods->xShmLock(cut_of(f)->real, offset, n, flags);
}
static void real_shm_barrier(sqlite3_file *f) { cut_of(f)->real->pMethods->xShmBarrier(cut_of(f)->real); }
static int real_shm_unmap(sqlite3_file *f, int unlink_it)
{
    return cut_of(f)->real->pMethods->xShmUnmap(cut_of(f)->real, unlink_it);
}

/* Size hints and chunk sizes would write to the real file behind our back. */
static int cut_control(sqlite3_file *f, int op, void *arg)
{
    if (op == SQLITE_FCNTL_SIZE_HINT || op == SQLITE_FCNTL_CHUNK_SIZE || op == SQLITE_FCNTL_MMAP_SIZE)
        return SQLITE_NOTFOUND;
    return cut_of(f)->real->pMethods->xFileControl(cut_of(f)->real, op, arg);
}

static const sqlite3_io_methods cut_methods = {
    .iVersion = 2, .xClose = cut_close, .xRead = cut_read, .xWrite = cut_write, .xTruncate = cut_truncate,
    .xSync = cut_sync, .xFileSize = cut_size, .xLock = real_lock, .xUnlock = real_unlock,
    .xCheckReservedLock = real_reserved, .xFileControl = cut_control, .xSectorSize = real_sector,
    .xDeviceCharacteristics = real_traits, .xShmMap = real_shm_map, .xShmLock = real_shm_lock,
    .xShmBarrier = real_shm_barrier, .xShmUnmap = real_shm_unmap,
};

/* ---- sqlite3_vfs ---- */

static int cut_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *out_flags)
{
    struct cut_file *c = cut_of(f);
    int code;

    if (!name || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)))
        return cut.below->xOpen(cut.below, name, f, flags, out_flags);
    *c = (struct cut_file){ .real = (sqlite3_file *)(c + 1) };
    code = cut.below->xOpen(cut.below, name, c->real, flags, out_flags);
    if (code != SQLITE_OK)
        return code;
    pthread_mutex_lock(&cut.mutex);
    c->image = image_open(name);
    pthread_mutex_unlock(&cut.mutex);
    c->base.pMethods = &cut_methods;
    return SQLITE_OK;
}

static int cut_delete(sqlite3_vfs *vfs, const char *name, int sync_dir)
{
    bool gone;

    pthread_mutex_lock(&cut.mutex);
    gone = cut.happened;
    if (!gone)
        image_drop(name);
    pthread_mutex_unlock(&cut.mutex);
    return gone ? SQLITE_IOERR_DELETE : cut.below->xDelete(cut.below, name, sync_dir);
}

/* SQLite takes an empty file for an absent one; what is not synced is there all the same. */
static int cut_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
    bool known = false;

    pthread_mutex_lock(&cut.mutex);
    for (const struct image *im = cut.images; im && !known; im = im->next)
        known = im->len > 0 && strcmp(im->path, name) == 0;
    pthread_mutex_unlock(&cut.mutex);
    if (!known || flags != SQLITE_ACCESS_EXISTS)
        return cut.below->xAccess(cut.below, name, flags, out);
    *out = 1;
    return SQLITE_OK;
}

/* ---- for tests ---- */

static void vfs_register(void)
{
    sqlite3_initialize();
    cut.below = sqlite3_vfs_find(NULL);
    cut.vfs = *cut.below;                  /* paths, time, randomness, loading: as below */
    cut.vfs.zName = "powercut";
    cut.vfs.pNext = NULL;
    cut.vfs.szOsFile = (int)sizeof(struct cut_file) + cut.below->szOsFile;
    cut.vfs.xOpen = cut_open;
    cut.vfs.xDelete = cut_delete;
    cut.vfs.xAccess = cut_access;
    sqlite3_vfs_register(&cut.vfs, 1);
}

void db_powercut_vfs_register(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, vfs_register);
}

void db_powercut_arm(int n, enum powercut_mode mode, uint64_t seed)
{
    pthread_mutex_lock(&cut.mutex);
    cut.syncs = 0;
    cut.cut_at = n;
    cut.mode = mode;
    cut.seed = seed ? seed : 1;
    pthread_mutex_unlock(&cut.mutex);
}

void db_powercut_now(void)
{
    pthread_mutex_lock(&cut.mutex);
    power_goes();
    pthread_mutex_unlock(&cut.mutex);
}

bool db_powercut_happened(void)
{
    bool happened;

    pthread_mutex_lock(&cut.mutex);
    happened = cut.happened;
    pthread_mutex_unlock(&cut.mutex);
    return happened;
}

int db_powercut_syncs(void)
{
    int n;

    pthread_mutex_lock(&cut.mutex);
    n = cut.syncs;
    pthread_mutex_unlock(&cut.mutex);
    return n;
}

void db_powercut_reset(void)
{
    pthread_mutex_lock(&cut.mutex);
    while (cut.images) {
        struct image *im = cut.images;

        cut.images = im->next;
        image_free(im);
    }
    cut.happened = false;
    cut.cut_at = cut.syncs = 0;
    pthread_mutex_unlock(&cut.mutex);
}

void db_powercut_from_env(const char *text)
{
    char *rest;
    long n = strtol(text, &rest, 10);

    if (n <= 0)
        return;
    db_powercut_vfs_register();
    db_powercut_arm((int)n, strcmp(rest, ":torn") == 0 ? POWERCUT_TORN : POWERCUT_DROP, (uint64_t)n);
    cut.kill = true;
}
