/* settings.c: reads settings against their tables, and says what is wrong in plain words.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/hash.h"
#include "base/mem.h"
#include "proc/settings.h"

enum {
    FILE_BYTES_MAX = 1024 * 1024,
    VALUE_BYTES_MAX = 4096,
    NAME_BYTES_MAX = 64,
    ADDRESSES_MAX = 32,
    DISTANCE_MAX = 3,                /* a name further off is no misspelling */
};

struct value {
    const struct setting *row;
    char                 *text;
    int64_t               number;
};

struct settings {
    const struct setting *const *tables;
    struct value        *values;
    int                  count;
    struct strmap        by_name;
};

/* ---- values ---- */

struct unit {
    const char *name;
    int64_t     factor;
};

static const struct unit duration_units[] = {
    { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 },
};
static const struct unit byte_units[] = {
    { "k", 1024 }, { "K", 1024 }, { "M", 1048576 }, { "G", 1073741824 }, { "", 1 }, { NULL, 0 },
};

/* "10s": digits and one of the units, nothing else. */
static bool parse_with_unit(struct str s, const struct unit *units, int64_t *out)
{
    size_t digits = 0;
    uint64_t n;

    while (digits < s.len && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    if (!str_to_u64(str_make(s.p, digits), &n) || n > INT64_MAX)
        return false;
    for (const struct unit *u = units; u->name; u++)
        if (str_is(str_make(s.p + digits, s.len - digits), u->name))
            return !__builtin_mul_overflow((int64_t)n, u->factor, out);
    return false;
}

static bool parse_bool(struct str s, int64_t *out)
{
    *out = str_is(s, "yes") || str_is(s, "true") || str_is(s, "on") || str_is(s, "1");
    return *out || str_is(s, "no") || str_is(s, "false") || str_is(s, "off") || str_is(s, "0");
}

/* "host:port", "[v6]:port", "unix:/path"; what the host means is told when it is bound. */
static bool address_is_good(struct str s)
{
    uint64_t port;
    size_t colon = s.len;

    if (str_starts(s, STR("unix:")))
        return s.len > 6 && s.p[5] == '/';
    while (colon > 0 && s.p[colon - 1] != ':')
        colon--;
    if (colon < 2 || !str_to_u64(str_make(s.p + colon, s.len - colon), &port) || port > 65535)
        return false;
    s.len = colon - 1;
    if (s.p[0] == '[')
        return s.len > 2 && s.p[s.len - 1] == ']';
    return str_find(s, ':') < 0;
}

static bool addresses_are_good(struct str list)
{
    int count = 0;

    while (list.len) {
        if (!address_is_good(str_trim(str_split(&list, ','))) || ++count > ADDRESSES_MAX)
            return false;
    }
    return true;
}

static bool parse_value(const struct setting *row, struct str s, int64_t *number)
{
    *number = 0;
    switch (row->type) {
    case SETTING_TEXT:
        return true;
    case SETTING_PATH:
        return s.len == 0 || s.p[0] == '/' || s.p[0] == '.' || str_find(s, '/') < 0;
    case SETTING_INT:
        return str_to_i64(s, number);
    case SETTING_BOOL:
        return parse_bool(s, number);
    case SETTING_BYTES:
        return parse_with_unit(s, byte_units, number);
    case SETTING_DURATION_MS:
        return parse_with_unit(s, duration_units, number);
    case SETTING_ADDRESSES:
        return addresses_are_good(s);
    }
    return false;
}

static const char *what_is_right(enum setting_type type)
{
    static const char *const words[] = {
        [SETTING_TEXT] = "text",
        [SETTING_INT] = "a whole number like 100",
        [SETTING_BOOL] = "yes or no",
        [SETTING_BYTES] = "a size like 64k, 1M or 2G",
        [SETTING_DURATION_MS] = "a time like 250ms, 10s, 5m, 2h or 1d",
        [SETTING_PATH] = "a path like /var/lib/bongsu",
        [SETTING_ADDRESSES] = "addresses like 0.0.0.0:5222, [::]:5222",
    };

    return words[type];
}

static bool is_number(enum setting_type type)
{
    return type == SETTING_INT || type == SETTING_BYTES || type == SETTING_DURATION_MS;
}

/* A number as a person would write it: 90000 ms as 90s, 65536 bytes as 64k. */
static void put_number(struct buf *out, enum setting_type type, int64_t n)
{
    static const struct unit durations[] = { { "d", 86400000 }, { "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 } };
    static const struct unit sizes[] = { { "G", 1073741824 }, { "M", 1048576 }, { "k", 1024 }, { "", 1 } };
    const struct unit *u = type == SETTING_DURATION_MS ? durations : sizes;

    if (type == SETTING_INT) {
        buf_put_i64(out, n);
        return;
    }
    while (u->factor > 1 && (n == 0 || n % u->factor))
        u++;
    buf_put_i64(out, n / u->factor);
    buf_put_z(out, u->name);
}

/* ---- life ---- */

static void value_set(struct value *v, struct str text, int64_t number)
{
    free(v->text);
    v->text = str_dup(text);
    v->number = number;
}

enum err settings_new(const struct setting *const *tables, struct settings **out)
{
    struct settings *s = NEW(struct settings);
    int i = 0;

    s->tables = tables;
    for (const struct setting *const *t = tables; *t; t++)
        for (const struct setting *row = *t; row->name; row++)
            s->count++;
    s->values = mem_new((size_t)(s->count ? s->count : 1) * sizeof *s->values);
    strmap_init(&s->by_name);
    for (const struct setting *const *t = tables; *t; t++)
        for (const struct setting *row = *t; row->name; row++) {
            struct value *v = &s->values[i++];
            int64_t number;

            v->row = row;
            /* Our own mistake: a default that its own row does not allow, or a name told twice. */
            if (!parse_value(row, str_of(row->value), &number) || strmap_get(&s->by_name, str_of(row->name))) {
                settings_free(&s);
                return ERR_BUG;
            }
            value_set(v, str_of(row->value), number);
            strmap_put(&s->by_name, str_of(row->name), v);
        }
    *out = s;
    return OK;
}

void settings_free(struct settings **sp)
{
    struct settings *s = *sp;

    if (!s)
        return;
    for (int i = 0; i < s->count; i++)
        free(s->values[i].text);
    strmap_done(&s->by_name);
    free(s->values);
    free(s);
    *sp = NULL;
}

/* ---- misspelt names ---- */

/* The nearest known name; or one that ends alike when the part before the dot was left out. */
static const char *nearest_name(const struct settings *s, struct str name)
{
    const char *best = NULL;
    int best_distance = DISTANCE_MAX + 1;

    for (int i = 0; i < s->count; i++) {
        const char *known = s->values[i].row->name;
        const char *dot = strrchr(known, '.');
        int d = str_distance(name, str_of(known));

        if (d > 1 && dot && str_is(name, dot + 1))
            d = 1;
        if (d < best_distance) {
            best_distance = d;
            best = known;
        }
    }
    return best;
}

/* ---- setting ---- */

static enum err set_at(struct settings *s, const char *where, struct str name, struct str text, struct buf *report)
{
    struct value *v = strmap_get(&s->by_name, name);
    const char *near;
    int64_t number;

    if (!v) {
        near = nearest_name(s, name);
        buf_printf(report, "%s: there is no setting \"%.*s\"", where, STR_ARG(name));
        if (near)
            buf_printf(report, "; did you mean \"%s\"?", near);
        buf_put_c(report, '\n');
        return ERR_INVALID;
    }
    if (text.len > VALUE_BYTES_MAX || !str_is_utf8(text) || (text.len && memchr(text.p, '\0', text.len))
        || (text.len && memchr(text.p, '\n', text.len))) {
        buf_printf(report, "%s: the value of %s must be UTF-8 text of one line, at most %d bytes\n", where, v->row->name,
                   VALUE_BYTES_MAX);
        return ERR_INVALID;
    }
    if (!parse_value(v->row, text, &number)) {
        buf_printf(report, "%s: %s cannot be \"%.*s\"; write %s\n", where, v->row->name, STR_ARG(text),
                   what_is_right(v->row->type));
        return ERR_INVALID;
    }
    if (is_number(v->row->type) && (number < v->row->min || number > v->row->max)) {
        buf_printf(report, "%s: %s cannot be %.*s; it goes from ", where, v->row->name, STR_ARG(text));
        put_number(report, v->row->type, v->row->min);
        buf_put_z(report, " to ");
        put_number(report, v->row->type, v->row->max);
        buf_put_c(report, '\n');
        return ERR_INVALID;
    }
    value_set(v, text, number);
    return OK;
}

enum err settings_set(struct settings *s, const char *name, struct str value, struct buf *report)
{
    return set_at(s, "command line", str_of(name), value, report);
}

/* ---- the file ---- */

static enum err read_line(struct settings *s, const char *where, struct str line, struct buf *report)
{
    ptrdiff_t equals;

    line = str_trim(line);
    if (str_empty(line) || line.p[0] == '#')
        return OK;
    equals = str_find(line, '=');
    if (equals <= 0) {
        buf_printf(report, "%s: this is neither a comment nor \"name = value\"\n", where);
        return ERR_INVALID;
    }
    return set_at(s, where, str_trim(str_make(line.p, (size_t)equals)),
                  str_trim(str_make(line.p + equals + 1, line.len - (size_t)equals - 1)), report);
}

static enum err read_file(const char *path, struct buf *out, struct buf *report)
{
    FILE *f = fopen(path, "re");
    char chunk[4096];
    size_t n;

    if (!f) {
        int why = errno;

        buf_printf(report, "could not open settings \"%s\": %s\n", path, strerror(why));
        return err_from_errno(why);
    }
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_put(out, chunk, n);
    if (ferror(f)) {
        buf_printf(report, "could not read settings \"%s\": %s\n", path, strerror(errno));
        fclose(f);
        return ERR_IO;
    }
    fclose(f);
    if (!out->overflow)
        return OK;
    buf_printf(report, "settings \"%s\" are longer than %d bytes\n", path, FILE_BYTES_MAX);
    return ERR_INVALID;
}

enum err settings_load(struct settings *s, const char *path, struct buf *report)
{
    struct buf text;
    struct str rest;
    enum err e;

    buf_init(&text, FILE_BYTES_MAX);
    e = read_file(path, &text, report);
    rest = e ? STR_NULL : buf_str(&text);
    /* All mistakes are told at once, so that one repair is enough. */
    for (int number = 1; rest.len; number++) {
        char where[512];

        snprintf(where, sizeof where, "%s:%d", path, number);
        if (read_line(s, where, str_split(&rest, '\n'), report))
            e = ERR_INVALID;
    }
    buf_done(&text);
    return e;
}

/* ---- the environment ---- */

/* "talk.archive_days" is BONGSU_TALK_ARCHIVE_DAYS. */
static bool env_names(struct str env, const char *name)
{
    if (env.len != strlen(name))
        return false;
    for (size_t i = 0; i < env.len; i++) {
        char c = name[i] == '.' ? '_' : name[i];

        if (c >= 'a' && c <= 'z')
            c = (char)(c - 'a' + 'A');
        if (env.p[i] != c)
            return false;
    }
    return true;
}

enum err settings_load_env(struct settings *s, char *const *env, struct buf *report)
{
    enum err worst = OK;

    for (; *env; env++) {
        struct str value = str_of(*env), name = str_split(&value, '=');
        char where[NAME_BYTES_MAX * 2];

        if (!str_starts(name, STR("BONGSU_")))
            continue;
        /* Other BONGSU_ names (faults, descriptors) are not settings: unknown ones are let be. */
        for (int i = 0; i < s->count; i++) {
            const char *known = s->values[i].row->name;

            if (!env_names(str_make(name.p + 7, name.len - 7), known))
                continue;
            snprintf(where, sizeof where, "environment %.*s", STR_ARG(name));
            if (set_at(s, where, str_of(known), str_trim(value), report))
                worst = ERR_INVALID;
        }
    }
    return worst;
}

/* ---- asking ---- */

static const struct value *value_of(const struct settings *s, const char *name)
{
    const struct value *v = strmap_get(&s->by_name, str_of(name));

    assert(v && "no such setting");
    return v;
}

const char *settings_text(const struct settings *s, const char *name)
{
    return value_of(s, name)->text;
}

int64_t settings_int(const struct settings *s, const char *name)
{
    const struct value *v = value_of(s, name);

    assert(is_number(v->row->type));
    return v->number;
}

bool settings_bool(const struct settings *s, const char *name)
{
    const struct value *v = value_of(s, name);

    assert(v->row->type == SETTING_BOOL);
    return v->number != 0;
}

/* ---- writing ---- */

static void put_bounds(struct buf *out, const struct setting *row)
{
    if (is_number(row->type)) {
        buf_put_z(out, "# From ");
        put_number(out, row->type, row->min);
        buf_put_z(out, " to ");
        put_number(out, row->type, row->max);
        buf_put_z(out, ".");
    } else {
        buf_printf(out, "# Write %s.", what_is_right(row->type));
    }
    buf_put_z(out, row->reloads ? " Taken up by a running server on reload.\n" : "\n");
}

/* Comment lines of at most 78 characters. */
static void put_wrapped(struct buf *out, struct str text)
{
    size_t width = 1;

    buf_put_c(out, '#');
    while (text.len) {
        struct str word = str_split(&text, ' ');

        if (width + 1 + word.len > 78) {
            buf_put_z(out, "\n#");
            width = 1;
        }
        buf_put_c(out, ' ');
        buf_put_str(out, word);
        width += 1 + word.len;
    }
    buf_put_c(out, '\n');
}

void settings_sample(const struct setting *const *tables, struct buf *out)
{
    buf_put_z(out, "# Bongsu's settings. Each line below shows its default; remove the # to change it.\n");
    for (const struct setting *const *t = tables; *t; t++)
        for (const struct setting *row = *t; row->name; row++) {
            buf_put_c(out, '\n');
            put_wrapped(out, str_of(row->help));
            put_bounds(out, row);
            buf_printf(out, "#%s = %s\n", row->name, row->value);
        }
}

void settings_write(const struct settings *s, struct buf *out)
{
    for (int i = 0; i < s->count; i++)
        buf_printf(out, "%s = %s\n", s->values[i].row->name, s->values[i].text);
}
