/* pubsub.h: one request to a publish-subscribe service, from the stanza to the notifications.
 *
 *   pubsub_ask ─┬─ a question ─▶ a read on a worker ───────┬─▶ answered
 *               └─ a change ──▶ the commit batch, durable ─┴─▶ answered, then notes go out (notify.c)
 *
 * What a request does (a verb) runs on one connection, sees only its job, and is plain code from top to bottom: it reads the
 * node, judges, writes, and leaves an answer or a fault, and notes. On the writer it may run again, so it sets all of it afresh.
 *
 *   pubsub_node(id, owner, name, …)         owner: a person's id; 0 is the service on pubsub.DOMAIN
 *   pubsub_item(node, sequence, id, …)      sequence rises with each publication in a node: the order of its items
 *   pubsub_affiliation, pubsub_subscription(node, jid, …)
 * Every change of a node first takes its row, so changes of one node come one after the other, from whichever messenger.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/feature.h"
#include "talk/forms.h"
#include "talk/import.h"

#define NS_PUBSUB "http://jabber.org/protocol/pubsub"
#define NS_PUBSUB_OWNER NS_PUBSUB "#owner"
#define NS_PUBSUB_EVENT NS_PUBSUB "#event"
#define NS_PUBSUB_ERRORS NS_PUBSUB "#errors"
#define NODE_ANNOUNCED "urn:bongsu:announcement:0" /* of the public service: what the operator announces */
#define NS_RSM "http://jabber.org/protocol/rsm"

enum {
    PUBSUB_NODES_MAX = 500,              /* of one account, in its own service or made by it in the public one */
    PUBSUB_NAME_BYTES_MAX = 1023,        /* of a node, of an item's id */
    PUBSUB_ITEMS_MAX = 10000,            /* in one node: "max" */
    PUBSUB_BYTES_MAX = 16 * 1024 * 1024, /* items of one account */
    PUBSUB_PAGE_BYTES_MAX = 512 * 1024,  /* of one answer; the rest is for the next page */
    PUBSUB_SUBSCRIBERS_MAX = 10000,      /* of one node */
    PUBSUB_SUBSCRIPTIONS_MAX = 1000,     /* of one account */
    PUBSUB_AFFILIATIONS_MAX = 1000,      /* of one node */
    PUBSUB_GROUPS_MAX = 64,
    PUBSUB_LIST_MAX = 1000, /* nodes in one disco#items */
};

extern const struct db_migration pubsub_migrations[];

/* ---- a node's configuration (config.c) ---- */

enum access { ACCESS_OPEN, ACCESS_PRESENCE, ACCESS_ROSTER, ACCESS_AUTHORIZE, ACCESS_WHITELIST };
enum publish_model { PUBLISH_PUBLISHERS, PUBLISH_SUBSCRIBERS, PUBLISH_OPEN };
enum send_last { LAST_NEVER, LAST_ON_SUB, LAST_ON_SUB_AND_PRESENCE };
enum notification { NOTIFY_HEADLINE, NOTIFY_NORMAL };
enum when_full { FULL_RETRACT_OLDEST, FULL_DISCARD_OLDEST, FULL_REJECT };

struct node_config {
    struct str title, description, type;
    int        access, publish_model, send_last, notification, when_full;
    bool       persist, payloads, notifications, notify_config, notify_delete, notify_retract, notify_sub, presence_based, subscribe;
    int64_t    max_items, expire_s, payload_bytes_max; /* 0: none */
    int        group_count;
    struct str groups[PUBSUB_GROUPS_MAX]; /* roster_groups_allowed */
};

/* `node`: some well-known nodes of an account have defaults of their own: what is private stays so without
 * being asked. */
void config_defaults(struct node_config *c, bool pep, struct str node);
struct fault;
/* Takes the fields of a submitted form. `strict`: an unknown field is wrong. False: *why says what is wrong.
 */
bool config_take(struct node_config *c, const struct form *f, bool pep, bool strict, const struct fault **why);
/* Whether each field of the form says what the configuration says (publish-options). An unknown field is not
 * met. */
bool config_meets(const struct node_config *c, const struct form *f);
void config_put(struct buf *b, const struct node_config *c, bool pep, const char *form_type, enum form_kind kind);
void config_put_meta(struct buf *b, const struct node_config *c, struct str creator, struct str owner, int64_t items);
const char *config_access_name(const struct node_config *c); /* "presence" */
/* As it is kept: what differs from the defaults. */
void config_write(struct buf *b, const struct node_config *c, bool pep, struct str node);
void config_read(struct arena *a, struct str kept, bool pep, struct str node, struct node_config *c);

