/* fuzz_xml_file.c: any bytes, in pieces: the same story whatever the pieces, and it ends.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "wire/xml_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source { struct str rest; size_t step; };

static long read_some(void *arg, char *to, size_t bytes)
{
    struct source *s = arg;
    size_t         n = s->rest.len < s->step ? s->rest.len : s->step;

    n = n < bytes ? n : bytes;
    if (n)
        memcpy(to, s->rest.p, n);
    s->rest = str_make(s->rest.p + n, s->rest.len - n);
    return (long)n;
}

static bool enter_short(void *arg, const struct xml_node *start, int depth)
{
    (void)arg;
    return start->name.len <= 2 || depth < 2;
}

static uint64_t story(struct str in, size_t step)
{
    struct source         s = { in, step };
    struct xml_file      *f = xml_file_new(read_some, enter_short, &s, 300);
    struct xml_file_event ev = { .kind = XML_FILE_LEFT };
    struct arena          a;
    uint64_t              sum = 0;
    size_t                events = 0;

    arena_init(&a);
    while (ev.kind != XML_FILE_END && xml_file_next(f, &a, &ev) == OK) {
        sum = sum * 31 + (uint64_t)ev.kind * 7 + (uint64_t)ev.depth;
        if (++events > in.len + 8)
            abort();
        if (ev.kind == XML_FILE_ELEMENT)
            sum += ev.node->name.len;
        arena_reset(&a);
    }
    arena_done(&a);
    xml_file_free(&f);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_make((const char *)data, size);

    if (story(in, 1) != story(in, 4096))
        abort();
    return 0;
}
