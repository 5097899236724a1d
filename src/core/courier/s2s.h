/* s2s.h: one stream with another server (RFC 6120), either way. s2s.c has what both ways share; s2s_in.c and
 * s2s_out.c have the way to a proven name:
 *
 *   out:  header ─features─▶ STARTTLS ─▶ features ─▶ EXTERNAL ─▶ restart, features ─▶ READY
 *                                            └─ not offered, or refused ─▶ dialback ─valid─▶ READY
 *   in:   header, features ─▶ STARTTLS ─▶ EXTERNAL with their certificate, or dialback for each pair of domains
 *
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "courier/link.h"

#define NS_SERVER "jabber:server"
#define NS_DIALBACK "jabber:server:dialback"
#define NS_STREAM "http://etherx.jabber.org/streams"
#define NS_TLS "urn:ietf:params:xml:ns:xmpp-tls"
#define NS_SASL "urn:ietf:params:xml:ns:xmpp-sasl"
#define NS_BIDI "urn:xmpp:bidi"
#define NS_BIDI_FEATURE "urn:xmpp:features:bidi"
#define NS_DIALBACK_FEATURE "urn:xmpp:features:dialback"
#define NS_SM "urn:xmpp:sm:3"
#define NS_STREAM_ERRORS "urn:ietf:params:xml:ns:xmpp-streams"
#define NS_STANZAS "urn:ietf:params:xml:ns:xmpp-stanzas"

enum {
    S2S_PAIRS_MAX = 50, /* names proven on one stream */
    S2S_WINDOW = 32,    /* stanzas that talk has not answered; beyond it we stop reading */
    S2S_EARLY_BYTES_MAX = 16 * 1024,
    S2S_SEND_BYTES_MAX = 512 * 1024,
    S2S_BARRIER_MS = 60000,
};

struct pair { /* `remote` has proven that it is that, for stanzas to `local` */
    char *local, *remote;
    bool  asked, proven; /* asked: dialback is under way */
};

struct s2s {
    struct courier  *courier;
    struct conn     *conn; /* NULL: it is being freed */
    struct list      in_courier;
    uint64_t         id;
    bool             incoming;
    bool             tls;         /* it is on */
    bool             opened;      /* our header is out */
    bool             certified;   /* their certificate proves `remote` */
    bool             ready;       /* outgoing: stanzas may go; incoming: a name is proven */
    bool             closing, held;
    bool             bidi; /* both sides may send (XEP-0288) */
    bool             may_sm, may_bidi;
    bool             tried_external, asked_dialback, authenticated, asked_sm, asked_bidi;
    bool             features_known; /* outgoing: theirs are, behind TLS if it is to be */
    bool             tls_starting, wants_ack;
    int              sasl_tries;
    struct link     *link;           /* outgoing: whose it is */
    struct link     *carries;        /* incoming, bidi: what we send through it; outgoing: the same as link */
    char            *local, *remote; /* outgoing: the pair; incoming: as in the header, remote NULL until it is named */
    char            *stream_id;      /* of the side that was connected to */
    struct xml_scan  scan;
    struct xml_scope scope;
    int              pair_count;
    struct pair      pairs[S2S_PAIRS_MAX];
    struct list      came; /* stanzas that talk has not answered, in order (inward.c) */
    int              came_count;
    uint32_t         handled;       /* stanzas of theirs that are done, for XEP-0198 */
    uint32_t         sent;          /* stanzas of ours */
    bool             sm_out, sm_in; /* they acknowledge ours; we acknowledge theirs */
    uint32_t         barrier;       /* number of the ping that was sent behind what is to be known; 0: none */
    int64_t          barrier_ms;
    char             barrier_id[24];
    int32_t          rate_stanzas, rate_bytes;
    bool             rate_spent;
    int64_t          made_ms, used_ms;
    enum err         why; /* outgoing: how far it got, for the next attempt */
    char             peer_key[64];
};

/* ---- s2s.c ---- */
struct s2s                       *s2s_new(struct courier *c, bool incoming);
void                              s2s_take(struct s2s *s, struct conn *conn); /* its connection */
extern const struct conn_handlers s2s_handlers;
struct s2s                       *s2s_find(struct courier *c, uint64_t id); /* NULL: gone */
void                              s2s_write(struct s2s *s, struct str xml);
void                              s2s_header(struct s2s *s);
void                              s2s_fail(struct s2s *s, const char *condition); /* <stream:error/>, close */
void                              s2s_end(struct s2s *s);                         /* </stream:stream>, close */
void                              s2s_restart(struct s2s *s);                     /* after TLS and SASL a new header follows */
bool                              s2s_prove_certificate(struct s2s *s, struct str remote);
struct pair                      *s2s_pair(struct s2s *s, struct str local, struct str remote, bool make); /* NULL: none, or no room */
void                              s2s_pair_proven(struct s2s *s, struct str local, struct str remote);
void                              s2s_carry(struct s2s *s, struct link *l); /* sends what the link has, as far as the stream takes it */
void                              s2s_features_sm(struct s2s *s, const struct xml_node *features);
void                              s2s_stanza(struct s2s *s, const struct xml_node *n); /* one came */
void                              s2s_tick(struct s2s *s);
void                              s2s_free_all(struct courier *c);
void                              s2s_discard(struct s2s *s); /* one that never had a connection */

bool s2s_is_proven(struct s2s *s, struct str local, struct str remote); /* the other side is `remote`, for stanzas to `local` */

/* ---- s2s_flow.c ---- */
bool s2s_sm_element(struct s2s *s, const struct xml_node *n); /* false: it is none */
void s2s_go_on(struct s2s *s);                                /* reading, if nothing speaks against it */
void s2s_came_forget(struct s2s *s);

/* ---- the two ways ---- */
void        s2s_in_accept(struct courier *c, int fd, bool tls);
void        s2s_in_opened(struct s2s *s, const struct xml_node *open);
void        s2s_in_element(struct s2s *s, const struct xml_node *n);
void        s2s_in_verified(struct s2s *s, struct str local, struct str remote, const char *result /* "valid", "invalid", "error" */);
struct s2s *s2s_out_connect(struct link *l, const struct target *t); /* NULL: at once no */
void        s2s_out_opened(struct s2s *s, const struct xml_node *open);
void        s2s_out_element(struct s2s *s, const struct xml_node *n);
void        s2s_out_tls_ready(struct s2s *s);
void        s2s_out_proven(struct s2s *s); /* they believe who we are */
void        s2s_out_verify(struct s2s *s); /* asks what its link wants verified */

/* ---- dialback.c ---- */
/* XEP-0185: 64 characters and a NUL. */
enum { DIALBACK_KEY_BYTES = 65 };
void dialback_key(struct str secret, struct str receiving, struct str originating, struct str stream_id, char out[DIALBACK_KEY_BYTES]);
bool dialback_element(struct s2s *s, const struct xml_node *n); /* false: it is none */
