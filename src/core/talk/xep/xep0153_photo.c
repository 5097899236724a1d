/* xep0153_photo.c: see xep0153_photo.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0153_photo.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/deliver.h"
#include "talk/nodes.h"
#include "talk/presence.h"
#include "talk/profile.h"
#include "talk/pubsub/pubsub.h"
#include "talk/rooms/room_leave.h"
#include "talk/xep/xep0398_avatars.h"
#include <stdlib.h>

#define NS_UPDATE "vcard-temp:x:update"

/* ---- what is in memory of an account's photos ---- */

struct profile_photos {
    int64_t version;                /* of the audiences (profile_version) */
    bool said;                      /* the basic profile has had a photo, or has said that it has none */
    char basic[PHOTO_ID_BYTES + 1]; /* "": none */
    char other[PROFILES_MAX + 1][PHOTO_ID_BYTES + 1];
    int count;
    struct profile_viewer *viewers;
    struct arena arena;
};

static struct db_sql photos_select = {"SELECT number, photo_id FROM profile WHERE owner = ?1"};
static struct db_sql avatar_select = {"SELECT i.xml FROM pubsub_node n CROSS JOIN pubsub_item i ON i.node = "
                                      "n.id WHERE n.owner = ?1 AND n.name = ?2"
                                      " ORDER BY i.sequence DESC LIMIT 1"};

/* Most accounts: nothing has ever been said of a photo. */
static struct profile_photos photos_none;

static enum err read_basic(struct db_conn *c, struct profile_photos *f, int64_t owner)
{
    struct db_stmt *row = NULL;
    struct xml_node *x;
    const struct xml_node *info;
    enum err e = FAULT("profile.read");

    if (!e)
        e = db_get(c, &row, &avatar_select, "is", owner, STR(NODE_AVATAR_METADATA));
    f->said = e == OK;
    if (!e && xml_parse(&f->arena, arena_str(&f->arena, db_text(row, 0)), NULL, &x) == XML_FINE &&
        (info = avatar_info(x)))
        str_copy(xml_attr(info, "id"), f->basic, sizeof f->basic);
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err read_others(struct db_conn *c, struct profile_photos *f, int64_t owner)
{
    struct db_stmt *row = NULL;
    enum err e = FAULT("profile.read");

    if (e)
        return e;
    row = db_prepare(c, &photos_select);
    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, owner);
    while ((e = db_step(row)) == OK)
        if (db_i64(row, 0) > 0 && db_i64(row, 0) <= PROFILES_MAX && db_text(row, 1).len)
            str_copy(db_text(row, 1), f->other[db_i64(row, 0)], sizeof f->other[0]);
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err read_all(struct db_conn *c, struct profile_photos *f, int64_t owner)
{
    int64_t now;
    enum err e = profile_version(c, owner, &f->version);

    if (!e)
        e = profile_viewers(c, &f->arena, owner, &f->count, &f->viewers);
    if (!e)
        e = read_basic(c, f, owner);
    if (!e)
        e = read_others(c, f, owner);
    if (!e)
        e = profile_version(c, owner, &now);
    return !e && now != f->version ? ERR_AGAIN : e;
}

/* NULL: it could not be read, or changed meanwhile, and nobody is told anything. */
static struct profile_photos *photos_read(struct db_conn *c, int64_t owner)
{
    struct profile_photos *f = NEW(struct profile_photos);
    enum err e;

    arena_init(&f->arena);
    e = read_all(c, f, owner);
    if (!e && (f->said || f->count))
        return f;
    arena_done(&f->arena);
    free(f);
    return e ? NULL : &photos_none;
}

static void photos_free(struct profile_photos *f)
{
    if (!f || f == &photos_none)
        return;
    arena_done(&f->arena);
    free(f);
}

void profile_photos_free(struct person *p)
{
    photos_free(p->photos);
    p->photos = NULL;
}

/* By what is in memory. */
static struct str photo_for(struct person *owner, struct str viewer_bare)
{
    struct profile_photos *f = owner->photos;
    struct roster_item *item;

