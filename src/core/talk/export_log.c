/* export_log.c: messages of an export, a part at a time: the account's own, and those of its rooms.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "talk/archive.h"
#include "talk/archive_id.h"
#include "talk/export_inner.h"
#include "talk/rooms/room_author.h"
#include "talk/rooms/room_export.h"
#include "talk/route.h"
#include "wire/json.h"
#include <stdio.h>

struct log {
    int64_t owner, after, upto;
    int64_t peer;           /* only what was exchanged with that one; 0: all */
    bool    sees;           /* a room's: with who is behind a nickname */
    int     count;          /* of messages in this part */
    bool    complete;
};

/* ---- one message in both forms ---- */

static void put_who(struct buf *b, const struct xml_node *n)
{
    BUF_LIT(b, "<b>");
    export_put_text(b, xml_attr(n, "from"));
    BUF_LIT(b, "</b>");
    if (xml_attr(n, "to").len) {
        BUF_LIT(b, " &rarr; ");
        export_put_text(b, xml_attr(n, "to"));
    }
    BUF_LIT(b, "<br>");
}

static void put_readable(struct buf *b, struct arena *a, struct str stanza, int64_t at_us)
{
    struct xml_node       *n = NULL;
    const struct xml_node *body, *file, *subject;
    char                   when[CLOCK_TEXT_BYTES];

    if (xml_parse(a, stanza, NULL, &n) != XML_FINE)
        return;
    body = xml_child(n, "body", NULL);
    subject = xml_child(n, "subject", NULL);
    file = xml_child(n, "x", "jabber:x:oob");
    clock_format(at_us - at_us % 1000000, when);
    buf_printf(b, "<p class=\"m\"><time>%s</time> ", when);
    put_who(b, n);
    if (subject) {
        BUF_LIT(b, "<i>");
        export_put_text(b, xml_text(a, subject));
        BUF_LIT(b, "</i> ");
    }
    if (body)
        export_put_text(b, xml_text(a, body));
    else if (!subject)
        BUF_LIT(b, "<i>(no text · <span lang=\"ko\">글 없음</span>)</i>");
    if (file) {
        BUF_LIT(b, "<br>");
        export_put_text(b, xml_child_text(a, file, "url", "jabber:x:oob"));
    }
    BUF_LIT(b, "</p>\n");
}

static void put_result(struct buf *b, const struct archive_row *r, struct str stanza)
{
    BUF_LIT(b, "<result xmlns='urn:xmpp:mam:2' id='");
    archive_id_put(b, r->shown);
    BUF_LIT(b, "'>");
    message_put_forwarded(b, stanza, STR_NULL, r->id, false);
    BUF_LIT(b, "</result>\n");
}

/* ---- pages ---- */

/* One page of the log into both files; log->after moves on. */
static enum err put_page(struct export *x, struct person_export *p, struct log *log)
{
    struct archive_filter f = { .owner = log->owner, .peer = log->peer, .start_us = log->after + 1, .end_us = log->upto };
    struct room_author   *known = NULL;
    struct archive_page   page;
    struct buf            text;
    enum err              e;

    arena_reset(&x->arena);
    buf_init(&text, 0);
    e = archive_read(x->conn, &x->arena, &f, ARCHIVE_PAGE_MAX, false, &page);
    for (int i = 0; i < page.count && !e; i++) {
        const struct archive_row *r = &page.rows[i];

        put_result(&p->xml, r, log->sees ? room_with_author(x->conn, &x->arena, &known, log->owner, r, &text) : r->stanza);
        put_readable(&p->html, &x->arena, r->stanza, r->id);
        export_flush(p);
        e = p->e;
        log->after = r->id;
        log->count++;
    }
    log->complete = page.complete;
    buf_done(&text);
    return e;
}

static void put_pages(struct export *x, struct person_export *p, struct log *log)
{
    while (!p->e && !log->complete && log->count < EXPORT_PART_MESSAGES)
        p->e = put_page(x, p, log);
    if (log->complete)
        log->after = log->upto;
}

/* ---- the account's own ---- */

static void put_nav(struct buf *b, int part)
{
    BUF_LIT(b, "<nav>");
    if (part > 1)
        buf_printf(b, "<a href=\"messages-%06d.html\">&larr;</a>", part - 1);
    buf_printf(b, "<a href=\"index.html\">index</a><a href=\"messages-%06d.html\">&rarr;</a></nav>\n", part + 1);
}

