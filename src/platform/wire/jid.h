/* jid.h: XMPP addresses (RFC 7622, prepared with the stringprep profiles of
 * RFC 6122 through libidn, as every living server does).
 * A jid is one allocation: the normalised full text, and where its parts are.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

enum { JID_PART_BYTES_MAX = 1023, JID_BYTES_MAX = 3071, SASL_TEXT_BYTES_MAX = 4096 };

struct jid {
    struct str full;      /* "alice@town.example/phone" */
    struct str bare;      /* "alice@town.example", a prefix of full */
    struct str local;     /* "alice", may be empty */
    struct str domain;
    struct str resource;  /* may be empty */
};

/* Normalises; ERR_INVALID when it is no address. Pure-ASCII text that is normal
 * already takes a fast path without copying through libidn. Lives in `a`. */
enum err jid_parse(struct arena *a, struct str text, struct jid *out);
enum err jid_make(struct arena *a, struct str local, struct str domain, struct str resource, struct jid *out);
enum err jid_prep_local(struct arena *a, struct str in, struct str *out);     /* nodeprep */
enum err jid_prep_resource(struct arena *a, struct str in, struct str *out);  /* resourceprep */
enum err jid_prep_domain(struct arena *a, struct str in, struct str *out);    /* nameprep, no trailing dot */
/* As DNS and browsers write a prepared domain: A-labels. */
enum err jid_domain_ascii(struct arena *a, struct str domain, struct str *out);
/* SASLprep (RFC 4013) for passwords and user names; at most SASL_TEXT_BYTES_MAX, never empty. */
enum err jid_prep_sasl(struct arena *a, struct str in, struct str *out);
/* Of prepared domains: `domain` is `top`, or a name below it. */
bool     jid_domain_is_within(struct str domain, struct str top);
static inline bool jid_is_bare(const struct jid *j) { return j->resource.len == 0; }
