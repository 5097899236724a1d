/* plain.c: reading SASL PLAIN (RFC 4616 §2).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/plain.h"

enum sasl_failure plain_parse(struct str in, struct plain *out)
{
    struct str rest = in;

    *out = (struct plain){ 0 };
    if (in.len == 0 || in.len > PLAIN_BYTES_MAX || !str_is_utf8(in))
        return SASL_MALFORMED_REQUEST;
    out->authzid = str_split(&rest, '\0');
    if (!rest.p)
        return SASL_MALFORMED_REQUEST;
    out->user = str_split(&rest, '\0');
    if (!rest.p || memchr(rest.p, 0, rest.len))
        return SASL_MALFORMED_REQUEST;
    out->password = rest;
    if (out->user.len == 0 || out->password.len == 0 || out->password.len > IDENT_PASSWORD_BYTES_MAX)
        return SASL_MALFORMED_REQUEST;
    return SASL_FINE;
}