    if (!f)
        return STR_NULL;
    if (str_eq(viewer_bare, owner->jid.bare))
        return f->said ? str_of(f->basic) : STR_NULL;
    for (int i = 0; i < f->count; i++) {
        int number = f->viewers[i].number;

        if (!str_eq(f->viewers[i].jid, viewer_bare))
            continue;
        item = person_item(owner, viewer_bare);
        if (!item || !(item->subscription & SUB_FROM) || number < 1 || number > PROFILES_MAX)
            return STR("");
        return str_of(f->other[number]);
    }
    return f->said ? str_of(f->basic) : STR_NULL;
}

bool profile_child_for_all(struct person *owner, const struct xml_node *child)
{
    if (!xml_is(child, "x", "vcard-temp:x:update") && !xml_is(child, "nick", NODE_NICK))
        return true;
    return owner->photos && !owner->talk->shared && owner->photos->count == 0;
}

static void photos_loaded(struct person *p, struct db_conn *c)
{
    profile_photos_free(p);
    p->photos = photos_read(c, p->id);
}

static bool same_photos(const struct profile_photos *a, const struct profile_photos *b)
{
    bool same = a == b || (a && b && a->version == b->version && a->count == b->count && a->said == b->said &&
                           memcmp(a->basic, b->basic, sizeof a->basic) == 0 && memcmp(a->other, b->other, sizeof a->other) == 0);

    for (int i = 0; same && a && i < a->count; i++)
        same = str_eq(a->viewers[i].jid, b->viewers[i].jid) && a->viewers[i].number == b->viewers[i].number;
    return same;
}

bool profile_photos_take(struct person *p, struct person *fresh)
{
    bool same = same_photos(p->photos, fresh->photos);

    profile_photos_free(p);
    p->photos = fresh->photos;
    fresh->photos = NULL;
    return !same;
}

/* ---- read again, where several messengers share a database ---- */

struct refresh {
    struct db_read read;
    struct person *person;
    int64_t owner;
    struct profile_photos *fresh;
};

static enum err refresh_work(struct db_conn *c, struct db_read *self)
{
    struct refresh *r = LIST_ITEM(self, struct refresh, read);

