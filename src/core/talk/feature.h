/* feature.h: what one RFC chapter or XEP adds to the server: one file, one
 * table, one line in features.c. The order in features.c is the order of handling.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "db/db.h"
#include "talk/person.h"
#include "talk/route.h"
#include "talk/session.h"
#include "talk/stanza.h"

/* Whom an iq handler answers for. */
enum iq_to {
    IQ_TO_SERVER  = 1,   /* to='town.example' */
    IQ_TO_SELF    = 2,   /* no `to`, or one's own bare JID */
    IQ_TO_OTHER   = 4,   /* another local account's bare JID */
    IQ_FROM_GUEST = 8,   /* from people of other servers too (guest.h): the handler does without s->person */
};

/* OK: answered, or will be (iq_keep). Any other value is answered with its stanza error. */
typedef enum err iq_fn(struct session *s, const struct stanza *iq);

struct iq_handler {
    const char *name, *ns;      /* of the payload; name NULL: any in this namespace */
    unsigned    to;             /* enum iq_to, or-ed */
    iq_fn      *get, *set;      /* NULL: bad-request/feature-not-implemented as RFC 6120 §8.3.3 says */
};

/* Elements of depth 1 that are no stanzas. */
enum { NONZA_EARLY = 1, NONZA_AUTHENTICATED = 2, NONZA_BOUND = 4 };   /* states it is allowed in */
struct nonza_handler {
    const char *name, *ns;      /* name NULL: any in this namespace */
    unsigned    when;
    void      (*handle)(struct session *s, const struct xml_node *n);
};

/* Elements that this feature puts into messages. */
enum {
    PAYLOAD_KEPT = 1,    /* worth the archive and the offline store, even without a body */
    PAYLOAD_COPIED = 2,  /* makes a message worth a carbon copy (XEP-0280 §6.1) */
};
struct payload {
    const char *name, *ns;      /* name NULL: any in this namespace */
    unsigned    is;
};

struct command;
struct owned;
struct import_handler;
struct person_export;
struct host;

enum verdict { PASS, STOP };    /* STOP: the stage has dealt with it */

struct feature {
    const char                 *spec;            /* "XEP-0199 2.0.1" or "RFC 6121"; several features may share one */
    const char                 *title;           /* "XMPP Ping" */
    const char                 *note;            /* for docs/xmpp.doap; may be NULL */
    const char *const          *disco_server;    /* NULL-ended: features of the domain */
    const char *const          *disco_account;   /* NULL-ended: features of a bare JID */
    const struct iq_handler    *iqs;             /* ended by ns NULL */
    const struct nonza_handler *nonzas;          /* ended by ns NULL */
    const struct payload       *payloads;        /* ended by ns NULL */
    const struct host          *host;            /* a name below the domain that it answers for (host.h) */
    const struct db_migration  *migrations;      /* ended by number 0; tables of this feature */
    const struct command       *commands;        /* ended by node NULL (command.h) */
    /* disco#info, or disco#items, of a node: what stands inside the <query/>. ERR_UNSUPPORTED: it is none of ours. */
    enum err     (*disco_node)(struct session *s, const struct stanza *iq, struct str node, bool items, struct buf *out);
    /* Elements inside <stream:features/>. */
    void         (*stream_features)(struct session *s, struct buf *out);
    /* A message from a local client, before it is routed: may bounce it or change how it is kept. */
    enum verdict (*message_out)(struct session *s, struct message *m);
    /* A message about to reach a local person. May bounce (to the sender, if local) or drop. */
    enum verdict (*message_in)(struct person *to, struct message *m);
    /* Presence and iq between a local sender and a local person (both kinds), e.g. blocking. */
    enum verdict (*stanza_in)(struct person *to, struct session *from, const struct stanza *s);
    /* Presence without `to` (broadcast) from a client: looked at, may be NULL. */
    void         (*presence_out)(struct session *s, const struct stanza *p);
    /* An answer (result or error) of a client to what we have asked it, addressed to the domain. */
    void         (*iq_answer)(struct session *s, const struct stanza *iq);
    void         (*bound)(struct session *s);
    void         (*available)(struct session *s);   /* its first available presence has been handled */
    void         (*ended)(struct session *s);       /* before it goes; not when it is only detached */
    void         (*person_loaded)(struct person *p, struct db_conn *c);    /* read own tables */
    void         (*person_export)(struct person_export *x);                /* on a worker or in a tool: own rows (export.h) */
    const struct import_handler *imports;                                  /* ended by what NULL (import.h): own elements of XEP-0227 */
    const struct owned *owned;                                             /* ended by table NULL (owned.h): where rows of people are */
    void         (*person_deleted)(struct person *p, struct db_conn *c);   /* writer thread; delete own rows by p->id only */
    void         (*tick)(struct talk *t);           /* once a second */
    void         (*init)(struct talk *t);
};

extern const struct feature *const features[];      /* NULL-ended; features.c */
extern const size_t feature_count;

void features_init(struct talk *t);                 /* index the tables, compute disco and caps */
const struct iq_handler    *features_iq(struct str name, struct str ns);
const struct nonza_handler *features_nonza(struct str name, struct str ns);
unsigned features_payload(struct str name, struct str ns);    /* what the element is; 0: nothing known */
const struct db_migration  *features_migrations(void);
void features_print_doap(struct buf *out);
