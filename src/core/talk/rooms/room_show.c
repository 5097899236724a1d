/* room_show.c: see room_show.h. A text is written once for all; each copy differs in `to` alone.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/profile.h"
#include "talk/rooms/room_show.h"
#include "base/clock.h"
#include "base/metric.h"
#include "talk/host.h"
#include "talk/message.h"
#include "talk/rooms/room_message.h"
#include <stdlib.h>

METRIC_COUNTER(presences_out, "bongsu_talk_room_presence_out", "Presence stanzas of rooms.");
METRIC_COUNTER(history_out, "bongsu_talk_room_history_out", "Messages shown again to somebody who came in.");

/* ---- sending ---- */

void room_put_copy(struct buf *b, struct str to, struct str text)
{
    size_t n = 1;

    while (n < text.len && text.p[n] != ' ' && text.p[n] != '>' && text.p[n] != '/')
        n++;
    buf_put(b, text.p, n);
    buf_put_str(b, to);
    buf_put(b, text.p + n, text.len - n);
}

void room_to_host(struct room *r, struct str full, struct str stanza)
{
    struct arena a;
    struct jid   j;

    arena_init(&a);
    if (jid_parse(&a, full, &j) == OK)
        host_send(r->talk, &j, stanza);
    arena_done(&a);
}

static void send_how(struct room *r, struct seat *s, struct str text, void (*send)(struct session *, struct str))
{
    struct session *to = seat_session(r, s);
    struct buf     *b = &r->talk->rooms->copy;

    if (!to && (s->node != r->talk->node || s->session_id))
        return; /* another messenger shows it; or it has just ended */
    buf_clear(b);
    room_put_copy(b, str_make(s->to, s->to_len), text);
    if (to)
        send(to, buf_str(b));
    else
        room_to_host(r, s->full, buf_str(b));
}

void seat_send(struct room *r, struct seat *s, struct str text) { send_how(r, s, text, session_send); }

void room_to_seat(struct room *r, struct seat *s, struct str text)
{
    struct buf b;

    if (s->node == r->talk->node) {
        seat_send(r, s, text);
        return;
    }
    buf_init(&b, 0);
    room_put_copy(&b, str_make(s->to, s->to_len), text);
    room_to_host(r, s->full, buf_str(&b));
    buf_done(&b);
}

/* ---- presence ---- */

void room_put_reason(struct buf *b, struct str reason)
{
    if (!reason.len)
        return;
    BUF_LIT(b, "<reason>");
    xml_put_escaped(b, reason);
    BUF_LIT(b, "</reason>");
}

static void put_item(struct buf *b, struct room *r, const struct occupant *o, bool gone, bool sees, const struct room_notice *n)
{
    bool content = n && (n->actor.p || n->reason.len);

    BUF_LIT(b, "<x xmlns='" NS_MUC_USER "'><item affiliation='");
    buf_put_z(b, room_affiliation_name(room_affiliation(r, o->bare)));
    BUF_LIT(b, "' role='");
    buf_put_z(b, gone && !(n && n->nick.p) ? "none" : room_role_name(o->role));
    buf_put_c(b, '\'');
    if (sees)
        xml_put_attr(b, "jid", LIST_ITEM(o->seats.prev, struct seat, in_occupant)->full);
    if (n && n->nick.p)
        xml_put_attr(b, "nick", n->nick);
    buf_put_z(b, content ? ">" : "/>");
    if (!content)
        return;
    if (n->actor.p) {
        BUF_LIT(b, "<actor");
        xml_put_attr(b, "nick", n->actor);
        BUF_LIT(b, "/>");
    }
    room_put_reason(b, n->reason);
    BUF_LIT(b, "</item>");
}

static void put_codes(struct buf *b, const struct room_notice *n)
{
    for (int i = 0; n && i < n->count; i++)
        buf_printf(b, "<status code='%u'/>", n->codes[i]);
}

