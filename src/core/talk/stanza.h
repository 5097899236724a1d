/* stanza.h: one message, presence or iq that came in, looked at but not changed.
 * Lives in the round's arena: copy to keep.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "wire/jid.h"
#include "wire/xml.h"

#define NS_CLIENT  "jabber:client"
#define NS_STREAMS "http://etherx.jabber.org/streams"
#define NS_STREAM_ERRORS "urn:ietf:params:xml:ns:xmpp-streams"
#define NS_STANZA_ERRORS "urn:ietf:params:xml:ns:xmpp-stanzas"

enum stanza_kind { STANZA_MESSAGE, STANZA_PRESENCE, STANZA_IQ };

enum stanza_type {
    /* message; an absent or unknown type is NORMAL (RFC 6121 §5.2.2) */
    TYPE_NORMAL, TYPE_CHAT, TYPE_GROUPCHAT, TYPE_HEADLINE,
    /* presence */
    TYPE_AVAILABLE, TYPE_UNAVAILABLE, TYPE_SUBSCRIBE, TYPE_SUBSCRIBED, TYPE_UNSUBSCRIBE, TYPE_UNSUBSCRIBED, TYPE_PROBE,
    /* iq */
    TYPE_GET, TYPE_SET, TYPE_RESULT,
    /* any */
    TYPE_ERROR,
};

struct stanza {
    enum stanza_kind       kind;
    enum stanza_type       type;
    struct str             id;       /* p NULL if absent */
    struct str             lang;
    struct jid             from;     /* always the sender's full JID, stamped by us */
    struct jid             to;       /* valid if has_to */
    bool                   has_to;
    bool                   foreign;  /* of somebody of another domain */
    const struct xml_node *node;
    const struct xml_node *payload;  /* iq get/set: the one child element */
    struct arena          *arena;    /* of the round */
};

/* For xml_parse: what stands alone as talk writes it. */
extern const struct xml_scope stanza_scope;

/* Judges one element of depth 1. `from` is the session's full JID.
 *   ERR_UNSUPPORTED  not a stanza name (stream error unsupported-stanza-type)
 *   ERR_INVALID      the stanza itself is wrong: *condition says which stanza error to answer ("bad-request",
 *                    "jid-malformed"); *out is filled as far as an error reply needs */
enum err stanza_read(struct arena *a, const struct xml_node *n, const struct jid *from,
                     struct stanza *out, const char **condition);
const char *stanza_type_text(enum stanza_type t);      /* "chat"; NULL for NORMAL and AVAILABLE */

/* ---- writing: text without xmlns for the stanza element; transports add it ---- */

/* "<message from='…' to='…' id='…' type='chat' xml:lang='…'>"; empty parts are left out. */
void stanza_open(struct buf *b, const char *name, struct str from, struct str to, struct str id, const char *type, struct str lang);
/* The same stanza for someone else: our `from` and the `to` given, children verbatim, except
 * stanza-ids that claim to be by one of our accounts or our domain (XEP-0359 §6). */
void stanza_forward(struct buf *b, const struct stanza *s, struct str from, struct str to);
/* An error reply: swaps from and to, carries `id` and the original payload.
 * `type`: cancel, modify, wait, auth, continue. `text` may be NULL. */
void stanza_error(struct buf *b, const struct stanza *s, struct str from, const char *type, const char *condition, const char *text);
/* A child's presence, for the many "does it carry X" questions. */
static inline bool stanza_has(const struct stanza *s, const char *name, const char *ns)
{
    return xml_child(s->node, name, ns) != NULL;
}
