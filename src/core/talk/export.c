/* export.c: see export.h. The manifest is the state: what is in it is on the disk.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/export.h"
#include "base/clock.h"
#include "base/mem.h"
#include "talk/archive.h"
#include "talk/archive_id.h"
#include "talk/export_file.h"
#include "talk/feature.h"
#include "talk/jids.h"
#include "talk/route.h"
#include "wire/json.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORMAT "bongsu-export-1"
#define STYLE \
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}" \
    "table{border-collapse:collapse}td,th{text-align:left;padding:.2rem .8rem .2rem 0;vertical-align:top}" \
    "time{color:#666;font-size:.85rem}p.m{margin:.4rem 0;white-space:pre-wrap;overflow-wrap:anywhere}nav a{margin-right:1rem}"

/* ---- the manifest ---- */

static int64_t number_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

int64_t export_messages(const struct export *x)
{
    return number_of(json_object_get(x->manifest, "counts"), "messages");
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

static enum err manifest_write(struct export *x)
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

static void manifest_add(struct export *x, const char *name, const struct export_file *f, int64_t messages)
{
    json_t *files = json_object_get(x->manifest, "files"), *file;

    file = json_pack("{s:s,s:I,s:s}", "name", name, "bytes", (json_int_t)f->bytes, "sha256", f->hash);
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
    x->manifest = json_pack("{s:s,s:s%,s:s,s:I,s:I,s:b,s:{s:I},s:[]}", "format", FORMAT, "account", x->bare.p, x->bare.len, "begun", when,
                            "upto", (json_int_t)last, "after", (json_int_t)0, "complete", 0, "counts", "messages", (json_int_t)0, "files");
    return manifest_write(x);
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
    json_object_set_new(x->counts, what, json_integer(number_of(x->counts, what) + n));
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

void export_heading(struct person_export *x, const char *text)
{
    buf_printf(&x->html, "<h2>%s</h2>\n", text);
}

static void html_begin(struct buf *b, struct str title)
{
    BUF_LIT(b, "<!doctype html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
               "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
               "<meta name=\"referrer\" content=\"no-referrer\"><title>");
    export_put_text(b, title);
    BUF_LIT(b, "</title><style>" STYLE "</style></head><body>\n<h1>");
    export_put_text(b, title);
    BUF_LIT(b, "</h1>\n");
}

static void html_end(struct buf *b)
{
    BUF_LIT(b, "</body></html>\n");
}

/* ---- a part: messages ---- */

static int part_count(const struct export *x)
{
    return (int)number_of(x->manifest, "parts");
}

static void put_nav(struct buf *b, int part)
{
    BUF_LIT(b, "<nav>");
    if (part > 1)
        buf_printf(b, "<a href=\"messages-%06d.html\">&larr;</a>", part - 1);
    buf_printf(b, "<a href=\"index.html\">index</a><a href=\"messages-%06d.html\">&rarr;</a></nav>\n", part + 1);
}

static void put_readable(struct buf *b, struct arena *a, struct str stanza, int64_t at_us)
{
    struct xml_node       *n = NULL;
    const struct xml_node *body, *file;
    char                   when[CLOCK_TEXT_BYTES];

    if (xml_parse(a, stanza, NULL, &n) != XML_FINE)
        return;
    body = xml_child(n, "body", NULL);
    file = xml_child(n, "x", "jabber:x:oob");
    clock_format(at_us - at_us % 1000000, when);
    buf_printf(b, "<p class=\"m\"><time>%s</time> <b>", when);
    export_put_text(b, xml_attr(n, "from"));
    BUF_LIT(b, "</b> &rarr; ");
    export_put_text(b, xml_attr(n, "to"));
    BUF_LIT(b, "<br>");
    if (body)
        export_put_text(b, xml_text(a, body));
    else
        BUF_LIT(b, "<i>(no text)</i>");
    if (file) {
        BUF_LIT(b, "<br>");
        export_put_text(b, xml_child_text(a, file, "url", "jabber:x:oob"));
    }
    BUF_LIT(b, "</p>\n");
}

static void put_result(struct buf *b, const struct archive_row *r)
{
    BUF_LIT(b, "<result xmlns='urn:xmpp:mam:2' id='");
    archive_id_put(b, r->shown);
    BUF_LIT(b, "'>");
    message_put_forwarded(b, r->stanza, STR_NULL, r->id, false);
    BUF_LIT(b, "</result>\n");
}

/* One page of the log into both files; *after moves on. */
static enum err put_page(struct export *x, struct person_export *p, int64_t *after, int64_t upto, int *count, bool *complete)
{
    struct archive_filter f = { .owner = x->owner, .start_us = *after + 1, .end_us = upto };
    struct archive_page   page;
    enum err              e;

    arena_reset(&x->arena);
    e = archive_read(x->conn, &x->arena, &f, ARCHIVE_PAGE_MAX, false, &page);
    for (int i = 0; i < page.count && !e; i++) {
        put_result(&p->xml, &page.rows[i]);
        put_readable(&p->html, &x->arena, page.rows[i].stanza, page.rows[i].id);
        export_flush(p);
        e = p->e;
        *after = page.rows[i].id;
    }
    *count += page.count;
    *complete = page.complete;
    return e;
}

static void parts_end(struct person_export *p)
{
    flush_one(p, &p->xml, p->xml_file);
    flush_one(p, &p->html, p->html_file);
    p->e = export_file_end(p->xml_file, p->e);
    p->e = export_file_end(p->html_file, p->e);
    buf_done(&p->xml);
    buf_done(&p->html);
}

static enum err parts_begin(struct export *x, struct person_export *p, struct export_file files[2], const char *xml, const char *html)
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

static enum err write_part(struct export *x)
{
    int64_t              after = number_of(x->manifest, "after"), upto = number_of(x->manifest, "upto");
    int                  part = part_count(x) + 1, count = 0;
    char                 xml[64], html[64];
    struct export_file   files[2];
    struct person_export p;
    bool                 complete = false;

    snprintf(xml, sizeof xml, "archive-%06d.xml", part);
    snprintf(html, sizeof html, "messages-%06d.html", part);
    parts_begin(x, &p, files, xml, html);
    BUF_LIT(&p.xml, "<?xml version='1.0' encoding='UTF-8'?>\n<archive xmlns='" NS_PIE_MAM "'>\n");
    html_begin(&p.html, arena_printf(&x->arena, "%.*s: messages %d", STR_ARG(x->bare), part));
    put_nav(&p.html, part);
    while (!p.e && !complete && count < EXPORT_PART_MESSAGES)
        p.e = put_page(x, &p, &after, upto, &count, &complete);
    BUF_LIT(&p.xml, "</archive>\n");
    put_nav(&p.html, part);
    html_end(&p.html);
    parts_end(&p);
    if (p.e)
        return p.e;
    manifest_add(x, xml, &files[0], count);
    manifest_add(x, html, &files[1], count);
    export_count(&p, "messages", count);
    json_object_set_new(x->manifest, "after", json_integer(complete ? upto : after));
    json_object_set_new(x->manifest, "parts", json_integer(part));
    return manifest_write(x);
}

/* ---- the rest ---- */

static void put_includes(struct person_export *p, int parts)
{
    for (int i = 1; i <= parts; i++)
        buf_printf(&p->xml, "<xi:include href='archive-%06d.xml'/>\n", i);
}

static void put_contents(struct person_export *p, int parts)
{
    export_heading(p, "Messages");
    BUF_LIT(&p->html, "<ul>\n");
    for (int i = 1; i <= parts; i++)
        buf_printf(&p->html, "<li><a href=\"messages-%06d.html\">messages %d</a></li>\n", i, i);
    BUF_LIT(&p->html, "</ul>\n");
}

static enum err write_account(struct export *x)
{
    int                  parts = part_count(x);
    struct export_file   files[2];
    struct person_export p;

    parts_begin(x, &p, files, "account.xml", "index.html");
    BUF_LIT(&p.xml, "<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='" NS_PIE "' xmlns:xi='http://www.w3.org/2001/XInclude'>\n<host");
    xml_put_attr(&p.xml, "jid", x->domain);
    BUF_LIT(&p.xml, ">\n<user");
    xml_put_attr(&p.xml, "name", x->user);
    BUF_LIT(&p.xml, ">\n");
    html_begin(&p.html, x->bare);
    for (size_t i = 0; i < feature_count && !p.e; i++)
        if (features[i]->person_export)
            features[i]->person_export(&p);
    put_includes(&p, parts);
    put_contents(&p, parts);
    BUF_LIT(&p.xml, "</user>\n</host>\n</server-data>\n");
    html_end(&p.html);
    parts_end(&p);
    if (p.e)
        return p.e;
    manifest_add(x, "account.xml", &files[0], -1);
    manifest_add(x, "index.html", &files[1], -1);
    json_object_set_new(x->manifest, "complete", json_true());
    p.e = sums_write(x);
    return p.e ? p.e : manifest_write(x);
}

enum err export_step(struct export *x, bool *done)
{
    bool     complete = json_is_true(json_object_get(x->manifest, "complete"));
    bool     all = number_of(x->manifest, "after") >= number_of(x->manifest, "upto");
    enum err e = OK;

    arena_reset(&x->arena);
    if (!complete)
        e = all ? write_account(x) : write_part(x);
    *done = !e && json_is_true(json_object_get(x->manifest, "complete"));
    return e;
}
