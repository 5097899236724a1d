/* forms.c: data forms: reading, judging, writing.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/forms.h"
#include "base/clock.h"
#include <string.h>

static const char *const kinds[] = {
    [FORM_EMPTY] = "form", [FORM_SUBMIT] = "submit", [FORM_CANCEL] = "cancel", [FORM_RESULT] = "result"};
static const char *const types[] = {
    [FORM_TEXT] = "text-single", [FORM_TEXT_MULTI] = "text-multi", [FORM_PRIVATE] = "text-private",
    [FORM_BOOL] = "boolean",     [FORM_LIST] = "list-single",      [FORM_LIST_MULTI] = "list-multi",
    [FORM_JID] = "jid-single",   [FORM_JID_MULTI] = "jid-multi",   [FORM_HIDDEN] = "hidden",
    [FORM_FIXED] = "fixed",
};
enum { KINDS = sizeof kinds / sizeof kinds[0], TYPES = sizeof types / sizeof types[0] };

/* The place of `s` in `names`, or `otherwise`. */
static int place(struct str s, const char *const *names, int count, int otherwise)
{
    for (int i = 0; i < count; i++)
        if (str_is(s, names[i]))
            return i;
    return otherwise;
}

/* ---- reading ---- */

static bool is_field(const struct xml_node *n)
{
    return xml_is(n, "field", NS_FORMS);
}

static int values_of(const struct xml_node *field)
{
    int n = 0;

    for (const struct xml_node *v = xml_first(field); v; v = xml_next(v))
        n += xml_is(v, "value", NS_FORMS);
    return n;
}

static void read_values(struct arena *a, const struct xml_node *field, struct form_field *out)
{
    out->values = arena_alloc(a, sizeof *out->values * (size_t)(out->value_count + 1));
    out->value_count = 0;
    for (const struct xml_node *v = xml_first(field); v; v = xml_next(v))
        if (xml_is(v, "value", NS_FORMS))
            out->values[out->value_count++] = xml_text(a, v);
}

static bool known(const struct form *f, struct str var)
{
    for (int i = 0; i < f->count; i++)
        if (str_eq(f->fields[i].var, var))
            return true;
    return false;
}

static enum err read_field(struct arena *a, const struct xml_node *n, struct form *f, int *values)
{
    struct form_field *out = &f->fields[f->count];

    *out = (struct form_field){.var = xml_attr(n, "var"), .value_count = values_of(n)};
    out->type = (enum form_type)place(xml_attr(n, "type"), types, TYPES, FORM_TEXT);
    if (out->type == FORM_FIXED)
        return OK; /* words on the form; nothing is asked */
    if (out->var.len == 0 || known(f, out->var))
        return ERR_INVALID;
    *values += out->value_count;
    if (*values > FORM_VALUES_MAX)
        return ERR_LIMIT;
    read_values(a, n, out);
    f->count++;
    return OK;
}

enum err form_read(struct arena *a, const struct xml_node *x, struct form *out)
{
    int kind, fields = 0, values = 0;
    enum err e = OK;

    *out = (struct form){.kind = FORM_CANCEL};
    if (!x || !xml_is(x, "x", NS_FORMS))
        return ERR_INVALID;
    kind = place(xml_attr(x, "type"), kinds, KINDS, -1);
    if (kind < 0)
        return ERR_INVALID;
    out->kind = (enum form_kind)kind;
    for (const struct xml_node *n = xml_first(x); n; n = xml_next(n))
        fields += is_field(n);
    if (fields > FORM_FIELDS_MAX)
        return ERR_LIMIT;
    out->fields = arena_alloc(a, sizeof *out->fields * (size_t)(fields + 1));
    for (const struct xml_node *n = xml_first(x); n && !e; n = xml_next(n))
        if (is_field(n))
            e = read_field(a, n, out, &values);
    out->type = form_value(out, "FORM_TYPE");
    return e;
}

