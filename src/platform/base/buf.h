/* buf.h: bytes that grow, up to a bound. An empty buffer owns no memory.
 * A write past `bytes_max` is refused, sets `overflow` and changes nothing,
 * so a writer may make many puts and look once.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

struct buf {
    char  *p;
    size_t len;
    size_t cap;
    size_t bytes_max;   /* 0 means BUF_BYTES_MAX */
    bool   overflow;
};

enum { BUF_BYTES_MAX = 64 * 1024 * 1024 };

void  buf_init(struct buf *b, size_t bytes_max);
void  buf_done(struct buf *b);                  /* frees; b is empty and usable again */
void  buf_clear(struct buf *b);                 /* keeps the memory */
char *buf_reserve(struct buf *b, size_t bytes); /* room behind len, or NULL at the bound */
void  buf_put(struct buf *b, const void *p, size_t bytes);
void  buf_put_str(struct buf *b, struct str s);
void  buf_put_z(struct buf *b, const char *z);
void  buf_put_c(struct buf *b, char c);
void  buf_put_u64(struct buf *b, uint64_t v);   /* in decimal */
void  buf_put_i64(struct buf *b, int64_t v);
void  buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void  buf_consume(struct buf *b, size_t bytes); /* drops from the front; frees when it becomes empty */
#define BUF_LIT(b, lit) buf_put((b), (lit), sizeof(lit) - 1)
static inline struct str buf_str(const struct buf *b) { return (struct str){ b->p, b->len }; }
