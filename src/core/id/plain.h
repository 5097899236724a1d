/* plain.h: SASL PLAIN (RFC 4616): one message, "[authzid] NUL authcid NUL passwd".
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/str.h"
#include "id/ident.h"

enum { PLAIN_BYTES_MAX = 3071 + 1023 + IDENT_PASSWORD_BYTES_MAX + 2 };

struct plain { struct str authzid, user, password; };   /* borrowed, not normalised */
enum sasl_failure plain_parse(struct str in, struct plain *out);