static bool is_of_type(const struct xml_node *x, const char *type)
{
    for (const struct xml_node *n = xml_first(x); n; n = xml_next(n)) {
        const struct xml_node *v =
            is_field(n) && str_is(xml_attr(n, "var"), "FORM_TYPE") ? xml_child(n, "value", NS_FORMS) : NULL;

        if (v)
            return v->child && !v->child->next && v->child->name.len == 0 && str_is(v->child->text, type);
    }
    return false;
}

const struct xml_node *form_find(const struct xml_node *parent, const char *type)
{
    for (const struct xml_node *n = xml_first(parent); n; n = xml_next(n))
        if (xml_is(n, "x", NS_FORMS) && (!type || is_of_type(n, type)))
            return n;
    return NULL;
}

const struct form_field *form_field(const struct form *f, const char *var)
{
    for (int i = 0; i < f->count; i++)
        if (str_is(f->fields[i].var, var))
            return &f->fields[i];
    return NULL;
}

struct str form_value(const struct form *f, const char *var)
{
    const struct form_field *field = form_field(f, var);

    if (!field)
        return STR_NULL;
    return field->value_count ? field->values[0] : STR("");
}

struct str form_text(struct arena *a, const struct form *f, const char *var)
{
    const struct form_field *field = form_field(f, var);
    struct buf b;
    struct str text;

    if (!field)
        return STR_NULL;
    buf_init(&b, 0);
    for (int i = 0; i < field->value_count; i++) {
        if (i)
            buf_put_c(&b, '\n');
        buf_put_str(&b, field->values[i]);
    }
    text = arena_str(a, buf_str(&b));
    buf_done(&b);
    return text;
}

bool form_read_bool(struct str value, bool *out)
{
    *out = str_is(value, "1") || str_is(value, "true");
    return *out || str_is(value, "0") || str_is(value, "false");
}

bool form_bool(const struct form *f, const char *var, bool absent)
{
    bool value;

    return form_read_bool(form_value(f, var), &value) ? value : absent;
}

int64_t form_int(const struct form *f, const char *var, int64_t absent)
{
    int64_t value;

    return str_to_i64(form_value(f, var), &value) ? value : absent;
}

enum err form_jid(struct arena *a, const struct form *f, const char *var, struct jid *out)
{
    struct str v = form_value(f, var);

    return v.len ? jid_parse(a, v, out) : ERR_NOT_FOUND;
}

/* ---- reading in place ---- */

const struct xml_node *form_submitted(struct arena *a, const struct xml_node *parent, const char *type)
{
    const struct xml_node *x = parent ? xml_child(parent, "x", NS_FORMS) : NULL;
    struct str said = x ? form_node_value(a, x, "FORM_TYPE") : STR_NULL;

    if (!x || !str_is(xml_attr(x, "type"), "submit") || (said.p && !str_is(said, type)))
        return NULL;
    return x;
}

const struct xml_node *form_node(const struct xml_node *x, const char *var)
{
    for (const struct xml_node *n = xml_first(x); n; n = xml_next(n))
        if (is_field(n) && str_is(xml_attr(n, "var"), var))
            return n;
    return NULL;
}

struct str form_node_value(struct arena *a, const struct xml_node *x, const char *var)
{
    const struct xml_node *field = form_node(x, var);
    struct str v = field ? xml_child_text(a, field, "value", NS_FORMS) : STR_NULL;

    return field && !v.p ? STR("") : v;
}

/* ---- judging ---- */

static bool is_multi(enum form_type t)
{
    return t == FORM_TEXT_MULTI || t == FORM_LIST_MULTI || t == FORM_JID_MULTI || t == FORM_HIDDEN;
}

static bool is_option(const struct form_option *o, struct str v)
{
    for (; o->value; o++)
        if (str_is(v, o->value))
            return true;
    return false;
}

