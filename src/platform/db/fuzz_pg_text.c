/* fuzz_pg_text.c: whatever the text, the translator ends, keeps its bounds and lets no ? through outside quotes.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "db/pg_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool has_parameter(struct str s)
{
    char quote = '\0';

    for (size_t i = 0; i < s.len; i++) {
        if (quote)
            quote = s.p[i] == quote ? '\0' : quote;
        else if (s.p[i] == '\'' || s.p[i] == '"')
            quote = s.p[i];
        else if (s.p[i] == '?')
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_make((const char *)data, size);
    struct buf out;

    buf_init(&out, 0);
    while (rest.len) {
        size_t before = rest.len;

        if (pg_text_next(&rest, &out))
            break;
        if (rest.len >= before || out.len > 40 * before + 40 || has_parameter(buf_str(&out)))
            abort();
    }
    buf_done(&out);
    return 0;
}
