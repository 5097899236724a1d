/* xep0357_push.h: waking a device that is not listening.
 *
 *   enable ──▶ registration (a row; with the person in memory)
 *   a message that its owner would want to know of at once
 *        ├─ the device is nowhere, or its stream waits to be resumed ──▶ due
 *        └─ it listens ──▶ note: confirmed in time (XEP-0198) ──▶ nothing
 *                              └─ not, or the connection is lost ──▶ due
 *   due (a row of the batch that holds the message) ──durable──▶ handed over: to courier (our own Web Push),
 * or published at a foreign push service ──they have it──▶ the row goes
 *
 * xep0357_push.c: registrations; xep0357_notify.c: when; xep0357_mute.c: for which chats; xep0357_due.c: until somebody has it;
 * xep0357_publish.c: what is said, and to whom.
 * docs/push.md is for clients. SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "courier/push.h"
#include "talk/person.h"
#include "talk/route.h"

#define NS_PUSH "urn:xmpp:push:0"
#define NS_PUSH_OWN "urn:bongsu:push:0"

enum {
    PUSH_REGISTRATIONS_MAX = 10, /* of one account; the one enabled longest ago gives way */
    PUSH_FORM_BYTES_MAX = 6000,
    PUSH_NODE_BYTES_MAX = 1023,
    PUSH_MUTED_MAX = 200, /* chats of one registration */
    PUSH_PENDING_MAX = 50000, /* notifications in memory; beyond it their rows wait for the sweep */
    PUSH_NOTES_MAX = 50000,
    PUSH_BODY_BYTES_MAX = 1000, /* of a text that its owner lets through */
};

struct push_registration {
    int64_t id; /* another one when where it leads changes */
    int64_t at;
    struct jid service;
    struct str node, resource; /* resource: of the device that enabled it */
    struct str form;           /* "<x …>…</x>" for the service, as the client gave it; may be empty */
    bool sender, body;         /* what the owner lets be told */
    struct str muted;          /* '\n', and bare addresses, each with '\n' behind it: chats that do not wake the device; "": it keeps
                                  to no such list. Its own */
    bool own;                  /* the service is ours: `web` says where the browser is */
    struct push_subscription web;
    int unseen;         /* notifications since the device was last here */
    int64_t left_ms;    /* when the device went from here; 0: it was not here */
    int failures;       /* of the service, in a row */
    struct arena arena; /* of the texts */
};

struct push_list {
    int count;
    struct push_registration *items[PUSH_REGISTRATIONS_MAX + 1];
};

enum push_kind { PUSH_MESSAGE, PUSH_CALL, PUSH_KINDS };

/* What is told of, if the owner allows it. Texts are borrowed. */
struct push_event {
    enum push_kind kind;
    struct str sender; /* an address */
    struct str body;   /* empty when it is encrypted */
    const struct xml_node *message; /* all of it; NULL: it was looked at before */
};

struct push_state; /* of the messenger: talk->push */

/* ---- from elsewhere in talk ---- */
/* A message that is kept for `to` has joined the batch (message.c). What it gives goes to the other
 * messengers (follow.h): registrations newer than that are not woken from here, because they are not known
 * here yet (1: because a device is taken for another messenger's); 0: nobody is to be woken. */
int64_t push_message_kept(struct person *to, const struct message *m);
/* It has a place in the log, and went to the devices here (deliver.c, a shared database). */
void push_message_logged(struct person *p, struct str kept, int64_t wake_after);
/* The same when nobody is here any more (follow.c). */
void push_message_missed(struct person *p, struct str kept, int64_t wake_after);
/* Its connection is lost; the stream waits (session.c). */
void push_device_lost(struct session *s);
/* For rooms: `member` (a bare JID) is not in `room` (its bare JID, shown as the sender) while `kept` is said
 * there. */
void push_room_message(struct talk *t, struct str member, struct str room, struct str kept);
/* An answer to what was published for an account; false: it was none of ours (route.c). */
bool push_answered(struct talk *t, const struct stanza *iq);

/* ---- between the files ---- */
/* The chats in `mute` (NULL: no such list), as kept; *out lives in `a`. ERR_INVALID: an address is none; ERR_LIMIT: too many. */
enum err push_muted_read(struct arena *a, const struct xml_node *mute, struct str *out);
struct str push_muted_copy(struct str muted);
/* Nobody is woken for it: the chat is muted, and it is neither a call nor a mention of the owner (a bare JID). */
bool push_is_muted(const struct push_registration *r, const struct push_event *ev, struct str owner);
void push_list_free(struct push_list **l);
struct push_registration *push_find(struct person *p, int64_t id); /* NULL: there is none, or no account any more */
/* The row and memory; a service or a browser wants it no more. `done` may be NULL. */
typedef void push_removed_fn(void *arg, enum err e);
void push_remove(struct person *p, int64_t id, push_removed_fn *done, void *arg);
void push_notify_init(struct talk *t);
void push_notify_tick(struct talk *t);
void push_notify_bound(struct session *s);
void push_notify_ended(struct session *s);
void push_publish_init(struct talk *t);
void push_publish_tick(struct talk *t);
struct str push_vapid_key(const struct talk *t); /* courier's public key; empty: not known yet */
/* Asks courier once more; calls later, with the key or without. ERR_LIMIT: not. */
enum err push_vapid_key_ask(struct talk *t, void (*fn)(struct talk *t, void *arg), void *arg);
void push_done(struct talk *t);

/* Tells where it leads. `done` is called once, perhaps at once:
 *   OK              it is theirs now, or can never be
 *   anything else   try again */
struct push_handover {
    struct talk *talk;
    struct person *person;
    int64_t registration, at;
    enum push_kind kind;
    int count;
    char *sender, *body; /* of the last one; NULL: none */
    void (*done)(struct push_handover *self, enum err e);
};
void push_hand_over(struct push_handover *h, struct push_registration *r);