/* NULL: as the type asks. */
static const char *fault_of_type(const struct form_row *row, struct str v)
{
    int64_t number;

    if (!row->datatype)
        return NULL;
    if (strcmp(row->datatype, "xs:dateTime") == 0)
        return clock_parse(v, &number) ? NULL : "is no time like 2026-10-15T15:19:00Z";
    if (strcmp(row->datatype, "xs:integer") != 0)
        return NULL;
    if (!str_to_i64(v, &number))
        return "is no whole number";
    if ((row->min || row->max) && (number < row->min || number > row->max))
        return "is out of its range";
    return NULL;
}

static bool bounded_by_bytes(const struct form_row *row)
{
    return row->max > 0 && !(row->datatype && strcmp(row->datatype, "xs:integer") == 0);
}

static const char *fault_of_value(struct arena *a, const struct form_row *row, struct str *v)
{
    struct jid j;
    bool yes;

    if (bounded_by_bytes(row) && v->len > (size_t)row->max)
        return "is too long";
    if (row->options && row->type != FORM_TEXT && row->type != FORM_TEXT_MULTI &&
        !is_option(row->options, *v))
        return "is none of the choices";
    switch (row->type) {
    case FORM_BOOL:
        return form_read_bool(*v, &yes) ? NULL : "is neither yes nor no";
    case FORM_JID:
    case FORM_JID_MULTI:
        if (jid_parse(a, *v, &j) != OK)
            return "is no address";
        *v = j.full;
        return NULL;
    default:
        return fault_of_type(row, *v);
    }
}

static const char *fault_of_field(struct arena *a, const struct form_row *row, struct form_field *field)
{
    bool empty = !field || field->value_count == 0 || (field->value_count == 1 && field->values[0].len == 0);
    const char *fault = NULL;

    if (empty)
        return row->required ? "is missing" : NULL;
    if (field->value_count > 1 && !is_multi(row->type))
        return "has more than one value";
    for (int i = 0; i < field->value_count && !fault; i++)
        fault = fault_of_value(a, row, &field->values[i]);
    return fault;
}

enum err form_check(struct arena *a, const struct form *f, const struct form_row *rows, struct str *why)
{
    for (const struct form_row *row = rows; row->var; row++) {
        const char *fault;

        if (row->type == FORM_FIXED)
            continue;
        fault = fault_of_field(a, row, (struct form_field *)form_field(f, row->var));
        if (!fault)
            continue;
        *why = arena_printf(a, "%s %s", row->label ? row->label : row->var, fault);
        return ERR_INVALID;
    }
    return OK;
}

/* ---- writing ---- */

static void put_element(struct buf *b, const char *name, struct str text)
{
    buf_printf(b, "<%s>", name);
    xml_put_escaped(b, text);
    buf_printf(b, "</%s>", name);
}

void form_open(struct buf *b, enum form_kind kind, const char *type, const char *title,
               const char *instructions)
{
    buf_printf(b, "<x xmlns='" NS_FORMS "' type='%s'>", kinds[kind]);
    if (title)
        put_element(b, "title", str_of(title));
    if (instructions)
        put_element(b, "instructions", str_of(instructions));
    if (!type)
        return;
    buf_put_z(b, kind == FORM_SUBMIT ? "<field var='FORM_TYPE'>" : "<field var='FORM_TYPE' type='hidden'>");
    put_element(b, "value", str_of(type));
    BUF_LIT(b, "</field>");
}

void form_close(struct buf *b)
{
    BUF_LIT(b, "</x>");
}

static void put_start(struct buf *b, enum form_type type, const char *var, const char *label)
{
    BUF_LIT(b, "<field");
    xml_put_attr(b, "var", str_of(var));
    xml_put_attr(b, "type", str_of(types[type]));
    if (label)
        xml_put_attr(b, "label", str_of(label));
}

void form_field_open(struct buf *b, enum form_type type, const char *var, const char *label)
{
    put_start(b, type, var, label);
    buf_put_c(b, '>');
}

/* In a submission, and in an item of results, the type is known. */
static void open_untyped(struct buf *b, const char *var)
{
    BUF_LIT(b, "<field");
    xml_put_attr(b, "var", str_of(var));
    buf_put_c(b, '>');
}

void form_field_value(struct buf *b, struct str value)
{
    put_element(b, "value", value);
}

