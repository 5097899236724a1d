/* store.c: the life of the store: its folder, index, key and clock.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/codec.h"
#include "files/peers.h"
#include "files/receive.h"
#include "files/rows.h"
#include "files/usage.h"
#include "id/ident.h"

enum { VERSION = 1, TICK_MS = 1000, KEY_AGAIN_MS = 500 };

/* ---- the key: ident's, the same at all sites ---- */

static void key_ask(struct store *st);

static void key_again(struct timer *t)
{
    key_ask(LIST_ITEM(t, struct store, key_again));
}

static void key_came(void *arg, enum err e, struct str key)
{
    struct store *st = arg;

    if (!e && key.len == SLOT_KEY_BYTES) {
        memcpy(st->key.bytes, key.p, SLOT_KEY_BYTES);
        st->has_key = true;
        peers_wake(st);
    } else {
        timer_start(st->loop, &st->key_again, KEY_AGAIN_MS, key_again);
    }
}

static void key_ask(struct store *st)
{
    if (ident_key(st->bus, "files", key_came, st))
        timer_start(st->loop, &st->key_again, KEY_AGAIN_MS, key_again);
}

/* ---- the bus ---- */

static void asked_status(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    count_now(arg, rq);
}

static void account_deleted(void *arg, struct str subject, struct str payload)
{
    struct codec_reader r = codec_open(payload, VERSION);
    struct str          owner = codec_str(&r, SLOT_OWNER_BYTES_MAX);

    if (codec_ok(&r) && owner.len)
        sweep_owner(arg, owner, clock_us(), true);
}

/* ---- life ---- */

static void ticked(struct timer *t)
{
    struct store *st = LIST_ITEM(t, struct store, tick);

    timer_start(st->loop, t, TICK_MS, ticked);
    sweep_tick(st);
    peers_wake(st);
}

static char *url_of(const struct settings *s)
{
    struct arena a;
    char        *url;

    arena_init(&a);
    url = str_dup(files_url(s, &a));
    arena_done(&a);
    return url;
}

void store_reload(struct store *st, const struct settings *s)
{
    free(st->url);
    st->url = url_of(s);
    st->bytes_max = settings_int(s, "files.bytes_max");
    st->account_bytes_max = settings_int(s, "files.account_bytes_max");
    st->day_bytes_max = settings_int(s, "files.day_bytes_max");
    st->keep_us_max = settings_int(s, "files.keep_time_max") * 1000;
    st->copy_wait_ms = (int)settings_int(s, "files.copy_wait_max");
    st->uploads_max = (int)settings_int(s, "files.uploads_max");
    st->uploads_per_account_max = (int)settings_int(s, "files.uploads_per_account_max");
}

static enum err open_all(struct store *st, const struct settings *s, struct arena *a, struct str *why)
{
    struct db_settings d = { .path = files_index_path(s, a).p, .read_workers = 1 };
    enum err           e = blobs_open(&st->blobs, settings_text(s, "files.folder"), a, why);

    if (!e)
        e = db_open(st->loop, &d, catalog_migrations, &st->db, a, why);
    if (!e)
        e = peers_init(st, s, a, why);
    if (e)
        return e;
    *why = STR("could not start the threads that write files");
    return pool_new(st->loop, (int)settings_int(s, "files.threads"), &st->pool);
}

enum err store_new(struct loop *l, struct bus *b, const struct settings *s, struct store **out, struct arena *a, struct str *why)
{
    struct store *st = NEW(struct store);
    enum err      e;

    st->loop = l;
    st->bus = b;
    st->blobs = (struct blobs){ -1, -1 };
    st->domain = str_dup(str_of(settings_text(s, "domain")));
    list_init(&st->receipts);
    list_init(&st->pulls);
    rows_init(st);
    usage_init(st);
    store_reload(st, s);
    e = open_all(st, s, a, why);
    if (e) {
        store_free(&st);
        return e;
    }
    *why = STR_NULL;
    slots_init(st);
    backup_init(st);
    export_init(st);
    bus_serve(b, "web.files.status", asked_status, st);
    bus_subscribe(b, "account.deleted", account_deleted, st);
    sweep_init(st);
    key_ask(st);
    timer_start(l, &st->tick, TICK_MS, ticked);
    *out = st;
    return OK;
}

/* First the threads, whose work may still be written; then the index; then those who waited for either. */
void store_free(struct store **stp)
{
    struct store *st = *stp;

    if (!st)
        return;
    *stp = NULL;
    __atomic_store_n(&st->closing, true, __ATOMIC_RELAXED);      /* a reading thread looks at it too */
    timer_stop(st->loop, &st->tick);
    timer_stop(st->loop, &st->key_again);
    pool_free(&st->pool);
    if (st->db)
        peers_stop(st);
    db_close(&st->db);
    receive_end_all(st);
    peers_free(st);
    rows_clear(st);
    usage_clear(st);
    blobs_close(&st->blobs);
    mem_wipe(&st->key, sizeof st->key);
    free(st->domain);
    free(st->url);
    free(st);
}

const char *store_trouble(const struct store *st)
{
    switch (commit_health(st->db)) {
    case OK:
        return st->has_key ? NULL : "ident has not given the key of uploads yet: files can be read, not uploaded";
    case ERR_FULL:
        return "the disk is full: files can be read, not uploaded";
    default:
        return "the index of files cannot be written: files can be read, not uploaded";
    }
}
