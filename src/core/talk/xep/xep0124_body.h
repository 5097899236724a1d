/* xep0124_body.h: the <body/> of a BOSH request (XEP-0124 §6, XEP-0206), read and judged.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "wire/xml.h"

#define NS_HTTPBIND "http://jabber.org/protocol/httpbind"
#define NS_XBOSH "urn:xmpp:xbosh"

enum { BOSH_TYPE_BYTES_MAX = 128 };

struct bosh_body {
    uint64_t         rid;
    struct str       sid;               /* p NULL: asks for a session */
    struct str       to, lang, content; /* p NULL: not said */
    struct str       version;           /* xmpp:version; p NULL: none */
    uint64_t         wait_s, hold;      /* of a session request; 60 and 1 when not said */
    uint64_t         pause_s;
    int              minor;             /* of ver='1.minor'; 0 for an earlier one; -1: not said */
    bool             pauses, restarts, terminates;
    bool             complains;         /* terminates with a condition */
    struct xml_node *payload;           /* the first one; NULL: none */
};

/* Points into `in` and `a`. False: bad-request, of the session `sid` if one can be read. */
bool bosh_body_read(struct arena *a, struct str in, struct bosh_body *out);
/* One payload, alone. Elements in BOSH's own namespace, as older clients send them, are jabber:client's (XEP-0206 §2). */
void bosh_put_payload(struct buf *out, struct xml_node *payload);
