/* json.c: see json.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "wire/json.h"

/* jansson recurses, so the depth is known before it starts. */
static bool too_deep(struct str text)
{
    int  depth = 0;
    bool quoted = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.p[i];

        if (quoted && c == '\\')
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX)
            return true;
        else if (!quoted && (c == '}' || c == ']'))
            depth--;
    }
    return false;
}

/* jansson quotes the input behind " near "; that may be a secret. */
static struct str reason(struct arena *a, const json_error_t *error)
{
    struct str  text = str_of(error->text);
    const char *near = strstr(error->text, " near ");

    if (near)
        text.len = (size_t)(near - error->text);
    return arena_printf(a, "line %d, column %d: %.*s", error->line, error->column, STR_ARG(text));
}

enum err json_read(struct arena *a, struct str text, size_t bytes_max, json_t **out, struct str *why)
{
    struct str   ignored;
    json_error_t error;

    if (!why)
        why = &ignored;
    *out = NULL;
    *why = STR_NULL;
    if (text.len > bytes_max) {
        *why = arena_printf(a, "the text is longer than %zu bytes", bytes_max);
        return ERR_LIMIT;
    }
    if (too_deep(text)) {
        *why = arena_printf(a, "nested deeper than %d levels", JSON_DEPTH_MAX);
        return ERR_INVALID;
    }
    *out = json_loadb(text.len ? text.p : "", text.len, JSON_REJECT_DUPLICATES, &error);
    if (*out)
        return OK;
    *why = reason(a, &error);
    return ERR_INVALID;
}

static int put(const char *bytes, size_t size, void *out)
{
    buf_put(out, bytes, size);
    return 0;
}

void json_write(struct buf *out, const json_t *value)
{
    json_dump_callback(value, put, out, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
}

struct str json_get_str(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);

    return json_is_string(v) ? str_make(json_string_value(v), json_string_length(v)) : STR_NULL;
}

enum err json_get_i64(const json_t *object, const char *key, int64_t *out)
{
    const json_t *v = json_object_get(object, key);

    if (!v)
        return ERR_NOT_FOUND;
    if (!json_is_integer(v))
        return ERR_INVALID;
    *out = json_integer_value(v);
    return OK;
}
