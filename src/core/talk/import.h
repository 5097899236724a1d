/* import.h: what another server kept of its people (XEP-0227), into an own database that no messenger uses meanwhile.
 *
 * Everything is written so that it can be written again: what is there stays as it is, a message lands once (table `imported`).
 * An import that was cut off is simply repeated. Transactions of IMPORT_BATCH elements.
 *
 * Each feature takes its own elements (feature.h, .imports); what nobody takes is counted by its name, for the report.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "id/pie.h"
#include "talk/talk.h"
#include "wire/jid.h"

enum { IMPORT_BATCH = 500, IMPORT_NAMES_MAX = 200 /* kinds of things in the report */ };

extern const struct db_migration import_migrations[];

struct import_line {
    char    name[160];
    int64_t taken, there, refused;
    char    why[120];               /* the first was not taken because */
};

struct import {
    struct db_conn *conn;
    struct talk    *talk;           /* only domain, shared and origin_key */
    struct arena    arena;          /* of the element */
    struct arena    user_arena;
    struct jid      jid;            /* whose element it is, bare */
    int64_t         owner;
    bool            skipped;        /* a user of another host */
    const struct pie_event *event;
    int             in_batch;
    struct str      why;            /* of this element, when it is not taken */
    int             name_count;
    struct import_line lines[IMPORT_NAMES_MAX];
};

/* In x->event: node, and what it is inside of. OK: taken; ERR_EXISTS: it was there; ERR_INVALID: x->why says why not. Anything
 * else ends the import. */
typedef enum err import_fn(struct import *x);
struct import_handler {
    const char *name, *ns;              /* of the element; name NULL: any name */
    const char *inside, *inside_ns;     /* of what it stands in; NULL: directly in <user/> */
    const char *what;                   /* "contacts", for the report */
    import_fn  *take;
};                                      /* ended by what NULL; name and ns NULL: anything inside of it */

/* The number of an address, made when it is new. */
enum err import_number(struct import *x, struct str bare, int64_t *out);
/* A message into the owner's log; `offline`: it waits for the owner besides. `key`: what makes it different from others. */
enum err import_message(struct import *x, const struct xml_node *message, struct str stamp, struct str key, bool offline);

/* OK the first time, ERR_EXISTS ever after: what an earlier run of the import has done for this account. */
enum err import_once(struct import *x, struct str key);

/* `path`: a file or a folder; `conn` may write. The report is in x->lines, whatever is returned. */
enum err import_run(struct import *x, struct db_conn *conn, const char *path, struct str domain, bool shared, struct arena *a, struct str *why);
void     import_done(struct import *x);
/* In an apply: what is remembered of an account's import goes, up to `max` rows. */
enum err import_forget_some(struct db_conn *c, int64_t owner, int64_t max, bool *more);
