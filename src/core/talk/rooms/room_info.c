/* room_info.c: what a room is, and which there are (XEP-0045 §6); iqs that go through a room to one occupant
 * (§17.4), and the ping that tells a client whether it is still inside (XEP-0410).
 *
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/hash.h"
#include "base/mem.h"
#include "talk/forms.h"
#include "talk/host.h"
#include "talk/rooms/room_show.h"
#include "talk/reading.h"
#include "talk/rooms/room_stanza.h"
#include <stdio.h>
#include <stdlib.h>

#define NS_INFO "http://jabber.org/protocol/disco#info"
#define NS_ITEMS "http://jabber.org/protocol/disco#items"
#define NS_RSM "http://jabber.org/protocol/rsm"
#define NS_PING "urn:xmpp:ping"
#define ROOMINFO "http://jabber.org/protocol/muc#roominfo"

/* ---- a room ---- */

static void put_feature(struct buf *b, const char *var)
{
    BUF_LIT(b, "<feature var='");
    buf_put_z(b, var);
    BUF_LIT(b, "'/>");
}

static void put_features(struct buf *b, const struct room_config *c)
{
    static const char *const always[] = {
        NS_INFO,
        NS_ITEMS,
        NS_MUC,
        NS_MUC "#stable_id",
        NS_MUC "#self-ping-optimization",
        NS_MUC "#request",
        "jabber:iq:register",
        "vcard-temp",
        NS_OCCUPANT,
        "urn:xmpp:sid:0",
        "urn:xmpp:message-moderate:1",
        NS_PING,
    };
    static const char *const archive[] = { "urn:xmpp:mam:2", "urn:xmpp:mam:2#extended", "urn:xmpp:fulltext:0", NS_READ };

    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        put_feature(b, always[i]);
    for (size_t i = 0; c->logging && i < sizeof archive / sizeof archive[0]; i++)
        put_feature(b, archive[i]);
    put_feature(b, c->public ? "muc_public" : "muc_hidden");
    put_feature(b, c->persistent ? "muc_persistent" : "muc_temporary");
    put_feature(b, c->members_only ? "muc_membersonly" : "muc_open");
    put_feature(b, c->moderated ? "muc_moderated" : "muc_unmoderated");
    put_feature(b, c->non_anonymous ? "muc_nonanonymous" : "muc_semianonymous");
    put_feature(b, c->password ? "muc_passwordprotected" : "muc_unsecured");
}

static struct str text(const char *z)
{
    return z ? str_of(z) : STR("");
}

static void put_roominfo(struct buf *b, const struct room *r, const struct session *s)
{
    char         number[24];
    struct arena a;

    snprintf(number, sizeof number, "%zu", r->occupants.count);
    BUF_LIT(b, "<x xmlns='" NS_FORMS "' type='result'>");
    form_put_field(b, FORM_HIDDEN, "FORM_TYPE", NULL, STR(ROOMINFO));
    form_put_field(b, FORM_TEXT, "muc#roominfo_description", "Description", text(r->config.description));
    form_put_field(b, FORM_TEXT, "muc#roomconfig_roomname", "Name", text(r->config.name));
    form_put_field(b, FORM_TEXT, "muc#roominfo_occupants", "How many are inside", str_of(number));
    form_put_bool(b, "muc#roominfo_subjectmod", "Participants may change the subject", r->config.change_subject);
    form_put_bool(b, "muc#roomconfig_changesubject", "Participants may change the subject", r->config.change_subject);
    if (r->config.lang)
        form_put_field(b, FORM_TEXT, "muc#roominfo_lang", "Language", str_of(r->config.lang));
    if (r->avatar[0]) /* XEP-0486 */
        form_put_field(b, FORM_TEXT_MULTI, "muc#roominfo_avatarhash", "Avatar hash", str_of(r->avatar));
    arena_init(&a);
    if (r->subject && room_may_read(r, s->jid.bare, s->jid.full)) { /* §13.3 */
        static const struct xml_scope scope = { .default_ns = { NS_CLIENT, sizeof NS_CLIENT - 1 } };
        struct xml_node              *n;

        if (xml_parse(&a, arena_printf(&a, "<m>%s</m>", r->subject), &scope, &n) == XML_FINE)
            form_put_field(b, FORM_TEXT, "muc#roominfo_subject", "Subject", xml_child_text(&a, n, "subject", NS_CLIENT));
    }
    arena_done(&a);
    BUF_LIT(b, "</x>");
}

