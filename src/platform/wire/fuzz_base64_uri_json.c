/* fuzz_base64_uri_json.c: the small decoders. What they accept, they write
 * back the same. The first byte chooses one.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include "wire/base64.h"
#include "wire/json.h"
#include "wire/uri.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void promise(bool kept, const char *what)
{
    if (kept)
        return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static void base64(struct arena *a, struct str in)
{
    struct buf out;
    struct str bytes, back;

    buf_init(&out, 0);
    if (base64_decode(a, in, &bytes) == OK)
        promise(str_eq(base64_encode(a, bytes), in), "base64 has one text for one value");
    if (base64url_decode(a, in, &bytes) == OK) {
        base64url_put(&out, bytes);
        promise(str_eq(buf_str(&out), in), "base64url has one text for one value");
    }
    promise(base64_decode(a, base64_encode(a, in), &back) == OK && str_eq(back, in), "any bytes come back");
    buf_clear(&out);
    hex_put(&out, in);
    promise(out.len == in.len * 2, "two digits a byte");
    buf_done(&out);
}

static void uri(struct arena *a, struct str in)
{
    struct uri u;
    struct str path, again, ignored;

    if (uri_parse(in, &u) == OK) {
        promise(u.scheme.len + u.host.len + u.path.len + u.query.len + u.fragment.len <= in.len, "parts lie within");
        promise(u.port >= 0 && u.port <= 65535, "a port is a port");
        uri_query_get(a, u.query, "a");
    }
    uri_decode(a, in, &ignored);
    uri_query_get(a, in, "a");
    if (uri_path(a, in, &path) != OK)
        return;
    promise(path.p[0] == '/' && str_is_utf8(path) && str_find(path, '\0') < 0, "a normal path is text from the root");
    promise(!memmem(path.p, path.len, "//", 2) && !memmem(path.p, path.len, "/../", 4) && !str_ends(path, STR("/..")) &&
                !memmem(path.p, path.len, "/./", 3), "a normal path has no dots and no empty names");
    if (str_find(path, '%') < 0)
        promise(uri_path(a, path, &again) == OK && str_eq(path, again), "a normal path stays");
}

static void json(struct arena *a, struct str in)
{
    json_t    *value, *again;
    struct buf out;
    struct str why;
    enum err   e = json_read(a, in, 4096, &value, &why);

    promise((e == OK) == (value != NULL), "a value or an error");
    promise(e == OK || why.len > 0, "an error has its reason");
    if (e)
        return;
    buf_init(&out, 0);
    json_write(&out, value);
    promise(json_read(a, buf_str(&out), 1 << 20, &again, NULL) == OK && json_equal(value, again), "it reads back the same");
    json_get_str(value, "a");
    json_get_i64(value, "a", &(int64_t){ 0 });
    json_decref(again);
    json_decref(value);
    buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str   in = str_make((const char *)data + 1, size - 1);
    struct arena a;

    if (size == 0)
        return 0;
    arena_init(&a);
    if (data[0] % 3 == 0)
        base64(&a, in);
    else if (data[0] % 3 == 1)
        uri(&a, in);
    else
        json(&a, in);
    arena_done(&a);
    return 0;
}
