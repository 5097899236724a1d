/* http_inner.h: what the HTTP parser gives the server besides http.h: chunked
 * bodies (RFC 9112 §7.1), decoded as they come.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "net/http.h"

enum {
    HTTP_CHUNK_LINE_BYTES_MAX = 256,            /* size and extensions */
    HTTP_TRAILER_BYTES_MAX = HTTP_HEAD_BYTES_MAX,
};

struct http_chunks {                            /* zeroed at start */
    uint32_t left;                              /* data bytes of this chunk */
    uint32_t trailer_bytes;
    enum { HTTP_CHUNK_SIZE, HTTP_CHUNK_DATA, HTTP_CHUNK_END, HTTP_CHUNK_TRAILERS } at;
};

/* Takes what is decodable from the front of `in`, *used bytes, and appends it to `body`. OK: the
 * body is complete; ERR_AGAIN; ERR_INVALID: 400; ERR_LIMIT: 413, over HTTP_BODY_BYTES_MAX. */
enum err http_chunks_read(struct http_chunks *c, struct str in, struct buf *body, size_t *used);
