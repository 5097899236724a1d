/* XEP-0398 User Avatar to vCard-Based Avatars Conversion 1.0.0, and with it XEP-0084 and XEP-0153. The avatar nodes hold the picture;
 * cards and presence show it. Its hash in presence is told per viewer (talk/profile.h), and only in a database of our own: where
 * several messengers share one, memory cannot prove that it knows the newest audience, so there presence says nothing of photos.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0398_avatars.h"
#include "base/fault.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "talk/presence.h"
#include "talk/profile.h"
#include "talk/pubsub/inner.h"
#include "talk/rooms/room_leave.h"
#include "wire/base64.h"
#include <stdlib.h>

#define NS_VCARD "vcard-temp"

enum { PHOTO_ID_BYTES = 40 };

/* ---- the avatar ---- */

/* The info of the picture that is in the data node (§3.1: the one without a URL). */
static const struct xml_node *info_of(const struct xml_node *metadata)
{
    for (const struct xml_node *x = xml_first(metadata); x; x = xml_next(x))
        if (xml_is(x, "info", NODE_AVATAR_METADATA) && !xml_attr(x, "url").p && xml_attr(x, "id").len)
            return x;
    return NULL;
}

struct str picture_id(struct arena *a, struct str bytes)
{
    uint8_t hash[PHOTO_ID_BYTES / 2];
    char *id = arena_alloc(a, PHOTO_ID_BYTES);

    digest(DIGEST_SHA1, bytes, hash);
    hex_write(id, hash, sizeof hash);
    return str_make(id, PHOTO_ID_BYTES);
}

static bool hash_fits(struct arena *a, struct str data, struct str id)
{
    struct str bytes;

    return base64_decode(a, data, &bytes) == OK && str_eq_nocase(picture_id(a, bytes), id);
}

struct str picture_text(struct arena *a, struct str base64)
{
    char *out = arena_alloc(a, base64.len + 1);
    size_t n = 0;

    for (size_t i = 0; i < base64.len; i++)
        if (!strchr(" \t\r\n", base64.p[i]))
            out[n++] = base64.p[i];
    return str_make(out, n);
}

static enum err read_data(struct job *j, struct db_conn *c, struct avatar *out)
{
    struct xml_node *x;
    struct node n;
    struct item i;
    enum err e = node_read(j, c, STR(NODE_AVATAR_DATA), false, &n);

    if (!e)
        e = item_get(j, c, &n, out->id, &i);
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    if (xml_parse(&j->work, i.xml, NULL, &x) != XML_FINE || !xml_is(x, "data", NODE_AVATAR_DATA))
        return OK;
    out->data = picture_text(&j->work, xml_text(&j->work, x));
    if (!hash_fits(&j->work, out->data, out->id))
        out->data = STR_NULL;
    return OK;
}

enum err avatar_read(struct job *j, struct db_conn *c, struct avatar *out, bool *there)
{
    const struct xml_node *info;
    struct xml_node *x;
    struct node n;
    struct item i;
    enum err e = item_last_seen(j, c, STR(NODE_AVATAR_METADATA), &n, &i);

    *out = (struct avatar){0};
    *there = n.id != 0;
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    info = xml_parse(&j->work, i.xml, NULL, &x) == XML_FINE ? info_of(x) : NULL;
    if (!info)
        return OK;
    out->id = xml_attr(info, "id");
    out->type = xml_attr(info, "type").len ? xml_attr(info, "type") : STR("image/png");
    return read_data(j, c, out);
}

void avatar_put_photo(struct buf *b, const struct avatar *av)
{
    BUF_LIT(b, "<PHOTO><TYPE>");
    xml_put_escaped(b, av->type);
    BUF_LIT(b, "</TYPE><BINVAL>");
    buf_put_str(b, av->data);
    BUF_LIT(b, "</BINVAL></PHOTO>");
}

/* ---- from the card ---- */

static enum err publish_picture(struct job *j, struct db_conn *c, struct str type, struct str data,
                                struct str bytes)
{
    struct str name = picture_id(&j->work, bytes);
    struct buf xml;
    enum err e;