static enum err reserved_nick(struct room *r, struct session *s, const struct stanza *iq)
{
    const struct member *m = room_member(r, s->jid.bare);
    struct buf           b;

    buf_init(&b, 0);
    BUF_LIT(&b, "<query xmlns='" NS_INFO "' node='x-roomuser-item'>");
    if (m && m->nick) {
        BUF_LIT(&b, "<identity category='conference' type='text'");
        xml_put_attr(&b, "name", str_of(m->nick));
        BUF_LIT(&b, "/>");
    }
    BUF_LIT(&b, "</query>");
    iq_result_str(s, iq, buf_str(&b));
    buf_done(&b);
    return OK;
}

enum err room_info_get(struct session *s, const struct stanza *iq)
{
    struct room *r = room_of(s, iq);
    struct str   node = xml_attr(iq->payload, "node");
    struct buf   b;

    if (r->locked && room_affiliation(r, s->jid.bare) != AFF_OWNER)
        return ERR_NOT_FOUND;
    if (str_is(node, "x-roomuser-item"))
        return reserved_nick(r, s, iq);
    if (str_is(node, NS_MUC "#traffic")) /* §14.2: everything passes */
        return room_refuse(s, iq, "cancel", "service-unavailable", NULL);
    if (node.len)
        return ERR_NOT_FOUND;
    buf_init(&b, 0);
    BUF_LIT(&b, "<query xmlns='" NS_INFO "'><identity category='conference' type='text'");
    xml_put_attr(&b, "name", r->config.name ? str_of(r->config.name) : r->local);
    BUF_LIT(&b, "/>");
    put_features(&b, &r->config);
    put_roominfo(&b, r, s);
    BUF_LIT(&b, "</query>");
    iq_result_str(s, iq, buf_str(&b));
    buf_done(&b);
    return OK;
}

/* Who is inside is for those inside (§6.5). */
enum err room_items_get(struct session *s, const struct stanza *iq)
{
    if (xml_attr(iq->payload, "node").len)
        return ERR_NOT_FOUND;
    return iq_result(s, iq, "<query xmlns='" NS_ITEMS "'/>");
}

/* ---- the service ---- */

enum err rooms_info_get(struct session *s, const struct stanza *iq)
{
    static const char *const vars[] = { NS_INFO, NS_ITEMS,     NS_MUC, NS_MUC "#stable_id", "muc_rooms", NS_OCCUPANT,
                                        NS_RSM,  "vcard-temp", NS_PING };
    struct buf               b;

    if (xml_attr(iq->payload, "node").len)
        return ERR_NOT_FOUND;
    buf_init(&b, 0);
    BUF_LIT(&b, "<query xmlns='" NS_INFO "'><identity category='conference' type='text' name='Rooms'/>");
    for (size_t i = 0; i < sizeof vars / sizeof vars[0]; i++)
        put_feature(&b, vars[i]);
    BUF_LIT(&b, "</query>");
    iq_result_str(s, iq, buf_str(&b));
    buf_done(&b);
    return OK;
}

enum { ITEMS_MAX = 250 };

struct listing {
    struct db_read  read;
    struct talk    *talk;
    struct iq_later iq;
    struct arena    arena;
    struct str      after, before; /* p NULL: from the first, to the last */
    bool            backwards, paged, only_count;
    int             max, count;
    bool            more;
    int64_t         total;
    struct {
        struct str local, name;
    } rooms[ITEMS_MAX + 1];
};

static struct db_sql list_forward = {
    "SELECT local, name FROM room WHERE listed = 1 AND locked = 0 AND local > ?1 ORDER BY local LIMIT ?2"
};
static struct db_sql list_backward = { "SELECT local, name FROM room WHERE listed = 1 AND locked = 0 AND (?1 "
                                       "= '' OR local < ?1) ORDER BY local DESC LIMIT ?2" };
static struct db_sql list_count = { "SELECT count(*) FROM room WHERE listed = 1 AND locked = 0" };

static enum err list_work(struct db_conn *c, struct db_read *self)
{
    struct listing *l = (struct listing *)self;
    struct db_stmt *s = NULL;
    enum err        e = db_get(c, &s, &list_count, "");

