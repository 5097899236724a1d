/* xep0198_state.c: a stream as bytes, for the worker its client came back to (xep0198_move.h).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0198_inner.h"
#include "base/mem.h"
#include "bus/codec.h"
#include "talk/presence.h"
#include "talk/rooms/room_move.h"
#include "talk/stream.h"
#include "talk/xep/xep0115_clients.h"
#include "talk/xep/xep0198_move.h"
#include <stdio.h>

enum { FLAG_CARBONS = 1, FLAG_INTERESTED = 2, FLAG_PROBED = 4, FLAG_BLOCKLIST = 8 };

unsigned sm_flags(const struct session *s)
{
    return (s->carbons ? FLAG_CARBONS : 0u) | (s->interested ? FLAG_INTERESTED : 0u) | (s->probed ? FLAG_PROBED : 0u) |
           (s->blocklist ? FLAG_BLOCKLIST : 0u);
}

enum { EXPORT_VERSION = 1 };

static void export_entry(struct buf *b, const struct sm_entry *e)
{
    codec_put_i64(b, e->log_id);
    codec_put_u64(b, e->how);
    codec_put_str(b, e->log_id ? STR_NULL : str_make(e->text, e->bytes));
}

enum err sm_export(struct session *s, uint32_t h, struct buf *out)
{
    struct sm *m = s->sm;

    if (!sm_take_h(s, h))
        return ERR_INVALID;
    buf_clear(out);
    codec_begin(out, EXPORT_VERSION);
    codec_put_u64(out, s->received);
    codec_put_u64(out, m->acked);
    codec_put_i64(out, s->person->log_last);
    codec_put_str(out, s->jid.resource);
    codec_put_u64(out, sm_flags(s));
    codec_put_i64(out, s->priority);
    codec_put_str(out, str_of(s->presence));
    codec_put_i64(out, s->bound_us);
    codec_put_i64(out, s->key);
    codec_put_u64(out, (uint64_t)m->count);
    for (int i = 0; i < m->count; i++)
        export_entry(out, sm_entry_at(m, i));
    rooms_export(s, out);
    return out->len > SM_MOVE_BYTES_MAX ? ERR_LIMIT : OK;
}

static void import_entries(struct sm *m, struct codec_reader *r)
{
    uint64_t count = codec_u64(r);

    for (uint64_t i = 0; i < count && i < SM_ENTRIES_MAX && !r->failed; i++) {
        int64_t          log_id = codec_i64(r);
        uint8_t          how = (uint8_t)codec_u64(r);
        struct str       text = codec_str(r, SM_MOVE_BYTES_MAX);
        struct sm_entry *e;

        if (r->failed || (!log_id && !text.p))
            return;
        e = sm_entry_add(m);
        e->log_id = log_id;
        e->how = how <= DELIVERY_ROOM ? how : DELIVERY_DIRECT;
        e->ready = true;
        if (!log_id)
            sm_entry_text_set(m, e, text);
    }
}

void sm_flags_take(struct session *s, uint64_t flags)
{
    s->carbons = flags & FLAG_CARBONS;
    s->interested = flags & FLAG_INTERESTED;
    s->probed = flags & FLAG_PROBED;
    s->blocklist = flags & FLAG_BLOCKLIST;
}

/* A stream whose client is away, to be resumed: what its log gained since then is read when it is. NULL: the resource is taken, or is none. */
struct session *sm_detached_new(struct talk *t, struct person *p, int64_t key, struct str resource)
{
    struct session *s;
    struct jid      j;
    struct sm      *m;

    if (jid_make(&t->round, p->jid.local, t->domain, resource, &j) != OK || person_session(p, j.resource))
        return NULL;
    s = session_new(t, NULL, TALK_DIRECT_TLS);
    s->state = SESSION_DETACHED;
    s->person = p;
    person_ref(p);
    session_name(s, &j);
    session_link(s);
    m = s->sm = NEW(struct sm);
    m->session = s;
    list_init(&m->in_dirty);
    m->key = key;
    snprintf(m->id, sizeof m->id, "%016llx", (unsigned long long)key);
    m->resumable = m->restored = true;
    m->lost_ms = loop_now_ms(t->loop);
    strmap_put(&t->streams, str_of(m->id), m);
    return s;
}

struct session *sm_import(struct talk *t, struct person *p, int64_t key, struct str state)
{
    struct codec_reader r = codec_open(state, EXPORT_VERSION);
    uint32_t            received = (uint32_t)codec_u64(&r), acked = (uint32_t)codec_u64(&r);
    int64_t             log_pos = codec_i64(&r), priority, bound_us, device;
    struct str          resource = codec_str(&r, JID_PART_BYTES_MAX), presence;
    uint64_t            flags = codec_u64(&r);
    struct session     *s;
    struct sm          *m;

    priority = codec_i64(&r);
    presence = codec_str(&r, SM_MOVE_BYTES_MAX);
    bound_us = codec_i64(&r);
    device = codec_i64(&r);
    s = r.failed ? NULL : sm_detached_new(t, p, key, resource);
    if (!s)
        return NULL;
    m = s->sm;
    m->received_stored = s->received = received;
    m->acked = m->written = acked;
    import_entries(m, &r);
    m->restored_count = m->count;
    m->log_pos = log_pos;
    sm_flags_take(s, flags);
    s->priority = (int8_t)priority;
    s->presence = presence.p ? str_dup(presence) : NULL;
    caps_restored(s);
    s->bound_us = bound_us;
    s->key = device;
    rooms_import(s, &r);
    return s;
}
