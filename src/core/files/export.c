/* export.c: see export.h; and answering client.h's files_export_ask.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/export.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "bus/codec.h"
#include "files/inner.h"
#include "wire/json.h"
#include "wire/uri.h"

#define INDEX "index.json"
enum { VERSION = 1, NAME_BYTES_MAX = 230, HASH_CHARS = 12 /* before the name */ };

struct writing {
    const struct blobs       *blobs;
    struct str                url;
    int                       dir_fd;
    struct arena              arena;
    json_t                   *list;
    struct files_export_count count;
};

/* `name`: in the folder; p NULL: its bytes are not here. */
static void list_add(struct writing *w, const struct file_row *row, struct str name, const char *hex)
{
    json_t    *file;
    struct buf url;
    char       when[CLOCK_TEXT_BYTES];
    struct str time = clock_format(row->made_us, when);

    buf_init(&url, 0);
    buf_put_str(&url, w->url);
    BUF_LIT(&url, STORE_PATH);
    slot_id_put(&url, row->id);
    buf_put_c(&url, '/');
    uri_put_segment(&url, row->name);
    file = json_pack("{s:s%,s:s%,s:I,s:s%,s:s,s:s%}", "name", row->name.p, row->name.len, "type", row->type.p, row->type.len, "bytes",
                     (json_int_t)row->bytes, "uploaded", time.p, time.len, "sha256", hex, "url", url.p, url.len);
    if (name.p)
        json_object_set_new(file, "file", json_stringn(name.p, name.len));
    json_array_append_new(w->list, file);
    buf_done(&url);
}

/* "3fa9b0c1d2e3-photo.jpg": the same for the same bytes, however often it is exported, and nothing that a file system or a list of
 * sums stumbles over. Of a long name the end. */
static struct str name_of(struct arena *a, const char *hex, struct str name)
{
    size_t     skip = name.len > NAME_BYTES_MAX ? name.len - NAME_BYTES_MAX : 0;
    struct str out;

    while (skip < name.len && ((unsigned char)name.p[skip] & 0xc0) == 0x80)
        skip++;
    out = arena_printf(a, "%.*s-%.*s", HASH_CHARS, hex, (int)(name.len - skip), name.p + skip);
    for (size_t i = 0; i < out.len; i++)
        if (out.p[i] == '/' || out.p[i] == '\\' || (unsigned char)out.p[i] < 0x20 || out.p[i] == 0x7f)
            ((char *)out.p)[i] = '_';
    return out;
}

/* From an export that was cut off: what stands under its name is whole (blob_give). */
static bool is_given(const struct writing *w, const struct file_row *row, const char *name)
{
    struct stat st;

    return fstatat(w->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size == row->bytes;
}

static bool write_one(void *arg, const struct file_row *row, enum err *e)
{
    struct writing *w = arg;
    char            hex[BLOB_HEX_BYTES];
    struct str      name;

    blob_hex(row->hash, hex);
    name = name_of(&w->arena, hex, row->name);
    *e = is_given(w, row, name.p) ? OK : blob_give(w->blobs, row->hash, w->dir_fd, name.p);
    if (*e == ERR_NOT_FOUND) {
        w->count.missing++;     /* at another site only, or removed meanwhile */
        list_add(w, row, STR_NULL, hex);
        *e = OK;
        return true;
    }
    if (*e)
        return false;
    w->count.files++;
    w->count.bytes += row->bytes;
    list_add(w, row, name, hex);
    return true;
}

/* The list comes last, and whole: it says that all is there. */
static enum err write_list(struct writing *w)
{
    int      fd = openat(w->dir_fd, INDEX ".part", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum err e = OK;

    if (fd < 0)
        return err_from_errno(errno);
    if (json_dumpfd(w->list, fd, JSON_INDENT(2)) != 0 || fsync(fd) != 0)
        e = ERR_IO;
    close(fd);
    if (!e && (renameat(w->dir_fd, INDEX ".part", w->dir_fd, INDEX) != 0 || fsync(w->dir_fd) != 0))
        e = err_from_errno(errno);
    return e;
}

enum err files_export_write(struct db_conn *c, const struct blobs *b, struct str owner, struct str url, const char *dir,
                            struct files_export_count *out)
{
    struct writing w = { .blobs = b, .url = url, .dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), .list = json_array() };
    enum err       e;

    arena_init(&w.arena);
    e = w.dir_fd < 0 ? err_from_errno(errno) : OK;
    if (!e && faccessat(w.dir_fd, INDEX, F_OK, 0) != 0) {
        e = catalog_each_of(c, owner, write_one, &w);
        e = e ? e : write_list(&w);
    }
    *out = w.count;
    json_decref(w.list);
    if (w.dir_fd >= 0)
        close(w.dir_fd);
    arena_done(&w.arena);
    return e;
}

/* ---- the question ---- */

struct export {
    struct db_read            read;
    struct store             *store;
    struct bus_request       *rq;
    struct arena              arena;
    struct str                owner, url;
    char                      dir[PATH_MAX];
    struct files_export_count count;
};

static enum err export_work(struct db_conn *c, struct db_read *self)
{
    struct export *g = LIST_ITEM(self, struct export, read);

    return files_export_write(c, &g->store->blobs, g->owner, g->url, g->dir, &g->count);
}

static void export_end(struct export *g, enum err e)
{
    struct buf out;

    buf_init(&out, 0);
    codec_begin(&out, VERSION);
    codec_put_i64(&out, g->count.files);
    codec_put_i64(&out, g->count.bytes);
    bus_answer(g->rq, e, e ? STR_NULL : buf_str(&out));
    buf_done(&out);
    g->store->hands_off--;
    arena_done(&g->arena);
    free(g);
}

static void export_done(struct db_read *self, enum err e)
{
    export_end(LIST_ITEM(self, struct export, read), e);
}

static void asked_export(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct codec_reader r = codec_open(payload, VERSION);
    struct str          owner = codec_str(&r, SLOT_OWNER_BYTES_MAX), dir = codec_str(&r, PATH_MAX - 1);
    struct export      *g = NEW(struct export);
    enum err            e;

    *g = (struct export){ .read = { .work = export_work, .done = export_done }, .store = arg, .rq = rq };
    arena_init(&g->arena);
    g->store->hands_off++;
    if (!codec_ok(&r) || !owner.len || !dir.len || dir.p[0] != '/' || memchr(dir.p, 0, dir.len) || !str_copy(dir, g->dir, sizeof g->dir)) {
        export_end(g, ERR_INVALID);
        return;
    }
    g->owner = arena_str(&g->arena, owner);
    g->url = arena_str(&g->arena, str_of(g->store->url));
    e = db_read_start(g->store->db, &g->read);
    if (e)
        export_end(g, e);
}

void export_init(struct store *st)
{
    bus_serve(st->bus, "web.files.export", asked_export, st);
}