    l->total = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    s = db_prepare(c, l->backwards ? &list_backward : &list_forward);
    db_bind_str(s, 1, l->backwards ? (l->before.p ? l->before : STR("")) : (l->after.p ? l->after : STR("")));
    db_bind_i64(s, 2, l->max + 1);
    while ((e = db_step(s)) == OK && l->count <= l->max) {
        l->rooms[l->count].local = arena_str(&l->arena, db_text(s, 0));
        l->rooms[l->count++].name = arena_str(&l->arena, db_text(s, 1));
    }
    db_done(s);
    l->more = l->count > l->max;
    if (l->more)
        l->count = l->max;
    return e == ERR_NOT_FOUND || e == OK ? OK : e;
}

static void put_listing(struct buf *b, const struct listing *l)
{
    struct str domain = l->talk->rooms->domain;

    BUF_LIT(b, "<query xmlns='" NS_ITEMS "'>");
    for (int i = 0; i < l->count; i++) {
        int at = l->backwards ? l->count - 1 - i : i;

        BUF_LIT(b, "<item jid='");
        xml_put_escaped(b, l->rooms[at].local);
        buf_put_c(b, '@');
        xml_put_escaped(b, domain);
        buf_put_c(b, '\'');
        xml_put_attr(b, "name", l->rooms[at].name.len ? l->rooms[at].name : l->rooms[at].local);
        BUF_LIT(b, "/>");
    }
    if (l->paged || l->more) {
        BUF_LIT(b, "<set xmlns='" NS_RSM "'>");
        if (l->count) {
            BUF_LIT(b, "<first>");
            xml_put_escaped(b, l->rooms[l->backwards ? l->count - 1 : 0].local);
            BUF_LIT(b, "</first><last>");
            xml_put_escaped(b, l->rooms[l->backwards ? 0 : l->count - 1].local);
            BUF_LIT(b, "</last>");
        }
        buf_printf(b, "<count>%lld</count></set>", (long long)l->total);
    }
    BUF_LIT(b, "</query>");
}

static void list_done(struct db_read *self, enum err e)
{
    struct listing *l = (struct listing *)self;
    struct session *s = session_find(l->talk, l->iq.session_id);
    struct buf      b;

    buf_init(&b, 0);
    put_listing(&b, l);
    if (e)
        iq_later_error(l->talk, &l->iq, e);
    else
        iq_later_result(l->talk, &l->iq, buf_str(&b));
    buf_done(&b);
    if (s && s->state != SESSION_CLOSED)
        session_continue(s);
    arena_done(&l->arena);
    free(l);
}

static bool read_rsm(struct listing *l, const struct stanza *iq)
{
    const struct xml_node *set = xml_child(iq->payload, "set", NS_RSM);
    struct str             max, after, before;
    uint64_t               n;

    l->max = ITEMS_MAX;
    if (!set)
        return true;
    l->paged = true;
    max = xml_child_text(iq->arena, set, "max", NS_RSM);
    after = xml_child_text(iq->arena, set, "after", NS_RSM);
    before = xml_child_text(iq->arena, set, "before", NS_RSM);
    if (max.p && !str_to_u64(str_trim(max), &n))
        return false;
    if (max.p && n < ITEMS_MAX)
        l->max = (int)n;
    l->backwards = xml_child(set, "before", NS_RSM) != NULL;
    if (after.p)
        l->after = arena_str(&l->arena, after);
    if (before.p)
        l->before = arena_str(&l->arena, before);
    return true;
}

enum err rooms_items_get(struct session *s, const struct stanza *iq)
{
    struct listing *l;

    if (xml_attr(iq->payload, "node").len)
        return ERR_NOT_FOUND;
    l = NEW(struct listing);
    arena_init(&l->arena);
    l->talk = s->talk;
    if (!read_rsm(l, iq)) {
        arena_done(&l->arena);
        free(l);
        return ERR_INVALID;
    }
    l->iq = iq_keep(s, iq);
    l->read = (struct db_read){ .work = list_work, .done = list_done };
    session_hold(s); /* one list at a time per client */
    if (db_read_start(s->talk->db, &l->read) != OK)
        list_done(&l->read, ERR_LIMIT);
    return OK;
}

/* ---- to one occupant ---- */

enum { TAG_CHARS = 16 }; /* before the id, while the question is with the other: which device asked */

static void tag_of(const struct room *r, struct str full, char out[TAG_CHARS + 1])
{
    snprintf(out, TAG_CHARS + 1, "%016llx", (unsigned long long)hash_bytes_keyed(r->talk->origin_key, full.p, full.len));
}

