/* command.h: ad-hoc commands (XEP-0050 1.3): what any client shows its user as a menu, stage by stage.
 * A feature names its commands in its row (.commands); xep/xep0050_commands.c lists them, checks who may, and keeps the runs.
 *
 *   execute ─step, stage 0─▶ command_ask ─▶ form 1 ─next─▶ step, stage 1 ─▶ … ─▶ command_done or command_failed
 *                                 ▲            └─prev─▶ the form before it, sent again
 *                                 └── command_again: the form was filled in wrongly, it stays open
 *
 * A run belongs to one session and to one worker; it ends with them, with cancel, or when nobody has touched it for
 * COMMAND_IDLE_MS_MAX.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/forms.h"
#include "talk/session.h"

#define NS_COMMANDS "http://jabber.org/protocol/commands"

enum {
    COMMAND_RUNS_MAX = 2000,            /* of the process */
    COMMAND_RUNS_PER_SESSION_MAX = 10,
    COMMAND_STAGES_MAX = 8,
    COMMAND_STEPS_MAX = 100,            /* of one run, back and forth */
    COMMAND_BYTES_MAX = 512 * 1024,     /* of the forms that came back in one run, the last besides */
    COMMAND_IDLE_MS_MAX = 10 * 60 * 1000,
    COMMAND_EXPIRED_MS_MAX = 10 * 60 * 1000,    /* for so long its id is told to have expired */
};

enum command_on { COMMAND_ON_SERVER = 1, COMMAND_ON_ACCOUNT = 2 };      /* one's own account */

struct command_run;
struct command {
    const char *node, *name;
    unsigned    on;             /* enum command_on, or-ed */
    bool        admin;          /* only for administrators (person_is_admin); others do not see it */
    void      (*step)(struct command_run *r);
    void      (*ended)(struct command_run *r);      /* frees r->own; NULL: nothing to do */
};

struct command_run {
    struct talk          *talk;
    const struct command *command;
    uint64_t              session_id;   /* who runs it: session_find, NULL when gone */
    struct str            by;           /* their bare address */
    int                   stage;        /* 0: just called; n: the n-th form has come back, it is in `form` */
    struct form           form;         /* in the arena; checked by nobody yet */
    struct arena          arena;        /* of the run */
    void                 *own;          /* the command's */
};

void commands_done(struct talk *t);     /* the process ends */

/* Each step ends with exactly one of these, now or later; what they are given is copied. After the last four the run is gone. */
/* `form`: "<x …>…</x>"; `last`: what comes back completes it. */
void command_ask(struct command_run *r, struct str form, bool last);
/* The submitted form is wrong: <bad-payload/>, and `why` for people. */
void command_again(struct command_run *r, struct str why);
/* `payload`: a form of results, or empty; `note` may be NULL. */
void command_done(struct command_run *r, struct str payload, const char *note);
void command_failed(struct command_run *r, const char *why);    /* completed, with a note of type error */
void command_error(struct command_run *r, enum err e);          /* the stanza error of base/err.h */
void command_error_condition(struct command_run *r, const char *type, const char *condition, const char *text);
