/* devices.c: the devices of an account that hold a FAST token: listed, and ended.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "id/inner.h"

/* ---- listed ---- */

struct listing {
    struct buf rows;
    uint64_t   count;
};

static void device_row(void *arg, const struct ident_device *d)
{
    struct listing *g = arg;

    codec_put_u64(&g->rows, d->id);
    codec_put_str(&g->rows, d->software);
    codec_put_str(&g->rows, d->name);
    codec_put_i64(&g->rows, d->seen_us);
    codec_put_i64(&g->rows, d->expires_us);
    g->count++;
}

void devices_list(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str     typed = codec_str(r, IDENT_USER_BYTES_MAX), user;
    struct listing g = { 0 };
    enum err       e = codec_ok(r) ? account_name(&id->arena, typed, &user) : ERR_INVALID;

    (void)payload;
    buf_init(&g.rows, BUS_PAYLOAD_BYTES_MAX - 64);
    if (!e)
        e = fast_devices(id->env.conn, user, clock_us(), device_row, &g);
    buf_clear(&id->out);
    codec_begin(&id->out, IDENT_PAYLOAD_VERSION);
    codec_put_u64(&id->out, g.count);
    buf_put_str(&id->out, buf_str(&g.rows));
    bus_answer(rq, e, e ? STR_NULL : buf_str(&id->out));
    buf_done(&g.rows);
}

/* ---- ended: on the disk before it is told ---- */

struct ending {
    struct commit_op    op;
    struct ident       *ident;
    struct bus_request *rq;
    char               *user;
    uint64_t            device;
    bool                others;
};

static enum err end_apply(struct db_conn *c, struct commit_op *self)
{
    struct ending *g = LIST_ITEM(self, struct ending, op);

    return fast_end(c, str_of(g->user), g->device, g->others);
}

static void end_done(struct commit_op *self, enum err e)
{
    struct ending *g = LIST_ITEM(self, struct ending, op);

    if (!e)
        LOG_INFO("devices.logged_out", LF_Z("user", g->user), LF_I64("others", g->others));
    bus_answer(g->rq, e, STR_NULL);
    g->ident->change_count--;
    free(g->user);
    free(g);
}

void devices_end(struct ident *id, struct bus_request *rq, struct codec_reader *r, struct str payload)
{
    struct str     typed = codec_str(r, IDENT_USER_BYTES_MAX), user;
    uint64_t       device = codec_u64(r), others = codec_u64(r);
    enum err       e = codec_ok(r) ? account_name(&id->arena, typed, &user) : ERR_INVALID;
    struct ending *g;

    (void)payload;
    if (!e && id->change_count >= IDENT_CHANGES_MAX)
        e = ERR_LIMIT;
    if (e) {
        bus_answer(rq, e, STR_NULL);
        return;
    }
    id->change_count++;
    g = NEW(struct ending);
    *g = (struct ending){ .op = { .apply = end_apply, .done = end_done }, .ident = id, .rq = rq, .user = str_dup(user),
                          .device = device, .others = others != 0 };
    e = commit_add(id->db, &g->op);
    if (e)
        end_done(&g->op, e);
}
