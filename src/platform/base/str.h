/* str.h: borrowed text, a pointer and a length, not NUL-terminated.
 * Whoever receives a struct str may read it until the call returns and
 * copies it to keep it (arena_str, str_dup).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t      len;
};

#define STR(lit) ((struct str){ (lit), sizeof(lit) - 1 })
#define STR_NULL ((struct str){ NULL, 0 })
/* for printf: printf("%.*s", STR_ARG(s)) */
#define STR_ARG(s) (int)(s).len, (s).p ? (s).p : ""

static inline struct str str_of(const char *z)
{
    return (struct str){ z, z ? strlen(z) : 0 };
}
static inline struct str str_make(const char *p, size_t len)
{
    return (struct str){ p, len };
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}
static inline bool str_is(struct str a, const char *z)
{
    size_t n = strlen(z);
    return a.len == n && (n == 0 || memcmp(a.p, z, n) == 0);
}
static inline bool str_empty(struct str s) { return s.len == 0; }

int        str_cmp(struct str a, struct str b);          /* memcmp order, shorter first */
bool       str_eq_nocase(struct str a, struct str b);    /* ASCII only */
bool       str_starts(struct str s, struct str prefix);
bool       str_ends(struct str s, struct str suffix);
struct str str_trim(struct str s);                        /* spaces, tabs, CR, LF at both ends */
/* Splits at the first `sep`: returns what is before it, leaves the rest in
 * *s. Without `sep` returns all of it and leaves *s empty with p == NULL. */
struct str str_split(struct str *s, char sep);
ptrdiff_t  str_find(struct str s, char c);                /* -1 if absent */
/* Decimal digits only, no sign, no spaces; false on overflow. */
bool       str_to_u64(struct str s, uint64_t *out);
bool       str_to_i64(struct str s, int64_t *out);        /* a leading '-' is allowed */
int        hex_value(char c);                             /* of a digit, in either case; -1: it is none */
char      *hex_write(char *out, const void *bytes, size_t n); /* 2n digits a to f, no NUL; returns what is behind them */
bool       str_hex_to_u64(struct str s, uint64_t *out);   /* 1 to 16 digits as we write them: a to f, not A to F */
bool       str_is_utf8(struct str s);                     /* strict RFC 3629: no surrogates, no overlongs */
/* Heap copy, NUL-terminated behind its length; free() it. Aborts without memory. */
char      *str_dup(struct str s);
/* Copies to *at, and moves *at behind it: for texts that lie behind their struct, made with room for them. None (p NULL) stays
 * none. */
struct str str_pack(char **at, struct str s);
/* Copies into a C string of `size` bytes; false (and "") when it does not fit. */
bool       str_copy(struct str s, char *out, size_t size);
/* Equal in time that depends on the lengths only: for secrets. */
bool       str_eq_secret(struct str a, struct str b);
/* How many letters to change to get from one to the other (Levenshtein), for "did you mean";
 * STR_DISTANCE_BYTES_MAX when either is longer than that. */
enum { STR_DISTANCE_BYTES_MAX = 64 };
int        str_distance(struct str a, struct str b);
