/* digest.h: hashes, HMAC, PBKDF2 and randomness over OpenSSL.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum digest_kind { DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512 };
enum { DIGEST_BYTES_MAX = 64 };

size_t digest_bytes(enum digest_kind k);      /* 20, 32, 64 */
void   digest(enum digest_kind k, struct str in, uint8_t *out);
/* The same over bytes that come in pieces. digest_end gives the state back; `out` NULL: nobody wants to know. */
struct digest_state;
struct digest_state *digest_begin(enum digest_kind k);
void   digest_add(struct digest_state *d, struct str in);
void   digest_end(struct digest_state **d, uint8_t *out);
void   hmac(enum digest_kind k, struct str key, struct str in, uint8_t *out);
void   pbkdf2(enum digest_kind k, struct str password, struct str salt, int iterations, uint8_t *out); /* digest_bytes(k) bytes */
void   random_bytes(void *out, size_t bytes); /* getrandom; ends the process if the kernel refuses */
uint64_t random_u64(void);
/* `chars` characters of [A-Za-z0-9_-], six bits each, NUL-terminated. */
void   random_token(char *out, size_t chars);
/* Tests: a repeatable sequence from `seed`; 0 gives the kernel's back. */
void   random_seed(uint64_t seed);
