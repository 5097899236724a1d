/* room_archive.c: reading back what was said in a room (XEP-0313 §6.1.2 "MUC Archives"), and taking something
 * out of it (XEP-0425). SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "talk/archive.h"
#include "talk/archive_id.h"
#include "talk/jids.h"
#include "talk/search.h"
#include "talk/rooms/room_message.h"
#include "talk/rooms/room_show.h"
#include "talk/rooms/room_stanza.h"
#include "talk/xep/xep0313_mam.h"
#include <stdlib.h>

#define NS_MODERATE "urn:xmpp:message-moderate:1"
#define NS_RETRACT "urn:xmpp:message-retract:1"

/* ---- reading ---- */

static struct mam_archive archive_of(struct room *r, const struct session *s)
{
    const struct seat *seat = room_seat(r, s->jid.full);
    enum role          role = seat ? seat->occupant->role : room_default_role(r, room_affiliation(r, s->jid.bare));

    return (struct mam_archive){ .owner = r->id, .bare = r->bare, .room = true, .sees = room_sees_jids(r, role) };
}

bool room_archive_refused(struct room *r, struct session *s, const struct stanza *iq)
{
    if (!r->config.logging)
        session_bounce(s, iq, "cancel", "service-unavailable", "this room keeps nothing");
    else if (r->locked && room_affiliation(r, s->jid.bare) != AFF_OWNER)
        session_bounce(s, iq, "cancel", "item-not-found", "the room is not configured yet");
    else if (!room_may_read(r, s->jid.bare, s->jid.full))
        session_bounce(s, iq, "auth", "forbidden", "who may not enter may not read");
    else
        return false;
    return true;
}

enum err room_archive_form(struct session *s, const struct stanza *iq)
{
    return room_archive_refused(room_of(s, iq), s, iq) ? OK : mam_form(s, iq);
}

enum err room_archive_query(struct session *s, const struct stanza *iq)
{
    struct room       *r = room_of(s, iq);
    struct mam_archive a = archive_of(r, s);

    return room_archive_refused(r, s, iq) ? OK : mam_query(s, iq, &a);
}

enum err room_archive_metadata(struct session *s, const struct stanza *iq)
{
    struct room       *r = room_of(s, iq);
    struct mam_archive a = archive_of(r, s);

    return room_archive_refused(r, s, iq) ? OK : mam_metadata(s, iq, &a);
}

/* ---- taking out ---- */

struct tombstone {
    int64_t room, id;
    size_t  len;
    char    text[];
}; /* what stands in its place */

struct moderation {
    struct db_read     read;
    struct talk       *talk;
    struct room_cause *cause;
    struct room       *room;
    struct arena       arena;
    int64_t            shown, owner;
    struct archive_row row;
    struct str         by, reason, id_text;
    char               by_id[33];
};

static struct db_sql bury_text = { "UPDATE message SET stanza = ?3 WHERE id = ?1 AND recipient = ?2" };

static enum err bury_apply(struct db_conn *c, void *arg)
{
    const struct tombstone *t = arg;
    enum err                e = db_run(c, &bury_text, "iis", t->id, t->room, str_make(t->text, t->len));

    return e ? e : search_forget(c, t->room, t->id);
}

static enum err moderation_work(struct db_conn *c, struct db_read *self)
{
    struct moderation *m = (struct moderation *)self;

    return archive_find(c, &m->arena, m->owner, m->shown, &m->row);
}

static void put_moderated(struct buf *b, const struct moderation *m)
{
    BUF_LIT(b, "<moderated xmlns='" NS_MODERATE "'");
    xml_put_attr(b, "by", m->by);
    buf_put_c(b, '>');
    room_put_occupant_id(b, m->by_id);
    BUF_LIT(b, "</moderated>");
    room_put_reason(b, m->reason);
}

/* The author's occupant-id is the last thing in a text of ours. */
static struct str occupant_id_of(struct str kept)
{
    static const char start[] = "<occupant-id xmlns='" NS_OCCUPANT "'";
    const char       *at = NULL, *next = kept.p;

