/* range.c: see range.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/range.h"

/* "500-", "-500": a number that does not fit is past every end. */
static bool number(struct str s, int64_t *out)
{
    uint64_t n;

    for (size_t i = 0; i < s.len; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    if (s.len == 0)
        return false;
    *out = str_to_u64(s, &n) && n < INT64_MAX ? (int64_t)n : INT64_MAX;
    return true;
}

static enum range last_bytes(int64_t count, int64_t file_bytes, int64_t *from, int64_t *bytes)
{
    *bytes = count < file_bytes ? count : file_bytes;
    *from = file_bytes - *bytes;
    return *bytes > 0 ? RANGE_PART : RANGE_NONE;
}

enum range range_read(struct str header, int64_t file_bytes, int64_t *from, int64_t *bytes)
{
    struct str unit = str_trim(str_split(&header, '=')), last = str_trim(header), first;
    int64_t    end = INT64_MAX;

    *from = 0;
    *bytes = file_bytes;
    if (!str_eq_nocase(unit, STR("bytes")) || !last.p || str_find(last, ',') >= 0 || str_find(last, '-') < 0)
        return RANGE_WHOLE;
    first = str_trim(str_split(&last, '-'));
    last = str_trim(last);
    if (first.len == 0)
        return number(last, &end) ? last_bytes(end, file_bytes, from, bytes) : RANGE_WHOLE;
    if (!number(first, from) || (last.len && !number(last, &end)) || end < *from) {
        *from = 0;
        return RANGE_WHOLE;
    }
    if (*from >= file_bytes)
        return RANGE_NONE;
    *bytes = (end < file_bytes ? end + 1 : file_bytes) - *from;
    return RANGE_PART;
}

bool etag_listed(struct str list, struct str etag, bool weak)
{
    if (str_is(str_trim(list), "*"))
        return true;
    while (list.len) {
        struct str one = str_trim(str_split(&list, ','));

        if (str_starts(one, STR("W/"))) {
            if (!weak)
                continue;
            one = str_make(one.p + 2, one.len - 2);
        }
        if (str_eq(one, etag))
            return true;
    }
    return false;
}
