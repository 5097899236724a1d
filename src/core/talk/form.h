/* form.h: data forms (XEP-0004 2.13.2): reading what was submitted, writing what is asked.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "wire/xml.h"

#define NS_DATA "jabber:x:data"

enum {
    FORM_FIELDS_MAX = 128,
    FORM_VALUES_MAX = 256, /* of one field */
};

struct form_field {
    struct str var;
    int count; /* of values; 0: the field is there, and empty */
    struct str *values;
};

struct form {
    bool submit, cancel;  /* its type */
    struct str form_type; /* FORM_TYPE; p NULL: none */
    int count;
    struct form_field *fields; /* FORM_TYPE is not among them */
};

/* `x` is the <x xmlns='jabber:x:data'/>. Everything lives in `a`, or in what `x` points into.
 *   ERR_INVALID  two fields of one name, a field without a name, too many of anything */
enum err form_read(struct arena *a, const struct xml_node *x, struct form *out);
/* NULL: no such field. */
const struct form_field *form_field(const struct form *f, const char *var);
/* A field's first value; p NULL: there is none. */
struct str form_value(const struct form *f, const char *var);
/* "1", "true", "0", "false"; false when it is none of these. */
bool form_bool(struct str value, bool *out);

/* ---- writing: form_open, fields, form_close ---- */
void form_open(struct buf *b, const char *type /* "form", "result", "submit" */, const char *form_type);
/* A field with one value. `type` and `label` may be NULL. */
void form_put(struct buf *b, const char *type, const char *var, const char *label, struct str value);
/* A field in pieces: form_field_open, form_put_value, form_put_option …, form_field_close. */
void form_field_open(struct buf *b, const char *type, const char *var, const char *label);
void form_put_value(struct buf *b, struct str value);
void form_put_option(struct buf *b, const char *label, struct str value);
void form_field_close(struct buf *b);
void form_close(struct buf *b);
