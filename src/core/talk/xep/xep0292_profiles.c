/* XEP-0292 vCard4 Over XMPP 0.12.0 and XEP-0172 User Nickname 1.1 are nodes of an account, which need no code of their own; and
 * multi-profile: how an owner keeps up to three profiles besides the basic one and says who sees which (docs/profiles.md). What
 * everyone gets of them is decided in talk/profile.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/export.h"
#include "talk/import.h"
#include "talk/owned.h"
#include "talk/pubsub/inner.h"
#include "talk/xep/xep0398_avatars.h"
#include "wire/base64.h"

static const struct db_migration profile_migrations[] = {
    {1, "profile",
     "CREATE TABLE profile(owner INTEGER NOT NULL, number INTEGER NOT NULL, name TEXT, status TEXT, "
     "photo_type TEXT, photo TEXT,"
     " photo_id TEXT, photo_bytes INTEGER NOT NULL, background_type TEXT, background TEXT, PRIMARY "
     "KEY(owner, number)) WITHOUT ROWID;"
     "CREATE TABLE profile_viewer(owner INTEGER NOT NULL, jid TEXT NOT NULL, number INTEGER NOT NULL,"
     " PRIMARY KEY(owner, jid)) WITHOUT ROWID;"
     "CREATE INDEX profile_viewer_jid ON profile_viewer(jid);"
     "CREATE TABLE profile_head(owner INTEGER PRIMARY KEY, version INTEGER NOT NULL);"},
    {0},
};

static struct db_sql profile_write = {
    "INSERT INTO profile(owner, number, name, status, photo_type, photo, photo_id, photo_bytes, "
    "background_type, background)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
    " ON CONFLICT(owner, number) DO UPDATE SET name = excluded.name, status = excluded.status, photo_type = "
    "excluded.photo_type,"
    " photo = excluded.photo, photo_id = excluded.photo_id, photo_bytes = excluded.photo_bytes,"
    " background_type = excluded.background_type, background = excluded.background"};
static struct db_sql profile_remove = {"DELETE FROM profile WHERE owner = ?1 AND number = ?2"};
static struct db_sql viewer_write = {"INSERT INTO profile_viewer(owner, jid, number) VALUES (?1, ?2, ?3) ON "
                                     "CONFLICT(owner, jid) DO UPDATE SET number = excluded.number"};
static struct db_sql viewer_remove = {"DELETE FROM profile_viewer WHERE owner = ?1 AND jid = ?2"};
static struct db_sql viewers_of = {"SELECT count(*) FROM profile_viewer WHERE owner = ?1 AND number = ?2"};
/* Does it see the owner's presence, and is it a viewer already? */
static struct db_sql listed_select = {
    "SELECT r.subscription, v.number FROM roster r"
    " LEFT JOIN profile_viewer v ON v.owner = r.owner AND v.jid = r.jid WHERE r.owner = ?1 AND r.jid = ?2"};
static struct db_sql viewer_select = {"SELECT number FROM profile_viewer WHERE owner = ?1 AND jid = ?2"};
static struct db_sql viewers_count = {"SELECT count(*) FROM profile_viewer WHERE owner = ?1"};
/* Those who are contacts: who is none any more sees the minimal profile. */
static struct db_sql audience_select = {
    "SELECT v.jid FROM profile_viewer v CROSS JOIN roster r ON r.owner = v.owner AND r.jid = v.jid"
    " AND (r.subscription & 2) <> 0 WHERE v.owner = ?1 AND v.number = ?2 ORDER BY v.jid"};
static struct db_sql version_bump = {"INSERT INTO profile_head(owner, version) VALUES (?1, 1) ON "
                                     "CONFLICT(owner) DO UPDATE SET version = profile_head.version + 1"};
static struct db_sql delete_profiles = {"DELETE FROM profile WHERE owner = ?1"};
static struct db_sql delete_viewers = {"DELETE FROM profile_viewer WHERE owner = ?1"};
static struct db_sql delete_viewings = {"DELETE FROM profile_viewer WHERE jid = ?1"};
static struct db_sql delete_head = {"DELETE FROM profile_head WHERE owner = ?1"};
static struct db_sql card_select = {"SELECT xml FROM vcard WHERE owner = ?1"};

static const struct fault no_number = {"bad-request", NULL, NULL, "number is 0, 1, 2 or 3"};
static const struct fault basic_has_others = {
    "bad-request", NULL, NULL, "the basic profile has its name and photo in the vCard and the avatar"};
