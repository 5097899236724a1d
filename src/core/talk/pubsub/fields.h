/* fields.h: writing forms whose fields are not known as rows (talk/forms.h): a node's configuration is a table of its own.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/forms.h"

/* "1", "true", "0", "false"; false when it is none of these. */
bool fields_bool(struct str value, bool *out);
/* fields_open, fields, fields_close. */
void fields_open(struct buf *b, const char *type /* "form", "result", "submit" */, const char *form_type);
/* A field with one value. `type` and `label` may be NULL. */
void fields_put(struct buf *b, const char *type, const char *var, const char *label, struct str value);
/* A field in pieces. */
void field_open(struct buf *b, const char *type, const char *var, const char *label);
void field_put_value(struct buf *b, struct str value);
void field_put_option(struct buf *b, struct str value);
void field_close(struct buf *b);
void fields_close(struct buf *b);
