/* record13.h: the TLS 1.3 record layer (RFC 8446 §5) for connections whose
 * handshake OpenSSL has finished. It holds two keys and a part of a record, some 300 bytes
 * where OpenSSL's own state needs 15 KiB. Inner to crypto; used by tls.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/buf.h"
#include "base/err.h"

enum {
    RECORD13_PLAIN_BYTES_MAX = 16384,       /* §5.1 */
    RECORD13_SECRET_BYTES_MAX = 48,         /* SHA-384 */
    RECORD13_IDLE_RECORDS_MAX = 32,         /* key updates, or empty records, with no data between */
};

enum record13_suite {                       /* §B.4 */
    RECORD13_AES_128_GCM_SHA256 = 0x1301,
    RECORD13_AES_256_GCM_SHA384 = 0x1302,
    RECORD13_CHACHA20_POLY1305_SHA256 = 0x1303,
};

enum record13_type { RECORD13_ALERT = 21, RECORD13_HANDSHAKE = 22, RECORD13_DATA = 23 };

struct record13;

/* From the application traffic secrets (§7.1), both at their first record. NULL: another suite. */
struct record13 *record13_new(int suite, bool server, const uint8_t *client_secret, const uint8_t *server_secret);
void             record13_free(struct record13 **r);    /* wipes */
size_t           record13_secret_bytes(int suite);      /* 0: another suite */

/* As tls_feed, tls_write and tls_close. After an error only the same error follows. */
enum err record13_feed(struct record13 *r, struct str in, struct buf *plain, struct buf *wire);
enum err record13_write(struct record13 *r, struct str plain, struct buf *wire);
void     record13_close(struct record13 *r, struct buf *wire);

/* Changes our sending key (§4.6.3); `request`: asks the peer to change its own. */
void     record13_key_update(struct record13 *r, bool request, struct buf *wire);
/* One record of any inner type, `padding` zeros behind it: for tests and the fuzz target. */
void     record13_seal(struct record13 *r, uint8_t type, struct str inner, size_t padding, struct buf *wire);