void room_put_occupant_id(struct buf *b, const char *id)
{
    BUF_LIT(b, "<occupant-id xmlns='" NS_OCCUPANT "' id='");
    buf_put_z(b, id);
    BUF_LIT(b, "'/>");
}

void room_put_presence(struct buf *b, struct room *r, const struct occupant *o, bool gone, struct str inner, bool sees,
                       const struct room_notice *n)
{
    BUF_LIT(b, "<presence");
    xml_put_attr(b, "from", o->address);
    if (gone)
        BUF_LIT(b, " type='unavailable'");
    buf_put_c(b, '>');
    buf_put_str(b, inner);
    put_item(b, r, o, gone, sees, n);
    put_codes(b, n);
    BUF_LIT(b, "</x>");
    room_put_occupant_id(b, o->id);
    BUF_LIT(b, "</presence>");
}

/* As all see it; kept until something about it changes. */
static struct str plain_text(struct room *r, struct occupant *o, bool sees)
{
    struct buf b;

    if (!o->text[sees].p) {
        buf_init(&b, 0);
        room_put_presence(&b, r, o, false, str_of(o->inner), sees, NULL);
        o->text[sees] = str_make(str_dup(buf_str(&b)), b.len);
        buf_done(&b);
    }
    return o->text[sees];
}

static bool is_broadcast(const struct room *r, enum role role)
{
    return r->config.broadcast >> role & 1;
}

void room_show_texts(struct room *r, struct str texts[2], const struct occupant *but, enum role of)
{
    void (*send)(struct session *, struct str) = r->here < ROOM_CROWD ? session_send : session_send_patiently;

    if (!is_broadcast(r, of))
        return;
    LIST_EACH(it, &r->in_order) {
        struct occupant *o = LIST_ITEM(it, struct occupant, in_room);
        bool             sees = room_sees_jids(r, o->role);

        if (o == but)
            continue;
        LIST_EACH(at, &o->seats) {
            struct seat *s = LIST_ITEM(at, struct seat, in_occupant);

            if (s->entered && s->node == r->talk->node) {
                send_how(r, s, texts[sees], send);
                metric_add(&presences_out, 1);
            }
        }
    }
}

static void with_code(struct room_notice *out, const struct room_notice *n, unsigned code)
{
    *out = n ? *n : (struct room_notice){ 0 };
    if (out->count < SHOW_CODES_MAX)
        out->codes[out->count++] = code;
}

void room_show_occupant(struct room *r, struct occupant *o, const struct room_notice *n, const struct seat *but)
{
    struct room_notice self;
    struct buf         b[2];
    struct str         texts[2];

    for (int sees = 0; sees < 2; sees++) {
        buf_init(&b[sees], 0);
        if (n)
            room_put_presence(&b[sees], r, o, false, str_of(o->inner), sees, n);
        texts[sees] = n ? buf_str(&b[sees]) : plain_text(r, o, sees);
    }
    room_show_texts(r, texts, o, o->role);
    with_code(&self, n, SHOW_SELF);
    buf_clear(&b[0]);
    room_put_presence(&b[0], r, o, false, str_of(o->inner), room_sees_jids(r, o->role), &self);
    LIST_EACH(at, &o->seats) {
        struct seat *s = LIST_ITEM(at, struct seat, in_occupant);

        if (s != but && s->entered && s->node == r->talk->node)
            seat_send(r, s, buf_str(&b[0]));
    }
    buf_done(&b[0]);
    buf_done(&b[1]);
}

static void to_all(struct room *r, struct str text)
{
    LIST_EACH(it, &r->in_order) {
        struct occupant *o = LIST_ITEM(it, struct occupant, in_room);

        LIST_EACH(at, &o->seats) {
            struct seat *s = LIST_ITEM(at, struct seat, in_occupant);

            if (s->entered && s->node == r->talk->node)
                seat_send(r, s, text);
        }
    }
}

