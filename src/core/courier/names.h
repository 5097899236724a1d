/* names.h: where the servers of a domain are (RFC 6120 §3.2, XEP-0368): from the setting federation.routes,
 * or from DNS, through c-ares on our loop.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "courier/inner.h"

enum { NAMES_TARGETS_MAX = 16, NAMES_ADDRESS_BYTES = 64 };

struct target {
    char address[NAMES_ADDRESS_BYTES]; /* "192.0.2.1:5269", "[2001:db8::1]:5270" */
    bool tls;                          /* from the first byte */
};

/* In the order to try. OK with at least one;
 *   ERR_NOT_FOUND    DNS says for certain that there is no such server
 *   ERR_UNAVAILABLE  DNS could not be asked
 * Called once, never from inside names_find. */
typedef void names_fn(void *arg, enum err e, const struct target *targets, int count);
struct names_query;
struct names_query *names_find(struct names *n, struct str domain, names_fn *fn, void *arg);
void                names_forget(struct names_query **q); /* fn is not called any more */

enum err names_new(struct courier *c, struct names **out, struct arena *a, struct str *why);
void     names_free(struct names **n);
