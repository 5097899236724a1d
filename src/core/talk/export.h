/* export.h: everything that is kept of an account, as files in a folder: XEP-0227 1.1 for servers, HTML for people, and a
 * manifest with counts and SHA-256.
 *
 *   account.xml               XEP-0227: contacts, card, PEP nodes, private XML, …; includes the next (XInclude)
 *   archive-000001.xml …      messages, EXPORT_PART_MESSAGES each
 *   room-000001.xml …         what was said in rooms, as far as the account may read it; account.xml names them, and whose they are
 *   index.html, messages-000001.html, room-000001.html …     the same to read; no script, nothing from elsewhere
 *   files/…                   what the account has uploaded (files/export.h), if that was put there before the end
 *   manifest.json, SHA256SUMS              `sha256sum -c SHA256SUMS` proves the files
 *
 * One step writes one part, then the manifest; each file is whole or not there. An export that was cut off goes on behind the
 * last whole part, up to the message that was the newest at its beginning. Memory is that of a page of messages.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "db/db.h"
#include <jansson.h>

enum {
    EXPORT_PART_MESSAGES = 5000,
    EXPORT_FLUSH_BYTES = 256 * 1024,
    EXPORT_MANIFEST_BYTES_MAX = 16 * 1024 * 1024,
};

#define NS_PIE      "urn:xmpp:pie:0"
#define NS_PIE_MAM  "urn:xmpp:pie:0#mam"
#define NS_EXPORT   "urn:bongsu:export:0"       /* what XEP-0227 has no word for: docs/own-data.md */

struct export_file;

/* What a feature writes of one account (feature.h, person_export): elements inside XEP-0227's <user/>, and a section for people. */
struct person_export {
    struct db_conn *conn;
    int64_t         owner;
    struct str      user, bare, domain;
    struct arena   *arena;
    struct buf      xml, html;
    enum err        e;          /* the first failure; then nothing more is written */
    struct export_file *xml_file, *html_file;
    json_t         *counts;
};
void export_count(struct person_export *x, const char *what, int64_t n);    /* adds */
void export_flush(struct person_export *x);                 /* between rows: what is in the two buffers goes out */
void export_fail(struct person_export *x, enum err e);
/* "<h2>…</h2>", in English and Korean; a table of rows is up to the feature. */
void export_heading(struct person_export *x, const char *english, const char *korean);
void export_put_text(struct buf *html, struct str text);

struct export {
    struct db_conn *conn;
    struct arena    arena;      /* of the step */
    char           *dir;
    struct str      user, bare, domain;
    int64_t         owner;
    json_t         *manifest;
    bool            has_person; /* the messenger knows the account */
};

/* `dir` exists. Begins, or goes on with what is there. `user` is normal. `why` (in `a`) says what a person can mend.
 *   ERR_EXISTS     there is something else in the folder
 *   ERR_NOT_FOUND  nothing is kept of that account */
enum err export_open(struct export *x, struct db_conn *c, const char *dir, struct str user, struct str domain, struct arena *a, struct str *why);
/* *done: the manifest is complete. */
enum err export_step(struct export *x, bool *done);
void     export_close(struct export *x);
/* How many messages have been written, for whoever watches. */
int64_t  export_messages(const struct export *x);
