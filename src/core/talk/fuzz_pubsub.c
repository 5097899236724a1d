/* fuzz_pubsub.c: what a client submits: a form as a node's configuration, and what it says that it can do. What was taken and is
 * written out must be read as the same.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "talk/pubsub/pubsub.h"
#include "talk/xep/xep0115_clients.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void kept_is_the_same(struct arena *a, const struct node_config *c, bool pep)
{
    struct node_config again;
    struct buf one, two;

    buf_init(&one, 0);
    buf_init(&two, 0);
    config_write(&one, c, pep, STR("n"));
    config_read(a, buf_str(&one), pep, STR("n"), &again);
    config_write(&two, &again, pep, STR("n"));
    if (!str_eq(buf_str(&one), buf_str(&two)))
        abort();
    config_put(&one, c, pep, NS_PUBSUB "#node_config", FORM_EMPTY);
    buf_done(&one);
    buf_done(&two);
}

static void as_form(struct arena *a, const struct xml_node *n, bool pep)
{
    const struct fault *why;
    struct node_config c;
    struct form f;

    if (form_read(a, n, &f) != OK)
        return;
    config_defaults(&c, pep, STR("n"));
    config_meets(&c, &f);
    if (config_take(&c, &f, pep, false, &why))
        kept_is_the_same(a, &c, pep);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct xml_node *n;
    struct caps_wants w;
    struct buf text;

    arena_init(&a);
    if (xml_parse(&a, str_make((const char *)data, size), NULL, &n) == XML_FINE) {
        as_form(&a, n, true);
        as_form(&a, n, false);
        buf_init(&text, 0);
        caps_read(&a, n, &text, &w);
        buf_done(&text);
    }
    arena_done(&a);
    return 0;
}