static void put_iq(struct buf *b, const struct stanza *iq, struct str from, const char *tag, struct str id)
{
    BUF_LIT(b, "<iq");
    xml_put_attr(b, "from", from);
    BUF_LIT(b, " id='");
    buf_put_z(b, tag);
    xml_put_escaped(b, id);
    BUF_LIT(b, "' type='");
    buf_put_z(b, stanza_type_text(iq->type));
    BUF_LIT(b, "'>");
    for (const struct xml_node *c = xml_first(iq->node); c; c = xml_next(c))
        xml_put_node(b, c, STR(NS_CLIENT));
    BUF_LIT(b, "</iq>");
}

static void ask(struct room *r, struct session *s, const struct stanza *iq, const struct occupant *from, struct occupant *to)
{
    char       tag[TAG_CHARS + 1];
    struct buf b;

    tag_of(r, s->jid.full, tag);
    buf_init(&b, 0);
    put_iq(&b, iq, from->address, tag, iq->id);
    room_to_seat(r, LIST_ITEM(to->seats.prev, struct seat, in_occupant), buf_str(&b));
    buf_done(&b);
}

static void answer(struct room *r, const struct stanza *iq, const struct occupant *from, struct occupant *to)
{
    if (iq->id.len < TAG_CHARS)
        return;
    LIST_EACH(it, &to->seats) {
        struct seat *seat = LIST_ITEM(it, struct seat, in_occupant);
        char         tag[TAG_CHARS + 1];
        struct buf   b;

        tag_of(r, seat->full, tag);
        if (!str_starts(iq->id, str_of(tag)))
            continue;
        buf_init(&b, 0);
        put_iq(&b, iq, from->address, "", str_make(iq->id.p + TAG_CHARS, iq->id.len - TAG_CHARS));
        room_to_seat(r, seat, buf_str(&b));
        buf_done(&b);
    }
}

void room_occupant_iq(struct room *r, struct session *s, const struct stanza *iq)
{
    struct seat     *from = room_seat(r, s->jid.full);
    struct occupant *to = room_occupant(r, iq->to.resource);
    bool             asks = iq->type == TYPE_GET || iq->type == TYPE_SET;

    if (!asks) {
        if (from && to)
            answer(r, iq, from->occupant, to);
    } else if (!from && (str_is(iq->payload->ns, NS_INFO) || str_is(iq->payload->ns, NS_ITEMS))) {
        session_bounce(s, iq, "modify", "bad-request", "only those inside may ask others"); /* §6.6 */
    } else if (!from) {
        session_bounce(s, iq, "cancel", "not-acceptable", "you are not in this room");
    } else if (!to) {
        session_bounce(s, iq, "cancel", "item-not-found", "nobody here has that nickname");
    } else if (to == from->occupant && xml_is(iq->payload, "ping", NS_PING)) {
        iq_result(s, iq, NULL); /* XEP-0410 §3.3 */
    } else {
        ask(r, s, iq, from->occupant, to);
    }
}

static enum err ping_get(struct session *s, const struct stanza *iq)
{
    return iq_result(s, iq, NULL);
}

const struct iq_handler room_iqs[] = {
    { "query", NS_INFO, 0, room_info_get, NULL },
    { "query", NS_ITEMS, 0, room_items_get, NULL },
    { "query", NS_MUC_ADMIN, 0, room_admin_get, room_admin_set },
    { "query", NS_MUC_OWNER, 0, room_owner_get, room_owner_set },
    { "query", "jabber:iq:register", 0, room_register_get, room_register_set },
    { "vCard", "vcard-temp", 0, room_vcard_get, room_vcard_set },
    { "query", "urn:xmpp:mam:2", 0, room_archive_form, room_archive_query },
    { "read", NS_READ, 0, room_read_get, NULL },
    { "metadata", "urn:xmpp:mam:2", 0, room_archive_metadata, NULL },
    { "moderate", "urn:xmpp:message-moderate:1", 0, NULL, room_moderate },
    { "ping", NS_PING, 0, ping_get, NULL },
    { 0 },
};

const struct iq_handler rooms_iqs[] = {
    { "query", NS_INFO, 0, rooms_info_get, NULL },
    { "query", NS_ITEMS, 0, rooms_items_get, NULL },
    { "ping", NS_PING, 0, ping_get, NULL },
    { 0 },
};
