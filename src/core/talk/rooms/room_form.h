/* room_form.h: data forms (XEP-0004) as rooms write and read them.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/buf.h"
#include "talk/stanza.h"

void room_form_put_hidden(struct buf *b, const char *type); /* FORM_TYPE */
void room_form_put(struct buf *b, const char *kind, const char *var, const char *label,
                   struct str value /* p NULL: none */);
void room_form_put_bool(struct buf *b, const char *var, const char *label, bool value);
struct room_form_option {
    const char *value, *label;
};
void room_form_put_list(struct buf *b, const char *kind, const char *var, const char *label,
                        const struct room_form_option *options, unsigned chosen /* bits */);
/* The submitted form in `payload`; NULL: there is none, or its FORM_TYPE (if it has one) is another. */
const struct xml_node *room_form_submitted(const struct stanza *st, const struct xml_node *payload,
                                           const char *type);
const struct xml_node *room_form_field(const struct xml_node *form, const char *var);
struct str room_form_value(const struct stanza *st, const struct xml_node *form,
                           const char *var);          /* p NULL: no such field; empty: no value */
bool room_form_read_bool(struct str text, bool *out); /* 1 0 true false */
