/* room_move.c: see room_move.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_move.h"
#include "base/mem.h"
#include "talk/rooms/room_message.h"
#include "talk/rooms/room_show.h"
#include "talk/rooms/room_stanza.h"
#include <stdlib.h>

enum { ROOMS_MAX = 10000, AGAIN_MS = 100, TRIES_MAX = 100 };

/* ---- to another messenger ---- */

void rooms_export(struct session *s, struct buf *out)
{
    struct room_visitor *v = rooms_visitor(s->talk, s->id);

    codec_put_u64(out, v ? (uint64_t)v->count : 0);
    for (struct list *it = v ? v->seats.next : NULL; v && it != &v->seats; it = it->next) {
        struct room *r = seat_room(LIST_ITEM(it, struct seat, in_session));

        codec_put_str(out, r->local);
        codec_put_i64(out, r->log_last);
    }
}

/* ---- from another messenger: the seat comes here, then what was said meanwhile, then it hears all again
 * ---- */

struct arriving {
    struct db_read      read;
    struct talk        *talk;
    struct room        *room;
    char               *full;
    int64_t             heard, upto;
    int                 tries;
    struct timer        again;
    struct arena        arena;
    struct archive_page page;
};

static void arriving_free(struct arriving *k)
{
    if (k->room)
        room_unref(k->room);
    arena_done(&k->arena);
    free(k->full);
    free(k);
}

static void catch_up(struct arriving *k);

static enum err catch_up_work(struct db_conn *c, struct db_read *self)
{
    struct arriving      *k = (struct arriving *)self;
    struct archive_filter f = { .owner = k->room->id, .start_us = k->heard + 1 };

    if (k->upto > k->heard && !archive_reaches(c, k->upto))
        return ERR_UNAVAILABLE;
    return archive_read(c, &k->arena, &f, ARCHIVE_PAGE_MAX, false, &k->page);
}

static void catch_up_again(struct timer *timer)
{
    catch_up(LIST_ITEM(timer, struct arriving, again));
}

static struct seat *seat_of(struct arriving *k)
{
    return k->room->gone ? NULL : room_seat(k->room, str_of(k->full));
}

static void show_page(struct arriving *k, struct seat *seat)
{
    struct buf b;

    buf_init(&b, 0);
    for (int i = 0; i < k->page.count; i++) {
        const struct archive_row *row = &k->page.rows[i];
        struct session           *s = seat_session(k->room, seat);

        k->heard = row->id;
        if (row->id > k->room->log_last)
            break; /* it comes live */
        buf_clear(&b);
        room_put_delivery(&b, row->stanza, seat->full, row->shown, row->id);
        if (s)
            session_send(s, buf_str(&b));
    }
    buf_done(&b);
}

static void catch_up_done(struct db_read *self, enum err e)
{
    struct arriving *k = (struct arriving *)self;
    struct seat     *seat = seat_of(k);

    if (seat && e && k->tries++ < TRIES_MAX) { /* no server has it just now */
        timer_start(k->talk->loop, &k->again, AGAIN_MS, catch_up_again);
        return;
    }
    if (seat && !e)
        show_page(k, seat);
    if (seat && !e && k->heard < k->room->log_last && k->page.count) {
        arena_done(&k->arena);
        arena_init(&k->arena);
        catch_up(k);
        return;
    }
    if (seat) { /* what it missed of others' coming and going: how all of them are now */
        seat->entered = true;
        room_show_others(k->room, seat);
    }
    arriving_free(k);
}

static void catch_up(struct arriving *k)
{
    k->read = (struct db_read){ .work = catch_up_work, .done = catch_up_done };
    k->upto = k->room->log_last;
    if (k->heard >= k->upto || db_read_start(k->talk->db, &k->read) != OK) {
        k->page.count = 0;
        catch_up_done(&k->read, OK);
    }
}

