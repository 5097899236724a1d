/* fuzz_form.c: what a client may send as a form; what was read and written again reads the same.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "talk/forms.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct form_option options[] = {{"a", "A"}, {"b", NULL}, {0}};
static const struct form_row rows[] = {
    {"t", FORM_TEXT, "t", .required = true, .max = 50},
    {"b", FORM_BOOL},
    {"i", FORM_TEXT, .datatype = "xs:integer", .min = -5, .max = 5},
    {"d", FORM_TEXT, .datatype = "xs:dateTime"},
    {"l", FORM_LIST, .options = options},
    {"m", FORM_LIST_MULTI, .options = options},
    {"j", FORM_JID},
    {"k", FORM_JID_MULTI},
    {"w", FORM_TEXT_MULTI},
    {0},
};

static void same_again(struct arena *a, const struct form *f)
{
    struct xml_node *n = NULL;
    struct form again;
    struct buf b;

    buf_init(&b, 0);
    form_open(&b, f->kind, NULL, NULL, NULL);
    for (int i = 0; i < f->count; i++) {
        struct form_row row = {.var = str_dup(f->fields[i].var), .type = f->fields[i].type};

        form_put_all(&b, f->kind, &row, f->fields[i].values, f->fields[i].value_count);
        free((char *)row.var);
    }
    form_close(&b);
    if (xml_parse(a, buf_str(&b), NULL, &n) != XML_FINE || form_read(a, n, &again) != OK ||
        again.count != f->count)
        abort();
    for (int i = 0; i < f->count; i++)
        if (!str_eq(f->fields[i].var, again.fields[i].var) ||
            f->fields[i].value_count != again.fields[i].value_count)
            abort();
    buf_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct xml_node *n = NULL;
    struct form f;
    struct jid j;
    struct str why;

    arena_init(&a);
    if (xml_parse(&a, str_make((const char *)data, size), NULL, &n) == XML_FINE) {
        form_find(n, "a");
        if (form_read(&a, n, &f) == OK) {
            same_again(&a, &f);
            if (form_check(&a, &f, rows, &why) == OK && form_value(&f, "j").len &&
                form_jid(&a, &f, "j", &j) != OK)
                abort();
            form_int(&f, "i", 0);
            form_bool(&f, "b", false);
            form_text(&a, &f, "w");
        }
    }
    arena_done(&a);
    return 0;
}
