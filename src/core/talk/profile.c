/* profile.c: see profile.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/profile.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/metric.h"
#include "wire/xml.h"
#include <stdlib.h>

METRIC_COUNTER(minimal_views, "bongsu_talk_profile_uncertain",
               "Profiles shown as the minimal one because it was not certain which.");

static struct db_sql viewer_select = {"SELECT number FROM profile_viewer WHERE owner = ?1 AND jid = ?2"};
static struct db_sql version_select = {"SELECT version FROM profile_head WHERE owner = ?1"};
static struct db_sql contact_select = {
    "SELECT 1 FROM roster WHERE owner = ?1 AND jid = ?2 AND (subscription & 2) <> 0"};
static struct db_sql profile_select = {
    "SELECT name, status, photo_type, photo, photo_id, photo_bytes, background_type, background FROM profile"
    " WHERE owner = ?1 AND number = ?2"};
static struct db_sql viewers_select = {
    "SELECT jid, number FROM profile_viewer WHERE owner = ?1 ORDER BY jid"};
static struct db_sql owner_lock = {"UPDATE person SET archive_default = archive_default WHERE id = ?1"};

/* A number of one row; ERR_NOT_FOUND leaves `none`. */
static enum err read_number(struct db_conn *c, struct db_sql *sql, int64_t owner, struct str jid,
                            int64_t none, int64_t *out)
{
    struct db_stmt *row = NULL;
    enum err e = FAULT("profile.read");

    *out = none;
    if (e)
        return e;
    e = jid.p ? db_get(c, &row, sql, "is", owner, jid) : db_get(c, &row, sql, "i", owner);
    if (!e)
        *out = db_i64(row, 0);
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err profile_version(struct db_conn *c, int64_t owner, int64_t *out)
{
    return read_number(c, &version_select, owner, STR_NULL, 0, out);
}

static struct profile_view minimal(struct profile_view v)
{
    metric_add(&minimal_views, 1);
    v.kind = PROFILE_MINIMAL;
    return v;
}

struct profile_view profile_for(struct db_conn *c, bool newest, int64_t owner, struct str owner_bare,
                                struct str viewer_bare)
{
    struct profile_view v = {
        .kind = PROFILE_OWN, .owner = owner, .bare = owner_bare, .local = profile_local(owner_bare)};
    int64_t number, contact;

    if (str_eq(owner_bare, viewer_bare))
        return v;
    if (!newest || read_number(c, &version_select, owner, STR_NULL, 0, &v.version) != OK ||
        read_number(c, &viewer_select, owner, viewer_bare, 0, &number) != OK)
        return minimal(v);
    v.kind = PROFILE_BASIC;
    if (number == 0)
        return v;
    v.kind = PROFILE_OTHER;
    v.number = (int)number;
    /* a profile for contacts is for those who are */
    if (number < 0 || number > PROFILES_MAX ||
        read_number(c, &contact_select, owner, viewer_bare, 0, &contact) != OK || !contact)
        return minimal(v);
    return v;
}

bool profile_still(struct db_conn *c, const struct profile_view *v)
{
    int64_t now;

    if (v->kind == PROFILE_OWN || v->kind == PROFILE_MINIMAL)
        return true;
    return read_number(c, &version_select, v->owner, STR_NULL, 0, &now) == OK && now == v->version &&
           db_conn_state(c) == OK;
}

static struct str copy(struct arena *a, struct str s)
{
    return s.len ? arena_str(a, s) : STR_NULL;
}

enum err profile_load(struct db_conn *c, struct arena *a, int64_t owner, int number, struct profile *out)
{
    struct db_stmt *row = NULL;
    enum err e = FAULT("profile.read");

    *out = (struct profile){0};
    if (!e)
        e = db_get(c, &row, &profile_select, "ii", owner, (int64_t)number);
    if (!e)
        *out = (struct profile){
            .name = copy(a, db_text(row, 0)),
            .status = copy(a, db_text(row, 1)),
            .photo_type = copy(a, db_text(row, 2)),
            .photo = copy(a, db_text(row, 3)),
            .photo_id = copy(a, db_text(row, 4)),
            .photo_bytes = db_i64(row, 5),
            .background_type = copy(a, db_text(row, 6)),
            .background = copy(a, db_text(row, 7)),
        };
    if (row)
        db_done(row);
    return e;
}

void profile_minimal(struct profile_view *v, struct profile *out)
{
    v->kind = PROFILE_MINIMAL;
    *out = (struct profile){.name = v->local};
}

void profile_read(struct db_conn *c, struct arena *a, struct profile_view *v, struct profile *out)
{
    if (v->kind != PROFILE_OTHER || profile_load(c, a, v->owner, v->number, out) != OK ||
        !profile_still(c, v)) {
        if (v->kind == PROFILE_OTHER)
            metric_add(&minimal_views, 1);
        profile_minimal(v, out);
    }
    if (out->name.len == 0)
        out->name = v->local;
}

/* ---- forms ---- */

const char *const profile_news[] = {NODE_AVATAR_METADATA, NODE_NICK, NODE_VCARD4, NULL};

bool profile_is_node(struct str node)
{
    return str_is(node, NODE_AVATAR_DATA) || str_is(node, NODE_AVATAR_METADATA) || str_is(node, NODE_NICK) ||
           str_is(node, NODE_VCARD4);
}

static void put_text(struct buf *b, const char *open, struct str text, const char *close)
{
    if (text.len == 0)
        return;
    buf_put_z(b, open);
    xml_put_escaped(b, text);
    buf_put_z(b, close);
}

void profile_put_vcard(struct buf *b, const struct profile *p)
{
    BUF_LIT(b, "<vCard xmlns='vcard-temp'>");
    put_text(b, "<FN>", p->name, "</FN>");
    put_text(b, "<NICKNAME>", p->name, "</NICKNAME>");
    put_text(b, "<DESC>", p->status, "</DESC>");
    if (p->photo.len) {
        put_text(b, "<PHOTO><TYPE>", p->photo_type, "</TYPE>");
        put_text(b, "<BINVAL>", p->photo, "</BINVAL></PHOTO>");
    }
    BUF_LIT(b, "</vCard>");
}

static void put_vcard4(struct buf *b, const struct profile *p)
{
    BUF_LIT(b, "<vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'>");
    put_text(b, "<fn><text>", p->name, "</text></fn>");
    put_text(b, "<nickname><text>", p->name, "</text></nickname>");
    put_text(b, "<note><text>", p->status, "</text></note>");
    BUF_LIT(b, "</vcard>");
}

static void put_metadata(struct buf *b, const struct profile *p)
{
    BUF_LIT(b, "<metadata xmlns='" NODE_AVATAR_METADATA "'");
    if (!p->photo.len) {
        BUF_LIT(b, "/>");
        return;
    }
    BUF_LIT(b, "><info");
    xml_put_attr(b, "id", p->photo_id);
    xml_put_attr(b, "type", p->photo_type);
    buf_printf(b, " bytes='%lld'/></metadata>", (long long)p->photo_bytes);
}

bool profile_put_item(struct arena *a, const struct profile *p, struct str node, struct str *id,
                      struct str *xml)
{
    struct buf b;

    buf_init(&b, 0);
    *id = STR("current");
    if (str_is(node, NODE_NICK)) {
        put_text(&b, "<nick xmlns='" NODE_NICK "'>", p->name, "</nick>");
    } else if (str_is(node, NODE_VCARD4)) {
        put_vcard4(&b, p);
    } else if (str_is(node, NODE_AVATAR_METADATA)) {
        put_metadata(&b, p);
        *id = p->photo.len ? p->photo_id : *id;
    } else if (p->photo.len) {
        put_text(&b, "<data xmlns='" NODE_AVATAR_DATA "'>", p->photo, "</data>");
        *id = p->photo_id;
    }
    *xml = arena_str(a, buf_str(&b));
    buf_done(&b);
    return xml->len > 0;
}

/* ---- audiences ---- */

enum err profile_viewers(struct db_conn *c, struct arena *a, int64_t owner, int *count,
                         struct profile_viewer **out)
{
    struct db_stmt *row;
    int cap = 0;
    enum err e = FAULT("profile.read");

    *count = 0;
    *out = NULL;
    if (e)
        return e;
    row = db_prepare(c, &viewers_select);
    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, owner);
    while ((e = db_step(row)) == OK) {
        if (*count == cap) {
            struct profile_viewer *more = arena_alloc(a, sizeof *more * (size_t)(cap = cap ? cap * 2 : 16));

            if (*count)
                memcpy(more, *out, sizeof *more * (size_t)*count);
            *out = more;
        }
        (*out)[(*count)++] = (struct profile_viewer){arena_str(a, db_text(row, 0)), (int)db_i64(row, 1)};
    }
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err profile_lock(struct db_conn *c, int64_t owner)
{
    return db_run(c, &owner_lock, "i", owner);
}
