/* room_reading.c: who has read how far in a room, and how many have not read a message (docs/reading.md): worked out from the markers
 * (XEP-0333) in the room's log whenever somebody asks, newest first, so there is nothing that a fail-over could lose.
 *
 * Those who are counted belong to the room (member or more) or are inside. Who asks may read the archive, and so every marker in it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "talk/archive.h"
#include "talk/archive_id.h"
#include "talk/reading.h"
#include "talk/rooms/room_author.h"
#include "talk/rooms/room_show.h"
#include "talk/rooms/room_stanza.h"
#include <stdlib.h>

struct reader {
    struct str bare, nick;
    char       id[33]; /* XEP-0421 */
    int64_t    upto, shown;
};

struct asked {
    int64_t    shown, place;
    struct str author;
};

struct asking {
    struct db_read  read;
    struct talk    *talk;
    struct iq_later iq;
    struct arena    arena, page;
    struct str      room_bare;
    int64_t         room;
    bool            sees;
    struct strmap   readers; /* by bare JID */
    struct intmap   places;  /* of ids that markers name: shown → &place */
    int             rows, count;
    bool            missing;
    struct asked    ids[READING_IDS_MAX];
};

static void asking_free(struct asking *a)
{
    strmap_done(&a->readers);
    intmap_done(&a->places);
    arena_done(&a->arena);
    arena_done(&a->page);
    free(a);
}

/* ---- who is counted ---- */

static void add_reader(struct asking *a, const struct room *r, struct str bare, struct str nick)
{
    struct reader *k = strmap_get(&a->readers, bare);

    if (!k) {
        k = ARENA_NEW(&a->arena, struct reader);
        *k = (struct reader){ .bare = arena_str(&a->arena, bare) };
        room_occupant_id(r, bare, k->id);
        strmap_put(&a->readers, k->bare, k);
    }
    if (nick.len && !k->nick.len)
        k->nick = arena_str(&a->arena, nick);
}

static void add_readers(struct asking *a, struct room *r)
{
    struct str key;
    void      *value;

    LIST_EACH(it, &r->in_order) {
        const struct occupant *o = LIST_ITEM(it, struct occupant, in_room);

        add_reader(a, r, o->bare, o->nick);
    }
    for (size_t it = 0; strmap_next(&r->members, &it, &key, &value);) {
        const struct member *m = value;

        if (m->affiliation >= AFF_MEMBER)
            add_reader(a, r, m->jid, str_of(m->nick));
    }
}

/* ---- on the worker ---- */

/* 0: a marker that names nothing of ours. */
static int64_t place_of(struct asking *a, struct db_conn *c, struct str id)
{
    int64_t shown, *place;

    if (!archive_id_parse(id, &shown))
        return 0;
    place = intmap_get(&a->places, shown);
    if (!place) {
        place = ARENA_NEW(&a->arena, int64_t);
        *place = archive_place(c, shown);
        intmap_put(&a->places, shown, place);
    }
    return *place;
}

static void take_row(struct asking *a, struct db_conn *c, struct room_author **known, const struct archive_row *row)
{
    struct str     id = reading_marked(&a->page, row->stanza), bare;
    struct reader *k;
    int64_t        place = id.p ? place_of(a, c, id) : 0;

    if (!place || place >= row->id)
        return;
    bare = room_author_of(c, &a->arena, known, row->sender);
    k = bare.p ? strmap_get(&a->readers, bare) : NULL;
    if (k && place > k->upto)
        k->upto = place;
}

/* Everything before this place is read by everybody. */
static bool all_have_read(const struct asking *a, int64_t place)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&a->readers, &it, &key, &value);)
        if (((struct reader *)value)->upto < place)
            return false;
    return true;
}

static enum err walk(struct asking *a, struct db_conn *c)
{
    struct archive_filter f = { .owner = a->room };
    struct archive_page   page = { 0 };
    struct room_author   *known = NULL;
    enum err              e = OK;

    while (!e && !page.complete && a->rows < READING_BACK_MAX) {
        arena_reset(&a->page);
        e = archive_read(c, &a->page, &f, ARCHIVE_PAGE_MAX, true, &page);
        for (int i = page.count - 1; i >= 0 && !e; i--)
            take_row(a, c, &known, &page.rows[i]);
        if (e || page.count == 0 || all_have_read(a, page.rows[0].id))
            return e;
        a->rows += page.count;
        f.end_us = page.rows[0].id - 1;
    }
    return e;
}

static enum err look_up(struct asking *a, struct db_conn *c)
{
    struct room_author *known = NULL;
    struct archive_row  row;
    enum err            e = OK;