static const struct fault bad_picture = {"bad-request", NULL, NULL, "a picture is base64"};
static const struct fault too_large = {"not-acceptable", NULL, NULL, "a text or a picture is too large"};
static const struct fault has_viewers = {"conflict", NULL, NULL,
                                         "somebody sees this profile: let them see another one first"};
static const struct fault malformed = {"jid-malformed", NULL, NULL, NULL};

/* ---- writing one out ---- */

static void put_element(struct buf *b, const char *name, struct str text)
{
    if (text.len == 0)
        return;
    buf_printf(b, "<%s>", name);
    xml_put_escaped(b, text);
    buf_printf(b, "</%s>", name);
}

static void put_picture(struct buf *b, const char *name, struct str type, struct str id, struct str data,
                        bool whole)
{
    if (data.len == 0)
        return;
    buf_printf(b, "<%s", name);
    xml_put_attr(b, "type", type);
    if (id.len)
        xml_put_attr(b, "id", id);
    buf_put_c(b, '>');
    if (whole)
        buf_put_str(b, data);
    buf_printf(b, "</%s>", name);
}

static void put_profile(struct buf *b, const struct profile *p, int number, bool whole)
{
    BUF_LIT(b, "<profile xmlns='" NS_PROFILES "'");
    if (number >= 0)
        buf_printf(b, " number='%d'", number);
    buf_put_c(b, '>');
    put_element(b, "name", p->name);
    put_element(b, "status", p->status);
    put_picture(b, "photo", p->photo_type, p->photo_id, p->photo, whole);
    put_picture(b, "background", p->background_type, STR_NULL, p->background, whole);
    BUF_LIT(b, "</profile>");
}

/* ---- the basic one, put together from where plain clients have it ---- */

static enum err nick_of(struct job *j, struct db_conn *c, struct str *out)
{
    struct xml_node *x;
    struct node n;
    struct item i;
    enum err e = item_last_seen(j, c, STR(NODE_NICK), &n, &i);