/* ---- who asks whom ---- */

struct service {
    int64_t        owner; /* 0: the public one */
    bool           pep;
    struct str     bare;   /* its address */
    struct person *person; /* PEP: its owner */
};

struct asker {
    struct str bare, full;
    bool       self; /* PEP: the owner of the account */
    bool       local;
};

/* ---- what is wrong ---- */

struct fault {
    const char *condition, *specific, *feature, *text;
};

/* ---- a node, as read for one request ---- */

enum affiliation {
    AFFILIATION_NONE,
    AFFILIATION_OUTCAST,
    AFFILIATION_MEMBER,
    AFFILIATION_PUBLISH_ONLY,
    AFFILIATION_PUBLISHER,
    AFFILIATION_OWNER
};
enum sub_state { SUBSTATE_NONE, SUBSTATE_PENDING, SUBSTATE_SUBSCRIBED };

struct node {
    int64_t            id, sequence, bytes, items;
    struct str         name, creator;
    struct node_config config;
    enum affiliation   mine;       /* of who asks */
    enum sub_state     subscribed; /* the best of who asks, by its bare JID */
};

/* ---- who is to be told ---- */

struct note {
    struct note *next;
    struct str   node, event; /* the content of <event/>, without xmlns of a stanza; `node` also when it is one
                               of a deleted node */
    int64_t      us;          /* when it was published, if that is not now */
    bool         normal;      /* kept for who is away */
    bool         interested;  /* those of `to` are accounts, of which only interested devices are told */
    bool         own;         /* PEP: the account's own devices that are interested */
    bool         contacts;    /* PEP: those who may see it by presence, and are interested */
    int          group_count; /* …in these groups of the roster; -1: all */
    struct str  *groups;
    int          count;
    struct str  *to;           /* subscribers, and others who are told by name */
    struct str   raw;          /* p set: a whole content of a message instead of an event, to `to` only */
    int          except_count; /* contacts who are told otherwise or not at all */
    struct str  *except;
};

/* ---- the request ---- */

struct job;
typedef enum err verb_fn(struct job *j, struct db_conn *c);

struct job {
    struct db_read         read;
    struct change          change;
    struct talk           *talk;
    struct iq_later        iq;
    struct service         service;
    struct asker           asker;
    struct arena           arena, work; /* of the request; of one run of the verb */
    const struct xml_node *payload;     /* <pubsub/>, parsed anew in `arena` */
    size_t                 payload_bytes;
    const struct xml_node *verb;        /* the first child */
    verb_fn               *run;
    bool                   held;   /* the client's next stanza waits */
    bool                   newest; /* it runs where the newest is seen (profile.h) */
    /* What is answered if that takes longer than PROFILE_PATIENCE_MS; NULL: the client waits. Looks only at
     * what does not change. */
    void (*late)(const struct job *j, struct buf *out);
    struct timer patience;
    /* set by the verb: */
    struct buf          out; /* the payload of the result; empty: an empty result */
    const struct fault *fault;
    struct buf          fault_extra; /* put before <error/>, when not empty */
    struct note        *notes, **notes_end;
    /* the caller's, may be NULL: called in the loop when all is done */
    void (*done)(struct job *j, enum err e);
    void *arg;
};

/* Answers an iq of the two namespaces. */
enum err pubsub_ask(struct session *s, const struct stanza *iq, const struct service *at);
struct person_export;
void                               pubsub_export(struct person_export *x); /* export.c */
extern const struct import_handler pubsub_imports[];                       /* import.c */
void     pubsub_delete_all(struct db_conn *c, int64_t owner, struct str bare); /* in an apply: the account goes */

struct service service_of(struct person *p); /* an account's */
/* A client's iq, whatever its payload; then one of the last three below. NULL: its payload is too deep to be read again. */
struct job *job_ask(struct session *s, const struct stanza *iq, const struct service *at, verb_fn *run);
/* A request of our own: job_new, job_asker, job_payload if there is one; set `run`, and `iq` if it is to be
 * answered; then one of the last three, which take it. `s` may be NULL. */
struct job *job_new(struct talk *t, const struct service *at);
void        job_asker(struct job *j, struct str bare, struct str full, bool local);
enum err    job_payload(struct job *j, struct str xml);
void        job_free(struct job *j);
void        job_read(struct job *j, struct session *s);
void        job_change(struct job *j, struct session *s);
/* A question for what an account shows of itself: others are answered from where the newest is seen, or `late` (struct job). */
void job_view(struct job *j, struct session *s, void (*late)(const struct job *j, struct buf *out));

