/* slots.c: who may upload: slots, sizes, quotas. Slots are given by web, because it knows what is on the disk; talk only asks.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/metric.h"
#include "bus/codec.h"
#include "files/client.h"
#include "files/usage.h"
#include "wire/uri.h"

METRIC_COUNTER(slots, "bongsu_files_slots", "Upload slots given out.");
METRIC_COUNTER(slots_refused, "bongsu_files_slots_refused", "Upload slots refused: too large, or a quota.");

enum { VERSION = 1, TEXT_BYTES_MAX = 4096 };

enum err slots_judge(struct store *st, const struct slot *s, uint64_t *reason, int64_t *value)
{
    const struct usage *u;
    enum err            e;

    *reason = FILES_TOO_LARGE;
    *value = st->bytes_max;
    if (s->bytes > st->bytes_max)
        return ERR_LIMIT;
    e = usage_find(st, s->owner, &u);
    if (e)
        return e;
    *reason = FILES_ACCOUNT_FULL;
    *value = st->account_bytes_max > u->all ? st->account_bytes_max - u->all : 0;
    if (*value == 0 || s->bytes > *value)
        return ERR_LIMIT;
    *reason = FILES_DAY_FULL;
    *value = (u->oldest_us ? u->oldest_us : clock_us()) + (int64_t)USAGE_DAY_S * 1000000;
    return u->today + s->bytes > st->day_bytes_max ? ERR_LIMIT : OK;
}

static void answer_slot(struct store *st, struct bus_request *rq, const struct slot *s)
{
    struct buf out, url, token;

    buf_init(&url, 0);
    buf_init(&token, 0);
    buf_init(&out, BUS_PAYLOAD_BYTES_MAX);
    buf_put_z(&url, st->url);
    BUF_LIT(&url, STORE_PATH);
    slot_id_put(&url, s->id);
    buf_put_c(&url, '/');
    uri_put_segment(&url, s->name);
    slot_sign(&token, &st->key, s);
    codec_begin(&out, VERSION);
    codec_put_str(&out, buf_str(&url));
    codec_put_str(&out, buf_str(&token));
    bus_answer(rq, OK, buf_str(&out));
    metric_add(&slots, 1);
    buf_done(&out);
    buf_done(&url);
    buf_done(&token);
}

static void answer_refusal(struct bus_request *rq, enum err e, uint64_t reason, int64_t value)
{
    struct buf out;

    buf_init(&out, 0);
    codec_begin(&out, VERSION);
    codec_put_u64(&out, reason);
    codec_put_i64(&out, value);
    bus_answer(rq, e, e == ERR_LIMIT ? buf_str(&out) : STR_NULL);
    metric_add(&slots_refused, 1);
    buf_done(&out);
}

static enum err slot_make(struct store *st, struct arena *a, struct codec_reader *r, struct slot *s)
{
    struct str name, type;

    *s = (struct slot){ .kind = SLOT_UPLOAD, .made_us = clock_us() };
    s->owner = codec_str(r, SLOT_OWNER_BYTES_MAX);
    name = codec_str(r, TEXT_BYTES_MAX);
    s->bytes = codec_i64(r);
    type = codec_str(r, TEXT_BYTES_MAX);
    if (!codec_ok(r) || s->owner.len == 0 || name.len == 0 || s->bytes < 0)
        return ERR_INVALID;
    s->name = slot_name(a, name);
    s->type = type.len ? slot_type(a, type) : STR("");
    if (!s->type.p)
        return ERR_INVALID;
    slot_id_new(&st->key, s->id);
    return OK;
}

static void asked_slot(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct store       *st = arg;
    struct codec_reader r = codec_open(payload, VERSION);
    struct arena        a;
    struct slot         s;
    uint64_t            reason = 0;
    int64_t             value = 0;
    enum err            e = st->has_key ? OK : ERR_UNAVAILABLE;

    arena_init(&a);
    if (!e)
        e = slot_make(st, &a, &r, &s);
    if (!e)
        e = slots_judge(st, &s, &reason, &value);
    if (e)
        answer_refusal(rq, e, reason, value);
    else
        answer_slot(st, rq, &s);
    arena_done(&a);
}

void slots_init(struct store *st)
{
    bus_serve(st->bus, "web.files.slot", asked_slot, st);
}