static void put_messages(struct export *x, struct person_export *p, struct log *log, int part)
{
    BUF_LIT(&p->xml, "<?xml version='1.0' encoding='UTF-8'?>\n<archive xmlns='" NS_PIE_MAM "'>\n");
    export_html_begin(&p->html, arena_printf(&x->arena, "%.*s: messages %d", STR_ARG(x->bare), part));
    put_nav(&p->html, part);
    put_pages(x, p, log);
    BUF_LIT(&p->xml, "</archive>\n");
    put_nav(&p->html, part);
    export_html_end(&p->html);
}

enum err export_messages_step(struct export *x)
{
    struct log           log = { .owner = x->owner, .after = export_number(x->manifest, "after"), .upto = export_number(x->manifest, "upto") };
    int                  part = (int)export_number(x->manifest, "parts") + 1;
    char                 xml[64], html[64];
    struct export_file   files[2];
    struct person_export p;
    enum err             e;

    snprintf(xml, sizeof xml, "archive-%06d.xml", part);
    snprintf(html, sizeof html, "messages-%06d.html", part);
    if (export_parts_begin(x, &p, files, xml, html) == OK)
        put_messages(x, &p, &log, part);
    e = export_parts_end(&p);
    if (e)
        return e;
    export_manifest_add(x, xml, files[0].bytes, files[0].hash, log.count);
    export_manifest_add(x, html, files[1].bytes, files[1].hash, log.count);
    export_count(&p, "messages", log.count);
    json_object_set_new(x->manifest, "after", json_integer(log.after));
    json_object_set_new(x->manifest, "parts", json_integer(part));
    return export_manifest_write(x);
}

/* ---- rooms ---- */

struct listed {
    struct listed   *next;
    struct room_kept room;
};
struct listing {
    struct arena  *arena;
    struct listed *first, **end;
};

static enum err list_room(void *arg, const struct room_kept *r)
{
    struct listing *l = arg;

    *l->end = ARENA_NEW(l->arena, struct listed);
    **l->end = (struct listed){ .room = *r };
    l->end = &(*l->end)->next;
    return OK;
}

/* First the list, then each log: one statement at a time. */
static enum err rooms_list(struct export *x, struct listed **out)
{
    struct listing l = { .arena = &x->arena, .end = &l.first };
    enum err       e = rooms_of(x->conn, &x->arena, x->bare, list_room, &l);

    *out = l.first;
    return e;
}

enum err export_rooms_begin(struct export *x)
{
    json_t        *rooms = json_object_get(x->manifest, "rooms");
    struct listed *l;
    enum err       e = rooms_list(x, &l);

    for (; l && !e; l = l->next) {
        int64_t first = 0, last = 0;

        e = archive_ends(x->conn, l->room.id, &first, &last);
        json_array_append_new(rooms, json_pack("{s:s%,s:I,s:I,s:I,s:[]}", "room", l->room.jid.p, l->room.jid.len, "upto", (json_int_t)last,
                                               "after", (json_int_t)0, "messages", (json_int_t)0, "parts"));
    }
    return e;
}

json_t *export_rooms_next(struct export *x)
{
    json_t *room;
    size_t  i;

    json_array_foreach(json_object_get(x->manifest, "rooms"), i, room)
        if (export_number(room, "after") < export_number(room, "upto"))
            return room;
    return NULL;
}

static void put_room(struct export *x, struct person_export *p, struct log *log, struct str jid)
{
    BUF_LIT(&p->xml, "<?xml version='1.0' encoding='UTF-8'?>\n<archive xmlns='" NS_EXPORT "'");
    xml_put_attr(&p->xml, "room", jid);
    BUF_LIT(&p->xml, ">\n");
    export_html_begin(&p->html, jid);
    BUF_LIT(&p->html, "<nav><a href=\"index.html\">index</a></nav>\n");
    put_pages(x, p, log);
    BUF_LIT(&p->xml, "</archive>\n");
    export_html_end(&p->html);
}

static void room_part_done(struct export *x, json_t *room, const struct log *log, const char *name)
{
    json_object_set_new(room, "after", json_integer(log->after));
    if (log->count) {
        json_object_set_new(room, "messages", json_integer(export_number(room, "messages") + log->count));
        json_array_append_new(json_object_get(room, "parts"), json_string(name));
        json_object_set_new(x->manifest, "room_parts", json_integer(export_number(x->manifest, "room_parts") + 1));
    }
}