void room_show_status(struct room *r, const struct room_notice *n)
{
    struct buf b;

    buf_init(&b, 0);
    BUF_LIT(&b, "<message");
    xml_put_attr(&b, "from", r->bare);
    BUF_LIT(&b, " type='groupchat'><x xmlns='" NS_MUC_USER "'>");
    put_codes(&b, n);
    BUF_LIT(&b, "</x></message>");
    to_all(r, buf_str(&b));
    buf_done(&b);
}

/* XEP-0153 of the room itself; XEP-0486 has the hash in disco too. */
void room_show_avatar(struct room *r, struct seat *to)
{
    struct buf b;

    buf_init(&b, 0);
    BUF_LIT(&b, "<presence");
    xml_put_attr(&b, "from", r->bare);
    BUF_LIT(&b, "><x xmlns='vcard-temp:x:update'><photo>");
    buf_put_z(&b, r->avatar);
    BUF_LIT(&b, "</photo></x></presence>");
    if (to)
        seat_send(r, to, buf_str(&b));
    else
        to_all(r, buf_str(&b));
    buf_done(&b);
}

/* ---- coming in ---- */

void room_show_others(struct room *r, struct seat *s)
{
    bool sees = room_sees_jids(r, s->occupant->role);

    LIST_EACH(it, &r->in_order) {
        struct occupant *o = LIST_ITEM(it, struct occupant, in_room);

        if (o == s->occupant || !is_broadcast(r, o->role))
            continue;
        seat_send(r, s, plain_text(r, o, sees));
        metric_add(&presences_out, 1);
    }
}

static void show_self(struct room *r, struct seat *s, struct str id, unsigned flags)
{
    struct room_notice n = { .count = 1, .codes = { SHOW_SELF } };
    struct buf         b, with_id;

    if (r->config.non_anonymous)
        n.codes[n.count++] = 100;
    if (r->config.logging)
        n.codes[n.count++] = 170;
    if (flags & DELTA_CREATED)
        n.codes[n.count++] = 201;
    buf_init(&b, 0);
    buf_init(&with_id, 0);
    room_put_presence(&b, r, s->occupant, false, str_of(s->occupant->inner), room_sees_jids(r, s->occupant->role), &n);
    BUF_LIT(&with_id, "<presence");
    xml_put_attr(&with_id, "id", id);
    buf_put(&with_id, b.p + 9, b.len - 9);
    seat_send(r, s, buf_str(&with_id));
    buf_done(&b);
    buf_done(&with_id);
}

struct wishes {
    uint64_t stanzas, chars;
    int64_t  since_us;
};

static uint64_t number_of(struct str text, uint64_t otherwise)
{
    uint64_t n;

    return text.p && str_to_u64(str_trim(text), &n) ? n : otherwise;
}

/* §7.1.14 */
static struct wishes wishes_read(const struct xml_node *x)
{
    const struct xml_node *h = x ? xml_child(x, "history", NS_MUC) : NULL;
    struct wishes          w = { .stanzas = ROOM_HISTORY_DEFAULT, .chars = UINT64_MAX };
    uint64_t               seconds;
    int64_t                since;

    if (!h)
        return w;
    seconds = number_of(xml_attr(h, "seconds"), UINT64_MAX);
    if (seconds < INT64_MAX / 2000000)
        w.since_us = clock_us() - (int64_t)seconds * 1000000;
    if (clock_parse(xml_attr(h, "since"), &since) && since > w.since_us)
        w.since_us = since;
    /* who says how far back takes what there is */
    w.stanzas = number_of(xml_attr(h, "maxstanzas"), w.since_us ? ROOM_HISTORY_MAX : ROOM_HISTORY_DEFAULT);
    w.chars = number_of(xml_attr(h, "maxchars"), UINT64_MAX);
    return w;
}

static const struct room_said *said_back(const struct room *r, int back)
{
    return &r->said[(r->said_at - 1 - back + 2 * ROOM_HISTORY_MAX) % ROOM_HISTORY_MAX];
}

static void said_text(struct buf *b, const struct room *r, const struct room_said *m)
{
    buf_clear(b);
    message_put(b, str_make(m->text, m->len), r->bare, m->shown, m->id, r->bare);
}