void form_field_option(struct buf *b, const char *label, struct str value)
{
    BUF_LIT(b, "<option");
    if (label)
        xml_put_attr(b, "label", str_of(label));
    buf_put_c(b, '>');
    form_field_value(b, value);
    BUF_LIT(b, "</option>");
}

void form_field_close(struct buf *b)
{
    BUF_LIT(b, "</field>");
}

static void put_options(struct buf *b, const struct form_row *row)
{
    if (row->type != FORM_LIST && row->type != FORM_LIST_MULTI)
        return;
    for (const struct form_option *o = row->options; o && o->value; o++)
        form_field_option(b, o->label, str_of(o->value));
}

static void put_validation(struct buf *b, const struct form_row *row)
{
    if (!row->datatype)
        return;
    buf_printf(b, "<validate xmlns='" NS_VALIDATE "' datatype='%s'>", row->datatype);
    if ((row->min || row->max) && strcmp(row->datatype, "xs:integer") == 0)
        buf_printf(b, "<range min='%lld' max='%lld'/>", (long long)row->min, (long long)row->max);
    else
        BUF_LIT(b, "<basic/>");
    BUF_LIT(b, "</validate>");
}

void form_put_all(struct buf *b, enum form_kind kind, const struct form_row *row, const struct str *values,
                  int count)
{
    if (kind == FORM_SUBMIT)
        open_untyped(b, row->var);
    else
        form_field_open(b, row->type, row->var, row->label);
    if (kind == FORM_EMPTY && row->required)
        BUF_LIT(b, "<required/>");
    if (kind == FORM_EMPTY)
        put_validation(b, row);
    for (int i = 0; i < count; i++)
        form_field_value(b, values[i]);
    if (kind == FORM_EMPTY)
        put_options(b, row);
    form_field_close(b);
}

/* One value for each line (§3.3). */
static void put_lines(struct buf *b, enum form_kind kind, const struct form_row *row, struct str text)
{
    struct str lines[FORM_FIELDS_MAX];
    int n = 0;

    while (text.p && n < FORM_FIELDS_MAX - 1)
        lines[n++] = str_split(&text, '\n');
    if (text.p)
        lines[n++] = text;
    form_put_all(b, kind, row, lines, n);
}

void form_put(struct buf *b, enum form_kind kind, const struct form_row *row, struct str value)
{
    if (value.p && row->type == FORM_TEXT_MULTI)
        put_lines(b, kind, row, value);
    else
        form_put_all(b, kind, row, &value, value.p ? 1 : 0);
}

void form_put_int(struct buf *b, enum form_kind kind, const struct form_row *row, int64_t value)
{
    char text[24];
    struct buf digits;

    buf_init(&digits, 0);
    buf_put_i64(&digits, value);
    str_copy(buf_str(&digits), text, sizeof text);
    buf_done(&digits);
    form_put(b, kind, row, str_of(text));
}

void form_put_value(struct buf *b, const char *var, struct str value)
{
    open_untyped(b, var);
    if (value.p)
        form_field_value(b, value);
    form_field_close(b);
}

void form_put_field(struct buf *b, enum form_type type, const char *var, const char *label, struct str value)
{
    form_field_open(b, type, var, label);
    if (value.p)
        form_field_value(b, value);
    form_field_close(b);
}

void form_put_bool(struct buf *b, const char *var, const char *label, bool value)
{
    form_put_field(b, FORM_BOOL, var, label, value ? STR("1") : STR("0"));
}

void form_put_fixed(struct buf *b, struct str text)
{
    BUF_LIT(b, "<field type='fixed'>");
    put_element(b, "value", text);
    BUF_LIT(b, "</field>");
}

void form_put_reported(struct buf *b, const struct form_row *rows)
{
    BUF_LIT(b, "<reported>");
    for (const struct form_row *row = rows; row->var; row++) {
        put_start(b, row->type, row->var, row->label);
        BUF_LIT(b, "/>");
    }
    BUF_LIT(b, "</reported>");
}