static enum err write_room_part(struct export *x, json_t *room, struct log *log)
{
    char                 name[32], xml[64], html[64];
    struct export_file   files[2];
    struct person_export p;
    enum err             e;

    snprintf(name, sizeof name, "room-%06d", (int)export_number(x->manifest, "room_parts") + 1);
    snprintf(xml, sizeof xml, "%s.xml", name);
    snprintf(html, sizeof html, "%s.html", name);
    if (export_parts_begin(x, &p, files, xml, html) == OK)
        put_room(x, &p, log, json_get_str(room, "room"));
    e = export_parts_end(&p);
    if (e)
        return e;
    room_part_done(x, room, log, name);
    if (log->count) {
        export_manifest_add(x, xml, files[0].bytes, files[0].hash, log->count);
        export_manifest_add(x, html, files[1].bytes, files[1].hash, log->count);
        export_count(&p, "room_messages", log->count);
    }
    return export_manifest_write(x);
}

/* What the account may read is asked anew for each part: who has been put out meanwhile gets what it said itself. */
enum err export_room_step(struct export *x, json_t *room)
{
    struct room_kept kept;
    struct log       log = { .after = export_number(room, "after"), .upto = export_number(room, "upto") };
    enum err         e = rooms_of_one(x->conn, &x->arena, x->bare, json_get_str(room, "room"), &kept);

    if (e == ERR_NOT_FOUND) {
        json_object_set_new(room, "after", json_integer(log.upto));
        return export_manifest_write(x);
    }
    if (e)
        return e;
    log.owner = kept.id;
    log.peer = kept.reads ? 0 : x->owner;
    log.sees = kept.sees;
    return write_room_part(x, room, &log);
}

/* ---- the rooms in account.xml and index.html ---- */

static const json_t *record_of(struct export *x, struct str jid)
{
    const json_t *room;
    size_t        i;

    json_array_foreach(json_object_get(x->manifest, "rooms"), i, room)
        if (str_eq(json_get_str(room, "room"), jid))
            return room;
    return NULL;
}

static void put_parts(struct person_export *p, const json_t *record)
{
    const json_t *part;
    size_t        i;

    json_array_foreach(json_object_get(record, "parts"), i, part) {
        buf_printf(&p->xml, "<part href='%s.xml'/>", json_string_value(part));
        buf_printf(&p->html, " <a href=\"%s.html\">%zu</a>", json_string_value(part), i + 1);
    }
}

static void put_membership(struct export *x, struct person_export *p, const struct room_kept *r)
{
    char when[CLOCK_TEXT_BYTES];

    BUF_LIT(&p->xml, "<room");
    xml_put_attr(&p->xml, "jid", r->jid);
    if (r->name.len)
        xml_put_attr(&p->xml, "name", r->name);
    buf_printf(&p->xml, " affiliation='%s'", room_affiliation_name(r->affiliation));
    if (r->nick.len)
        xml_put_attr(&p->xml, "nick", r->nick);
    if (r->since)
        xml_put_attr(&p->xml, "since", clock_format(r->since, when));
    buf_printf(&p->xml, " archive='%s'>", r->reads ? "all" : "own");
    BUF_LIT(&p->html, "<tr><td>");
    export_put_text(&p->html, r->name.len ? r->name : r->jid);
    BUF_LIT(&p->html, "</td><td>");
    export_put_text(&p->html, r->jid);
    buf_printf(&p->html, "</td><td>%s</td><td>", room_affiliation_name(r->affiliation));
    put_parts(p, record_of(x, r->jid));
    BUF_LIT(&p->html, "</td></tr>\n");
    BUF_LIT(&p->xml, "</room>\n");
    export_count(p, "rooms", 1);
    export_flush(p);
}

void export_rooms_put(struct export *x, struct person_export *p)
{
    struct listed *l = NULL;

    if (!p->e)
        export_fail(p, rooms_list(x, &l));
    if (!l)
        return;
    BUF_LIT(&p->xml, "<rooms xmlns='" NS_EXPORT "'>\n");
    export_heading(p, "Groups", "단체방");
    BUF_LIT(&p->html, "<table>\n");
    for (; l && !p->e; l = l->next)
        put_membership(x, p, &l->room);
    BUF_LIT(&p->html, "</table>\n");
    BUF_LIT(&p->xml, "</rooms>\n");
}
