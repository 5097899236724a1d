/* room.c: see room.h: what is in memory, and how it hangs together.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "talk/person.h"
#include "talk/rooms/room_far.h"
#include "wire/xml.h"
#include <stdlib.h>

static const char *const affiliations[] = { "outcast", "none", "member", "admin", "owner" };
static const char *const roles[] = { "none", "visitor", "participant", "moderator" };

const char *room_affiliation_name(enum affiliation a)
{
    return affiliations[a - AFF_OUTCAST];
}
const char *room_role_name(enum role r)
{
    return roles[r];
}

bool room_affiliation_parse(struct str text, enum affiliation *out)
{
    for (int i = 0; i < 5; i++)
        if (str_is(text, affiliations[i])) {
            *out = (enum affiliation)(i + AFF_OUTCAST);
            return true;
        }
    return false;
}

bool room_role_parse(struct str text, enum role *out)
{
    for (int i = 0; i < 4; i++)
        if (str_is(text, roles[i])) {
            *out = (enum role)i;
            return true;
        }
    return false;
}

/* ---- the room ---- */

struct room *room_new(struct talk *t, struct str local)
{
    struct room *r = NEW(struct room);
    struct buf   b;

    r->talk = t;
    buf_init(&b, 0);
    buf_put_str(&b, local);
    buf_put_c(&b, '@');
    buf_put_str(&b, t->rooms->domain);
    r->bare = str_make(str_dup(buf_str(&b)), b.len);
    r->local = str_make(r->bare.p, local.len);
    buf_done(&b);
    strmap_init(&r->members);
    strmap_init(&r->occupants);
    strmap_init(&r->seats);
    list_init(&r->in_order);
    list_init(&r->idle);
    list_init(&r->posting);
    return r;
}

static void member_free(struct member *m)
{
    free((char *)m->jid.p);
    free(m->nick);
    free(m);
}

static void members_free(struct room *r)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&r->members, &it, &key, &value);)
        member_free(value);
    strmap_done(&r->members);
}

void room_free(struct room *r)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&r->seats, &it, &key, &value); it = 0)
        room_seat_drop(r, value);
    members_free(r);
    strmap_done(&r->occupants);
    strmap_done(&r->seats);
    if (list_linked(&r->idle)) {
        list_remove(&r->idle);
        r->talk->rooms->idle_count--;
    }
    timer_stop(r->talk->loop, &r->again);
    timer_stop(r->talk->loop, &r->gap);
    room_far_forget(r);
    if (intmap_get(&r->talk->rooms->by_id, r->id) == r)
        intmap_del(&r->talk->rooms->by_id, r->id);
    for (int i = 0; i < r->said_count; i++)
        free(r->said[i].text);
    room_config_free(&r->config);
    free(r->subject);
    free(r->subject_from);
    free((char *)r->bare.p);
    free(r);
}

struct room *room_get(struct talk *t, struct str local)
{
    struct room *r = strmap_get(&t->rooms->all, local);

    return r && !r->gone && !r->stale ? r : NULL;
}

static void forget_some(struct rooms *all)
{
    while (all->idle_count > ROOMS_IDLE_MAX) {
        struct room *r = LIST_ITEM(all->idle.next, struct room, idle);

        strmap_del(&all->all, r->local);
        room_far_leave(r);
        room_free(r);
    }
}

void room_ref(struct room *r)
{
    r->refs++;
    if (list_linked(&r->idle)) {
        list_remove(&r->idle);
        r->talk->rooms->idle_count--;
    }
}

void room_unref(struct room *r)
{
    struct rooms *all = r->talk->rooms;

    if (--r->refs > 0)
        return;
    if (r->gone || strmap_get(&all->all, r->local) != r) {
        room_free(r);
    } else {
        list_append(&all->idle, &r->idle);
        all->idle_count++;
        forget_some(all);
    }
}

/* ---- affiliations ---- */

struct member *room_member(const struct room *r, struct str bare)
{
    return strmap_get(&r->members, bare);
}

enum affiliation room_affiliation(const struct room *r, struct str bare)
{
    const struct member *m = room_member(r, bare);
    struct str           domain = bare;

    if (m)
        return m->affiliation;
    str_split(&domain, '@');
    m = domain.p ? room_member(r, domain) : NULL; /* XEP-0045 §9.2: the ban of a domain holds for everyone there */
    return m && m->affiliation == AFF_OUTCAST ? AFF_OUTCAST : AFF_NONE;
}

void room_member_set(struct room *r, struct str bare, enum affiliation a, struct str nick, int64_t since)
{
    struct member *m = room_member(r, bare);

    if (a == AFF_NONE) {
        m = strmap_del(&r->members, bare);
        if (m)
            member_free(m);
        return;
    }
    if (!m) {
        m = NEW(struct member);
        m->jid = str_make(str_dup(bare), bare.len);
        m->since = since;
        strmap_put(&r->members, m->jid, m);
    }
    m->affiliation = (int8_t)a;
    if (!nick.p && a != AFF_OUTCAST)
        return;
    free(m->nick);
    m->nick = nick.len && a != AFF_OUTCAST ? str_dup(nick) : NULL;
}