    buf_init(&xml, 0);
    BUF_LIT(&xml, "<data xmlns='" NODE_AVATAR_DATA "'>");
    buf_put_str(&xml, data);
    BUF_LIT(&xml, "</data>");
    e = publish_own(j, c, STR(NODE_AVATAR_DATA), name, arena_str(&j->work, buf_str(&xml)), ACCESS_OPEN);
    if (!e && !j->fault) {
        buf_clear(&xml);
        BUF_LIT(&xml, "<metadata xmlns='" NODE_AVATAR_METADATA "'><info");
        xml_put_attr(&xml, "id", name);
        xml_put_attr(&xml, "type", type);
        buf_printf(&xml, " bytes='%zu'/></metadata>", bytes.len);
        e = publish_own(j, c, STR(NODE_AVATAR_METADATA), name, arena_str(&j->work, buf_str(&xml)),
                        ACCESS_OPEN);
    }
    buf_done(&xml);
    return e;
}

/* A card without a picture says that there is none. */
static enum err publish_none(struct job *j, struct db_conn *c)
{
    struct avatar av;
    bool there;
    enum err e = avatar_read(j, c, &av, &there);

    if (e || !av.id.len)
        return e;
    return publish_own(j, c, STR(NODE_AVATAR_METADATA), STR("none"),
                       STR("<metadata xmlns='" NODE_AVATAR_METADATA "'/>"), ACCESS_OPEN);
}

enum err avatar_from_card(struct job *j, struct db_conn *c, const struct xml_node *photo)
{
    struct avatar now;
    struct str data, type, bytes;
    bool there;
    enum err e;

    data = photo ? xml_child_text(&j->work, photo, "BINVAL", NS_VCARD) : STR_NULL;
    type = photo ? xml_child_text(&j->work, photo, "TYPE", NS_VCARD) : STR_NULL;
    data = picture_text(&j->work, data);
    if (!data.len)
        return publish_none(j, c);
    if (base64_decode(&j->work, data, &bytes) != OK)
        return job_fail(j, &fault_bad_request);
    e = avatar_read(j, c, &now, &there);
    if (e || str_eq(now.data, data))
        return e; /* the same as before is no news */
    return publish_picture(j, c, type.len ? type : STR("image/png"), data, bytes);
}

/* ---- presence ---- */

struct profile_photos {
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
        (info = info_of(x)))
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

/* NULL: it could not be read, and nobody is told anything. */
static struct profile_photos *photos_read(struct db_conn *c, int64_t owner)
{
    struct profile_photos *f = NEW(struct profile_photos);
    enum err e;

    arena_init(&f->arena);
    e = profile_viewers(c, &f->arena, owner, &f->count, &f->viewers);
    if (!e)
        e = read_basic(c, f, owner);
    if (!e)
        e = read_others(c, f, owner);
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

struct str profile_photo_for(struct person *owner, struct str viewer_bare)
{
    struct profile_photos *f = owner->photos;
    struct roster_item *item;

    if (!f || owner->talk->shared)
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

static void avatars_loaded(struct person *p, struct db_conn *c)
{
    profile_photos_free(p);
    if (!p->talk->shared)
        p->photos = photos_read(c, p->id);
}

static bool same_photos(const struct profile_photos *a, const struct profile_photos *b)
{
    bool same = a && b && a->count == b->count && memcmp(a->basic, b->basic, sizeof a->basic) == 0 &&
                memcmp(a->other, b->other, sizeof a->other) == 0;

    for (int i = 0; same && i < a->count; i++)
        same = str_eq(a->viewers[i].jid, b->viewers[i].jid) && a->viewers[i].number == b->viewers[i].number;
    return same;
}

void profile_changed(struct person *p)
{
    struct profile_photos *before = p->photos;
    bool same;

    if (p->talk->shared)
        return;
    p->photos = photos_read(db_loop_conn(p->talk->db), p->id);
    same = same_photos(before, p->photos);
    photos_free(before);
    if (same || p->deleted)
        return;
    presence_again(p);
    rooms_person_tells_less(p);
}

void avatar_changed(struct job *j, enum err e)
{
    if (!e && !j->fault && j->service.person)
        profile_changed(j->service.person);
}

static const char *const avatars_disco[] = {"urn:xmpp:pep-vcard-conversion:0", NULL};

const struct feature xep0398_avatars = {
    .spec = "XEP-0398 1.0.0",
    .title = "User Avatar to vCard-Based Avatars Conversion",
    .note = "the hash in presence on one machine only: docs/profiles.md",
    .disco_account = avatars_disco,
    .person_loaded = avatars_loaded,
};
const struct feature xep0084_avatar = {.spec = "XEP-0084 1.1.4", .title = "User Avatar"};
const struct feature xep0153_vcard_avatar = {.spec = "XEP-0153 1.1.1", .title = "vCard-Based Avatars"};