    for (int i = 0; i < a->count && !e; i++) {
        e = archive_find(c, &a->arena, a->room, a->ids[i].shown, &row);
        if (e)
            break;
        a->ids[i].place = row.id;
        a->ids[i].author = room_author_of(c, &a->arena, &known, row.sender);
    }
    a->missing = e == ERR_NOT_FOUND;
    return e;
}

static void show_ids(struct asking *a, struct db_conn *c)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&a->readers, &it, &key, &value);) {
        struct reader *k = value;

        k->shown = archive_shown(c, k->upto);
    }
}

static enum err asking_work(struct db_conn *c, struct db_read *self)
{
    struct asking *a = LIST_ITEM(self, struct asking, read);
    enum err       e = look_up(a, c);

    if (!e)
        e = walk(a, c);
    if (!e)
        show_ids(a, c);
    return e ? e : db_conn_state(c);
}

/* ---- the answer ---- */

static int unread_by(const struct asking *a, const struct asked *m)
{
    struct str key;
    void      *value;
    int        n = 0;

    for (size_t it = 0; strmap_next(&a->readers, &it, &key, &value);) {
        const struct reader *k = value;

        n += k->upto < m->place && !str_eq(k->bare, m->author);
    }
    return n;
}

static void put_reader(struct buf *b, const struct asking *a, const struct reader *k)
{
    BUF_LIT(b, "<reader");
    xml_put_attr(b, "id", str_of(k->id));
    if (k->nick.len)
        xml_put_attr(b, "nick", k->nick);
    if (a->sees)
        xml_put_attr(b, "jid", k->bare);
    BUF_LIT(b, " upto='");
    archive_id_put(b, k->shown);
    BUF_LIT(b, "'/>");
}

static void put_answer(struct buf *b, const struct asking *a)
{
    struct str key;
    void      *value;

    BUF_LIT(b, "<read xmlns='" NS_READ "'");
    xml_put_attr(b, "with", a->room_bare);
    buf_put_c(b, '>');
    for (size_t it = 0; strmap_next(&a->readers, &it, &key, &value);)
        if (((struct reader *)value)->upto)
            put_reader(b, a, value);
    for (int i = 0; i < a->count; i++) {
        BUF_LIT(b, "<message id='");
        archive_id_put(b, a->ids[i].shown);
        buf_printf(b, "' unread='%d'/>", unread_by(a, &a->ids[i]));
    }
    BUF_LIT(b, "</read>");
}

static void asking_done(struct db_read *self, enum err e)
{
    struct asking *a = LIST_ITEM(self, struct asking, read);
    struct buf     b;

    buf_init(&b, 0);
    if (!e)
        put_answer(&b, a);
    if (e)
        iq_later_error(a->talk, &a->iq, a->missing ? ERR_NOT_FOUND : e);
    else
        iq_later_result(a->talk, &a->iq, buf_str(&b));
    buf_done(&b);
    asking_free(a);
}

static void start(struct talk *t, void *arg)
{
    struct asking *a = arg;

    if (db_read_start(t->db, &a->read) != OK)
        asking_done(&a->read, ERR_LIMIT);
}

static const char *read_ids(struct asking *a, const struct stanza *iq)
{
    int64_t     shown[READING_IDS_MAX];
    const char *fault = reading_ids(iq, shown, &a->count);

    for (int i = 0; i < a->count; i++)
        a->ids[i].shown = shown[i];
    return fault;
}

enum err room_read_get(struct session *s, const struct stanza *iq)
{
    struct room       *r = room_of(s, iq);
    const struct seat *seat = room_seat(r, s->jid.full);
    struct asking     *a;
    const char        *fault;

    if (room_archive_refused(r, s, iq))
        return OK;
    a = NEW(struct asking);
    arena_init(&a->arena);
    arena_init(&a->page);
    strmap_init(&a->readers);
    intmap_init(&a->places);
    fault = read_ids(a, iq);
    if (fault) {
        asking_free(a);
        return room_refuse(s, iq, strcmp(fault, "item-not-found") == 0 ? "cancel" : "modify", fault, NULL);
    }
    a->read = (struct db_read){ .work = asking_work, .done = asking_done };
    a->talk = s->talk;
    a->iq = iq_keep(s, iq);
    a->room = r->id;
    a->room_bare = arena_str(&a->arena, r->bare);
    a->sees = room_sees_jids(r, seat ? seat->occupant->role : room_default_role(r, room_affiliation(r, s->jid.bare)));
    add_readers(a, r);
    session_after_all(s, start, a);
    return OK;
}