static void seated(struct talk *t, struct room_change *c)
{
    struct arriving *k = c->arg;
    struct seat     *seat = room_seat(c->room, str_of(k->full));

    (void)t;
    c->arg = NULL;
    if (!seat || !seat_session(c->room, seat)) {
        if (seat)
            room_leave_soon(c->room, seat->full, 0); /* it has ended meanwhile */
        arriving_free(k);
        return;
    }
    seat->entered = false;
    catch_up(k);
}

static void not_seated(void *arg)
{
    arriving_free(arg);
}

static void room_found(struct talk *t, struct room *r, enum err e, void *arg)
{
    struct arriving    *k = arg;
    struct room_change *c;

    (void)e; /* the room is gone, or not to be read: then its silence tells the client (XEP-0410) */
    if (!r || !room_seat(r, str_of(k->full))) {
        arriving_free(k);
        return;
    }
    k->room = r;
    room_ref(r);
    c = room_change_new(r, NULL);
    c->expected = -1;
    c->arg = k;
    c->answer = seated;
    c->abandon = not_seated;
    room_delta(c, &(struct room_delta){ .kind = DELTA_NODE, .jid = str_of(k->full), .node = t->node });
    room_change_go(c);
}

void rooms_import(struct session *s, struct codec_reader *r)
{
    uint64_t count = codec_u64(r);

    for (uint64_t i = 0; i < count && i < ROOMS_MAX && !r->failed; i++) {
        struct str       local = codec_str(r, JID_PART_BYTES_MAX);
        int64_t          heard = codec_i64(r);
        struct arriving *k;

        if (r->failed || !local.len)
            return;
        k = NEW(struct arriving);
        k->talk = s->talk;
        k->full = str_dup(s->jid.full);
        k->heard = heard;
        arena_init(&k->arena);
        room_find(s->talk, local, room_found, k);
    }
}

/* ---- after a crash ---- */

static struct db_sql rooms_of_device = { "SELECT room, since FROM room_occupant WHERE jid = ?1" };

static int by_place(const void *a, const void *b)
{
    const struct archive_row *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

static void join_pages(struct arena *a, struct archive_page *all, const struct archive_page *more, int64_t *limit)
{
    struct archive_row *rows = arena_alloc(a, sizeof *rows * (size_t)(all->count + more->count + 1));

    if (all->count)
        memcpy(rows, all->rows, sizeof *rows * (size_t)all->count);
    if (more->count)
        memcpy(rows + all->count, more->rows, sizeof *rows * (size_t)more->count);
    all->rows = rows;
    all->count += more->count;
    if (!more->complete && more->count && more->rows[more->count - 1].id < *limit)
        *limit = more->rows[more->count - 1].id;
}

enum err rooms_missed(struct db_conn *c, struct arena *a, struct str full, int64_t log_pos, struct archive_page *page)
{
    struct db_stmt *s = db_prepare(c, &rooms_of_device);
    int64_t         limit = page->complete || !page->count ? INT64_MAX : page->rows[page->count - 1].id;
    struct {
        int64_t room, since;
    } rooms[ROOMS_MAX];
    int      n = 0;
    enum err e = OK;

    db_bind_str(s, 1, full);
    while (n < ROOMS_MAX && db_step(s) == OK) {
        rooms[n].room = db_i64(s, 0);
        rooms[n++].since = db_i64(s, 1);
    }
    db_done(s);
    for (int i = 0; i < n && !e; i++) {
        int64_t               from = rooms[i].since > log_pos ? rooms[i].since : log_pos;
        struct archive_filter f = { .owner = rooms[i].room, .start_us = from + 1 };
        struct archive_page   more;

        e = archive_read(c, a, &f, ARCHIVE_PAGE_MAX, false, &more);
        if (!e)
            join_pages(a, page, &more, &limit);
    }
    qsort(page->rows, (size_t)page->count, sizeof page->rows[0], by_place);
    while (page->count && page->rows[page->count - 1].id > limit)
        page->count--;
    page->complete = limit == INT64_MAX;
    return e;
}
