/* fuzz_http.c: any bytes as a request head, an answer's head and a chunked body: what is accepted lies inside
 * the input and has one meaning.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include <string.h>
#include "net/http_inner.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void stay_inside(struct str s, const uint8_t *data, size_t size)
{
    if (s.len && (s.p < (const char *)data || s.p + s.len > (const char *)data + size))
        abort();
}

/* A chunked body is the same however it is cut. */
static void chunks(const uint8_t *data, size_t size)
{
    struct http_chunks c = { 0 };
    struct buf         once = { 0 }, cut = { 0 };
    size_t             used, at = 0;
    enum err           want = http_chunks_read(&c, str_make((const char *)data, size), &once, &used), e = ERR_AGAIN;

    if (used > size || once.len > used)
        abort();
    memset(&c, 0, sizeof c);
    for (size_t have = 1; have <= size && e == ERR_AGAIN; have++) {
        size_t one;

        e = http_chunks_read(&c, str_make((const char *)data + at, have - at), &cut, &one);
        at += one;
        if (at > have)
            abort();
    }
    if (e != want || (!e && (at != used || !str_eq(buf_str(&once), buf_str(&cut)))))
        abort();
    buf_done(&once);
    buf_done(&cut);
}

/* The head of another server's answer. */
static void answers(const uint8_t *data, size_t size)
{
    struct http_request r;
    int                 status;
    size_t              used;

    if (http_parse_answer(str_make((const char *)data, size), &r, &status, &used))
        return;
    if (used > size || status < 100 || status > 599 || r.content_bytes < -1)
        abort();
    for (int i = 0; i < r.header_count; i++)
        stay_inside(r.headers[i].value, data, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_request r, again;
    size_t              used, used_again;
    enum err            e;

    if (size == 0)
        return 0;
    answers(data, size);
    e = http_parse_head(str_make((const char *)data, size), &r, &used);

    chunks(data, size);
    if (!e && size > used)
        chunks(data + used, size - used);
    if (e)
        return 0;
    if (used > size || r.content_bytes < -1)
        abort();
    stay_inside(r.method, data, size);
    stay_inside(r.target, data, size);
    for (int i = 0; i < r.header_count; i++) {
        stay_inside(r.headers[i].name, data, size);
        stay_inside(r.headers[i].value, data, size);
    }
    if (http_header(&r, "Transfer-Encoding").p && http_header(&r, "Content-Length").p)
        abort();
    /* the head alone means the same, and nothing shorter is complete */
    if (http_parse_head(str_make((const char *)data, used), &again, &used_again) != OK || used_again != used)
        abort();
    if (used && http_parse_head(str_make((const char *)data, used - 1), &again, &used_again) == OK)
        abort();
    return 0;
}
