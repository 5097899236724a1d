/* talk.h: the messenger: everything between an accepted socket and the database.
 * One struct talk per process, owned by its loop.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "bus/bus.h"
#include "db/db.h"
#include "db/commit.h"
#include "net/conn.h"
#include "net/loop.h"
#include "proc/settings.h"
#include "base/hash.h"
#include "base/list.h"
#include "wire/jid.h"

/* How far the transaction under way has given out places in the log (archive.h). The writer thread's. */
struct archive_order { int64_t transaction, undos, count; };

extern const struct setting talk_settings[];

enum talk_transport {
    TALK_STARTTLS, TALK_DIRECT_TLS, TALK_WEBSOCKET,
    TALK_WEBSOCKET_LOCAL,   /* a door without TLS, of this machine only; its sessions are TALK_WEBSOCKET */
    TALK_BOSH,              /* so are the sessions of this one (xep/xep0124_bosh.h) */
    TALK_COMPONENT,         /* a door too: its streams are no sessions (xep/xep0114_component.h) */
};

struct session;
struct person;
struct nodes;
struct push_state;
struct rooms;
struct search;
struct host;
struct federate;
struct components;
struct guest_devices;
struct versions;
struct talk_host { const struct host *host; struct str domain; };   /* host.h */

struct talk_limits {                 /* from the settings; see talk/settings.c for words */
    uint32_t stanza_bytes_max;       /* after log-in */
    uint32_t stanza_bytes_max_early; /* before */
    int      login_ms_max;           /* a stream must be authenticated by then */
    int      login_tries_max;
    int      idle_ms_max;            /* silence after which we ask (XEP-0198 r or a ping)… */
    int      dead_ms_max;            /* …and silence after that which ends the connection */
    int      resume_ms_max;          /* how long a lost stream may be resumed */
    int      sessions_max;           /* of the process */
    int      sessions_per_person_max;
    int      connections_per_address_max;
    int      stanzas_per_second_max; /* per session; beyond it we stop reading for a while */
    int      bytes_per_second_max;
    int      roster_items_max;
    int      offline_max;            /* messages waiting for one person */
    int64_t  archive_us_max;         /* how long the archive keeps; 0 for ever */
    bool     plain_without_tls;      /* never true in the sample; benchmarks without TLS */
    bool     registration;
    bool     no_sha_256;             /* SCRAM-SHA-256 is not offered */
    bool     invitations;            /* everyone may invite others to make an account */
    bool     log_messages;
    bool     rooms_create;
    int      rooms_per_account_max, rooms_per_session_max, room_occupants_max, room_affiliations_max;
    int      accepts_per_second_max; /* new connections; 0: no bound */
};

struct talk {
    struct loop            *loop;
    struct bus             *bus;
    struct db              *db;
    const struct settings  *settings;
    struct talk_limits      limits;
    struct conn_limits      conn_limits;
    struct tls_ctx         *tls;             /* current; replaced on reload */
    struct str              domain;          /* normalised */
    struct jid              server;          /* its JID */
    struct talk_host        hosts[8];        /* host.h counts them: HOSTS_MAX */
    int                     host_count;
    struct federate        *federate;        /* federate.c */
    struct components      *components;      /* xep/xep0114_component.c */
    struct strmap           guests;          /* guest.c: by full JID */
    struct list             guests_by_use;
    int64_t                 started_us;

    struct arena            round;           /* stanzas and scratch; dropped after each stanza */
    struct buf              scratch;         /* for building one stanza; borrow through talk_scratch */
    int64_t                 last_log_id;     /* microseconds, monotonic */
    struct intmap           recent;          /* archive.c: origin-ids not settled yet */
    int                     tail_count;      /* messages not settled yet */
    bool                    settling;
    struct push_state      *push;            /* xep0357_inner.h */
    int                     invite_look_in_s, invite_expire_in_s;    /* invite.c */
    bool                    invites_busy, invites_again;
    struct search          *search;          /* search_run.c */
    int                     purge_in_s;
    uint8_t                 origin_key[16];  /* of the origin-id hashes; kept in the database */