    r->fresh = photos_read(c, r->owner);
    return db_conn_state(c);
}

static void refresh_done(struct db_read *self, enum err e)
{
    struct refresh *r = LIST_ITEM(self, struct refresh, read);
    struct person *p = r->person;
    struct profile_photos *before = p->photos;

    if (e) {
        photos_free(r->fresh);
        r->fresh = NULL;
    }
    p->photos = r->fresh;
    if (!p->deleted && !same_photos(before, p->photos))
        photo_ask_all(p);
    photos_free(before);
    person_unref(p);
    free(r);
}

void photo_refresh(struct person *p)
{
    struct refresh *r = NEW(struct refresh);

    *r = (struct refresh){.read = {.work = refresh_work, .done = refresh_done}, .person = p, .owner = p->id};
    person_ref(p);
    if (db_read_start(p->talk->db, &r->read) != OK)
        refresh_done(&r->read, ERR_LIMIT); /* nothing is known, and nothing said */
}

void profile_changed(struct person *p)
{
    struct profile_photos *before = p->photos;
    bool same;

    if (p->talk->shared) {
        photo_refresh(p);
        event_send(p->talk, &(struct event){.kind = EVENT_PROFILE, .local = p->jid.local});
        return;
    }
    p->photos = photos_read(db_loop_conn(p->talk->db), p->id);
    same = same_photos(before, p->photos);
    photos_free(before);
    if (same || p->deleted)
        return;
    presence_again(p);
    rooms_person_tells_less(p);
}

/* ---- the text, in a database of our own ---- */

/* A client that says that it has no photo to show is believed (XEP-0398 §3); any other word of it would be the same for everyone. */
static bool says_no_photo(const struct xml_node *update)
{
    const struct xml_node *photo = xml_child(update, "photo", NS_UPDATE);

    return photo && !photo->child;
}

bool photo_is_told_by_us(const struct xml_node *x)
{
    return xml_is(x, "nick", NODE_NICK) || (xml_is(x, "x", NS_UPDATE) && !says_no_photo(x));
}

/* An available presence that says nothing of a photo yet. */
static bool lacks_photo(struct str text)
{
    const char *end = memchr(text.p, '>', text.len);

    return end && !memmem(text.p, (size_t)(end - text.p), " type='", 7) && !memmem(text.p, text.len, NS_UPDATE, sizeof NS_UPDATE - 1);
}

static void put_hash(struct buf *b, struct str hash)
{
    BUF_LIT(b, "<x xmlns='" NS_UPDATE "'><photo>");
    xml_put_escaped(b, hash);
    BUF_LIT(b, "</photo></x>");
}

void photo_put(struct talk *t, struct buf *b, struct str text, struct str viewer)
{
    struct str from = t->shared ? STR_NULL : kept_attr(text, "from"), bare = str_split(&from, '/');
    struct person *p = bare.len ? presence_person(t, bare) : NULL;
    struct str hash = p ? photo_for(p, viewer) : STR_NULL;

    if (hash.p && lacks_photo(text))
        put_hash(b, hash);
}

/* ---- where several messengers share a database: told when it is certain ---- */

enum {
    ASKS_AT_ONCE = 64,          /* of one operation */
    ASKS_WAITING_MAX = 20000,   /* then nothing is said */
    TRIES_MAX = 3,
};

METRIC_COUNTER(told, "bongsu_talk_presence_photos", "Presences sent again with the hash of a photo, when it was certain.");
METRIC_COUNTER(untold, "bongsu_talk_presence_photos_untold", "Presences that say nothing of a photo because it did not become certain which.");

struct ask {
    struct list in_queue;
    uint64_t session_id;
    int64_t owner;
    char *viewer;               /* full or bare; "": everybody who may see it */
    int tries;
    bool later;                 /* another second */
    int64_t state[2], rows;     /* outcomes: lists, version */
};

struct asking {
    struct change change;
    struct talk *talk;
    int count;
    struct ask *asks[ASKS_AT_ONCE];
};

static struct db_sql state_select = {
    "SELECT p.lists, coalesce(h.version, 0) FROM person p LEFT JOIN profile_head h ON h.owner = p.id WHERE p.id = ?1"};

static void ask_free(struct ask *a)
{
    free(a->viewer);
    free(a);
}

/* None needs the answer of another, so all of them share the batch's round trip. */
static enum err asking_apply(struct db_conn *c, struct change *ch)
{
    struct asking *g = LIST_ITEM(ch, struct asking, change);
    enum err e = FAULT("profile.read");

    for (int i = 0; i < g->count; i++)
        g->asks[i]->rows = 0;
    if (e)
        return OK; /* nothing was found, so nothing is said */
    for (int i = 0; i < g->count && !e; i++)
        e = db_run_later(c, &state_select, g->asks[i]->state, 2, &g->asks[i]->rows, "i", g->asks[i]->owner);
    return e;
}

/* The audience and the contact list that are in memory are the newest. */
static bool is_certain(const struct ask *a, const struct person *p)
{
    return a->rows == 1 && p->photos && a->state[0] == p->lists && a->state[1] == p->photos->version && !p->changing && !p->stale;
}

static struct str text_for(void *arg, const struct session *s, struct str viewer)
{
    static const char closing[] = "</presence>";
    struct buf *b = arg;
    struct str text = str_of(s->presence), hash = photo_for(s->person, viewer);

