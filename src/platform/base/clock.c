/* clock.c: see clock.h. Dates by arithmetic on days (Hinnant's civil calendar),
 * without the C library's zone files and locks.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include <stdio.h>
#include <time.h>

#define YEAR_0_US    (INT64_C(-62167219200) * 1000000)
#define YEAR_9999_US (INT64_C(253402300799) * 1000000 + 999999)

static int64_t frozen_us;

void clock_set_us(int64_t us) { __atomic_store_n(&frozen_us, us, __ATOMIC_RELAXED); }

int64_t clock_us(void)
{
    int64_t         fixed = __atomic_load_n(&frozen_us, __ATOMIC_RELAXED);
    struct timespec ts;

    if (fixed)
        return fixed;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
    int64_t         fixed = __atomic_load_n(&frozen_us, __ATOMIC_RELAXED);
    struct timespec ts;

    if (fixed)
        return fixed / 1000;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void civil_from_days(int64_t days, int64_t *y, int *m, int *d)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;

    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static char *put_digits(char *at, int64_t v, int width)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return at + width;
}

struct str clock_format(int64_t us, char out[CLOCK_TEXT_BYTES])
{
    int64_t second, rest, days, of_day, y;
    int     m, d;
    char   *at = out;

    /* XEP-0082 has four digits for the year */
    if (us < YEAR_0_US)
        us = YEAR_0_US;
    if (us > YEAR_9999_US)
        us = YEAR_9999_US;
    second = us / 1000000;
    rest = us % 1000000;

    if (rest < 0) {
        rest += 1000000;
        second--;
    }
    days = second / 86400;
    of_day = second % 86400;
    if (of_day < 0) {
        of_day += 86400;
        days--;
    }
    civil_from_days(days, &y, &m, &d);
    at = put_digits(at, y, 4);
    *at++ = '-';
    at = put_digits(at, m, 2);
    *at++ = '-';
    at = put_digits(at, d, 2);
    *at++ = 'T';
    at = put_digits(at, of_day / 3600, 2);
    *at++ = ':';
    at = put_digits(at, of_day / 60 % 60, 2);
    *at++ = ':';
    at = put_digits(at, of_day % 60, 2);
    if (rest) {
        *at++ = '.';
        at = put_digits(at, rest, 6);
    }
    *at++ = 'Z';
    *at = '\0';
    return str_make(out, (size_t)(at - out));
}

static bool digits(struct str *s, size_t n, int64_t *out)
{
    uint64_t v;

    if (s->len < n || !str_to_u64(str_make(s->p, n), &v))
        return false;
    s->p += n;
    s->len -= n;
    *out = (int64_t)v;
    return true;
}

static bool literal(struct str *s, char c)
{
    if (s->len == 0 || s->p[0] != c)
        return false;
    s->p++;
    s->len--;
    return true;
}

static bool fraction(struct str *s, int64_t *us)
{
    int64_t unit = 100000;
    bool    any = false;

    *us = 0;
    if (!literal(s, '.'))
        return true;
    for (; s->len && s->p[0] >= '0' && s->p[0] <= '9'; s->p++, s->len--, unit /= 10) {
        *us += (s->p[0] - '0') * unit;
        any = true;
    }
    return any;
}

static bool zone(struct str *s, int64_t *offset_seconds)
{
    int64_t sign, h, m;

    *offset_seconds = 0;
    if (literal(s, 'Z'))
        return s->len == 0;
    if (s->len == 0 || (s->p[0] != '+' && s->p[0] != '-'))
        return false;
    sign = s->p[0] == '-' ? -1 : 1;
    s->p++;
    s->len--;
    if (!digits(s, 2, &h) || !literal(s, ':') || !digits(s, 2, &m) || s->len || h > 14 || m > 59)
        return false;
    *offset_seconds = sign * (h * 3600 + m * 60);
    return true;
}

static int month_days(int64_t y, int m)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool             leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

    return days[m - 1] + (m == 2 && leap);
}

bool clock_parse(struct str text, int64_t *us)
{
    int64_t y, mo, d, h, mi, s, rest, offset;

    if (!digits(&text, 4, &y) || !literal(&text, '-') || !digits(&text, 2, &mo) || !literal(&text, '-') ||
        !digits(&text, 2, &d) || !literal(&text, 'T') || !digits(&text, 2, &h) || !literal(&text, ':') ||
        !digits(&text, 2, &mi) || !literal(&text, ':') || !digits(&text, 2, &s) || !fraction(&text, &rest) ||
        !zone(&text, &offset))
        return false;
    if (mo < 1 || mo > 12 || d < 1 || d > month_days(y, (int)mo) || h > 24 || mi > 59 || s > 60)
        return false;
    if (h == 24 && (mi || s || rest))
        return false;       /* 24:00:00 is the next midnight */
    *us = ((days_from_civil(y, (int)mo, (int)d) * 86400 + h * 3600 + mi * 60 + s) - offset) * 1000000 + rest;
    return true;
}
