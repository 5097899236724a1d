/* nodes.h: several messengers over one database: who they are, and what they tell each other about people.
 *
 *   person.<hash>   to every worker that has the person in memory
 *   node.<id>       to one worker
 *   pulse           to all, several times a second
 *
 * An event is told once and may be lost: it makes things quick, the database makes them true. After a break in the weather
 * (a lost connection, a worker that fell silent, a gap in its pulses) each worker reads what the log gained meanwhile.
 * With no `bus.servers` there is nobody to tell, and sending does nothing.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/talk.h"

enum {
    NODE_PULSE_MS = 200,
    NODE_SILENT_MS = 1000,      /* nothing is asked of it any more */
    NODE_DEAD_MS = 2500,        /* its devices are gone */
    NODE_FORGET_MS = 60000,
    NODES_MAX = 1024,
    NODE_SUBJECT_BYTES = 40,
};

enum event_kind {
    EVENT_CHANGED = 1,  /* the person's lists in the database are others now */
    EVENT_DELETED,      /* the account is gone */
    EVENT_WHO,          /* which devices are there? Each worker answers with DEVICE for its own, and GUESTS */
    EVENT_DEVICE,       /* key, node, jid: resource, number: priority, shown: struct device's agent, flags; or it is gone */
    EVENT_CONFLICT,     /* jid: a resource that another node has bound, key: by whom, id: when */
    EVENT_LOGGED,       /* id, before, shown, flags, text: a message of the person's log; number: struct logged's wake_after */
    EVENT_AHEAD,        /* shown, flags, text: the same before it is stored; before, id: struct ahead_of */
    EVENT_PENDING,      /* a device has come: what went ahead to the person, and is not stored yet, shall be told again */
    EVENT_PASSED,       /* flags, text: a message that is not kept */
    EVENT_PRESENCE,     /* jid: resource or empty, text: presence without `to` */
    EVENT_STANZA,       /* jid: resource or empty, flags, text: for the person's devices as it is */
    EVENT_PROBE,        /* jid: who asks, full: the presence of the person's devices goes there */
    EVENT_SHOW,         /* jid: the presence of the person's devices goes to this account */
    EVENT_HIDE,
    EVENT_ROSTER_PUSH,  /* text: the <query/> */
    EVENT_BLOCK_PUSH,   /* text: <block/> or <unblock/> */
    EVENT_TO_DEVICE,    /* key, text: a stanza for one session; jid, node, number: the sender's address, node and key. To node.<id> */
    EVENT_PEP,          /* jid: a node, text: a notification without `to`, for the person's devices that want the node */
    EVENT_PEP_SHOW,     /* jid: an account, whose last items the person's devices may have from now on */
    EVENT_END,          /* jid: resource or empty, text: why. An administrator ends the person's sessions */
    EVENT_SIGN_OUT,     /* jid, key, flags: struct sign_out; text: the resource that asks. The person's own devices end others of theirs */
    EVENT_PROFILE,      /* the photos or audiences of the person's profiles are others now */
    EVENT_GUESTS,       /* text: devices of contacts at other servers and what they can do (xep0163_guests.c) */
    EVENT_KINDS
};

enum {
    EVENT_GONE = 1, EVENT_REACH = 2, EVENT_ASIDE = 4,   /* DEVICE; ASIDE: it took messages until now, and what it missed waits */
    EVENT_CARBONS = 4, EVENT_OFFLINE = 8,               /* messages */
    EVENT_INTERESTED = 16, EVENT_AVAILABLE = 32,        /* STANZA: for whom */
    EVENT_AGAIN = 64,                                   /* AHEAD: an answer to PENDING; GUESTS: to WHO; TO_DEVICE: sent on once already */
    EVENT_OTHERS = 128,                                 /* SIGN_OUT */
};

struct event {
    enum event_kind kind;
    struct str      local;      /* whom it is about */
    unsigned        flags;
    int64_t         key, node, id, before, shown, number;
    struct str      jid, text;
};

/* To the workers that have the person in memory. Not to this one. */
void event_send(struct talk *t, const struct event *e);
void event_send_node(struct talk *t, int64_t node, const struct event *e);
void event_write(struct buf *b, const struct event *e, int64_t position);
enum err event_read(struct str payload, struct event *out, int64_t *position);
bool event_holds_message(struct str text);      /* is it a message as we write it? */
/* What a worker does when one arrives (events.c). `p`: in memory. */
void event_take(struct talk *t, struct person *p, const struct event *e);
/* A stanza (`text`; `jid`, `node`, `number`: its sender, as in TO_DEVICE) for a device that is nowhere: one of ours who asks is answered
 * all the same (RFC 6121 §8.5.3.2.3). */
void event_for_nobody(struct talk *t, const struct event *e);

void nodes_init(struct talk *t);
void nodes_done(struct talk *t);
void nodes_leave(struct talk *t);                           /* says goodbye, so that nobody waits for our silence to last */
bool node_alive(const struct talk *t, int64_t node);        /* heard of within NODE_SILENT_MS; this one always */
int  nodes_count(const struct talk *t);                     /* alive ones, this one included */
void nodes_subject(char out[NODE_SUBJECT_BYTES], int64_t node, const char *verb /* may be "" */);
/* A person came into memory, or leaves it. */
void nodes_person_enter(struct talk *t, struct str local);
void nodes_person_leave(struct talk *t, struct str local);
/* A device that has asked one here something lately. */
bool nodes_route(const struct talk *t, struct str full, int64_t *node, int64_t *key);
void nodes_note_id(struct talk *t, int64_t id);             /* a place in the log that this worker has heard of */
