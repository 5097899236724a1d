/* person.h: a local account as the messenger knows it: roster, blocks, sessions.
 * Loaded from the database when somebody needs it, dropped when idle.
 * The copy in memory is changed at once and the row by the batch; if that fails,
 * person_reload brings the truth back.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"
#include "talk/talk.h"

enum { PERSONS_IDLE_MAX = 20000, RATE_CLASS_BYTES = 24 };

struct device;
struct load;
struct push_list;            /* talk/xep/xep0357_push.h: devices that want to be woken; NULL: none */
struct profile_photos;
struct guest_contacts;

enum subscription { SUB_NONE = 0, SUB_TO = 1, SUB_FROM = 2, SUB_BOTH = 3 };

struct roster_item {
    struct str        jid;             /* bare, normalised */
    struct str        name;            /* may be empty */
    struct str        groups;          /* "<group>a</group><group>b</group>", escaped; may be empty */
    uint8_t           subscription;    /* enum subscription */
    bool              ask : 1;         /* we wait for their answer ("pending out") */
    bool              approved : 1;    /* pre-approved (RFC 6121 §3.4) */
    bool              listed : 1;      /* false: only a request is known ("none + pending in"), not shown in the roster */
    char             *request;         /* their subscribe stanza, waiting for an answer; NULL: none */
    int64_t           version;
};

enum archive_policy { ARCHIVE_ALWAYS, ARCHIVE_NEVER, ARCHIVE_ROSTER };

struct person {
    struct talk        *talk;
    int64_t             id;            /* in the message database */
    struct jid          jid;           /* bare */
    struct list         sessions;      /* bound ones, detached included: session.in_person */
    struct list         idle;          /* in talk->persons_idle */
    int                 session_count;
    int                 refs;          /* operations under way that point here */
    int                 item_count, item_cap;
    struct roster_item *items;         /* sorted by jid */
    int64_t             roster_version, removed_version;    /* of the newest change, of the newest removal */
    int                 blocked_count;
    struct str         *blocked;       /* JIDs, sorted */
    uint8_t             archive_default;   /* XEP-0441, enum archive_policy */
    int                 pref_count;
    struct { struct str jid; uint8_t policy; } *prefs;
    struct push_list   *push;
    struct profile_photos *photos;     /* profile.h; NULL: not known */
    struct guest_contacts *guests;     /* xep0163_guests.h; NULL: no contact at another server was heard of */
    bool                has_offline;   /* messages wait in the offline table */
    bool                offline_busy;  /* they are being delivered: what arrives joins them */
    bool                offline_running;   /* one step of that is under way */
    int                 offline_pending;   /* operations under way that add to them */
    bool                offline_later;     /* delivered when the log has been followed that far */
    unsigned            offline_decided;   /* how many of those have ended: what was read before may lack them */
    int                 offline_count;     /* how many wait, about */
    int                 changing;      /* operations under way that change the lists above (roster.h) */
    uint32_t            changes;       /* how many have ended: a reading that began before one of them is not taken */
    bool                stale;         /* one of them failed: load again after each */
    bool                deleted;
    int64_t             banner_seen;   /* the newest announcement that was shown (banner.c) */
    char                rate_class[RATE_CLASS_BYTES];      /* "": none (rates.h) */
    bool                admin;         /* in the table `admin`; ask person_is_admin (admin.h) */
    bool                stored;        /* the row is durable */
    /* with others over one database: */
    int                 device_count;
    struct device      *devices;       /* of other workers (devices.h) */
    int64_t             log_first, log_last, log_want;  /* of the person's log: its begin, what we have, how far it goes (follow.h) */
    int64_t             lists;         /* how often they were changed: a change holds only if it was made to the newest (roster.c) */
    int64_t             first_shown, last_shown;        /* what clients know its ends by */
    int64_t             ahead_last;    /* the last that went ahead from here, by its name, while it is not decided */
    bool                following;     /* it is being read */
    struct timer        follow_again, reload_again, gate;
    int                 gate_tries;    /* how often in a row something was missing when it opened */
    struct load        *reloading;     /* person.c: the lists are being read again */
    struct list         later;         /* person_when_read: what waits for that */
    int                 later_count;
    int                 held_count;
    struct list         held;          /* follow.c: shown when that has been read */
};

/* Where an address leads. */
typedef void person_fn(struct talk *t, struct person *p /* NULL */, enum err e, void *arg);
/* Calls `fn` at once when memory or the database knows the person; otherwise asks ident and calls later.
 *   ERR_NOT_FOUND    no such account
 *   ERR_UNAVAILABLE  ident could not be asked */
void person_find(struct talk *t, struct str local, person_fn *fn, void *arg);
/* Only from memory and, if it is our own, from the database, never NULL-and-wait: NULL if unknown there. */
struct person *person_known(struct talk *t, struct str local);
/* As person_find, at log-in: the account exists, ident said so; makes the row in the next batch if it is new. */
void person_open(struct talk *t, struct str local, person_fn *fn, void *arg);
/* As it is in memory after person_open. */
struct person *person_make(struct talk *t, struct str local);
void person_ref(struct person *p);
void person_unref(struct person *p);
void persons_done(struct talk *t);          /* frees everyone; no session is left */
void person_reload(struct person *p);       /* after a failed change, or another worker's; later, in a shared database */
/* Runs fn(t, p, arg) now, or, while the lists are being read again, when they have been; p NULL: the person is gone.
 * ERR_LIMIT: too much waits already. */
enum { PERSON_LATER_MAX = 1000 };
enum err person_when_read(struct person *p, void (*fn)(struct talk *t, struct person *p, void *arg), void *arg);
enum err person_hold(struct person *p, void (*fn)(struct talk *t, struct person *p, void *arg), void *arg);  /* in any case later */
struct person *person_loading(struct talk *t, struct str local);    /* one that is being read for the first time; NULL: none */
void person_load_again(struct talk *t, struct str local);   /* it is being read: what was read may be old */
void persons_reload_all(struct talk *t);    /* those with sessions; the others are forgotten */
/* Others have to know: this worker has changed the person's lists. */
void person_tell_changed(struct person *p);
/* Removes everything kept about the account; ends its sessions (account deleted). */
void person_delete(struct talk *t, struct str local);
void person_end_deleted(struct person *p);      /* its sessions here */
void person_dismiss(struct person *p);      /* another worker does that: our copy and its sessions go */

struct roster_item *person_item(struct person *p, struct str bare);                  /* NULL if none */
struct roster_item *person_item_make(struct person *p, struct str bare);             /* NULL at roster_items_max */
void person_item_remove(struct person *p, struct roster_item *item);
bool person_may_see(struct person *p, struct str bare);   /* subscription from or both: they see our presence */
/* Number of sessions that take messages to the bare JID: available, priority ≥ 0. */
int  person_reachable(const struct person *p);
struct session *person_session(struct person *p, struct str resource);               /* NULL if none is bound */
/* p->id, made durable no later than the batch that is filling now. Use it when building an operation. */
int64_t person_number(struct person *p);