/* In a verb: ends it. */
enum err                  job_fail(struct job *j, const struct fault *f);
enum err                  job_undo(struct job *j, const struct fault *f); /* …and what it has written is not to be */
extern const struct fault fault_bad_request, fault_not_found, fault_forbidden, fault_conflict, fault_limit, fault_nodeid_required,
    fault_item_required, fault_too_big;

/* ---- store.c ---- */
/* OK, ERR_NOT_FOUND. `take`: the row is ours until the commit (a change). Fills what the asker is to the
 * node. */
enum err node_read(struct job *j, struct db_conn *c, struct str name, bool take, struct node *out);
enum err node_find(struct job *j, struct db_conn *c, struct str name, bool take, struct node *out); /* or the fault that there is none */
enum err node_insert(struct job *j, struct db_conn *c, struct str name, const struct node_config *config, struct node *out);
enum err node_write_config(struct job *j, struct db_conn *c, const struct node *n);
enum err node_delete(struct db_conn *c, int64_t id);
bool     name_fits(struct str name);

struct item {
    int64_t    sequence, us;
    struct str id, publisher, xml;
}; /* xml: the payload; may be empty */
/* The newest item; ERR_NOT_FOUND. In j->work. */
enum err item_last(struct job *j, struct db_conn *c, const struct node *n, struct item *out);
enum err item_get(struct job *j, struct db_conn *c, const struct node *n, struct str id, struct item *out);
void     item_put(struct buf *b, const struct item *i, bool payload, bool publisher);
/* Puts it in the place of the one with its id, behind all others. Removes what is too many; `removed` (may be
 * NULL) gets their ids. */
struct ids {
    int         count, cap;
    struct str *ids;
};
enum err item_store(struct job *j, struct db_conn *c, struct node *n, const struct item *i, struct ids *removed);
enum err item_remove(struct job *j, struct db_conn *c, struct node *n, struct str id); /* ERR_NOT_FOUND */
enum err items_purge(struct job *j, struct db_conn *c, struct node *n);
enum err items_trim(struct job *j, struct db_conn *c, struct node *n); /* after its configuration has changed */
enum err subscribers_read(struct job *j, struct db_conn *c, const struct node *n, bool pending_too, struct ids *out);
void     ids_add(struct arena *a, struct ids *l, struct str id);

/* ---- access.c ---- */
/* NULL: may read its items, or subscribe to it. */
enum err access_to(struct job *j, struct db_conn *c, const struct node *n, const struct fault **why);
/* The last item of a node that the asker may see. ERR_NOT_FOUND: there is none, or not for them. */
enum err item_last_seen(struct job *j, struct db_conn *c, struct str node, struct node *n, struct item *out);
bool     may_publish(const struct node *n);
bool     is_owner(const struct node *n);

/* ---- the verbs ---- */
verb_fn verb_items, verb_subscriptions, verb_affiliations, verb_default;                                  /* items.c */
verb_fn verb_publish, verb_retract;                                                                       /* publish.c */
verb_fn verb_create, verb_configure_get, verb_configure_set, verb_delete, verb_purge, verb_owner_default; /* nodes.c */
verb_fn verb_subscribe, verb_unsubscribe, verb_options, verb_authorize;                                   /* subscribe.c */
verb_fn verb_owner_affiliations_get, verb_owner_affiliations_set, verb_owner_subscriptions_get, verb_owner_subscriptions_set; /* owner.c */

/* Publishes one item as the service's owner would: for what the server itself publishes. `access`: of the
 * node, if it is made. */
enum err publish_own(struct job *j, struct db_conn *c, struct str node, struct str id, struct str payload, enum access access);
enum err retract_own(struct job *j, struct db_conn *c, struct node *n, struct str id, bool notify);
/* Tells everybody who may see the node. `event`: in j->work. */
enum err node_tell(struct job *j, struct db_conn *c, const struct node *n, struct str event, bool pending_too);

/* ---- announced.c ---- */
/* In an apply: from now on these are the items of NODE_ANNOUNCED, in this order. Nobody is told of it: banner.c does that. `publisher`: the
 * server's domain. Only id, us and xml of the items are looked at. */
enum err announced_write(struct db_conn *c, struct str publisher, const struct item *items, int count);

/* ---- notify.c ---- */
struct note *note_new(struct job *j, const struct node *n);
void         notes_send(struct job *j);
/* The whole message that brings `to` the last item. */
void last_item_put(struct buf *b, const struct job *j, const struct node *n, const struct item *i, struct str to);
