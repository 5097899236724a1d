/* room_vcard.c: a room's card and picture (XEP-0054 for rooms, XEP-0486): owners set it, whoever may see the
 * room reads it. SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "crypto/digest.h"
#include "talk/rooms/room_stanza.h"
#include "wire/base64.h"
#include <stdlib.h>

#define NS_VCARD "vcard-temp"

enum { VCARD_BYTES_MAX = 128 * 1024 };

/* ---- reading ---- */

struct card_read {
    struct db_read  read;
    struct talk    *talk;
    struct iq_later iq;
    int64_t         room;
    struct arena    arena;
    struct str      xml;
};

static struct db_sql card_select = { "SELECT xml FROM room_vcard WHERE room = ?1" };

static enum err card_work(struct db_conn *c, struct db_read *self)
{
    struct card_read *r = (struct card_read *)self;
    struct db_stmt   *s = NULL;
    enum err          e = db_get(c, &s, &card_select, "i", r->room);

    if (!e)
        r->xml = arena_str(&r->arena, db_text(s, 0));
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void card_answer(struct db_read *self, enum err e)
{
    struct card_read *r = (struct card_read *)self;
    struct session   *s = session_find(r->talk, r->iq.session_id);

    if (e)
        iq_later_error(r->talk, &r->iq, e);
    else
        iq_later_result(r->talk, &r->iq, r->xml.len ? r->xml : STR("<vCard xmlns='" NS_VCARD "'/>"));
    if (s && s->state != SESSION_CLOSED)
        session_continue(s);
    arena_done(&r->arena);
    free(r);
}

enum err room_vcard_get(struct session *s, const struct stanza *iq)
{
    struct room      *room = room_of(s, iq);
    struct card_read *r;

    if (room_affiliation(room, s->jid.bare) == AFF_OUTCAST)
        return room_refuse(s, iq, "auth", "forbidden", "you are banned from this room");
    r = NEW(struct card_read);
    r->read = (struct db_read){ .work = card_work, .done = card_answer };
    r->talk = s->talk;
    r->iq = iq_keep(s, iq);
    r->room = room->id;
    arena_init(&r->arena);
    session_hold(s);
    if (db_read_start(s->talk->db, &r->read) != OK)
        card_answer(&r->read, ERR_LIMIT);
    return OK;
}

/* ---- writing ---- */

/* SHA-1 of the first picture; empty: there is none. */
static bool picture_hash(const struct stanza *iq, char out[41])
{
    const struct xml_node *photo = xml_child(iq->payload, "PHOTO", NS_VCARD);
    struct str             text = photo ? xml_child_text(iq->arena, photo, "BINVAL", NS_VCARD) : STR_NULL, data;
    struct buf             packed;
    uint8_t                sum[DIGEST_BYTES_MAX];
    bool                   fine;

    out[0] = '\0';
    if (!text.len)
        return true;
    buf_init(&packed, 0);
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] > ' ')
            buf_put_c(&packed, text.p[i]);
    fine = base64_decode(iq->arena, buf_str(&packed), &data) == OK;
    buf_done(&packed);
    if (fine) {
        digest(DIGEST_SHA1, data, sum);
        *hex_write(out, sum, 20) = '\0';
    }
    return fine;
}

enum err room_vcard_set(struct session *s, const struct stanza *iq)
{
    struct room        *r = room_of(s, iq);
    struct room_change *c;
    struct buf          b;
    char                hash[41];

    if (room_affiliation(r, s->jid.bare) != AFF_OWNER)
        return room_refuse(s, iq, "auth", "forbidden", "only owners set a room's picture");
    if (!picture_hash(iq, hash))
        return room_refuse(s, iq, "modify", "bad-request", "the picture is no base64");
    buf_init(&b, 0);
    xml_put_node(&b, iq->payload, STR_NULL);
    if (b.len > VCARD_BYTES_MAX) {
        buf_done(&b);
        return room_refuse(s, iq, "modify", "resource-constraint", "the card is larger than 128 KiB");
    }
    c = room_change_new(r, room_cause_new(s, iq, room_iq_tries()));
    c->answer = room_answer_done;
    room_delta(c, &(struct room_delta){ .kind = DELTA_AVATAR, .text = buf_str(&b), .other = str_of(hash) });
    buf_done(&b);
    room_change_go(c);
    return OK;
}
