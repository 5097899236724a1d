/* count.c: how much there is: for web.files.status and the metrics. Counted on a reading thread, for with a million files
 * it takes a second.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/mem.h"
#include "base/metric.h"
#include "bus/codec.h"
#include "files/inner.h"

METRIC_GAUGE(files, "bongsu_files", "Files here.");
METRIC_GAUGE(bytes, "bongsu_files_bytes", "Their bytes.");
METRIC_GAUGE(blob_bytes, "bongsu_files_blob_bytes", "Their bytes on the disk, equal ones counted once.");
METRIC_GAUGE(owed, "bongsu_files_owed", "Files that other sites do not have yet, counted for each.");

enum { VERSION = 1 };

struct count {
    struct db_read      read;
    struct store       *store;
    struct bus_request *rq;             /* NULL: nobody asked */
    int64_t             files, bytes, blob_bytes, owed;
};

static enum err look(struct db_conn *c, struct db_read *self)
{
    struct count *k = LIST_ITEM(self, struct count, read);

    return catalog_total(c, &k->files, &k->bytes, &k->blob_bytes, &k->owed);
}

static void answer(struct count *k, enum err e)
{
    struct buf out;

    buf_init(&out, 0);
    codec_begin(&out, VERSION);
    codec_put_i64(&out, k->files);
    codec_put_i64(&out, k->bytes);
    codec_put_i64(&out, k->blob_bytes);
    codec_put_i64(&out, k->store->receipt_count);
    codec_put_i64(&out, k->owed);
    bus_answer(k->rq, e, e ? STR_NULL : buf_str(&out));
    buf_done(&out);
}

static void looked(struct db_read *self, enum err e)
{
    struct count *k = LIST_ITEM(self, struct count, read);

    if (k->rq)
        answer(k, e);
    if (!e) {
        metric_set(&files, k->files);
        metric_set(&bytes, k->bytes);
        metric_set(&blob_bytes, k->blob_bytes);
        metric_set(&owed, k->owed);
    }
    free(k);
}

void count_now(struct store *st, struct bus_request *rq)
{
    struct count *k = NEW(struct count);
    enum err      e;

    *k = (struct count){ .read = { .work = look, .done = looked }, .store = st, .rq = rq };
    e = db_read_start(st->db, &k->read);
    if (e)
        looked(&k->read, e);
}