    /* Several messengers over one database (nodes.h). `shared` is false for SQLite, and all below is unused. */
    bool                    shared;
    int64_t                 node;            /* this process, in events and rows; another number at each start */
    struct bus             *wide;            /* to the other messengers; NULL: there are none */
    struct nodes           *nodes;
    struct archive_order    order;           /* the writer thread's */
    bool                    order_open;      /* the batch that is filling holds messages */
    struct list             messages;        /* message.c: not decided yet, in order */
    struct timer            ahead_look;
    bool                    going_ahead;     /* the database takes no commits: what comes goes out at once… */
    int64_t                 ahead_until_ms;  /* …until then at least */
    struct intmap           seen;            /* deliver.c: what devices here were shown lately */
    int64_t                *seen_keys;
    uint32_t                seen_at;
    struct strmap           loads;           /* person.c: persons being read */
    struct intmap           persons_by_id;   /* loaded ones */

    int64_t                 pep_since_us;    /* xep0163_pep.c: devices may have missed what was published since then; 0: nothing */
    struct strmap           caps;            /* xep0115_clients.c: what versions of clients can do, those that are here */
    struct guest_devices   *guest_devices;   /* xep0163_guests.c */
    struct versions        *versions;        /* xep0115_guests.c */
    struct list             photos_asked;    /* xep0153_photo.c */
    int                     photos_waiting;
    bool                    photos_asking;
    struct rooms           *rooms;           /* rooms/room.h */

    struct strmap           jids;            /* jids.c */
    int64_t                 last_jid_id;
    struct strmap           persons;         /* by local part, loaded ones */
    struct list             persons_idle;    /* no session: least recently used first */
    int                     persons_idle_count;
    struct intmap           sessions;        /* by session id */
    struct list             sessions_all;
    uint64_t                last_session_id;
    int                     session_count;
    struct strmap           streams;         /* resumable streams by their public id */
    struct list             streams_dirty;   /* rows to write with this batch */
    bool                    kick_queued;     /* an empty operation makes the batch leave */
    struct strmap           addresses;       /* connections per address */
    struct buf              disco_server, disco_account;  /* feature elements, computed once */
    char                    caps_ver[32];    /* XEP-0115, base64 */
    struct http_server     *websocket, *websocket_local;
    struct bosh            *bosh;            /* xep0124_bosh.c */
    struct talk_door        *doors;            /* one per listener: its transport */
    struct listener        *listeners[16];
    int                     listener_count;
    struct timer            admission_look;  /* admission.c: runs while a crowd comes in */
    int64_t                 admission_due_ms, admission_seen_ms;
    bool                    admission_rested;   /* somebody had to wait */
    int                     entering;        /* log-ins that wait for us */
    int                     admission_rate, admitted;   /* new connections a second, and those of the window that runs */
    struct banners         *banners;         /* banner.c: announcements in force */
    bool                    banners_tidied;  /* …since the start */
    struct list             exports;         /* xep0227_export.c: under way */
    int                     exports_sweep_in_s;
    struct list             forgetting;      /* forget.c: deletions under way */
    struct commands        *commands;        /* xep0050_commands.c: those under way; NULL: never one */
    struct timer            tick;            /* one a second: dead streams, expiry */
    bool                    stopping;
    void                  (*stop_done)(void *arg);
    void                   *stop_arg;
    bool                    stopping_hard;   /* the process ends: what is resumable stays in the database */
};

/* `listen`: accepted sockets come from these descriptors (the keeper's, or bound by the caller). */
struct talk_listen { int fd; enum talk_transport transport; };
enum err talk_new(struct loop *l, struct bus *b, const struct settings *s,
                  const struct talk_listen *listen, int listen_count,
                  struct talk **out, struct arena *a, struct str *why);
void     talk_free(struct talk **t);
/* New certificate and settings that reload; sessions stay. On failure the old ones stay in force. */
enum err talk_reload(struct talk *t, const struct settings *s, struct arena *a, struct str *why);
/* Ends every stream with system-shutdown (resumable ones stay resumable) and calls `done` when all is written. */
void     talk_stop(struct talk *t, void (*done)(void *arg), void *arg);

/* A new archive id: now in microseconds, later than every one before it. */
int64_t  talk_log_id(struct talk *t);
/* The shared building buffer, cleared. Valid until the next call; never held across a callback. */
struct buf *talk_scratch(struct talk *t);
