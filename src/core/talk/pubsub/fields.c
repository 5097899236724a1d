/* fields.c: see fields.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/fields.h"

bool fields_bool(struct str value, bool *out)
{
    *out = str_is(value, "1") || str_is(value, "true");
    return *out || str_is(value, "0") || str_is(value, "false");
}

/* ---- writing ---- */

void fields_open(struct buf *b, const char *type, const char *form_type)
{
    BUF_LIT(b, "<x xmlns='" NS_FORMS "'");
    xml_put_attr(b, "type", str_of(type));
    buf_put_c(b, '>');
    fields_put(b, "hidden", "FORM_TYPE", NULL, str_of(form_type));
}

void field_open(struct buf *b, const char *type, const char *var, const char *label)
{
    BUF_LIT(b, "<field");
    if (type)
        xml_put_attr(b, "type", str_of(type));
    xml_put_attr(b, "var", str_of(var));
    if (label)
        xml_put_attr(b, "label", str_of(label));
    buf_put_c(b, '>');
}

void field_put_value(struct buf *b, struct str value)
{
    BUF_LIT(b, "<value>");
    xml_put_escaped(b, value);
    BUF_LIT(b, "</value>");
}

void field_put_option(struct buf *b, struct str value)
{
    BUF_LIT(b, "<option>");
    field_put_value(b, value);
    BUF_LIT(b, "</option>");
}

void field_close(struct buf *b)
{
    BUF_LIT(b, "</field>");
}

void fields_put(struct buf *b, const char *type, const char *var, const char *label, struct str value)
{
    field_open(b, type, var, label);
    field_put_value(b, value);
    field_close(b);
}

void fields_close(struct buf *b)
{
    BUF_LIT(b, "</x>");
}
