/* export.c: an account's own files, into a folder of its export: client.h, files_export_ask.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"
#include "bus/codec.h"
#include "files/inner.h"
#include "wire/json.h"
#include "wire/uri.h"

enum { VERSION = 1, NAME_BYTES_MAX = 230 };

struct export {
    struct db_read      read;
    struct store       *store;
    struct bus_request *rq;
    struct arena        arena;
    struct str          owner, url;
    char                dir[PATH_MAX];
    int                 dir_fd;
    json_t             *list;
    int64_t             count, bytes;
};

static void list_add(struct export *g, const struct file_row *row, struct str name)
{
    struct buf url;
    char       when[CLOCK_TEXT_BYTES], hex[BLOB_HEX_BYTES];
    struct str time = clock_format(row->made_us, when);

    buf_init(&url, 0);
    buf_put_str(&url, g->url);
    BUF_LIT(&url, STORE_PATH);
    slot_id_put(&url, row->id);
    buf_put_c(&url, '/');
    uri_put_segment(&url, row->name);
    blob_hex(row->hash, hex);
    json_array_append_new(g->list, json_pack("{s:s%,s:s%,s:s%,s:I,s:s%,s:s,s:s%}", "file", name.p, name.len, "name", row->name.p,
                                             row->name.len, "type", row->type.p, row->type.len, "bytes", (json_int_t)row->bytes, "uploaded",
                                             time.p, time.len, "sha256", hex, "url", url.p, url.len));
    buf_done(&url);
}

/* The end of a name, so that a number before it still fits into a file system. */
static struct str tail_of(struct str name)
{
    size_t skip = name.len > NAME_BYTES_MAX ? name.len - NAME_BYTES_MAX : 0;

    while (skip < name.len && ((unsigned char)name.p[skip] & 0xc0) == 0x80)
        skip++;
    return str_make(name.p + skip, name.len - skip);
}

static bool export_file(void *arg, const struct file_row *row, enum err *e)
{
    struct export *g = arg;
    struct str     tail = tail_of(row->name), name = arena_printf(&g->arena, "%lld-%.*s", (long long)g->count + 1, STR_ARG(tail));

    *e = blob_give(&g->store->blobs, row->hash, g->dir_fd, name.p);
    if (*e == ERR_NOT_FOUND) {
        *e = OK;                /* removed meanwhile, or at another site only */
        return true;
    }
    if (*e)
        return false;
    g->count++;
    g->bytes += row->bytes;
    list_add(g, row, name);
    return true;
}

static enum err write_list(struct export *g)
{
    int      fd = openat(g->dir_fd, "index.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    enum err e = OK;

    if (fd < 0)
        return err_from_errno(errno);
    if (json_dumpfd(g->list, fd, JSON_INDENT(2)) != 0 || fsync(fd) != 0 || fsync(g->dir_fd) != 0)
        e = ERR_IO;
    close(fd);
    return e;
}

static enum err export_work(struct db_conn *c, struct db_read *self)
{
    struct export *g = LIST_ITEM(self, struct export, read);
    enum err       e;

    g->dir_fd = open(g->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (g->dir_fd < 0)
        return err_from_errno(errno);
    g->list = json_array();
    e = catalog_each_of(c, g->owner, export_file, g);
    return e ? e : write_list(g);
}

static void export_end(struct export *g, enum err e)
{
    struct buf out;

    buf_init(&out, 0);
    codec_begin(&out, VERSION);
    codec_put_i64(&out, g->count);
    codec_put_i64(&out, g->bytes);
    bus_answer(g->rq, e, e ? STR_NULL : buf_str(&out));
    buf_done(&out);
    g->store->hands_off--;
    json_decref(g->list);
    if (g->dir_fd >= 0)
        close(g->dir_fd);
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

    *g = (struct export){ .read = { .work = export_work, .done = export_done }, .store = arg, .rq = rq, .dir_fd = -1 };
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
