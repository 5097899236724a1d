/* backup.c: a copy of the index and of every blob that it names, while people go on. No blob is removed meanwhile.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "bus/codec.h"
#include "files/inner.h"

enum { VERSION = 1, HASHES_AT_ONCE = 256 };

struct backup {
    struct db_read      read;
    struct store       *store;
    struct bus_request *rq;
    struct blobs        to;
    char                index[PATH_MAX], folder[PATH_MAX];
    struct arena        arena;
    struct str          why;
};

static enum err copy_all(struct backup *g, struct db_conn *c)
{
    uint8_t  hashes[HASHES_AT_ONCE][BLOB_HASH_BYTES], after[BLOB_HASH_BYTES] = { 0 };
    int      count;
    enum err e;

    do {
        e = catalog_hashes(c, after, hashes, HASHES_AT_ONCE, &count);
        for (int i = 0; i < count && !e; i++)
            e = blob_copy(&g->store->blobs, &g->to, hashes[i]);
        if (count)
            memcpy(after, hashes[count - 1], sizeof after);
    } while (!e && count == HASHES_AT_ONCE);
    if (e)
        g->why = arena_printf(&g->arena, "could not copy a file into \"%s\": %s", g->folder, err_info(e)->sentence);
    return e;
}

/* The index first, then the blobs: every row of the copy then has its bytes, and some bytes may have no row. */
static enum err backup_work(struct db_conn *c, struct db_read *self)
{
    struct backup *g = LIST_ITEM(self, struct backup, read);
    enum err       e = db_backup(c, g->index, &g->arena, &g->why);

    if (!e)
        e = blobs_open_copy(&g->to, g->folder, true, &g->arena, &g->why);
    if (e)
        return e;
    e = copy_all(g, c);
    if (!e)
        e = blobs_sync(&g->to);
    blobs_close(&g->to);
    return e;
}

static void backup_end(struct backup *g, enum err e)
{
    struct buf out = { 0 };

    codec_begin(&out, VERSION);
    codec_put_str(&out, g->why.p ? g->why : STR(""));
    bus_answer(g->rq, e, e ? buf_str(&out) : STR_NULL);
    g->store->hands_off--;
    buf_done(&out);
    arena_done(&g->arena);
    free(g);
}

static void backup_done(struct db_read *self, enum err e)
{
    backup_end(LIST_ITEM(self, struct backup, read), e);
}

/* "/x/web.db" → blobs in "/x/files" */
static bool paths_take(struct backup *g, struct str path)
{
    char *slash;

    if (!str_copy(path, g->index, sizeof g->index) || !str_copy(path, g->folder, sizeof g->folder - sizeof "files"))
        return false;
    slash = strrchr(g->folder, '/');
    if (!slash)
        return false;
    strcpy(slash + 1, "files");
    return true;
}

static void asked_backup(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct codec_reader r = codec_open(payload, VERSION);
    struct str          path = codec_str(&r, PATH_MAX);
    struct backup      *g = NEW(struct backup);
    enum err            e;

    *g = (struct backup){ .read = { .work = backup_work, .done = backup_done }, .store = arg, .rq = rq, .to = { -1, -1 } };
    g->store->hands_off++;
    arena_init(&g->arena);
    if (!codec_ok(&r) || memchr(path.p, 0, path.len) || !paths_take(g, path)) {
        backup_end(g, ERR_INVALID);
        return;
    }
    e = db_read_start(g->store->db, &g->read);
    if (e)
        backup_end(g, e);
}

void backup_init(struct store *st)
{
    bus_serve(st->bus, "web.backup", asked_backup, st);
}