    if (!e && xml_parse(&j->work, i.xml, NULL, &x) == XML_FINE && xml_is(x, "nick", NODE_NICK))
        *out = xml_text(&j->work, x);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err card_name(struct job *j, struct db_conn *c, struct str *out)
{
    struct db_stmt *row = NULL;
    struct xml_node *x;
    enum err e = db_get(c, &row, &card_select, "i", j->service.owner);

    if (!e && xml_parse(&j->work, arena_str(&j->work, db_text(row, 0)), NULL, &x) == XML_FINE)
        *out = xml_child_text(&j->work, x, "FN", "vcard-temp");
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err read_basic(struct job *j, struct db_conn *c, struct profile *p)
{
    struct avatar av;
    bool there;
    enum err e = profile_load(c, &j->work, j->service.owner, 0, p);

    e = e == ERR_NOT_FOUND ? OK : e;
    if (!e)
        e = nick_of(j, c, &p->name);
    if (!e && !p->name.len)
        e = card_name(j, c, &p->name);
    if (!e)
        e = avatar_read(j, c, &av, &there);
    if (e)
        return e;
    p->photo = av.data;
    p->photo_type = av.type;
    p->photo_id = av.id;
    return OK;
}

/* ---- a viewer's door ---- */

static enum err verb_view(struct job *j, struct db_conn *c)
{
    struct profile_view v = profile_of_job(j, c);
    struct profile p = {0};

    if (v.kind == PROFILE_BASIC || v.kind == PROFILE_OWN) {
        if (read_basic(j, c, &p) != OK || !profile_still(c, &v))
            profile_minimal(&v, &p);
        if (!p.name.len)
            p.name = v.local;
    } else {
        profile_read(c, &j->work, &v, &p);
    }
    put_profile(&j->out, &p, -1, true);
    return OK;
}

static void view_late(const struct job *j, struct buf *out)
{
    struct profile p = {.name = profile_local(j->service.bare)};

    put_profile(out, &p, -1, true);
}

/* ---- the owner's list ---- */

static enum err put_one(struct job *j, struct db_conn *c, int number, bool whole)
{
    struct profile p;
    enum err e = profile_load(c, &j->work, j->service.owner, number, &p);

    if (!e)
        put_profile(&j->out, &p, number, whole);
    return e;
}

static enum err verb_list(struct job *j, struct db_conn *c)
{
    struct profile_viewer *v;
    int count;
    enum err e = profile_viewers(c, &j->work, j->service.owner, &count, &v);

    BUF_LIT(&j->out, "<profiles xmlns='" NS_PROFILES "'>");
    for (int n = 0; n <= PROFILES_MAX && !e; n++) {
        e = put_one(j, c, n, false);
        e = e == ERR_NOT_FOUND ? OK : e;
    }
    for (int i = 0; i < count && !e; i++) {
        BUF_LIT(&j->out, "<viewer");
        xml_put_attr(&j->out, "jid", v[i].jid);
        buf_printf(&j->out, " number='%d'/>", v[i].number);
    }
    BUF_LIT(&j->out, "</profiles>");
    return e;
}

static bool number_of(const struct xml_node *x, int *out)
{
    int64_t n;

    if (!str_to_i64(xml_attr(x, "number"), &n) || n < 0 || n > PROFILES_MAX)
        return false;
    *out = (int)n;
    return true;
}

static enum err verb_get_one(struct job *j, struct db_conn *c)
{
    int n;
    enum err e = number_of(j->payload, &n) ? put_one(j, c, n, true) : job_fail(j, &no_number);

    return e == ERR_NOT_FOUND ? job_fail(j, &fault_not_found) : e;
}

/* ---- the owner changes one ---- */

/* False: not base64, or no type. `bytes` gets what is inside. */
static bool read_picture(struct job *j, const char *name, struct str *type, struct str *data,
                         struct str *bytes)
{
    const struct xml_node *x = xml_child(j->payload, name, NS_PROFILES);

    if (!x || !(*data = picture_text(&j->work, xml_text(&j->work, x))).len)
        return true;
    *type = xml_attr(x, "type");
    return type->len && str_starts(*type, STR("image/")) && base64_decode(&j->work, *data, bytes) == OK;
}

static const struct fault *read_one(struct job *j, int number, struct profile *p)
{
    struct str bytes = STR_NULL, ignored;

    *p = (struct profile){.name = xml_child_text(&j->work, j->payload, "name", NS_PROFILES),
                          .status = xml_child_text(&j->work, j->payload, "status", NS_PROFILES)};
    if (!read_picture(j, "photo", &p->photo_type, &p->photo, &bytes) ||
        !read_picture(j, "background", &p->background_type, &p->background, &ignored))
        return &bad_picture;
    if (number == 0 && (p->name.len || p->photo.len))
        return &basic_has_others;
    if (p->name.len > PROFILE_NAME_BYTES_MAX || p->status.len > PROFILE_STATUS_BYTES_MAX ||
        p->photo.len > PROFILE_IMAGE_BYTES_MAX || p->background.len > PROFILE_IMAGE_BYTES_MAX ||
        p->photo_type.len > 64 || p->background_type.len > 64)
        return &too_large;
    if (!p->photo.len)
        return NULL;
    p->photo_id = picture_id(&j->work, bytes);
    p->photo_bytes = (int64_t)bytes.len;
    return NULL;
}

static enum err tell_viewers(struct job *j, struct db_conn *c, int number, const struct profile *p)
{
    struct db_stmt *row = db_prepare(c, &audience_select);
    struct profile shown = *p;
    enum err e;

    if (!row)
        return ERR_IO;
    if (!shown.name.len)
        shown.name = profile_local(j->service.bare);
    db_bind_i64(row, 1, j->service.owner);
    db_bind_i64(row, 2, number);
    while ((e = db_step(row)) == OK)
        profile_tell(j, db_text(row, 0), &shown);
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err verb_set_one(struct job *j, struct db_conn *c)
{
    const struct fault *why;
    struct profile p;
    int n;
    enum err e;

    if (!number_of(j->payload, &n))
        return job_fail(j, &no_number);
    why = read_one(j, n, &p);
    if (why)
        return job_fail(j, why);
    e = profile_lock(c, j->service.owner);
    if (!e)
        e = db_run(c, &profile_write, "iisssssiss", j->service.owner, (int64_t)n, p.name, p.status,
                   p.photo_type, p.photo, p.photo_id, p.photo_bytes, p.background_type, p.background);
    return e || n == 0 ? e : tell_viewers(j, c, n, &p);
}

static enum err verb_remove(struct job *j, struct db_conn *c)
{
    struct db_stmt *row = NULL;
    int64_t viewers = 0;
    int n;
    enum err e;

    if (!number_of(j->payload, &n) || n == 0)
        return job_fail(j, &no_number);
    e = profile_lock(c, j->service.owner);
    if (!e)
        e = db_get(c, &row, &viewers_of, "ii", j->service.owner, (int64_t)n);
    if (!e)
        viewers = db_i64(row, 0);
    if (row)
        db_done(row);
    if (e || viewers)
        return e ? e : job_fail(j, &has_viewers); /* nobody falls back to one that was not meant for them */
    return db_run(c, &profile_remove, "ii", j->service.owner, (int64_t)n);
}

/* ---- the owner changes who sees it ---- */

struct named {
    struct str bare;
    bool contact, new;
};

/* Who was given another profile and is on the contact list no more: that can only be taken back. */
static enum err read_former(struct job *j, struct db_conn *c, struct str bare, struct named *out)
{
    struct db_stmt *row = NULL;
    enum err e = db_get(c, &row, &viewer_select, "is", j->service.owner, bare);

    if (row)
        db_done(row);
    *out = (struct named){bare, false, false};
    return e;
}

static enum err read_named(struct job *j, struct db_conn *c, const struct xml_node *x, int number, struct named *out)
{
    struct db_stmt *row = NULL;
    struct jid who;
    enum err e;

    if (!xml_is(x, "viewer", NS_PROFILES))
        return job_fail(j, &fault_bad_request);
    if (jid_parse(&j->work, xml_attr(x, "jid"), &who) != OK || who.resource.len)
        return job_fail(j, &malformed);
    e = db_get(c, &row, &listed_select, "is", j->service.owner, who.bare);
    if (!e)
        *out = (struct named){who.bare, (db_i64(row, 0) & SUB_FROM) != 0, db_is_null(row, 1)};
    if (row)
        db_done(row);
    if (e == ERR_NOT_FOUND && !number)
        e = read_former(j, c, who.bare, out);
    return e == ERR_NOT_FOUND ? job_fail(j, &fault_not_found) : e;
}

static enum err read_viewers(struct job *j, struct db_conn *c, int number, int *count, struct named **out)
{
    int64_t there;
    int n = 0;
    enum err e = pubsub_count(c, &viewers_count, j->service.owner, STR_NULL, &there);

    for (const struct xml_node *x = xml_first(j->payload); x; x = xml_next(x))
        n++;
    *count = 0;
    *out = arena_alloc(&j->work, sizeof **out * (size_t)(n + 1));
    for (const struct xml_node *x = xml_first(j->payload); x && !e && !j->fault; x = xml_next(x)) {
        struct named *one = &(*out)[*count];

        e = read_named(j, c, x, number, one);
        if (e || j->fault)
            return e;
        there += number && one->new;
        ++*count;
    }
    return e || there <= PROFILE_VIEWERS_MAX ? e : job_fail(j, &fault_limit);
}

/* Who is back in the basic profile's audience is shown that; also what it has not, or they would go on showing the other's. */
static enum err tell_basic(struct job *j, struct db_conn *c, struct str who)
{
    struct asker owner = j->asker;
    struct profile p = {0};
    enum err e;

    j->asker = (struct asker){.bare = who, .full = who};
    e = read_basic(j, c, &p);
    if (!p.name.len)
        p.name = profile_local(j->service.bare);
    for (int i = 0; profile_news[i] && !e; i++) {
        struct node n;
        struct item item;

        e = item_last_seen(j, c, str_of(profile_news[i]), &n, &item);
        if (e == ERR_NOT_FOUND) {
            n = (struct node){.name = str_of(profile_news[i])};
            item = (struct item){.publisher = j->service.bare};
            e = profile_put_item(&j->work, &p, n.name, &item.id, &item.xml) ? OK : ERR_NOT_FOUND;
        }
        if (!e)
            profile_tell_item(j, who, &n, &item);
        e = e == ERR_NOT_FOUND ? OK : e;
    }
    j->asker = owner;
    return e;
}

static enum err move_viewer(struct job *j, struct db_conn *c, const struct named *who, int number,
                            const struct profile *p)
{
    enum err e = number ? db_run(c, &viewer_write, "isi", j->service.owner, who->bare, (int64_t)number)
                        : db_run(c, &viewer_remove, "is", j->service.owner, who->bare);

    if (e || !who->contact)
        return e;
    if (!number)
        return tell_basic(j, c, who->bare);
    profile_tell(j, who->bare, p);
    return OK;
}

static enum err verb_audience(struct job *j, struct db_conn *c)
{
    struct named *v;
    struct profile p = {0};
    int n, count;
    enum err e;

    if (!number_of(j->payload, &n))
        return job_fail(j, &no_number);
    e = profile_lock(c, j->service.owner);
    if (!e && n)
        e = profile_load(c, &j->work, j->service.owner, n, &p);
    if (e)
        return e == ERR_NOT_FOUND ? job_fail(j, &fault_not_found) : e;
    if (!p.name.len)
        p.name = profile_local(j->service.bare);
    e = read_viewers(j, c, n, &count, &v);
    if (j->fault)
        return e;
    for (int i = 0; i < count && !e; i++)
        e = move_viewer(j, c, &v[i], n, &p);
    return e ? e : db_run(c, &version_bump, "i", j->service.owner);
}

/* ---- the protocol ---- */

static enum err profiles_get(struct session *s, const struct stanza *iq)
{
    struct person *p = iq->has_to ? person_known(s->talk, iq->to.local) : s->person;
    bool own = p && p == s->person;
    verb_fn *run = NULL;
    struct service at;
    struct job *j;

    if (!p)
        return ERR_NOT_FOUND;
    if (str_is(iq->payload->name, "profile"))
        run = !xml_attr(iq->payload, "number").p ? verb_view : own ? verb_get_one : NULL;
    else if (str_is(iq->payload->name, "profiles") && own)
        run = verb_list;
    if (!run)
        return own ? ERR_INVALID : ERR_DENIED;
    at = service_of(p);
    j = job_ask(s, iq, &at, run);
    if (!j)
        return ERR_INVALID;
    job_view(j, s, view_late);
    return OK;
}

static enum err profiles_set(struct session *s, const struct stanza *iq)
{
    static const struct {
        const char *name;
        verb_fn *run;
    } sets[] = {{"profile", verb_set_one}, {"remove", verb_remove}, {"audience", verb_audience}};
    struct service at;
    struct job *j = NULL;

    if (!s->person || (iq->has_to && !str_eq(iq->to.full, s->jid.bare)))
        return ERR_DENIED;
    at = service_of(s->person);
    for (size_t i = 0; i < sizeof sets / sizeof sets[0] && !j; i++)
        if (str_is(iq->payload->name, sets[i].name))
            j = job_ask(s, iq, &at, sets[i].run);
    if (!j)
        return ERR_INVALID;
    j->done = avatar_changed;
    job_change(j, s);
    return OK;
}

static void profiles_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &delete_profiles, "i", p->id);
    db_run(c, &delete_viewers, "i", p->id);
    db_run(c, &delete_head, "i", p->id);
    if (p->jid.bare.len)
        db_run(c, &delete_viewings, "s", p->jid.bare);
}

/* ---- in an export, and from one: an element of our own, as the owner is answered ---- */

static void put_readable(struct person_export *x, const struct profile *p, int number)
{
    buf_printf(&x->html, "<tr><td>%d</td><td>", number);
    export_put_text(&x->html, p->name);
    BUF_LIT(&x->html, "</td><td>");
    export_put_text(&x->html, p->status);
    BUF_LIT(&x->html, "</td><td>");
    if (p->photo.len && str_starts(p->photo_type, STR("image/"))) {
        BUF_LIT(&x->html, "<img alt=\"\" width=\"96\" src=\"data:");
        export_put_text(&x->html, p->photo_type);
        BUF_LIT(&x->html, ";base64,");
        export_put_text(&x->html, p->photo);
        BUF_LIT(&x->html, "\">");
    }
    BUF_LIT(&x->html, "</td></tr>\n");
}

static enum err export_one(struct person_export *x, int number)
{
    struct profile p;
    enum err e = profile_load(x->conn, x->arena, x->owner, number, &p);

    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    put_profile(&x->xml, &p, number, true);
    buf_put_c(&x->xml, '\n');
    put_readable(x, &p, number);
    export_count(x, "profiles", 1);
    return OK;
}

static void export_viewers(struct person_export *x)
{
    struct profile_viewer *v;
    int count;
    enum err e = profile_viewers(x->conn, x->arena, x->owner, &count, &v);

    for (int i = 0; i < count && !e; i++) {
        BUF_LIT(&x->xml, "<viewer");
        xml_put_attr(&x->xml, "jid", v[i].jid);
        buf_printf(&x->xml, " number='%d'/>\n", v[i].number);
        buf_printf(&x->html, "<tr><td>%d</td><td>", v[i].number);
        export_put_text(&x->html, v[i].jid);
        BUF_LIT(&x->html, "</td></tr>\n");
    }
    export_fail(x, e);
}

static void profiles_export(struct person_export *x)
{
    export_heading(x, "Profiles, and who sees which", "프로필과 보는 사람");
    BUF_LIT(&x->xml, "<profiles xmlns='" NS_PROFILES "'>\n");
    BUF_LIT(&x->html, "<table>\n");
    for (int n = 0; n <= PROFILES_MAX && !x->e; n++)
        export_fail(x, export_one(x, n));
    if (!x->e)
        export_viewers(x);
    BUF_LIT(&x->xml, "</profiles>\n");
    BUF_LIT(&x->html, "</table>\n");
}

static struct db_sql have_profiles = {
    "SELECT (SELECT count(*) FROM profile WHERE owner = ?1) + (SELECT count(*) FROM profile_viewer WHERE owner = ?1)"};

static enum err import_one(struct import *x, const struct xml_node *element)
{
    struct job j = {.payload = element};
    struct profile p;
    int n;
    enum err e;

