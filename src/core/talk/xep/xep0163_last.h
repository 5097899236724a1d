/* xep0163_last.h: the last items of nodes, for a reader who has come: a device here (xep0163_pep.c), or one at another server
 * (xep0163_guests.c). They are read as the reader may see them, and sent; what was told meanwhile is newer than what was read, so those nodes
 * are read again, unless the reader was told all there is.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/pubsub/pubsub.h"

/* Nodes that were told of while last items are being read; NULL: none are. */
struct pep_news;
/* `settled`: the reader itself was sent what says all there is: the newest item, or that there is none. */
void pep_news_note(struct pep_news *n, struct str node, bool settled);
/* The reader has gone, or is another one from now on: what is being read for it is told to nobody. */
void pep_news_free(struct pep_news **n);

struct last;
struct last_reader {
    /* On a connection: last_want for each node that may be for the reader. Whether it is, each node's own rules say. */
    enum err (*find)(struct job *j, struct db_conn *c, struct last *l);
    /* In the loop. Where the reader's news are; NULL: it has gone. */
    struct pep_news **(*news)(struct talk *t, const struct last *l);
    void (*send)(struct talk *t, const struct last *l, struct str message);
    void (*ended)(struct talk *t, const struct last *l); /* may be NULL; once for each that last_items has begun */
};

struct last {
    const struct last_reader *reader;
    uint64_t session_id;    /* a device here; or the number of one elsewhere */
    int64_t person;         /* whose it is; or of the account whose nodes they are */
    struct person *owner;   /* a device elsewhere: that account; the reader holds it */
    struct str bare, full;  /* of the device */
    struct str wants, only; /* '\n' behind each node; `only`: of this account alone */
    int64_t since_us;       /* only what was published after that */
    /* last.c's: */
    struct str suffix, domain;
    bool ordinary, profiles; /* which kinds of nodes */
    int round;               /* it was read before, and news overtook it */
    uint64_t serial;         /* of the news */
    int news_from;           /* what had been told before it was read */
    int count, cap;
    struct wanted *wanted;
    struct ids messages, nodes; /* of each message its node */
};

/* Copies `what`. Returns how many reads were begun. */
int last_items(struct talk *t, const struct last *what);
void last_want(struct job *j, struct last *l, int64_t owner, struct str bare, struct str node);
/* The nodes by which another profile than the basic one is told: those who show one need no node for that. */
void last_want_profile(struct job *j, struct last *l, int64_t owner, struct str bare);
