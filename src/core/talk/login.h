/* login.h: one log-in under way, whichever way it was asked for: RFC 6120 SASL
 * (sasl.c) or SASL2 (xep/xep0388_sasl2.c). Both ask ident and differ in how they write the answers.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "id/ident.h"
#include "talk/session.h"

enum { LOGIN_TOKEN_BYTES_MAX = 256 };

/* How a profile says things to the client. */
struct login_profile {
    void (*challenge)(struct session *s, struct str data);
    void (*failure)(struct session *s, enum sasl_failure f);
    /* The identity is set. `data` p NULL: none. */
    void (*success)(struct session *s, struct str data, const struct sasl_answer *a);
};

struct login {
    const struct login_profile *profile;
    uint64_t exchange;          /* at ident; 0: none */
    int64_t  agent;             /* session.agent, once it is in */
    uint8_t  tries;
    char    *request;           /* SASL2 <authenticate/> or a <resume/>, as text, for after the answer */
    struct buf reply;           /* SASL2: what stands in <success/> so far */
    bool     far_asked;         /* a resumption: other workers have been asked, in vain… */
    int64_t  far_handled;       /* …but this is how much they had handled; below zero: unknown */
    bool     far_late;          /* its row was not there at first */
    struct timer    far_look;   /* runs until it is looked for once more, for `far_of` */
    struct session *far_of;
    char    *preauth, *preauth_name;    /* an invitation to make an account (XEP-0445), and the name it is for; NULL: none */
    uint8_t  preauth_tries;
    bool     answering;         /* SASL2: <success/> has not been written yet */
};

struct login *login_get(struct session *s);      /* makes it */
void login_free(struct session *s);
/* Fills the channel bindings and asks ident; the session is held meanwhile. `initial` p NULL: none. */
void login_start(struct session *s, const struct login_profile *p, struct sasl_start *start);
void login_step(struct session *s, struct str response);
void login_abort(struct session *s);
/* Is the mechanism offered on this stream? */
bool login_offers(const struct session *s, const char *mechanism);
bool login_may(const struct session *s);         /* does the stream's security allow logging in at all */
void login_put_mechanisms(struct session *s, struct buf *out);   /* <mechanism>…</mechanism>… */

/* ---- resumption (xep0198_sm.c asks) ---- */
void login_resume_nonza(struct session *s, const struct xml_node *resume);
void login_resume_again(struct session *s);
void login_resume_failed(struct session *s, struct str failed_xml);
/* `old` owns the connection now; `s` is freed. */
void login_resumed(struct session *s, struct session *old, struct str resumed_xml);
/* xep0388_sasl2.c: after success, and again after waiting. */
void sasl2_continue(struct session *s);
void sasl2_write_success(struct session *s, struct login *l, struct str jid);
