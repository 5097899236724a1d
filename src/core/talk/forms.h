/* forms.h: data forms (XEP-0004 2.13), read and written. A kind of form is a table of rows; the same table
 * writes the empty form and judges what comes back (types, options, ranges: XEP-0122 1.0).
 *
 *   static const struct form_row rows[] = {
 *       { "FORM_TYPE", FORM_HIDDEN, .options = type_options },
 *       { "name", FORM_TEXT, "Its name", .required = true, .max = 100 },
 *       { 0 },
 *   };
 *
 * Texts that are read point into the stanza's arena: copy to keep.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "wire/jid.h"
#include "wire/xml.h"

#define NS_FORMS "jabber:x:data"
#define NS_VALIDATE "http://jabber.org/protocol/xdata-validate"

enum { FORM_FIELDS_MAX = 200, FORM_VALUES_MAX = 2000 }; /* of one form, all its fields together */

enum form_kind { FORM_EMPTY, FORM_SUBMIT, FORM_CANCEL, FORM_RESULT }; /* "form", "submit", … */

/* Unknown and absent types are read as FORM_TEXT (§3.3). */
enum form_type {
    FORM_TEXT,
    FORM_TEXT_MULTI,
    FORM_PRIVATE,
    FORM_BOOL,
    FORM_LIST,
    FORM_LIST_MULTI,
    FORM_JID,
    FORM_JID_MULTI,
    FORM_HIDDEN,
    FORM_FIXED
};

/* ---- reading ---- */

struct form_field {
    struct str var;
    enum form_type type; /* as it was sent; a submission need not say it: judge by your rows */
    int value_count;
    struct str *values; /* of FORM_JID and FORM_JID_MULTI after form_check: normal */
};
struct form {
    enum form_kind kind;
    struct str type; /* FORM_TYPE (XEP-0068); empty if there is none */
    int count;
    struct form_field *fields;
};

/* `x` may be NULL or anything else.
 *   ERR_INVALID  it is no data form, of no known kind, or has a field without name or one twice
 *   ERR_LIMIT    more fields or values than the bounds above */
enum err form_read(struct arena *a, const struct xml_node *x, struct form *out);
/* The first form among the children of `parent`; `type` NULL: whatever its FORM_TYPE. NULL if none. */
const struct xml_node *form_find(const struct xml_node *parent, const char *type);

const struct form_field *form_field(const struct form *f, const char *var); /* NULL if absent */
/* The first value: p NULL if the field is absent, empty if it has none. */
struct str form_value(const struct form *f, const char *var);
/* The values as lines, for FORM_TEXT_MULTI. p NULL if absent. */
struct str form_text(struct arena *a, const struct form *f, const char *var);
/* `absent` when the field is absent or is no boolean. */
bool form_bool(const struct form *f, const char *var, bool absent);
int64_t form_int(const struct form *f, const char *var, int64_t absent);
/* ERR_NOT_FOUND: absent or empty. ERR_INVALID: no address. */
enum err form_jid(struct arena *a, const struct form *f, const char *var, struct jid *out);
/* "1", "true", "0", "false"; false when it is none of these. */
bool form_read_bool(struct str value, bool *out);

/* ---- reading in place: a form whose lists are bounded by their reader, as a room's lists of people ---- */

/* The submitted form in `parent`, which may be NULL. NULL: there is none, or its FORM_TYPE (if it has one) is another. */
const struct xml_node *form_submitted(struct arena *a, const struct xml_node *parent, const char *type);
const struct xml_node *form_node(const struct xml_node *x, const char *var); /* the <field/>; NULL if absent */
/* As form_value. */
struct str form_node_value(struct arena *a, const struct xml_node *x, const char *var);

/* ---- a kind of form ---- */

struct form_option {
    const char *value, *label;
}; /* label NULL: none */
struct form_row {
    const char *var;
    enum form_type type;
    const char *label; /* NULL: none */
    bool required;
    const struct form_option
        *options; /* ended by value NULL; of lists and FORM_HIDDEN: no other value will do; NULL: any */
    const char *datatype; /* XEP-0122: "xs:integer" and "xs:dateTime" are checked; NULL: text */
    int64_t min, max; /* xs:integer: the range, unless both are 0; others: bytes of one value, 0: no bound */
};

/* Judges a submission by its table (ended by var NULL): required fields are there, values are what they must
 * be, single ones single. Fields that the table does not know are passed over (§3.1). Addresses become
 * normal. ERR_INVALID: `why` (in `a`) names the field and what is wrong with it, for people. */
enum err form_check(struct arena *a, const struct form *f, const struct form_row *rows, struct str *why);

/* ---- writing ---- */

/* "<x …>" with FORM_TYPE when `type` is not NULL. title and instructions may be NULL. */
void form_open(struct buf *b, enum form_kind kind, const char *type, const char *title,
               const char *instructions);
void form_close(struct buf *b);
/* One field by its row, with what a form of this kind needs: type and label; options, <required/> and
 * validation in FORM_EMPTY. */
void form_put(struct buf *b, enum form_kind kind, const struct form_row *row,
              struct str value /* p NULL: none */);
void form_put_all(struct buf *b, enum form_kind kind, const struct form_row *row, const struct str *values,
                  int count);
void form_put_int(struct buf *b, enum form_kind kind, const struct form_row *row,
                  int64_t value); /* FORM_BOOL: 0 or 1 */
/* A field without a row: <field var='…'><value>…</value></field>; for results and notes. */
void form_put_value(struct buf *b, const char *var, struct str value);
void form_put_fixed(struct buf *b, struct str text);
/* A field that is no row of a table. label NULL: none; value p NULL: none. */
void form_put_field(struct buf *b, enum form_type type, const char *var, const char *label, struct str value);
void form_put_bool(struct buf *b, const char *var, const char *label, bool value);
/* The same in pieces: open, values, options, close. */
void form_field_open(struct buf *b, enum form_type type, const char *var, const char *label);
void form_field_value(struct buf *b, struct str value);
void form_field_option(struct buf *b, const char *label /* NULL: none */, struct str value);
void form_field_close(struct buf *b);
/* A table of results (§3.4): the columns, then in each <item> … </item> form_put_value for every one. */
void form_put_reported(struct buf *b, const struct form_row *rows);
