/* export_inner.h: what the files of the export share, and nobody else needs.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/export.h"
#include "talk/export_file.h"

/* ---- export.c ---- */
int64_t  export_number(const json_t *o, const char *key);
enum err export_manifest_write(struct export *x);
/* A whole file. `messages` below 0: it holds none. */
void     export_manifest_add(struct export *x, const char *name, int64_t bytes, const char *hash, int64_t messages);
/* An XML and an HTML file, which end together. What fails is in p->e, and nothing is left of either. */
enum err export_parts_begin(struct export *x, struct person_export *p, struct export_file files[2], const char *xml, const char *html);
enum err export_parts_end(struct person_export *p);
void     export_html_begin(struct buf *b, struct str title);
void     export_html_end(struct buf *b);

/* ---- export_log.c: messages, a part at a time ---- */
enum err export_messages_step(struct export *x);        /* "after" of the manifest moves on */

/* ---- the same for rooms: "rooms" of the manifest, each with its own "after" and "upto" ---- */
enum err export_rooms_begin(struct export *x);
json_t  *export_rooms_next(struct export *x);           /* whose messages are not all written; NULL: none */
enum err export_room_step(struct export *x, json_t *room);
void     export_rooms_put(struct export *x, struct person_export *p);

/* ---- export_files.c: what stands in files/ ---- */
void     export_files_put(struct export *x, struct person_export *p);
