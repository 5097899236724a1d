/* xep0198_sm.h: stream management: counting, acknowledging, resuming, also after
 * the process has died.
 *
 * Outbound stanzas are numbered when they join the client's queue. An entry is
 * either volatile (its text is kept here until acknowledged) or logged (only its archive id is kept;
 * the text is read again from the log). A logged entry is written to the client once its batch is durable; what
 * comes behind it waits.
 *
 * With every batch, one row per stream that changed says what was received and which
 * entries are unacknowledged (table stream). The row is in the same transaction as the
 * messages, so after a crash the list on disk is a prefix of the true sequence that
 * contains every logged message the client can have seen. What the client counts
 * beyond it was volatile. So `h` maps exactly to a place in the log.
 *
 * Messages of rooms are too many for a row each time. They are in the rooms' logs in the same order, so between two rows they need not be told
 * of, as long as nothing volatile comes between them: what was sent after the row is first messages of rooms, then volatile. If the client counts
 * n beyond the row, it has seen the first n of those messages, or all.
 *
 * With other workers on the same database (PostgreSQL) places in the log are known only after the commit, so entries
 * are made when they are delivered; the row then serves to hand the stream over: xep0198_move.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"

enum {
    SM_ENTRIES_MAX = 2048,         /* unacknowledged, per stream */
    SM_BYTES_MAX = 1024 * 1024,    /* of volatile text among them */
    SM_ASK_EVERY = 8,              /* stanzas between our <r/> */
};

struct sm_entry {
    int64_t  log_id;               /* 0: volatile */
    char    *text;                 /* volatile: until acknowledged. Logged: while it waits to be written */
    uint32_t bytes;
    uint8_t  how;                  /* enum delivery */
    bool     ready;                /* durable */
};

struct sm {
    struct session  *session;
    int64_t          key;          /* row id; the public id is its hex */
    char             id[20];
    bool             resumable;
    bool             restored;     /* came from the database: what happened since is in the log after log_pos */
    int              restored_count;   /* entries that it came with */
    bool             replaying;    /* entries are being read for a resume: nothing is written meanwhile */
    bool             dirty;        /* row must join the next batch */
    bool             stored;       /* row exists */
    bool             ack_owed;     /* the client asked; the answer leaves with the next durable row */
    uint32_t         ack_wanted;   /* what had been received when it asked */
    bool             asked;        /* our <r/> is unanswered */
    bool             row_changed;  /* more than the counters: presence, carbons… */
    bool             moving;       /* another worker has asked for it */
    bool             moved_on;     /* messages were delivered since the row was written (a shared database) */
    bool             volatile_since;   /* something volatile joined the queue since the row was written */
    bool             retry;        /* the row could not be written; the next tick tries again */
    bool             detached_stored;  /* the row of the moment of loss is under way: the log says the rest */
    uint32_t         acked;        /* number of the last entry the client has confirmed */
    uint32_t         written;      /* number of the last entry written to the connection */
    uint32_t         received_stored;  /* `received` in the durable row */
    uint32_t         since_ask;
    uint32_t         rooms_seen;   /* of a restored stream: what its client has seen of rooms' logs behind the row */
    int64_t          log_pos;      /* highest archive id considered */
    int64_t          noted_ms;
    int64_t          lost_ms;      /* when the connection went; 0: attached */
    int              head, count, cap;  /* entries[(head + i) % cap] is number acked + 1 + i */
    size_t           volatile_bytes;
    struct sm_entry *entries;
    struct list      in_dirty;     /* talk->streams_dirty */
};

extern const struct db_migration sm_migrations[];

void sm_send(struct session *s, struct str stanza);                         /* volatile */
void sm_expect(struct session *s, int64_t log_id, enum delivery how);
/* Durable already, with its place in the log (a shared database). */
void sm_send_logged(struct session *s, int64_t log_id, enum delivery how, struct str stanza);
void sm_fill(struct session *s, int64_t log_id, struct str stanza);         /* p NULL: give the place up */
void sm_ask(struct session *s);                                             /* <r/> now, unless one is unanswered */
void sm_received(struct session *s);                                        /* a stanza that changed something durable was taken */
void sm_row_changed(struct session *s);                                     /* presence, carbons, roster interest: the row follows */
/* Has the stream a row that a later process of ours would resume it from? Then what the client asked to be told of has to be in it
 * before the answer says so. */
bool sm_row_matters(const struct session *s);
/* The result of `iq`, after the row when that matters: "you have carbons now" holds for the stream, whatever dies. */
enum err sm_row_result(struct session *s, const struct stanza *iq, struct str payload);
void sm_detached(struct session *s);
void sm_free(struct session *s);                                            /* memory only */
/* The stream ends for good: the row goes; logged entries that were never confirmed become offline messages when `keep`. */
void sm_end(struct session *s, bool keep);
/* At start: every stream that may still be resumed becomes a DETACHED session. */
void sm_restore(struct talk *t);
/* A resume asked through XEP-0198 or SASL2; the answers go through login.h.
 *   DONE    the old session has `s`'s connection; `s` is gone
 *   FAILED  answered with <failed/>; `s` goes on and may bind
 *   WAITS   login_resume_again(s) will be called */
enum resume_outcome { RESUME_DONE, RESUME_FAILED, RESUME_WAITS };
enum resume_outcome sm_resume(struct session *s, const struct xml_node *resume);
/* Answers <failed/>; `handled` below zero: unknown. */
enum resume_outcome sm_resume_refuse(struct session *s, int64_t handled, const char *condition);
struct sm *sm_find(struct session *s, struct str previd);   /* on this worker, the same person's; NULL: none */
/* <enable/> as an element of its own or inside Bind2: appends the answer. */
void sm_enable(struct session *s, const struct xml_node *enable, struct buf *out);