    arena_init(&j.work);
    if (!number_of(element, &n) || read_one(&j, n, &p)) {
        x->why = STR("it is no profile");
        e = ERR_INVALID;
    } else {
        e = db_run(x->conn, &profile_write, "iisssssiss", x->owner, (int64_t)n, p.name, p.status, p.photo_type, p.photo,
                   p.photo_id, p.photo_bytes, p.background_type, p.background);
    }
    arena_done(&j.work);
    return e;
}

static enum err import_viewer(struct import *x, const struct xml_node *element)
{
    struct jid who;
    int n;

    if (!number_of(element, &n) || n == 0 || jid_parse(&x->arena, xml_attr(element, "jid"), &who) != OK) {
        x->why = STR("a viewer is an address and a number");
        return ERR_INVALID;
    }
    return db_run(x->conn, &viewer_write, "isi", x->owner, who.bare, (int64_t)n);
}

/* All of them or none: half of an audience would see what was meant for another. */
static enum err profiles_take(struct import *x)
{
    int64_t have;
    enum err e = pubsub_count(x->conn, &have_profiles, x->owner, STR_NULL, &have);

    if (e || have)
        return e ? e : ERR_EXISTS;
    e = db_run(x->conn, &version_bump, "i", x->owner);
    for (const struct xml_node *n = xml_first(x->event->node); n && !e; n = xml_next(n))
        e = xml_is(n, "profile", NS_PROFILES) ? import_one(x, n) : xml_is(n, "viewer", NS_PROFILES) ? import_viewer(x, n) : OK;
    if (e == ERR_INVALID && (db_run(x->conn, &delete_profiles, "i", x->owner) || db_run(x->conn, &delete_viewers, "i", x->owner)))
        return ERR_IO;
    return e;
}

static const struct import_handler profiles_imports[] = {
    {"profiles", NS_PROFILES, NULL, NULL, "profiles", profiles_take}, {0}};

static const struct owned profiles_owned[] = {
    {"profile"}, {"profile_head"}, {"profile_viewer", "owner = ?1 OR jid = ?3"}, {0}};

static const struct iq_handler profiles_iqs[] = {
    {NULL, NS_PROFILES, IQ_TO_SELF | IQ_TO_OTHER | IQ_FROM_GUEST, profiles_get, profiles_set},
    {0},
};
static const char *const profiles_disco[] = {NS_PROFILES, NULL};

const struct feature xep0292_profiles = {
    .spec = "XEP-0292 0.12.0",
    .title = "vCard4 Over XMPP",
    .note = "a contact sees the profile that is meant for it: docs/profiles.md",
    .disco_account = profiles_disco,
    .iqs = profiles_iqs,
    .migrations = profile_migrations,
    .person_deleted = profiles_deleted,
    .person_export = profiles_export,
    .imports = profiles_imports,
    .owned = profiles_owned,
};
const struct feature xep0172_nick = {.spec = "XEP-0172 1.1", .title = "User Nickname"};