int room_owners(const struct room *r)
{
    struct str key;
    void      *value;
    int        n = 0;

    for (size_t it = 0; strmap_next(&r->members, &it, &key, &value);)
        n += ((struct member *)value)->affiliation == AFF_OWNER;
    return n;
}

const struct member *room_nick_owner(const struct room *r, struct str nick)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&r->members, &it, &key, &value);) {
        const struct member *m = value;

        if (m->nick && str_is(nick, m->nick))
            return m;
    }
    return NULL;
}

bool room_sees_jids(const struct room *r, enum role role)
{
    return r->config.non_anonymous || role == ROLE_MODERATOR;
}

bool room_may_read(const struct room *r, struct str bare, struct str full)
{
    enum affiliation a = room_affiliation(r, bare);

    if (a == AFF_OUTCAST || (r->config.members_only && a == AFF_NONE))
        return false;
    return !r->config.password || a >= AFF_MEMBER || room_seat(r, full);
}

/* XEP-0045 §5.1.2 */
enum role room_default_role(const struct room *r, enum affiliation a)
{
    if (a >= AFF_ADMIN)
        return ROLE_MODERATOR;
    return r->config.moderated && a == AFF_NONE ? ROLE_VISITOR : ROLE_PARTICIPANT;
}

/* ---- those inside ---- */

struct occupant *room_occupant(const struct room *r, struct str nick)
{
    return strmap_get(&r->occupants, nick);
}
struct seat *room_seat(const struct room *r, struct str full)
{
    return strmap_get(&r->seats, full);
}

void occupant_text_drop(struct occupant *o)
{
    for (int i = 0; i < 2; i++) {
        free((char *)o->text[i].p);
        o->text[i] = STR_NULL;
    }
}

static void occupant_name(const struct room *r, struct occupant *o, struct str nick)
{
    struct buf b;

    free((char *)o->address.p);
    buf_init(&b, 0);
    buf_put_str(&b, r->bare);
    buf_put_c(&b, '/');
    buf_put_str(&b, nick);
    o->address = str_make(str_dup(buf_str(&b)), b.len);
    o->nick = str_make(o->address.p + r->bare.len + 1, nick.len);
    buf_done(&b);
}

/* XEP-0421 §4: nobody can make one up or go back from it, and another room gives another. */
void room_occupant_id(const struct room *r, struct str bare, char out[33])
{
    uint8_t    mac[DIGEST_BYTES_MAX];
    struct buf b;

    buf_init(&b, 0);
    BUF_LIT(&b, "occupant");
    buf_put_c(&b, '\0');
    buf_put_str(&b, r->bare);
    buf_put_c(&b, '\0');
    buf_put_str(&b, bare);
    hmac(DIGEST_SHA256, str_make((const char *)r->talk->origin_key, sizeof r->talk->origin_key), buf_str(&b), mac);
    buf_done(&b);
    *hex_write(out, mac, 16) = '\0';
}

static struct occupant *occupant_new(struct room *r, struct str nick, struct str bare)
{
    struct occupant *o = NEW(struct occupant);

    o->room = r;
    list_init(&o->seats);
    occupant_name(r, o, nick);
    o->bare = str_make(str_dup(bare), bare.len);
    o->inner = str_dup(STR(""));
    room_occupant_id(r, bare, o->id);
    strmap_put(&r->occupants, o->nick, o);
    list_append(&r->in_order, &o->in_room);
    return o;
}

static void occupant_free(struct room *r, struct occupant *o)
{
    strmap_del(&r->occupants, o->nick);
    list_remove(&o->in_room);
    occupant_text_drop(o);
    free((char *)o->address.p);
    free((char *)o->bare.p);
    free(o->inner);
    free(o);
}

void room_rename(struct room *r, struct occupant *o, struct str nick)
{
    strmap_del(&r->occupants, o->nick);
    occupant_name(r, o, nick);
    occupant_text_drop(o);
    strmap_put(&r->occupants, o->nick, o);
}

static struct room_visitor *visitor_make(struct rooms *all, uint64_t session_id)
{
    struct room_visitor *v = intmap_get(&all->sessions, (int64_t)session_id);

    if (v)
        return v;
    v = NEW(struct room_visitor);
    list_init(&v->seats);
    intmap_put(&all->sessions, (int64_t)session_id, v);
    return v;
}

struct room_visitor *rooms_visitor(struct talk *t, uint64_t session_id)
{
    return intmap_get(&t->rooms->sessions, (int64_t)session_id);
}