    while ((next = memmem(next, (size_t)(kept.p + kept.len - next), start, sizeof start - 1)))
        at = next++;
    return at ? str_make(at, (size_t)(kept.p + kept.len - at) - (sizeof "</message>" - 1)) : STR_NULL;
}

static struct tombstone *tombstone_new(const struct moderation *m)
{
    struct tombstone *t;
    struct str        kept = m->row.stanza;
    const char       *head = memchr(kept.p, '>', kept.len);
    char              time[CLOCK_TEXT_BYTES];
    struct buf        b;

    buf_init(&b, 0);
    buf_put(&b, kept.p, (size_t)(head - kept.p) + 1);
    BUF_LIT(&b, "<retracted xmlns='" NS_RETRACT "' stamp='");
    buf_put_str(&b, clock_format(clock_us(), time));
    BUF_LIT(&b, "'>");
    put_moderated(&b, m);
    BUF_LIT(&b, "</retracted>");
    buf_put_str(&b, occupant_id_of(kept));
    BUF_LIT(&b, "</message>");
    t = mem_new(sizeof *t + b.len);
    t->room = m->room->id;
    t->id = m->row.id;
    t->len = b.len;
    memcpy(t->text, b.p, b.len);
    buf_done(&b);
    return t;
}

static void announce(struct moderation *m)
{
    struct room *r = m->room;
    struct buf   b;
    char         token[17];

    random_token(token, 16);
    buf_init(&b, 0);
    stanza_open(&b, "message", r->bare, STR_NULL, str_make(token, 16), "groupchat", STR_NULL);
    BUF_LIT(&b, "<retract xmlns='" NS_RETRACT "'");
    xml_put_attr(&b, "id", m->id_text);
    buf_put_c(&b, '>');
    put_moderated(&b, m);
    BUF_LIT(&b, "</retract></message>");
    room_post(r, m->cause, buf_str(&b), bury_apply, tombstone_new(m), r->id);
    m->cause = NULL;
    buf_done(&b);
}

static void moderation_done(struct db_read *self, enum err e)
{
    struct moderation *m = (struct moderation *)self;

    if (!e && !m->room->gone)
        announce(m);
    else
        room_cause_bounce(m->cause, "cancel", e && e != ERR_NOT_FOUND ? "internal-server-error" : "item-not-found",
                          "there is no such message");
    room_cause_done(m->cause);
    room_unref(m->room);
    arena_done(&m->arena);
    free(m);
}

enum err room_moderate(struct session *s, const struct stanza *iq)
{
    struct room           *r = room_of(s, iq);
    struct seat           *seat = room_seat(r, s->jid.full);
    const struct xml_node *retract = xml_child(iq->payload, "retract", NS_RETRACT);
    struct str             reason = xml_child_text(iq->arena, iq->payload, "reason", NS_MODERATE);
    struct moderation     *m;
    int64_t                shown;

    if (!seat || seat->occupant->role != ROLE_MODERATOR)
        return room_refuse(s, iq, "auth", "forbidden", "only moderators do that");
    if (!retract)
        return room_refuse(s, iq, "cancel", "feature-not-implemented", "messages can be retracted only");
    if (reason.len > ROOM_TEXT_BYTES_MAX)
        return room_refuse(s, iq, "modify", "policy-violation", "the reason is too long");
    if (!archive_id_parse(xml_attr(iq->payload, "id"), &shown))
        return room_refuse(s, iq, "cancel", "item-not-found", "there is no such message");
    m = NEW(struct moderation);
    arena_init(&m->arena);
    m->read = (struct db_read){ .work = moderation_work, .done = moderation_done };
    m->cause = room_cause_new(s, iq, room_iq_tries());
    m->room = r;
    m->shown = shown;
    m->owner = r->id;
    m->by = arena_str(&m->arena, seat->occupant->address);
    memcpy(m->by_id, seat->occupant->id, sizeof m->by_id);
    m->reason = reason.p ? arena_str(&m->arena, reason) : STR_NULL;
    m->id_text = arena_str(&m->arena, xml_attr(iq->payload, "id"));
    room_ref(r);
    if (db_read_start(s->talk->db, &m->read) != OK)
        moderation_done(&m->read, ERR_LIMIT);
    return OK;
}