    if (!hash.p)
        return STR_NULL;
    buf_clear(b);
    buf_put(b, text.p, text.len - (sizeof closing - 1));
    put_hash(b, hash);
    BUF_LIT(b, "</presence>");
    metric_add(&told, 1);
    return buf_str(b);
}

static bool still_asked(const struct session *s)
{
    return s && s->person && session_available(s) && !s->closing && lacks_photo(str_of(s->presence));
}

static void queue(struct talk *t, struct ask *a)
{
    list_append(&t->photos_asked, &a->in_queue);
    t->photos_waiting++;
}

static void answer(struct talk *t, struct ask *a)
{
    struct session *s = session_find(t, a->session_id);
    struct buf b;

    if (still_asked(s) && !is_certain(a, s->person) && ++a->tries < TRIES_MAX) {
        if (!s->person->photos || a->state[1] != s->person->photos->version)
            photo_refresh(s->person);
        a->later = true;
        queue(t, a);
        return;
    }
    buf_init(&b, 0);
    if (still_asked(s) && is_certain(a, s->person))
        presence_tell(s, str_of(a->viewer), text_for, &b);
    else
        metric_add(&untold, 1);
    buf_done(&b);
    ask_free(a);
}

static void ask_next(struct talk *t);

static void asking_done(struct talk *t, struct change *ch, enum err e)
{
    struct asking *g = LIST_ITEM(ch, struct asking, change);

    t->photos_asking = false;
    for (int i = 0; i < g->count; i++) {
        if (e)
            g->asks[i]->rows = 0;
        if (t->stopping)
            ask_free(g->asks[i]);
        else
            answer(t, g->asks[i]);
    }
    free(g);
    if (!t->stopping)
        ask_next(t);
}

static void ask_next(struct talk *t)
{
    struct asking *g;
    struct list *next;

    if (t->photos_asking)
        return;
    g = NEW(struct asking);
    g->change = (struct change){.apply = asking_apply, .done = asking_done};
    g->talk = t;
    for (struct list *at = t->photos_asked.next; at != &t->photos_asked && g->count < ASKS_AT_ONCE; at = next) {
        struct ask *a = LIST_ITEM(at, struct ask, in_queue);

        next = at->next;
        if (a->later)
            continue;
        list_remove(at);
        t->photos_waiting--;
        g->asks[g->count++] = a;
    }
    t->photos_asking = g->count > 0;
    if (g->count && session_change(NULL, t, &g->change) == OK)
        return;
    for (int i = 0; i < g->count; i++) {
        g->asks[i]->later = true;
        queue(t, g->asks[i]);
    }
    t->photos_asking = false;
    free(g);
}

static bool is_asked(struct talk *t, const struct session *s, struct str viewer)
{
    LIST_EACH(it, &t->photos_asked) {
        const struct ask *a = LIST_ITEM(it, struct ask, in_queue);

        if (a->session_id == s->id && (!*a->viewer || str_is(viewer, a->viewer)))
            return true;
        if (t->photos_waiting > ASKS_AT_ONCE)
            return false;       /* not worth the look */
    }
    return false;
}

void photo_ask(struct session *s, struct str viewer)
{
    struct talk *t = s->talk;
    struct ask *a;

    if (!t->shared || !still_asked(s) || s->person->photos == &photos_none || is_asked(t, s, viewer))
        return;
    if (t->photos_waiting >= ASKS_WAITING_MAX) {
        metric_add(&untold, 1);
        return;
    }
    a = NEW(struct ask);
    *a = (struct ask){.session_id = s->id, .owner = s->person->id, .viewer = str_dup(viewer)};
    queue(t, a);
    ask_next(t);
}

void photo_ask_all(struct person *p)
{
    LIST_EACH(it, &p->sessions)
        photo_ask(LIST_ITEM(it, struct session, in_person), STR(""));
}

static void photo_tick(struct talk *t)
{
    LIST_EACH(it, &t->photos_asked)
        LIST_ITEM(it, struct ask, in_queue)->later = false;
    if (t->photos_waiting)
        ask_next(t);
}

static void photo_init(struct talk *t)
{
    list_init(&t->photos_asked);
}

const struct feature xep0153_vcard_avatar = {
    .spec = "XEP-0153 1.1.1",
    .title = "vCard-Based Avatars",
    .note = "each viewer is told the hash of the profile that is meant for them: docs/profiles.md",
    .person_loaded = photos_loaded,
    .tick = photo_tick,
    .init = photo_init,
};
