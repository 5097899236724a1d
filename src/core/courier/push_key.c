/* push_key.c: the key that signs for us (RFC 8292), made once, by whichever courier is first asked for it.
 * Courier's database is in no backup, as what is on its way out must not leave twice. So the messengers keep
 * a copy, and bring it with their question: a courier that has lost its database takes it back, and browsers
 * stay subscribed. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/log.h"
#include "base/mem.h"
#include "courier/push_inner.h"
#include <stdlib.h>

static struct db_sql key_select = {"SELECT private FROM push_key WHERE id = 1"};
static struct db_sql key_insert = {"INSERT INTO push_key(id, private) VALUES (1, ?1) ON CONFLICT DO NOTHING"};

static void key_answer(const struct push *p, struct bus_request *rq)
{
    uint8_t public[WEBPUSH_PUBLIC_BYTES], private[WEBPUSH_PRIVATE_BYTES];
    struct buf out;

    webpush_key_public(p->key, public);
    webpush_key_private(p->key, private);
    buf_init(&out, 0);
    codec_begin(&out, COURIER_PAYLOAD_VERSION);
    codec_put_bytes(&out, str_make((const char *)public, sizeof public));
    codec_put_bytes(&out, str_make((const char *)private, sizeof private));
    bus_answer(rq, OK, buf_str(&out));
    mem_wipe(out.p, out.len);
    mem_wipe(private, sizeof private);
    buf_done(&out);
}

/* Whoever asked before it was there; without one, they ask again. */
void push_key_askers_answer(struct push *p)
{
    for (int i = 0; i < p->key_asker_count; i++) {
        if (p->key)
            key_answer(p, p->key_askers[i]);
        else
            bus_answer(p->key_askers[i], ERR_UNAVAILABLE, STR_NULL);
    }
    p->key_asker_count = 0;
}

struct key_op {
    struct db_read read;
    struct commit_op op;
    struct push *push;
    bool found;
    uint8_t private[WEBPUSH_PRIVATE_BYTES];
};

static void key_end(struct key_op *o)
{
    o->push->keying = false;
    mem_wipe(o->private, sizeof o->private);
    free(o);
}

static enum err key_work(struct db_conn *c, struct db_read *self)
{
    struct key_op *o = (struct key_op *)self;
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &key_select, "");

    if (!e && db_blob(s, 0).len == sizeof o->private) {
        memcpy(o->private, db_blob(s, 0).p, sizeof o->private);
        o->found = true;
    }
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err key_apply(struct db_conn *c, struct commit_op *op)
{
    struct key_op *o = LIST_ITEM(op, struct key_op, op);

    return db_run(c, &key_insert, "b", str_make((const char *)o->private, sizeof o->private));
}

static void key_made(struct commit_op *op, enum err e)
{
    struct key_op *o = LIST_ITEM(op, struct key_op, op);
    struct push *p = o->push;

    key_end(o);
    if (!e)
        push_key_read(p); /* ours, or that of another courier that was quicker */
}

static void key_looked(struct db_read *self, enum err e)
{
    struct key_op *o = (struct key_op *)self;
    struct push *p = o->push;
    struct webpush_key *fresh;

    if (!e && o->found) {
        e = webpush_key_read(str_make((const char *)o->private, sizeof o->private), &p->key);
        if (e)
            LOG_ERROR("push.key", LF_ERR(e));
        key_end(o);
        push_key_askers_answer(p);
        push_look(p);
        return;
    }
    if (e || !p->key_wanted) {
        key_end(o);
        return;
    }
    fresh = p->key_given;
    p->key_given = NULL;
    if (!fresh)
        fresh = webpush_key_new();
    webpush_key_private(fresh, o->private);
    webpush_key_free(&fresh);
    o->op.apply = key_apply;
    o->op.done = key_made;
    if (commit_add(p->courier->db, &o->op) != OK)
        key_end(o);
}

void push_key_read(struct push *p)
{
    struct key_op *o;

    if (p->key || p->keying || p->stopping)
        return;
    o = NEW(struct key_op);
    o->read = (struct db_read){.work = key_work, .done = key_looked};
    o->push = p;
    p->keying = true;
    if (db_read_start(p->courier->db, &o->read) != OK)
        key_end(o);
}

void push_key(struct courier *c, struct bus_request *rq, struct codec_reader *r)
{
    struct push *p = c->push;
    struct str given = codec_bytes(r, WEBPUSH_PRIVATE_BYTES);

    if (!p->key && !p->key_given && codec_ok(r) && given.len)
        webpush_key_read(given, &p->key_given);
    p->key_wanted = true;
    if (p->key)
        key_answer(p, rq);
    else if (p->key_asker_count < PUSH_KEY_ASKERS_MAX && !p->stopping)
        p->key_askers[p->key_asker_count++] = rq;
    else
        bus_answer(rq, ERR_UNAVAILABLE, STR_NULL);
    push_key_read(p);
}
