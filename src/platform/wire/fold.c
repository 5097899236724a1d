/* fold.c: see fold.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "wire/fold.h"
#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

uint32_t fold_next(struct str s, size_t *at)
{
    ucs4_t         c = 0xFFFD;
    const uint8_t *p = (const uint8_t *)s.p + *at;
    int            n;

    if (*p < 0x80) {
        ++*at;
        return *p;
    }
    n = u8_mbtouc(&c, p, s.len - *at);
    *at += n > 0 ? (size_t)n : 1;
    return c;
}

bool fold_is_space(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

static bool is_unseen(uint32_t c)
{
    return c == 0xAD || (c >= 0x200B && c <= 0x200F) || (c >= 0x2060 && c <= 0x2064) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF;
}

/* Neither normalising nor folding changes it, whatever stands beside it, as long as that is of these too. */
static bool is_inert(uint32_t c)
{
    return (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3041 && c <= 0x3096) || (c >= 0x30A1 && c <= 0x30FA) ||
           c == 0x3001 || c == 0x3002 || (c >= 0x1F300 && c <= 0x1FAFF);
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Copies up to the first character that needs the tables; where that is. */
static size_t put_simple(struct buf *out, struct str in)
{
    size_t at = 0, next = 0;

    for (; at < in.len; at = next) {
        uint32_t c = fold_next(in, &next);

        if (c < 0x80)
            buf_put_c(out, lower(in.p[at]));
        else if (is_inert(c))
            buf_put(out, in.p + at, next - at);
        else if (!is_unseen(c))
            break;
    }
    return at;
}

static struct str without_unseen(struct buf *b, struct str in)
{
    size_t at = 0, next = 0;

    for (; at < in.len; at = next)
        if (!is_unseen(fold_next(in, &next)))
            buf_put(b, in.p + at, next - at);
    return buf_str(b);
}

void fold_put(struct buf *out, struct str in)
{
    size_t     start = out->len, bytes;
    uint8_t    small[512], *folded;
    struct buf seen;
    struct str text;

    if (put_simple(out, in) == in.len)
        return;
    out->len = start;
    buf_init(&seen, 0);
    text = without_unseen(&seen, in);
    bytes = sizeof small;
    folded = str_is_utf8(text) ? u8_casefold((const uint8_t *)text.p, text.len, NULL, UNINORM_NFKC, small, &bytes) : NULL;
    if (folded)
        buf_put(out, folded, bytes);
    else
        for (size_t i = 0; i < text.len; i++)
            buf_put_c(out, lower(text.p[i]));
    if (folded != small)
        free(folded);
    buf_done(&seen);
}
