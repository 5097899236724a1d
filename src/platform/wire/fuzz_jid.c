/* fuzz_jid.c: whatever is accepted as an address is normal: reading it again
 * gives the same, in whole and in parts.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include "wire/jid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept, const char *what)
{
    if (kept)
        return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static void check_parts(const struct jid *j)
{
    promise(j->domain.len > 0, "there is a domain");
    promise(j->local.len <= JID_PART_BYTES_MAX && j->domain.len <= JID_PART_BYTES_MAX &&
                j->resource.len <= JID_PART_BYTES_MAX && j->full.len <= JID_BYTES_MAX, "parts keep to their bound");
    promise(str_is_utf8(j->full) && str_find(j->full, '\0') < 0, "UTF-8 without NUL");
    promise(str_starts(j->full, j->bare) && j->bare.p == j->full.p, "bare begins full");
    promise(str_find(j->local, '@') < 0 && str_find(j->bare, '/') < 0 && str_find(j->domain, '@') < 0,
            "no separator inside a part");
    promise(j->full.p[j->full.len] == '\0', "NUL-terminated");
}

static void same(const struct jid *a, const struct jid *b)
{
    promise(str_eq(a->full, b->full) && str_eq(a->local, b->local) && str_eq(a->domain, b->domain) &&
                str_eq(a->resource, b->resource), "normal stays normal");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str   in = str_make((const char *)data, size), once, twice;
    struct jid   j, again;
    struct arena a;

    arena_init(&a);
    if (jid_parse(&a, in, &j) == OK) {
        check_parts(&j);
        promise(jid_parse(&a, j.full, &again) == OK, "an address can be read again");
        same(&j, &again);
        promise(jid_make(&a, j.local, j.domain, j.resource, &again) == OK, "its parts make it");
        same(&j, &again);
    }
    if (jid_prep_sasl(&a, in, &once) == OK)
        promise(jid_prep_sasl(&a, once, &twice) == OK && str_eq(once, twice), "a prepared password stays");
    arena_done(&a);
    return 0;
}
