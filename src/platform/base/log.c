/* log.c: see log.h. One write per line, so lines of several threads and processes do not mix.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/log.h"
#include "base/clock.h"
#include <stdio.h>
#include <unistd.h>

enum { LINE_BYTES_MAX = 4096, CLOSING_BYTES_MAX = 8 };

enum log_level     log_level_min = LOG_LEVEL_INFO;
static const char *log_process = "bongsu";
static bool        log_json;

static const char *const level_names[] = { "debug", "info", "warn", "error" };

void log_setup(const char *process, enum log_level level, bool json)
{
    log_process = process;
    log_level_min = level;
    log_json = json;
}

struct line {
    char   text[LINE_BYTES_MAX];
    size_t len;
    bool   cut;         /* something did not fit; nothing more is put but what closes the line */
};

/* A piece goes in whole or not at all, so a cut line is still sound JSON and UTF-8. */
static void put(struct line *l, const char *p, size_t n)
{
    l->cut |= n > LINE_BYTES_MAX - CLOSING_BYTES_MAX - l->len;
    if (l->cut)
        return;
    memcpy(l->text + l->len, p, n);
    l->len += n;
}

static void put_z(struct line *l, const char *z) { put(l, z, strlen(z)); }

static void put_closing(struct line *l, const char *z)
{
    memcpy(l->text + l->len, z, strlen(z));
    l->len += strlen(z);
}

/* Length of the character beyond ASCII at s, or 1 for a byte that begins none. */
static size_t char_bytes(struct str s)
{
    for (size_t n = 2; n <= 4 && n <= s.len; n++)
        if (str_is_utf8(str_make(s.p, n)))
            return n;
    return 1;
}

/* Escapes what could be taken for structure; control characters, C1 too, never reach a terminal. */
static void put_text(struct line *l, struct str s)
{
    for (size_t i = 0, n; i < s.len; i += n) {
        unsigned char c = (unsigned char)s.p[i];
        char          esc[8];

        n = c < 0x80 ? 1 : char_bytes(str_make(s.p + i, s.len - i));
        if (c == '"' || c == '\\')
            put(l, (char[]){ '\\', (char)c }, 2);
        else if (c < 0x20 || c == 0x7f || (c >= 0x80 && n == 1))
            put(l, esc, (size_t)snprintf(esc, sizeof esc, "\\u%04x", c));
        else if (n == 2 && c == 0xC2 && (unsigned char)s.p[i + 1] < 0xA0)
            put(l, esc, (size_t)snprintf(esc, sizeof esc, "\\u%04x", (unsigned char)s.p[i + 1]));
        else
            put(l, s.p + i, n);
    }
}

static bool plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] <= 0x20 || s.p[i] == '"' || s.p[i] == '=' || s.p[i] == '\\' || s.p[i] == 0x7f ||
            (unsigned char)s.p[i] >= 0x80)
            return false;
    return s.len > 0;
}

static void put_field(struct line *l, const struct log_field *f)
{
    bool   quote = f->kind == LOG_FIELD_STR && (log_json || !plain(f->text));
    size_t from = l->len;
    char   number[24];

    put_z(l, log_json ? ",\"" : " ");
    put_z(l, f->key);
    put_z(l, log_json ? "\":" : "=");
    if (quote)
        put_z(l, "\"");
    if (f->kind == LOG_FIELD_I64)
        put(l, number, (size_t)snprintf(number, sizeof number, "%lld", (long long)f->number));
    if (l->cut) {
        l->len = from;
        return;
    }
    if (f->kind == LOG_FIELD_STR)
        put_text(l, f->text);
    if (quote)
        put_closing(l, "\"");
}

void log_event(enum log_level level, const char *event, const struct log_field *fields, int field_count)
{
    char        time[CLOCK_TEXT_BYTES];
    struct line l = { .len = 0 };

    clock_format(clock_us(), time);
    if (log_json) {
        put_z(&l, "{\"time\":\"");
        put_z(&l, time);
        put_z(&l, "\",\"level\":\"");
        put_z(&l, level_names[level]);
        put_z(&l, "\",\"process\":\"");
        put_z(&l, log_process);
        put_z(&l, "\",\"event\":\"");
        put_z(&l, event);
        put_z(&l, "\"");
    } else {
        put_z(&l, time);
        put_z(&l, " ");
        put_z(&l, level_names[level]);
        put_z(&l, " ");
        put_z(&l, log_process);
        put_z(&l, " ");
        put_z(&l, event);
    }
    for (int i = 0; i < field_count && !l.cut; i++)
        put_field(&l, &fields[i]);
    put_closing(&l, log_json ? "}\n" : "\n");
    if (write(STDERR_FILENO, l.text, l.len) < 0)
        return;     /* nobody is left to be told */
}
