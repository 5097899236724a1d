/* export_files.c: the files of an export, which web has put into files/ (files/export.h): into the manifest, and to be read.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/export_inner.h"
#include "talk/route.h"
#include "wire/json.h"
#include "wire/uri.h"
#include <stdio.h>
#include <sys/stat.h>

#define FOLDER "files/"

enum { INDEX_BYTES_MAX = 64 * 1024 * 1024, NAME_BYTES_MAX = 255 };

/* p NULL: there is none. */
static struct str index_read(struct export *x)
{
    char        path[4200];
    FILE       *f;
    char       *text;
    struct stat st;
    struct str  out = STR_NULL;

    snprintf(path, sizeof path, "%s/" FOLDER "index.json", x->dir);
    f = fopen(path, "re");
    if (f && fstat(fileno(f), &st) == 0 && st.st_size <= INDEX_BYTES_MAX) {
        text = arena_alloc(&x->arena, (size_t)st.st_size + 1);
        out = str_make(text, fread(text, 1, (size_t)st.st_size, f));
    }
    if (f)
        fclose(f);
    return out;
}

static void put_name(struct person_export *p, struct str file, struct str name)
{
    if (file.p) {
        BUF_LIT(&p->html, "<a href=\"" FOLDER);
        uri_put_segment(&p->html, file);
        BUF_LIT(&p->html, "\">");
    }
    export_put_text(&p->html, name);
    buf_put_z(&p->html, file.p ? "</a>" : "");
}

static void put_file(struct export *x, struct person_export *p, const json_t *row)
{
    struct str file = json_get_str(row, "file"), url = json_get_str(row, "url");
    char       name[sizeof FOLDER + NAME_BYTES_MAX];

    if (file.len > NAME_BYTES_MAX) {
        export_fail(p, ERR_INVALID);
        return;
    }
    if (file.p) {
        snprintf(name, sizeof name, FOLDER "%.*s", STR_ARG(file));
        export_manifest_add(x, name, export_number(row, "bytes"), json_string_value(json_object_get(row, "sha256")), -1);
    }
    BUF_LIT(&p->xml, "<file");
    xml_put_attr(&p->xml, "url", url);
    xml_put_attr(&p->xml, "name", json_get_str(row, "name"));
    xml_put_attr(&p->xml, "type", json_get_str(row, "type"));
    buf_printf(&p->xml, " bytes='%lld'", (long long)export_number(row, "bytes"));
    xml_put_attr(&p->xml, "sha256", json_get_str(row, "sha256"));
    if (file.p)
        xml_put_attr(&p->xml, "href", str_of(name));
    BUF_LIT(&p->xml, "/>\n");
    BUF_LIT(&p->html, "<tr><td>");
    put_name(p, file, json_get_str(row, "name"));
    buf_printf(&p->html, "</td><td>%lld</td><td>", (long long)export_number(row, "bytes"));
    export_put_text(&p->html, json_get_str(row, "uploaded"));
    BUF_LIT(&p->html, "</td></tr>\n");
    export_count(p, file.p ? "files" : "files_elsewhere", 1);
    export_flush(p);
}

static void put_all(struct export *x, struct person_export *p, const json_t *list)
{
    const json_t *row;
    size_t        i;

    BUF_LIT(&p->xml, "<files xmlns='" NS_EXPORT "'>\n");
    export_heading(p, "Files", "파일");
    BUF_LIT(&p->html, "<table>\n");
    json_array_foreach(list, i, row)
        put_file(x, p, row);
    BUF_LIT(&p->html, "</table>\n");
    BUF_LIT(&p->xml, "</files>\n");
}

void export_files_put(struct export *x, struct person_export *p)
{
    struct str text = index_read(x), why;
    json_t    *list = NULL;
    uint8_t    sha[DIGEST_BYTES_MAX];
    char       hash[65];

    if (!text.p || p->e)
        return;
    export_fail(p, json_read(&x->arena, text, INDEX_BYTES_MAX, &list, &why));
    if (!p->e && json_array_size(list))
        put_all(x, p, list);
    json_decref(list);
    digest(DIGEST_SHA256, text, sha);
    *hex_write(hash, sha, 32) = '\0';
    export_manifest_add(x, FOLDER "index.json", (int64_t)text.len, hash, -1);
}
