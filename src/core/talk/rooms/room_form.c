/* room_form.c: see room_form.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_form.h"
#include "wire/xml.h"

#define NS_DATA "jabber:x:data"

static void put_field(struct buf *b, const char *kind, const char *var, const char *label)
{
    BUF_LIT(b, "<field");
    if (kind)
        xml_put_attr(b, "type", str_of(kind));
    xml_put_attr(b, "var", str_of(var));
    if (label)
        xml_put_attr(b, "label", str_of(label));
    buf_put_c(b, '>');
}

static void put_value(struct buf *b, struct str value)
{
    BUF_LIT(b, "<value>");
    xml_put_escaped(b, value);
    BUF_LIT(b, "</value>");
}

void room_form_put_hidden(struct buf *b, const char *type)
{
    put_field(b, "hidden", "FORM_TYPE", NULL);
    put_value(b, str_of(type));
    BUF_LIT(b, "</field>");
}

void room_form_put(struct buf *b, const char *kind, const char *var, const char *label, struct str value)
{
    put_field(b, kind, var, label);
    if (value.p)
        put_value(b, value);
    BUF_LIT(b, "</field>");
}

void room_form_put_bool(struct buf *b, const char *var, const char *label, bool value)
{
    room_form_put(b, "boolean", var, label, value ? STR("1") : STR("0"));
}

void room_form_put_list(struct buf *b, const char *kind, const char *var, const char *label,
                        const struct room_form_option *options, unsigned chosen)
{
    put_field(b, kind, var, label);
    for (unsigned i = 0; options[i].value; i++)
        if (chosen >> i & 1)
            put_value(b, str_of(options[i].value));
    for (const struct room_form_option *o = options; o->value; o++) {
        BUF_LIT(b, "<option");
        xml_put_attr(b, "label", str_of(o->label));
        buf_put_c(b, '>');
        put_value(b, str_of(o->value));
        BUF_LIT(b, "</option>");
    }
    BUF_LIT(b, "</field>");
}

const struct xml_node *room_form_field(const struct xml_node *form, const char *var)
{
    for (const struct xml_node *n = xml_first(form); n; n = xml_next(n))
        if (xml_is(n, "field", NS_DATA) && str_is(xml_attr(n, "var"), var))
            return n;
    return NULL;
}

struct str room_form_value(const struct stanza *st, const struct xml_node *form, const char *var)
{
    const struct xml_node *f = room_form_field(form, var);
    struct str v = f ? xml_child_text(st->arena, f, "value", NS_DATA) : STR_NULL;

    return f && !v.p ? STR("") : v;
}

const struct xml_node *room_form_submitted(const struct stanza *st, const struct xml_node *payload,
                                           const char *type)
{
    const struct xml_node *x = payload ? xml_child(payload, "x", NS_DATA) : NULL;
    struct str said = x ? room_form_value(st, x, "FORM_TYPE") : STR_NULL;

    if (!x || !str_is(xml_attr(x, "type"), "submit") || (said.p && !str_is(said, type)))
        return NULL;
    return x;
}

bool room_form_read_bool(struct str text, bool *out)
{
    text = str_trim(text);
    *out = str_is(text, "1") || str_is(text, "true");
    return *out || str_is(text, "0") || str_is(text, "false");
}