static void show_history(struct room *r, struct seat *s, const struct xml_node *x)
{
    struct wishes w = wishes_read(x);
    uint64_t      chars = 0;
    int           n = 0;
    struct buf    b;

    buf_init(&b, 0);
    while (n < r->said_count && (uint64_t)n < w.stanzas && w.chars) {
        const struct room_said *m = said_back(r, n);

        if (m->text) {
            said_text(&b, r, m);
            chars += b.len + s->to_len;
        }
        if (m->id < w.since_us || chars > w.chars)
            break;
        n++;
    }
    for (; n > 0; n--) {
        if (!said_back(r, n - 1)->text)
            continue;
        said_text(&b, r, said_back(r, n - 1));
        seat_send(r, s, buf_str(&b));
        metric_add(&history_out, 1);
    }
    buf_done(&b);
}

void room_put_subject(struct buf *b, const struct room *r)
{
    char time[CLOCK_TEXT_BYTES];

    BUF_LIT(b, "<message");
    xml_put_attr(b, "from", r->subject_from ? str_of(r->subject_from) : r->bare);
    BUF_LIT(b, " type='groupchat'>");
    buf_put_z(b, r->subject ? r->subject : "<subject/>");
    if (r->subject_us) {
        BUF_LIT(b, "<delay xmlns='urn:xmpp:delay'");
        xml_put_attr(b, "from", r->bare);
        BUF_LIT(b, " stamp='");
        buf_put_str(b, clock_format(r->subject_us, time));
        BUF_LIT(b, "'/>");
    }
    BUF_LIT(b, "</message>");
}

void room_enter(struct room *r, struct seat *s, const struct xml_node *x, struct str id, unsigned flags)
{
    struct buf b;

    room_show_others(r, s);
    if (r->avatar[0])
        room_show_avatar(r, s);
    show_self(r, s, id, flags);
    if (r->config.logging)
        show_history(r, s, x);
    buf_init(&b, 0);
    room_put_subject(&b, r);
    seat_send(r, s, buf_str(&b));
    buf_done(&b);
    if (!s->entered)
        room_expect(r, s);
    s->entered = true;
}

/* ---- what is passed on ---- */

bool room_drops(const struct talk *t, const struct xml_node *n)
{
    struct str by;

    if (str_is(n->ns, NS_MUC_USER) || str_is(n->ns, NS_MUC) || str_is(n->ns, NS_OCCUPANT))
        return true;
    if (!xml_is(n, "stanza-id", "urn:xmpp:sid:0"))
        return false;
    by = xml_attr(n, "by");
    return !by.p || str_ends(by, t->domain); /* XEP-0359 §6 */
}

/* Everybody in a room is shown the same: what somebody might see another of (docs/profiles.md) is not shown at all. */
static bool is_for_all(const struct session *s, const struct xml_node *c)
{
    return !s->person || profile_child_for_all(s->person, c);
}

bool room_put_inner_again(struct buf *b, struct session *s, struct str inner)
{
    static const struct xml_scope scope = { .default_ns = { NS_CLIENT, sizeof NS_CLIENT - 1 } };
    struct xml_node *n;
    struct arena     a;
    bool             less = false;

    arena_init(&a);
    if (xml_parse(&a, arena_printf(&a, "<presence>%.*s</presence>", STR_ARG(inner)), &scope, &n) != XML_FINE)
        less = true, n = NULL;
    for (const struct xml_node *c = n ? xml_first(n) : NULL; c; c = xml_next(c)) {
        if (is_for_all(s, c))
            xml_put_node(b, c, STR(NS_CLIENT));
        else
            less = true;
    }
    arena_done(&a);
    return less;
}

void room_put_inner(struct buf *b, struct session *s, const struct stanza *p)
{
    for (const struct xml_node *c = xml_first(p->node); c; c = xml_next(c))
        if (!room_drops(s->talk, c) && is_for_all(s, c))
            xml_put_node(b, c, STR(NS_CLIENT));
}
