/* form.c: see form.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/form.h"

/* ---- reading ---- */

static int count_of(const struct xml_node *parent, const char *name)
{
    int n = 0;

    for (const struct xml_node *x = xml_first(parent); x; x = xml_next(x))
        n += xml_is(x, name, NS_DATA);
    return n;
}

static enum err read_field(struct arena *a, const struct xml_node *x, struct form_field *f)
{
    int n = count_of(x, "value");

    *f = (struct form_field){.var = xml_attr(x, "var")};
    if (f->var.len == 0 || n > FORM_VALUES_MAX)
        return ERR_INVALID;
    f->values = arena_alloc(a, sizeof *f->values * (size_t)(n + 1));
    for (const struct xml_node *v = xml_first(x); v; v = xml_next(v))
        if (xml_is(v, "value", NS_DATA))
            f->values[f->count++] = xml_text(a, v);
    return OK;
}

static bool has(const struct form *f, struct str var)
{
    for (int i = 0; i < f->count; i++)
        if (str_eq(f->fields[i].var, var))
            return true;
    return false;
}

static enum err take_field(struct arena *a, const struct xml_node *x, struct form *out)
{
    struct form_field *f = &out->fields[out->count];
    struct str type = xml_attr(x, "type");
    enum err e;

    if (str_is(type, "fixed") && xml_attr(x, "var").len == 0)
        return OK; /* a text between the fields */
    e = read_field(a, x, f);
    if (e || has(out, f->var))
        return ERR_INVALID;
    if (!str_is(f->var, "FORM_TYPE")) {
        out->count++;
        return OK;
    }
    if (out->form_type.p)
        return ERR_INVALID;
    out->form_type = f->count ? f->values[0] : STR("");
    return OK;
}

enum err form_read(struct arena *a, const struct xml_node *x, struct form *out)
{
    struct str type = xml_attr(x, "type");
    int n = count_of(x, "field");

    *out = (struct form){.submit = str_is(type, "submit"), .cancel = str_is(type, "cancel")};
    if (n > FORM_FIELDS_MAX)
        return ERR_INVALID;
    out->fields = arena_alloc(a, sizeof *out->fields * (size_t)(n + 1));
    for (const struct xml_node *f = xml_first(x); f; f = xml_next(f))
        if (xml_is(f, "field", NS_DATA) && take_field(a, f, out) != OK)
            return ERR_INVALID;
    return OK;
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
    const struct form_field *found = form_field(f, var);

    return found && found->count ? found->values[0] : STR_NULL;
}

bool form_bool(struct str value, bool *out)
{
    *out = str_is(value, "1") || str_is(value, "true");
    return *out || str_is(value, "0") || str_is(value, "false");
}

/* ---- writing ---- */

void form_open(struct buf *b, const char *type, const char *form_type)
{
    BUF_LIT(b, "<x xmlns='" NS_DATA "'");
    xml_put_attr(b, "type", str_of(type));
    buf_put_c(b, '>');
    form_put(b, "hidden", "FORM_TYPE", NULL, str_of(form_type));
}

void form_field_open(struct buf *b, const char *type, const char *var, const char *label)
{
    BUF_LIT(b, "<field");
    if (type)
        xml_put_attr(b, "type", str_of(type));
    xml_put_attr(b, "var", str_of(var));
    if (label)
        xml_put_attr(b, "label", str_of(label));
    buf_put_c(b, '>');
}

void form_put_value(struct buf *b, struct str value)
{
    BUF_LIT(b, "<value>");
    xml_put_escaped(b, value);
    BUF_LIT(b, "</value>");
}

void form_put_option(struct buf *b, const char *label, struct str value)
{
    BUF_LIT(b, "<option");
    if (label)
        xml_put_attr(b, "label", str_of(label));
    buf_put_c(b, '>');
    form_put_value(b, value);
    BUF_LIT(b, "</option>");
}

void form_field_close(struct buf *b)
{
    BUF_LIT(b, "</field>");
}

void form_put(struct buf *b, const char *type, const char *var, const char *label, struct str value)
{
    form_field_open(b, type, var, label);
    form_put_value(b, value);
    form_field_close(b);
}

void form_close(struct buf *b)
{
    BUF_LIT(b, "</x>");
}
