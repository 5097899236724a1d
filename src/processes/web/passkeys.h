/* passkeys.h: passkeys over HTTP, for pages of this server: docs/passkeys.md. Web judges nothing: it turns JSON into ident's
 * requests and its answers into JSON.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/bus.h"
#include "net/http.h"

/* True: the request was for /passkeys and is, or will be, answered. */
bool passkeys_answer(struct bus *b, struct str domain, struct http_exchange *x, const struct http_request *rq);
