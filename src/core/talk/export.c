/* export.c: see export.h. The manifest is the state: what is in it is on the disk.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/export.h"
#include "base/clock.h"
#include "base/mem.h"
#include "talk/archive.h"
#include "talk/export_inner.h"
#include "talk/feature.h"
#include "wire/json.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "bongsu-export-2"
#define STYLE \
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}" \
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}" \
    "time{color:#666;font-size:.85rem}p.m{margin:.4rem 0;white-space:pre-wrap;overflow-wrap:anywhere}nav a{margin-right:1rem}"

/* ---- the manifest ---- */

int64_t export_number(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

int64_t export_messages(const struct export *x)
{
    const json_t *counts = json_object_get(x->manifest, "counts");

    return export_number(counts, "messages") + export_number(counts, "room_messages");
}

static enum err sums_write(struct export *x)
{
    struct buf    b;
    const json_t *file;
    size_t        i;
    enum err      e;

    buf_init(&b, 0);
    json_array_foreach(json_object_get(x->manifest, "files"), i, file)
        buf_printf(&b, "%s  %s\n", json_string_value(json_object_get(file, "sha256")), json_string_value(json_object_get(file, "name")));
    e = export_file_put(x->dir, "SHA256SUMS", buf_str(&b), NULL);
    buf_done(&b);
    return e;
}

enum err export_manifest_write(struct export *x)
{
    struct buf b;
    enum err   e;

    buf_init(&b, 0);
    json_write(&b, x->manifest);
    buf_put_c(&b, '\n');
    e = export_file_put(x->dir, "manifest.json", buf_str(&b), NULL);
    buf_done(&b);
    return e;
}

void export_manifest_add(struct export *x, const char *name, int64_t bytes, const char *hash, int64_t messages)
{
    json_t *files = json_object_get(x->manifest, "files"), *file;

    file = json_pack("{s:s,s:I,s:s}", "name", name, "bytes", (json_int_t)bytes, "sha256", hash);
    if (messages >= 0)
        json_object_set_new(file, "messages", json_integer(messages));
    json_array_append_new(files, file);
}

static enum err manifest_begin(struct export *x)
{
    char     when[CLOCK_TEXT_BYTES];
    int64_t  first = 0, last = 0;
    enum err e = archive_ends(x->conn, x->owner, &first, &last);

    if (e)
        return e;
    clock_format(clock_us(), when);
    x->manifest = json_pack("{s:s,s:s%,s:s,s:I,s:I,s:b,s:{s:I},s:[],s:[]}", "format", FORMAT, "account", x->bare.p, x->bare.len, "begun",
                            when, "upto", (json_int_t)last, "after", (json_int_t)0, "complete", 0, "counts", "messages", (json_int_t)0,
                            "rooms", "files");
    e = export_rooms_begin(x);
    return e ? e : export_manifest_write(x);
}

static bool is_empty(const char *path)
{
    DIR           *d = opendir(path);
    struct dirent *entry;
    bool           empty = true;

    while (d && (entry = readdir(d)))
        empty &= entry->d_name[0] == '.' || strcmp(entry->d_name, "manifest.json.part") == 0;
    if (d)
        closedir(d);
    return empty;
}

static enum err manifest_read(struct export *x, struct arena *a, struct str *why)
{
    char     path[4200];
    FILE    *f;
    char    *text;
    size_t   n;
    enum err e;

    snprintf(path, sizeof path, "%s/manifest.json", x->dir);
    f = fopen(path, "re");
    if (!f && !is_empty(x->dir)) {
        *why = arena_printf(a, "there is something in \"%s\" that is no export", x->dir);
        return ERR_EXISTS;
    }
    if (!f)
        return ERR_NOT_FOUND;
    text = arena_alloc(a, EXPORT_MANIFEST_BYTES_MAX);
    n = fread(text, 1, EXPORT_MANIFEST_BYTES_MAX, f);
    fclose(f);
    e = json_read(a, str_make(text, n), EXPORT_MANIFEST_BYTES_MAX, &x->manifest, why);
    if (e || !str_is(json_get_str(x->manifest, "format"), FORMAT) || !str_eq(json_get_str(x->manifest, "account"), x->bare)) {
        *why = arena_printf(a, "\"%s\" holds something else than an export of %.*s", x->dir, STR_ARG(x->bare));
        return ERR_EXISTS;
    }
    return OK;
}

/* ---- opening ---- */

static enum err owner_find(struct export *x)
{
    static struct db_sql person = { "SELECT id FROM person WHERE user = ?1" };
    struct db_stmt      *s;
    enum err             e = db_get(x->conn, &s, &person, "s", x->user);

    x->has_person = e == OK;
    x->owner = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

enum err export_open(struct export *x, struct db_conn *c, const char *dir, struct str user, struct str domain, struct arena *a, struct str *why)
{
    enum err e;

    *x = (struct export){ .conn = c, .dir = str_dup(str_of(dir)) };
    arena_init(&x->arena);
    x->user = str_of(str_dup(user));
    x->domain = str_of(str_dup(domain));
    x->bare = str_of(str_dup(arena_printf(a, "%.*s@%.*s", STR_ARG(user), STR_ARG(domain))));
    e = owner_find(x);
    if (e == ERR_NOT_FOUND)
        *why = arena_printf(a, "nothing is kept of %.*s: nobody has ever logged in there", STR_ARG(x->bare));
    if (e)
        return e;
    e = manifest_read(x, a, why);
    return e == ERR_NOT_FOUND ? manifest_begin(x) : e;
}

void export_close(struct export *x)
{
    json_decref(x->manifest);
    free(x->dir);
    free((char *)x->user.p);
    free((char *)x->domain.p);
    free((char *)x->bare.p);
    arena_done(&x->arena);
    *x = (struct export){ 0 };
}

/* ---- what features use ---- */

void export_count(struct person_export *x, const char *what, int64_t n)
{
    json_object_set_new(x->counts, what, json_integer(export_number(x->counts, what) + n));
}

void export_fail(struct person_export *x, enum err e)
{
    if (!x->e)
        x->e = e;
}

static void flush_one(struct person_export *x, struct buf *b, struct export_file *f)
{
    if (!x->e && b->len)
        x->e = export_file_write(f, buf_str(b));
    buf_clear(b);
}

void export_flush(struct person_export *x)
{
    if (x->xml.len > EXPORT_FLUSH_BYTES)
        flush_one(x, &x->xml, x->xml_file);
    if (x->html.len > EXPORT_FLUSH_BYTES)
        flush_one(x, &x->html, x->html_file);
}

void export_put_text(struct buf *html, struct str text)
{
    xml_put_escaped(html, text);
}

void export_heading(struct person_export *x, const char *english, const char *korean)
{
    buf_printf(&x->html, "<h2>%s · <span lang=\"ko\">%s</span></h2>\n", english, korean);
}

void export_html_begin(struct buf *b, struct str title)
{
    BUF_LIT(b, "<!doctype html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
               "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
               "<meta name=\"referrer\" content=\"no-referrer\"><title>");
    export_put_text(b, title);
    BUF_LIT(b, "</title><style>" STYLE "</style></head><body>\n<h1>");
    export_put_text(b, title);
    BUF_LIT(b, "</h1>\n");
}

void export_html_end(struct buf *b)
{
    BUF_LIT(b, "</body></html>\n");
}

/* ---- two files at once ---- */

enum err export_parts_end(struct person_export *p)
{
    flush_one(p, &p->xml, p->xml_file);
    flush_one(p, &p->html, p->html_file);
    p->e = export_file_end(p->xml_file, p->e);
    p->e = export_file_end(p->html_file, p->e);
    buf_done(&p->xml);
    buf_done(&p->html);
    return p->e;
}

enum err export_parts_begin(struct export *x, struct person_export *p, struct export_file files[2], const char *xml, const char *html)
{
    *p = (struct person_export){ .conn = x->conn, .owner = x->owner, .user = x->user, .bare = x->bare, .domain = x->domain,
                                 .arena = &x->arena, .xml_file = &files[0], .html_file = &files[1],
                                 .counts = json_object_get(x->manifest, "counts") };
    files[1].fd = -1;
    p->e = export_file_begin(&files[0], x->dir, xml);
    if (!p->e)
        p->e = export_file_begin(&files[1], x->dir, html);
    return p->e;
}

/* ---- the rest ---- */

static void put_includes(struct person_export *p, int parts)
{
    for (int i = 1; i <= parts; i++)
        buf_printf(&p->xml, "<xi:include href='archive-%06d.xml'/>\n", i);
}

static void put_contents(struct person_export *p, int parts)
{
    export_heading(p, "Messages", "메시지");
    BUF_LIT(&p->html, "<ul>\n");
    for (int i = 1; i <= parts; i++)
        buf_printf(&p->html, "<li><a href=\"messages-%06d.html\">messages %d</a></li>\n", i, i);
    BUF_LIT(&p->html, "</ul>\n");
}

static void put_account(struct export *x, struct person_export *p)
{
    int parts = (int)export_number(x->manifest, "parts");

    BUF_LIT(&p->xml, "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='" NS_PIE "' xmlns:xi='http://www.w3.org/2001/XInclude'>\n<host");
    xml_put_attr(&p->xml, "jid", x->domain);
    BUF_LIT(&p->xml, ">\n<user");
    xml_put_attr(&p->xml, "name", x->user);
    BUF_LIT(&p->xml, ">\n");
    export_html_begin(&p->html, x->bare);
    for (size_t i = 0; i < feature_count && !p->e; i++)
        if (features[i]->person_export)
            features[i]->person_export(p);
    put_includes(p, parts);
    put_contents(p, parts);
    export_rooms_put(x, p);
    export_files_put(x, p);
    BUF_LIT(&p->xml, "</user>\n</host>\n</server-data>\n");
    export_html_end(&p->html);
}

static enum err write_account(struct export *x)
{
    struct export_file   files[2];
    struct person_export p;
    enum err             e = export_parts_begin(x, &p, files, "account.xml", "index.html");

    if (!e)
        put_account(x, &p);
    e = export_parts_end(&p);
    if (e)
        return e;
    export_manifest_add(x, "account.xml", files[0].bytes, files[0].hash, -1);
    export_manifest_add(x, "index.html", files[1].bytes, files[1].hash, -1);
    json_object_set_new(x->manifest, "complete", json_true());
    e = sums_write(x);
    return e ? e : export_manifest_write(x);
}

enum err export_step(struct export *x, bool *done)
{
    json_t  *room;
    enum err e = OK;

    arena_reset(&x->arena);
    if (json_is_true(json_object_get(x->manifest, "complete")))
        ;
    else if (export_number(x->manifest, "after") < export_number(x->manifest, "upto"))
        e = export_messages_step(x);
    else if ((room = export_rooms_next(x)))
        e = export_room_step(x, room);
    else
        e = write_account(x);
    *done = !e && json_is_true(json_object_get(x->manifest, "complete"));
    return e;
}
