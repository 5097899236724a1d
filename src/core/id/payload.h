/* payload.h: ident's requests and answers as bus payloads, written by client.c
 * and read by service.c (and the other way round). Version 1; every
 * field has a bound and is checked like a stranger's.
 *
 *   subject                request                          answer
 *   ident.sasl.start       struct sasl_start                struct sasl_answer
 *   ident.sasl.step        exchange u64, response bytes     struct sasl_answer
 *   ident.sasl.abort       exchange u64                     -
 *   ident.user.exists      user                             -
 *   ident.user.register    user, password, peer_key         -
 *   ident.user.password    user, password                   -
 *   ident.user.delete      user                             -  (publishes account.deleted: user, again and again until…)
 *   ident.key              purpose                          key bytes (keys.c says who may ask)
 *   ident.passkey.*        struct passkey_request           struct passkey_answer (passkey.h says who may ask what)
 * not for web:
 *   ident.user.forgotten   user                             -  (…nothing is left of it; then the name is free)
 *   ident.user.add         user, password                   -
 *   ident.user.disable     user, 0 or 1                     -  (publishes account.disabled: user, when 1)
 *   ident.user.list        after, count u64                 count u64, then user, created_us i64, disabled u64 each
 *   ident.user.list_disabled  the same, of those that are
 *   ident.user.count       -                                all i64, disabled i64
 *   ident.device.list      user                             count u64, then struct ident_device each
 *   ident.device.end       user, id u64, others 0 or 1      -
 * for people who run the server, not for talk and web:
 *   ident.backup           path                             -, or with an error: sentence
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "bus/codec.h"
#include "id/ident.h"

enum { IDENT_PAYLOAD_VERSION = 1, IDENT_PATH_BYTES_MAX = 4096,
       IDENT_USER_BYTES_MAX = 1023 };   /* as it was typed, before it is normalised */

void     sasl_start_write(struct buf *out, const struct sasl_start *s);
enum err sasl_start_read(struct str payload, struct sasl_start *out);       /* borrowed from `payload` */
void     sasl_answer_write(struct buf *out, const struct sasl_answer *a);
enum err sasl_answer_read(struct str payload, struct sasl_answer *out);
/* Bytes that may be absent: p NULL stays p NULL, and empty stays empty. */
void       payload_put_optional(struct buf *out, struct str s);
struct str payload_optional(struct codec_reader *r, size_t bytes_max);
