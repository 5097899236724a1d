/* webpush.h: what a Web Push sender computes: a message that only one browser can read (RFC 8291 over
 * RFC 8188, aes128gcm) and the proof of who sends it (VAPID, RFC 8292). No sockets here.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    WEBPUSH_PUBLIC_BYTES = 65, /* a P-256 point, uncompressed */
    WEBPUSH_PRIVATE_BYTES = 32,
    WEBPUSH_AUTH_BYTES = 16,
    WEBPUSH_SALT_BYTES = 16,
    WEBPUSH_BODY_BYTES_MAX = 4096, /* every push service takes so much (RFC 8030 §7.2) */
    WEBPUSH_PLAIN_BYTES_MAX = WEBPUSH_BODY_BYTES_MAX - 21 - WEBPUSH_PUBLIC_BYTES - 1 - 16,
};

struct webpush_key; /* a P-256 key pair */

struct webpush_key *webpush_key_new(void);
/* ERR_INVALID: not the bytes of a private key. */
enum err webpush_key_read(struct str private_bytes, struct webpush_key **out);
void webpush_key_free(struct webpush_key **k);
void webpush_key_public(const struct webpush_key *k, uint8_t out[WEBPUSH_PUBLIC_BYTES]);
void webpush_key_private(const struct webpush_key *k, uint8_t out[WEBPUSH_PRIVATE_BYTES]);
/* Is it a point of the curve, as a browser's subscription names it? */
bool webpush_is_public(struct str bytes);

/* Appends the body of the request. `pad_to`: the plain text is filled up to so many bytes, so that its length
 * tells nothing; 0: not.
 *   ERR_INVALID  `browser` is no point of the curve, or `auth` is not WEBPUSH_AUTH_BYTES long
 *   ERR_LIMIT    plain is longer than WEBPUSH_PLAIN_BYTES_MAX */
enum err webpush_encrypt(struct buf *out, struct str browser, struct str auth, struct str plain,
                         size_t pad_to);
/* The same with the key of this one message and its salt given: for the vectors of the RFC. */
enum err webpush_encrypt_with(struct buf *out, const struct webpush_key *own,
                              const uint8_t salt[WEBPUSH_SALT_BYTES], struct str browser, struct str auth,
                              struct str plain, size_t pad_to);

/* RFC 8188, one record: header, and `plain` encrypted under what `ikm` and `salt` give. `record_bytes` is at
 * least plain + padding + 17. */
enum err aes128gcm_seal(struct buf *out, struct str ikm, const uint8_t salt[WEBPUSH_SALT_BYTES],
                        struct str key_id, uint32_t record_bytes, struct str plain, size_t pad_to);

/* The value of the Authorization header: "vapid t=…, k=…". `audience`: the endpoint's origin; `subject`: whom
 * to ask when we misbehave, mailto: or https:; `expires_s`: at most a day ahead, in seconds since 1970 (§2).
 */
enum err webpush_vapid(struct buf *out, const struct webpush_key *k, struct str audience, struct str subject,
                       int64_t expires_s);