static void seat_tie(struct room *r, struct seat *s, uint64_t session_id)
{
    struct rooms        *all = r->talk->rooms;
    struct room_visitor *v = s->session_id ? intmap_get(&all->sessions, (int64_t)s->session_id) : NULL;

    if (s->session_id == session_id)
        return;
    if (v) {
        list_remove(&s->in_session);
        if (--v->count == 0)
            free(intmap_del(&all->sessions, (int64_t)s->session_id));
    }
    s->session_id = session_id;
    if (!session_id)
        return;
    v = visitor_make(all, session_id);
    list_append(&v->seats, &s->in_session);
    v->count++;
}

static void seat_here(struct room *r, struct seat *s, int64_t node)
{
    bool was = s->node == r->talk->node, is = node == r->talk->node;

    s->node = node;
    if (was == is)
        return;
    r->here += is ? 1 : -1;
    if (is)
        room_ref(r);
    else
        room_unref(r);
}

static struct seat *seat_new(struct room *r, struct str full)
{
    struct seat *s = NEW(struct seat);
    struct buf   b;

    s->full = str_make(str_dup(full), full.len);
    s->node = -1;
    list_init(&s->in_occupant);
    list_init(&s->in_session);
    buf_init(&b, 0);
    xml_put_attr(&b, "to", full);
    s->to = str_dup(buf_str(&b));
    s->to_len = b.len;
    buf_done(&b);
    strmap_put(&r->seats, s->full, s);
    return s;
}

struct seat *room_seat_take(struct room *r, struct str full, struct str nick, enum role role, struct str inner, int64_t node,
                            uint64_t session_id)
{
    struct seat     *s = room_seat(r, full);
    struct occupant *o = room_occupant(r, nick);
    struct str       rest = full;

    if (!s)
        s = seat_new(r, full);
    if (!o)
        o = occupant_new(r, nick, str_split(&rest, '/'));
    if (s->occupant != o) {
        struct occupant *old = s->occupant;

        if (old)
            list_remove(&s->in_occupant);
        list_append(&o->seats, &s->in_occupant);
        s->occupant = o;
        if (old && list_empty(&old->seats))
            occupant_free(r, old);
    }
    o->role = (uint8_t)role;
    free(o->inner);
    o->inner = str_dup(inner);
    occupant_text_drop(o);
    seat_tie(r, s, session_id);
    seat_here(r, s, node);
    return s;
}

void room_seat_move(struct room *r, struct seat *s, int64_t node, uint64_t session_id)
{
    seat_tie(r, s, session_id);
    seat_here(r, s, node);
    s->entered = true;
}

/* The room may go with the last one who is here. */
void room_seat_drop(struct room *r, struct seat *s)
{
    struct occupant *o = s->occupant;

    seat_tie(r, s, 0);
    strmap_del(&r->seats, s->full);
    list_remove(&s->in_occupant);
    if (list_empty(&o->seats))
        occupant_free(r, o);
    else
        occupant_text_drop(o);
    if (s->node == r->talk->node) {
        r->here--;
        r->refs--; /* the caller holds one of its own */
    }
    free((char *)s->full.p);
    free(s->to);
    free(s);
}

struct occupant *room_by_bare(const struct room *r, struct str bare, struct occupant *after)
{
    const struct list *at = after ? &after->in_room : &r->in_order;

    for (const struct list *it = at->next; it != &r->in_order; it = it->next) {
        struct occupant *o = LIST_ITEM((struct list *)it, struct occupant, in_room);

        if (str_eq(o->bare, bare))
            return o;
    }
    return NULL;
}

uint64_t room_session_id(struct talk *t, struct str full)
{
    struct arena    a;
    struct jid      j;
    struct person  *p = NULL;
    struct session *s = NULL;
    bool            ours;

    arena_init(&a);
    ours = jid_parse(&a, full, &j) == OK && str_eq(j.domain, t->domain);
    if (ours)
        p = strmap_get(&t->persons, j.local);
    if (p)
        s = person_session(p, j.resource);
    arena_done(&a);
    return s ? s->id : ours ? UINT64_MAX : 0;
}

struct session *seat_session(const struct room *r, const struct seat *s)
{
    return s->session_id ? session_find(r->talk, s->session_id) : NULL;
}

/* ---- what was said ---- */

void room_said_add(struct room *r, int64_t id, int64_t shown, struct str text)
{
    struct room_said *s = &r->said[r->said_at];

    if (r->said_count == ROOM_HISTORY_MAX)
        free(s->text);
    else
        r->said_count++;
    *s = (struct room_said){ id, shown, text.len, str_dup(text) };
    r->said_at = (r->said_at + 1) % ROOM_HISTORY_MAX;
}

void room_said_remove(struct room *r, int64_t shown)
{
    for (int i = 0; i < r->said_count; i++)
        if (r->said[i].shown == shown) {
            free(r->said[i].text);
            r->said[i].text = NULL; /* its place in the ring stays */
        }
}
